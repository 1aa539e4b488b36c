"""The census: counts from time to time, in the background, how many items wait in a service's store.

A scrape of the metrics counts nothing.

One replica counts for all of them: the one that holds the first partition of every topic. Each query uses an index and
reads at most `COUNTED_MAX` entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from pymongo import ASCENDING
from pymongo.asynchronous.database import AsyncDatabase

from shared.errors import Unavailable
from shared.loops import LOOP_INDEX
from shared.runtime.clock import Clock
from shared.runtime.core.dead_letter import OPEN
from shared.runtime.core.documents import EPOCH, Document, from_microseconds, in_microseconds
from shared.runtime.core.store import WAITING_SINCE, translated
from shared.runtime.metrics import Census

COUNTED_MAX: Final = 10_000
"""The most entries that are looked at: a number as high means that there are at least so many."""
COUNTING_BUCKET: Final = 0
EARLIEST: Final = in_microseconds(datetime.min.replace(tzinfo=UTC))


class Holding(Protocol):
    """The consumer: which partition numbers of every topic this replica holds."""

    @property
    def buckets(self) -> Sequence[int]: ...


class CensusTaker:
    """Counts for the whole service, while this replica is the one to do it."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        consumer: Holding,
        clock: Clock,
        every_seconds: float,
    ) -> None:
        self._records = database["records"]
        self._dead_letters = database["dead_letters"]
        self._consumer = consumer
        self._clock = clock
        self._every_seconds = every_seconds
        self.latest: Census | None = None
        """None while another replica counts, and before the first count."""

    async def run(self) -> None:
        """Count for ever. While the store is away, the last numbers stay: readiness says that it is."""
        while True:
            try:
                counts = COUNTING_BUCKET in self._consumer.buckets
                self.latest = await self.take() if counts else None
            except Unavailable:
                pass
            await asyncio.sleep(self._every_seconds)

    async def take(self) -> Census:
        """Count now. Raises `Unavailable`."""
        wall = datetime.now(UTC)
        with translated():
            dead, streams, since = await self._count_dead_letters()
            loops = await self._count_loops()
            waits = {name: await self._oldest(name) for name in WAITING_SINCE}
            due = await self._due()
        return Census(
            dead_letters_open=dead,
            dead_letter_age_seconds=_age(since, wall),
            streams_blocked=streams,
            loops_open={one["_id"]: one["open"] for one in loops},
            loops_overdue={one["_id"]: one["overdue"] for one in loops},
            outbox_age_seconds=_age(waits["waiting"], wall),
            handoff_age_seconds=_age(waits["handing"], wall),
            audit_age_seconds=_age(waits["auditing"], wall),
            deadline_age_seconds=0.0 if due is None else _age(due, self._clock.now()),
        )

    async def _count_dead_letters(self) -> tuple[int, int, datetime | None]:
        stages: list[Document] = [
            {"$match": {"status": OPEN}},
            {"$limit": COUNTED_MAX},
            {
                "$group": {
                    "_id": {"subject": "$subject", "stream": "$stream"},
                    "count": {"$sum": 1},
                    "since": {"$min": "$first_seen"},
                }
            },
        ]
        found = await (await self._dead_letters.aggregate(stages)).to_list()
        return (
            sum(one["count"] for one in found),
            sum(one["_id"].get("stream") is not None for one in found),
            min((one["since"] for one in found), default=None),
        )

    async def _count_loops(self) -> list[Document]:
        missed: Document = {"$cond": [{"$gt": ["$loop.v.step", 0]}, 1, 0]}
        stages: list[Document] = [
            {"$match": {f"index.{LOOP_INDEX}": {"$gt": EARLIEST}}},
            {"$limit": COUNTED_MAX},
            {"$project": {"loop": {"$objectToArray": "$state.loops"}}},
            {"$unwind": "$loop"},
            {"$match": {"loop.v.hidden": {"$ne": True}}},
            {
                "$group": {
                    "_id": "$loop.v.kind",
                    "open": {"$sum": 1},
                    "overdue": {"$sum": missed},
                }
            },
        ]
        return await (await self._records.aggregate(stages)).to_list()

    async def _oldest(self, name: str) -> datetime | None:
        cursor = self._records.find({name: {"$gt": EPOCH}}, {name: 1})
        found = await cursor.sort(name, ASCENDING).limit(1).to_list()
        return found[0][name] if found else None

    async def _due(self) -> datetime | None:
        if self._clock.stepped:  # its driver waits until every deadline has fired
            return None
        wanted: Document = {"due": {"$lte": in_microseconds(self._clock.now())}}
        found = (
            await self._records.find(wanted, {"due": 1}).sort("due", ASCENDING).limit(1).to_list()
        )
        return from_microseconds(found[0]["due"]) if found else None


def _age(since: Any, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if isinstance(since, datetime) else 0.0
