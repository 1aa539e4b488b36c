"""The sweep: finds the outboxes and handoffs that a crashed replica has left behind, and resumes them.

At the start of a process, the sweep takes everything that waits. Afterwards it takes what has waited for
`after_seconds`, in the partitions that this replica holds.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.contracts.topics import PARTITIONS
from shared.errors import Unavailable
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.logs import log, said

START_ROUNDS: Final = 20


class Sweeper:
    """Resumes outboxes and handoffs that have waited too long by the wall clock."""

    def __init__(
        self, reactor: Reactor, relay: Relay, consumer: Consumer, after_seconds: float
    ) -> None:
        self._reactor = reactor
        self._relay = relay
        self._consumer = consumer
        self._after_seconds = after_seconds

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._after_seconds / 2)
            try:
                before = datetime.now(UTC) - timedelta(seconds=self._after_seconds)
                await self._reactor.sweep(before, self._consumer.buckets)
            except Unavailable as error:
                log.warning("sweep.waiting", **said(error))

    async def recover_at_start(self) -> None:
        """Resume everything that waits, of any partition: most likely this replica's last process left it.

        The rounds are bounded, because in a service with other replicas something is always on its way. Publishing that
        a second time does no harm: consumers recognise a repeated event by its number.
        """
        for _ in range(START_ROUNDS):
            try:
                found = await self._reactor.sweep(None, range(PARTITIONS))
            except Unavailable as error:
                log.warning("sweep.waiting", **said(error))
                return
            if not found:
                return
            await self._relay.flushed()
            await self._reactor.settle()
