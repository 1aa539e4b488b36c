"""`care coverage`: which test shows which fact and scenario. The page is made from the marks on tests.

The tests are collected and not run, so the page says where to look, and `make test` says whether it holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "coverage.md"
FACTS: Final = Path(__file__).with_name("facts.toml")
MARKS_FILE: Final = "CARE_MARKS_FILE"
COLLECTED_WITHIN_SECONDS: Final = 300
_HEAD: Final = """\
# What is shown by which test

Made by `care coverage` from the marks on the tests (`@pytest.mark.fact`, `@pytest.mark.scenario`) and the words in
`care/facts.toml`; a test fails when this page is not what it would make. The facts are what five programs say of
themselves; where one of them differs from official criteria, the profile that ships says how that was decided.
"""


class NotCollected(Exception):
    """The tests can't be collected; the words are pytest's own."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Which tests show what: ids of tests by number."""

    facts: Mapping[str, tuple[str, ...]]
    scenarios: Mapping[str, tuple[str, ...]]


def told() -> tuple[dict[str, str], dict[str, str]]:
    """What there is to show: facts and scenarios by number, in order."""
    document = tomllib.loads(FACTS.read_text(encoding="utf-8"))
    return document["facts"], document["scenarios"]


def collect(root: Path = ROOT) -> Shown:
    """Collect all tests, in a process of its own, and read their marks. Raises `NotCollected`."""
    with TemporaryDirectory(prefix="care-") as temporary:
        marks = Path(temporary) / "marks.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", __name__, "tests"]
        done = subprocess.run(  # noqa: S603 - our own tests
            [*command, "-p", "no:cacheprovider", "-p", "no:randomly"],
            cwd=root,
            env={**os.environ, MARKS_FILE: str(marks)},
            capture_output=True,
            text=True,
            timeout=COLLECTED_WITHIN_SECONDS,
            check=False,
        )
        if done.returncode != 0 or not marks.exists():
            raise NotCollected((done.stdout + done.stderr)[-3000:])
        found = json.loads(marks.read_text(encoding="utf-8"))
    return Shown(_sorted(found["fact"]), _sorted(found["scenario"]))


def _sorted(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {number: tuple(sorted(set(ids))) for number, ids in found.items()}


def missing(shown: Shown) -> list[str]:
    """What no test shows, and numbers that nobody knows."""
    facts, scenarios = told()
    return [
        *(f"fact {number}" for number in facts if not shown.facts.get(number)),
        *(f"scenario {number}" for number in scenarios if not shown.scenarios.get(number)),
        *(f"fact {n} is on no list" for n in shown.facts if n not in facts),
        *(f"scenario {n} is on no list" for n in shown.scenarios if n not in scenarios),
    ]


def page(shown: Shown) -> str:
    """The page, whole."""
    facts, scenarios = told()
    return "\n".join(
        [
            _HEAD,
            *_table("Facts", "fact", facts, shown.facts),
            "",
            *_table("Scenarios", "scenario", scenarios, shown.scenarios),
            "",
        ]
    )


def _table(
    title: str, word: str, entries: Mapping[str, str], shown: Mapping[str, Iterable[str]]
) -> list[str]:
    lines = [f"## {title}", "", f"| # | {word} | shown by |", "|---|---|---|"]
    for number, words in entries.items():
        tests = "<br>".join(f"`{test}`" for test in shown.get(number, ())) or "**missing**"
        lines.append(f"| {number} | {words} | {tests} |")
    return lines


def coverage(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if it differs.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = PAGE,
) -> None:
    """Make docs/coverage.md from the marks on the tests, and say what no test shows.

    Example: `care coverage --check`
    """
    try:
        shown = collect()
    except NotCollected as error:
        typer.echo(f"The tests can't be collected:\n{error}", err=True)
        raise typer.Exit(2) from None
    text = page(shown)
    gaps = missing(shown)
    for gap in gaps:
        typer.echo(f"missing: {gap}")
    if not check:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"{out}: {len(told()[0])} facts, {len(gaps)} gaps")
    elif not out.exists() or out.read_text(encoding="utf-8") != text:
        typer.echo(f"{out} is not what the tests say. Run: care coverage", err=True)
        raise typer.Exit(1)
    if check and gaps:
        raise typer.Exit(1)


# --- the plugin that runs inside pytest, in the process that `collect` starts -----------------------------------


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down which test carries which mark; a test of many cases is one test."""
    target = os.environ.get(MARKS_FILE)
    if target is None:
        return
    found: dict[str, dict[str, list[str]]] = {"fact": {}, "scenario": {}}
    for item in session.items:
        for mark in item.iter_markers():
            if mark.name in found:
                numbers: tuple[Any, ...] = mark.args
                for number in numbers:
                    ids = found[mark.name].setdefault(str(number), [])
                    ids.append(item.nodeid.partition("[")[0])
    Path(target).write_text(json.dumps(found), encoding="utf-8")
