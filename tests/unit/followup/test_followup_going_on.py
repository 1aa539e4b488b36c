"""An end that is taken back: whoever was reached out to still is, and nothing of aftercare is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup import journey
from services.plans.app import SERVICE
from shared.contracts import attendance, plans
from shared.contracts.codes import FollowupLoop
from shared.contracts.event import Event
from shared.contracts.followup import AttemptResult, RiskFlag
from shared.contracts.plans import DischargeKind
from shared.errors import Refused
from tests.unit.followup.test_followup_order import (
    HEARD_AT,
    courses,
    from_attendance,
    from_intake,
    reviews,
)
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    discharged,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import START, fact, interleaved

OTHERS = [
    DischargeKind.AGAINST_ADVICE,
    DischargeKind.ADMINISTRATIVE,
    DischargeKind.LOST_CONTACT,
    DischargeKind.INCARCERATED,
    DischargeKind.DECEASED,
]


def undone(at: Any, kind: DischargeKind) -> plans.DischargeUndone:
    return fact(plans.DischargeUndone, discharged_at=at, kind=kind)


def ends(kind: DischargeKind, at: Any) -> list[Event]:
    ended: list[Event] = [discharged(at, kind), undone(at, kind)]
    if kind is DischargeKind.GRADUATED:
        first, *rest = ended
        graduated = fact(plans.ProgramGraduated, graduated_at=at)
        approved = fact(plans.GraduationApproved)
        return [approved, graduated, first, fact(plans.GraduationUndone, graduated_at=at), *rest]
    return ended


def shown(history: Followup) -> Any:
    return history.state.replace(aside=None, ending=None, ended=())


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """The same facts, with an end that is taken back among them, and without."""
    kind = draw(st.sampled_from([*OTHERS, DischargeKind.GRADUATED]))
    approved = fact(plans.GraduationApproved)
    course = [event for event in draw(st.sampled_from(courses)) if event != approved]
    ended = ends(kind, HEARD_AT)
    line = [*course, *reviews, *ended]
    lines: list[Sequence[Event]] = [draw(from_intake), line, draw(from_attendance)]
    events = draw(interleaved(*lines))
    return events, [event for event in events if not any(event is one for one in ended)]


@given(arrivals())
def test_in_any_order_of_the_sources(told: tuple[list[Event], list[Event]]) -> None:
    mistaken, other = (Followup(HEARD_AT).hear_all(events) for events in told)
    one, two = shown(mistaken), shown(other)
    # A graduation names the plan, which plans had drafted before.
    one = one.replace(draft=two.draft)
    assert one.model_dump() == two.model_dump()
    for history in (mistaken, other):
        history.at(HEARD_AT + 60 * DAY)
    assert shown(mistaken).loops == shown(other).loops
    assert shown(mistaken).deadlines == shown(other).deadlines


def chased(history: Followup) -> None:
    history.hear(missed(START + HOUR))
    history.after(days=2)


def lost(history: Followup) -> None:
    history.after(days=31)


def used(history: Followup) -> None:
    history.return_to_use()


def reviewed(history: Followup) -> None:
    history.hear(reviews[0])
    history.hear(fact(plans.TreatmentPlanReviewDue))
    history.hear(fact(attendance.WeeklyHoursShortfallDetected))


def nothing(_: Followup) -> None: ...


BEGUN: list[Callable[[Followup], None]] = [nothing, chased, lost, used, reviewed]


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("kind", OTHERS)
def test_two_years_later_it_is_as_at_once(
    kind: DischargeKind, begun: Callable[[Followup], None]
) -> None:
    never, at_once, late = in_program(), in_program(), in_program()
    for one in (never, at_once, late):
        begun(one)
        one.after(hours=1)
    at = never.now
    for one in (at_once, late):
        one.hear(discharged(at, kind))
    at_once.hear(undone(at, kind))
    assert shown(at_once).model_dump() == shown(never).model_dump()
    for one in (never, at_once, late):
        one.after(days=730)
    late.hear(undone(at, kind))
    late.at(late.now)
    assert shown(at_once).model_dump() == shown(never).model_dump()
    assert shown(late).model_dump() == shown(never).model_dump()


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_pause_that_is_over_meanwhile_is_over(before: int) -> None:
    """However much of it came before the end, and the rest while the end stood."""
    pause = [fact(attendance.ParticipationPaused), fact(attendance.ParticipationResumed)]
    history, never = in_program(), in_program()
    never.hear_all(pause)
    history.hear_all(pause[:before])
    history.hear(discharged(history.now, DischargeKind.ADMINISTRATIVE))
    history.hear_all(pause[before:])
    history.hear(undone(history.now, DischargeKind.ADMINISTRATIVE))
    assert shown(history).path == shown(never).path


def test_who_was_reached_meanwhile_is_not_chased() -> None:
    history = in_program()
    chased(history)
    at = history.now
    kind = DischargeKind.ADMINISTRATIVE
    history.hear(discharged(at, kind))
    history.after(hours=1)
    history.outreach(AttemptResult.REACHED)
    history.hear(undone(at, kind))
    assert history.state.outreach is None
    assert history.state.loops_of(FollowupLoop.OUTREACH) == ()


def test_check_ins_are_superseded_and_a_later_end_has_its_own() -> None:
    history = in_aftercare()
    first = set(history.check_ins)
    left = history.state.discharge
    history.after(days=3)
    assert history.state.loops_of(FollowupLoop.CHECK_IN)
    history.hear(undone(left.discharged_at, left.kind))
    assert history.state.aftercare is None
    assert history.state.loops_of(FollowupLoop.CHECK_IN) == ()
    history.after(days=1)
    history.hear(discharged(history.now))
    assert len(history.check_ins) == len(first)
    assert first.isdisjoint(history.check_ins)


def test_a_risk_that_came_up_stays_somebodys() -> None:
    history = in_aftercare()
    left = history.state.discharge
    history.complete(history.open_check_in(0), RiskFlag.SUICIDE_RISK)
    history.hear(undone(left.discharged_at, left.kind))
    assert history.state.loops_of(FollowupLoop.RISK_RESPONSE)


def test_the_hint_names_a_command_that_exists() -> None:
    history = in_program()
    history.hear(discharged(START, DischargeKind.DECEASED))
    with pytest.raises(Refused) as error:
        history.outreach(AttemptResult.REACHED)
    paths = {getattr(route, "path", "") for one in SERVICE.routers for route in one.routes}
    named = error.value.hint.partition("POST ")[2].rstrip(".")
    assert named.replace("{id}", "{episode_id}") in paths


@pytest.mark.fault("F44")
@pytest.mark.parametrize("looked_for", [True, False])
def test_nobody_is_on_the_way_when_a_hand_over_fell_through(*, looked_for: bool) -> None:
    """The journey went on saying `transferring`, to a place that would not take the person."""
    history = in_program()
    if looked_for:
        history.hear(fact(plans.LevelOfCareChangeRecommended))
    history.hear(fact(plans.TransferInitiated))
    assert journey.place(history.state).stage == "transferring"
    known_at = history.after(hours=1).now
    history.hear(fact(plans.TransferFellThrough, fell_through_at=known_at))
    where = journey.place(history.state)
    assert (where.stage, where.awaiting) == ("change_recommended", "level_change")
    assert where.due_at == known_at + timedelta(days=3)
    history.hear_all([fact(plans.TransferInitiated), fact(plans.TransferUndone)])
    assert journey.place(history.state) == where


@pytest.mark.parametrize("looked_for", [True, False])
@pytest.mark.parametrize(
    "meanwhile",
    [[], [fact(plans.LevelOfCareChangeRecommended)], [fact(plans.LevelOfCareChanged)]],
)
def test_a_hand_over_that_was_never_begun(looked_for: bool, meanwhile: list[Event]) -> None:
    history, never = in_program(), in_program()
    for one in (history, never):
        if looked_for:
            one.hear(fact(plans.LevelOfCareChangeRecommended))
    history.hear(fact(plans.TransferInitiated))
    for one in (history, never):
        one.after(hours=1).hear_all(meanwhile)
    history.hear(fact(plans.TransferUndone))
    assert history.state == never.state
