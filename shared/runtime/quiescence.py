"""When a replica is quiet: no work is in progress in it, and none begins until it receives something to do.

A driver that steps the domain clock may continue only when every replica is quiet. It uses a long poll
(`GET /ops/flow`), which answers as soon as the replica becomes quiet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from shared.runtime.clock import Clock, SteppedClock


class Reacting(Protocol):
    """Commands and handoffs: the reactor."""

    @property
    def busy(self) -> bool: ...

    async def settle(self) -> None: ...


class Relaying(Protocol):
    """Outboxes on their way to the topic: the relay."""

    @property
    def idle(self) -> bool: ...

    async def flushed(self) -> None: ...


class Consuming(Protocol):
    """Batches of events: the consumer."""

    def reached(self, positions: Mapping[str, int]) -> bool: ...

    async def until_reached(self, positions: Mapping[str, int]) -> None: ...


class Firing(Protocol):
    """Deadlines: the timers."""

    def ran(self, clock: Clock) -> bool: ...

    async def until_ran(self, clock: Clock) -> None: ...


class Quiescence:
    """All parts of one replica that have to be idle, queried and awaited together.

    `started` is set once the replica has taken up what its last life left in the store; until then that is under way.
    """

    def __init__(
        self,
        started: asyncio.Event,
        reactor: Reacting,
        relay: Relaying,
        consumer: Consuming,
        timers: Firing,
        clock: Clock,
    ) -> None:
        self._started = started
        self._reactor = reactor
        self._relay = relay
        self._consumer = consumer
        self._timers = timers
        self._clock = clock

    @property
    def busy(self) -> bool:
        """Something is under way in this process, or a stepped clock has moved and deadlines are to be run."""
        return not (
            self._started.is_set()
            and not self._reactor.busy
            and self._relay.idle
            and self._consumer.reached({})
            and self._timers.ran(self._clock)
        )

    async def reached(self, positions: Mapping[str, int], within_seconds: float) -> bool:
        """Wait until this replica is quiet and has applied everything before `positions` (by `topic/partition`).

        Returns False when that takes longer than `within_seconds`, and at once while a stepped clock is not set, for
        nothing is decided without a time. Partitions that this replica does not hold are ignored.

        Each part is awaited in turn, and then all are checked in one turn of the event loop. True therefore means
        that all of them were idle at the same moment, the one at which this returns. Cancelling the wait cancels
        nothing else.
        """
        if isinstance(self._clock, SteppedClock) and not self._clock.set:
            return False
        try:
            async with asyncio.timeout(within_seconds):
                while self.busy or not self._consumer.reached(positions):
                    await self._started.wait()
                    await self._reactor.settle()
                    await self._relay.flushed()
                    await self._consumer.until_reached(positions)
                    await self._timers.until_ran(self._clock)
        except TimeoutError:
            return False
        return True
