"""Numbers in a command's body: a truth value or a text is none, although a lenient reader takes it for one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel

from shared.programs.registered import field_types
from shared.runtime.places import CHOSEN

NUMBERS: Final = frozenset({int, float, Decimal})


def not_numbers(annotation: Any, value: object, place: str = "") -> Iterator[str]:
    """The places in a value, as it came, where a number is asked for and something else would be taken for one."""
    kinds = _kinds(annotation)
    if isinstance(value, bool):
        if kinds & NUMBERS and bool not in kinds:
            yield place
    elif isinstance(value, (str, float)):
        if kinds == {int} or (isinstance(value, str) and kinds == {float}):
            yield place
    elif isinstance(value, list):
        for inner in _arguments(annotation, (list, tuple, set, frozenset)):
            for number, item in enumerate(cast("list[object]", value)):
                yield from not_numbers(inner[0], item, f"{place}.{number}")
    elif isinstance(value, dict):
        yield from _within(annotation, cast("Mapping[str, object]", value), place)


def _within(annotation: Any, value: Mapping[str, object], place: str) -> Iterator[str]:
    for inner in _arguments(annotation, (dict,)):
        for item in value.values():
            yield from not_numbers(inner[1], item, f"{place}.{CHOSEN}")
    for model in _kinds(annotation):
        if issubclass(model, BaseModel):
            types = field_types(model)
            for name in value.keys() & types.keys():
                yield from not_numbers(types[name], value[name], f"{place}.{name}")


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, with nothing noted about them; `None` is none of them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    elif annotation is not type(None):
        yield annotation


def _kinds(annotation: Any) -> set[type]:
    return {one for one in _alternatives(annotation) if isinstance(one, type)}


def _arguments(annotation: Any, origins: tuple[type, ...]) -> Iterator[tuple[Any, ...]]:
    for one in _alternatives(annotation):
        if get_origin(one) in origins:
            yield get_args(one)
