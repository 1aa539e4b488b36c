"""Who takes part. Floor and naive run in this project's own environment, the peers each in one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant: what it is, how it is started, and about how fast it is (which sizes its part of the input)."""

    name: str
    what: str
    command: tuple[str, ...]
    guess_per_second: float
    peer: str | None = None
    """The directory of its environment below `bench/peers`; None: this project's environment."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


FLOOR: Final = Entry(
    "floor",
    "the bare loop by hand: find, bulk write, sends together, commit",
    ("-m", "bench.contestants.floor"),
    8_000,
)
OURS: Final = Entry(
    "ours", "the plans service as it is, everything on", ("-m", "services.plans.app"), 4_000
)
NAIVE: Final = Entry(
    "naive",
    "FastStream, one message at a time: find one, update one, publish",
    ("-m", "bench.contestants.naive"),
    250,
)
FAUST: Final = Entry(
    "faust_streaming",
    "Faust-streaming 0.15.3: agent and RocksDB table with changelog; at least once; no database",
    ("bench/peers/faust/worker.py",),
    1_000,
    "faust",
)
QUIX: Final = Entry(
    "quix_streams",
    "Quix Streams 3.28.1: stateful function, RocksDB with changelog, exactly once; its MongoDB sink",
    ("bench/peers/quix/worker.py",),
    4_000,
    "quix",
    {"BENCH_SINK": "1", "BENCH_COMMIT_SECONDS": "1"},
)
QUIX_ALONE: Final = Entry(
    "quix_streams_without_store",
    "the same without the sink: nothing is written to the store, and nobody can ask for it there",
    ("bench/peers/quix/worker.py",),
    6_000,
    "quix",
    {"BENCH_COMMIT_SECONDS": "1"},
)
INBOX: Final = Entry(
    "inbox_outbox",
    "transactional inbox and outbox for each message, and a relay that polls",
    ("bench/peers/inbox/worker.py",),
    120,
    "inbox",
)
OWN: Final = (FLOOR, OURS, NAIVE)
ALL: Final = (*OWN, FAUST, QUIX, QUIX_ALONE, INBOX)
