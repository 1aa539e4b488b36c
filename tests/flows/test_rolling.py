"""All services are restarted one after the other, twice, while people are at work: nobody is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from uuid import uuid4

import httpx2 as httpx
import pytest

from demo import run
from demo.ledger import judge
from demo.population import population
from demo.quiet import TopicEnds
from demo.witnesses import gather
from demo.world import World
from shared.devtools.backends import Backend
from shared.devtools.stack import ServiceProcess, Stack, services
from shared.services import SERVICES
from tests.integration.bus import forget_topics, until

EPISODES = 2
SEED = 3335
ROUNDS = 2
GENEROUSLY = 15.0
"""What a stop may take on a machine that does other things too; the figure that is shown is to be below five."""


class _Rolling:
    """Stops and starts each process in its turn; the next one's turn comes when it is ready."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.stops: list[float] = []
        self.starts: list[float] = []

    async def run(self, load: asyncio.Task[None]) -> None:
        for process in [*self._stack.processes] * ROUNDS:
            await self._one(process, load)
        assert not load.done(), "there was load to the end"

    async def _one(self, process: ServiceProcess, load: asyncio.Task[None]) -> None:
        began = monotonic()
        await asyncio.to_thread(process.stop)
        assert process.ended_well, f"{process.name} did not end by itself"
        self.stops.append(monotonic() - began)
        began = monotonic()
        process.start()
        async with httpx.AsyncClient() as client:

            async def ready() -> bool:
                return load.done() or await _ready(client, process)

            await until(ready, what=f"{process.name} being ready", limit_s=60)
        self.starts.append(monotonic() - began)


async def _ready(client: httpx.AsyncClient, process: ServiceProcess) -> bool:
    try:
        return (await client.get(f"{process.url}/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_rolling_restart_under_load_turns_nobody_away_and_loses_nothing(
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Clients repeat a command with its key while a service is away; a command that is refused would end the run."""
    monkeypatch.setattr(run, "PROGRAM_DAYS", 84)
    await forget_topics(backend)
    prefix = f"r{uuid4().hex[:8]}_"
    with services(
        backend,
        clock="stepped",
        sweep_after_seconds="2",
        session_timeout_ms="6000",
        database_prefix=prefix,
    ) as stack:
        world = World(stack.urls, stack.issuer, TopicEnds(backend.kafka), SEED)
        rolling = _Rolling(stack)
        try:
            load = asyncio.create_task(run.live_through(world, population(EPISODES, SEED), {}))
            await asyncio.gather(load, rolling.run(load))
            assert world.now is not None
            accepted = world.journal.accepted
            evidence = await gather(
                backend.kafka, backend.mongo_uri, prefix, SERVICES, accepted, world.now
            )
        finally:
            await world.close()
    ledger = judge(evidence)
    shown = {
        "restarts": len(rolling.stops),
        "seconds_to_stop": f"{min(rolling.stops):.2f} to {max(rolling.stops):.2f}",
        "seconds_to_ready": f"{min(rolling.starts):.2f} to {max(rolling.starts):.2f}",
        "commands": world.journal.requests,
        "tries_repeated": world.journal.repeated,
        "events": ledger.events,
        "delivered_again": ledger.redelivered,
    }
    for name, value in shown.items():
        record_property(name, value)
        print(f"{name}: {value}")  # noqa: T201 - `pytest -rP` shows it
    assert ledger.clean, ledger.report()
    assert len(rolling.stops) == ROUNDS * len(stack.processes)
    assert world.journal.repeated > 0, "somebody came to a closed door"
    assert len(accepted) > 0
    assert max(rolling.stops) < GENEROUSLY
