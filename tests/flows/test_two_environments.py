"""Two environments on one Kafka: with prefixes of their own they meet in nothing, and zeros stand in both ledgers."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from demo.ledger import Ledger, judge
from demo.population import population
from demo.quiet import TopicEnds
from demo.run import live_through
from demo.witnesses import gather
from demo.world import World
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.devtools.stack import Stack, services
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.topics import admin_client
from shared.services import SERVICES
from tests.integration.bus import admin_of

PREFIXES = ("north.", "south.")
SEEDS = {"north.": 11, "south.": 12}


@dataclass(frozen=True)
class Environment:
    """One of the two: its services, and how its driver and its ledger see the bus."""

    name: str
    stack: Stack

    @property
    def kafka(self) -> KafkaConnection:
        return self.stack.backend.kafka

    @property
    def databases(self) -> str:
        return f"{self.name.strip('.')}_"


@pytest.fixture(scope="module")
def environments(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Environment]]:
    with ExitStack() as stack:
        found: list[Environment] = []
        for prefix in PREFIXES:
            kafka = backend.kafka.model_copy(update={"kafka_prefix": prefix})
            own = replace(backend, kafka=kafka, kafka_users={})
            logs: Path = tmp_path_factory.mktemp(prefix.strip("."))
            started = services(
                own,
                clock="stepped",
                database_prefix=f"{prefix.strip('.')}_",
                journal_key=base64.b64encode(os.urandom(32)).decode(),
                log_dir=logs,
            )
            found.append(Environment(prefix, stack.enter_context(started)))
        yield found


async def _live(environment: Environment) -> tuple[Ledger, datetime]:
    seed = SEEDS[environment.name]
    world = World(
        environment.stack.urls,
        environment.stack.issuer,
        TopicEnds(environment.kafka),
        seed,
        patience_seconds=120,
    )
    try:
        await live_through(world, population(1, seed), {})
        assert world.now is not None
        evidence = await gather(
            environment.kafka,
            environment.stack.backend.mongo_uri,
            environment.databases,
            SERVICES,
            world.journal.accepted,
            world.now,
        )
    finally:
        await world.close()
    return judge(evidence), world.now


@pytest.mark.timeout(400)
async def test_two_environments_live_side_by_side_and_lose_nothing(
    environments: list[Environment],
) -> None:
    before = await _on_cluster(environments[0])
    ledgers = await asyncio.gather(*(_live(one) for one in environments))
    for ledger, _now in ledgers:
        assert ledger.clean, ledger.findings()
        assert ledger.report()["events"] > 50
    assert ledgers[0][0].report()["outcomes"] != ledgers[1][0].report()["outcomes"]
    new = await _on_cluster(environments[0]) - before
    ours = {*TOPICS, *(f"care.{name}.journal" for name in SERVICES)}
    wanted = {f"{prefix}{topic}" for prefix in PREFIXES for topic in ours}
    assert {name for name in before | new if name.startswith(PREFIXES)} == wanted
    assert {name for name in new if name.startswith("care.")} == set(), "none without a prefix"
    for one in environments:
        async with admin_client(one.kafka) as admin:
            assert set(await admin.list_topics()) == ours
            for service in SERVICES:
                assert await admin.list_consumer_group_offsets(service)


async def _on_cluster(environment: Environment) -> set[str]:
    """All topics, whatever the prefix."""
    bare = environment.kafka.model_copy(update={"kafka_prefix": ""})
    async with admin_of(bare) as admin:
        return set(await admin.list_topics())
