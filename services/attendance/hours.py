"""The week: how many minutes a person was scheduled, offered and credited, and how many the level asks for.

Whole minutes; the week runs from Monday 00:00 to Monday 00:00 in the facility's time zone, so that a week in which
the clocks change has 167 or 169 hours and still seven days. Source: house rules of the domain reference, section 3
("Hours accounting"); 9 hours for adults and 6 for adolescents at level 2.1 follow SAMHSA's advisory of 2021 on
clinical issues in intensive outpatient treatment; 20 hours at 2.5 follow the ASAM Criteria's level names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.contracts.codes import LevelOfCare, Modality, Population, Value

DAYS_PER_WEEK: Final = 7
PROJECTION: Final = (2, time(20, 0))
"""Wednesday 20:00 local: late enough to know, early enough to book a make-up. House rule."""

COUNTED: Final = frozenset(
    {
        Modality.GROUP,
        Modality.INDIVIDUAL,
        Modality.FAMILY,
        Modality.PSYCHOEDUCATION,
        Modality.MEDICATION,
    }
)
"""What counts toward the hours: neither case management nor unsupervised wellness. House rule."""

_MINUTES: Final = {
    ("2.1", Population.ADULT): 540,
    ("2.1", Population.ADOLESCENT): 360,
    ("2.5", Population.ADULT): 1200,
    ("2.5", Population.ADOLESCENT): 1200,
}


class Booking(Value):
    """One session in a person's week."""

    starts_at: datetime
    minutes_planned: int
    modality: Modality
    counts: bool
    status: AttendanceStatus | None = None
    """None until the roll is called."""
    minutes_credited: int = 0
    cancelled_by: CancelledBy | None = None

    @property
    def open(self) -> bool:
        """Neither was its roll called nor was it cancelled."""
        return self.status is None and self.cancelled_by is None


class WeekTotals(Value):
    """A week's minutes. `offered` leaves out what the program cancelled; that is nobody's absence."""

    minutes_threshold: int
    minutes_scheduled: int
    minutes_offered: int
    minutes_credited: int
    prorated: bool

    @property
    def met(self) -> bool:
        """The credited minutes reach what the level asks for."""
        return self.minutes_credited >= self.minutes_threshold

    @property
    def minutes_short(self) -> int:
        """Minutes the person could have had and did not: what was never offered is not counted against them."""
        return max(0, min(self.minutes_threshold, self.minutes_offered) - self.minutes_credited)


def week_of(moment: datetime, time_zone: str) -> date:
    """The Monday of the week that this moment falls into, in the facility's time zone."""
    day = moment.astimezone(ZoneInfo(time_zone)).date()
    return day - timedelta(days=day.weekday())


def instant(day: date, at: time, time_zone: str) -> datetime:
    """A local wall time as an instant in UTC. In the hour that clocks repeat, the first one."""
    return datetime.combine(day, at, ZoneInfo(time_zone)).astimezone(UTC)


def closes_at(monday: date, time_zone: str) -> datetime:
    """When the week is over: next Monday 00:00 local."""
    return instant(monday + timedelta(days=DAYS_PER_WEEK), time(0, 0), time_zone)


def projected_at(monday: date, time_zone: str) -> datetime:
    """When the week is looked at while a shortfall can still be mended."""
    weekday, at = PROJECTION
    return instant(monday + timedelta(days=weekday), at, time_zone)


def minutes_asked(level: LevelOfCare, population: Population) -> int:
    """Minutes per full week that the level of care asks for; 0 where it sets no floor."""
    return _MINUTES.get((level.code, population), 0)


def prorated_threshold(
    full: int, monday: date, first_day: date | None, last_day: date | None
) -> tuple[int, bool]:
    """The threshold for the days of the week that belong to the episode, rounded down, and whether it was cut.

    `first_day` and `last_day` are local days, both inclusive; None where the episode reaches beyond the week.
    """
    begin = monday if first_day is None else max(monday, first_day)
    sunday = monday + timedelta(days=DAYS_PER_WEEK - 1)
    end = sunday if last_day is None else min(sunday, last_day)
    days = max(0, (end - begin).days + 1)
    return full * days // DAYS_PER_WEEK, days < DAYS_PER_WEEK


def totals(bookings: Iterable[Booking], threshold: int, *, prorated: bool) -> WeekTotals:
    """Add up one week's bookings. Only what counts is counted; a patient's own cancellation stays offered."""
    counted = [booking for booking in bookings if booking.counts]
    offered = [
        booking for booking in counted if booking.cancelled_by in (None, CancelledBy.PATIENT)
    ]
    return WeekTotals(
        minutes_threshold=threshold,
        minutes_scheduled=sum(booking.minutes_planned for booking in counted),
        minutes_offered=sum(booking.minutes_planned for booking in offered),
        minutes_credited=sum(booking.minutes_credited for booking in offered),
        prorated=prorated,
    )


def again(week: WeekTotals, before: Booking | None, after: Booking) -> WeekTotals:
    """The totals of a closed week in which one booking has changed, or came to be known only now."""
    was = totals(
        () if before is None else (before,), week.minutes_threshold, prorated=week.prorated
    )
    now = totals((after,), week.minutes_threshold, prorated=week.prorated)
    return week.model_copy(
        update={
            "minutes_scheduled": week.minutes_scheduled
            + now.minutes_scheduled
            - was.minutes_scheduled,
            "minutes_offered": week.minutes_offered + now.minutes_offered - was.minutes_offered,
            "minutes_credited": week.minutes_credited + now.minutes_credited - was.minutes_credited,
        }
    )


def projected_credit(bookings: Iterable[Booking]) -> int:
    """The minutes the week ends with if everything still open is attended in full."""
    return sum(
        booking.minutes_credited if booking.status is not None else booking.minutes_planned
        for booking in bookings
        if booking.counts and booking.cancelled_by is None
    )
