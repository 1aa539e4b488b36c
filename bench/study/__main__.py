"""`python -m bench.study`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import structlog

from bench.contestants import OURS
from bench.field import Field
from bench.measure import Plan, ratios
from bench.recording import Recording, record
from bench.report import PAGE
from bench.rounds import ROUNDS, SEED, about, play
from bench.study import report
from bench.study.chain import chain
from bench.study.peers import PEERS
from bench.study.rebuilt import rebuild
from shared.devtools.backends import Backend, start

PLAN: Final = Plan(backlog_seconds=4.0, paced_seconds=4.0)
STUDIES: Final = ("peers", "chain", "rebuild")


def main() -> int:
    """Run the studies that were asked for, and write down what was seen; the others stay as they were."""
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    began = perf_counter()
    recording = record(120_000, seed=SEED)
    earlier = report.RESULTS.read_text(encoding="utf-8") if report.RESULTS.exists() else "{}"
    results: dict[str, Any] = json.loads(earlier)
    with start() as backend:
        if "peers" in options.only:
            results |= _peers(backend, recording, options.rounds)
        if "chain" in options.only:
            results["chain"] = asyncio.run(chain(backend))
        if "rebuild" in options.only:
            results["rebuild"] = asyncio.run(rebuild(backend, recording))
    report.write(results)
    print(f"written: {report.RESULTS}, {PAGE} ({perf_counter() - began:.0f} s)")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.study")
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=STUDIES)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each has its turn")
    return parser.parse_args()


def _peers(backend: Backend, recording: Recording, rounds: int) -> dict[str, Any]:
    """Ours and the peers, interleaved: ratios are of turns on the same machine at the same time."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        ground = Field(backend, Path(directory))
        told = play(ground, recording, [(PLAN, (OURS, *PEERS))] * rounds)
    return {**told, "about": about(backend, recording, rounds), "ratios": ratios(told)}


if __name__ == "__main__":
    sys.exit(main())
