"""Compares the wall clock with the store's clock: a replica whose clock is wrong must decide nothing.

A replica whose clock is two days fast would escalate every loop of the next two days within seconds. Kafka does not
tell the time; the store does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from shared.errors import Unavailable
from shared.runtime.logs import log

COMPARE_SECONDS: Final = 5.0
"""How often they are compared, also while nothing else asks: a replica that catches up fires no deadline."""


class Timekeeper(Protocol):
    """Who else knows what time it is."""

    async def wall(self) -> datetime:
        """Its wall time. Raises `Unavailable`."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


class WallClock:
    """This process's wall clock, and whether it agrees with the store's within a bound."""

    def __init__(
        self, keeper: Timekeeper, tolerance_seconds: float, now: Callable[[], datetime] = _now
    ) -> None:
        self._keeper: Final = keeper
        self._tolerance: Final = timedelta(seconds=tolerance_seconds)
        self._now: Final = now
        self.differs = False
        """As of the last comparison."""

    async def agrees(self) -> bool:
        """Compare the two now. The time that the answer takes is in nobody's favour. Raises `Unavailable`."""
        asked = self._now()
        theirs = await self._keeper.wall()
        differs = not asked - self._tolerance <= theirs <= self._now() + self._tolerance
        if differs and not self.differs:
            log.error("clock.differs", seconds=round((asked - theirs).total_seconds()))
        self.differs = differs
        return not differs

    async def watch(self) -> None:
        """Compare the two now and then. While the store is away, the last comparison counts."""
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            with suppress(Unavailable):
                await self.agrees()
