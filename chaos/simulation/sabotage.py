"""The guards of the reactor, each taken away: what a history finds then is the proof that it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chaos.simulation.replica import Parts
from shared.contracts.topics import Topic
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record import Record
from shared.runtime.core.store import Document, Store
from shared.runtime.core.work import Outcome, Work
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.kafka.offset_commits import commit_offsets
from shared.runtime.kafka.positions import end_offsets
from shared.runtime.wall_clock import WallClock
from shared.testing.fakes import MemoryStore, apply_update, decoded, encoded


class NoVersionCheck(MemoryStore):
    """Writes whatever the version is."""

    def _upsert(self, write: Any) -> bool:
        subject = write._filter["_id"]
        raw = self.disk.records.get(subject)
        document = dict(write._filter) if raw is None else decoded(raw)
        apply_update(document, write._doc)
        self.disk.records[subject] = encoded(document)
        return True


class NoAppliedSequence(MemoryStore):
    """Does not remember what was applied."""

    async def load(self, subjects: Any, *, commands: bool = True) -> dict[str, Record]:
        found = await super().load(subjects, commands=commands)
        for record in found.values():
            record.inbox.clear()
        return found


class OnlyNewEvents(Reactor):
    """Relays what a save added, not the whole waiting outbox."""

    def _after_save(self, records: Any) -> None:
        for record in records:
            if record.new_events:
                self._relay.enqueue(record.subject, record.new_events)
            if record.new_handoffs:
                self.hand_over(record.subject, [*record.handoffs, *record.new_handoffs])


class _OffsetBeforeSave(Consumer):
    """Commits what it is about to do."""

    async def _process(self, batch: Sequence[Any]) -> None:
        ends = end_offsets(batch)
        self._positions.advance(ends)
        await commit_offsets(self._kafka, ends, self.store_id)
        await super()._process(batch)


class _NoStreamBlocking(Reactor):
    """Skips what can't be decided, and lets what comes after it pass."""

    async def submit(self, works: Sequence[Work]) -> list[Outcome]:
        return await super().submit([work for work in works if work.unreadable is None])


async def _no_numbering_check(_kafka: KafkaConnection, _own: Topic, _store: Store) -> int:
    """Starts on whatever store it is given."""
    return 0


class _NoSweep(Reactor):
    """Leaves to nobody what a crash left."""

    async def sweep(self, before: Any, buckets: Any) -> int:
        del before, buckets
        return 0


class ForgetsAnswers(MemoryStore):
    """Does not remember which commands were answered."""

    async def load(self, subjects: Any, *, commands: bool = True) -> dict[str, Record]:
        found = await super().load(subjects, commands=commands)
        for record in found.values():
            record.commands.clear()
        return found


class _AnyClock(WallClock):
    """Trusts whatever its own clock shows."""

    async def agrees(self) -> bool:
        return True


class _ClearsAll(MemoryStore):
    """Empties an outbox although a newer event waits in it."""

    async def clear_outboxes(self, published: Mapping[str, int]) -> None:
        def clear(subject: str) -> None:
            document: Document = decoded(self.disk.records[subject])
            document["outbox"] = []
            document.pop("waiting", None)
            self.disk.records[subject] = encoded(document)

        for subject in published:
            await self.seam.call("clear", [lambda s=subject: clear(s)])


GUARDS: Final[Mapping[str, Parts]] = {
    "version-check": Parts(store=NoVersionCheck),
    "inbox-sequence": Parts(store=NoAppliedSequence),
    "whole-outbox": Parts(reactor=OnlyNewEvents),
    "offset-after-save": Parts(consumer=_OffsetBeforeSave),
    "numbering-check": Parts(check_numbering=_no_numbering_check),
    "stream-blocking": Parts(reactor=_NoStreamBlocking),
    "sweep": Parts(reactor=_NoSweep),
    "remembered-answers": Parts(store=ForgetsAnswers),
    "outbox-cleared-up-to": Parts(store=_ClearsAll),
    "clock-compared": Parts(wall_clock=_AnyClock),
}
"""Parts of which one guard is missing, by the guard's name."""
