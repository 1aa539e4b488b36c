"""Describes places in JSON that does not match its schema, in the schema's own words.

A validator's place may contain keys that the sender chose, and so a name. This module repeats only what the schema
itself defines: names of fields and numbers of items. A key that the sender chose becomes `*`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

CHOSEN: Final = "*"
"""Stands for a key that the sender chose."""
_KEY_ITSELF: Final = "[key]"
"""The validator's own word: a key, and not what it leads to, is wrong."""
_REFERENCE: Final = "#/$defs/"
Schema = Mapping[str, Any]


def place_in(annotation: Any, loc: Sequence[str | int], *, extra: bool = False) -> str:
    """A place, such as `members.3.role`, within a value of this type; empty for the value as a whole.

    `extra`: the last part is a field that the schema does not know, and is left out.
    """
    whole = _schema(annotation)
    nodes: list[Schema] = [whole]
    said: list[str] = []
    for part in loc[:-1] if extra else loc:
        nodes = [option for node in nodes for option in _options(node, whole)]
        found = [(word, after) for node in nodes for word, after in _step(node, part)]
        if found:  # else it names a branch of the validator's, such as a member of a union
            said.append(found[0][0])
            nodes = [after for _, after in found]
        elif part == _KEY_ITSELF:
            said.append(_KEY_ITSELF)
    return ".".join(said)


def first_place(annotation: Any, error: Exception) -> str | None:
    """The place of the first thing that is wrong, of a `ValidationError`; None for any other error."""
    if not isinstance(error, ValidationError):
        return None
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return place_in(annotation, first["loc"], extra=first["type"] == "extra_forbidden") or None


@lru_cache(maxsize=512)
def _schema(annotation: Any) -> Schema:
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticUserError, PydanticSchemaGenerationError):
        return {}


def _options(node: Schema, whole: Schema) -> Iterator[Schema]:
    """A schema itself, and what it refers to or chooses from."""
    waiting = [node]
    for one in waiting:
        yield one
        reference = cast("str", one.get("$ref", ""))
        if reference.startswith(_REFERENCE):
            waiting.append(whole["$defs"][reference.removeprefix(_REFERENCE)])
        for choice in ("anyOf", "oneOf", "allOf"):
            waiting += one.get(choice, ())
        if len(waiting) > 100:  # noqa: PLR2004 - a schema that refers to itself
            return


def _step(node: Schema, part: str | int) -> Iterator[tuple[str, Schema]]:
    """Where a part leads from one schema, and the word for it."""
    if isinstance(part, int):
        if "items" in node or "prefixItems" in node:
            items = node.get("items")
            yield str(part), items if isinstance(items, Mapping) else {}
        return
    field = node.get("properties", {}).get(part)
    if field is not None:
        yield part, field
        return
    values = node.get("additionalProperties")
    if isinstance(values, Mapping):
        yield CHOSEN, cast("Schema", values)
    for values in node.get("patternProperties", {}).values():
        yield CHOSEN, values
