"""An entry of a record's outbox: an event that is not yet known to be published, in the form in which it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from shared.contracts.event import MAX_EVENT_BYTES, Envelope, Event, event_bytes
from shared.decision import Cause, PassedOn, derive_id
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
            f"The event {event.NAME} would exceed the size limit of an event.",
            hint="Send less in one command.",
        )
    return {"sequence": sequence, "headers": headers, "data": data}


def passed_entry(event: PassedOn, sequence: int) -> dict[str, Any]:
    """A foreign event as the outbox stores it: its headers as pairs, because they go on byte for byte.

    `sequence` is its place in this outbox and no part of the event. The limit of an event is not asked again: it was
    kept when the event was heard, and a topic takes more.
    """
    headers = [[name, value] for name, value in event.headers]
    return {"sequence": sequence, "topic": event.topic, "headers": headers, "data": event.data}


def wire_headers(entry: Mapping[str, Any]) -> list[tuple[str, bytes | None]]:
    """The headers of an outbox entry as they go on the wire."""
    headers = entry["headers"]
    if isinstance(headers, Mapping):  # an event of this service's own
        own = cast("Mapping[str, str]", headers)
        return [(name, text.encode()) for name, text in own.items()]
    return [(name, None if raw is None else bytes(raw)) for name, raw in headers]


def header_of(entry: Mapping[str, Any], name: str) -> str:
    """One header of an outbox entry, as text; empty when there is none."""
    headers = entry["headers"]
    if isinstance(headers, Mapping):
        return cast("Mapping[str, str]", headers).get(name, "")
    raw = dict(wire_headers(entry)).get(name)
    return "" if raw is None else raw.decode(errors="replace")


def published_types(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The event types among outbox entries, for logs and metrics."""
    return [header_of(entry, "ce_type") for entry in entries]
