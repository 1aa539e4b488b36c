"""One replica of the simulated service: the real parts on wires that take their time, fail, and break for good."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Protocol, TypeVar

from chaos.simulation import toy
from chaos.simulation.broker import Dead, Group, Log, Member
from shared.contracts.topics import PARTITIONS, Topic
from shared.errors import Unavailable
from shared.runtime.clock import Clock
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Entries, Relay
from shared.runtime.core.store import Store
from shared.runtime.kafka import startup_checks
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.metrics import Metrics
from shared.runtime.settings import ServiceSettings
from shared.runtime.timers import Timers
from shared.runtime.wall_clock import WallClock
from shared.testing.fakes import Disk, MemoryStore, Seam, away

START: Final = datetime(2026, 3, 2, 15, 0, 0, 123_457, tzinfo=UTC)
BATCH: Final = 20
RIGHT_CLOCKS: Final = 0.6
"""The share of processes whose clock is right."""
TOLERANCE_SECONDS: Final = 5.0
WRONG_SECONDS: Final = (-600.0, -20.0, -3.0, 3.0, 20.0, 600.0)
"""How much a clock may be ahead: some within the tolerance, some beyond it, both ways."""
SETTINGS: Final = ServiceSettings()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a replica is made of. A sabotage puts one part of its own in."""

    store: type[MemoryStore] = MemoryStore
    relay: type[Relay] = Relay
    reactor: type[Reactor] = Reactor
    consumer: type[Consumer] = Consumer
    wall_clock: type[WallClock] = WallClock
    check_numbering: Callable[[KafkaConnection, Topic, Store], Awaitable[int]] = (
        startup_checks.check_numbering
    )


class VirtualClock(Clock):
    """The domain time that goes with the loop's virtual seconds, as a replica's clock has it."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__()
        self.ahead = ahead
        """How much it is wrong: negative for a clock that is slow."""

    def now(self) -> datetime:
        return true_time() + self.ahead


def true_time() -> datetime:
    """What a clock that is right would show."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class TrueTime:
    """The store's clock, which is right."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def wall(self) -> datetime:
        """The time. Raises `Unavailable` as every call over the wire."""
        await self._wire.passed("wall")
        return true_time()


class Wire(Seam):
    """What stands between one replica and the world: every call takes its time, and may fail or be the last."""

    FAILS: ClassVar = 0.04
    KILLS: ClassVar = 0.01

    def __init__(self, chance: random.Random, on_death: Callable[[], None]) -> None:
        super().__init__()
        self.chance = chance
        self.on_death = on_death
        self.harm = True
        self.open = asyncio.Event()
        self.open.set()

    async def passed(self, name: str) -> None:
        """A call without an effect of its own: it takes time, and fails before or not at all."""
        await self.call(name, [])

    async def call(self, name: str, effects: Sequence[Callable[[], T]]) -> list[T]:
        await self._takes_its_time()
        fate = self.chance.random() if self.harm else 1.0
        if fate < self.KILLS:
            self._some(effects)
            self.dead = True
            self.on_death()
            raise Dead
        if fate < self.KILLS + self.FAILS:
            self._some(effects)
            raise away()
        done = [effect() for effect in effects]
        await self._takes_its_time()
        return done

    def _some(self, effects: Sequence[Callable[[], Any]]) -> None:
        """None, all, or any of them: an unordered bulk that broke off."""
        share = self.chance.choice((0.0, 0.5, 1.0))
        for effect in effects:
            if self.chance.random() < share:
                effect()

    async def _takes_its_time(self) -> None:
        slow = self.chance.random() < 0.03
        await asyncio.sleep(self.chance.uniform(0, 3.0 if slow else 0.01))
        await self.open.wait()
        if self.dead:
            raise Dead


class Publisher:
    """Appends to the log; what fails halfway has said a part of it, in order per subject."""

    def __init__(self, log: Log, wire: Wire) -> None:
        self._log = log
        self._wire = wire

    async def publish(self, waiting: Mapping[str, Entries]) -> None:
        for subject, entries in waiting.items():
            for entry in entries:
                append = partial(
                    self._log.append, toy.OWN, subject, entry["headers"], bytes(entry["data"])
                )
                await self._wire.call("publish", [append])


class Surroundings(Protocol):
    """What a replica meets outside itself: the log, the group, the disk, and the parts that it is made of."""

    seed: int
    harm: bool
    parts: Parts
    disk: Disk
    log: Log
    group: Group


class Replica:
    """One process of the service: the real parts on simulated wires."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world = world
        self.wire = Wire(random.Random(f"{world.seed}/{name}"), self._died)
        self.wire.harm = world.harm
        parts, metrics = world.parts, Metrics()
        right = not world.harm or self.wire.chance.random() < RIGHT_CLOCKS
        self.clock = VirtualClock(
            timedelta() if right else timedelta(seconds=self.wire.chance.choice(WRONG_SECONDS))
        )
        self.store = parts.store(toy.KINDS, world.disk, self.wire)
        self.relay = parts.relay(self.store, Publisher(world.log, self.wire), metrics, 100)
        self.reactor = parts.reactor(toy.OWN, self.store, self.relay, metrics, toy.HANDOFFS)
        self.consumer = parts.consumer(
            service="toy",
            settings=SETTINGS,
            reactions=toy.REACTIONS,
            reactor=self.reactor,
            relay=self.relay,
            store=self.store,
            clock=self.clock,
            metrics=metrics,
        )
        self.member = Member(world.log, world.group, name, self.wire.passed)
        self.member.listener = self.consumer
        inner: Any = self.consumer
        inner._subscriber = SimpleNamespace(consumer=self.member)
        wall_clock = parts.wall_clock(TrueTime(self.wire), TOLERANCE_SECONDS, self.clock.now)
        self.timers = Timers(self.store, self.reactor, self.consumer, self.clock, wall_clock)
        self.alive = True
        loops = (self.relay.run, self.timers.run, self._fetch, self._sweep)
        self.tasks = [asyncio.create_task(self._live(run)) for run in loops]
        world.group.join(self.member)

    async def _live(self, run: Callable[[], Any]) -> None:
        while True:
            with suppress(Unavailable):
                await run()

    async def _fetch(self) -> None:
        while True:
            await self.wire.passed("fetch")
            records = self.member.fetch(BATCH)
            if records:
                await self.consumer.on_batch(records)
            else:
                await asyncio.sleep(0.2)

    async def _sweep(self) -> None:
        while True:
            # Any replica may take up anything: a repeated event is known by its number.
            await self.reactor.sweep(datetime.now(UTC) + timedelta(days=1), range(PARTITIONS))
            await asyncio.sleep(self.wire.chance.uniform(1, 6))

    def _died(self) -> None:
        self.alive = False
        self.member.silent = True
        asyncio.get_running_loop().call_soon(self._bury)

    def _bury(self) -> None:
        for task in self.tasks:
            task.cancel()

    def kill(self) -> None:
        """-9: nothing of it has any effect from now on."""
        self.wire.dead = True
        self._died()

    async def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later: what it had in hand goes on as if nothing had happened."""
        self.wire.open.clear()
        self.member.silent = True
        await asyncio.sleep(seconds)
        self.wire.open.set()
        await asyncio.sleep(
            self.wire.chance.uniform(0, 5)
        )  # it believes in its partitions a little longer
        if not self.alive:
            return
        self.member.silent = False
        if self.member not in self.world.group.members:
            with suppress(Dead):
                await self.consumer.on_partitions_revoked(sorted(self.member.positions))
            if not self.alive:
                return
            self.member.positions = {}
            self.world.group.join(self.member)
