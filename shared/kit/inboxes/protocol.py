"""What the kit needs of a store, so that an event has its effect once: one small protocol.

An inbox keeps, for one subscriber: how far each partition has been handled, the position in each stream, and what is
set aside. A *unit* is a batch of work that is kept as a whole or not at all. Where the store has transactions, a
handler that takes a third argument writes in the unit's own, so that its effect and the position are one write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from ...inbox import StreamInbox
from ..messages import Aside, Place, Stream

VERSION: Final = 1
"""The form of what inboxes keep. An inbox of a higher version is refused."""


@dataclass(slots=True)
class Changes:
    """What a unit has to keep beside what the handlers wrote."""

    offsets: dict[Place, int] = field(default_factory=dict[Place, int])
    """The next offset of each partition."""
    streams: dict[Stream, StreamInbox] = field(default_factory=dict[Stream, StreamInbox])
    aside: dict[tuple[str, int, int], Aside] = field(
        default_factory=dict[tuple[str, int, int], Aside]
    )
    """What is aside from now on, or still, by its place."""
    settled: set[tuple[str, int, int]] = field(default_factory=set[tuple[str, int, int]])
    """What is aside no longer."""


class Unit(Protocol):
    """Work in progress. Nothing of it is visible to others before it ends well."""

    @property
    def tx(self) -> Any:
        """What a handler that takes a third argument gets: a connection or session of the store."""
        ...

    def step(self) -> AbstractAsyncContextManager[None]:
        """One handler's turn. What it wrote is taken back when it raises, and nothing else is."""
        ...

    async def save(self, changes: Changes) -> None:
        """Write the changes as a part of the unit."""
        ...


class Inbox(Protocol):
    """A store of one subscriber. Every method raises `InboxUnavailable` while the store is locked, full or away."""

    durable: ClassVar[bool]
    """Whether it outlives the process."""
    savepoints: ClassVar[bool]
    """Whether `step` can take back one handler's writes within a unit; else each handler gets a unit of its own."""

    @property
    def id(self) -> str:
        """Names this inbox for ever; it is in the metadata of offset commits."""
        ...

    @property
    def transactions(self) -> bool:
        """Whether a handler can write in the unit; known once the inbox is open."""
        ...

    async def open(self, subscriber: str, *, make: bool = True) -> None:
        """Make it ready. Raises `Refused` for one that is of a newer version, locked, full or no inbox at all.

        With `make=False` also for one that is not there, and makes none.
        """
        ...

    async def close(self) -> None: ...

    async def offsets(self) -> dict[Place, int]:
        """The next offset of every partition that was ever handled."""
        ...

    async def streams(self, keys: Iterable[Stream]) -> dict[Stream, StreamInbox]:
        """The positions in those of these streams that are known."""
        ...

    async def aside(self) -> list[Aside]:
        """Everything that is aside, in the order of the topics."""
        ...

    def unit(self, expected: Mapping[Place, int]) -> AbstractAsyncContextManager[Unit]:
        """Begin a unit. Raises `MovedOn` unless these are the next offsets, which then nobody else can change."""
        ...
