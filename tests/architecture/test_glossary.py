"""The glossary is true: what it names exists, and what things were once called is found nowhere any more."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
EXEMPT = ("docs/glossary.md", "CHANGELOG.md", "tests/architecture/test_glossary.py")
KINDS = (".py", ".md", ".toml", ".yml", ".sh", "Makefile", "run")


def _rows() -> list[list[str]]:
    """The cells of each row of each table with five columns."""
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| ")]
    return [
        [cell.strip() for cell in row] for row in rows if len(row) == 5 and row[0] != " our word "
    ]


ROWS = _rows()
FORMER = sorted({pattern for row in ROWS for pattern in re.findall(r"`([^`]+)`", row[4])})


@cache
def _tree() -> dict[str, str]:
    """Every tracked text of the project, by path."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    wanted = [name for name in listed if name.endswith(KINDS) and name not in EXEMPT]
    paths = {name: ROOT / name for name in wanted}
    return {name: p.read_text(encoding="utf-8") for name, p in paths.items() if p.is_file()}


def test_the_table_is_read() -> None:
    assert len(ROWS) > 40
    assert len(FORMER) > 20


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_word_has_a_term_a_meaning_and_a_place_that_exists(row: list[str]) -> None:
    _, term, meaning, where, _ = row
    assert term
    assert meaning
    [place] = re.findall(r"`([^`]+)`", where)
    assert list(ROOT.glob(place.rstrip("/")))


def test_no_word_stands_twice() -> None:
    words = [word.strip() for row in ROWS for word in row[0].split(",")]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("pattern", FORMER)
def test_what_it_was_once_called_is_found_nowhere(pattern: str) -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in _tree().items()
        for match in re.finditer(pattern.replace(r"\|", "|"), text)
    ]
    assert found == []


@pytest.mark.parametrize("pattern", FORMER)
def test_a_pattern_would_find_its_word(pattern: str) -> None:
    """A pattern that matches nothing at all would hold for ever: each must match the text it was made from."""
    plain = re.sub(r"\(\?!.*?\)|\\b", "", pattern).replace("\\", "")
    plain = re.sub(r"\[(.)[^]]*\]", r"\1", plain)
    assert re.search(pattern, f" {plain} ")
