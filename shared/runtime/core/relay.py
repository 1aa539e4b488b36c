"""The relay publishes each record's outbox to the topic, and clears what Kafka has acknowledged.

It always publishes a record's *whole* waiting outbox, in order. So the first copies of all events are in order, even
when another process publishes the same record at the same moment; consumers ignore the repeats. It leaves out only the
events that this process has seen acknowledged, for they are on the topic.

The queue is bounded. While it is full, the consumer fetches no more (back-pressure) and further outboxes wait in the
store for the sweep.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from shared.errors import Unavailable
from shared.runtime.core.record import published_types
from shared.runtime.core.store import Document, Store
from shared.runtime.logs import log
from shared.runtime.metrics import Metrics
from shared.runtime.retry import Backoff

SUBJECTS_PER_ROUND: Final = 500
SUBJECTS_MAX: Final = 5_000
"""How many records may wait for the relay; when it is full, the consumer fetches no more."""
REMEMBERED_SUBJECTS: Final = 5_000
PAUSED_SECONDS: Final = 1.0

Entries = Sequence[Mapping[str, Any]]


class Publisher(Protocol):
    """Where events go. Raises `Unavailable` unless every entry was acknowledged."""

    async def publish(self, waiting: Mapping[str, Entries]) -> None: ...


class Journal(Protocol):
    """Where copies of records go. Raises `Unavailable` unless every copy was acknowledged."""

    async def append(self, documents: Iterable[Document]) -> None: ...


class Relay:
    """A bounded queue of outboxes and the one task that publishes them."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        metrics: Metrics,
        subjects_max: int = SUBJECTS_MAX,
        journal: Journal | None = None,
    ) -> None:
        self.journal: Final = journal
        self._store = store
        self._publisher = publisher
        self._metrics = metrics
        self._subjects_max = subjects_max
        self._queue: OrderedDict[str, Entries] = OrderedDict()
        self._published: OrderedDict[str, int] = OrderedDict()
        self._wake = asyncio.Event()
        self._capacity = asyncio.Event()
        self._capacity.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._paused = False
        self.healthy = True

    def pause(self) -> None:
        """Stop publishing, because the topic is not what it was. Outboxes wait in the store."""
        self._paused = True

    def resume(self) -> None:
        """Publish again what has waited."""
        self._paused = False
        self._wake.set()

    def enqueue(self, subject: str, entries: Entries) -> None:
        """Queue a record's whole waiting outbox. Never blocks: when the queue is full, the sweep publishes it later."""
        if subject not in self._queue and len(self._queue) >= self._subjects_max:
            return
        self._queue[subject] = entries
        if len(self._queue) >= self._subjects_max:
            self._capacity.clear()
        self._idle.clear()
        self._wake.set()
        self._metrics.relay_waiting.set(len(self._queue))

    def published_until(self, subject: str) -> int:
        """The last sequence of this subject that Kafka has acknowledged to this process; 0 for none."""
        return self._published.get(subject, 0)

    async def wait_for_capacity(self) -> None:
        """Wait until the queue is below its bound: the back-pressure that slows the consumer down."""
        await self._capacity.wait()

    async def flushed(self) -> None:
        """Wait until the queue is empty: everything enqueued is published."""
        await self._idle.wait()

    @property
    def idle(self) -> bool:
        return self._idle.is_set()

    async def run(self) -> None:
        """Publish for ever. While the broker or the store is away, wait and try the same again.

        Raises on a bug. The queue survives that, so the caller may run this again.
        """
        backoff = Backoff()
        while True:
            await self._wake.wait()
            if self._paused:
                await asyncio.sleep(PAUSED_SECONDS)
                continue
            try:
                await self._round()
            except Unavailable as error:
                self.healthy = False
                log.warning("relay.waiting", error_code=error.code)
                await backoff.pause()
            else:
                self.healthy = True
                backoff.reset()

    async def _round(self) -> None:
        batch = {
            subject: self._queue[subject] for subject in list(self._queue)[:SUBJECTS_PER_ROUND]
        }
        if self.journal is None:
            await self._publish(batch)
            await self._store.clear_outboxes({s: e[-1]["sequence"] for s, e in batch.items() if e})
        else:
            await self._journal_and_publish(self.journal, batch)
        for subject, entries in batch.items():
            if self._queue.get(subject) is entries:  # else it was enqueued again meanwhile
                del self._queue[subject]
        self._metrics.relay_waiting.set(len(self._queue))
        if len(self._queue) < self._subjects_max:
            self._capacity.set()
        if not self._queue:
            self._wake.clear()
            self._idle.set()

    async def _journal_and_publish(self, journal: Journal, batch: Mapping[str, Entries]) -> None:
        """Write the copies first, so that the journal is never behind the topic. Both come from the stored records."""
        documents = {d["_id"]: d for d in await self._store.documents(batch)}
        await journal.append(documents.values())
        await self._publish({s: d.get("outbox", ()) for s, d in documents.items()})
        versions: dict[str, int] = {s: d["version"] for s, d in documents.items()}
        if await self._store.clear_journaled(versions) == len(versions):
            return
        for document in await self._store.documents(batch):
            subject = document["_id"]
            if document["version"] != versions.get(subject):
                # Our copy may stand after a newer one on the journal: write the newest again.
                self._queue[subject] = []

    async def _publish(self, batch: Mapping[str, Entries]) -> None:
        fresh = {
            subject: entries[_first_after(entries, self._published.get(subject, 0)) :]
            for subject, entries in batch.items()
        }
        await self._publisher.publish({s: entries for s, entries in fresh.items() if entries})
        for subject, entries in fresh.items():
            if entries:
                self._remember_published(subject, entries[-1]["sequence"])
                for event_type in published_types(entries):
                    self._metrics.events_published.labels(event_type).inc()

    def _remember_published(self, subject: str, sequence: int) -> None:
        self._published[subject] = sequence
        self._published.move_to_end(subject)
        if len(self._published) > REMEMBERED_SUBJECTS:
            self._published.popitem(last=False)


def _first_after(entries: Entries, sequence: int) -> int:
    """The index of the first entry that comes after `sequence`."""
    for index, entry in enumerate(entries):
        if entry["sequence"] > sequence:
            return index
    return len(entries)
