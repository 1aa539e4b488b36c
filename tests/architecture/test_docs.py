"""What the documents name is there: pages, files, tests, targets of make, commands and their options."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from care.cli import app

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("coverage.md", "vocabulary.md")
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.name not in GENERATED
]
TREES = "bench|care|chaos|demo|deploy|docs|services|shared|tests"
COMMAND: Any = typer.main.get_command(app)

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@page
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    own = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in own if not (path.parent / link).exists()] == []


@page
def test_every_file_that_is_named_is_there(path: Path) -> None:
    named = re.findall(rf"`((?:{TREES})/[\w*./<>-]+)", path.read_text(encoding="utf-8"))
    plain = {name.rstrip("/.") for name in named if "<" not in name}
    assert [name for name in sorted(plain) if not list(ROOT.glob(name))] == []


@page
def test_every_test_that_is_named_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    everything = _tests()
    names = set(re.findall(r"\b(test_\w+)\b(?![.*/])", text))
    files = {p.stem for p in (ROOT / "tests").rglob("test_*.py")}
    assert [n for n in sorted(names - files) if f"def {n}(" not in everything] == []
    classes = set(re.findall(r"`(Test\w+)", text))
    assert [n for n in sorted(classes) if not re.search(rf"class {n}\b", everything)] == []


@cache
def _tests() -> str:
    return "".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))


@page
def test_every_target_of_make_is_there(path: Path) -> None:
    named = set(
        re.findall(r"(?:^|`)make ([a-z][a-z-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [
        name for name in sorted(named) if not re.search(rf"^{name}:", makefile, re.MULTILINE)
    ] == []


@page
def test_every_command_and_option_is_there(path: Path) -> None:
    assert [used for used in _used(path) if not _is_there(used)] == []


def _used(path: Path) -> list[list[str]]:
    """Each `care …` in code, up to whatever ends it."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    lines = [line for block in blocks for line in block.splitlines()] + spans
    # At the beginning, after settings, or in $(…): elsewhere it is a word.
    call = r"(?:^|\$\(|= ?)\s*(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?care ([^|>#)`]+)"
    return [found.split() for line in lines for found in re.findall(call, line)]


def _is_there(words: list[str]) -> bool:
    command: Any = COMMAND
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if not words or words[0] in ("…", "--help"):
            return True
        if words[0] not in command.commands:
            return False
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    return used <= known


def test_the_check_of_commands_sees_what_is_not_there() -> None:
    assert _is_there(["dead-letters", "groups", "plans", "--json"])
    assert not _is_there(["dead-letters", "group", "plans"])
    assert not _is_there(["demo", "--for-ever"])
