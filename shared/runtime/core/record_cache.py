"""Records that this process has just written, kept so that the next event about the same person need not read them.

What is kept may be behind the store, because another replica may have written since. That costs a lost race and a
second look, never a wrong write: every save is guarded by the version that it was decided on. Only numbered work
(events, handoffs) is decided on it, for all that such work may leave unsaved is that it was seen before, which stays
true. Commands, deadlines and whoever asks a question read the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from shared.runtime.core.record import Record

RECORDS_MAX: Final = 1_000
BYTES_MAX: Final = 2 * 1024 * 1024
"""The most that the states kept may come to, as JSON: about six times as much in memory."""


class RecordCache:
    """The records written last, as they are in the store; the longest unused is forgotten first."""

    def __init__(self, records_max: int, published: Callable[[str], int]) -> None:
        """`published` tells the last sequence of a subject that this process knows to be on the topic."""
        self._records_max: Final = records_max
        self._published = published
        self._kept: OrderedDict[str, Record] = OrderedDict()
        self._waiting: set[str] = set()
        self._bytes = 0

    def take(self, subjects: Iterable[str]) -> dict[str, Record]:
        """Those of these subjects that are kept, each to be changed at will.

        A record whose events are not known to be on the topic is not among them: its outbox is in the store.
        """
        found: dict[str, Record] = {}
        for subject in subjects:
            record = self._kept.get(subject)
            if record is None:
                continue
            if subject in self._waiting:
                if self._published(subject) < record.next_sequence - 1:
                    continue
                self._waiting.discard(subject)
            self._kept.move_to_end(subject)
            found[subject] = record.copy()
        return found

    def keep(self, saved: Iterable[Record]) -> None:
        """Keep these as they now are in the store; not one that was overtaken meanwhile, or that hands work over."""
        for record in saved:
            subject, kept = record.subject, self._kept.get(record.subject)
            if kept is not None and kept.version > record.version:
                continue
            if record.handoffs or record.new_handoffs:
                self.forget([subject])
                continue
            self.forget([subject])
            self._kept[subject] = record.settled()
            self._bytes += record.state_bytes
            if record.outbox or record.new_events:
                self._waiting.add(subject)
        while len(self._kept) > self._records_max or self._bytes > BYTES_MAX:
            self.forget([next(iter(self._kept))])

    def forget(self, subjects: Iterable[str]) -> None:
        """Read these from the store the next time."""
        for subject in subjects:
            record = self._kept.pop(subject, None)
            self._bytes -= 0 if record is None else record.state_bytes
            self._waiting.discard(subject)
