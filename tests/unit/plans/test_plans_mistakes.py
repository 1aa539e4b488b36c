"""Mistakes taken back, people on duty, and what there is to plan with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.plans.app import SERVICE
from services.plans.available_sessions import GroupState, SessionState
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import Role
from shared.contracts.event import Event
from shared.errors import Refused
from tests.unit.plans.test_plans_order import from_attendance, from_followup
from tests.unit.plans.world import DAY, Plans, admitted, attended, in_treatment, with_plan
from tests.unit.support import START, History, fact, interleaved, uid

MISTAKES = [intake.EpisodeEnteredInError, intake.ReferralMerged]
COMMANDS = [
    "draft",
    "change_level",
    "graduate",
    "discharge",
    "aftercare",
    "identify_need",
    "add_service",
]


class TestVoid:
    @pytest.mark.parametrize("mistake", MISTAKES)
    @pytest.mark.parametrize("name", COMMANDS)
    def test_no_further_command(self, mistake: type[Event], name: str) -> None:
        history = with_plan()
        history.hear(fact(mistake))
        with pytest.raises(Refused) as error:
            getattr(history, name)()
        assert error.value.code == "entered-in-error"

    @pytest.mark.parametrize("mistake", MISTAKES)
    def test_a_review_is_refused_too(self, mistake: type[Event]) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        [review_id] = history.state.reviews
        history.hear(fact(mistake))
        with pytest.raises(Refused) as error:
            history.complete(review_id)
        assert error.value.code == "entered-in-error"

    @pytest.mark.parametrize("mistake", MISTAKES)
    def test_nothing_more_is_said(self, mistake: type[Event]) -> None:
        history = with_plan()
        history.hear(fact(mistake))
        said = len(history.said)
        for event in (
            fact(attendance.ScreenFailed),
            attended(),
            fact(attendance.AbsenceThresholdReached),
        ):
            history.hear(event)
        assert len(history.after(days=100).said) == said


class TestUndone:
    def test_what_intake_said_before_stays(self) -> None:
        history = Plans()
        history.hear(fact(intake.LevelRecommended))
        drivers = history.state.drivers
        history.hear_all([admitted(), attended(), fact(intake.AdmissionUndone)])
        assert history.state.drivers == drivers
        assert (history.state.admission, history.state.sessions) == (None, {})
        said = len(history.said)
        history.hear(fact(attendance.ScreenFailed))
        assert len(history.after(days=100).said) == said

    def test_admitted_again(self) -> None:
        history = in_treatment()
        history.hear(fact(intake.AdmissionUndone))
        history.after(days=2).hear(admitted(history.now))
        assert history.open == ["treatment_plan"]
        first, second = history.of(plans.AftercarePlanDrafted)
        assert first.aftercare_plan_id != second.aftercare_plan_id


@st.composite
def taken_back(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Two arrivals of the same facts, of which intake's last takes the whole back."""
    last = draw(st.sampled_from([*MISTAKES, intake.AdmissionUndone]))
    said: list[Event] = [fact(intake.LevelRecommended), admitted(START), fact(last)]
    lines: list[Sequence[Event]] = [said, draw(from_attendance), draw(from_followup)]
    return draw(interleaved(*lines)), draw(interleaved(*lines))


@given(taken_back())
def test_whenever_it_is_heard_the_end_is_the_same(
    arrivals: tuple[list[Event], list[Event]],
) -> None:
    one, other = (Plans(START + DAY).hear_all(events) for events in arrivals)
    if one.state.void:  # what is put aside depends on what was known by then; nothing else does
        assert one.state.voided is not None
        assert other.state.voided is not None
    assert one.state.replace(voided=None) == other.state.replace(voided=None)
    assert (one.state.loops, one.state.deadlines, one.state.reviews) == ({}, {}, {})
    for history in (one, other):
        said = len(history.said)
        assert len(history.after(days=100).said) == said


class TestPeople:
    def test_whose_episode_it_is(self) -> None:
        history = in_treatment()
        history.hear(fact(intake.EpisodePersonCorrected, person_id=uid("somebody else")))
        assert history.state.admission.person_id == uid("somebody else")

    def test_who_holds_a_role(self) -> None:
        history = in_treatment()
        history.hear(fact(intake.CareTeamAssigned, role=Role.COUNSELOR, staff_id=uid("dana")))
        assert history.state.team == {"counselor": uid("dana")}
        history.hear(fact(intake.CareTeamRoleVacated, role=Role.COUNSELOR))
        assert history.state.team == {}


def record(kind: str, name: str = "one") -> History:
    return History(
        SERVICE.source, SERVICE.kinds[kind], SERVICE.reactions, subject=f"{kind}/{uid(name)}"
    )


@pytest.mark.fact("0.3")
class TestOffer:
    def test_a_groups_seats(self) -> None:
        history = record("group")
        seats = {"track": "evening", "seats_min": 2, "seats_max": 12}
        history.hear(fact(attendance.GroupOpened, **seats, seats_taken=0))
        state: GroupState = history.state
        assert (state.full, state.below_minimum) == (False, False)
        history.hear(fact(attendance.GroupFilled, **seats, seats_taken=12))
        assert history.state.full
        history.hear(fact(attendance.GroupBelowMinimum, **seats, seats_taken=1))
        assert (history.state.full, history.state.below_minimum) == (False, True)

    def test_a_session_that_takes_place_and_one_that_does_not(self) -> None:
        history = record("session")
        history.hear(fact(attendance.SessionScheduled, starts_at=START))
        state: SessionState = history.state
        assert state.bookable_at() == START
        history.hear(fact(attendance.SessionCancelled, starts_at=START))
        assert history.state.bookable_at() is None
