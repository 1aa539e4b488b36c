"""A wall clock that is wrong: nothing fires on it, and readiness can say so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from shared.errors import Unavailable
from shared.runtime.clock import Clock
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.timers import Timers
from shared.runtime.wall_clock import WallClock
from tests.unit.runtime.test_reactor import CaughtUp, Running, turns_until
from tests.unit.runtime.toy import EPISODES, START, Feed, arm

RIGHT = datetime(2026, 3, 2, 16, tzinfo=UTC)


class Keeper:
    """A store whose answer may take a while on this replica's clock."""

    def __init__(self, at: datetime = RIGHT) -> None:
        self.at = at

    async def wall(self) -> datetime:
        return self.at


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, -1, -60])
async def test_clocks_that_differ_a_little_agree(seconds: int) -> None:
    wall = WallClock(Keeper(), 60, lambda: RIGHT + timedelta(seconds=seconds))
    assert await wall.agrees()
    assert not wall.differs


@pytest.mark.parametrize("seconds", [61, -61, 7_200, -7_200, 2 * 86_400, -365 * 86_400])
async def test_clocks_that_differ_more_do_not_until_they_are_set(seconds: int) -> None:
    ours = [RIGHT + timedelta(seconds=seconds)]
    wall = WallClock(Keeper(), 60, lambda: ours[0])
    assert not await wall.agrees()
    assert wall.differs
    ours[0] = RIGHT
    assert await wall.agrees()
    assert not wall.differs


async def test_a_slow_answer_is_no_difference() -> None:
    times = [RIGHT - timedelta(minutes=10), RIGHT + timedelta(minutes=10)]
    assert await WallClock(Keeper(), 60, lambda: times.pop(0)).agrees()


class Looking(Clock):
    """A clock that counts how often the timers waited on it."""

    def __init__(self, now: datetime) -> None:
        self.at, self.waits = now, 0

    def now(self) -> datetime:
        return self.at

    async def moved(self, since: datetime | None, limit_seconds: float) -> None:
        del since, limit_seconds
        self.waits += 1
        await asyncio.sleep(0)


async def test_no_deadline_fires_on_a_clock_that_is_days_ahead() -> None:
    """It escalated every loop of the next two days within seconds, and was ready."""
    it = Running()
    await it.reactor.submit([Feed().says(name, arm) for name in EPISODES])
    clock, keeper = Looking(START + timedelta(days=2)), Keeper(START + timedelta(minutes=1))
    wall = WallClock(keeper, 60, clock.now)
    timers = Timers(it.store, it.reactor, cast("Consumer", CaughtUp()), clock, wall)
    task = asyncio.create_task(timers.run())
    await turns_until(lambda: clock.waits > 3)
    assert wall.differs
    assert timers.ran_until is None
    states: list[Any] = [await it.state(name) for name in EPISODES]
    assert [state.seen for state in states] == [()] * len(EPISODES)
    keeper.at = clock.at
    await turns_until(lambda: timers.ran_until == clock.at)
    states = [await it.state(name) for name in EPISODES]
    assert all(state.seen for state in states)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_is_asked_before_each_batch_whether_anything_may_fire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Partitions that arrived in the middle of a round had their deadlines fired on stale knowledge."""
    monkeypatch.setattr("shared.runtime.timers.RECORDS_PER_ROUND", 1)
    it = Running()
    await it.reactor.submit([Feed().says(name, arm) for name in EPISODES])
    consumer = CaughtUp()
    answers = [True, False]

    async def caught_up() -> bool:
        return answers.pop(0) if answers else False

    monkeypatch.setattr(consumer, "caught_up", caught_up)
    clock = Looking(START + timedelta(hours=9))
    timers = Timers(it.store, it.reactor, cast("Consumer", consumer), clock)
    assert await timers._round() is False
    states: list[Any] = [await it.state(name) for name in EPISODES]
    assert sum(bool(state.seen) for state in states) == 1
    assert timers.ran_until is None


async def test_partitions_that_come_while_the_store_is_asked_fire_nothing() -> None:
    """The clock was compared after the question whether all is applied: its answer was of another assignment."""
    it = Running()
    await it.reactor.submit([Feed().says(name, arm) for name in EPISODES])
    consumer = CaughtUp()
    held, consumer.buckets = consumer.buckets, []

    class Rebalancing:
        """While it is asked, partitions come that have not caught up."""

        async def agrees(self) -> bool:
            consumer.buckets = held
            return True

    async def caught_up() -> bool:
        return not consumer.buckets

    consumer.caught_up = caught_up  # type: ignore[method-assign]
    clock = Looking(START + timedelta(hours=9))
    wall = cast("WallClock", Rebalancing())
    timers = Timers(it.store, it.reactor, cast("Consumer", consumer), clock, wall)
    assert await timers._round() is False
    states: list[Any] = [await it.state(name) for name in EPISODES]
    assert [state.seen for state in states] == [()] * len(EPISODES)


async def test_it_is_compared_on_a_timer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the store does not answer, and when it does again."""
    monkeypatch.setattr("shared.runtime.wall_clock.COMPARE_SECONDS", 0)
    ours = [RIGHT]
    keeper = Keeper()
    wall = WallClock(keeper, 60, lambda: ours[0])
    task = asyncio.create_task(wall.watch())
    await asyncio.sleep(0)
    assert not wall.differs
    ours[0] = RIGHT + timedelta(days=2)
    await turns_until(lambda: wall.differs)

    async def away() -> datetime:
        raise Unavailable("store-unavailable", "It is away.", hint="Wait.")

    right, keeper.wall = keeper.wall, away  # type: ignore[method-assign]
    ours[0] = RIGHT
    for _ in range(20):
        await asyncio.sleep(0)
    assert wall.differs, "the last comparison counts"
    keeper.wall = right  # type: ignore[method-assign]
    await turns_until(lambda: not wall.differs)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
