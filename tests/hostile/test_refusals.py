"""Item: a refusal never repeats what the caller sent, key or value, and names the field where the schema has one.

Every operation of every service that takes a body or a parameter, sent what nobody may read in an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import quote

import pytest

from care.interfaces import document
from shared.services import PROCESSES
from tests.unit.served import Served
from tests.unit.support import uid

MARK = "Zephyrine"
ODD = f"{MARK} Quill.feather [key]"
WRONG: tuple[Any, ...] = (ODD, {ODD: ODD}, [{ODD: ODD}], {MARK: {ODD: [ODD]}}, {MARK.lower(): 7})


MACHINES = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/ops/flow",
    "/ops/dead-letters",
    "/ops/dead-letters/discards",
}
"""They take nothing, or codes alone."""


def _service(name: str) -> Any:
    return import_module(f"services.{name}.app").SERVICE


def _operations() -> Iterator[Any]:
    """Each operation once: what all services share is one service's here."""
    seen: set[str] = set()
    for name in PROCESSES:
        whole = document(name)
        for path, operations in whole["paths"].items():
            for method, operation in operations.items():
                known = f"{method} {path}"
                if path not in MACHINES and known not in seen:
                    seen.add(known)
                    yield pytest.param(name, method, path, operation, whole, id=f"{name} {known}")


OPERATIONS = list(_operations())


@cache
def _served(name: str) -> Served:
    """Nothing that is refused changes it: one serves all tests."""
    return Served(_service(name))


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return {}
    schema = content["application/json"]["schema"]
    [reference] = [one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
    return document["components"]["schemas"][reference.rpartition("/")[2]].get("properties", {})


def _nested(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Any]:
    """Wrong values that reach into what a field is made of: an object whose fields all are wrong."""
    for one in (schema, *schema.get("anyOf", ())):
        of = one.get("items") or one.get("additionalProperties") or one
        if isinstance(of, dict) and (name := of.get("$ref", "").rpartition("/")[2]):
            inner = document["components"]["schemas"][name].get("properties", {})
            for wrong in WRONG[:2]:
                value = dict.fromkeys(inner, wrong) | {ODD: ODD}
                yield from (value, [value], {ODD: value})


@pytest.mark.parametrize(("service", "method", "path", "operation", "document"), OPERATIONS)
async def test_no_refusal_repeats_what_was_sent(
    service: str, method: str, path: str, operation: Any, document: Any
) -> None:
    served = _served(service).acting_as((operation.get("x-roles") or ["clinician"])[0])
    url = path
    for one in operation.get("parameters", ()):
        url = url.replace(f"{{{one['name']}}}", uid("something"))
    answers = [
        await served.send(
            method.upper(),
            "/".join(quote(ODD) if part.startswith("{") else part for part in path.split("/")),
        ),
        await served.send(
            method.upper(),
            url,
            params={p["name"]: ODD for p in operation.get("parameters", ()) if p["in"] == "query"}
            | {ODD: ODD},
        ),
    ]
    fields = _fields(document, operation)
    bodies = [*WRONG, {ODD: ODD}]
    for name, schema in fields.items():
        for wrong in (*WRONG, *_nested(document, schema)):
            answer = await served.send(method.upper(), url, {name: wrong})
            answers.append(answer)
            if answer.status_code == 422 and answer.json()["code"] == "request-invalid":
                places = [error["at"] for error in answer.json()["errors"]]
                known = {f"body.{field}" for field in fields}
                assert all(
                    place == "body"
                    or place.startswith(("path.", "query."))
                    or ".".join(place.split(".")[:2]) in known
                    for place in places
                ), places
    answers += [await served.send(method.upper(), url, body) for body in bodies if fields]
    for answer in answers:
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        assert MARK.lower() not in answer.text.lower(), answer.text


# --- the field is named, with what it may be ---------------------------------------------------------

NAMED: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    ("a code of a list that is open for readers", "urgency", {}, "body.urgency", "code_not_listed"),
    ("a member added for readers", "urgency", {"value": "unknown"}, "body.urgency", "code_not_listed"),
    ("a field that is missing", "urgency", {"drop": True}, "body.urgency", "missing"),
)  # fmt: skip


def _referral(served: Served) -> dict[str, Any]:
    schema = served.app.openapi()["components"]["schemas"]["ReceiveReferral"]
    return dict.fromkeys(schema["required"], ODD)


@pytest.mark.parametrize(("about", "field", "how", "at", "why"), NAMED, ids=[n[0] for n in NAMED])
async def test_the_field_at_fault_is_named(
    about: str, field: str, how: dict[str, Any], at: str, why: str
) -> None:
    served = Served(_service("intake")).acting_as("intake_coordinator")
    body = _referral(served) | {field: how.get("value", ODD)}
    if "drop" in how:
        del body[field]
    answer = await served.post("/referrals", body)
    assert answer.status_code == 422
    [found] = [error for error in answer.json()["errors"] if error["at"] == at]
    assert found["why"] == why, about
    if why == "code_not_listed":
        assert "urgent" in found["allowed"]
        assert "unknown" not in found["allowed"]


async def test_a_field_within_a_field_is_named_and_a_key_of_the_caller_is_not() -> None:
    served = Served(_service("intake")).acting_as("clinician")
    answer = await served.post(
        f"/assessments/{uid('assessment')}/complete",
        {"ratings": {ODD: "high"}, "answers": {ODD: 1}},
    )
    places = [error["at"] for error in answer.json()["errors"]]
    assert "body.ratings.*.[key]" in places
    assert MARK not in answer.text


async def test_a_time_of_no_use_is_named() -> None:
    served = Served(_service("intake")).acting_as("clinician")
    body = {"episode_id": uid("episode"), "starts_at": "0001-01-01T00:00:00Z"}
    answer = await served.post("/assessments", body)
    assert [error["at"] for error in answer.json()["errors"]] == ["body.starts_at"]
