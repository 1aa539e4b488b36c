"""Records at hand: they spare reads, are never older than they may be, and are forgotten when somebody else wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from shared.errors import Refused
from shared.inbox import WINDOW
from shared.runtime import retry
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record import Record
from shared.runtime.core.record_cache import BYTES_MAX, RecordCache
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import OutcomeStatus, StreamPosition, Work
from shared.runtime.metrics import Metrics
from shared.testing.fakes import CarefulStore, Disk, MemoryPublisher, MemoryTopic, Seam, away
from tests.unit.runtime.toy import (
    ALL,
    EPISODES,
    HANDOFFS,
    KINDS,
    SESSION,
    SOURCE,
    Feed,
    Rule,
    add,
    arm,
    command,
    gather,
)

ONE, TWO = EPISODES[0], EPISODES[1]


class Replica:
    """One process over a disk and a topic that others share."""

    def __init__(self, disk: Disk, topic: MemoryTopic, record_cache_max: int = 10) -> None:
        self.seam = Seam()
        self.store = CarefulStore(KINDS, disk, self.seam)
        self.metrics = Metrics()
        self.relay = Relay(self.store, MemoryPublisher(topic, self.seam), self.metrics, 100)
        self.reactor = Reactor(
            SOURCE, self.store, self.relay, self.metrics, HANDOFFS, record_cache_max
        )

    async def hears(self, *works: Work) -> list[OutcomeStatus]:
        done = [outcome.status for outcome in await self.reactor.submit(works)]
        await self.quiet()
        return done

    async def quiet(self) -> None:
        await self.reactor.settle()
        await self.relay.flushed()

    async def state(self, subject: str) -> Any:
        return (await self.store.load([subject]))[subject].state

    @property
    def loads(self) -> int:
        return self.seam.calls.count("load")


@pytest.fixture
async def replicas(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Replica, Replica]]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)
    disk, topic = Disk(), MemoryTopic()
    both = Replica(disk, topic), Replica(disk, topic)
    relays = [asyncio.create_task(replica.relay.run()) for replica in both]
    yield both
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)


Replicas = tuple[Replica, Replica]


async def test_the_second_event_about_a_person_reads_nothing(replicas: Replicas) -> None:
    here, _ = replicas
    feed = Feed()
    assert await here.hears(feed.says(ONE, add(1))) == [OutcomeStatus.APPLIED]
    assert (
        await here.hears(feed.says(ONE, add(2)), feed.says(ONE, add(3)))
        == [OutcomeStatus.APPLIED] * 2
    )
    assert here.loads == 1
    assert (await here.state(ONE)).total == 6


async def test_what_another_replica_wrote_is_found_out_and_nothing_is_lost(
    replicas: Replicas,
) -> None:
    here, there = replicas
    feed = Feed()
    works = [feed.says(ONE, add(n)) for n in range(1, 7)]
    for number, work in enumerate(works):
        replica = (here, there)[number % 2]
        assert await replica.hears(work) == [OutcomeStatus.APPLIED]
        assert await replica.hears(work) == [OutcomeStatus.DUPLICATE]
    assert (await here.state(ONE)).total == 21
    assert await here.hears(*works) == [OutcomeStatus.DUPLICATE] * 6
    assert here.metrics.races_lost._value.get() > 0


async def test_what_fails_on_a_record_that_is_behind_gets_no_dead_letter(
    replicas: Replicas,
) -> None:
    """A simulated history found it: the dead letter is written before the save that would have lost its race."""
    here, there = replicas
    feed = Feed()
    first, second = feed.says(ONE, add(1)), feed.says(ONE, add(2))
    third = feed.says(ONE, after(3, add(4)))
    assert await here.hears(first) == [OutcomeStatus.APPLIED]
    assert await there.hears(first, second) == [OutcomeStatus.DUPLICATE, OutcomeStatus.APPLIED]
    assert await here.hears(third) == [OutcomeStatus.APPLIED]
    assert (await here.state(ONE)).total == 7
    assert not here.store.disk.dead_letters


async def test_an_event_that_was_applied_elsewhere_is_not_missed_here(replicas: Replicas) -> None:
    here, there = replicas
    feed = Feed()
    works = [feed.says(ONE, add(n)) for n in range(1, 4)]
    assert await here.hears(feed.says(ONE, add(10), "another")) == [OutcomeStatus.APPLIED]
    assert await there.hears(works[0]) == [OutcomeStatus.APPLIED]
    again = [works[1], works[0], works[2]]
    assert await here.hears(*again) == [
        OutcomeStatus.APPLIED,
        OutcomeStatus.DUPLICATE,
        OutcomeStatus.APPLIED,
    ]
    assert not here.store.disk.dead_letters


async def test_a_repeat_to_a_record_that_is_behind_is_looked_up_in_the_stored_one(
    replicas: Replicas,
) -> None:
    """Another replica set the stream back, and what this one remembers would take a number for an old one."""
    here, there = replicas
    feed = Feed()
    numbers = range(1, WINDOW + 5)
    assert await here.hears(*(feed.says(ONE, add(1)) for _ in numbers))
    record = (await there.store.load([ONE]))[ONE]
    record.set_back("feed", 2)
    assert not await there.store.save([record], datetime.now(UTC))
    right = feed.says(ONE, add(100))
    third = replace(right, stream=StreamPosition("feed", 3, right.cause_id))
    assert await here.hears(third) == [OutcomeStatus.APPLIED]
    assert (await here.state(ONE)).total == len(numbers) + 100
    assert not here.store.disk.dead_letters


def after(total: int, rule: Rule) -> Rule:
    """A rule that fails until the total is reached."""

    def decide(state: Any, cause: Any) -> Any:
        if state.total < total:
            raise Refused("too-early", "The total has not been reached.")
        return rule(state, cause)

    return decide


async def test_commands_and_deadlines_look_at_the_store(replicas: Replicas) -> None:
    here, there = replicas
    feed = Feed()
    await here.hears(feed.says(ONE, add(1)))
    await there.hears(feed.says(ONE, arm))
    outcome = await here.reactor.execute(command(ONE, add(1), "key"))
    assert outcome.status is OutcomeStatus.APPLIED
    assert here.metrics.races_lost._value.get() == 0
    before = here.loads
    due = (await here.state(ONE)).due
    assert due is not None
    work = command(ONE, add(0), "unused")
    work.decide, work.command, work.now = None, None, due
    await here.hears(work)
    assert here.loads > before + 1
    assert "first:x" in (await here.state(ONE)).seen


async def test_a_record_whose_events_wait_is_read_from_the_store(replicas: Replicas) -> None:
    here, _ = replicas
    feed = Feed()
    here.relay.pause()
    await here.reactor.submit([feed.says(ONE, add(1))])
    await here.reactor.submit([feed.says(ONE, add(2))])
    assert here.loads == 2
    kept = here.store.disk.documents()[0]
    assert [entry["sequence"] for entry in kept["outbox"]] == [1, 2]


async def test_a_record_that_hands_work_over_is_read_from_the_store(replicas: Replicas) -> None:
    here, _ = replicas
    feed = Feed()
    await here.hears(feed.says(SESSION, gather([ONE])))
    await here.hears(feed.says(SESSION, gather([TWO])))
    assert here.loads >= 3
    assert await here.reactor.sweep(datetime.now(UTC) + timedelta(hours=1), ALL) == 0


async def test_a_handoff_that_failed_is_not_forgotten_by_the_next_event(
    replicas: Replicas,
) -> None:
    """A cached record has no handoffs: the next ones would be all that wait, and the rest be cleared with them."""
    here, _ = replicas
    feed = Feed()
    with patch.object(here.reactor, "_hand_over", _fails):
        await here.hears(feed.says(SESSION, gather([ONE])))
    await here.hears(feed.says(SESSION, gather([TWO])))
    await here.reactor.sweep(datetime.now(UTC) + timedelta(hours=1), ALL)
    await here.quiet()
    assert [(await here.state(name)).total for name in (ONE, TWO)] == [10, 10]


async def _fails(*_items: Any) -> None:
    raise away()


async def test_nothing_is_kept_when_there_is_no_room() -> None:
    here = Replica(Disk(), MemoryTopic(), record_cache_max=0)
    relay = asyncio.create_task(here.relay.run())
    feed = Feed()
    for _ in range(3):
        assert await here.hears(feed.says(ONE, add(1))) == [OutcomeStatus.APPLIED]
    assert here.loads == 3
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)


def record(subject: str, version: int = 1) -> Record:
    kind = KINDS[subject.partition("/")[0]]
    return Record(subject, kind, kind.state(), version=version)


def test_the_longest_unused_is_forgotten_first() -> None:
    cache = RecordCache(2, lambda _subject: 0)
    cache.put([record(ONE), record(TWO)])
    cache.get([ONE])
    cache.put([record(EPISODES[2])])
    assert cache.get([ONE, TWO, EPISODES[2]]).keys() == {ONE, EPISODES[2]}


def test_large_states_take_the_room_of_many() -> None:
    cache = RecordCache(100, lambda _subject: 0)
    large = [record(subject) for subject in EPISODES[:3]]
    for one in large:
        one.state_bytes = BYTES_MAX // 2
    cache.put(large)
    assert cache.get(EPISODES[:3]).keys() == set(EPISODES[1:3])
    large[2].version, large[2].state_bytes = 2, BYTES_MAX
    cache.put([large[2]])
    assert cache.get(EPISODES[:3]).keys() == {EPISODES[2]}
    large[2].version, large[2].state_bytes = 3, BYTES_MAX + 1
    cache.put([large[2]])
    assert cache.get(EPISODES[:3]) == {}


async def test_states_are_measured_as_they_are_kept(replicas: Replicas) -> None:
    here, _ = replicas
    taken = Feed().says(ONE, add(1))
    await here.hears(taken)
    kept = here.reactor._cache.get([ONE])[ONE]
    assert kept.state_bytes == len(kept.state.model_dump_json())


def test_an_older_save_that_returns_late_does_not_replace_a_newer_one() -> None:
    cache = RecordCache(2, lambda _subject: 0)
    cache.put([record(ONE, version=7)])
    cache.put([record(ONE, version=6)])
    assert cache.get([ONE])[ONE].version == 8


def test_whoever_takes_a_record_changes_a_copy() -> None:
    cache = RecordCache(2, lambda _subject: 0)
    cache.put([record(ONE)])
    cache.get([ONE])[ONE].inbox["feed"] = (9, b"x", b"")
    cache.get([ONE])[ONE].blocked["feed"] = "data-invalid"
    taken = cache.get([ONE])[ONE]
    assert (taken.inbox, taken.blocked) == ({}, {})


async def test_a_record_that_vanished_from_the_store_is_not_written_in_part(
    replicas: Replicas,
) -> None:
    here, _ = replicas
    feed = Feed()
    await here.hears(feed.says(ONE, add(5)))
    here.store.disk.records.clear()
    assert await here.hears(feed.says(ONE, add(2))) == [OutcomeStatus.APPLIED]
    assert (
        here.store.disk.documents()[0]["state"]["total"] == 2
    )  # decided on what is there: nothing
