"""The wall calendar of a facility: its days, their beginning and end, and its working days. Pure.

A rule that counts days counts those of the facility, and not days of 24 hours: on the days on which clocks change, a
day has 23 or 25 hours. Time zones are names of the IANA database; instants that come back are in UTC, because ids and
deadlines follow from how an instant is written.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAYS_PER_WEEK: Final = 7
DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
_MIDNIGHT: Final = time()


def is_zone(name: str) -> bool:
    """Whether this is a time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return False
    return True


def local_day(moment: datetime, time_zone: str) -> date:
    """The facility's day at this moment."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def instant(day: date, at: time, time_zone: str) -> datetime:
    """A wall time of the facility as an instant in UTC.

    A time that occurs twice because clocks are set back is the first of the two; a time that clocks set forward leave
    out is as long after midnight as it says.
    """
    return datetime.combine(day, at, ZoneInfo(time_zone)).astimezone(UTC)


def midnight(day: date, time_zone: str) -> datetime:
    """The beginning of the facility's day."""
    return instant(day, _MIDNIGHT, time_zone)


def end_of_day(day: date, time_zone: str) -> datetime:
    """The first instant that does not belong to the facility's day any more."""
    return midnight(day + DAY, time_zone)


def monday_of(day: date) -> date:
    """The first day of the week that this day belongs to."""
    return day - timedelta(days=day.weekday())


def next_working_day(moment: datetime, time_zone: str) -> datetime:
    """The same wall time on the next day from Monday to Friday, in the time zone of `moment`.

    Public holidays count as working days. House rule.
    """
    later = moment.astimezone(ZoneInfo(time_zone)) + DAY
    while later.weekday() >= _SATURDAY:
        later += DAY
    return later.astimezone(moment.tzinfo)
