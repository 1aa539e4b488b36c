"""What a newcomer reads is what the code is: the first page of each service, and the tables of docs/architecture.md."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from shared.contracts.codes import AttendanceLoop, FollowupLoop, IntakeLoop, PlansLoop
from shared.contracts.event import CATALOGUE, OpenEnum
from shared.runtime.service import Service
from shared.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LOOPS: dict[str, type[OpenEnum]] = {
    "intake": IntakeLoop,
    "plans": PlansLoop,
    "attendance": AttendanceLoop,
    "followup": FollowupLoop,
}


def _page(name: str) -> dict[str, str]:
    """The labelled paragraphs (`Owns`, `Subscribes`, `Publishes`, `HTTP`) and, as `Read`, the rest."""
    text = import_module(f"services.{name}").__doc__ or ""
    top, _, rest = text.partition("\n\nRead ")
    found = dict(re.findall(r"^(\w+)  +(.*(?:\n {12}.*)*)", top, re.MULTILINE))
    assert list(found) == ["Owns", "Subscribes", "Publishes", "HTTP"]
    return {**found, "Read": rest}


def _service(name: str) -> Service:
    return import_module(f"services.{name}.app").SERVICE


@pytest.mark.parametrize("name", SERVICES)
def test_it_names_every_event_that_the_service_publishes(name: str) -> None:
    source = f"care.{name}."
    said = {event.NAME for event in CATALOGUE.values() if event.TYPE.startswith(source)}
    assert set(re.findall(r"\w+(?:-\w+)+", _page(name)["Publishes"])) == said


@pytest.mark.parametrize("name", SERVICES)
def test_it_names_every_service_that_it_subscribes_to(name: str) -> None:
    heard = {topic.removeprefix("care.") for topic in _service(name).reactions.topics}
    outside = re.sub(r"\([^)]*\)", "", _page(name)["Subscribes"])
    assert set(re.findall(r"\w+", outside)) - {"to"} == heard


@pytest.mark.parametrize("name", SERVICES)
def test_it_names_every_path_that_it_answers(name: str) -> None:
    routes = [r for router in _service(name).routers for r in router.routes]
    answered = {"/" + r.path.split("/")[1] for r in routes if isinstance(r, APIRoute)}
    assert set(_page(name)["HTTP"].split()) == answered


@pytest.mark.parametrize("name", SERVICES)
def test_it_says_where_to_read_every_part(name: str) -> None:
    named = set(re.findall(r"`([\w*/.]+)`", _page(name)["Read"]))
    directory = ROOT / "services" / name
    assert [one for one in sorted(named) if not list(directory.glob(one))] == [], "no such file"
    files = {path.name for path in directory.glob("*.py")} - {"__init__.py", "app.py"}
    rooms = {f"{path.parent.name}/" for path in directory.glob("*/__init__.py")}
    assert sorted((files | rooms) - named) == []


def test_the_picture_has_an_arrow_for_each_topic_that_is_heard() -> None:
    section = ARCHITECTURE.partition("## Event flow between services")[2].partition("\n## ")[0]
    drawn = set(re.findall(r"^    (\w+) -->\|[^|]+\| (\w+)$", section, re.MULTILINE))
    heard = {
        (topic.removeprefix("care."), name)
        for name in SERVICES
        for topic in _service(name).reactions.topics
    }
    assert drawn == heard


@pytest.mark.parametrize("name", LOOPS)
def test_every_kind_of_open_loop_is_listed(name: str) -> None:
    row = re.search(rf"^\| {name} \| ((?:`\w+` ?)+) \|$", ARCHITECTURE, re.MULTILINE)
    assert row is not None
    listed = re.findall(r"`(\w+)`", row[1])
    assert listed == [kind.value for kind in LOOPS[name] if kind.name != "UNKNOWN"]


def test_stored_fields_that_are_promised_are_written() -> None:
    section = ARCHITECTURE.partition("### Stored fields")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    promised = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    runtime = ROOT / "shared" / "runtime"
    written = "".join(
        (runtime / f"{name}.py").read_text(encoding="utf-8")
        for name in (
            "core/documents",
            "core/store",
            "core/dead_letter",
            "core/original",
            "dead_letters/store",
        )
    )
    assert len(promised) > 20
    assert [name for name in sorted(promised) if f'"{name}"' not in written] == []
