"""docs/coverage.md is what the marks on the tests say, and says of every fact and scenario which test shows it."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from care import cli, coverage
from care.coverage import PAGE, ROOT, NotCollected, Shown, collect, missing, page, told

NUMBERS = [
    *(f"0.{n}" for n in range(1, 17)),
    *(f"1.{n}" for n in range(1, 14)),
    *(f"2.{n}" for n in range(1, 8)),
    *(f"3.{n}" for n in range(1, 13)),
    *(f"4.{n}" for n in range(1, 10)),
]


@pytest.fixture(scope="module")
def shown() -> Shown:
    return collect()


def test_all_facts_and_scenarios_are_told() -> None:
    facts, scenarios = told()
    assert list(facts) == NUMBERS
    assert list(scenarios) == [str(n) for n in range(1, 18)]
    assert not any("|" in words for words in (*facts.values(), *scenarios.values()))


def test_every_fact_and_every_scenario_is_shown_by_a_test(shown: Shown) -> None:
    assert missing(shown) == []


def test_the_page_is_what_the_tests_say(shown: Shown) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(shown), "run: care coverage"


def test_every_test_that_the_page_names_is_there(shown: Shown) -> None:
    """And each row begins with its number."""
    rows = re.findall(r"^\| (\d+\.\d+) \|", page(shown), re.MULTILINE)
    assert rows == NUMBERS
    for name in {name for ids in shown.facts.values() for name in ids}:
        path, *_, last = name.split("::")
        if last != "runTest":  # of a state machine, which is made and not written
            assert f"def {last}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_what_nobody_shows_or_knows_is_a_gap() -> None:
    facts, scenarios = told()
    whole = Shown(
        dict.fromkeys(facts, ("tests/a.py::test_a",)),
        dict.fromkeys(scenarios, ("tests/a.py::test_a",)),
    )
    assert missing(whole) == []
    less = Shown({**whole.facts, "0.9": (), "9.9": ("x",)}, {"1": ("x",)})
    found = missing(less)
    assert "fact 0.9" in found
    assert "fact 9.9 is on no list" in found
    assert "scenario 2" in found
    assert "**missing**" in page(less)


def test_tests_that_can_t_be_collected_are_no_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Shown:
        raise NotCollected("SyntaxError")

    monkeypatch.setattr(coverage, "collect", broken)
    result = CliRunner().invoke(cli.app, ["coverage", "--check"])
    assert result.exit_code == 2
    assert "SyntaxError" in result.stderr
