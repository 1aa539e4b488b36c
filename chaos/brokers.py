"""`python -m chaos.brokers`: three brokers, each killed in turn under load, and the ledger at the end.

Topics have three replicas, and what a broker acknowledges is on two (`min.insync.replicas=2`). So with one broker dead,
whichever it is, everything goes on; and nothing that was acknowledged is lost when it comes back with older data.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from aiokafka.errors import KafkaError
from rich.console import Console

from chaos.rig import (
    PATIENCE_SECONDS,
    PROGRESS_WITHIN_SECONDS,
    ChaosError,
    PatientEnds,
    progress,
    published,
)
from demo.cast.protagonist import PROGRAMS
from demo.ledger import Ledger, judge
from demo.population import population
from demo.run import live_through
from demo.witnesses import gather
from demo.world import World
from shared.contracts.topics import TOPICS
from shared.devtools.backends import BackendError
from shared.devtools.backends.kafka import three_brokers
from shared.devtools.backends.process import ServerProcess, free_port
from shared.devtools.backends.store import store_server, store_uri
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import ServiceProcess
from shared.errors import CareError, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.topic_ids import in_sync_of
from shared.runtime.kafka.topics import admin_client
from shared.services import SERVICES

REPLICAS: Final = 3
DATABASE_PREFIX: Final = "care_"
DEAD_SECONDS: Final = (1.0, 6.0)
"""How long a broker stays dead: shorter, and longer, than the cluster takes to notice."""
console: Final = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ledger, and how often each broker was killed."""

    ledger: Ledger
    kills: Sequence[int]
    effects_while_dead: Sequence[int]
    """Events published between each kill and the return of the broker."""

    def report(self) -> dict[str, Any]:
        """For machines."""
        return {
            **self.ledger.report(),
            "kills": sum(self.kills),
            "kills_by_broker": list(self.kills),
            "effects_while_dead": list(self.effects_while_dead),
        }


class Cluster:
    """Three brokers, a store and the services, and the run over them."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.brokers = three_brokers(directory, console.print, lambda _what, _share: None)
        self.store: ServerProcess = store_server(directory)
        self.issuer = LocalIssuer()
        self.seed = seed
        self.chance = random.Random(f"brokers/{seed}")  # noqa: S311 - a seeded schedule
        self.processes = [self._service(name, directory) for name in SERVICES]

    @property
    def kafka(self) -> KafkaConnection:
        """All three, so that a client finds whichever lives."""
        addresses = ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)
        return KafkaConnection(kafka_bootstrap=addresses)

    def _service(self, name: str, directory: Path) -> ServiceProcess:
        env = {
            **os.environ,
            **self.kafka.environment(),
            "MONGO_URI": store_uri(self.store.port),
            "CARE_MODE": "development",
            "CARE_JWKS": self.issuer.jwks,
            "CARE_CLOCK": "stepped",
            "CARE_DATABASE_PREFIX": DATABASE_PREFIX,
            "CARE_KAFKA_REPLICATION": str(REPLICAS),
            "CARE_PROGRAMS": str(PROGRAMS),
        }
        return ServiceProcess(name, free_port(), env, directory / f"{name}.log")

    @asynccontextmanager
    async def up(self) -> AsyncGenerator[None]:
        """Everything runs; at the end everything stops."""
        try:
            servers = (*self.brokers, self.store)
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
            for process in self.processes:
                process.start()
            yield
        finally:
            for process in self.processes:
                await asyncio.to_thread(process.stop)
            for server in (*self.brokers, self.store):
                await asyncio.to_thread(server.kill)

    async def run(self, kills: int, episodes: int) -> Verdict:
        """Load and kills, then the ledger."""
        world = World(
            {process.name: process.url for process in self.processes},
            self.issuer,
            PatientEnds(self.kafka),
            self.seed,
            patience_seconds=PATIENCE_SECONDS,
        )
        killed, effects = [0] * len(self.brokers), list[int]()
        try:
            people = population(episodes, self.seed)
            load = asyncio.create_task(live_through(world, people, {}))
            rounds = asyncio.create_task(self._rounds(world, load, kills, killed, effects))
            await asyncio.gather(load, rounds)
            if world.now is None or sum(killed) < kills:
                raise ChaosError("load-too-short", f"Only {sum(killed)} of {kills} kills fell in.")
            evidence = await gather(
                self.kafka,
                store_uri(self.store.port),
                DATABASE_PREFIX,
                SERVICES,
                world.journal.accepted,
                world.now,
            )
        finally:
            await world.close()
        return Verdict(judge(evidence), killed, effects)

    async def _rounds(
        self,
        world: World,
        load: asyncio.Task[None],
        kills: int,
        killed: list[int],
        effects: list[int],
    ) -> None:
        """Kill each broker in turn, as soon as all replicas are in sync and work goes on."""
        for number in range(kills):
            await progress(world, load)
            await self._in_sync(load)
            if load.done():
                return
            place = number % len(self.brokers)
            broker, before = self.brokers[place], await published(world)
            await asyncio.to_thread(broker.kill)
            killed[place] += 1
            await asyncio.sleep(self.chance.uniform(*DEAD_SECONDS))
            if number < len(self.brokers):  # once each, all must go on without it
                await progress(world, load)
            effects.append(await published(world) - before)
            await asyncio.to_thread(broker.start)
            console.print(f"kill {number + 1}: broker {place + 1}, {effects[-1]} events without it")
        await self._in_sync(load)

    async def _in_sync(self, load: asyncio.Task[None]) -> None:
        """Wait until each partition has all its replicas in sync. Raises `ChaosError`."""
        try:
            async with asyncio.timeout(PROGRESS_WITHIN_SECONDS):
                while not load.done():
                    if await self._least_in_sync() == REPLICAS:
                        return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise ChaosError("not-in-sync", "A broker that came back does not catch up.") from None

    async def _least_in_sync(self) -> int:
        try:
            async with asyncio.timeout(10), admin_client(self.kafka) as admin:
                return min((await in_sync_of(admin, TOPICS)).values(), default=0)
        except (KafkaError, OSError, TimeoutError, Unavailable):
            return 0


def main(
    kills: Annotated[int, typer.Option(help="How many kills, of each broker in turn.")] = 30,
    seed: Annotated[int, typer.Option(help="Gives load and schedule.")] = 1,
    episodes: Annotated[int, typer.Option(help="How many people.")] = 6,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the verdict here.")
    ] = None,
    logs: Annotated[Path | None, typer.Option(help="Keep data and logs here.")] = None,
) -> None:
    """Kill each of three brokers in turn under load. Exit status 1 unless the ledger is clean."""

    async def rampage(directory: Path) -> Verdict:
        cluster = Cluster(directory, seed)
        async with cluster.up():
            return await cluster.run(kills, episodes)

    logging.disable(logging.CRITICAL)  # the client's own words about a broker that was just killed
    with tempfile.TemporaryDirectory(prefix="care-brokers-") as temporary:
        directory = logs or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                verdict = runner.run(rampage(directory))
        except (BackendError, CareError) as error:
            console.print(f"[red]{error}[/red]", soft_wrap=True)
            raise typer.Exit(1) from None
    report = verdict.report()
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(report))
    if not verdict.ledger.clean or not all(verdict.effects_while_dead[: len(verdict.kills)]):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
