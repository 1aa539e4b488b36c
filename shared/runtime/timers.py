"""Timers: each deadline fires once, on the replica that holds the record's partition, and on up-to-date state.

A deadline is part of its record's state, and an index finds it. It fires only after the replica has applied everything
that was on the input topics at assignment. Its rule decides with `now` = the deadline's own instant.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from aiokafka.errors import KafkaError

from shared.errors import RecordIsNewer, Unavailable
from shared.runtime.changes import Changes
from shared.runtime.clock import Clock, SteppedClock
from shared.runtime.core.dead_letter import deadline_original
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.store import Store
from shared.runtime.core.work import Work
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.logs import log, said
from shared.runtime.retry import Backoff
from shared.runtime.wall_clock import WallClock

RECORDS_PER_ROUND: Final = 200
LOOK_AGAIN_SECONDS: Final = 1.0
CATCH_UP_SECONDS: Final = 0.05


class Timers:
    """Looks for deadlines whenever the clock moves, and at least once a second."""

    def __init__(
        self,
        store: Store,
        reactor: Reactor,
        consumer: Consumer,
        clock: Clock,
        wall_clock: WallClock | None = None,
    ) -> None:
        """`wall_clock` has to agree with the store's before anything fires; None where the clock is stepped."""
        self._store = store
        self._wall_clock = wall_clock
        self._reactor = reactor
        self._consumer = consumer
        self._clock = clock
        self._ran_until: datetime | None = None
        self._changes = Changes()
        self.healthy = True
        """False while the store or the broker does not answer; the timers notice that even without traffic."""

    @property
    def ran_until(self) -> datetime | None:
        """This replica has fired all its deadlines up to this instant."""
        return self._ran_until

    def ran(self, clock: Clock) -> bool:
        """Whether every deadline up to a stepped clock's time has fired; always true on wall time, which goes on."""
        return (
            not isinstance(clock, SteppedClock) or not clock.set or clock.now() == self._ran_until
        )

    async def until_ran(self, clock: Clock) -> None:
        """Return once `ran` holds."""
        await self._changes.until(lambda: self.ran(clock))

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                caught_up = await self._round()
            except (Unavailable, KafkaError) as error:
                self.healthy = False
                cause = said(error) if isinstance(error, Unavailable) else {}
                log.warning("timers.waiting", **({"exception": type(error).__name__} | cause))
                await backoff.pause()
            else:
                self.healthy = True
                backoff.reset()
                if caught_up:
                    await self._clock.moved(self._ran_until, LOOK_AGAIN_SECONDS)
                else:
                    await asyncio.sleep(CATCH_UP_SECONDS)

    async def _round(self) -> bool:
        """Fire what is due. False: the consumer has not caught up yet, so nothing may fire.

        Both questions are asked before each batch: partitions may come, and clocks be set, in the middle of a round.
        Partitions may also come while the store answers what time it is. So the consumer is asked again after that, and
        nothing is awaited between its answer and the look at which partitions are held.
        """
        now: datetime | None = None
        while True:
            if not await self._consumer.caught_up():
                return False
            if self._wall_clock is not None and not await self._wall_clock.agrees():
                return True
            if self._wall_clock is not None and not await self._consumer.caught_up():
                return False
            buckets = self._consumer.firing_buckets
            now = now or self._clock.now()
            subjects = await self._store.due(now, buckets, RECORDS_PER_ROUND)
            if not subjects:
                break
            works = [look_at(subject, now) for subject in subjects]
            for outcome in await self._reactor.submit(works):
                if isinstance(outcome.error, RecordIsNewer):
                    continue  # written since it was found: the newer version fires it
                if outcome.error is not None:  # an outbox is full: wait, do not spin
                    raise outcome.error
        self._ran_until = now
        self._changes.notify()
        return True


def look_at(subject: str, now: datetime) -> Work:
    """The work that fires the deadlines of one record that are due by `now`."""
    return Work(
        subject=subject,
        cause_id="",
        correlation_id="",
        facility_id="",
        now=now,
        decide=None,
        original=deadline_original,
    )
