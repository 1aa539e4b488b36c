"""One contestant's turn, and what several turns come to."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.contestants import OURS, Entry
from bench.field import Contestant, Field
from bench.recording import Recording
from bench.stage import Stage, stage
from demo.ledger import Ledger

LOADS: Final = (0.2, 0.5, 0.8)
"""Shares of a contestant's own capacity."""
SERVERS: Final[tuple[str, ...]] = ("broker", "store")


@dataclass(slots=True)
class Turn:
    """What was seen of one contestant in one turn."""

    events: int
    seconds: float
    cpu_seconds: float
    servers_cpu_seconds: Mapping[str, float] | None
    peak_memory_mib: float = 0.0
    repeats: int = 0
    saves: int = 0
    """How often a record was written, where records count it."""
    ledger: Ledger | None = None
    """The account of all that was told and said, where it can be kept."""
    latencies: dict[float, list[float]] = field(default_factory=dict[float, list[float]])

    @property
    def per_second(self) -> float:
        """How fast the backlog went."""
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """How many events a second of its own processor time was good for."""
        return self.events / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """How long the parts of a turn take, about."""

    backlog_seconds: float
    paced_seconds: float = 0.0
    warm_events: int = 1_500


async def turn(ground: Field, recording: Recording, entry: Entry, plan: Plan) -> Turn:
    """Fresh topics and store; warm up; a backlog as fast as it goes; then at shares of that speed."""
    recording.rewind()
    await ground.fresh(recording, ours=entry is OURS)
    contestant = Contestant(
        entry.name,
        (entry.python(), *entry.command),
        {**ground.environment(entry.name), **entry.settings},
        ground.directory / f"{entry.name}.log",
    )
    contestant.start()
    try:
        async with stage(ground.backend.kafka) as on:
            await on.at_once(recording.take(min(plan.warm_events, int(entry.guess_per_second * 3))))
            await on.all_seen()
            count = int(entry.guess_per_second * plan.backlog_seconds)
            seen = await _backlog(ground, recording.take(count), contestant, on)
            if plan.paced_seconds:
                for load in LOADS:
                    rate = seen.per_second * load
                    records = recording.take(max(100, int(rate * plan.paced_seconds)))
                    await on.paced(records, rate)
                    await on.all_seen()
                    seen.latencies[load] = list(on.latencies)
            seen.peak_memory_mib = contestant.peak_memory_mib()
            seen.repeats = on.repeats
            if entry is OURS:
                seen.ledger = await ground.ledger()
            return seen
    finally:
        contestant.stop()


async def _backlog(
    ground: Field, records: Sequence[Any], contestant: Contestant, on: Stage
) -> Turn:
    saves = await ground.saves()
    before, cpu = ground.servers_cpu(), contestant.cpu_seconds()
    began = await on.at_once(records)
    ended = await on.all_seen()
    cpu = contestant.cpu_seconds() - cpu
    after = ground.servers_cpu()
    saves = await ground.saves() - saves
    used: dict[str, float] | None = None
    if before is not None and after is not None:
        used = {name: after[n] - before[n] for n, name in enumerate(SERVERS)}
    return Turn(len(records), ended - began, cpu, used, saves=saves)


# --- what turns come to -------------------------------------------------------------------------------


def summary(turns: Sequence[Turn]) -> dict[str, Any]:
    """One contestant's object for the results. The middle of its turns; latencies of all of them together."""

    def middle(values: Sequence[float]) -> float:
        return statistics.median(values)

    per_1000 = middle([1000 * t.cpu_seconds / t.events for t in turns])
    told: dict[str, Any] = {
        "events_per_second": round(middle([t.per_second for t in turns]), 1),
        "events_per_cpu_second": round(middle([t.per_cpu_second for t in turns]), 1),
        "events_per_cpu_second_best": round(max(t.per_cpu_second for t in turns), 1),
        "cpu_seconds_per_1000_events": round(per_1000, 5),
        "peak_memory_mib": round(max(t.peak_memory_mib for t in turns), 1),
    }
    servers = [t.servers_cpu_seconds for t in turns if t.servers_cpu_seconds is not None]
    for name in SERVERS if servers else ():
        shares = [1000 * s[name] / t.events for s, t in zip(servers, turns, strict=True)]
        told[f"{name}_cpu_seconds_per_1000_events"] = round(middle(shares), 5)
    if servers:
        whole = [
            1000 * (t.cpu_seconds + sum(s.values())) / t.events
            for s, t in zip(servers, turns, strict=True)
        ]
        told["cpu_seconds_per_1000_events_with_servers"] = round(middle(whole), 5)
    if all(t.saves for t in turns):
        told["events_per_write"] = round(middle([t.events / t.saves for t in turns]), 2)
    by_load: dict[str, Any] = {}
    for load in LOADS:
        found = sorted(value for t in turns for value in t.latencies.get(load, ()))
        if found:
            by_load[f"{load:.0%}"] = {**_percentiles(found), "samples": len(found)}
    half = by_load.get("50%")
    told["latency_seconds"] = (
        {"p50": None, "p99": None, "p999": None}
        if half is None
        else {name: half[name] for name in ("p50", "p99", "p999")}
    )
    told["latency_seconds_by_load"] = by_load
    ledgers = [t.ledger for t in turns if t.ledger is not None]
    if ledgers:
        told["ledger"] = _account(ledgers)
    told["turns"] = len(turns)
    told["effects_missing"] = 0  # a turn with a missing effect ends the run
    told["effects_repeated"] = sum(t.repeats for t in turns)
    return told


def _account(ledgers: Sequence[Ledger]) -> dict[str, int]:
    """The ledgers of all turns together."""
    reports = [ledger.report() for ledger in ledgers]
    names = "events", *ledgers[0].findings(), "dead_letters"
    return {name: sum(report[name] for report in reports) for name in names}


def nothing(reason: str) -> dict[str, Any]:
    """The object of a contestant that can't be measured here."""
    return {
        "events_per_second": None,
        "events_per_cpu_second": None,
        "latency_seconds": {"p50": None, "p99": None, "p999": None},
        "peak_memory_mib": None,
        "reason": reason,
    }


def _percentiles(found: Sequence[float]) -> dict[str, float]:
    def at(share: float) -> float:
        return round(found[min(len(found) - 1, int(share * len(found)))], 5)

    return {"p50": at(0.5), "p99": at(0.99), "p999": at(0.999)}


def ratios(
    results: Mapping[str, Mapping[str, Any]], figure: str = "events_per_cpu_second"
) -> dict[str, float | None]:
    """Ours to everybody else, in events per second of the contestant's own processor time."""
    ours = results["ours"][figure]
    found: dict[str, float | None] = {}
    for name, told in results.items():
        if name != "ours":
            theirs = told.get(figure)
            found[f"ours_to_{name}"] = None if not theirs or not ours else round(ours / theirs, 3)
    return found
