"""Properties of the fold: whatever comes again, comes wrong or comes late, a record changes once and in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decision import Cause, Decision, State
from shared.errors import Invalid, KeyReused, Outdated, Refused, Unavailable
from shared.runtime.core import record as record_module
from shared.runtime.core.deadlines import Deadlines, due_for
from shared.runtime.core.record import DEADLINES_PER_SAVE, MAX_OUTBOX, Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.work import CommandKey, Outcome, OutcomeStatus, RedriveOptions, Work
from tests.unit.runtime.toy import (
    KINDS,
    SOURCE,
    START,
    EpisodeState,
    Feed,
    add,
    command,
    episode,
    poison,
)

ONE = episode(1)
LINES = ("intake", "plans", "attendance|session/x")


def new_record(kind: RecordKind = KINDS["episode"]) -> Record:
    return Record(ONE, kind, kind.state())


def seen(record: Record) -> dict[str, Any]:
    """Everything that a caller, a reader or a later decision could notice."""
    return {
        "state": record.state,
        "revision": record.revision,
        "next_sequence": record.next_sequence,
        "next_handoff": record.next_handoff,
        "facility_id": record.facility_id,
        "inbox": dict(record.inbox),
        "commands": dict(record.commands),
        "events": list(record.new_events),
        "handoffs": list(record.new_handoffs),
        "due": record.due,
    }


def told(record: Record, works: Sequence[Work]) -> list[Outcome]:
    return [record.apply(work, SOURCE) for work in works]


def feeds(amounts: Sequence[tuple[str, int]]) -> list[Work]:
    feed = Feed()
    return [feed.says(ONE, add(amount), stream) for stream, amount in amounts]


amounts = st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 5)), min_size=1, max_size=12)


@given(amounts, st.data())
def test_redelivery_changes_nothing_however_it_overlaps(
    spoken: list[tuple[str, int]], data: st.DataObject
) -> None:
    """A consumer goes back to any earlier position, any number of times, before it comes to the end."""
    works = feeds(spoken)
    once = new_record()
    told(once, works)
    again = new_record()
    position, rewinds = 0, data.draw(st.integers(0, 4))
    while position < len(works):
        end = data.draw(st.integers(position + 1, len(works)))
        told(again, works[position:end])
        position = end
        if rewinds:
            rewinds -= 1
            position = data.draw(st.integers(0, position))
    assert seen(again) == seen(once)


@given(amounts, st.data())
def test_one_old_event_at_any_distance_is_a_duplicate(
    spoken: list[tuple[str, int]], data: st.DataObject
) -> None:
    works, record = feeds(spoken), new_record()
    told(record, works)
    before = seen(record)
    old = data.draw(st.sampled_from(works))
    assert record.apply(old, SOURCE).status is OutcomeStatus.DUPLICATE
    assert seen(record) == before


@given(st.integers(0, 9), st.integers(0, 5))
def test_a_repeated_command_has_the_same_answer_and_no_second_effect(
    amount: int, others: int
) -> None:
    record = new_record()
    mine = command(ONE, add(amount), "mine")
    first = record.apply(mine, SOURCE)
    assert first.status is OutcomeStatus.APPLIED
    told(record, [command(ONE, add(1), f"other {n}") for n in range(others)])
    before = seen(record)
    second = record.apply(mine, SOURCE)
    assert second.status is OutcomeStatus.REPLAYED
    assert (second.answer, second.revision, second.sequence) == (
        first.answer,
        first.revision,
        first.sequence,
    )
    assert seen(record) == before


@given(st.integers(0, 9))
def test_a_key_with_another_body_is_refused(amount: int) -> None:
    record = new_record()
    mine = command(ONE, add(amount), "mine")
    record.apply(mine, SOURCE)
    before = seen(record)
    other = record.apply(replace(mine, command=CommandKey("mine", "another body")), SOURCE)
    assert other.status is OutcomeStatus.REFUSED
    assert isinstance(other.error, KeyReused)
    assert seen(record) == before


def test_a_refused_command_is_not_remembered() -> None:
    record = new_record()

    def refuse(_state: State, _cause: Cause) -> Decision[State]:
        raise Refused("no", "Not now.")

    assert record.apply(command(ONE, refuse, "mine"), SOURCE).status is OutcomeStatus.REFUSED
    assert not record.touched
    assert record.apply(command(ONE, add(1), "mine"), SOURCE).status is OutcomeStatus.APPLIED


def test_an_outdated_revision_is_refused_but_a_repeat_is_answered() -> None:
    record = new_record()
    keyed = CommandKey("mine", "body", revision=0)
    mine = replace(command(ONE, add(1), "mine"), command=keyed)
    assert record.apply(mine, SOURCE).status is OutcomeStatus.APPLIED
    assert record.apply(mine, SOURCE).status is OutcomeStatus.REPLAYED
    late = replace(mine, command=replace(keyed, key="late"))
    refused = record.apply(late, SOURCE)
    assert isinstance(refused.error, Outdated)


def test_another_facilitys_command_is_refused() -> None:
    record = new_record()
    record.apply(command(ONE, add(1), "mine"), SOURCE)
    before = seen(record)
    other = record.apply(replace(command(ONE, add(1), "theirs"), facility_id="elsewhere"), SOURCE)
    assert other.error is not None
    assert other.error.code == "other-facility"
    assert seen(record) == before


@given(amounts, st.integers(0, 11), st.sampled_from(["event", "handoff"]))
def test_another_facilitys_event_or_handoff_blocks_its_stream_and_changes_nothing(
    spoken: list[tuple[str, int]], at: int, what: str
) -> None:
    """An event of another facility voided an episode, and a real admission was its first event's."""
    works, record = feeds(spoken), new_record()
    told(record, works)
    before, owner = seen(record), record.facility_id
    last = works[at % len(works)].stream
    assert last is not None
    name = "self|session/x" if what == "handoff" else last.name
    number = record.inbox.get(name, (0,))[0] + 1
    strange = replace(
        works[0], facility_id="elsewhere", stream=replace(last, name=name, sequence=number, id="x")
    )
    outcome = record.apply(strange, SOURCE)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.BLOCKED, "other-facility")
    assert seen(record) == before
    assert record.blocked == {name: "other-facility"}
    discarding = replace(strange, redrive_options=RedriveOptions(discard=True))
    assert record.apply(discarding, SOURCE).status is OutcomeStatus.DISCARDED
    assert record.facility_id == owner


def test_the_first_item_decides_whose_a_record_is() -> None:
    record = new_record()
    [work] = feeds([("intake", 1)])
    assert record.apply(replace(work, facility_id="elsewhere"), SOURCE).status.value == "applied"
    assert record.facility_id == "elsewhere"


bad_things = st.sampled_from(["raises", "refuses", "unreadable"])


def _spoilt(work: Work, how: str) -> Work:
    if how == "unreadable":
        return replace(work, unreadable="data-invalid")
    if how == "raises":
        return replace(work, decide=poison)

    def refuse(_state: State, _cause: Cause) -> Decision[State]:
        raise Invalid("no", "It makes no sense.")

    return replace(work, decide=refuse)


@given(amounts, st.data(), bad_things)
def test_a_parked_line_queues_all_behind_it_and_leaves_the_others_alone(
    spoken: list[tuple[str, int]], data: st.DataObject, how: str
) -> None:
    works = feeds(spoken)
    at = data.draw(st.integers(0, len(works) - 1))
    bad = works[at]
    assert bad.stream is not None
    record = new_record()
    outcomes = told(record, [*works[:at], _spoilt(bad, how), *works[at + 1 :]])
    expected = new_record()
    for index, work in enumerate(works):
        assert work.stream is not None
        if work.stream.name == bad.stream.name and index >= at:
            assert outcomes[index].status is OutcomeStatus.BLOCKED
            assert (outcomes[index].reason == "stream-blocked") == (index > at)
        else:
            assert outcomes[index].status is OutcomeStatus.APPLIED
            assert expected.apply(work, SOURCE).status is OutcomeStatus.APPLIED
    assert set(record.blocked) == {bad.stream.name}
    assert record.state == expected.state
    assert record.inbox == expected.inbox
    assert [e["data"] for e in record.new_events] == [e["data"] for e in expected.new_events]


@given(amounts, st.data(), bad_things)
def test_what_was_applied_before_is_a_duplicate_on_a_parked_line_too(
    spoken: list[tuple[str, int]], data: st.DataObject, how: str
) -> None:
    works, record = feeds(spoken), new_record()
    told(record, works)
    stream = data.draw(st.sampled_from(works)).stream
    assert stream is not None
    record.blocked[stream.name] = how
    assert {outcome.status for outcome in told(record, works)} == {OutcomeStatus.DUPLICATE}


@given(amounts)
def test_the_same_number_with_another_id_is_an_alarm(spoken: list[tuple[str, int]]) -> None:
    works, record = feeds(spoken), new_record()
    told(record, works)
    last = works[-1]
    assert last.stream is not None
    before = seen(record)
    conflicting = replace(last, stream=replace(last.stream, id="another id"))
    outcome = record.apply(conflicting, SOURCE)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.CONFLICTING, "sequence-conflict")
    assert record.blocked == {last.stream.name: "sequence-conflict"}
    assert seen(record) == before


@given(amounts, bad_things)
def test_what_fails_leaves_the_record_as_it_was(spoken: list[tuple[str, int]], how: str) -> None:
    works = feeds(spoken)
    record = new_record()
    told(record, works[:-1])
    before = seen(record)
    told(record, [_spoilt(works[-1], how)])
    assert seen(record) == before
    assert len(record.blocked) == 1


@pytest.mark.parametrize("how", ["raises", "refuses"])
def test_a_command_that_fails_leaves_a_new_record_without_an_owner(how: str) -> None:
    """Two callers of different facilities may be decided in one batch: the first to fail must not own the record."""
    record = new_record()
    stranger = replace(_spoilt(command(ONE, add(1), "x"), how), facility_id="elsewhere")
    try:
        record.apply(stranger, SOURCE)
    except ValueError:
        assert how == "raises"
    assert seen(record) == seen(new_record())
    assert not record.touched
    assert record.apply(command(ONE, add(1), "mine"), SOURCE).status is OutcomeStatus.APPLIED


def test_a_rule_that_fails_now_and_then_is_tried_again() -> None:
    record, tries = new_record(), iter([ValueError, KeyError, None])

    def shaky(state: Any, cause: Cause) -> Decision[State]:
        error = next(tries)
        if error is not None:
            raise error
        return add(1)(state, cause)

    [work] = feeds([("intake", 1)])
    assert record.apply(replace(work, decide=shaky), SOURCE).status is OutcomeStatus.APPLIED


def test_a_full_outbox_is_unavailable_and_parks_nothing() -> None:
    record = new_record()
    record.outbox = [{"sequence": n} for n in range(MAX_OUTBOX)]
    [work] = feeds([("intake", 1)])
    before = seen(record)
    outcome = record.apply(work, SOURCE)
    assert outcome.status is OutcomeStatus.REFUSED
    assert isinstance(outcome.error, Unavailable)
    assert (seen(record), record.blocked, record.touched) == (before, {}, False)


def test_a_state_that_outgrows_its_limit_is_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "MAX_RECORD_BYTES", 10)
    record = new_record()
    [work] = feeds([("intake", 1)])
    outcome = record.apply(work, SOURCE)
    assert (outcome.status, outcome.exception) == (OutcomeStatus.BLOCKED, "record-too-large")
    assert record.state == EpisodeState()
    assert record.new_events == []


# --- deadlines ---------------------------------------------------------------------------------------------


class Diary:
    """A deadline rule that writes down what it was asked, and sets some deadlines again."""

    def __init__(self, again: dict[str, list[int]]) -> None:
        self.asked: list[tuple[str, datetime]] = []
        self._again = {name: list(steps) for name, steps in again.items()}

    @property
    def kind(self) -> RecordKind:
        rows = (due_for(kind, partial(self._rule, kind)) for kind in ("a", "b", "c"))
        return RecordKind(EpisodeState, Deadlines(*rows))

    def _rule(
        self, kind: str, state: EpisodeState, detail: str, cause: Cause
    ) -> Decision[EpisodeState]:
        name = f"{kind}:{detail}" if detail else kind
        self.asked.append((name, cause.now))
        assert name not in state.deadlines
        steps = self._again.get(name)
        if steps:
            return Decision(state.arm(name, cause.now + timedelta(minutes=steps.pop(0))))
        return Decision(state)


def look(now: datetime) -> Work:
    return Work(subject=ONE, cause_id="", correlation_id="", facility_id="", now=now)


names = st.sampled_from(["a", "b:1", "b:2", "c"])
minutes = st.integers(1, 500)


@given(
    st.dictionaries(names, minutes, min_size=1),
    st.dictionaries(names, st.lists(minutes, max_size=3)),
    st.lists(minutes, min_size=1, max_size=6),
)
def test_deadlines_fire_in_order_at_their_own_instant_and_never_twice(
    armed: dict[str, int], again: dict[str, list[int]], looks: list[int]
) -> None:
    """However often and however late the timers look, the same deadlines fire at the same instants."""
    wanted: list[tuple[datetime, str]] = []
    for name, first in armed.items():
        at = START + timedelta(minutes=first)
        wanted.append((at, name))
        for step in again.get(name, []):
            at += timedelta(minutes=step)
            wanted.append((at, name))
    diary = Diary(again)
    record = new_record(diary.kind)
    for name, first in armed.items():
        record.state = record.state.arm(name, START + timedelta(minutes=first))
    until = START
    for step in looks:
        until += timedelta(minutes=step)
        for _ in range(2):  # and looks again at once
            assert record.apply(look(until), SOURCE).status is OutcomeStatus.APPLIED
    fired = [(at, name) for name, at in diary.asked]
    assert fired == sorted((at, name) for at, name in wanted if at <= until)
    assert record.due == min((at for at, _ in wanted if at > until), default=None)


@pytest.mark.parametrize("step_minutes", [0, -5])
def test_a_deadline_that_does_not_advance_is_parked(step_minutes: int) -> None:
    record = new_record(Diary({"a": [step_minutes] * 9}).kind)
    record.state = record.state.arm("a", START)
    outcome = record.apply(look(START), SOURCE)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.BLOCKED, "decision-raised")
    assert record.blocked == {"deadlines": "decision-raised"}
    assert record.due is None
    assert record.state.due == START


@pytest.mark.parametrize("next_one", [None, 5])
def test_a_record_that_is_found_although_nothing_is_due_is_saved(next_one: int | None) -> None:
    """Else it would be found for ever: a rebuild arms every deadline, also one that is held back."""
    record = new_record(Diary({}).kind)
    if next_one is not None:
        record.state = record.state.arm("a", START + timedelta(minutes=next_one))
    assert not record.touched
    record.apply(look(START), SOURCE)
    assert record.touched
    assert record.due == record.state.due


def test_one_save_runs_a_bounded_number_of_deadlines() -> None:
    diary = Diary({})
    record = new_record(diary.kind)
    for number in range(DEADLINES_PER_SAVE + 10):
        record.state = record.state.arm(f"a:{number}", START)
    record.apply(look(START), SOURCE)
    assert len(diary.asked) == DEADLINES_PER_SAVE
    record.apply(look(START), SOURCE)
    assert len(set(diary.asked)) == DEADLINES_PER_SAVE + 10
    assert record.due is None
