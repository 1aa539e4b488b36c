"""The calendar of aftercare: when the check-ins are due, when they open and until when they count.

Anchored at discharge, in the facility's time zone: a week or half a year later means the same local time on that
day, also when the clocks change in between. Which check-ins there are, and how long aftercare lasts, is pinned at
admission by the program's terms. Source: house rule, docs/domain.md 3.14 (Cadence).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.codes import Milestone, Value
from shared.contracts.terms import HOUSE

OPENS_BEFORE: Final = timedelta(hours=24)
CLOSES_AFTER: Final = timedelta(hours=72)
LAST_CLOSES_AFTER: Final = timedelta(days=7)
"""Nothing comes after the last check-in that could make up for it, so it stays open longer. House rule."""

_HOURS: Final = {Milestone.HOURS_72: 72}
_DAYS: Final = {
    Milestone.DAYS_7: 7,
    Milestone.DAYS_14: 14,
    Milestone.DAYS_30: 30,
    Milestone.DAYS_60: 60,
    Milestone.DAYS_90: 90,
}
_MONTHS: Final = {Milestone.MONTHS_6: 6, Milestone.MONTHS_9: 9, Milestone.MONTHS_12: 12}
NOMINAL_DAYS: Final = {
    Milestone.HOURS_72: 3,
    **_DAYS,
    Milestone.MONTHS_6: 182,
    Milestone.MONTHS_9: 273,
    Milestone.MONTHS_12: 365,
}
"""About how many days after discharge each check-in lies: their order, and which fit into how many days."""
MILESTONES: Final = HOUSE.check_ins
"""The calendar of the house rules: eight check-ins over a year."""


class Window(Value):
    """The times of one check-in, in UTC."""

    milestone: Milestone
    opens_at: datetime
    due_at: datetime
    closes_at: datetime


def within(check_ins: Iterable[Milestone], days: int) -> tuple[Milestone, ...]:
    """The check-ins that aftercare of so many days has room for, each once, in the order of time."""
    known = (milestone for milestone in set(check_ins) if milestone in NOMINAL_DAYS)
    fitting = (milestone for milestone in known if NOMINAL_DAYS[milestone] <= days)
    return tuple(sorted(fitting, key=lambda milestone: NOMINAL_DAYS[milestone]))


def windows(
    discharged_at: datetime, time_zone: str, milestones: tuple[Milestone, ...] = MILESTONES
) -> tuple[Window, ...]:
    """The whole calendar, in order."""
    return tuple(
        _window(milestone, discharged_at, time_zone, last=milestone is milestones[-1])
        for milestone in milestones
    )


def _window(milestone: Milestone, discharged_at: datetime, time_zone: str, *, last: bool) -> Window:
    due_at = due(milestone, discharged_at, time_zone)
    return Window(
        milestone=milestone,
        opens_at=due_at - OPENS_BEFORE,
        due_at=due_at,
        closes_at=due_at + (LAST_CLOSES_AFTER if last else CLOSES_AFTER),
    )


def due(milestone: Milestone, discharged_at: datetime, time_zone: str) -> datetime:
    """When a check-in is due. Hours are hours; days and months are counted on the local calendar."""
    if milestone in _HOURS:
        return discharged_at.astimezone(UTC) + timedelta(hours=_HOURS[milestone])
    local = discharged_at.astimezone(ZoneInfo(time_zone))
    if milestone in _DAYS:
        # Adding days to a zoned time preserves the wall clock, which is what is wanted here.
        return (local + timedelta(days=_DAYS[milestone])).replace(fold=0).astimezone(UTC)
    return months_later(local, _MONTHS[milestone]).astimezone(UTC)


def months_later(local: datetime, months: int) -> datetime:
    """The same wall time on the same day of a later month, or on its last day when it is shorter."""
    years, month = divmod(local.month - 1 + months, 12)
    year, month = local.year + years, month + 1
    day = min(local.day, monthrange(year, month)[1])
    return local.replace(year=year, month=month, day=day, fold=0)
