"""From a Kafka message to work for the reactor. The consumer and a redrive read messages in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from shared.contracts.event import MAX_EVENT_BYTES, Envelope, EnvelopeError, Event, read_envelope
from shared.decision import Cause, Decision, Foreign, State
from shared.kit.unpacking import Packed
from shared.runtime.core.dead_letter import (
    BATCH_TOO_LARGE,
    DeadLetter,
    message_original,
    size_of,
    unreadable,
)
from shared.runtime.core.passing import Passing, stream_name
from shared.runtime.core.reactions import Reaction, Reactions
from shared.runtime.core.work import StreamPosition, Work
from shared.runtime.logs import log
from shared.runtime.places import first_place

Message = ConsumerRecord[bytes, bytes]
"""A Kafka message as the client gives it. A *record* is always a stored document."""


class Read(NamedTuple):
    """What a message is: work, or a dead letter, or neither when no rule subscribes to its type."""

    envelope: Envelope | None = None
    work: Work | None = None
    dead_letter: DeadLetter | None = None


class Reader:
    """Reads messages by a service's reaction table. Never raises, whatever a message contains."""

    def __init__(self, reactions: Reactions, passing: Passing | None = None) -> None:
        self._reactions = reactions
        self._passing = passing
        self.numbers_before: Mapping[tuple[str, int], int] = {}
        """By topic and partition: the highest number given before the topic was made again without its records."""

    def read(self, message: Message, now: datetime) -> Read:
        """Read one message; its work is to be decided at `now` (domain time)."""
        if isinstance(message.value, Packed):
            return Read(dead_letter=_unreadable(message, None, BATCH_TOO_LARGE))
        try:
            envelope = _envelope(message)
        except EnvelopeError as error:
            return Read(dead_letter=_unreadable(message, None, error.code, error.attribute or None))
        reaction = self._reactions.of(envelope)
        topics = () if self._passing is None else tuple(self._passing.topics_for(envelope))
        if reaction is None or (reaction.whole and not topics):
            return Read(envelope)
        if not envelope.subject.startswith(f"{reaction.event.SUBJECT}/"):
            return Read(envelope, dead_letter=_unreadable(message, envelope, "subject-kind-wrong"))
        return Read(envelope, self._work(message, envelope, reaction, now, topics))

    def event_class(self, event_type: str) -> type[Event] | None:
        """The class with which this service reads an event type; None when it does not subscribe to it."""
        reaction = self._reactions.find(event_type.rpartition(".v")[0])
        return (
            reaction.event if reaction is not None and event_type == reaction.event.TYPE else None
        )

    def _work(
        self,
        message: Message,
        envelope: Envelope,
        reaction: Reaction,
        now: datetime,
        topics: tuple[str, ...],
    ) -> Work:
        subject, reason, field = envelope.subject, None, None
        event: Event | Foreign | None = None
        value = message.value
        if envelope.major != reaction.event.MAJOR:
            reason = "major-unsupported"
        elif value is None or size_of(message) > MAX_EVENT_BYTES:
            reason = "data-invalid" if value is None else "too-large"
        else:
            try:
                event = reaction.event.parse(value)
                subject = reaction.subject(envelope, event)
                if reaction.whole and self._passing is not None:
                    ended = tuple(self._passing.ended_for(envelope))
                    event = Foreign(envelope, tuple(message.headers), value, topics, ended)
            except (ValidationError, ValueError, RecursionError) as error:
                reason, field = "data-invalid", first_place(reaction.event, error)
        stream = envelope.source.removeprefix("care.")
        if subject != envelope.subject:
            stream = f"{stream}|{envelope.subject}"
        epoch = None if self._passing is None else self._passing.epoch
        if epoch is not None:
            stream = stream_name(stream, epoch)
        return Work(
            subject=subject,
            name=envelope.type,
            cause_id=envelope.id,
            correlation_id=envelope.correlationid,
            facility_id=envelope.facilityid,
            now=now,
            decide=_decide(reaction, event),
            stream=StreamPosition(
                stream, envelope.sequence, envelope.id, self.sequence_max(message)
            ),
            traceparent=envelope.traceparent,
            original=lambda _record: message_original(message, envelope, epoch),
            unreadable=reason,
            field=field,
        )

    def sequence_max(self, message: Message) -> int:
        """The highest number that a message can have: all earlier ones of its stream lie before it in its partition."""
        before = self.numbers_before.get((message.topic, message.partition), 0)
        return message.offset + 1 + before


def _unreadable(
    message: Message, envelope: Envelope | None, reason: str, field: str | None = None
) -> DeadLetter:
    """The dead letter of a message that can't be put in order; it is also logged."""
    log.error(
        "message.unreadable",
        reason=reason,
        field=field,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
    )
    return unreadable(message, envelope, reason, datetime.now(UTC), field)


def _envelope(message: Message) -> Envelope:
    envelope = read_envelope(message.headers, message.key)
    if envelope.source != message.topic or not envelope.type.startswith(f"{message.topic}."):
        raise EnvelopeError("source-mismatch", "not this topic's publisher")
    return envelope


def _decide(
    reaction: Reaction, event: Event | Foreign | None
) -> Callable[[State, Cause], Decision[State]]:
    def decide(state: State, cause: Cause) -> Decision[State]:
        return reaction.rule(state, event, cause)

    return decide
