"""docs/coverage.md is what the marks on the tests say, and says of every fact and scenario which test shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from care import cli, coverage
from care.coverage import (
    PAGE,
    ROOT,
    NotCollected,
    Shown,
    best,
    collect,
    faults,
    marked,
    missing,
    named_best,
    page,
    shown_by,
    shown_in,
    told,
)

NUMBERS = [
    *(f"0.{n}" for n in range(1, 17)),
    *(f"1.{n}" for n in range(1, 14)),
    *(f"2.{n}" for n in range(1, 8)),
    *(f"3.{n}" for n in range(1, 13)),
    *(f"4.{n}" for n in range(1, 10)),
]
LINE_LETTERS = 200


@pytest.fixture(scope="module")
def shown(all_tests: tuple[pytest.Item, ...] | None) -> Shown:
    """What the tests show: as this run has collected them, or as `care coverage` does."""
    return collect() if all_tests is None else shown_in(marked(all_tests))


def test_tests_are_collected_without_being_run(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_one.py").write_text(
        "import pytest\n"
        "@pytest.mark.fact('0.9', '1.2')\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): assert not n\n"
        "@pytest.mark.scenario(9)\n@pytest.mark.fault('F1')\ndef test_b(): assert False\n"
    )
    one = "tests/test_one.py::test_"
    facts = {"0.9": (f"{one}a",), "1.2": (f"{one}a",)}
    assert collect(tmp_path) == Shown(facts, {"9": (f"{one}b",)}, {"F1": (f"{one}b",)})
    (tests / "test_one.py").write_text("def")
    with pytest.raises(NotCollected, match="SyntaxError"):
        collect(tmp_path)


def test_all_facts_and_scenarios_are_told() -> None:
    facts, scenarios = told()
    assert list(facts) == NUMBERS
    assert list(scenarios) == [str(n) for n in range(1, 18)]
    assert list(faults()) == [f"F{n}" for n in range(1, len(faults()) + 1)]
    assert not any(
        "|" in words for words in (*facts.values(), *scenarios.values(), *faults().values())
    )


def test_every_fact_and_every_scenario_is_shown_by_a_test(shown: Shown) -> None:
    assert missing(shown) == []


def test_the_page_is_what_the_tests_say(shown: Shown) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(shown), "run: care coverage"


def test_each_fact_and_each_scenario_has_one_short_row(shown: Shown) -> None:
    """Its number, its words, the count of its tests, and one of them that is there."""
    facts, scenarios = told()
    text = page(shown)
    rows = re.findall(r"^\| (F?[\d.]+) \| (.+?) \| (\d+) \| `(.+?)` \|$", text, re.MULTILINE)
    assert [(number, words) for number, words, *_ in rows] == [
        *facts.items(),
        *scenarios.items(),
        *faults().items(),
    ]
    for number, _, count, test in rows:
        assert int(count) == len(shown_by(number, shown))
        assert f"tests/{test}" in shown_by(number, shown)
    assert [line for line in text.splitlines() if len(line) > LINE_LETTERS] == []


def test_every_test_with_a_mark_is_there(shown: Shown) -> None:
    marked = (*shown.facts.values(), *shown.scenarios.values(), *shown.faults.values())
    for name in {name for ids in marked for name in ids}:
        path, *_, last = name.split("::")
        if last != "runTest":  # of a state machine, which is made and not written
            assert f"def {last}(" in (ROOT / path).read_text(encoding="utf-8"), name


FLOW = "tests/flows/test_cast.py::test_story_2_unexpected_positive"
FEW = "tests/unit/plans/test_plans.py::test_groups_of_twelve"
OTHER = "tests/unit/plans/test_plans.py::test_another"
MANY = "tests/unit/plans/test_plans.py::test_groups_of_two"
SLOW = "tests/flows/test_cast.py::test_another"


@pytest.mark.parametrize(
    ("number", "tests", "expected"),
    [
        ("2", (FEW, FLOW), FLOW),  # a story of the cast
        ("0.3", (MANY, OTHER), OTHER),  # the fewest marks
        ("0.3", (OTHER, FEW), FEW),  # the words of the row
        ("0.3", (SLOW, OTHER), OTHER),  # a unit test before a flow
        ("0.3", (), None),
    ],
)
def test_the_best_test_is_chosen_by_the_rule_on_the_page(
    number: str, tests: tuple[str, ...], expected: str | None
) -> None:
    marks = {"3.1": (MANY,), "3.2": (MANY,)}
    shown = Shown({**marks, number: tests}, {number: tests} if number == "2" else {})
    assert best(number, "Groups of 2 to 12", shown) == expected


def test_a_best_test_that_is_named_outranks_the_rule_and_has_to_show_it(shown: Shown) -> None:
    facts, scenarios = told()
    for number, name in named_best().items():
        assert (best(number, {**facts, **scenarios}[number], shown) or "").endswith(f"::{name}")
    number, name = next(iter(named_best().items()))
    none = Shown({**shown.facts, number: (FEW,)}, shown.scenarios)
    assert f"{number}: its best test {name} does not carry its mark" in missing(none)


def test_all_tests_of_a_fact_or_a_scenario_are_listed(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "collect", lambda: shown)
    for number in ("0.9", "9", "F9"):
        result = CliRunner().invoke(cli.app, ["coverage", "--of", number])
        assert result.stdout.split() == list(shown_by(number, shown))
    assert CliRunner().invoke(cli.app, ["coverage", "--of", "99"]).exit_code == 1


def test_what_nobody_shows_or_knows_is_a_gap() -> None:
    facts, scenarios = told()
    tests = ("tests/a.py::test_a", *(f"tests/a.py::{name}" for name in named_best().values()))
    whole = Shown(*(dict.fromkeys(known, tests) for known in (facts, scenarios, faults())))
    assert missing(whole) == []
    less = Shown({**whole.facts, "0.9": (), "9.9": tests}, {"1": tests})
    found = missing(less)
    assert "fact 0.9" in found
    assert "fact 9.9 is not in care/facts.toml" in found
    assert "scenario 2" in found
    assert "fault F1" in found
    assert "**missing**" in page(less)


def test_tests_that_can_t_be_collected_are_no_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Shown:
        raise NotCollected("SyntaxError")

    monkeypatch.setattr(coverage, "collect", broken)
    result = CliRunner().invoke(cli.app, ["coverage", "--check"])
    assert result.exit_code == 2
    assert "SyntaxError" in result.stderr
