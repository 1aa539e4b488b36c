"""Names the fields in which two states differ, without their values: operators may see no more of a change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final, cast

from pydantic import BaseModel

from shared.contracts.codes import UUID_PATTERN

PATHS_MAX: Final = 200
_ID: Final = re.compile(UUID_PATTERN)


def changed_paths(before: BaseModel, after: BaseModel) -> list[str]:
    """Paths such as `goals.*.status`. Keys of mappings are shown only when they are opaque ids."""
    return sorted(set(_paths("", before, after)))[:PATHS_MAX]


def _paths(at: str, before: Any, after: Any) -> Iterator[str]:
    """Walk two values of one shape side by side, as far as their shapes agree."""
    if before == after:
        return
    if isinstance(before, BaseModel) and type(before) is type(after):
        for name in type(before).model_fields:
            yield from _paths(_under(at, name), getattr(before, name), getattr(after, name))
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        one, other = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        for key in {*one, *other}:
            shown = str(key) if _ID.fullmatch(str(key)) else "*"
            yield from _paths(_under(at, shown), one.get(key), other.get(key))
    elif _is_list(before) and _is_list(after):
        for one, other in zip_longest(cast("list[Any]", before), cast("list[Any]", after)):
            yield from _paths(f"{at}[]", one, other)
    else:
        yield at


def _is_list(value: Any) -> bool:
    return isinstance(value, (tuple, list))


def _under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
