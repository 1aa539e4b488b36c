"""Checks a service's own topic: it accepts only the events that the service published, and no others.

The id of an event follows from its cause, its subject and its number. That distinguishes the service's events from
others that reached the topic by mistake. It is no signature, so an operator can also name events that the service never
published (disown them).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.contracts.event import Envelope, EnvelopeError, read_envelope
from shared.contracts.topics import Topic
from shared.decision import derive_id
from shared.runtime.core.store import Document, Store
from shared.runtime.kafka.connection import KafkaConnection
from shared.runtime.kafka.producer import read_tail
from shared.runtime.kafka.reading import Message
from shared.runtime.logs import log

WIDER: Final = 10
DISOWNED: Final = "disowned"
"""The metadata that names disowned events, by id, with the reason code."""


class _Metadata(Protocol):
    """Where disowned events are noted."""

    async def metadata(self, key: str) -> Document: ...


@dataclass(slots=True)
class Published:
    """What a service has published, as its topic shows it."""

    last: dict[str, Envelope] = field(default_factory=dict[str, Envelope])
    """By subject: the event with the highest number."""
    foreign: int = 0
    """Messages that are not ours."""


def is_ours(envelope: Envelope, own: Topic) -> bool:
    """Whether this service published it, by its source and its id."""
    return envelope.source == own.name and envelope.id == derive_id(
        envelope.causationid, envelope.source, envelope.subject, str(envelope.sequence)
    )


async def published(
    kafka: KafkaConnection, own: Topic, store: _Metadata, per_partition: int
) -> Published:
    """What the last messages of each partition show. Messages that are not ours are counted and left out.

    When there are so many that they could hide ours, it looks further back.
    """
    disowned = (await store.metadata(DISOWNED)).keys()
    seen = -1
    while True:
        _, messages = await read_tail(kafka, own, per_partition)
        found = _believed(own, messages, disowned)
        if found.foreign < per_partition or len(messages) == seen:
            break
        seen, per_partition = len(messages), per_partition * WIDER
    if found.foreign:
        log.warning("topic.foreign", topic=own.name, count=found.foreign)
    return found


def _believed(own: Topic, messages: Iterable[Message], disowned: Container[str]) -> Published:
    found = Published()
    for message in messages:
        try:
            envelope = read_envelope(message.headers, message.key)
        except EnvelopeError:
            envelope = None
        if envelope is None or envelope.id in disowned or not is_ours(envelope, own):
            found.foreign += 1
            continue
        last = found.last.get(envelope.subject)
        if last is None or last.sequence < envelope.sequence:
            found.last[envelope.subject] = envelope
    return found


def log_ahead(own: Topic, ahead: Iterable[Envelope]) -> None:
    """Name the events of which the store knows nothing, so that an operator can judge each of them."""
    for envelope in ahead:
        log.error(
            "topic.ahead",
            topic=own.name,
            subject=envelope.subject,
            event_id=envelope.id,
            event_type=envelope.type,
        )


async def disown(store: Store, event_ids: Iterable[str], why: str) -> None:
    """Note that these events on the service's own topic are not the service's."""
    await store.set_metadata(DISOWNED, dict.fromkeys(event_ids, why))
