"""A test that starts services starts them on topics that no other test has used, in whichever order tests run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
STARTS = "services"
FRESH = frozenset({"bus", "fresh_topics", "forget_topics", "kafka_prefix", "_forget_group"})
"""Fixtures and functions after which nobody else's events, positions and numbers are there."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _words(node: ast.AST) -> frozenset[str]:
    """Every name, attribute and literal of a piece of code: what it calls, which fixtures it asks for."""
    found: set[str] = set()
    for one in ast.walk(node):
        match one:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
                found.add(word)
            case ast.Constant(value=str() as word):
                found.add(word)
            case _:
                pass
    return frozenset(found)


def _calls(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name
        for one in ast.walk(node)
    )


def _reached(name: str, functions: Mapping[str, Function]) -> Iterator[str]:
    """The functions of a module that one of them uses, itself included."""
    seen, ahead = set[str](), [name]
    while ahead:
        if (one := ahead.pop()) in seen:
            continue
        seen.add(one)
        yield one
        ahead += [word for word in _words(functions[one]) if word in functions]


def stale_starts(code: str) -> list[str]:
    """The tests of a module that start services on topics that another test may have used."""
    module = ast.parse(code)
    functions = {
        node.name: node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    marks = {
        word
        for node in module.body
        if isinstance(node, ast.Assign) and "pytestmark" in _words(node)
        for word in _words(node)
    }
    found: list[str] = []
    for name in functions:
        used = list(_reached(name, functions))
        starts = any(_calls(functions[one], STARTS) for one in used)
        fresh = any(FRESH & _words(functions[one]) for one in used) or FRESH & marks
        if name.startswith("test_") and starts and not fresh:
            found.append(name)
    return found


@pytest.mark.parametrize("area", ["flows", "hostile", "integration"])
def test_services_start_on_topics_of_their_own(area: str) -> None:
    found = {
        str(path.relative_to(TESTS)): names
        for path in sorted((TESTS / area).rglob("*.py"))
        if (names := stale_starts(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("code", "stale"),
    [
        ("def test_a(backend):\n with services(backend): ...", ["test_a"]),
        ("def run(b):\n return services(b)\ndef test_a(backend):\n run(backend)", ["test_a"]),
        ("def test_a(backend, fresh_topics):\n with services(backend): ...", []),
        ("@mark.usefixtures('bus')\ndef test_a(backend):\n with services(backend): ...", []),
        ("def test_a(backend):\n forget_topics(backend)\n services(backend)", []),
        ("pytestmark = usefixtures('bus')\ndef test_a(backend):\n services(backend)", []),
        ("def test_a(backend):\n assert picture.services(backend)", []),
    ],
)
def test_a_start_on_used_topics_is_seen(code: str, stale: list[str]) -> None:
    assert stale_starts(code) == stale
