"""The list of guards stays true to the source: a guard that was rewritten must not drop out of the proof unseen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from chaos.mutants.guards import MUTANTS, SIMULATION, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_guard_stands_once_in_its_file(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.before) == 1
    compile(text.replace(mutant.before, mutant.after), mutant.file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_that_miss_it_exist(mutant: Mutant) -> None:
    assert bool(mutant.tests) != bool(mutant.equivalent)
    for tests in mutant.tests:
        assert tests == SIMULATION or (ROOT / tests).is_file()


def test_no_two_guards_have_one_name_and_no_room_is_left_out() -> None:
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
    files = {mutant.file.rpartition("/")[2] for mutant in MUTANTS}
    assert files >= {
        "reactor.py",
        "store.py",
        "relay.py",
        "consumer.py",
        "positions.py",
        "timers.py",
    }
    assert len(MUTANTS) >= 30
