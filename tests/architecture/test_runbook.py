"""Whatever a service can say of itself when something is wrong, the runbook knows: lines, codes, readiness reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, SequenceConflict, TopicMismatch, Unavailable

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ASKING = {
    error.__name__ for error in (Unavailable, TopicMismatch, SequenceConflict, ConfigurationError)
}
"""Errors whose codes ask an operator for something; a refusal has a hint for its caller."""


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "shared" / "runtime").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.name, node


def _lines() -> set[str]:
    levels = {"info", "warning", "error", "critical"}
    return {
        str(first.value)
        for _, call in _calls()
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and call.func.attr in levels
        and isinstance(first := call.args[0], ast.Constant)
    }


def _codes() -> set[str]:
    return {
        first.value
        for _, call in _calls()
        if isinstance(call.func, ast.Name)
        and call.func.id in ASKING
        and call.args
        and isinstance(first := call.args[0], ast.Constant)
        and isinstance(first.value, str)
    }


def _reasons() -> set[str]:
    """What `not_ready` names itself; the rest are codes, and names of background tasks."""
    runtime = ROOT / "shared" / "runtime"
    text = (runtime / "service.py").read_text()
    tasks = re.findall(r'\("(\w+)", (?:self|partial\(self)\.[\w.]+', text)
    assert len(tasks) >= 4
    text += (runtime / "kafka" / "topic_watch.py").read_text()
    named = re.findall(r'reasons\.append\("([a-z-]+)"\)|\["([a-z-]+)"\]', text)
    return {*map("".join, named), *(f"{t}-failing" for t in tasks)}


@pytest.mark.parametrize("found", [_lines, _codes, _reasons], ids=["lines", "codes", "reasons"])
def test_the_runbook_knows_it(found: Callable[[], set[str]]) -> None:
    names = found()
    assert len(names) > 5
    assert sorted(name for name in names if f"`{name}`" not in RUNBOOK) == []
