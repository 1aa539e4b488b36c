"""A write-through cache of the records that this process saved last, so that the next event need not load them.

A cached record may be older than the stored one, because another replica may have written since. A save that was
decided on such a copy fails and is repeated; it never overwrites the newer record, because optimistic locking compares
the versions. Only numbered work (events, handoffs) uses the cache. Work that does not change a cached record is
decided again on the stored one. Commands, deadlines and queries read the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from shared.runtime.core.record import Record

RECORDS_MAX: Final = 1_000
BYTES_MAX: Final = 2 * 1024 * 1024
"""The most that all cached states may take, measured as JSON: in memory it is about six times as much."""


class RecordCache:
    """The records saved last, as they are in the store. It evicts the least recently used first."""

    def __init__(self, records_max: int, published: Callable[[str], int]) -> None:
        """`published` returns the last sequence of a subject that this process knows to be on the topic."""
        self._records_max: Final = records_max
        self._published = published
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._waiting: set[str] = set()
        self._bytes = 0

    def get(self, subjects: Iterable[str]) -> dict[str, Record]:
        """Copies of the records of those subjects that are cached.

        Leaves out a record whose events are not known to be on the topic yet: only the store has its outbox.
        """
        found: dict[str, Record] = {}
        for subject in subjects:
            record = self._records.get(subject)
            if record is None:
                continue
            if subject in self._waiting:
                if self._published(subject) < record.next_sequence - 1:
                    continue
                self._waiting.discard(subject)
            self._records.move_to_end(subject)
            found[subject] = record.copy()
        return found

    def put(self, saved: Iterable[Record]) -> None:
        """Cache records as they now are in the store; not one that is older than its cached copy or has handoffs."""
        for record in saved:
            subject, cached = record.subject, self._records.get(record.subject)
            if cached is not None and cached.version > record.version:
                continue
            self.evict([subject])
            if record.handoffs or record.new_handoffs:
                continue
            self._records[subject] = record.after_save()
            self._bytes += record.state_bytes
            if record.outbox or record.new_events:
                self._waiting.add(subject)
        while len(self._records) > self._records_max or self._bytes > BYTES_MAX:
            self.evict([next(iter(self._records))])

    def evict(self, subjects: Iterable[str]) -> None:
        """Load these from the store the next time."""
        for subject in subjects:
            record = self._records.pop(subject, None)
            self._bytes -= 0 if record is None else record.state_bytes
            self._waiting.discard(subject)
