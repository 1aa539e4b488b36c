"""The first page of each service is what the code is: what it keeps of others, says, answers, and where to read on."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from shared.contracts.event import CATALOGUE
from shared.runtime.service import Service
from shared.testing.stack import SERVICES

ROOT = Path(__file__).resolve().parents[2]


def _page(name: str) -> dict[str, str]:
    """The labelled paragraphs (`Owns`, `Hears`, `Says`, `Asked`) and, as `Read`, the rest."""
    text = import_module(f"services.{name}").__doc__ or ""
    top, _, rest = text.partition("\n\nRead ")
    found = dict(re.findall(r"^(\w+)  +(.*(?:\n {8}.*)*)", top, re.MULTILINE))
    assert list(found) == ["Owns", "Hears", "Says", "Asked"]
    return {**found, "Read": rest}


def _service(name: str) -> Service:
    return import_module(f"services.{name}.app").SERVICE


@pytest.mark.parametrize("name", SERVICES)
def test_it_names_every_event_that_the_service_says(name: str) -> None:
    source = f"care.{name}."
    said = {event.NAME for event in CATALOGUE.values() if event.TYPE.startswith(source)}
    assert set(re.findall(r"\w+(?:-\w+)+", _page(name)["Says"])) == said


@pytest.mark.parametrize("name", SERVICES)
def test_it_names_every_service_that_it_hears(name: str) -> None:
    heard = {topic.removeprefix("care.") for topic in _service(name).reactions.topics}
    outside = re.sub(r"\([^)]*\)", "", _page(name)["Hears"])
    assert set(re.findall(r"\w+", outside)) == heard


@pytest.mark.parametrize("name", SERVICES)
def test_it_names_every_path_that_it_answers(name: str) -> None:
    routes = [r for router in _service(name).routers for r in router.routes]
    answered = {"/" + r.path.split("/")[1] for r in routes if isinstance(r, APIRoute)}
    assert set(_page(name)["Asked"].split()) == answered


@pytest.mark.parametrize("name", SERVICES)
def test_it_says_where_to_read_every_part(name: str) -> None:
    named = set(re.findall(r"`([\w*/.]+)`", _page(name)["Read"]))
    directory = ROOT / "services" / name
    assert [one for one in sorted(named) if not list(directory.glob(one))] == [], "no such file"
    modules = {path.name for path in directory.glob("*.py")} - {"__init__.py", "app.py"}
    assert [one for one in sorted(modules) if not any(fnmatch(one, n) for n in named)] == []
