"""Item: a dead letter names the field or header at fault, in the schema's words and never in the sender's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from shared.contracts.event import CATALOGUE, Envelope, Event
from shared.decision import Decision, State
from shared.runtime.core.dead_letter import unapplied
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.record import Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.work import Outcome, OutcomeStatus
from shared.runtime.kafka.reading import Reader
from shared.runtime.places import first_place
from tests.unit.support import START, uid

MARK = "Zephyrine Quill.feather"
TYPES = sorted(CATALOGUE)


def _noted(state: State, event: Event, cause: Any) -> Decision[State]:
    return Decision(state)


def _message(event: type[Event], data: bytes, **headers: str) -> Any:
    subject = f"{event.SUBJECT}/{uid('one')}"
    envelope = Envelope(
        id=uid("event"),
        source=event.SOURCE,
        type=event.TYPE,
        subject=subject,
        sequence=1,
        time=START,
        correlationid=uid("event"),
        causationid=uid("event"),
        facilityid="harbor-iop",
        actorrole="clinician",
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
    )
    told = {name: text for name, text in (envelope.headers() | headers).items() if text is not None}
    return ConsumerRecord(
        topic=event.SOURCE,
        partition=0,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=subject.encode(),
        value=data,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=tuple((name, text.encode()) for name, text in told.items()),
    )


def _read(event: type[Event], data: bytes) -> Any:
    row: Any = on(event, _noted)  # pyright: ignore[reportArgumentType]
    work = Reader(Reactions(row)).read(_message(event, data), START).work
    assert work is not None
    return work


@pytest.mark.parametrize("name", TYPES)
def test_each_field_of_each_event_is_named_when_it_is_wrong(name: str) -> None:
    event = CATALOGUE[name]
    example = json.loads(event.example().data())
    tried = 0
    for field in example:
        for wrong in ({MARK: MARK}, [[MARK]]):
            work = _read(event, json.dumps(example | {field: wrong}).encode())
            if work.unreadable is None:
                continue  # a field that takes anything of that shape
            tried += 1
            outcome = Outcome(OutcomeStatus.BLOCKED, reason=work.unreadable, field=work.field)
            record = Record(work.subject, RecordKind(State), State())
            row = unapplied(work, outcome, record, START)
            assert row.field is not None
            assert row.field.partition(".")[0] in event.model_fields, row.field
            assert "Zephyrine" not in row.field
    assert tried or not example, "nothing of it could be made wrong"


HEADERS = (
    "ce_id",
    "ce_subject",
    "ce_type",
    "ce_sequence",
    "ce_time",
    "ce_facilityid",
    "ce_actorrole",
)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("text", [MARK, None], ids=["wrong", "missing"])
def test_each_header_is_named_when_it_is_wrong(header: str, text: str) -> None:
    event = CATALOGUE["care.intake.referral-received.v1"]
    read = Reader(Reactions()).read(_message(event, b"{}", **{header: text}), START)
    assert read.dead_letter is not None
    assert read.dead_letter.field == header


def test_what_is_no_json_has_no_field() -> None:
    event = CATALOGUE["care.intake.referral-received.v1"]
    work = _read(event, b"{")
    assert (work.unreadable, work.field) == ("data-invalid", None)
    assert first_place(event, ValueError(MARK)) is None
