"""The tables of rules: what they refuse to be made of, whom they ask, and what happens to an episode in error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest

from shared.contracts.codes import AttendanceLoop, FollowupLoop
from shared.decision import Cause, Decision, Handoff, HandoffBody, State
from shared.loops import CareState
from shared.runtime.core.deadlines import Deadlines, LoopDeadlines, due, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.record import Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.void import Void
from shared.runtime.core.work import Decide, OutcomeStatus, Work
from shared.runtime.http.subjects import Subjects, state_of
from tests.unit.runtime.toy import Counted, EpisodeState
from tests.unit.support import START, cause


class Notes(CareState):
    """A record that writes down what its rules were asked with."""

    asked: tuple[object, ...] = ()


class Note(HandoffBody):
    text: str


def note(state: Notes, item: object, _cause: Cause) -> Decision[Notes]:
    return Decision(state.replace(asked=(*state.asked, item)))


def alone(state: Notes, cause: Cause) -> Decision[Notes]:
    return note(state, None, cause)


def escalated(state: Notes, name: str, cause: Cause) -> Decision[Notes]:
    return note(state, ("escalated", name), cause)


TABLE = Deadlines(
    due("alone", alone),
    due_for("named", note),
    due_for("day", note, date.fromisoformat),
    loops=LoopDeadlines(FollowupLoop, {FollowupLoop.OUTREACH: escalated}, default=note),
)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("alone", None),
        ("named:one", "one"),
        ("named:one:more", "one:more"),
        ("named", ""),
        ("day:2026-03-02", date(2026, 3, 2)),
        ("loop:outreach:x", ("escalated", "loop:outreach:x")),
        ("loop:check_in:x", "loop:check_in:x"),
    ],
)
def test_a_deadline_asks_the_rule_of_its_kind_with_its_detail(name: str, asked: object) -> None:
    assert TABLE.decide(Notes(), name, cause()).state.asked == (asked,)


@pytest.mark.parametrize("name", ["unheard", "unheard:x", "loop:seat:x", "loop:unknown:x", ""])
def test_a_deadline_without_a_rule_is_an_error_that_does_not_repeat_its_detail(name: str) -> None:
    with pytest.raises(ValueError, match=r"^unknown deadline [a-z]*$"):
        TABLE.decide(Notes(), name, cause())


def test_a_record_without_loops_has_no_rule_for_their_deadlines() -> None:
    with pytest.raises(ValueError, match="unknown deadline loop"):
        Deadlines(due("alone", alone)).decide(Notes(), "loop:outreach:x", cause())


MADE_TWICE: Mapping[str, Callable[[], object]] = {
    "an event": lambda: Reactions(on(Counted, note), on(Counted, note)),
    "a body": lambda: HandoffRules(handles(Note, note), handles(Note, note)),
    "a kind of deadline": lambda: Deadlines(due("alone", alone), due_for("alone", note)),
}


@pytest.mark.parametrize("what", MADE_TWICE)
def test_nothing_stands_twice_in_a_table(what: str) -> None:
    with pytest.raises(TypeError, match="twice"):
        MADE_TWICE[what]()


def test_every_kind_of_loop_has_a_rule() -> None:
    with pytest.raises(TypeError, match="check_in"):
        LoopDeadlines(FollowupLoop, {FollowupLoop.OUTREACH: escalated})
    with pytest.raises(TypeError, match="no rule"):
        LoopDeadlines[Notes](AttendanceLoop)


# --- entered in error -----------------------------------------------------------------------------------------

EVENT = Counted(total=1, why="test")
ROWS: Mapping[str, Callable[[Void], Callable[[Any, Any, Cause], Decision[State]]]] = {
    "an event": lambda void: on(Counted, note, void=void).rule,
    "a handoff": lambda void: handles(Note, note, void=void).rule,
}


@pytest.mark.parametrize("row", ROWS)
def test_a_void_episode_is_left_alone_unless_the_row_says_otherwise(row: str) -> None:
    in_error, stands = Notes(void=True), Notes()
    assert ROWS[row](Void.KEEP)(in_error, EVENT, cause()) == Decision(in_error)
    assert (
        ROWS[row](Void.RUN)(in_error, EVENT, cause()).state == note(in_error, EVENT, cause()).state
    )
    for void in Void:
        assert ROWS[row](void)(stands, EVENT, cause()).state == note(stands, EVENT, cause()).state


def test_a_row_is_left_alone_where_its_condition_holds_whatever_it_says_of_void_episodes() -> None:
    for void in Void:
        rule = on(Counted, note, void=void, unless=lambda state: bool(state.asked)).rule
        once = rule(Notes(), EVENT, cause()).state
        assert rule(once, EVENT, cause()) == Decision(once)


def test_deadlines_of_a_void_episode_ask_nobody() -> None:
    in_error = Notes(void=True)
    assert TABLE.decide(in_error, "named:one", cause()) == Decision(in_error)


# --- what follows every decision ------------------------------------------------------------------------------


@pytest.mark.parametrize("decide", [lambda state, why: note(state, "event", why), None])
def test_every_decision_is_completed_whatever_led_to_it(decide: Decide | None) -> None:
    def completed(before: Notes, decision: Decision[Notes], why: Cause) -> Decision[Notes]:
        assert before.asked != decision.state.asked
        return Decision(decision.state, handoffs=(Handoff("person/x", Note(text=why.id)),))

    record = Record("episode/x", RecordKind(Notes, TABLE, after_each=completed), Notes())
    record.state = record.state.arm("named:one", START)
    work = Work(
        subject="episode/x",
        cause_id="x",
        correlation_id="x",
        facility_id="harbor-iop",
        now=START,
        decide=decide,
    )
    assert record.apply(work, "care.toy").status is OutcomeStatus.APPLIED
    assert [item["subject"] for item in record.new_handoffs] == ["person/x"]


# --- records by name ------------------------------------------------------------------------------------------


def test_a_record_is_read_as_what_it_is_made_of_only() -> None:
    kind = RecordKind(EpisodeState)
    subject = Subjects("episode", EpisodeState)("x")
    record = Record(subject.name, kind, kind.state())
    assert state_of(record, subject.state) is record.state
    with pytest.raises(TypeError, match="episode is not made of Notes"):
        state_of(record, Notes)
