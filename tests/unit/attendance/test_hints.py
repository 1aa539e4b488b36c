"""Every refusal of attendance says what to do instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services.attendance
from shared.errors import CareError, Refused

REFUSALS = {"Refused", "Invalid", "Forbidden", "Unavailable", "TooLarge", "NotStorable"}
SERVICE = Path(services.attendance.__file__).parent


def refusals() -> Iterator[tuple[str, ast.Call]]:
    """Every place that makes a refusal, by file, line and code."""
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if (
                isinstance(node, ast.Call)
                and isinstance(called, ast.Name)
                and called.id in REFUSALS
            ):
                where = f"{path.relative_to(SERVICE)}:{node.lineno}"
                yield f"{where} {ast.unparse(node.args[0])}", node


FOUND = dict(refusals())


def test_there_are_many() -> None:
    assert len(FOUND) > 80


@pytest.mark.parametrize("place", FOUND)
def test_a_refusal_has_a_hint(place: str) -> None:
    [hint] = [word.value for word in FOUND[place].keywords if word.arg == "hint"]
    assert len(ast.unparse(hint)) > 10


def test_the_hint_reaches_who_is_refused() -> None:
    error: CareError = Refused("code", "Why.", hint="What to do.")
    assert error.hint == "What to do."
