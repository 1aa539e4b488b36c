"""The gate on the HTTP interfaces: what a caller would meet is refused and names the callers, what adds passes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from care.interfaces import documents
from shared.contracts.publish.difference import Difference, Kind
from shared.contracts.publish.http_differ import callers, http_differences, kept

WHOLE: Final = {name: kept(document) for name, document in documents().items()}
SERVICE, ROUTE = "intake", "PUT /people/{person_id}/identity"
Mutation = Callable[[dict[str, Any]], None]


def route(whole: dict[str, Any]) -> dict[str, Any]:
    return whole[SERVICE][ROUTE]


def body(whole: dict[str, Any]) -> dict[str, Any]:
    return route(whole)["body"]["content"]["application/json"]


def field(name: str, key: str, value: object) -> Mutation:
    """Set, or with None remove, a keyword of a field of the body."""

    def mutate(whole: dict[str, Any]) -> None:
        node = body(whole)["properties"][name]
        node.pop(key, None)
        if value is not None:
            node[key] = value

    return mutate


def of_body(key: str, value: object) -> Mutation:
    return lambda whole: body(whole).update({key: value})


def new_field(name: str, *, required: bool) -> Mutation:
    def mutate(whole: dict[str, Any]) -> None:
        body(whole)["properties"][name] = {"type": "string"}
        if required:
            body(whole)["required"] = [*body(whole)["required"], name]

    return mutate


def removed(name: str) -> Mutation:
    return lambda whole: body(whole)["properties"].pop(name)


def parameter(name: str, *, required: bool) -> Mutation:
    one = {"required": required, "schema": {"type": "string"}}
    return lambda whole: route(whole)["parameters"].update({name: one})


def answers(status: str, value: object) -> Mutation:
    def mutate(whole: dict[str, Any]) -> None:
        route(whole)["responses"].pop(status, None)
        if value is not None:
            route(whole)["responses"][status] = value

    return mutate


def of_problem(mutate: Mutation) -> Mutation:
    """Change what every refusal of the route answers."""

    def mutated(whole: dict[str, Any]) -> None:
        mutate(route(whole)["responses"]["4XX"]["content"]["application/problem+json"])

    return mutated


def media(name: str, *, instead: bool) -> Mutation:
    """The body in another media type, or also in another one."""

    def mutate(whole: dict[str, Any]) -> None:
        content = route(whole)["body"]["content"]
        content[name] = content["application/json"]
        if instead:
            del content["application/json"]

    return mutate


def done(whole: dict[str, Any]) -> dict[str, Any]:
    return route(whole)["responses"]["200"]


def waiting(whole: dict[str, Any]) -> dict[str, Any]:
    return route(whole)["responses"]["503"]


BREAKING: Final[dict[str, Mutation]] = {
    "a service is gone": lambda whole: whole.pop(SERVICE),
    "a route is gone": lambda whole: whole[SERVICE].pop(ROUTE),
    "a field is gone": removed("purpose"),
    "a new field is required": new_field("colour", required=True),
    "a field becomes required": lambda whole: of_body("required", list(body(whole)["properties"]))(
        whole
    ),
    "a code is no longer accepted": lambda whole: body(whole)["properties"]["purpose"][
        "enum"
    ].pop(),
    "a free text becomes a list": field("given_name", "enum", ["a", "b"]),
    "a type changes": field("purpose", "type", "integer"),
    "a pattern comes": field("given_name", "pattern", "^never$"),
    "a text gets shorter": field("given_name", "maxLength", 1),
    "a text has to be longer": field("given_name", "minLength", 50),
    "a default changes": field("purpose", "default", "contact"),
    "a default goes": field("purpose", "default", None),
    "a keyword that nobody knows": field("purpose", "contentEncoding", "base64"),
    "a header is asked for": parameter("header X-Shift", required=True),
    "the key of a command is gone": lambda whole: route(whole)["parameters"].pop(
        "header Idempotency-Key"
    ),
    "the body is gone": lambda whole: route(whole).update({"body": None}),
    "an answer is gone": answers("200", None),
    "another answer": answers("204", {}),
    "a refusal has no hint": of_problem(lambda problem: problem["properties"].pop("hint")),
    "a refusal may have no code": of_problem(lambda problem: problem["required"].remove("code")),
    "a code has another form": of_problem(
        lambda problem: problem["properties"]["code"].update({"pattern": "^[A-Z]+$"})
    ),
    "why a field is refused goes": of_problem(
        lambda problem: problem["properties"]["errors"]["items"]["properties"].pop("why")
    ),
    "the body is asked for in another media type": media("application/xml", instead=True),
    "a header of an answer is gone": lambda whole: waiting(whole)["headers"].pop("Retry-After"),
    "a header of an answer may be absent": lambda whole: done(whole)["headers"]["ETag"].update(
        {"required": False}
    ),
    "a header of an answer has another form": lambda whole: done(whole)["headers"]["ETag"].update(
        {"schema": {"type": "integer"}}
    ),
    "a status is true and no number": of_problem(
        lambda problem: problem["properties"].update({"status": {"const": True}})
    ),
    "a part of a refusal is nothing": of_problem(
        lambda problem: problem["properties"].update({"hint": False})
    ),
    "what an error is goes": of_problem(
        lambda problem: problem["properties"]["errors"].update({"items": True})
    ),
    "an error is nothing": of_problem(
        lambda problem: problem["properties"]["errors"].update({"items": False})
    ),
    "a refusal has another form": answers("4XX", {"content": {"text/plain": {}}, "headers": {}}),
}

ADDITIVE: Final[dict[str, Mutation]] = {
    "a route": lambda whole: whole[SERVICE].update({"POST /new": deepcopy(route(whole))}),
    "a service": lambda whole: whole.update({"new": deepcopy(whole[SERVICE])}),
    "a field that may be left out": new_field("colour", required=False),
    "a field need not be sent": lambda whole: body(whole)["required"].pop(),
    "one more code": lambda whole: body(whole)["properties"]["purpose"]["enum"].append("soon"),
    "a bound is wider": field("given_name", "maxLength", 10_000),
    "a pattern goes": field("language", "pattern", None),
    "a header that may be left out": parameter("header X-Shift", required=False),
    "a refusal says more": of_problem(
        lambda problem: problem["properties"].update({"help": {"type": "string"}})
    ),
    "each error says more": of_problem(
        lambda problem: problem["properties"]["errors"]["items"]["properties"].update(
            {"until": {"type": "string"}}
        )
    ),
    "one more media type of the body": media("application/xml", instead=False),
    "one more header of an answer": lambda whole: done(whole)["headers"].update(
        {"X-Place": {"required": False, "schema": {"type": "string"}}}
    ),
    "a header in other letters": lambda whole: done(whole)["headers"].update(
        {"etag": done(whole)["headers"].pop("ETag")}
    ),
    "a part of a refusal that is anything": of_problem(
        lambda problem: problem["properties"].update({"more": True})
    ),
    "what a refusal has for certain, in another order": of_problem(
        lambda problem: problem["required"].reverse()
    ),
    "a bound, written otherwise": of_problem(
        lambda problem: problem["properties"]["status"].update({"minimum": 400.0})
    ),
    "a field or null": lambda whole: body(whole)["properties"].update(
        {"given_name": {"anyOf": [body(whole)["properties"]["given_name"], {"type": "null"}]}}
    ),
    "anybody may call": lambda whole: route(whole).update({"roles": []}),
    "one more role": lambda whole: route(whole)["roles"].append("scheduler"),
    "a body need not be sent": lambda whole: route(whole)["body"].update({"required": False}),
}


def judged(mutate: Mutation) -> list[Difference]:
    after = deepcopy(WHOLE)
    mutate(after)
    return list(http_differences(WHOLE, after))


@pytest.mark.parametrize("name", BREAKING)
def test_what_a_caller_would_meet_is_breaking(name: str) -> None:
    found = [one for one in judged(BREAKING[name]) if one.kind is Kind.BREAKING]
    assert found
    assert all(one.place.startswith(f"http {SERVICE} ") for one in found)
    assert any("intake_coordinator" in callers(WHOLE, one.place) for one in found)


@pytest.mark.parametrize("name", ADDITIVE)
def test_what_adds_passes(name: str) -> None:
    assert {one.kind for one in judged(ADDITIVE[name])} <= {Kind.ADDITIVE}


def test_a_role_that_may_no_longer_call_is_answered_for() -> None:
    [found] = judged(lambda whole: route(whole)["roles"].remove("intake_coordinator"))
    assert (found.kind, found.what) == (Kind.WORDS, "intake_coordinator may no longer call it")


def test_nothing_differs_from_itself() -> None:
    assert list(http_differences(WHOLE, deepcopy(WHOLE))) == []


def test_a_field_may_be_named_as_a_keyword_is() -> None:
    """What a release keeps has no words, and every field."""
    fields = {"title": {"type": "string", "title": "Title"}, "properties": {"type": "object"}}
    content = {"application/json": {"schema": {"type": "object", "properties": fields}}}
    operation = {"requestBody": {"content": content}, "responses": {}}
    whole = kept({"paths": {"/x": {"post": operation}}, "components": {}})
    known = whole["POST /x"]["body"]["content"]["application/json"]["properties"]
    assert known == {"title": {"type": "string"}, "properties": {"type": "object"}}


def test_a_route_that_anybody_calls_may_not_ask_for_a_role() -> None:
    """No list names who calls it, so that nobody can answer for them."""

    def mutate(whole: dict[str, Any]) -> None:
        whole[SERVICE]["GET /healthz"]["roles"] = ["operator"]

    [found] = judged(mutate)
    assert (found.kind, found.what) == (Kind.BREAKING, "only operator may call it now")
    assert callers(WHOLE, found.place) == ["anybody"]


def test_what_is_about_one_record_is_answered_with_its_revision() -> None:
    """A caller gives it back as If-Match. The API tests compare this with what is really answered."""
    without = {
        f"{service} {name}"
        for service, routes in WHOLE.items()
        for name, one in routes.items()
        if not name.startswith("GET ") and " /ops/" not in name
        if not any("ETag" in answer["headers"] for answer in one["responses"].values())
    }
    assert without == {"attendance POST /screens/draw", "intake POST /people/matches"}
    shown = WHOLE["intake"]["GET /people/{person_id}/identity"]
    assert "ETag" in shown["responses"]["200"]["headers"]


def test_whoever_has_to_wait_is_told_how_long() -> None:
    for routes in WHOLE.values():
        for one in routes.values():
            for status in ("4XX", "503"):
                assert "Retry-After" in one["responses"][status]["headers"]


def test_a_schema_that_names_itself_is_compared() -> None:
    def whole(code: str) -> dict[str, Any]:
        step = {"$ref": "#/components/schemas/Step"}
        steps = {"type": "array", "items": step}
        known = {"type": "object", "properties": {"code": {"type": code}, "steps": steps}}
        content = {"application/json": {"schema": step}}
        operation = {"requestBody": {"content": content}, "responses": {}}
        document = {
            "paths": {"/x": {"post": operation}},
            "components": {"schemas": {"Step": known}},
        }
        return {SERVICE: kept(document)}

    assert list(http_differences(whole("string"), whole("string"))) == []
    [found] = http_differences(whole("string"), whole("integer"))
    assert found.kind is Kind.BREAKING
