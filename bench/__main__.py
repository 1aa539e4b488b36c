"""`python -m bench`: see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import structlog

from bench import report
from bench.contestants import FLOOR, GUARD, OURS
from bench.field import Field
from bench.measure import Plan, ratios
from bench.paired import commit_of_now, measured_here
from bench.recording import record
from bench.rounds import ROUNDS, SEED, Round, about, play
from shared.devtools.backends import start

WHOLE: Final = Plan(backlog_seconds=4.0, paced_seconds=4.0)
SHORT: Final = Plan(backlog_seconds=3.0)
AGAIN: Final = 4
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
        told = play(ground, recording, _rounds(options))
        results: dict[str, Any] = {**told, "about": about(backend, recording, options.rounds)}
    results["commit"] = commit_of_now()
    results["ratios"] = ratios(told)
    results["ratios_of_the_best"] = ratios(told, "events_per_cpu_second_best")
    print(report.table(results, report.GUARD))
    print(*(f"{name}: {value}" for name, value in results["ratios"].items()), sep="\n")
    if options.baseline:
        report.write_baseline(results)
        print(f"written: {report.BASELINE}")
        return 0
    if options.quick:
        return guard(results["ratios_of_the_best"], options.rounds)
    report.write(results)
    print(f"written: {report.RESULTS}, {report.PAGE} ({perf_counter() - began:.0f} s)")
    return 0


def guard(seen: Mapping[str, float | None], rounds: int) -> int:
    """1 when a ratio has fallen below the committed one, and below what that commit reaches on this machine."""
    commit, before = report.baseline()
    fallen = report.fallen(seen, before)
    if fallen:
        print(*fallen, f"measuring commit {commit[:8]} on this machine", sep="\n", flush=True)
        here = measured_here(commit, rounds)
        if here is None:
            print(f"commit {commit[:8]} is not in this clone: nothing shows that it is the machine")
        else:
            fallen = report.fallen(seen, here)
    print(*fallen or ["no ratio has fallen"], sep="\n")
    return 1 if fallen else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="compare with the committed ratios")
    parser.add_argument(
        "--baseline", action="store_true", help="with --quick: write what later ones compare with"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each has its turn")
    return parser.parse_args()


def _rounds(options: argparse.Namespace) -> list[Round]:
    plan = SHORT if options.quick else WHOLE
    rounds: list[Round] = [(plan, GUARD)] * options.rounds
    if plan.paced_seconds:
        rounds += [(replace(plan, paced_seconds=0.0), (FLOOR, OURS))] * AGAIN
    return rounds


if __name__ == "__main__":
    sys.exit(main())
