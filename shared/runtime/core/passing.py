"""Passing on: what the runtime requires of a service that copies other services' events to topics of its own.

Such a service reacts to each event that it wants with rules like any other, and their decisions name the events to pass
on. The set of topics and their contents may change between two starts: a new topic is filled with the events that were
published before. To fill it, the service consumes everything once more under a new number, the `epoch`, so that the
inbox of an earlier epoch does not treat the events as repeats. The rules know what they have passed on to which topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from shared.contracts.event import Envelope
from shared.contracts.topics import Topic
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Store
from shared.runtime.core.work import Work


class Passing(Protocol):
    """Which events a service passes on, and to which topics. One for each replica."""

    @property
    def epoch(self) -> int:
        """Grows whenever a topic is added; known once it is established."""
        ...

    @property
    def topics(self) -> Sequence[Topic]:
        """The topics that are written now; known once they are established."""
        ...

    def topics_for(self, envelope: Envelope) -> Sequence[str]:
        """Where this event is to be passed on to; nowhere when anything about it is in doubt."""
        ...

    def ended_for(self, envelope: Envelope) -> Sequence[str]:
        """The ended topics that took such an event while they were written."""
        ...

    async def establish(self, kafka: KafkaConnection, store: Store) -> None:
        """Settle before anything is heard what is passed on to whom. Repeatable.

        Raises `ConfigurationError`, and `Unavailable` while a dependency is away.
        """
        ...

    def last_works(self, now: datetime) -> Sequence[Work]:
        """What is still to be said on topics that have ended. Repeatable: the records know what they have said."""
        ...


def stream_name(source: str, epoch: int) -> str:
    """How the inbox names a stream that is heard under an epoch."""
    return f"{source}@{epoch}"


def note_name(note: str, epoch: int) -> str:
    """Where the positions are noted of what is heard under an epoch: a replica of an earlier one leaves them alone."""
    return f"{note}@{epoch}"
