"""The whole stack under force: kills, frozen processes, cut lines, and an independent ledger at the end.

The load is the demo's: a seeded population lives through its year and a half. Its driver repeats each command with the
same key until it is accepted, steps the clock only when all is quiet, and keeps a journal. A seed reproduces the load
and the schedule of faults; where exactly a fault hits is the machine's chance (exact replay is the simulation's job).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import ChainMap, Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console

from chaos.faults import Harm, Schedule, Victim
from chaos.proxy import Proxy
from demo.cast.company import Story
from demo.cast.protagonist import PROGRAMS
from demo.cast.stories import STORIES
from demo.ledger import Ledger, judge
from demo.population import population
from demo.quiet import TopicEnds
from demo.run import WHOLE_DAYS, live_through
from demo.witnesses import gather
from demo.world import World
from shared.contracts.topics import MAX_MESSAGE_BYTES, TOPICS
from shared.devtools.backends import BackendError
from shared.devtools.backends.kafka import apache_server
from shared.devtools.backends.process import ServerProcess, free_port
from shared.devtools.backends.store import store_server, store_uri
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import ServiceProcess
from shared.errors import CareError
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_consumer, new_producer
from shared.services import SERVICES

REPLICAS: Final = 2
"""Every service runs twice, so that groups rebalance and records are raced for."""
SKEWS_SECONDS: Final = (0.0, 0.0, 1_200.0, -1_200.0)
"""How wrong the wall clock of a process may be; a restart draws anew."""
SPREAD_DAYS: Final = 0.75 * WHOLE_DAYS
"""The kills fall on the simulated time from the first day to this one, evenly."""
PATIENCE_SECONDS: Final = 600.0
PROGRESS_WITHIN_SECONDS: Final = 240.0
EFFECTS_MIN: Final = 5
"""Events that must be published between two rounds: proof that the stack had come back to work."""


class ChaosError(CareError):
    """The rig can't go on: no progress, or a process that does not come back."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is told."""

    kills: int = 20
    seed: int = 1
    episodes: int = 0
    """How many people; 0: as many as the kills need."""
    prefix: str = "care_"
    cast: bool = True
    """Whether the fixed cast lives its stories beside the people."""

    @property
    def stories(self) -> Mapping[int, Story]:
        """Who is in the cast."""
        return STORIES if self.cast else {}

    @property
    def people(self) -> int:
        """Enough load to last for all the kills."""
        return self.episodes or max(6, self.kills // 10)


@dataclass(slots=True)
class Verdict:
    """The ledger, and what was done to the stack meanwhile."""

    ledger: Ledger
    seed: int
    kills: Counter[str]
    faults: Counter[str]
    replayed: int
    effects: list[int] = field(default_factory=list[int])
    """Events published between one round and the next."""

    def report(self) -> dict[str, Any]:
        """For machines: the demo ledger's fields and the rig's own."""
        total = sum(self.kills.values())
        return {
            **self.ledger.report(),
            "seed": self.seed,
            "kills": total,
            "kills_by_process": dict(sorted(self.kills.items())),
            "shares": {
                name: round(self.kills[name] / total, 3) if total else 0.0
                for name in ("broker", "store")
            },
            "faults": dict(sorted(self.faults.items())),
            "replayed": self.replayed,
            "rounds": len(self.effects),
            "effects_between_rounds_min": min(self.effects, default=0),
        }


class PatientEnds(TopicEnds):
    """The ends of a broker that may be away when the demo's driver looks."""

    async def read(self) -> Mapping[str, int]:
        while True:
            try:
                async with asyncio.timeout(10):
                    return await super().read()
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(0.2)


class SkewedProcess(ServiceProcess):
    """A replica on a machine whose clock may be wrong, either way."""

    def __init__(self, name: str, port: int, env: Mapping[str, str], log: Path, harm: Harm) -> None:
        super().__init__(name, port, env, log)
        self._harm = harm

    def command(self) -> list[str]:
        seconds = self._harm.chance.choice(SKEWS_SECONDS)
        self._harm.faults["skew"] += seconds != 0
        return [sys.executable, "-m", "chaos.skewed", str(seconds), f"services.{self.name}.app"]


class Rig:
    """Servers, proxies and services, and the run over them."""

    def __init__(self, directory: Path, options: Options, console: Console) -> None:
        self.options = options
        self.console = console
        self.issuer = LocalIssuer(issued_before_seconds=3_600)
        self.bus = Proxy("bus", free_port())
        self.stores = {name: Proxy(f"store of {name}", free_port()) for name in SERVICES}
        self.broker: ServerProcess = apache_server(
            directory, console.print, lambda _what, _share: None, through=self.bus.port
        )
        self.store: ServerProcess = store_server(directory)
        self.processes: dict[str, ServiceProcess] = {}
        self.harm = Harm(
            victims=self.victims,
            proxies={proxy.name: proxy for proxy in self.proxies},
            replay=self._replay,
            chance=random.Random(f"harm/{options.seed}"),  # noqa: S311 - a seeded schedule
        )
        for name, number in product(SERVICES, range(REPLICAS)):
            self.processes[f"{name}-{number}"] = self._service(name, number, directory)

    @property
    def proxies(self) -> Sequence[Proxy]:
        return [self.bus, *self.stores.values()]

    @property
    def victims(self) -> Mapping[str, Victim]:
        return ChainMap[str, Any](self.processes, {"broker": self.broker, "store": self.store})

    @property
    def kafka(self) -> KafkaConnection:
        """The broker itself, for the driver and the ledger, who are not part of what is proved."""
        return KafkaConnection(kafka_bootstrap=f"127.0.0.1:{self.broker.port}")

    def _service(self, name: str, number: int, directory: Path) -> ServiceProcess:
        env = {
            **os.environ,
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{self.bus.port}",
            "MONGO_URI": store_uri(self.stores[name].port),
            "CARE_MODE": "development",
            "CARE_JWKS": self.issuer.jwks,
            "CARE_CLOCK": "stepped",
            "CARE_SWEEP_AFTER_SECONDS": "2",
            "CARE_SESSION_TIMEOUT_MS": "6000",
            "CARE_DATABASE_PREFIX": self.options.prefix,
            "CARE_PROGRAMS": str(PROGRAMS),
        }
        log = directory / f"{name}-{number}.log"
        return SkewedProcess(name, free_port(), env, log, self.harm)

    # --- life ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def up(self) -> AsyncGenerator[None]:
        """Everything runs; at the end everything stops."""
        self.bus.upstream = self.broker.behind or self.broker.port
        for proxy in self.stores.values():
            proxy.upstream = self.store.port
        try:
            for proxy in self.proxies:
                await proxy.start()
            for server in (self.broker, self.store):
                await asyncio.to_thread(server.start)
            for process in self.processes.values():
                process.start()
            yield
        finally:
            for process in self.processes.values():
                await asyncio.to_thread(process.stop)
            for server in (self.broker, self.store):
                await asyncio.to_thread(server.stop)
            for proxy in self.proxies:
                await proxy.stop()

    async def run(self) -> Verdict:
        """Load, rounds of harm, healing, and the ledger."""
        urls = {
            (name if n == "0" else key): process.url
            for key, process in self.processes.items()
            for name, _, n in (key.rpartition("-"),)
        }
        world = World(
            urls,
            self.issuer,
            PatientEnds(self.kafka),
            self.options.seed,
            patience_seconds=PATIENCE_SECONDS,
        )
        effects: list[int] = []
        try:
            people = population(self.options.people, self.options.seed)
            await published(world)  # connects, once for the load and the rounds
            load = asyncio.create_task(live_through(world, people, self.options.stories))
            rounds = asyncio.create_task(self._rounds(world, load, effects))
            await asyncio.gather(load, rounds)
            assert world.now is not None
            evidence = await gather(
                self.kafka,
                store_uri(self.store.port),
                self.options.prefix,
                SERVICES,
                world.journal.accepted,
                world.now,
            )
        finally:
            await world.close()
        harm = self.harm
        return Verdict(
            judge(evidence), self.options.seed, harm.kills, harm.faults, harm.replayed, effects
        )

    async def _rounds(self, world: World, load: asyncio.Task[None], effects: list[int]) -> None:
        schedule = Schedule(
            self.options.seed,
            list(self.processes),
            ["broker", "store"],
            [proxy.name for proxy in self.proxies],
        )
        await progress(world, load)
        assert world.now is not None
        begin = world.now
        while (left := self.options.kills - sum(self.harm.kills.values())) > 0 and not load.done():
            share = 1 - left / self.options.kills
            await self._lived(world, load, begin + timedelta(days=share * SPREAD_DAYS))
            await self.harm.strike(schedule.round(left))
            new = await progress(world, load)
            if not load.done():  # else the load has come to its end, which shows more
                effects.append(new)
            kills = sum(self.harm.kills.values())
            when = world.now.strftime("%d %b %Y")
            self.console.print(
                f"{when}  {kills} kills, {new} events since the last round, "
                f"{world.journal.requests:,} commands, {world.journal.repeated:,} tries repeated"
            )

    async def _lived(self, world: World, load: asyncio.Task[None], until: datetime) -> None:
        """Wait until the simulated time has come; some progress within a bound is `progress`'s to see."""
        while world.now is not None and world.now < until and not load.done():
            await progress(world, load)

    async def _replay(self) -> int:
        """Say again, as they stand on the topic, the last events of some subjects, as an at-least-once producer may."""
        try:
            return await replay(self.kafka, self.harm.chance)
        except (KafkaError, OSError, TimeoutError):
            return 0  # the broker was just being killed


async def progress(world: World, load: asyncio.Task[None]) -> int:
    """Wait until the stack works again: events are published and commands accepted, or the load is done.

    Returns the new events. Raises `ChaosError` when nothing happens for too long.
    """
    events, accepted = await published(world), len(world.journal.accepted)
    try:
        async with asyncio.timeout(PROGRESS_WITHIN_SECONDS):
            while not load.done():
                new = await published(world) - events
                if new >= EFFECTS_MIN and len(world.journal.accepted) > accepted:
                    return new
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise ChaosError("no-progress", "Nothing happened after a round of faults.") from None
    return await published(world) - events


async def published(world: World) -> int:
    """How many events there are."""
    return sum((await world.ends()).values())


async def ends(kafka: KafkaConnection) -> dict[TopicPartition, int]:
    """The end offsets of all topics, whenever the broker is there to ask."""
    partitions = [TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)]
    while True:
        consumer = new_consumer(kafka, enable_auto_commit=False)
        try:
            async with asyncio.timeout(10):
                await consumer.start()
                found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
                return found
        except (KafkaError, OSError, TimeoutError):
            await asyncio.sleep(0.2)
        finally:
            await consumer.stop()


async def replay(kafka: KafkaConnection, chance: random.Random) -> int:
    """Append the last records of some partitions once more, each subject's from some number to its latest."""
    positions = {tp: end for tp, end in (await ends(kafka)).items() if end}
    chosen = chance.sample(sorted(positions), min(3, len(positions)))
    consumer = new_consumer(kafka, enable_auto_commit=False)
    producer = new_producer(kafka, acks="all", max_request_size=MAX_MESSAGE_BYTES)
    sent = 0
    async with asyncio.timeout(20):
        await consumer.start()
        await producer.start()
        try:
            for tp in chosen:
                consumer.assign([tp])
                consumer.seek(tp, max(0, positions[tp] - 20))
                batch = await consumer.getmany(timeout_ms=2_000)
                for record in batch.get(tp, []):
                    await producer.send_and_wait(
                        tp.topic,
                        record.value,
                        record.key,
                        tp.partition,
                        headers=list(record.headers),
                    )
                    sent += 1
        finally:
            await consumer.stop()
            await producer.stop()
    return sent


async def rampage(options: Options, directory: Path, console: Console) -> Verdict:
    """One run of the rig. Raises `ChaosError` or `BackendError` when it can't go on."""
    rig = Rig(directory, options, console)
    async with rig.up():
        return await rig.run()


__all__ = ["BackendError", "ChaosError", "Options", "Verdict", "rampage"]
