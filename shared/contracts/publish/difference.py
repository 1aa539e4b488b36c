"""One difference between two contracts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast


class Kind(StrEnum):
    """What has to be done about a difference."""

    BREAKING = "breaking"
    """Refused: publish a new major version beside the old."""
    WORDS = "words"
    """Asked for: somebody says why the words changed and that the meaning did not."""
    ADDITIVE = "additive"
    """Allowed."""


class Difference(NamedTuple):
    """One difference: where, and what a reader would meet. `event` is empty for what concerns the whole contract."""

    kind: Kind
    event: str
    place: str
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.event, self.place, self.what) if part)


BOUNDS: Final = frozenset(
    {
        *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    }
)
"""Keywords whose value is a quantity: 4 and 4.0 are one bound."""
_SETS: Final = frozenset({"enum", "type", "required"})
"""Keywords whose value has no order."""
_ABSENT: Final = object()


def text_of(value: object) -> str:
    """The JSON text of a value. Python takes 1, 1.0 and true as equal; their texts are not."""
    return json.dumps(value, sort_keys=True)


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same one."""
    return text_of(one) == text_of(other)


def differing(keys: Iterable[str], before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The keywords of these that the two schemas do not have alike; one that is null is not one that is absent."""
    return [
        key for key in keys if not _alike(key, before.get(key, _ABSENT), after.get(key, _ABSENT))
    ]


def _alike(key: str, old: object, new: object) -> bool:
    if old is _ABSENT or new is _ABSENT:
        return old is new
    if key in BOUNDS:
        return old == new
    if key in _SETS:
        old, new = _sorted(old), _sorted(new)
    return same(old, new)


def _sorted(value: object) -> object:
    return sorted(map(text_of, cast("list[object]", value))) if isinstance(value, list) else value
