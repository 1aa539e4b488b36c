"""The relay on the fakes: nothing queued is dropped, nothing refused counts as published, no copy is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from shared.errors import TooLarge
from shared.runtime import retry
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Entries, Relay
from shared.runtime.metrics import Metrics
from shared.runtime.set_aside import UNREADABLE
from shared.testing.fakes import (
    MemoryJournal,
    MemoryPublisher,
    MemoryStore,
    decoded,
    encoded,
)
from tests.unit.runtime.toy import EPISODES, HANDOFFS, KINDS, SOURCE, add, command

ONE, TWO = EPISODES[0], EPISODES[1]
Meanwhile = Callable[[], Any]


class Interrupted(MemoryPublisher):
    """Does something else while it publishes, once; and refuses what is too large for it."""

    meanwhile: Meanwhile | None = None
    refuses: str = ""

    async def publish(self, waiting: Mapping[str, Entries]) -> None:
        if self.refuses in waiting:
            raise TooLarge("event-too-large", "The broker takes no such event.")
        if waiting and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        await super().publish(waiting)


class InterruptedJournal(MemoryJournal):
    """The same, while it writes copies."""

    meanwhile: Meanwhile | None = None

    async def append(self, documents: Any) -> None:
        kept = list(documents)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        await super().append(kept)


class Process:
    """A reactor with its relay, and no sweep: what it does not do at once stays undone."""

    def __init__(self, *, journal: bool = False, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore(KINDS, journaled=journal)
        self.publisher, self.metrics = Interrupted(), Metrics()
        self.journal = InterruptedJournal() if journal else None
        self.relay = Relay(self.store, self.publisher, self.metrics, 100, self.journal)
        self.reactor = Reactor(SOURCE, self.store, self.relay, self.metrics, HANDOFFS)

    async def does(self, subject: str, amount: int, *, loud: bool = True) -> None:
        key = f"{subject} {amount} {loud}"
        await self.reactor.execute(command(subject, add(amount, loud=loud), key))

    def published(self, subject: str) -> list[int]:
        messages = self.publisher.topic.messages
        return [int(headers["ce_sequence"]) for about, headers, _ in messages if about == subject]

    def copied(self, subject: str) -> int:
        assert self.journal is not None
        return decoded(self.journal.copies[-1])["version"] if self.journal.copies else 0


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Process]]:
    """Make processes whose relays run."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)
    tasks: list[asyncio.Task[None]] = []

    def begin(**how: Any) -> Process:
        process = Process(**how)
        tasks.append(asyncio.create_task(process.relay.run()))
        return process

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_queued_while_it_publishes_is_published_too(
    start: Callable[..., Process],
) -> None:
    it = start()
    it.publisher.meanwhile = lambda: it.does(ONE, 3)
    await it.does(ONE, 1)
    await it.relay.flushed()
    assert it.published(ONE) == [1, 2, 3]


async def test_what_the_broker_refuses_is_not_counted_as_published(
    start: Callable[..., Process],
) -> None:
    it = start()
    it.publisher.refuses = ONE
    await it.does(ONE, 1)
    await it.does(TWO, 1)
    await it.relay.flushed()
    assert (it.published(ONE), it.published(TWO)) == ([], [1])
    assert it.relay.published_until(ONE) == 0
    counted = it.metrics.events_published.labels("care.toy.counted.v1")._value.get()
    assert counted == 1


async def test_what_publishes_nothing_is_copied_at_once(start: Callable[..., Process]) -> None:
    it = start(journal=True)
    await it.does(ONE, 1, loud=False)
    await it.relay.flushed()
    assert it.copied(ONE) == 1


async def test_a_copy_that_another_process_has_overtaken_is_written_again(
    start: Callable[..., Process],
) -> None:
    """An older copy may stand behind a newer one: the newest has to come last."""
    it = start(journal=True)
    other = Process(journal=True, store=it.store)  # it is killed before its relay has its turn
    assert it.journal is not None
    it.journal.meanwhile = lambda: other.does(ONE, 2)
    await it.does(ONE, 1)
    await it.relay.flushed()
    assert it.copied(ONE) == 2


async def test_a_damaged_outbox_holds_up_no_other_copy(start: Callable[..., Process]) -> None:
    it = Process(journal=True)
    for subject in (ONE, TWO):
        await it.does(subject, 1)
    document = decoded(it.store.disk.records[ONE])
    document["outbox"] = [{"sequence": "one"}]
    it.store.disk.records[ONE] = encoded(document)
    relay = asyncio.create_task(it.relay.run())
    await it.relay.flushed()
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    assert (it.published(ONE), it.published(TWO)) == ([], [1])
    assert it.store.set_aside.view() == [{"subject": ONE, "reason": UNREADABLE}]
