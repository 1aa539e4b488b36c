"""What the tests of the kit share: a delivery over an inbox, with what came to the handlers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from shared.contracts.attendance import SessionAttended, SessionMissed
from shared.contracts.event import Envelope, Event
from shared.kit.delivery import Delivery
from shared.kit.handlers import Handlers
from shared.kit.history import History
from shared.kit.inboxes.protocol import Inbox
from shared.kit.messages import Message
from shared.kit.notices import CaughtUp, Conflict, Gap, Notice, SetAside

ATTENDED = SessionAttended.example()
MISSED = SessionMissed.example()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Subscribed:
    """A subscriber without Kafka. `fails` names subjects whose handler raises."""

    def __init__(self, inbox: Inbox, **settings: Any) -> None:
        self.inbox = inbox
        self.clock = Clock()
        self.handlers = Handlers()
        self.delivery = Delivery(self.handlers, inbox, now=self.clock, **settings)
        self.taken: list[tuple[str, int]] = []
        self.told: list[Notice] = []
        self.fails: dict[str, Exception] = {}
        self.handlers.on(SessionAttended)(self._take)
        self.handlers.on(Gap, Conflict, SetAside, CaughtUp)(self._tell)

    async def _take(self, _event: Event, envelope: Envelope) -> None:
        if envelope.subject in self.fails:
            raise self.fails[envelope.subject]
        self.taken.append((envelope.subject, envelope.sequence))

    async def _tell(self, notice: Notice) -> None:
        self.told.append(notice)

    async def open(self) -> None:
        await self.inbox.open("tests")

    async def hear(self, messages: Iterable[Message]) -> None:
        """Deliver messages as a fetch does that goes on where the inbox stands."""
        wanted = list(messages)
        places = {(one.topic, one.partition) for one in wanted}
        await self.delivery.hold(places)
        await self.delivery.take(wanted)

    @property
    def numbers(self) -> Sequence[int]:
        return [number for _, number in self.taken]


def file_of(directory: Path) -> Path:
    return directory / "inbox.db"


__all__ = ["ATTENDED", "MISSED", "Clock", "History", "Subscribed", "file_of"]
