"""A replica says that it is quiet at the moment at which it becomes so: woken, never polled, and never too early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from shared.runtime.changes import Changes
from shared.runtime.clock import Clock, SteppedClock
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import OutcomeStatus
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.metrics import Metrics
from shared.runtime.quiescence import Quiescence
from shared.runtime.timers import Timers
from shared.testing.fakes import MemoryPublisher, MemoryStore
from tests.unit.runtime.toy import ALL, EPISODES, HANDOFFS, KINDS, SOURCE, START, Feed, add, arm

LONG = 3_600.0
"""No test waits for it: whoever is not woken fails by the test's own time limit."""
TURNS = 50


async def turns() -> None:
    """Let everybody go on who can."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


# --- changes -----------------------------------------------------------------------------------------------


async def test_who_waits_looks_at_once_and_then_at_each_change() -> None:
    changes, looked = Changes(), [0, 0]

    def third_look(who: int) -> Callable[[], bool]:
        def look() -> bool:
            looked[who] += 1
            return looked[who] == 3

        return look

    waiting = [asyncio.create_task(changes.until(third_look(who))) for who in (0, 1)]
    for looks in (1, 2, 3):
        await turns()
        assert looked == [looks, looks]
        assert all(task.done() for task in waiting) == (looks == 3)
        changes.notify()
    await turns()
    assert looked == [3, 3], "nobody looks who does not wait"


# --- what has to be still ----------------------------------------------------------------------------------


class Parts:
    """All that has to be still in a replica, each busy until it is told otherwise."""

    def __init__(self, *busy: str) -> None:
        self.clock = SteppedClock()
        self.clock.step_to(START)
        self.started = asyncio.Event()
        self.is_busy = set(busy)
        self.position = 0
        self.waits: list[str] = []
        self._changes = Changes()
        if "start" not in self.is_busy:
            self.started.set()
        part: Any = self
        self.quiescence = Quiescence(self.started, part, part, part, part, self.clock)

    def end(self, part: str) -> None:
        """This part has nothing in hand any more."""
        self.is_busy.discard(part)
        if part == "start":
            self.started.set()
        self._changes.notify()

    async def _until(self, part: str, still: Callable[[], bool]) -> None:
        self.waits.append(part)
        await self._changes.until(still)

    @property
    def busy(self) -> bool:
        return "reactor" in self.is_busy

    async def settle(self) -> None:
        await self._until("reactor", lambda: not self.busy)

    @property
    def idle(self) -> bool:
        return "relay" not in self.is_busy

    async def flushed(self) -> None:
        await self._until("relay", lambda: self.idle)

    def reached(self, positions: Mapping[str, int]) -> bool:
        return "consumer" not in self.is_busy and positions.get("here", 0) <= self.position

    async def until_reached(self, positions: Mapping[str, int]) -> None:
        await self._until("consumer", lambda: self.reached(positions))

    def ran(self, _clock: Clock) -> bool:
        return "timers" not in self.is_busy

    async def until_ran(self, clock: Clock) -> None:
        await self._until("timers", lambda: self.ran(clock))


PARTS = ["start", "reactor", "relay", "consumer", "timers"]


async def test_who_is_quiet_is_so_at_once() -> None:
    parts = Parts()
    assert not parts.quiescence.busy
    assert await parts.quiescence.reached({}, 0)
    assert parts.waits == []


@pytest.mark.parametrize("part", PARTS)
async def test_each_part_is_waited_for_and_wakes_who_waits(part: str) -> None:
    parts = Parts(part)
    assert parts.quiescence.busy
    waiting = asyncio.create_task(parts.quiescence.reached({}, LONG))
    await turns()
    assert not waiting.done()
    parts.end(part)
    await turns()
    assert waiting.done()
    assert await waiting
    assert not parts.quiescence.busy


async def test_positions_are_waited_for_although_nothing_is_in_hand() -> None:
    parts = Parts()
    waiting = asyncio.create_task(parts.quiescence.reached({"here": 7}, LONG))
    for parts.position in (5, 6):
        parts.end("consumer")
        await turns()
        assert not waiting.done()
    parts.position = 7
    parts.end("consumer")
    assert await waiting


@pytest.mark.parametrize("again", PARTS[1:])
async def test_a_part_that_begins_again_while_another_is_waited_for_is_waited_for_again(
    again: str,
) -> None:
    """One moment at which all are still, and not one moment for each."""
    last = "timers" if again != "timers" else "consumer"
    parts = Parts(last)
    waiting = asyncio.create_task(parts.quiescence.reached({}, LONG))
    await turns()
    assert parts.waits[-1] == last
    parts.is_busy.add(again)
    parts.end(last)
    await turns()
    assert not waiting.done()
    parts.end(again)
    assert await waiting


@pytest.mark.parametrize("part", PARTS)
async def test_the_wait_is_bounded(part: str) -> None:
    assert not await Parts(part).quiescence.reached({}, 0)


async def test_without_a_time_there_is_nothing_to_wait_for() -> None:
    parts = Parts("timers")
    part: Any = parts
    unset = Quiescence(parts.started, part, part, part, part, SteppedClock())
    assert not await unset.reached({}, LONG)


# --- the real parts ----------------------------------------------------------------------------------------


class Replica:
    """Reactor, relay and timers on the fakes, beside a consumer that has heard everything."""

    def __init__(self) -> None:
        self.store = MemoryStore(KINDS)
        self.gate = asyncio.Event()
        self.gate.set()
        self.relay = Relay(self.store, MemoryPublisher(), Metrics(), 100)
        self.reactor = Reactor(SOURCE, self.store, self.relay, Metrics(), HANDOFFS)
        self.clock = SteppedClock()
        self.buckets = self.firing_buckets = list(ALL)
        consumer = cast("Consumer", self)
        self.timers = Timers(self.store, self.reactor, consumer, self.clock)
        started = asyncio.Event()
        started.set()
        self.quiescence = Quiescence(
            started, self.reactor, self.relay, consumer, self.timers, self.clock
        )

    async def caught_up(self) -> bool:
        await self.gate.wait()
        return True

    def reached(self, _positions: Mapping[str, int]) -> bool:
        return True

    async def until_reached(self, _positions: Mapping[str, int]) -> None:
        return


@asynccontextmanager
async def alive() -> AsyncIterator[Replica]:
    it = Replica()
    tasks = [asyncio.create_task(run()) for run in (it.relay.run, it.timers.run)]
    try:
        yield it
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_quiet_means_that_deadlines_have_fired_and_what_they_said_is_published() -> None:
    async with alive() as it:
        await it.reactor.submit([Feed().says(name, arm) for name in EPISODES])
        for hours in range(10):
            it.clock.step_to(START + timedelta(hours=hours))
            assert it.quiescence.busy, "the deadlines of this instant have not been looked for"
            assert await it.quiescence.reached({}, LONG)
            assert it.timers.ran_until == it.clock.now()
            records = await it.store.load(EPISODES)
            assert not any(record.outbox or record.handoffs for record in records.values())
            due = await it.store.next_due(START + timedelta(days=1))
            assert due is None or due > it.clock.now()
        assert await it.store.next_due(START + timedelta(days=1)) is None


async def test_timers_that_may_not_fire_yet_keep_it_busy() -> None:
    async with alive() as it:
        it.gate.clear()
        it.clock.step_to(START)
        waiting = asyncio.create_task(it.quiescence.reached({}, LONG))
        await turns()
        assert not waiting.done()
        it.gate.set()
        assert await waiting


async def test_on_wall_time_deadlines_keep_nobody_busy() -> None:
    async with alive() as it:
        assert it.timers.ran(Clock())


async def test_who_gives_up_waiting_ends_nothing_of_what_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alive() as it:
        it.clock.step_to(START)
        assert await it.quiescence.reached({}, LONG)
        held, save = asyncio.Event(), it.store.save

        async def slow(*args: Any) -> Any:
            await held.wait()
            return await save(*args)

        monkeypatch.setattr(it.store, "save", slow)
        work = Feed().says(EPISODES[0], add(1))
        command = asyncio.create_task(it.reactor.execute(work))
        waiting = asyncio.create_task(it.quiescence.reached({}, LONG))
        await turns()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert not command.done()
        held.set()
        assert (await command).status is OutcomeStatus.APPLIED
        assert await it.quiescence.reached({}, LONG)
