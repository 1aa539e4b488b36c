"""Every refusal of a service's rules or of the runtime says what to do about it, and names only routes that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from care.interfaces import document
from shared.devtools.stack import SERVICES as STACK

PLACES = (*(f"services/{name}" for name in STACK), "shared/runtime")
"""Whose refusals are held to it."""
RAISED = (
    *("Refused", "Invalid", "Forbidden", "Unauthenticated", "Unavailable", "KeyRequired"),
    *("TooLarge", "NotStorable"),
)
"""The errors whose hint the caller gives; the others of `shared/errors.py` have one of their own."""
ROUTE = re.compile(r"(?:GET|POST|PUT) (/[a-z{}_/-]+)")


def refusals(place: str) -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(Path(place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED:
                yield f"{path.name}:{node.lineno}", node


def says_something(hint: ast.expr) -> bool:
    return not isinstance(hint, ast.Constant) or len(str(hint.value)) >= len("Retry.")


def routes() -> set[str]:
    """The paths of all services, with every parameter as `{id}`."""
    found: set[str] = set()
    for name in STACK:
        found |= {re.sub(r"{\w+}", "{id}", path) for path in document(name)["paths"]}
    return found


@pytest.mark.parametrize("place", PLACES)
def test_every_refusal_carries_a_hint(place: str) -> None:
    found = list(refusals(place))
    assert len(found) > 20
    bare = [
        where
        for where, node in found
        if not any(word.arg == "hint" and says_something(word.value) for word in node.keywords)
    ]
    assert bare == []


@pytest.mark.parametrize("place", PLACES)
def test_a_hint_names_routes_that_exist(place: str) -> None:
    known = routes()
    for path in sorted(Path(place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.keyword) or node.arg != "hint":
                continue
            said = [c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant)]
            named = {re.sub(r"{\w+}", "{id}", r) for one in said for r in ROUTE.findall(str(one))}
            assert {one.rstrip("/") for one in named} <= known, f"{path.name}:{node.value.lineno}"
