"""The JSON Schema of each event, in two forms: as it is published, and whole for those who compare it. Pure."""

from __future__ import annotations

from typing import Any, Final, cast

from ..event import CATALOGUE, Event
from ..topics import TOPICS

Schema = dict[str, Any]

OPEN_CODE: Final = "^[a-z0-9][a-z0-9_-]{0,39}$"
"""What a code of the future looks like."""
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def events(topic: str | None = None) -> list[type[Event]]:
    """Events in the order of their files, which is the order of the path."""
    return [
        event
        for name in TOPICS
        for event in CATALOGUE.values()
        if name == event.SOURCE and topic in {None, name}
    ]


def meaning(event: type[Event]) -> str:
    """The whole docstring on one line."""
    return " ".join((event.__doc__ or "").split())


def summary(event: type[Event]) -> str:
    """The first line of the docstring: what happened."""
    return (event.__doc__ or "").strip().partition("\n")[0]


# --- as it is published -----------------------------------------------------------------------


def schema_of(event: type[Event]) -> Schema:
    """The published schema of an event's data: standard keywords alone, so that every validator takes it as it is.

    Nested values are `$defs` with a title each, from which generators name types. A code list is `anyOf` of its members
    and of a pattern for those to come. The upper limit of a list stands in an `allOf`, where validators apply it and
    generators do not write out a tuple type for each length.
    """
    raw = event.model_json_schema(mode="validation")
    definitions: dict[str, Schema] = raw.pop("$defs", {})
    body = _published(raw)
    schema: Schema = {
        "$schema": DRAFT,
        "$id": event.schema_id(),
        "title": event.__name__,
        "description": meaning(event),
        "type": "object",
        "properties": body.get("properties", {}),
        "required": body.get("required", []),
    }
    if event.UNTIL is not None:
        schema["deprecated"] = True
        schema["description"] += f" Published until {event.UNTIL}."
    if definitions:
        schema["$defs"] = {
            name: {"title": name, **(_codes(one) if _is_open(one) else _published(one))}
            for name, one in sorted(definitions.items())
        }
    return schema


def _published(node: Schema) -> Schema:
    node = {
        key: value
        for key, value in _without_null(node).items()
        if key != "title" and not key.startswith("x-")
    }
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            node[key] = [_published(branch) for branch in node[key]]
    if "items" in node:
        node["items"] = _published(node["items"])
    if "properties" in node:
        node["properties"] = {name: _published(field) for name, field in node["properties"].items()}
    if "maxItems" in node:
        node["allOf"] = [{"maxItems": node.pop("maxItems")}]
    return node


def _codes(definition: Schema) -> Schema:
    return {
        "description": definition["description"],
        "anyOf": [
            {"type": "string", "enum": _members(definition)},
            {"type": "string", "pattern": OPEN_CODE},
        ],
    }


# --- whole, for those who compare or check ----------------------------------------------------


def expanded(event: type[Event]) -> Schema:
    """The same schema with every definition in its place and the contract's own words beside them.

    `x-open-enum` marks a code list, `x-registered` names where a code is registered, `x-definition` names the
    definition that stood there, from which generators name a type. This form is what a release keeps and what the gate
    compares; nobody has to validate with it.
    """
    raw = event.model_json_schema(mode="validation")
    body = _expanded(raw, raw.pop("$defs", {}))
    return {
        "description": meaning(event),
        "type": "object",
        "properties": body.get("properties", {}),
        "required": body.get("required", []),
    }


def definitions(event: type[Event]) -> dict[str, str]:
    """The words of each definition by its name. Where one is used, the field's own words may stand in their place."""
    found: dict[str, Schema] = event.model_json_schema(mode="validation").get("$defs", {})
    return {name: " ".join(one["description"].split()) for name, one in sorted(found.items())}


def _expanded(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = {key: value for key, value in _without_null(node).items() if key != "title"}
    if "$ref" in node:
        name = str(node.pop("$ref")).rpartition("/")[2]
        target = definitions[name]
        whole = _open(target) if _is_open(target) else _expanded(target, definitions)
        return {**whole, **node, "x-definition": name}
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            node[key] = [_expanded(branch, definitions) for branch in node[key]]
    if "items" in node:
        node["items"] = _expanded(node["items"], definitions)
    if "properties" in node:
        node["properties"] = {
            name: _expanded(field, definitions) for name, field in node["properties"].items()
        }
    return node


def _open(definition: Schema) -> Schema:
    return {
        "description": definition["description"],
        "type": "string",
        "x-open-enum": _members(definition),
    }


# --- both -------------------------------------------------------------------------------------


def _is_open(definition: Schema) -> bool:
    return "enum" in definition


def _members(definition: Schema) -> list[str]:
    return [member for member in definition["enum"] if member != "unknown"]


def _without_null(node: Schema) -> Schema:
    """An optional field is absent, never null: `X | None` is written as X, in a default and in an example too.

    A description is written on one line.
    """
    node = {
        key: _without_nulls(value) if key in _VALUES and value is not None else value
        for key, value in node.items()
    }
    if isinstance(words := node.get("description"), str):
        node["description"] = " ".join(words.split())
    if {"type": "null"} not in node.get("anyOf", ()):
        return node
    (present,) = (branch for branch in node["anyOf"] if branch != {"type": "null"})
    own = {key: value for key, value in node.items() if key != "anyOf"}
    if own.get("default", ...) is None:
        del own["default"]
    return {**_without_null(cast("Schema", present)), **own}


_VALUES: Final = frozenset({"default", "examples"})
"""Keywords that hold values of the field, as they would be written."""


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value).items()
        return {name: _without_nulls(one) for name, one in fields if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in cast("list[Any]", value)]
    return value
