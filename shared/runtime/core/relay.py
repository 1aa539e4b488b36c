"""The relay publishes each record's outbox to the topic, and clears the events that Kafka has acknowledged.

It also moves the audit entries that were saved with a record to the audit, whether Kafka answers or not.

It always publishes a record's *whole* waiting outbox, in order. So the first copies of all events are in order, even
when another process publishes the same record at the same moment; consumers ignore the repeats. The relay omits only
the events that this process has seen acknowledged, because they are on the topic.

The queue is bounded. While it is full, the consumer fetches no more (back-pressure) and further outboxes wait in the
store for the sweep.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from shared.errors import TooLarge, Unavailable
from shared.runtime.core.dead_letter import unpublished
from shared.runtime.core.documents import check_entry
from shared.runtime.core.outbox import published_types
from shared.runtime.core.store import Document, Store
from shared.runtime.logs import log, said
from shared.runtime.metrics import Metrics
from shared.runtime.retry import Backoff
from shared.runtime.set_aside import UNPUBLISHED, UNREADABLE

SUBJECTS_PER_ROUND: Final = 500
SUBJECTS_MAX: Final = 5_000
"""How many records may wait for the relay; when it is full, the consumer fetches no more."""
REMEMBERED_SUBJECTS: Final = 5_000
PAUSED_SECONDS: Final = 1.0

Entries = Sequence[Mapping[str, Any]]


class Publisher(Protocol):
    """Where events go.

    Raises `TooLarge` when the broker refuses one for its size, and `Unavailable` when one was not acknowledged.
    """

    async def publish(self, waiting: Mapping[str, Entries]) -> None: ...


class Journal(Protocol):
    """Where copies of records go. Raises as a `Publisher` does."""

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
        self._audit: dict[str, Entries] = {}
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
        """Queue a record's whole waiting outbox. Never blocks: when the queue is full, the sweep publishes it later.

        The events of a record that is set aside stay in its outbox, and are tried again now and then.
        """
        if self._store.set_aside.resting(subject):
            return
        if subject not in self._queue and len(self._queue) >= self._subjects_max:
            return
        self._queue[subject] = entries
        if len(self._queue) >= self._subjects_max:
            self._capacity.clear()
        self._idle.clear()
        self._wake.set()
        self._metrics.relay_waiting.set(len(self._queue))

    def enqueue_audit(self, subject: str, entries: Entries) -> None:
        """Queue all entries of the audit that wait in a record, to be moved. Also of a record that is set aside.

        When the queue is full, the sweep moves them later.
        """
        if subject in self._audit or len(self._audit) < self._subjects_max:
            self._audit[subject] = entries
            self._idle.clear()
            self._wake.set()

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
                log.warning("relay.waiting", **said(error))
                await backoff.pause()
            else:
                self.healthy = True
                backoff.reset()

    async def _round(self) -> None:
        await self._move_audit()
        batch = {
            subject: self._queue[subject] for subject in list(self._queue)[:SUBJECTS_PER_ROUND]
        }
        if self.journal is None:
            refused = await self._publish(batch)
            await self._store.clear_outboxes(
                {s: e[-1]["sequence"] for s, e in batch.items() if e and s not in refused}
            )
        else:
            await self._journal_and_publish(self.journal, batch)
        for subject, entries in batch.items():
            if self._queue.get(subject) is entries:  # else it was enqueued again meanwhile
                del self._queue[subject]
        self._metrics.relay_waiting.set(len(self._queue))
        if len(self._queue) < self._subjects_max:
            self._capacity.set()
        if not self._queue and not self._audit:
            self._wake.clear()
            self._idle.set()

    async def _move_audit(self) -> None:
        """Insert first, then remove: what is inserted twice, after a crash between the two, is one entry."""
        batch = {
            subject: self._audit[subject] for subject in list(self._audit)[:SUBJECTS_PER_ROUND]
        }
        if not batch:
            return
        await self._store.add_audit_entries([one for entries in batch.values() for one in entries])
        await self._store.clear_audit({s: entries[-1]["number"] for s, entries in batch.items()})
        for subject, entries in batch.items():
            if self._audit.get(subject) is entries:  # else it was enqueued again meanwhile
                del self._audit[subject]

    async def _journal_and_publish(self, journal: Journal, batch: Mapping[str, Entries]) -> None:
        """Write the copies first, so that the journal is never behind the topic. Both come from the stored records."""
        documents = {d["_id"]: d for d in await self._store.documents(batch)}
        documents = {s: d for s, d in documents.items() if self._usable(d)}
        refused = await self._copy(journal, documents)
        outboxes = {s: d.get("outbox", ()) for s, d in documents.items() if s not in refused}
        refused |= await self._publish(outboxes)
        versions: dict[str, int] = {
            s: d["version"] for s, d in documents.items() if s not in refused
        }
        if await self._store.clear_journaled(versions) == len(versions):
            return
        for document in await self._store.documents(versions):
            subject = document["_id"]
            if document["version"] != versions.get(subject):
                # Our copy may stand after a newer one on the journal: write the newest again.
                self._queue[subject] = []

    def _usable(self, document: Document) -> bool:
        """Whether the relay can work with a stored document; one that it can't work with is set aside."""
        try:
            for entry in document.get("outbox", ()):
                check_entry(entry)
        except (LookupError, TypeError, AttributeError):
            self._store.set_aside.add(document["_id"], UNREADABLE)
            return False
        return True

    async def _copy(self, journal: Journal, documents: Mapping[str, Document]) -> set[str]:
        """Write the copies. Returns the subjects of those that the broker refuses for their size."""
        refused: set[str] = set()
        try:
            await journal.append(documents.values())
        except TooLarge:
            for subject, document in documents.items():
                try:
                    await journal.append([document])
                except TooLarge:
                    await self._set_aside(subject, document.get("outbox", ()))
                    refused.add(subject)
        return refused

    async def _publish(self, batch: Mapping[str, Entries]) -> set[str]:
        """Publish the outboxes. Returns the subjects that the broker refuses an event of, for its size."""
        refused: set[str] = set()
        fresh = {
            subject: entries[_first_after(entries, self._published.get(subject, 0)) :]
            for subject, entries in batch.items()
        }
        waiting = {s: entries for s, entries in fresh.items() if entries}
        try:
            await self._publisher.publish(waiting)
        except TooLarge:
            refused = await self._publish_each(waiting)
        for subject, entries in waiting.items():
            if subject not in refused:
                self._count_published(subject, entries)
        for subject in batch.keys() - refused:
            self._store.set_aside.published(subject)
        return refused

    async def _publish_each(self, waiting: Mapping[str, Entries]) -> set[str]:
        """Publish event by event, so that the one which the broker refuses holds up nothing but its own record.

        What follows it in its record waits: a subject's events are never out of order.
        """
        refused: set[str] = set()
        for subject, entries in waiting.items():
            for index, entry in enumerate(entries):
                try:
                    await self._publisher.publish({subject: [entry]})
                except TooLarge:
                    await self._set_aside(subject, entries[index:])
                    self._count_published(subject, entries[:index])
                    refused.add(subject)
                    break
        return refused

    async def _set_aside(self, subject: str, entries: Entries) -> None:
        """Leave a record's events in its outbox for a while, with a dead letter that says so."""
        if entries:
            wall = datetime.now(UTC)
            await self._store.add_dead_letters([unpublished(subject, entries[0], wall)])
        if not self._store.set_aside.unpublished(subject):
            self._metrics.dead_letters.labels("too-large").inc()
        self._store.set_aside.add(subject, UNPUBLISHED)

    def _count_published(self, subject: str, entries: Entries) -> None:
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
