"""An inbox in memory, for tests and for watching: it forgets everything with its process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from typing import ClassVar
from uuid import uuid4

from ...inbox import StreamInbox
from ..errors import MovedOn
from ..messages import Aside, Place, Stream
from .protocol import Changes


class MemoryInbox:
    """Begins at the beginning of the topics each time."""

    durable: ClassVar[bool] = False
    savepoints: ClassVar[bool] = True

    def __init__(self) -> None:
        self.id = uuid4().hex
        self.transactions = False
        self._offsets: dict[Place, int] = {}
        self._streams: dict[Stream, StreamInbox] = {}
        self._aside: dict[tuple[str, int, int], Aside] = {}

    async def open(self, subscriber: str, *, make: bool = True) -> None:
        del subscriber, make

    async def close(self) -> None:
        return None

    async def offsets(self) -> dict[Place, int]:
        return copy(self._offsets)

    async def streams(self, keys: Iterable[Stream]) -> dict[Stream, StreamInbox]:
        return {key: self._streams[key] for key in keys if key in self._streams}

    async def aside(self) -> list[Aside]:
        return [self._aside[place] for place in sorted(self._aside)]

    @asynccontextmanager
    async def unit(self, expected: Mapping[Place, int]) -> AsyncGenerator[_Unit]:
        if any(self._offsets.get(place, 0) != offset for place, offset in expected.items()):
            raise MovedOn("inbox-moved-on", "Another process handles these partitions.")
        unit = _Unit()
        yield unit
        self._offsets |= unit.changes.offsets
        self._streams |= unit.changes.streams
        self._aside |= unit.changes.aside
        for place in unit.changes.settled:
            self._aside.pop(place, None)


class _Unit:
    def __init__(self) -> None:
        self.tx = None
        self.changes = Changes()

    @asynccontextmanager
    async def step(self) -> AsyncGenerator[None]:
        yield

    async def save(self, changes: Changes) -> None:
        self.changes = changes
