"""Rounds: every contestant has its turn in each, so that whatever the machine does meanwhile it does to all."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final

from bench.contestants import Entry
from bench.field import BenchError, Field
from bench.measure import Plan, Turn, nothing, summary, turn
from bench.recording import Recording
from shared.devtools.backends import Backend

SEED: Final = 1
ROUNDS: Final = 3
LATENCY: Final = (
    "from just before an event is published until its effect is read from the output topic;"
    " the object `latency_seconds` is at 50 % of the contestant's own capacity"
)
Round = tuple[Plan, Sequence[Entry]]


def play(ground: Field, recording: Recording, rounds: Sequence[Round]) -> dict[str, Any]:
    """The results by contestant, after all rounds. Raises `BenchError` when a required one does not do its work."""
    entries = {entry.name: entry for _, taking_part in rounds for entry in taking_part}
    turns: dict[str, list[Turn]] = {name: [] for name in entries}
    absent: dict[str, str] = {}
    for number, (plan, taking_part) in enumerate(rounds, start=1):
        for entry in taking_part:
            if entry.name in absent:
                continue
            began = perf_counter()
            try:
                seen = asyncio.run(turn(ground, recording, entry, plan))
            except BenchError as error:
                if entry.required:
                    raise
                absent[entry.name] = str(error).strip().splitlines()[-1][:300]
                print(f"round {number}: {entry.name}: {absent[entry.name]}")
                continue
            turns[entry.name].append(seen)
            print(
                f"round {number}: {entry.name:16} {seen.per_second:8,.0f} events/s"
                f" {seen.per_cpu_second:8,.0f} per CPU s   ({perf_counter() - began:.0f} s)",
                flush=True,
            )
    return {
        name: {
            "what": entry.what,
            **(nothing(absent[name]) if name in absent else summary(turns[name])),
        }
        for name, entry in entries.items()
    }


def about(backend: Backend, recording: Recording, rounds: int) -> dict[str, Any]:
    """The conditions of a run."""
    return {
        "broker": backend.kafka_name,
        "store": backend.mongo_name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": rounds,
        "seed": SEED,
        "recorded_events": len(recording.records),
        "recorded_subjects": len(recording.kept),
        "latency": LATENCY,
    }
