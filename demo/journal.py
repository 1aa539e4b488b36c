"""The driver's log of its own commands: the ledger's first witness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Expectation = tuple[str, str, Mapping[str, Any]]
"""A fact that must follow a command: its type, its subject, and some of its data."""
Expects = Callable[[Mapping[str, Any]], tuple[Expectation, ...]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted command, and the facts that must follow."""

    service: str
    path: str
    subject: str
    sequence: int
    expects: tuple[Expectation, ...]


@dataclass(slots=True)
class Journal:
    """Every accepted command, and how many requests and repetitions they took."""

    accepted: list[Accepted] = field(default_factory=list[Accepted])
    requests: int = 0
    repeated: int = 0
