"""One contestant's turn, and what is made of several."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from bench.field import ROOT, BenchError, Contestant, Field
from bench.recording import Recording
from bench.stage import Stage, stage

LOADS: Final = (0.2, 0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Entry:
    """Who takes part: what it is, how it is started, and about how fast it is (which sizes its slices)."""

    name: str
    what: str
    command: tuple[str, ...]
    guess_per_second: float
    environment: Callable[[], str] | None = None
    """Makes its own environment and returns the path of its Python; None: this project's."""


@dataclass(slots=True)
class Turn:
    """What was seen in one turn."""

    events: int
    seconds: float
    cpu_seconds: float
    broker_cpu_seconds: float | None
    store_cpu_seconds: float | None
    peak_memory_mib: float
    repeats: int
    latencies: dict[float, list[float]] = field(default_factory=dict[float, list[float]])

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.events / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a turn takes."""

    backlog_seconds: float
    paced_seconds: float = 0.0
    warm_events: int = 1_500


async def turn(
    ground: Field, recording: Recording, entry: Entry, plan: Plan, capacity: float | None = None
) -> Turn:
    """Fresh topics and stores; warm up; a backlog as fast as it goes; then, paced, at shares of its capacity."""
    recording.rewind()
    await ground.fresh(recording)
    if entry.name == "ours":
        await ground.seed_ours(recording)
    python = sys.executable if entry.environment is None else entry.environment()
    contestant = Contestant(
        entry.name,
        (python, *entry.command),
        ground.environment(entry.name),
        ground.directory / f"{entry.name}.log",
    )
    guess = capacity or entry.guess_per_second
    contestant.start()
    try:
        async with stage(ground.backend.kafka_bootstrap) as on:
            warm = min(plan.warm_events, int(guess * 3))
            await on.at_once(recording.take(warm))
            await on.all_seen()
            seen = await _backlog(
                ground, recording, contestant, on, int(guess * plan.backlog_seconds)
            )
            if plan.paced_seconds:
                for load in LOADS:
                    rate = (capacity or seen.per_second) * load
                    seen.latencies[load] = await _paced(recording, on, rate, plan.paced_seconds)
            seen.peak_memory_mib = contestant.peak_memory_mib()
            seen.repeats = on.repeats
            return seen
    finally:
        contestant.stop()


async def _backlog(
    ground: Field, recording: Recording, contestant: Contestant, on: Stage, count: int
) -> Turn:
    records = recording.take(count)
    servers, cpu = ground.servers_cpu(), contestant.cpu_seconds()
    began = await on.at_once(records)
    ended = await on.all_seen()
    cpu = contestant.cpu_seconds() - cpu
    after = ground.servers_cpu()
    used = (
        (None, None)
        if servers is None or after is None
        else (
            after[0] - servers[0],
            after[1] - servers[1],
        )
    )
    return Turn(len(records), ended - began, cpu, *used, 0.0, 0)


async def _paced(recording: Recording, on: Stage, rate: float, seconds: float) -> list[float]:
    records = recording.take(max(100, int(rate * seconds)))
    await on.paced(records, rate)
    await on.all_seen()
    return list(on.latencies)
