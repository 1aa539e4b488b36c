"""`care coverage`: lists which test shows which fact, scenario and fault, as the marks on the tests declare it.

The command collects the tests and does not run them: the page names the tests, and `make test` runs them. The page has
one row for each fact, scenario and fault, with the count of its tests and the best one; `--of` lists all tests of one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from care.show import ROOT, need_source

if TYPE_CHECKING:
    import pytest

PAGE: Final = ROOT / "docs" / "coverage.md"
FACTS: Final = Path(__file__).with_name("facts.toml")
MARKERS_FILE: Final = "CARE_MARKERS_FILE"
MARKERS: Final = ("fact", "scenario", "fault")
COLLECTED_WITHIN_SECONDS: Final = 300
FOLDERS: Final = ("unit", "contracts", "api", "integration", "flows", "chaos")
"""The folders of tests, the smallest tests first."""
WORD_LETTERS: Final = 6
"""How many letters of two words have to agree: "session" and "sessions" are one word."""
_HEAD: Final = """\
# Coverage of facts, scenarios and faults

`care coverage` makes this page from the marks on the tests (`@pytest.mark.fact`, `@pytest.mark.scenario`,
`@pytest.mark.fault`) and the words in `care/facts.toml`; a test fails when the page is out of date. The
[domain](domain.md) page explains the facts (section 1) and the scenarios (section 8). A fault is what once went
wrong in everyday practice, with the tests that hold it now.

Each row has the count of the tests that show it, and the best one, below `tests/`. `care coverage --of 0.9` lists all
of them. The best test is the one that `[best]` in `care/facts.toml` names. Otherwise it is, in this order: of a
scenario, a story of the demo's cast; the test with the fewest marks; the one whose name shares most words with the row;
a unit test before a flow; the first by name.
"""


class NotCollected(Exception):
    """The tests can't be collected; the words are pytest's own."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Which tests show what: ids of tests by number."""

    facts: Mapping[str, tuple[str, ...]]
    scenarios: Mapping[str, tuple[str, ...]]
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def told() -> tuple[dict[str, str], dict[str, str]]:
    """What there is to show: facts and scenarios by number, in order."""
    document = tomllib.loads(FACTS.read_text(encoding="utf-8"))
    return document["facts"], document["scenarios"]


def faults() -> dict[str, str]:
    """What once went wrong, by number, in order."""
    return tomllib.loads(FACTS.read_text(encoding="utf-8"))["faults"]


def named_best() -> dict[str, str]:
    """The tests that `care/facts.toml` names as the best ones, by the number of a fact or scenario."""
    return tomllib.loads(FACTS.read_text(encoding="utf-8"))["best"]


def collect(root: Path = ROOT) -> Shown:
    """Collect all tests, in a process of its own, and read their marks. Raises `NotCollected`."""
    with TemporaryDirectory(prefix="care-") as temporary:
        marks = Path(temporary) / "marks.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", __name__, "tests"]
        done = subprocess.run(  # noqa: S603 - our own tests
            [*command, "-p", "no:cacheprovider", "-p", "no:randomly"],
            cwd=root,
            env={**os.environ, MARKERS_FILE: str(marks)},
            capture_output=True,
            text=True,
            timeout=COLLECTED_WITHIN_SECONDS,
            check=False,
        )
        if done.returncode != 0 or not marks.exists():
            raise NotCollected((done.stdout + done.stderr)[-3000:])
        found = json.loads(marks.read_text(encoding="utf-8"))
    return shown_in(found)


def shown_in(found: Mapping[str, Mapping[str, list[str]]]) -> Shown:
    """What the tests show, from their ids by mark and number."""
    return Shown(*(_sorted(found[mark]) for mark in MARKERS))


def _sorted(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {number: tuple(sorted(set(ids))) for number, ids in found.items()}


def missing(shown: Shown) -> list[str]:
    """What no test shows, and numbers that nobody knows."""
    listed = zip(
        MARKERS, (*told(), faults()), (shown.facts, shown.scenarios, shown.faults), strict=True
    )
    rows = [(word, known, found) for word, known, found in listed]
    return [
        *(f"{word} {n}" for word, known, found in rows for n in known if not found.get(n)),
        *(
            f"{word} {n} is not in care/facts.toml"
            for word, known, found in rows
            for n in found
            if n not in known
        ),
        *(
            f"{number}: its best test {name} does not carry its mark"
            for number, name in named_best().items()
            if not any(_is_named(test, name) for test in shown_by(number, shown))
        ),
    ]


def shown_by(number: str, shown: Shown) -> tuple[str, ...]:
    """The tests of a fact, whose number has a dot, of a fault, whose has an F, or of a scenario, whose has neither."""
    if number.startswith("F"):
        return shown.faults.get(number, ())
    return (shown.facts if "." in number else shown.scenarios).get(number, ())


def best(number: str, words: str, shown: Shown) -> str | None:
    """The one test to look at first; None when there is none. The page says by which rule."""
    marks = Counter(
        test
        for found in (shown.facts, shown.scenarios, shown.faults)
        for tests in found.values()
        for test in tests
    )
    name = named_best().get(number, "")

    def order(test: str) -> tuple[bool, bool, int, int, int, str]:
        folder = test.split("/")[1]
        return (
            not _is_named(test, name),
            f"::test_story_{number}_" not in test,
            marks[test],
            -len(_words(words) & _words(test)),
            FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS),
            test,
        )

    return min(shown_by(number, shown), key=order, default=None)


def _is_named(test: str, name: str) -> bool:
    return test.rpartition("::")[2] == name


def _words(text: str) -> set[str]:
    """The longer words of a text, cut to the letters that are compared."""
    return {word[:WORD_LETTERS] for word in re.findall(r"[a-z]{4,}", text.lower())}


def page(shown: Shown) -> str:
    """The page, whole."""
    facts, scenarios = told()
    return "\n".join(
        [
            _HEAD,
            *_table("Facts", "fact", facts, shown),
            "",
            *_table("Scenarios", "scenario", scenarios, shown),
            "",
            *_table("Faults", "what went wrong", faults(), shown),
            "",
        ]
    )


def _table(title: str, word: str, entries: Mapping[str, str], shown: Shown) -> Sequence[str]:
    lines = [f"## {title}", "", f"| # | {word} | tests | best test |", "|---|---|---|---|"]
    for number, words in entries.items():
        test = best(number, words, shown)
        where = "**missing**" if test is None else f"`{test.removeprefix('tests/')}`"
        lines.append(f"| {number} | {words} | {len(shown_by(number, shown))} | {where} |")
    return lines


def coverage(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the page is out of date.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The file to write.")] = PAGE,
    of: Annotated[
        str | None,
        typer.Option(help="Only list the tests of this fact (0.9), scenario (9) or fault (F9)."),
    ] = None,
) -> None:
    """Generate docs/coverage.md from the marks on the tests, and list the facts that no test proves."""
    need_source("tests")
    try:
        shown = collect()
    except NotCollected as error:
        typer.echo(f"The tests can't be collected:\n{error}", err=True)
        raise typer.Exit(2) from None
    if of is not None:
        _list(of, shown)
        return
    text = page(shown)
    gaps = missing(shown)
    for gap in gaps:
        typer.echo(f"missing: {gap}")
    if not check:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"{out}: {len(told()[0])} facts, {len(faults())} faults, {len(gaps)} gaps")
    elif not out.exists() or out.read_text(encoding="utf-8") != text:
        typer.echo(f"{out} is out of date. Run: care coverage", err=True)
        raise typer.Exit(1)
    if check and gaps:
        raise typer.Exit(1)


def _list(number: str, shown: Shown) -> None:
    """Print every test of a fact, a scenario or a fault."""
    found = shown_by(number, shown)
    if not found:
        typer.echo(f"No test shows {number}.", err=True)
        raise typer.Exit(1)
    for test in found:
        typer.echo(test)


# --- the plugin that runs inside pytest, in the process that `collect` starts -----------------------------------


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down which test carries which mark; a test of many cases is one test."""
    target = os.environ.get(MARKERS_FILE)
    if target is not None:
        Path(target).write_text(json.dumps(marked(session.items)), encoding="utf-8")


def marked(items: Iterable[pytest.Item]) -> dict[str, dict[str, list[str]]]:
    """The ids of tests by mark and number."""
    found: dict[str, dict[str, list[str]]] = {mark: {} for mark in MARKERS}
    for item in items:
        for mark in item.iter_markers():
            if mark.name in found:
                numbers: tuple[Any, ...] = mark.args
                for number in numbers:
                    ids = found[mark.name].setdefault(str(number), [])
                    ids.append(item.nodeid.partition("[")[0])
    return found
