"""What callers send: a change of its schema is breaking when a value that was accepted is refused, and else passes."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from shared.contracts.publish.accepted import narrowed
from shared.contracts.publish.difference import Kind

STRING: Final = {"type": "string"}
INTEGER: Final = {"type": "integer"}
NUMBER: Final = {"type": "number"}
NULL: Final = {"type": "null"}


def one_of(*codes: str, **more: object) -> dict[str, Any]:
    """An object of one field `kind` that has one of these codes."""
    return {
        "type": "object",
        "properties": {"kind": {"enum": [*codes]}},
        "required": ["kind"],
        **more,
    }


def fields(*, others: object = False, required: tuple[str, ...] = (), **of: object) -> Any:
    return {
        "type": "object",
        "properties": of,
        "required": [*required],
        "additionalProperties": others,
    }


LEVELS: Final = {
    "type": "object",
    "required": ["edition", "code"],
    "properties": {"edition": STRING, "code": STRING},
    "additionalProperties": False,
}
THIRD: Final = {"properties": {"edition": {"const": "3"}, "code": {"enum": ["1", "2"]}}}
FOURTH: Final = {"properties": {"edition": {"const": "4"}, "code": {"enum": ["1", "2"]}}}
WIDER: Final = {"properties": {"edition": {"const": "4"}, "code": {"enum": ["1", "2", "3"]}}}

REFUSED: Final[dict[str, tuple[Any, Any, Any]]] = {
    "a branch of oneOf that overlaps": (
        {"oneOf": [STRING, INTEGER]},
        {"oneOf": [STRING, INTEGER, NUMBER]},
        1,
    ),
    "a branch of oneOf of the same codes": (
        {"oneOf": [one_of("a"), one_of("b")]},
        {"oneOf": [one_of("a"), one_of("b"), one_of("b", minProperties=1)]},
        {"kind": "b"},
    ),
    "a branch of oneOf that becomes wider": (
        {"oneOf": [STRING, INTEGER]},
        {"oneOf": [STRING, {"type": ["integer", "string"]}]},
        "a",
    ),
    "anyOf that becomes oneOf": (
        {"anyOf": [INTEGER, NUMBER]},
        {"oneOf": [INTEGER, NUMBER]},
        1,
    ),
    "a plain schema that becomes oneOf": (INTEGER, {"oneOf": [INTEGER, NUMBER]}, 1),
    "a branch goes": ({"anyOf": [STRING, NULL]}, {"anyOf": [STRING]}, None),
    "alternatives go": ({"anyOf": [STRING, NULL]}, STRING, None),
    "a branch is another": ({"anyOf": [STRING, NULL]}, {"anyOf": [INTEGER, NULL]}, "a"),
    "what stands beside alternatives": (
        {"anyOf": [STRING, NULL]},
        {"anyOf": [STRING, NULL], "maxLength": 1},
        "ab",
    ),
    "true became 1": ({"const": True}, {"const": 1}, True),
    "1 became true": ({"enum": [1, "a"]}, {"enum": [True, "a"]}, 1),
    "0 became false": ({"enum": [0]}, {"enum": [False]}, 0),
    "true within a value": ({"const": {"a": [True]}}, {"const": {"a": [1]}}, {"a": [True]}),
    "a number became an integer": (NUMBER, INTEGER, 1.5),
    "one type of two": ({"type": ["string", "null"]}, STRING, None),
    "any type became one": ({}, STRING, 1),
    "anything became nothing": (True, False, 1),
    "anything became something": (True, STRING, 1),
    "a form became nothing": (STRING, False, "a"),
    "a field is refused": (
        fields(colour=STRING),
        fields(colour=False),
        {"colour": "a"},
    ),
    "a field of anything gets a form": (fields(colour=True), fields(colour=STRING), {"colour": 1}),
    "items are refused": ({"type": "array"}, {"type": "array", "items": False}, [1]),
    "items get a form": ({"type": "array", "items": True}, {"type": "array", "items": STRING}, [1]),
    "other fields are refused": (fields(others=True), fields(others=False), {"x": 1}),
    "other fields get a form": (fields(others=True), fields(others=STRING), {"x": 1}),
    "a field that could be anything before": (fields(others=True), fields(others=True, x=STRING), {"x": 1}),
    "a field asked for that has no schema": (fields(others=True), fields(others=True, required=("x",)), {}),
    "keys get a form": (
        fields(others=True),
        {**fields(others=True), "propertyNames": {"enum": ["a"]}},
        {"b": 1},
    ),
    "a bound left out itself": ({"minimum": 1}, {"exclusiveMinimum": 1}, 1),
    "a bound comes": (NUMBER, {"type": "number", "maximum": 4}, 5),
    "a list comes": (STRING, {"type": "string", "const": "a"}, "b"),
    "a code of a list goes": ({"enum": ["a", "b"]}, {"const": "a"}, "b"),
    "within alternatives of levels": (
        {**LEVELS, "oneOf": [THIRD, WIDER]},
        {**LEVELS, "oneOf": [THIRD, FOURTH]},
        {"edition": "4", "code": "3"},
    ),
}  # fmt: skip
"""Before, after, and a value that was accepted and is refused."""

TAKEN: Final[dict[str, tuple[Any, Any]]] = {
    "or null": (STRING, {"anyOf": [STRING, NULL]}),
    "or null, as types": (STRING, {"type": ["string", "null"]}),
    "or null, from types": ({"type": ["string", "null"]}, {"anyOf": [{}, NULL]}),
    "or null, of a list of codes": (
        {"type": "string", "enum": ["a"]},
        {"anyOf": [{"type": "string", "enum": ["a", "b"]}, NULL]},
    ),
    "alternatives became a form that takes them all": ({"anyOf": [INTEGER, NUMBER]}, NUMBER),
    "an integer became a number": (INTEGER, NUMBER),
    "an integer with bounds became a number": (
        {"type": "integer", "minimum": 1},
        {"type": "number", "minimum": 1.0},
    ),
    "a number or a text": (INTEGER, {"type": ["integer", "string"], "minLength": 3}),
    "a branch that is apart": (
        {"oneOf": [STRING, INTEGER]},
        {"oneOf": [STRING, INTEGER, NULL]},
    ),
    "a branch of other codes": (
        {"oneOf": [one_of("a"), one_of("b")]},
        {"oneOf": [one_of("a"), one_of("b"), one_of("c")]},
    ),
    "branches in another order": ({"oneOf": [STRING, NULL]}, {"oneOf": [NULL, STRING]}),
    "branches that overlapped before": (
        {"oneOf": [INTEGER, NUMBER]},
        {"oneOf": [INTEGER, NUMBER, STRING]},
    ),
    "one more code of a level": (
        {**LEVELS, "oneOf": [THIRD, FOURTH]},
        {**LEVELS, "oneOf": [THIRD, WIDER]},
    ),
    "two branches became one": ({"anyOf": [{"const": "a"}, {"const": "b"}]}, STRING),
    "one code became a list": ({"const": "a"}, {"enum": ["a", "b"]}),
    "a list in another order": ({"enum": ["a", "b"]}, {"enum": ["b", "a"]}),
    "nothing became something": (False, STRING),
    "something became anything": (STRING, True),
    "anything, written otherwise": (True, {}),
    "a field of nothing may be sent": (fields(colour=False), fields(colour=STRING)),
    "a field of anything may be sent": (fields(), fields(colour=True)),
    "any items": ({"type": "array", "items": STRING}, {"type": "array", "items": True}),
    "other fields are accepted": (fields(others=False), fields(others=True)),
    "a bound that is let in itself": ({"exclusiveMinimum": 1}, {"minimum": 1}),
    "a bound that is written otherwise": ({"minimum": 1}, {"exclusiveMinimum": 0}),
    "a bound of the same value": ({"maximum": 4}, {"maximum": 4.0}),
}
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, 1.0, 1.5, 2, 4, 5, "", "a", "b", "ab", "abc", [], [1], ["a"], {}),
    *({"kind": "a"}, {"kind": "b"}, {"kind": "c"}, {"colour": "a"}, {"colour": 1}, {"x": 1}),
    *({"x": "a"}, {"a": [True]}, {"a": [1]}, {"edition": "4", "code": "3"}),
    *({"edition": "3", "code": "1"}, {"edition": "4", "code": "1"}),
)
SCHEMAS: Final = [one for row in (*REFUSED.values(), *TAKEN.values()) for one in row[:2]]


def breaks(before: Any, after: Any) -> bool:
    return any(one.kind is Kind.BREAKING for one in narrowed(before, after, "body"))


def accepts(schema: Any, value: Any) -> bool:
    return Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_refused_is_breaking(name: str) -> None:
    before, after, witness = REFUSED[name]
    assert accepts(before, witness)
    assert not accepts(after, witness)
    assert breaks(before, after)


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_as_before_passes(name: str) -> None:
    assert not breaks(*TAKEN[name])


def test_no_pair_of_schemas_passes_that_a_validator_tells_apart() -> None:
    """Of all pairs of the tables, also those that nobody thought of."""
    taken = {
        number: [accepts(schema, value) for value in VALUES]
        for number, schema in enumerate(SCHEMAS)
    }
    wrong = [
        (SCHEMAS[one], SCHEMAS[other], VALUES[at])
        for one, other in product(taken, repeat=2)
        if not breaks(SCHEMAS[one], SCHEMAS[other])
        for at, was in enumerate(taken[one])
        if was and not taken[other][at]
    ]
    assert wrong == []


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_no_schema_differs_from_itself(schema: Any) -> None:
    assert list(narrowed(schema, schema, "body")) == []


@pytest.mark.parametrize(
    ("before", "after", "always_sent", "broken"),
    [
        ({"default": True}, {"default": 1}, False, True),
        ({"default": 0}, {"default": False}, False, True),
        ({"default": 1}, {"default": 1.0}, False, True),
        ({"default": None}, {}, False, True),
        ({}, {"default": None}, False, True),
        ({}, {"default": None}, True, False),
        ({"default": "a"}, {"default": "a"}, False, False),
    ],
)
def test_a_default_says_what_is_meant_by_who_leaves_the_field_out(
    before: Any, after: Any, *, always_sent: bool, broken: bool
) -> None:
    found = narrowed(before, after, "body", always_sent=always_sent)
    assert any(one.kind is Kind.BREAKING for one in found) is broken


@pytest.mark.parametrize("key", ["if", "not", "contentEncoding", "uniqueItems"])
def test_a_keyword_that_is_not_known_may_stay_and_not_change(key: str) -> None:
    assert not breaks({key: {}, "maxLength": 1}, {key: {}, "maxLength": 2})
    assert breaks({key: {}}, {key: {"type": "string"}})
    assert breaks({}, {key: {}})
    assert breaks({key: {}}, {})
