"""The domain clock: wall time, or a time that a driver steps forward for a demo or a flow test.

Decisions and deadlines use it. Back-off, sweeps and time-outs use wall time or the event loop's monotonic clock.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from shared.errors import Refused, Unavailable


class Clock:
    """Wall time in UTC."""

    stepped = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def moved(self, since: datetime | None, limit_seconds: float) -> None:
        """Return when a stepped time is no longer `since`, or after `limit_seconds` of wall time."""
        del since  # wall time moves by itself
        await asyncio.sleep(limit_seconds)


class SteppedClock(Clock):
    """A clock that stands still until a driver moves it forward. While it is unset, nothing can be decided."""

    stepped = True

    def __init__(self) -> None:
        self._now: datetime | None = None
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        if self._now is None:
            raise Unavailable(
                "clock-not-set",
                "The stepped clock has not been set.",
                hint="PUT /ops/clock, then retry.",
            )
        return self._now

    @property
    def set(self) -> bool:
        return self._now is not None

    def step_to(self, now: datetime) -> None:
        """Raises `Refused` for an instant in the past."""
        if self._now is not None and now < self._now:
            raise Refused(
                "clock-goes-back",
                "Time can only be stepped forwards.",
                hint="Step to a later time: GET /ops/flow returns the current time.",
            )
        self._now = now
        self._moved.set()

    async def moved(self, since: datetime | None, limit_seconds: float) -> None:
        if self._now != since:
            return
        self._moved.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), limit_seconds)
