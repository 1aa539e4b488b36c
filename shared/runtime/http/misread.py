"""Finds values in a command's body that a lenient parser would read as a number or a time. Pure.

A boolean or a text is not a number. A number is not a time: `1700000000` may be seconds, or a place in a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from shared.contracts.times import is_day, is_instant
from shared.programs.registered import field_types
from shared.runtime.places import CHOSEN

NUMBERS: Final[frozenset[Any]] = frozenset({int, float, Decimal})
INSTANTS: Final[frozenset[Any]] = frozenset({datetime, AwareDatetime})
DAYS: Final[frozenset[Any]] = frozenset({date})
Misread = Callable[[set[Any], object], bool]
"""Whether a single value would be taken for something of these kinds and is none."""


def not_numbers(annotation: Any, value: object) -> Iterator[str]:
    """The places in a value, as it came, where a number is asked for and something else would be taken for one."""
    return _misread(annotation, value, "", _no_number)


def not_times(annotation: Any, value: object) -> Iterator[str]:
    """The places in a value, as it came, where a time or a day is asked for and is not written as RFC 3339 does."""
    return _misread(annotation, value, "", _no_time)


def _no_number(kinds: set[Any], value: object) -> bool:
    if isinstance(value, bool):
        return bool(kinds & NUMBERS) and bool not in kinds
    if isinstance(value, str):
        return kinds in ({int}, {float})
    return isinstance(value, float) and kinds == {int}


def _no_time(kinds: set[Any], value: object) -> bool:
    if value is None or isinstance(value, date) or not kinds or kinds - INSTANTS - DAYS:
        return False
    return not (
        (bool(kinds & INSTANTS) and is_instant(value)) or (bool(kinds & DAYS) and is_day(value))
    )


def _misread(annotation: Any, value: object, place: str, misread: Misread) -> Iterator[str]:
    if isinstance(value, list):
        for inner in _arguments(annotation, (list, tuple, set, frozenset)):
            for number, item in enumerate(cast("list[object]", value)):
                yield from _misread(inner[0], item, f"{place}.{number}", misread)
    elif isinstance(value, dict):
        yield from _within(annotation, cast("Mapping[str, object]", value), place, misread)
    elif misread(_kinds(annotation), value):
        yield place


def _within(
    annotation: Any, value: Mapping[str, object], place: str, misread: Misread
) -> Iterator[str]:
    for inner in _arguments(annotation, (dict,)):
        for item in value.values():
            yield from _misread(inner[1], item, f"{place}.{CHOSEN}", misread)
    for model in _kinds(annotation):
        if issubclass(model, BaseModel):
            types = field_types(model)
            for name in value.keys() & types.keys():
                yield from _misread(types[name], value[name], f"{place}.{name}", misread)


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
