"""How a time and a day are written: as RFC 3339 does, a time with its zone. Nothing else is taken for one. Pure.

A lenient reader takes `1700000000` for a moment of 2023, a moment for a day, and a time without seconds for one with.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

from pydantic_core import PydanticCustomError

_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_IS_DAY: Final = re.compile(_DAY)
_IS_INSTANT: Final = re.compile(
    _DAY + r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def is_instant(value: object) -> bool:
    """It is written as a moment with its zone, or is one."""
    if isinstance(value, str):
        return _IS_INSTANT.fullmatch(value) is not None
    return isinstance(value, datetime)


def is_day(value: object) -> bool:
    """It is written as a day, or is one."""
    if isinstance(value, str):
        return _IS_DAY.fullmatch(value) is not None
    return isinstance(value, date)


def not_a_time(place: str = "") -> PydanticCustomError:
    """The error of what is neither; `place` is where in the value it stands."""
    return PydanticCustomError(
        "not_a_time",
        "a time is written as RFC 3339 with its zone, and a day as YYYY-MM-DD",
        {"place": place},
    )


def instant_written(value: Any) -> Any:
    """The value as it is, before it is read as a moment. Raises when it is not written as one."""
    if not is_instant(value):
        raise not_a_time()
    return value


def day_written(value: Any) -> Any:
    """The value as it is, before it is read as a day. Raises when it is not written as one."""
    if not is_day(value):
        raise not_a_time()
    return value
