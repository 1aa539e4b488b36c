"""A dead letter: its stored form, which is a contract, and that nothing of it is lost on the way there and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from shared.contracts.event import read_envelope
from shared.decision import Decision, State
from shared.runtime.core.dead_letter import (
    REASONS,
    Closed,
    DeadLetter,
    deadline_original,
    handoff_original,
    message_of,
    message_original,
    unapplied,
    unreadable,
)
from shared.runtime.core.original import MessageOriginal
from shared.runtime.core.record import Record
from shared.runtime.core.work import Outcome, OutcomeStatus, Work
from shared.runtime.dead_letters.view import view_of
from shared.runtime.timers import look_at
from shared.testing.fakes import decoded, encoded
from tests.unit.runtime.redriving import Noted, Topics, subject
from tests.unit.runtime.toy import EPISODES, KINDS, EpisodeState

WALL = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
FAILED = Outcome(
    OutcomeStatus.BLOCKED, reason="decision-raised", exception="ValueError", where="a.b:1"
)
ABOUT = subject("one")
CLOSED = Closed(WALL, "operator", "rule-fixed")
ITEM: dict[str, Any] = {
    "number": 3,
    "body_type": "PassOn",
    "body": {"amount": 1},
    "subject": ABOUT,
    "cause_id": "cause",
    "correlation_id": "cause",
    "facility_id": "harbor-iop",
    "actor_id": "system",
    "actor_role": "system",
    "now": WALL.isoformat(),
}


def a_message() -> ConsumerRecord[bytes, bytes]:
    said = Topics().say(Noted(amount=1), ABOUT)
    return replace(said, headers=(*said.headers, ("empty", None)))  # type: ignore[arg-type] - legal on the wire


def a_record() -> Record:
    state = EpisodeState().arm("review:x", WALL).arm("later", WALL + timedelta(days=1))
    return Record(EPISODES[0], KINDS["episode"], state, version=4)


def no_rule(_state: State, _cause: Any) -> Decision[State]:
    raise AssertionError


def from_message() -> DeadLetter:
    message = a_message()
    envelope = read_envelope(message.headers[:-1], message.key)
    work = Work(
        subject=ABOUT,
        cause_id="x",
        correlation_id="x",
        facility_id="harbor-iop",
        now=WALL,
        decide=no_rule,
        original=lambda _record: message_original(message, envelope),
    )
    return replace(unapplied(work, FAILED, a_record(), WALL), stream="feed", sequence=1)


def from_handoff() -> DeadLetter:
    original = handoff_original(EPISODES[1], ITEM)
    return replace(from_message(), original=original, stream=f"self|{EPISODES[1]}", sequence=3)


def from_deadline() -> DeadLetter:
    return unapplied(look_at(EPISODES[0], WALL), FAILED, a_record(), WALL)


def not_in_order() -> DeadLetter:
    return unreadable(a_message(), None, "headers-undecodable", WALL)


ALL = [from_message, from_handoff, from_deadline, not_in_order]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("handled", [False, True], ids=["open", "closed"])
def test_nothing_is_lost_between_a_dead_letter_and_its_document(
    make: Any, *, handled: bool
) -> None:
    one: DeadLetter = make()
    if handled:
        one = replace(one, status="redriven", closed=CLOSED)
    assert DeadLetter.from_document(decoded(encoded(one.document()))) == one


COMMON = {
    *("_id", "id", "kind", "type", "status", "subject", "stream", "sequence", "redrivable"),
    *(
        "attempts",
        "reason",
        "exception",
        "where",
        "field",
        "fingerprint",
        "first_seen",
        "last_seen",
    ),
    "facility_id",
}


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (from_message, {"event_id", "position", "key", "headers", "data"}),
        (not_in_order, {"event_id", "position", "key", "headers", "data"}),
        (from_handoff, {"from_subject", "item"}),
        (from_deadline, {"deadline"}),
    ],
)
def test_the_stored_fields_are_these(make: Any, fields: set[str]) -> None:
    """Operators and the demo's ledger read them: see `docs/architecture.md`."""
    assert set(make().document()) == COMMON | fields


@pytest.mark.parametrize("records", ["river-iop", ""], ids=["owned", "nobody's"])
def test_a_dead_letter_belongs_to_its_records_facility_and_not_to_the_senders(records: str) -> None:
    """An event only claims a facility; a handoff of this service knows it."""
    message, record = a_message(), a_record()
    record.facility_id = records
    work = Work(
        subject=ABOUT,
        cause_id="x",
        correlation_id="x",
        facility_id="harbor-iop",
        now=WALL,
        decide=no_rule,
        original=lambda _record: message_original(message, None),
    )
    assert unapplied(work, FAILED, record, WALL).facility_id == records
    sent = replace(work, original=lambda _record: handoff_original(EPISODES[1], ITEM))
    assert unapplied(sent, FAILED, record, WALL).facility_id == (records or "harbor-iop")
    assert not_in_order().facility_id == ""


def test_an_event_is_stored_byte_for_byte_and_comes_back_as_it_was() -> None:
    message, one = a_message(), from_message()
    document = one.document()
    assert document["_id"] == f"{message.topic}/{message.partition}/{message.offset}"
    assert document["position"] == {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp_ms": message.timestamp,
    }
    assert document["headers"] == [[name, value] for name, value in message.headers]
    assert isinstance(one.original, MessageOriginal)
    back = message_of(one.original)
    for name in ("topic", "partition", "offset", "timestamp", "key", "value"):
        assert getattr(back, name) == getattr(message, name)
    assert tuple(back.headers) == tuple(message.headers)


def test_a_deadline_names_what_was_due_and_its_record_version() -> None:
    one = from_deadline()
    assert (one.type, one.stream, one.sequence) == ("deadline:review", "deadlines", 0)
    assert one.document()["deadline"] == "review:x"
    later = a_record()
    later.version += 1
    assert deadline_original(later).document_id != one.original.document_id, "it may fail again"


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "decision-refused"},
        {"exception": "KeyError"},
        {"where": "a.b:2"},
        {"original": handoff_original(EPISODES[1], ITEM | {"body_type": "Other"})},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_fingerprint_groups_by_reason_type_exception_and_place(changed: dict[str, Any]) -> None:
    one = from_handoff()
    alike = replace(one, subject=EPISODES[2], sequence=9, first_seen=WALL + timedelta(days=1))
    assert alike.fingerprint == one.fingerprint
    assert replace(one, **changed).fingerprint != one.fingerprint


def test_what_waits_behind_another_was_not_tried() -> None:
    waits = Outcome(OutcomeStatus.BLOCKED, reason="stream-blocked")
    assert unapplied(look_at(EPISODES[0], WALL), waits, a_record(), WALL).attempts == 0
    assert from_deadline().attempts == 1


@pytest.mark.parametrize("make", ALL)
def test_operators_see_no_content(make: Any) -> None:
    one = replace(make(), closed=CLOSED)
    view = view_of(one)
    assert not {"data", "key", "headers", "item"} & set(view)
    assert (view["id"], view["redrivable"]) == (one.id, one.stream is not None)
    assert None not in view.values()
    assert view["reason"] in REASONS


def test_a_blocked_conflicting_or_missed_outcome_is_a_failure_and_no_other() -> None:
    failures = {status for status in OutcomeStatus if status.is_failure}
    assert failures == {
        OutcomeStatus.BLOCKED,
        OutcomeStatus.CONFLICTING,
        OutcomeStatus.MISSED,
    }
    assert [str(status) for status in OutcomeStatus] == [
        *("applied", "duplicate", "replayed", "refused", "blocked", "conflicting", "missed"),
        "discarded",
    ]
