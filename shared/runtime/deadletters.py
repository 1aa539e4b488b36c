"""Dead letters: what could not be read or decided, kept whole, with a reason from a closed set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import ConsumerRecord

from shared.contracts.event import Envelope

REASONS: Final = {
    "headers-undecodable": "A header is not UTF-8; who said it about whom can't be known.",
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
    "history-forked": "The same number came before with another id: two histories of one subject.",
    "line-parked": "An earlier event of the same line is parked; this one waits behind it.",
}
"""Why a record was set aside. The first six can't be put back in order; the rest park their line."""


def letter(
    record: ConsumerRecord[bytes, bytes], envelope: Envelope | None, line: str | None = None
) -> dict[str, Any]:
    """A row for the dead letters: original bytes and headers, position, and what is known of its identity."""
    return {
        "_id": f"{record.topic}/{record.partition}/{record.offset}",
        "kind": "event",
        "line": None if line is None or envelope is None else f"{envelope.subject}|{line}",
        "subject": None if envelope is None else envelope.subject,
        "type": None if envelope is None else envelope.type,
        "sequence": None if envelope is None else envelope.sequence,
        "redrivable": line is not None,
        "position": {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp,
        },
        "key": record.key,
        "headers": [[name, value] for name, value in record.headers],
        "data": record.value,
        "first_seen": datetime.now(UTC),
    }
