"""An episode that was entered in error: which events of other services still do something about it, and why."""

from __future__ import annotations

import pytest

from services.attendance.app import SERVICE as ATTENDANCE
from services.followup.app import SERVICE as FOLLOWUP
from services.intake.app import SERVICE as INTAKE
from services.plans.app import SERVICE as PLANS
from shared.contracts import attendance, followup, intake
from shared.contracts.event import Event
from shared.loops import CareState
from shared.runtime.service import Service
from tests.unit.support import cause

STILL_RUN: dict[str, set[type[Event]]] = {
    # A seat is the group's to know of; a return to use is kept for whoever assesses the person next.
    "intake": {
        attendance.SeatReserved,
        attendance.SeatReleased,
        followup.ReturnToUseReported,
        followup.ReturnToUseUndone,
    },
    # Who looks after the person, and a second mistake: seats that came meanwhile are given back.
    "attendance": {
        intake.CareTeamAssigned,
        intake.EpisodeEnteredInError,
        intake.ReferralMerged,
    },
    "plans": {intake.CareTeamAssigned},
    "followup": set(),
}


@pytest.mark.parametrize("service", [INTAKE, PLANS, ATTENDANCE, FOLLOWUP], ids=lambda s: s.name)
def test_nothing_else_is_done_about_an_episode_entered_in_error(service: Service) -> None:
    run: set[type[Event]] = set()
    for row in service.reactions:
        state = service.kinds[row.event.SUBJECT].state
        if issubclass(state, CareState):
            in_error = state(void=True)
            decision = row.rule(in_error, row.event.example(), cause())
            if decision.state is not in_error or decision.events or decision.handoffs:
                run.add(row.event)
    assert run == STILL_RUN[service.name]
