"""Death, jail, hospital, a move away: from then on nobody is called, until it ends or was a mistake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup import circumstances
from services.followup.app import SERVICE
from services.followup.circumstances import UNHEARD
from services.followup.episode.episode_state import ReadmissionUndone, Readmitted
from services.followup.measures import transitions
from services.followup.outreach import reengagement
from shared import calendar
from shared.contracts import followup, intake
from shared.contracts.codes import FollowupLoop, MistakeReason, Role
from shared.contracts.followup import (
    AttemptResult,
    CircumstanceKind,
    ReportedBy,
    RiskFlag,
    TransitionKind,
)
from shared.contracts.plans import DischargeKind
from shared.errors import Refused, Unknown
from tests.unit.followup.test_followup_order import from_attendance
from tests.unit.followup.world import (
    DAY,
    HOUR,
    Followup,
    discharged,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import START, fact, uid

KINDS = [kind for kind in CircumstanceKind if kind is not CircumstanceKind.UNKNOWN]
PASSING = [kind for kind in KINDS if kind is not CircumstanceKind.DECEASED]
WHY = MistakeReason.WRONG_PERSON


def happens(history: Followup, kind: CircumstanceKind = CircumstanceKind.DECEASED) -> str:
    on = history.now.date() - timedelta(days=1)
    outcome = history.tell(lambda s, c: circumstances.record(s, kind, on, c))
    return outcome.answer["circumstance_id"]


def undo(history: Followup, key: str) -> None:
    history.tell(lambda s, c: circumstances.undo(s, key, WHY, c))


def ends(history: Followup, key: str) -> None:
    history.tell(lambda s, c: circumstances.end(s, key, c))


def confirms(history: Followup, key: str) -> None:
    history.tell(lambda s, c: circumstances.confirm(s, key, c))


def shown(history: Followup) -> Any:
    return history.state.replace(taken_back=()).model_dump()


def without_what_was_said(found: dict[str, Any]) -> dict[str, Any]:
    """A state but for the memory that a check-in, excused now, was published as missed."""
    for item in ((found["aftercare"] or {}).get("check_ins") or {}).values():
        del item["was_missed"]
    return found


def chased() -> Followup:
    history = in_program()
    history.hear(missed(START + HOUR))
    return history.after(days=3)


def in_the_year() -> Followup:
    return in_aftercare().after(days=3)


def reached_out_to() -> Followup:
    return in_aftercare().after(days=40)


STAGES: list[Callable[[], Followup]] = [in_program, chased, in_the_year, reached_out_to]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.fault("F22")
def test_nobody_is_called_from_then_on(
    kind: CircumstanceKind, stage: Callable[[], Followup]
) -> None:
    history = stage()
    happens(history, kind)
    asked = history.state.loops_of(FollowupLoop.CIRCUMSTANCE)
    assert len(asked) == (0 if kind is CircumstanceKind.DECEASED else 1)
    assert history.record.due == (asked[0].deadline_at if asked else None)
    assert history.state.index_entries().get("loop") == history.record.due
    assert {one for one in history.state.loops.values() if not one.hidden} == {*asked}
    assert "check_in" not in history.state.index_entries()
    said = len(history.said)
    history.after(days=400)
    assert {getattr(event, "loop", None) for event in history.said[said:]} == {
        one.kind for one in asked
    }
    with pytest.raises(Refused) as error:
        history.outreach(AttemptResult.NO_ANSWER)
    assert error.value.code == "no-contact"
    paths = {getattr(route, "path", "") for one in SERVICE.routers for route in one.routes}
    assert {
        "/circumstances/{circumstance_id}/end",
        "/circumstances/{circumstance_id}/undo",
    } <= paths


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("stage", STAGES)
def test_somebody_asks_whether_it_lasts(
    kind: CircumstanceKind, stage: Callable[[], Followup]
) -> None:
    history = stage()
    key = happens(history, kind)
    days = 7 if kind is CircumstanceKind.HOSPITALIZED else 30
    for _ in range(3):
        [loop] = history.loops(FollowupLoop.CIRCUMSTANCE)
        assert loop.deadline_at == history.now + timedelta(days=days)
        said = len(history.said)
        history.after(days=days + 30)
        roles = [getattr(event, "owner_role", None) for event in history.said[said:]]
        assert roles == [Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR]
        confirms(history, key)
        assert history.names[-1] == "escalation-cleared"


def comes_back(history: Followup, _key: str) -> None:
    history.handed(Readmitted(episode_id=uid("later"), admitted_at=history.now))


def dies(history: Followup, _key: str) -> None:
    happens(history)


@pytest.mark.parametrize("over", [ends, undo, comes_back, dies])
@pytest.mark.parametrize("days", [1, 100])
@pytest.mark.parametrize("kind", PASSING)
def test_whatever_answers_it_nobody_asks_any_more(
    kind: CircumstanceKind, days: int, over: Callable[[Followup, str], None]
) -> None:
    history = in_the_year()
    key = happens(history, kind)
    history.after(days=days)
    over(history, key)
    assert history.loops(FollowupLoop.CIRCUMSTANCE) == []
    [cleared] = [e for e in history.of(followup.EscalationCleared) if e.loop_id == key] or [None]
    assert (cleared is None) is (days == 1)


def test_a_readmission_that_was_a_mistake_leaves_the_question() -> None:
    history = in_the_year()
    key = happens(history, CircumstanceKind.INCARCERATED)
    comes_back(history, key)
    history.handed(ReadmissionUndone(episode_id=uid("later")))
    assert [loop.id for loop in history.loops(FollowupLoop.CIRCUMSTANCE)] == [key]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flag", [RiskFlag.SUICIDE_RISK, RiskFlag.HOUSING_LOSS])
def test_a_risk_that_outlasts_a_readmission_is_somebodys_again(
    flag: RiskFlag, kind: CircumstanceKind
) -> None:
    """Nobody asks any more whether the circumstance lasts, so that nothing may wait for it; only a death stays one."""
    history = in_aftercare()
    risk = history.complete(history.open_check_in(0), flag).answer["risk_loop_id"]
    happens(history, kind)
    history.after(days=10)
    comes_back(history, "")
    died = kind is CircumstanceKind.DECEASED
    [loop] = history.loops(FollowupLoop.RISK_RESPONSE)
    assert (loop.id, loop.hidden) == (risk, died)
    assert ("loop" in history.state.index_entries()) is not died
    history.after(days=10)
    [loop] = history.loops(FollowupLoop.RISK_RESPONSE)
    assert died or loop.at_last_owner
    assert said_to_be_open(history) == ({} if died else {risk: loop.step})
    history.handed(ReadmissionUndone(episode_id=uid("later")))
    assert said_to_be_open(history) == {}, "it is out of sight again"
    if not died:
        comes_back(history, "")
        history.answer_risk(risk)
    assert said_to_be_open(history) == {}


@pytest.mark.parametrize("wrong", [intake.EpisodeEnteredInError, intake.ReferralMerged])
@pytest.mark.parametrize("stage", STAGES)
def test_what_was_taken_back_already_is_not_taken_back_again(
    stage: Callable[[], Followup], wrong: type[Any]
) -> None:
    history = stage()
    happens(history, CircumstanceKind.INCARCERATED)
    history.hear(fact(wrong))
    cleared = [event.loop_id for event in history.of(followup.EscalationCleared)]
    assert len(cleared) == len(set(cleared))


def said_to_be_open(history: Followup) -> dict[str, int]:
    """The loops that are escalated, as a reader of the events has it, with their steps."""
    found: dict[str, int] = {}
    for event in history.said:
        if isinstance(event, followup.LoopEscalated):
            found[event.loop_id] = event.step
        elif isinstance(event, followup.EscalationCleared):
            assert found.pop(event.loop_id, event.step_reached) == event.step_reached
    return found


def test_what_was_told_by_mistake_is_taken_back_while_one_lasts() -> None:
    """It is no call, and it leads to none."""
    history = reached_out_to()
    report = history.return_to_use(reported_by=ReportedBy.PATIENT).answer["report_id"]
    happens(history)
    history.tell(lambda s, c: reengagement.undo(s, report, WHY, c))
    assert history.record.due is None
    assert all(loop.hidden for loop in history.state.loops.values())


@pytest.mark.parametrize("stage", STAGES)
def test_what_was_escalated_is_taken_back_and_stands_again(stage: Callable[[], Followup]) -> None:
    history = stage()
    steps = {loop.id: loop.step for loop in history.state.loops.values() if loop.step}
    said = len(history.said)
    key = happens(history)
    cleared = [e for e in history.said[said:] if isinstance(e, followup.EscalationCleared)]
    assert {e.loop_id: e.step_reached for e in cleared} == steps
    said = len(history.said)
    undo(history, key)
    again = [e for e in history.said[said:] if isinstance(e, followup.LoopEscalated)]
    assert {e.loop_id: e.step for e in again} == steps


@pytest.mark.parametrize("days", [0, 1, 20, 730])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_taken_back_it_is_as_if_it_had_not_been(
    kind: CircumstanceKind, stage: Callable[[], Followup], days: int
) -> None:
    history, never = stage(), stage()
    key = happens(history, kind)
    for one in (history, never):
        one.after(days=days)
    undo(history, key)
    history.at(history.now)
    assert shown(history) == shown(never)
    for one in (history, never):
        one.after(days=400)
    assert shown(history) == shown(never)


@given(from_attendance, st.data())
def test_whatever_is_heard_meanwhile(events: list[Any], data: st.DataObject) -> None:
    history, never = in_program(START), in_program(START)
    for one in (history, never):
        one.after(days=20)
    begun = data.draw(st.integers(0, len(events)))
    over = data.draw(st.integers(begun, len(events)))
    left = data.draw(st.booleans())
    key = ""
    for at in range(len(events) + 1):
        if at == begun:
            key = happens(history)
        if at == over and key:
            undo(history, key)
            history.at(history.now)
        if at < len(events):
            for one in (history, never):
                one.hear(events[at])
        if at == begun and left:
            for one in (history, never):
                one.hear(discharged(one.now, DischargeKind.AGAINST_ADVICE))
    assert shown(history) == shown(never)


def test_nothing_about_reaching_the_person_is_said_meanwhile() -> None:
    history = in_program()
    happens(history)
    said = len(history.said)
    history.hear(missed(START + HOUR))
    history.hear(discharged(history.now, DischargeKind.AGAINST_ADVICE))
    assert not [e for e in history.said[said:] if isinstance(e, UNHEARD)]


@pytest.mark.parametrize("kind", PASSING)
def test_when_it_ends_what_passed_is_excused(kind: CircumstanceKind) -> None:
    history = in_the_year()
    key = happens(history, kind)
    history.after(days=100)
    ends(history, key)
    settled = [item.settled for item in history.check_ins.values()]
    assert settled.count("excused") >= 5
    assert "missed" not in settled
    assert history.state.outreach is None
    history.after(days=400)
    assert history.of(followup.AftercareCompleted) != [] or history.state.lost_at is not None
    assert [item.settled for item in history.check_ins.values()].count(None) == 0


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize(("days_before", "excused"), [(0, True), (2, True), (-1, False)])
def test_a_check_in_that_closed_before_it_was_told_is_judged_by_its_day(
    days_before: int, *, excused: bool, undone: bool
) -> None:
    """In hospital before the window closed, told two hours after: nobody missed anything."""
    history = in_the_year()
    closes_at = min(item.window.closes_at for item in history.check_ins.values())
    history.at(closes_at + timedelta(hours=2))
    (first,) = (k for k, one in history.check_ins.items() if one.window.closes_at == closes_at)
    assert history.check_ins[first].settled == "missed"
    before = history.state
    on = calendar.local_day(closes_at, before.time_zone) - timedelta(days=days_before)
    kind = CircumstanceKind.HOSPITALIZED
    if days_before < 0:
        history.at(closes_at + timedelta(days=-days_before))
    key = history.command(lambda s, c: circumstances.record(s, kind, on, c)).answer[
        "circumstance_id"
    ]
    history.after(hours=1)
    ends(history, key)
    assert history.check_ins[first].settled == ("excused" if excused else "missed")
    if undone:
        undo(history, key)
        assert history.check_ins[first] == before.aftercare.check_ins[first]
        assert history.of(followup.CheckInMissed)[0].check_in_id == first
        history.at(history.now)
        missed_ids = [one.check_in_id for one in history.of(followup.CheckInMissed)]
        assert missed_ids.count(first) == 1


def test_before_the_admission_a_day_is_the_facilitys() -> None:
    """Guam: at 08:00 on 4 March it is 3 March in UTC; the applicant died that day."""
    history = Followup()
    history.hear(fact(intake.ReferralReceived, time_zone="Pacific/Guam"))
    history.at(datetime(2026, 3, 3, 22, 0, tzinfo=UTC))
    died, on = CircumstanceKind.DECEASED, date(2026, 3, 4)
    history.command(lambda s, c: circumstances.record(s, died, on, c))
    kind, tomorrow = CircumstanceKind.MOVED_AWAY, date(2026, 3, 5)
    with pytest.raises(Refused, match="day-in-future"):
        history.command(lambda s, c: circumstances.record(s, kind, tomorrow, c))


def turned_away() -> Followup:
    """Somebody makes sure that the person got somewhere."""
    history = Followup()
    history.hear(fact(intake.ReferralReceived))
    history.hear(fact(intake.ReferralDeclined, reason=intake.DeclineReason.NO_CAPACITY))
    return history.after(days=1)


@pytest.mark.parametrize("days", [1, 20, 100])
def test_who_was_turned_away_is_still_looked_for_when_it_ends(days: int) -> None:
    history = turned_away()
    before = history.state.outreach
    key = happens(history, CircumstanceKind.HOSPITALIZED)
    history.after(days=days)
    ends(history, key)
    assert history.state.outreach == before
    [loop] = history.loops(FollowupLoop.OUTREACH)
    assert loop.deadline_at == history.now + timedelta(days=7)


@pytest.mark.parametrize("days", [0, 1, 20, 300])
@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("stage", [*STAGES, turned_away])
def test_taken_back_after_its_end_it_is_as_if_it_had_not_been(
    kind: CircumstanceKind, stage: Callable[[], Followup], days: int
) -> None:
    history, never = stage(), stage()
    key = happens(history, kind)
    for one in (history, never):
        one.after(days=days)
    ends(history, key)
    undo(history, key)
    history.at(history.now)
    assert shown(history) == shown(never)
    for one in (history, never):
        one.after(days=400)
    assert shown(history) == shown(never)


@given(
    st.sampled_from(STAGES),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)),
    st.permutations([0, 1]),
    st.booleans(),
)
def test_of_two_that_overlap_the_one_that_is_left_counts(
    stage: Callable[[], Followup], days: tuple[int, int, int], order: list[int], nested: bool
) -> None:
    """One of two is taken back, after both are over: as if only the other had been."""
    history, never = stage(), stage()
    kinds = [CircumstanceKind.HOSPITALIZED, CircumstanceKind.MOVED_AWAY]
    wrong, right = order
    keys: dict[int, str] = {}
    alone = ""
    steps = [
        ("begin", 0),
        ("begin", 1),
        *((("end", 1), ("end", 0)) if nested else (("end", 0), ("end", 1))),
    ]
    for (what, which), wait in zip(steps, (*days, 0), strict=True):
        if what == "begin":
            keys[which] = happens(history, kinds[which])
            alone = happens(never, kinds[which]) if which == right else alone
        else:
            ends(history, keys[which])
            if which == right:
                ends(never, alone)
        for one in (history, never):
            one.after(days=wait)
    undo(history, keys[wrong])
    for one in (history, never):
        one.at(one.now)
    kept = {"circumstances", "deadlines", "ended"}
    found, wanted = map(without_what_was_said, map(shown, (history, never)))
    assert {k: v for k, v in found.items() if k not in kept} == {
        k: v for k, v in wanted.items() if k not in kept
    }


def test_somebody_who_died_does_not_come_back_by_an_end() -> None:
    history = in_the_year()
    key = happens(history)
    with pytest.raises(Refused) as error:
        ends(history, key)
    assert error.value.code == "circumstance-lasts"


def test_as_long_as_one_lasts_nobody_is_called() -> None:
    history = in_the_year()
    first = happens(history, CircumstanceKind.HOSPITALIZED)
    happens(history, CircumstanceKind.DECEASED)
    ends(history, first)
    assert history.record.due is None


class TestRefused:
    def test_twice(self) -> None:
        history = in_the_year()
        key = happens(history)
        with pytest.raises(Refused) as error:
            happens(history)
        assert error.value.code == "circumstance-recorded"
        undo(history, key)
        with pytest.raises(Refused) as error:
            undo(history, key)
        assert error.value.code == "already-undone"

    def test_what_never_was(self) -> None:
        with pytest.raises(Unknown):
            undo(in_the_year(), uid("never"))
        with pytest.raises(Unknown):
            ends(in_the_year(), uid("never"))

    def test_what_has_ended(self) -> None:
        history = in_the_year()
        key = happens(history, CircumstanceKind.MOVED_AWAY)
        ends(history, key)
        for again in (ends, confirms):
            with pytest.raises(Refused) as error:
                again(history, key)
            assert error.value.code == "circumstance-ended"

    def test_what_is_still_to_come(self) -> None:
        on = START.date() + 3 * DAY
        with pytest.raises(Refused) as error:
            in_the_year().tell(
                lambda s, c: circumstances.record(s, CircumstanceKind.MOVED_AWAY, on + 9 * DAY, c)
            )
        assert error.value.code == "day-in-future"


class TestTransitions:
    def test_taken_back_no_clock_counts(self) -> None:
        history, never = in_program(), in_program()
        on = START.date()
        history.transition(TransitionKind.ED_VISIT, on)
        assert history.state.loops_of(FollowupLoop.TIMELY_VISIT)
        history.tell(lambda s, c: transitions.undo(s, TransitionKind.ED_VISIT, on, WHY, c))
        assert shown(history) == shown(never)
        assert history.names[-1] == "transition-undone"
        with pytest.raises(Refused) as error:
            history.tell(lambda s, c: transitions.undo(s, TransitionKind.ED_VISIT, on, WHY, c))
        assert error.value.code == "already-undone"

    def test_what_never_was(self) -> None:
        with pytest.raises(Unknown):
            in_program().tell(
                lambda s, c: transitions.undo(s, TransitionKind.ED_VISIT, START.date(), WHY, c)
            )
