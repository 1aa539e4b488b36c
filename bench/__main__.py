"""`python -m bench`."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench.field import Field
from bench.measure import Entry, Plan, turn
from bench.recording import record
from shared.testing.backends import start

ENTRIES = (
    Entry("floor", "bare loop by hand", ("-m", "bench.contestants.floor"), 8_000),
    Entry("ours", "services.plans", ("-m", "services.plans.app"), 3_000),
    Entry("naive", "FastStream per message", ("-m", "bench.contestants.naive"), 250),
)


def main() -> None:
    """Run the bench and say what was seen."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds: int = parser.parse_args().rounds
    recording = record(60_000)
    with start() as backend, tempfile.TemporaryDirectory() as directory:
        ground = Field(backend, Path(directory))
        for _ in range(rounds):
            for entry in ENTRIES:
                seen = asyncio.run(turn(ground, recording, entry, Plan(3.0)))
                print(
                    f"{entry.name:8} {seen.per_second:8.0f}/s {seen.per_cpu_second:8.0f} per CPU s"
                )


if __name__ == "__main__":
    main()
