"""How much of an exhaustive test runs: a share of it in `make test`, all of it in `make proofs`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

PROOFS: Final = os.environ.get("PROOFS") == "1"


def share(points: Sequence[T], *, one_in: int, turn: int = 0) -> Sequence[T]:
    """Every `one_in`-th of the points; cases that take different turns have other ones. All of them in the proofs."""
    return points if PROOFS else points[turn % one_in :: one_in]
