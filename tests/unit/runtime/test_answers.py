"""What every answer of every service has, and the page at /docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from care.interfaces import document
from shared.contracts import CATALOGUE, Event, plans
from shared.runtime.http.docs_page import POLICY, page
from shared.runtime.http.json_answer import JsonAnswer
from shared.runtime.http.protocol import _raw  # pyright: ignore[reportPrivateUsage]
from shared.runtime.service import create_app
from shared.services import PROCESSES
from tests.unit.served import Served
from tests.unit.support import settings_for


def _app(name: str) -> FastAPI:
    return create_app(import_module(f"services.{name}.app").SERVICE, settings_for(f"care.{name}"))


APPS = {name: _app(name) for name in PROCESSES}
for _one in APPS.values():
    _one.state.runtime = SimpleNamespace(audit=SimpleNamespace(count_anonymous=str))


def _routes() -> Iterator[Any]:
    for name in APPS:
        for path, operations in document(name)["paths"].items():
            for method in operations:
                yield pytest.param(name, method.upper(), path, id=f"{name} {method} {path}")
        for path in ("/docs", "/openapi.json", "/no-such-route"):
            yield pytest.param(name, "GET", path, id=f"{name} get {path}")


@pytest.mark.parametrize(("service", "method", "path"), list(_routes()))
def test_no_answer_is_stored_on_its_way_or_guessed_at(service: str, method: str, path: str) -> None:
    """Also a refusal and a mistake of ours: without a runtime, what gets past the token is one."""
    url = path.replace("{", "").replace("}", "")
    for headers in ({}, {"Authorization": "Bearer x"}):
        client = TestClient(APPS[service], raise_server_exceptions=False)
        answer = client.request(method, url, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_clinical_answer_is_not_stored() -> None:
    served = Served(import_module("services.intake.app").SERVICE).acting_as("intake_coordinator")
    body = {"source_kind": "court", "urgency": "urgent"}
    told = await served.post("/referrals", body)
    assert told.status_code == 201, told.text
    answer = await served.get(f"/{told.json()['subject'].replace('episode/', 'episodes/')}")
    assert answer.status_code == 200, answer.text
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"]


def test_what_is_refused_before_the_application_sees_it_has_them_too() -> None:
    head = (
        _raw(431, "head-too-large", "too large", "Send less.")
        .partition(b"\r\n\r\n")[0]
        .split(b"\r\n")
    )
    assert b"cache-control: no-store" in head
    assert b"x-content-type-options: nosniff" in head


# --- /docs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", PROCESSES)
def test_the_page_loads_nothing_and_has_every_operation(service: str) -> None:
    answer = TestClient(APPS[service]).get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    text = answer.text
    for loading in ("<script", "src=", "<link", "http://", "https://", "url(", "@import"):
        assert loading not in text, loading
    document = APPS[service].openapi()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in text
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in text


def test_the_page_escapes_what_it_says() -> None:
    odd = "<img src=x onerror=1>"
    document = {
        "openapi": odd,
        "info": {"title": odd, "summary": odd},
        "components": {
            "schemas": {
                "Odd": {
                    "description": odd,
                    "properties": {odd: {"enum": [odd], "description": odd}},
                }
            }
        },
        "paths": {
            f"/{odd}": {
                "get": {
                    "summary": odd,
                    "tags": [odd],
                    "x-roles": [odd],
                    "responses": {odd: {}},
                    "parameters": [
                        {"name": odd, "in": odd, "schema": {"type": odd, "pattern": odd}}
                    ],
                }
            }
        },
    }
    assert "<img" not in page(document)


def test_the_frameworks_own_pages_are_gone() -> None:
    client = TestClient(APPS["intake"])
    assert client.get("/redoc").status_code == 404


# --- /events, /asyncapi.json and the schemas ---------------------------------------------------------


@pytest.mark.parametrize("service", PROCESSES)
def test_the_page_of_events_shows_each_and_loads_nothing(service: str) -> None:
    client = TestClient(APPS[service])
    answer = client.get("/events")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "<script" not in answer.text
    published = [event for event in CATALOGUE.values() if f"care.{service}" == event.SOURCE]
    assert all(f'id="{event.TYPE}"' in answer.text for event in published)
    assert ("publishes no events of its own" in answer.text) == (not published)
    document = client.get("/asyncapi.json").json()
    assert document["components"]["messages"].keys() == {event.TYPE for event in published}


@pytest.mark.parametrize("event", [*CATALOGUE.values()], ids=lambda event: event.TYPE)
def test_a_schema_is_found_by_the_dataschema_of_a_message(event: type[Event]) -> None:
    answer = TestClient(APPS[PROCESSES[0]]).get(f"/schemas/{event.schema_id()}")
    assert answer.status_code == 200
    assert answer.json()["$id"] == event.schema_id()
    assert answer.headers["Content-Type"] == "application/schema+json"


def test_a_schema_that_is_none_is_404() -> None:
    answer = TestClient(APPS[PROCESSES[0]]).get("/schemas/urn:throughcare:schema:care.plans.no.v1")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-event-type")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime(2026, 2, 2, 9, tzinfo=UTC), "2026-02-02T09:00:00Z"),
        (date(2026, 2, 2), "2026-02-02"),
        (plans.DischargeKind.GRADUATED, "graduated"),
        (float("nan"), None),
    ],
)
def test_a_view_may_name_whatever_a_state_holds(value: object, written: object) -> None:
    assert json.loads(bytes(JsonAnswer({"it": value}).body)) == {"it": written}
