"""Dead letters: what could not be read or decided, kept whole, with a reason from a closed set.

A row is open until it is redriven or discarded, and is never deleted. `subject` and `stream` name the blocked stream
that it belongs to: the record whose `blocked` field has an entry, and the sender within it. Rows of one stream are
redriven in the order of their `sequence`. A row without a stream could not be put in order: it can only be discarded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiokafka import ConsumerRecord

from shared.contracts.event import Envelope
from shared.decision import derive_id, join_parts
from shared.runtime.core.record import DEADLINES, Outcome, Record, Work

OPEN: Final = "open"
REDRIVEN: Final = "redriven"
DISCARDED: Final = "discarded"
ALREADY_APPLIED: Final = "already-applied"
NOT_WANTED: Final = "not-wanted"
STATUSES: Final = {
    OPEN: "It waits for an operator.",
    REDRIVEN: "The present rules took it.",
    DISCARDED: "An operator decided that it shall have no effect; its number counts as applied.",
    ALREADY_APPLIED: "It had been applied before: a repeat, or the row of a save that lost a race.",
    NOT_WANTED: "The present version of the service does not listen to this type any more.",
}
"""What has become of a row."""

STREAM_BLOCKED: Final = "stream-blocked"
REASONS: Final = {
    "headers-undecodable": "A header is not UTF-8; who said it about whom can't be known.",
    "headers-repeated": "An attribute came twice; which of the two is meant can't be known.",
    "envelope-incomplete": "A required CloudEvents attribute is missing.",
    "envelope-invalid": "A CloudEvents attribute has no legal value.",
    "subject-mismatch": "The key is not the subject, so its order can't be trusted.",
    "source-mismatch": "The source is not the publisher that owns this topic.",
    "subject-kind-wrong": "This fact is never about such a subject.",
    "data-invalid": "The data does not match the type's schema.",
    "major-unsupported": "The fact came in a major version that this service does not read.",
    "too-large": "The event is larger than an event may be.",
    "decision-raised": "The service's own rule failed on it.",
    "decision-refused": "The service's rule refused it.",
    "sequence-conflict": "The same number came before with another id: two histories of one subject.",
    STREAM_BLOCKED: "An earlier event of the same line is parked; this one waits behind it.",
}
"""Why a record was set aside. The first seven can't be put back in order; the rest park their line."""


def dead_letter(record: ConsumerRecord[bytes, bytes], envelope: Envelope | None) -> dict[str, Any]:
    """The original of an event: bytes and headers, position, and what is known of its identity."""
    return {
        "_id": f"{record.topic}/{record.partition}/{record.offset}",
        "kind": "event",
        "type": None if envelope is None else envelope.type,
        "event_id": None if envelope is None else envelope.id,
        "sequence": None if envelope is None else envelope.sequence,
        "position": {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp,
        },
        "key": record.key,
        "headers": [[name, value] for name, value in record.headers],
        "data": record.value,
    }


def original(row: Mapping[str, Any]) -> ConsumerRecord[bytes, bytes]:
    """The record as it lay on the topic; an edited row comes with its corrected data."""
    position = row["position"]
    edited = row.get("edited")
    data = row["data"] if edited is None else edited["data"]
    headers = [(name, None if raw is None else bytes(raw)) for name, raw in row["headers"]]
    return ConsumerRecord(
        topic=position["topic"],
        partition=position["partition"],
        offset=position["offset"],
        timestamp=position["timestamp_ms"],
        timestamp_type=0,
        key=None if row["key"] is None else bytes(row["key"]),
        value=None if data is None else bytes(data),
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=headers,  # type: ignore[arg-type] - a header without a value is legal on the wire
    )


def of_handoff(source_subject: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """The original of an item that one record left for another."""
    return {
        "_id": join_parts("handoff", source_subject, str(item["number"])),
        "kind": "handoff",
        "type": item["body_type"],
        "from_subject": source_subject,
        "item": dict(item),
    }


def of_deadline() -> dict[str, Any]:
    """A deadline has no original but its record; which one it was is added when it is parked."""
    return {"kind": "deadline"}


def unreadable(
    record: ConsumerRecord[bytes, bytes], envelope: Envelope | None, reason: str, wall: datetime
) -> dict[str, Any]:
    """A row for what can't be put in order: plain, and marked as not redrivable."""
    row = dead_letter(record, envelope)
    subject = None if envelope is None else envelope.subject
    return _row(row, reason, wall) | {"subject": subject, "stream": None, "redrivable": False}


def blocked(work: Work, outcome: Outcome, record: Record, wall: datetime) -> dict[str, Any]:
    """A row for what stopped its line, or waits behind it."""
    assert work.dead_letter is not None
    row = work.dead_letter()
    if work.stream is None:
        name = record.next_deadline or ""
        # The version: the same deadline, mended and armed again, may fail again.
        row |= {
            "_id": join_parts(DEADLINES, work.subject, str(record.version)),
            "deadline": name,
            "type": f"deadline:{name.rpartition(':')[0] or name}",
        }
    reason = outcome.reason or "decision-raised"
    return _row(row, reason, wall, outcome.exception, outcome.where) | {
        "subject": work.subject,
        "stream": DEADLINES if work.stream is None else work.stream.name,
        "sequence": 0 if work.stream is None else work.stream.sequence,
        "attempts": 0 if reason == STREAM_BLOCKED else 1,
        "redrivable": True,
    }


def _row(
    row: dict[str, Any],
    reason: str,
    wall: datetime,
    exception: str | None = None,
    where: str | None = None,
) -> dict[str, Any]:
    return row | {
        "id": derive_id("dead-letter", row["_id"]),
        "status": OPEN,
        "reason": reason,
        "exception": exception,
        "where": where,
        "fingerprint": fingerprint(reason, row.get("type"), exception, where),
        "attempts": 1,
        "first_seen": wall,
        "last_seen": wall,
    }


def fingerprint(
    reason: str, item_type: str | None, exception: str | None, where: str | None
) -> str:
    """Groups like failures: the same reason, type, exception and place in the code."""
    parts = join_parts(reason, item_type or "", exception or "", where or "")
    return hashlib.sha256(parts.encode()).hexdigest()[:16]
