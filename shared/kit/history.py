"""Histories in memory: events as their publishers publish them, for tests and for the first try of a subscriber."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from aiokafka.partitioner import murmur2

from ..contracts.event import Envelope, Event
from ..contracts.topics import PARTITIONS
from .messages import Kept, Stream

BEGIN: Final = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
STEP: Final = timedelta(minutes=1)
FACILITY: Final = "harbor-iop"


class History:
    """Says events: numbered per source and subject, in their partition, each a minute after the one before.

    The same calls give the same bytes.
    """

    def __init__(self, name: str = "history", facility: str = FACILITY) -> None:
        self.messages: list[Kept] = []
        """In the order in which they were said."""
        self._name = name
        self._facility = facility
        self._numbers: dict[Stream, int] = {}
        self._offsets: dict[tuple[str, int], count[int]] = {}

    def subject(self, kind: str, *parts: object) -> str:
        """A subject that follows from these words."""
        return f"{kind}/{self.id(kind, *parts)}"

    def id(self, *parts: object) -> str:
        """An id that follows from these words."""
        return str(uuid5(NAMESPACE_URL, f"urn:throughcare:{self._name}:{parts!r}"))

    def say(self, event: Event, subject: str, **attributes: Any) -> Kept:
        """Say an event next about this subject. `attributes` replace those of the envelope."""
        stream = (event.SOURCE, subject)
        number = self._numbers[stream] = self._numbers.get(stream, 0) + 1
        event_id = self.id(*stream, number)
        envelope = Envelope(
            id=event_id,
            source=event.SOURCE,
            type=event.TYPE,
            subject=subject,
            sequence=number,
            time=BEGIN + STEP * len(self.messages),
            correlationid=self.id(subject),
            causationid=event_id,
            facilityid=self._facility,
            actorrole="system",
            sensitivity=event.SENSITIVITY,
            dataschema=event.schema_id(),
            personid=self.id("person", subject) if event.SUBJECT == "episode" else None,
        )._replace(**attributes)
        return self.put(envelope, event.data())

    def put(self, envelope: Envelope, data: bytes) -> Kept:
        """Put a message on its topic as it is."""
        headers = [(name, value.encode()) for name, value in envelope.headers().items()]
        key = envelope.subject.encode()
        return self.append(envelope.source, partition_of(envelope.subject), key, data, headers)

    def again(self, message: Kept) -> Kept:
        """Publish a message once more, as a publisher does that got no answer."""
        return self.append(message.topic, message.partition, *message[3:])

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]],
    ) -> Kept:
        """Put anything on a topic."""
        offsets = self._offsets.setdefault((topic, partition), count())
        message = Kept(topic, partition, next(offsets), key, value, list(headers))
        self.messages.append(message)
        return message


def partition_of(subject: str) -> int:
    """The partition that Kafka's default partitioner gives to this key."""
    return (murmur2(subject.encode()) & 0x7FFFFFFF) % PARTITIONS


def headers_of(message: Kept) -> Mapping[str, str]:
    """The headers as texts."""
    return {name: (value or b"").decode() for name, value in message.headers}
