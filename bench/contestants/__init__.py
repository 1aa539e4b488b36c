"""Who takes part in the guard: floor, ours and naive. The peers of the study stand in `bench/study/peers`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final


def own_python() -> str:
    """The interpreter of this project's environment."""
    return sys.executable


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant: what it is, how it is started, and about how fast it is (which sizes its part of the input)."""

    name: str
    what: str
    command: tuple[str, ...]
    guess_per_second: float
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    python: Callable[[], str] = own_python
    """Gives the interpreter that runs it. Raises `BenchError` when it can't be had here."""
    required: bool = True
    """Whether a run fails without it; of others the results say why they were not measured."""


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
GUARD: Final = (FLOOR, OURS, NAIVE)
