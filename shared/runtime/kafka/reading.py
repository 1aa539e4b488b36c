"""From a record on a topic to work for the reactor. The consumer and a redrive read in the same way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from shared.contracts.event import MAX_EVENT_BYTES, Envelope, EnvelopeError, Event, read_envelope
from shared.decision import Cause, Decision, State
from shared.runtime.core.dead_letter import dead_letter, unreadable
from shared.runtime.core.reactions import Reaction, Reactions
from shared.runtime.core.record import StreamPosition, Work
from shared.runtime.logs import log

Raw = ConsumerRecord[bytes, bytes]


class Read(NamedTuple):
    """What a record turned out to be: work, or a dead letter, or neither when nobody here wants it."""

    envelope: Envelope | None = None
    work: Work | None = None
    dead_letter: dict[str, Any] | None = None


class Reader:
    """Reads records by a service's reaction table. Never raises for anything that a record may hold."""

    def __init__(self, reactions: Reactions) -> None:
        self._reactions = reactions

    def read(self, record: Raw, now: datetime) -> Read:
        """What this is, and what it asks to be decided at `now` (domain time)."""
        try:
            envelope = _envelope(record)
        except EnvelopeError as error:
            return Read(dead_letter=_set_aside(record, None, error.code))
        reaction = self._reactions.find(envelope.fact)
        if reaction is None:
            return Read(envelope)
        if not envelope.subject.startswith(f"{reaction.event.SUBJECT}/"):
            return Read(envelope, dead_letter=_set_aside(record, envelope, "subject-kind-wrong"))
        return Read(envelope, self._work(record, envelope, reaction, now))

    def event_class(self, event_type: str) -> type[Event] | None:
        """The class that this service reads a type with; None when it does not read it."""
        reaction = self._reactions.find(event_type.rpartition(".v")[0])
        return (
            reaction.event if reaction is not None and event_type == reaction.event.TYPE else None
        )

    def _work(self, record: Raw, envelope: Envelope, reaction: Reaction, now: datetime) -> Work:
        subject, event, reason = envelope.subject, None, None
        value = record.value
        if envelope.major != reaction.event.MAJOR:
            reason = "major-unsupported"
        elif value is None or len(value) > MAX_EVENT_BYTES:
            reason = "data-invalid" if value is None else "too-large"
        else:
            try:
                event = reaction.event.parse(value)
                subject = reaction.subject(envelope, event)
            except (ValidationError, ValueError, RecursionError):
                reason = "data-invalid"
        stream = envelope.source.removeprefix("care.")
        if subject != envelope.subject:
            stream = f"{stream}|{envelope.subject}"
        return Work(
            subject=subject,
            name=envelope.type,
            cause_id=envelope.id,
            correlation_id=envelope.correlationid,
            facility_id=envelope.facilityid,
            now=now,
            decide=_decide(reaction, event),
            stream=StreamPosition(stream, envelope.sequence, envelope.id),
            traceparent=envelope.traceparent,
            dead_letter=lambda: dead_letter(record, envelope),
            unreadable=reason,
        )


def _set_aside(record: Raw, envelope: Envelope | None, reason: str) -> dict[str, Any]:
    """A dead letter for what can't be put in order, and a line in the log."""
    log.error(
        "record.unreadable",
        reason=reason,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )
    return unreadable(record, envelope, reason, datetime.now(UTC))


def _envelope(record: Raw) -> Envelope:
    envelope = read_envelope(record.headers, record.key)
    if envelope.source != record.topic or not envelope.type.startswith(f"{record.topic}."):
        raise EnvelopeError("source-mismatch", "not this topic's publisher")
    return envelope


def _decide(reaction: Reaction, event: Event | None) -> Callable[[State, Cause], Decision[State]]:
    def decide(state: State, cause: Cause) -> Decision[State]:
        return reaction.rule(state, event, cause)

    return decide
