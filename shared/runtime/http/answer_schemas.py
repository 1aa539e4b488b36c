"""The schemas of what routes answer, made of the types that they name with `@shows`, and the words of every field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi.dependencies.utils import get_typed_return_annotation
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shared.contracts.publish.schemas import OPEN_CODE
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import Done, OfRecord, Schema, Shown, object_of, shown_by
from shared.runtime.http.words import words_of

Place = tuple[str, str]
"""A method, in small letters, and a path."""
_TEMPLATE: Final = "#/components/schemas/{model}"
_PREFIX: Final = _TEMPLATE.format(model="")
_UNKNOWN: Final = "unknown"
"""What a code is stored as that this version does not know; it makes the list an open one."""
_ANSWERED: Final = "Answered"
"""What is put behind the name of a definition that also stands for what is sent, where the two differ."""
ON_ITS_WAY: Final = str(HTTPStatus.ACCEPTED.value)


class _AsDumped(GenerateJsonSchema):
    """A model is dumped whole: each field is there, also one that has a default."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001 - the signature of the framework
    ) -> bool:
        """What a `TypedDict` says of its field; of a model, always."""
        return field["type"] != "typed-dict-field" or super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """No default: it says nothing of what is there."""
        return self.generate_inner(schema["schema"])


def answers_about_record(route: APIRoute) -> bool:
    """Whether a route answers about one record, by what it says it returns."""
    return get_typed_return_annotation(route.endpoint) is RecordAnswer


def add_answers(document: Schema, routes: Mapping[Place, APIRoute]) -> None:
    """Write into the document what each route answers when it succeeds. It replaces what the framework makes of it."""
    components: Schema = document["components"]["schemas"]
    types = {
        place: object_of(parts)
        for place, route in routes.items()
        if (parts := _parts(place[0], route))
    }
    adapters = [(place, "serialization", TypeAdapter(kind)) for place, kind in types.items()]
    found, whole = TypeAdapter.json_schemas(
        cast("Any", adapters), ref_template=_TEMPLATE, schema_generator=_AsDumped
    )
    definitions: Schema = {
        name: _open(one) if _UNKNOWN in one.get("enum", ()) else one
        for name, one in whole.get("$defs", {}).items()
    }
    names = {
        name: name if components.get(name, one) == one else f"{name}{_ANSWERED}"
        for name, one in definitions.items()
    }
    for name, one in definitions.items():
        components[names[name]] = _renamed(one, names)
    for (place, _), schema in found.items():
        method, path = cast("Place", place)
        operation = document["paths"][path][method]
        _answer(operation, routes[method, path], _renamed(schema, names), method)


def drop_unreached(document: Schema) -> None:
    """Leave out what no operation leads to, such as a whole record of which only some fields are shown."""
    components: Schema = document["components"]["schemas"]
    reached: set[str] = set()
    ahead: list[Any] = [document["paths"], document["components"]["responses"]]
    while ahead:
        names = {*_named(ahead.pop())} - reached
        reached |= names
        ahead += [components[name] for name in names]
    for name in components.keys() - reached:
        del components[name]


def _named(node: Any) -> Iterator[str]:
    """The definitions that a part of a document refers to."""
    if isinstance(node, list):
        for one in cast("list[Any]", node):
            yield from _named(one)
    elif isinstance(node, dict):
        for key, one in cast("Schema", node).items():
            if key == "$ref" and isinstance(one, str) and one.startswith(_PREFIX):
                yield one.removeprefix(_PREFIX)
            else:
                yield from _named(one)


def _open(codes: Schema) -> Schema:
    """A list of codes that may get more: a reader takes also what has the form of a code, as readers of events do."""
    listed = [code for code in codes["enum"] if code != _UNKNOWN]
    return {
        **{key: one for key, one in codes.items() if key not in ("enum", "type")},
        "anyOf": [{"type": "string", "enum": listed}, {"type": "string", "pattern": OPEN_CODE}],
    }


def _parts(method: str, route: APIRoute) -> tuple[Any, ...]:
    shown = shown_by(route.endpoint) or Shown(())
    if shown.whole or not answers_about_record(route):
        return shown.parts
    return (*shown.parts, OfRecord if method == "get" else Done)


def _answer(operation: Schema, route: APIRoute, schema: Schema, method: str) -> None:
    responses = operation["responses"]
    content = {"application/json": {"schema": schema}}
    for status, answer in responses.items():
        if status.startswith("2"):
            answer["content"] = content
    if method != "get" and answers_about_record(route) and ON_ITS_WAY not in responses:
        responses[ON_ITS_WAY] = {
            "description": "Done and saved; other records that it concerns hear of it within moments.",
            "content": content,
        }


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """The schema with its references to definitions by their new names."""
    if isinstance(schema, list):
        return [_renamed(one, names) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("Schema", schema)
    if isinstance(name := known.get("$ref"), str):
        return {**known, "$ref": _PREFIX + names[name.removeprefix(_PREFIX)]}
    return {key: _renamed(one, names) for key, one in known.items()}


# --- words ----------------------------------------------------------------------------------------------


def add_words(document: Schema) -> None:
    """Describe every field that its class does not describe, by what the word means in all services."""
    for name, field in fields_of(document):
        if "description" not in field and (said := words_of(name)) is not None:
            field["description"] = said


def fields_of(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Every field and every parameter of a document by its name, nested ones too."""
    yield from _within(document["components"]["schemas"].values())
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                yield parameter["name"], parameter
            yield from _within([operation.get("requestBody", {})])
            yield from _within(operation["responses"].values())


def _within(nodes: Iterable[Any]) -> Iterator[tuple[str, Schema]]:
    for node in nodes:
        if isinstance(node, list):
            yield from _within(cast("list[Any]", node))
        elif isinstance(node, dict):
            known = cast("Schema", node)
            fields = known.get("properties")
            if isinstance(fields, dict):
                yield from cast("dict[str, Schema]", fields).items()
                yield from _within(cast("Schema", fields).values())
            yield from _within(one for key, one in known.items() if key not in _VALUES)


_VALUES: Final = frozenset({"properties", "enum", "const", "default", "examples", "required"})
