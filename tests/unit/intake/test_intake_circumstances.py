"""Who died, is in jail or in hospital, or has moved away: nobody calls, and no place is offered, until that is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.intake.episode import inbound_referrals, waitlist
from services.intake.handoffs import Lined, LineJoined, LineLeft, PlaceOffered
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind
from shared.contracts.intake import ReferralOutcome
from shared.errors import Refused
from tests.unit.intake.world import STAGES, Intake, Rule, at_stage, discharged, send
from tests.unit.support import EPISODE_ID, fact, uid

KINDS = [kind for kind in CircumstanceKind if kind is not CircumstanceKind.UNKNOWN]
KNOWN = [stage for stage in STAGES if at_stage(stage).state.referral is not None]
BEFORE = [stage for stage in KNOWN if stage not in ("closed", "admitted", "oriented")]
ABOUT_THE_PERSON = (intake.LoopEscalated, intake.WaitlistOffered, intake.ReferralLoopOverdue)


def is_so(kind: CircumstanceKind = CircumstanceKind.DECEASED) -> followup.CircumstanceRecorded:
    return fact(followup.CircumstanceRecorded, circumstance_id=uid("one"), kind=kind)


OVER: list[Event] = [
    fact(followup.CircumstanceUndone, circumstance_id=uid("one")),
    fact(followup.CircumstanceEnded, circumstance_id=uid("one")),
]


def join(state: Any, cause: Any) -> Any:
    new = waitlist.NewWaiting(
        line_id=uid("group"),
        group_id=uid("group"),
        track="evening",
        interim=(),
        offer_lasts=timedelta(days=1),
        chances=2,
    )
    return waitlist.join(state, new, cause)


def waiting(*, offered: bool = False) -> Intake:
    history = at_stage("placed").does(join)
    ticket = history.state.waiting.ticket
    history.hand(Lined(ticket=ticket, position=1), of="line")
    if offered:
        history.hand(_offer(history), 2, of="line")
    return history


def _offer(history: Intake) -> PlaceOffered:
    return PlaceOffered(
        ticket=history.state.waiting.ticket,
        offer_id=uid("offer"),
        group_id=uid("group"),
        expires_at=history.now + timedelta(days=1),
    )


def about_the_person(events: list[Event]) -> list[Event]:
    own = IntakeLoop.REFERRAL_CLOSURE
    return [
        one
        for one in events
        if isinstance(one, ABOUT_THE_PERSON) and getattr(one, "loop", None) is not own
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", KNOWN)
def test_nobody_is_chased_while_it_lasts(stage: str, kind: CircumstanceKind) -> None:
    history = at_stage(stage)
    history.hear(is_so(kind))
    said = len(history.said)
    history.after(days=60)
    assert about_the_person(history.said[said:]) == []
    shown = {loop.kind for loop in history.state.loops.values() if not loop.hidden}
    assert shown <= {IntakeLoop.REFERRAL_CLOSURE.value}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", BEFORE)
def test_somebody_closes_the_referral_of_who_does_not_come(
    stage: str, kind: CircumstanceKind
) -> None:
    history = at_stage(stage)
    history.hear(is_so(kind))
    asked = kind is not CircumstanceKind.HOSPITALIZED
    assert (history.due(IntakeLoop.REFERRAL_CLOSURE) is not None) is asked
    history.does(lambda state, cause: inbound_referrals.close(state, ReferralOutcome.LOST, cause))
    assert history.state.loops == {}


def test_the_referral_of_who_died_goes_to_the_next_owner() -> None:
    history = at_stage("acknowledged")
    history.hear(is_so())
    history.after(days=3, hours=1)
    (escalated,) = history.of(intake.LoopEscalated)
    assert (escalated.loop, escalated.step) == (IntakeLoop.REFERRAL_CLOSURE, 1)
    history.hear(OVER[0])
    (cleared,) = history.of(intake.EscalationCleared)
    assert (cleared.loop, cleared.reason) == (
        IntakeLoop.REFERRAL_CLOSURE,
        ClearedReason.WITHDRAWN,
    )


@pytest.mark.parametrize("stage", ["admitted", "oriented", "closed"])
def test_it_is_asked_for_only_before_the_admission(stage: str) -> None:
    history = at_stage(stage)
    history.hear(is_so())
    assert history.due(IntakeLoop.REFERRAL_CLOSURE) is None


@pytest.mark.parametrize("over", OVER, ids=lambda one: one.NAME)
@pytest.mark.parametrize("days", [0, 1, 40])
@pytest.mark.parametrize("stage", KNOWN)
def test_when_it_is_over_everything_is_as_if_it_had_not_been(
    stage: str, days: int, over: Event
) -> None:
    history, never = at_stage(stage), at_stage(stage)
    history.hear(is_so())
    for one in (history, never):
        one.after(days=days)
    history.hear(over)
    history.at(history.now)
    assert history.state == never.state


def test_what_was_escalated_is_taken_back_and_stands_again() -> None:
    history = at_stage("acknowledged").after(days=15)
    said = len(history.said)
    history.hear(is_so())
    (cleared,) = history.said[said:]
    assert isinstance(cleared, intake.EscalationCleared)
    assert cleared.loop is IntakeLoop.ASSESSMENT
    said = len(history.said)
    history.hear(OVER[0])
    (again,) = history.said[said:]
    assert isinstance(again, intake.LoopEscalated)
    assert again.step == cleared.step_reached


def test_a_partner_is_not_asked_about_who_died() -> None:
    history = at_stage("ineligible").does(send(within=timedelta(days=1)))
    history.hear(is_so())
    said = len(history.said)
    history.after(days=30)
    assert about_the_person(history.said[said:]) == []


def test_the_end_of_the_episode_says_it_as_well() -> None:
    history = at_stage("oriented").does(send(within=timedelta(days=1)))
    died = fact(plans.EpisodeDischarged, kind=plans.DischargeKind.DECEASED)
    history.hear(died)
    said = len(history.said)
    history.after(days=30)
    assert about_the_person(history.said[said:]) == []


@pytest.mark.parametrize("offered", [False, True])
def test_a_place_goes_to_the_next_and_they_wait_again_by_their_time(*, offered: bool) -> None:
    history = waiting(offered=offered)
    before = history.state.waiting
    history.hear(is_so())
    left = history.handing[-1].body
    assert isinstance(left, LineLeft)
    assert (left.ticket, left.taken) == (before.ticket, False)
    assert isinstance(history.said[-1], intake.WaitlistLeft)
    history.after(days=20)
    history.hear(OVER[0])
    joined = history.handing[-1].body
    assert isinstance(joined, LineJoined)
    assert joined.since == before.since
    assert joined.ticket == history.state.waiting.ticket
    assert history.state.waiting.chances == before.chances


def test_no_place_is_offered_meanwhile() -> None:
    history = waiting()
    late = _offer(history)
    history.hear(is_so())
    said = len(history.said)
    history.hand(late, 2, of="line")
    assert about_the_person(history.said[said:]) == []
    ticket = history.state.waiting.ticket
    by_staff: list[Rule] = [
        lambda state, cause: waitlist.offer(state, ticket, None, None, cause),
    ]
    for rule in by_staff:
        with pytest.raises(Refused) as refused:
            history.command(rule)
        assert refused.value.code == "circumstance-lasts"
    history.hear(OVER[0])
    history.hand(late, 3, of="line")
    assert history.state.waiting.offer is None


def test_nobody_joins_a_line_meanwhile() -> None:
    history = at_stage("placed")
    history.hear(is_so())
    with pytest.raises(Refused) as refused:
        history.command(join)
    assert refused.value.code == "circumstance-lasts"


def test_a_discharge_meanwhile_ends_what_was_hidden() -> None:
    history = at_stage("admitted").after(days=8)
    history.hear(is_so())
    said = len(history.said)
    history.hear(discharged())
    assert [one for one in history.said[said:] if isinstance(one, intake.EscalationCleared)] == []
    assert history.state.loop(IntakeLoop.ORIENTATION, EPISODE_ID) is None
