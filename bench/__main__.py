"""`python -m bench`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import structlog

from bench import report
from bench.chain import chain
from bench.contestants import ALL, FLOOR, OURS, OWN, Entry
from bench.field import BenchError, Field
from bench.measure import Plan, Turn, nothing, ratios, summary, turn
from bench.peers import PeerUnavailable
from bench.rebuilt import rebuild
from bench.recording import Recording, record
from shared.devtools.backends import Backend, start

SEED = 1
WHOLE = Plan(backlog_seconds=4.0, paced_seconds=4.0)
SHORT = Plan(backlog_seconds=3.0)
AGAIN = 4
"""How many more turns floor and ours have, without a paced part: theirs is the ratio that noise blurs most."""


def main() -> int:
    """Run, say what was seen, and write it down. 1 when a ratio has fallen (with --quick)."""
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    if not Path("/proc/self/stat").exists():
        print("the bench reads processor time from /proc: it runs on Linux only", file=sys.stderr)
        return 2
    began = perf_counter()
    recording = record(40_000 if options.quick else 120_000, seed=SEED)
    print(f"recorded {len(recording.records):,} events in {perf_counter() - began:.0f} s")
    with start() as backend, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        ground = Field(backend, Path(directory))
        entries = [
            e for e in (OWN if options.quick else ALL) if e.name in (options.only or [e.name])
        ]
        plan = SHORT if options.quick else WHOLE
        results = _results(ground, recording, entries, plan, options.rounds)
        results["about"] = _about(backend, recording, options.rounds)
        if not options.quick:
            results["chain"] = asyncio.run(chain(backend))
            results["rebuild"] = asyncio.run(rebuild(backend, recording))
    names = [entry.name for entry in entries]
    if "ours" in names:
        told = {name: results[name] for name in names}
        results["ratios"] = ratios(told)
        results["ratios_of_the_best"] = ratios(told, "events_per_cpu_second_best")
        print(report.table(results, names))
        print(*(f"{name}: {value}" for name, value in results["ratios"].items()), sep="\n")
    if options.quick:
        fallen = report.fallen(results["ratios_of_the_best"])
        print(*fallen or ["no ratio has fallen"], sep="\n")
        return 1 if fallen else 0
    if not options.only:
        report.write(results, names)
        print(f"written: {report.RESULTS}, {report.PAGE} ({perf_counter() - began:.0f} s)")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument(
        "--quick", action="store_true", help="floor, ours and naive; ratios are guarded"
    )
    parser.add_argument("--rounds", type=int, default=0, help="how often each has its turn")
    parser.add_argument("--only", nargs="*", help="some contestants only; nothing is written")
    options = parser.parse_args()
    options.rounds = options.rounds or 3
    return options


def _results(
    ground: Field, recording: Recording, entries: list[Entry], plan: Plan, rounds: int
) -> dict[str, Any]:
    """Everybody's turns, interleaved, so that whatever the machine does meanwhile it does to all."""
    turns: dict[str, list[Turn]] = {entry.name: [] for entry in entries}
    away: dict[str, str] = {}
    schedule = [(plan, entries)] * rounds
    if plan.paced_seconds:
        closest = [entry for entry in entries if entry in (FLOOR, OURS)]
        schedule += [(replace(plan, paced_seconds=0.0), closest)] * AGAIN
    for number, (part, taking_part) in enumerate(schedule, start=1):
        for entry in taking_part:
            if entry.name in away:
                continue
            began = perf_counter()
            try:
                seen = asyncio.run(turn(ground, recording, entry, part))
            except (PeerUnavailable, BenchError) as error:
                if entry.peer is None:
                    raise
                away[entry.name] = _reason(error)
                print(f"round {number}: {entry.name}: {away[entry.name]}")
                continue
            turns[entry.name].append(seen)
            print(
                f"round {number}: {entry.name:16} {seen.per_second:8,.0f} events/s"
                f" {seen.per_cpu_second:8,.0f} per CPU s   ({perf_counter() - began:.0f} s)",
                flush=True,
            )
    return {
        entry.name: {
            "what": entry.what,
            **(nothing(away[entry.name]) if entry.name in away else summary(turns[entry.name])),
        }
        for entry in entries
    }


def _reason(error: Exception) -> str:
    """The last line of what was said, for the page."""
    return str(error).strip().splitlines()[-1][:300]


def _about(backend: Backend, recording: Recording, rounds: int) -> dict[str, Any]:
    return {
        "broker": backend.kafka_name,
        "store": backend.mongo_name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": rounds,
        "seed": SEED,
        "recorded_events": len(recording.records),
        "recorded_subjects": len(recording.kept),
        "latency": "from just before an event is published until its effect is read from the output topic;"
        " the object `latency_seconds` is at 50 % of the contestant's own capacity",
    }


if __name__ == "__main__":
    sys.exit(main())
