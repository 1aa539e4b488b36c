"""An event on its way: the entry of a record's outbox, which holds it as it goes on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.contracts.event import MAX_EVENT_BYTES, Envelope, Event, event_bytes
from shared.decision import Cause, derive_id
from shared.errors import TooLarge


def outbox_entry(
    event: Event,
    cause: Cause,
    source: str,
    sequence: int,
    traceparent: str | None,
    person_id: str | None = None,
) -> dict[str, Any]:
    """An event as the outbox stores it: ready for the wire, so that the relay needs no models."""
    if source != event.SOURCE or not cause.subject.startswith(f"{event.SUBJECT}/"):
        raise RuntimeError(f"{event.TYPE} is not this record's to publish")
    data = event.data()
    envelope = Envelope(
        id=derive_id(cause.id, source, cause.subject, str(sequence)),
        source=source,
        type=event.TYPE,
        subject=cause.subject,
        sequence=sequence,
        time=cause.now,
        correlationid=cause.correlation_id,
        causationid=cause.id,
        facilityid=cause.facility_id,
        actorrole=cause.actor_role,
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
        traceparent=traceparent,
        personid=person_id,
    )
    headers = envelope.headers()
    pairs = [(name, text.encode()) for name, text in headers.items()]
    if event_bytes(cause.subject.encode(), pairs, len(data)) > MAX_EVENT_BYTES:
        raise TooLarge(
            "event-too-large",
            f"A {event.NAME} would be larger than an event may be.",
            hint="Send less in one command.",
        )
    return {"sequence": sequence, "headers": headers, "data": data}


def published_types(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The event types among outbox entries, for logs and metrics."""
    return [entry["headers"]["ce_type"] for entry in entries]
