"""Intervals of time: how long their union lasts, and what each adds to those before it. Pure, like all rules.

Nobody is in two rooms at once: what two sessions cover is counted once. Source: docs/domain.md 3.3 (Hours).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

Span = tuple[datetime, datetime]
"""From an instant until another one, which does not belong to it any more."""

_MINUTE: Final = timedelta(minutes=1)


def span(begins_at: datetime, minutes: int) -> Span:
    """So many minutes from an instant on, as they pass: in UTC, because a wall clock may be set meanwhile."""
    begins_at = begins_at.astimezone(UTC)
    return begins_at, begins_at + minutes * _MINUTE


def overlap(one: Span, other: Span) -> bool:
    """Whether both cover some of the same time."""
    return max(one[0], other[0]) < min(one[1], other[1])


def minutes_of_union(spans: Iterable[Span]) -> int:
    """Whole minutes that any of them covers."""
    return _minutes(_length(_union(spans)))


def shares(spans: Mapping[str, Span]) -> dict[str, int]:
    """To each, in their order, the whole minutes that none before it covers."""
    found: dict[str, int] = {}
    covered: tuple[Span, ...] = ()
    for key, one in spans.items():
        after = _union((*covered, one))
        found[key] = _minutes(_length(after) - _length(covered))
        covered = after
    return found


def _union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time as intervals that do not touch, in their order."""
    apart: list[Span] = []
    for begins_at, ends_at in sorted(spans):
        if begins_at >= ends_at:
            continue
        if apart and begins_at <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], ends_at))
        else:
            apart.append((begins_at, ends_at))
    return tuple(apart)


def _length(spans: Iterable[Span]) -> timedelta:
    return sum((ends_at - begins_at for begins_at, ends_at in spans), timedelta())


def _minutes(length: timedelta) -> int:
    return length // _MINUTE
