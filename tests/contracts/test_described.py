"""Every operation of every service says what it takes and answers, in words; and the tests' look at answers sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from care.interfaces import documents
from shared.loops import KEPT_BACK
from shared.runtime.http.answer_schemas import fields_of
from tests.answers import AnswerUndescribed, Described

DOCUMENTS: Final[dict[str, dict[str, Any]]] = documents()
JSON: Final = "application/json"


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for service, document in DOCUMENTS.items():
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                yield f"{service} {method.upper()} {path}", operation


def says_nothing(schema: dict[str, Any]) -> bool:
    """Whether a schema lets a reader expect nothing: no fields of an object, and no type of its values."""
    if "$ref" in schema:
        return False
    named = schema.get("properties") or schema.get("additionalProperties", True) is not True
    return not schema or (schema.get("type") == "object" and not named)


@pytest.mark.fault("F57")
def test_every_success_is_typed() -> None:
    bare = [
        f"{name} {status}"
        for name, operation in operations()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for content in answer.get("content", {JSON: {}}).values()
        if says_nothing(content.get("schema", {}))
    ]
    assert bare == []


def test_no_answer_shows_what_only_rules_read() -> None:
    """What a mistake put aside is a whole record, with everything in it that answers leave out."""
    shown = {
        f"{service} {name}"
        for service, document in DOCUMENTS.items()
        for name, _ in fields_of(document)
        if name.rpartition(".")[2] in KEPT_BACK
    }
    assert shown == set()


def test_every_definition_is_typed() -> None:
    bare = [
        f"{service} {name}"
        for service, document in DOCUMENTS.items()
        for name, schema in document["components"]["schemas"].items()
        if says_nothing(schema)
    ]
    assert bare == []


def test_every_field_and_parameter_has_words() -> None:
    bare = {
        f"{service} {name}"
        for service, document in DOCUMENTS.items()
        for name, field in fields_of(document)
        if not field.get("description")
    }
    assert bare == set()


def test_every_operation_has_words_and_refuses_as_a_problem() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["responses"]["4XX"] == {"$ref": "#/components/responses/Refused"}, name


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, one in value.items():
                if key == "$ref" and isinstance(one, str):
                    yield one
                yield from references(one)
        elif isinstance(value, list):
            for one in value:
                yield from references(one)

    for service, document in DOCUMENTS.items():
        for reference in references(document):
            _, _, kind, name = reference.split("/")
            assert name in document["components"][kind], f"{service} {reference}"


def test_a_command_may_be_answered_before_others_hear_of_it() -> None:
    answers = DOCUMENTS["attendance"]["paths"]["/groups/{group_id}/seats"]["post"]["responses"]
    assert answers["202"]["content"] == answers["201"]["content"]
    assert answers["202"]["headers"] == answers["201"]["headers"]


# --- what the tests of all services look at answers with ----------------------------------------------------

ALIVE: Final = b'{"status": "alive"}'


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, JSON, b'{"status": "alive", "since": 3}'),
        (200, JSON, b"{}"),
        (200, JSON, b'{"status": "well"}'),
        (200, "text/plain", ALIVE),
        (204, JSON, ALIVE),
        (404, JSON, ALIVE),
        (404, "application/problem+json", ALIVE),
    ],
)
def test_what_is_not_described_fails(status: int, media_type: str, body: bytes) -> None:
    described = Described(DOCUMENTS["plans"])
    described.check("GET", "/healthz", 200, JSON, ALIVE)
    with pytest.raises(AnswerUndescribed):
        described.check("GET", "/healthz", status, media_type, body)
