"""The simulated histories: none breaks the promise, and each guard that is taken away breaks it within a few."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.simulation.sabotage import GUARDS
from tests.tiers import PROOFS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(320)


def simulate(*options: str) -> dict[str, Any]:
    """Play histories in a process of their own, in which the order of sets follows from nothing but the seed."""
    done = subprocess.run(
        [sys.executable, "-m", "chaos.simulation", "--json", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_no_history_breaks_the_promise() -> None:
    seeds = 200 if PROOFS else 60
    report = simulate("--seeds", f"0:{seeds}")
    assert report["findings"] == {}
    assert report["played"] == seeds
    assert report["kills"] > 2.5 * seeds  # there was something to withstand
    assert report["pauses"] > seeds / 2
    assert report["rebalances"] > 5 * seeds


@pytest.mark.parametrize("guard", sorted(GUARDS))
def test_without_a_guard_a_history_breaks_it(guard: str) -> None:
    report = simulate("--seeds", "0:60", "--failing", "1", "--without", guard)
    assert report["failing_seeds"], f"{guard} is missing and nobody noticed"


def test_the_same_seed_is_the_same_history() -> None:
    first, second = (simulate("--seeds", "7:10") for _ in range(2))
    assert first | {"seconds": 0} == second | {"seconds": 0}
