"""The census: counts from time to time, in the background, how many items wait in a service's store.

A scrape of the metrics counts nothing.

One replica counts for all of them: the one that holds the first partition of every topic. Each query uses an index and
reads at most `COUNTED_MAX` entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, Protocol

from pymongo import ASCENDING
from pymongo.asynchronous.database import AsyncDatabase

from shared.errors import CareError, Unavailable
from shared.loops import LOOP_INDEX
from shared.runtime.clock import Clock
from shared.runtime.core.dead_letter import OPEN
from shared.runtime.core.documents import EPOCH, Document, from_microseconds, in_microseconds
from shared.runtime.core.store import WAITING_SINCE, translated
from shared.runtime.logs import log
from shared.runtime.metrics import Census
from shared.runtime.set_aside import MISREAD

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
        self._complete_at: float | None = None
        self._parts: Final[Mapping[str, Callable[[datetime], Awaitable[dict[str, Any]]]]] = {
            "dead-letters": self._dead,
            "loops": self._loops,
            "waiting": self._waits,
            "deadlines": self._deadlines,
        }

    @property
    def age_seconds(self) -> float | None:
        """For how long no census was complete; None while another replica counts."""
        return None if self._complete_at is None else monotonic() - self._complete_at

    async def run(self) -> None:
        """Count for ever. What can't be counted keeps its last number, and the age of the census tells."""
        while True:
            if COUNTING_BUCKET in self._consumer.buckets:
                if self._complete_at is None:
                    self._complete_at = monotonic()
                with suppress(
                    Unavailable
                ):  # it is logged, and readiness says that the store is away
                    self.latest = await self.take()
            else:
                self.latest = self._complete_at = None
            await asyncio.sleep(self._every_seconds)

    async def take(self) -> Census:
        """Count now, each part alone: one that fails keeps what the last census said of it.

        Raises `Unavailable` when no part could be counted.
        """
        failed: set[str] = set()
        found = self.latest or Census()
        for name, count in self._parts.items():
            try:
                with translated():
                    found = replace(found, **await count(datetime.now(UTC)))
            except (CareError, *MISREAD) as error:
                failed.add(name)
                code = error.code if isinstance(error, CareError) else "unexpected"
                log.warning(
                    "census.failed", reason=name, error_code=code, exception=type(error).__name__
                )
        if len(failed) == len(self._parts):
            raise Unavailable(
                "store-unavailable",
                "Nothing could be counted.",
                hint="Wait: the service counts again.",
            )
        if not failed:
            self._complete_at = monotonic()
        return found

    async def _dead(self, wall: datetime) -> dict[str, Any]:
        dead, streams, since = await self._count_dead_letters()
        return {
            "dead_letters_open": dead,
            "dead_letter_age_seconds": _age(since, wall),
            "streams_blocked": streams,
        }

    async def _loops(self, _wall: datetime) -> dict[str, Any]:
        loops = await self._count_loops()
        return {
            "loops_open": {one["_id"]: one["open"] for one in loops},
            "loops_overdue": {one["_id"]: one["overdue"] for one in loops},
        }

    async def _waits(self, wall: datetime) -> dict[str, Any]:
        return {
            f"{part}_age_seconds": _age(await self._oldest(mark), wall)
            for part, mark in zip(("outbox", "handoff", "audit"), WAITING_SINCE, strict=True)
        }

    async def _deadlines(self, _wall: datetime) -> dict[str, Any]:
        due = await self._due()
        return {"deadline_age_seconds": 0.0 if due is None else _age(due, self._clock.now())}

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
            min((s for one in found if isinstance(s := one["since"], datetime)), default=None),
        )

    async def _count_loops(self) -> list[Document]:
        missed: Document = {"$cond": [{"$gt": ["$loop.v.step", 0]}, 1, 0]}
        stages: list[Document] = [
            {"$match": {f"index.{LOOP_INDEX}": {"$gt": EARLIEST}}},
            {"$limit": COUNTED_MAX},
            # MongoDB takes no other type apart: one damaged record would be the end of the whole question.
            {"$match": {"state.loops": {"$type": "object"}}},
            {"$project": {"loop": {"$objectToArray": "$state.loops"}}},
            {"$unwind": "$loop"},
            {"$match": {"loop.v.hidden": {"$ne": True}, "loop.v.kind": {"$type": "string"}}},
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
