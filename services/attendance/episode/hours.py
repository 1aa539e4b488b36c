"""The week: how many minutes a person was scheduled, offered and credited, and how many the level asks for.

Whole minutes; the week runs from Monday 00:00 to Monday 00:00 in the facility's time zone, so that a week in which
the clocks change has 167 or 169 hours and still seven days. Source: house rules, docs/domain.md 3.3 (Hours).
What a level asks for stands in the program's terms, pinned at admission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from services.attendance.episode.intervals import Span, minutes_of_union, overlap, shares, span
from shared import calendar
from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    CorrectionReason,
    Participation,
)
from shared.contracts.codes import LevelOfCare, Modality, Population, Value
from shared.contracts.terms import HoursBand, ProgramTerms

WEEK: Final = timedelta(days=calendar.DAYS_PER_WEEK)
PROJECTION: Final = (2, time(20, 0))
"""Wednesday 20:00 local: late enough to know, early enough to book a make-up. House rule."""
MAKE_UP_BOOKED_BY: Final = (4, time(20, 0))
"""Friday 20:00 local: a make-up that is to take place in the same week is booked by then. House rule."""

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


class LevelFrom(Value):
    """A level of care, and from when it holds."""

    level: LevelOfCare
    effective_at: datetime
    seats: tuple[str, ...] = ()
    """Groups in which the person had a seat until then, for the case that the change is taken back."""


class Said(Value):
    """What was published of a roll's entry, and what the session then added to the hours."""

    status: AttendanceStatus | None
    """None: the roll is not about the person after all."""
    minutes: int


class Booking(Value):
    """One session in a person's week: what the calendar, the roll and a cancellation say of it."""

    starts_at: datetime
    minutes_planned: int
    modality: Modality
    counts: bool
    group_id: str | None = None
    service: str | None = None
    family_only: bool = False
    """The family meets without the patient, who is neither there nor absent."""
    times_changed: int = 0
    """How often it was put on the calendar anew; what was said with a lower number is out of date."""
    status: AttendanceStatus | None = None
    """None until the roll is called."""
    minutes_credited: int = 0
    """What the roll gives, whatever else the person attended at the same time."""
    minutes_held: int | None = None
    """How long it lasted when it ended early; None: as planned."""
    cancelled_by: CancelledBy | None = None
    track_days: tuple[int, ...] = ()
    """On which days of the week its group meets; 1 is Monday."""
    off_roll: bool = False
    """When it began, or when its roll was called, the person was not to be expected."""
    written_at: datetime | None = None
    """When it was written down, of one that was over by then; None from its roll on."""
    participation: Participation = Participation.NOT_RATED
    correction: CorrectionReason | None = None
    """Why the entry of the roll was corrected."""
    unsaid_since: datetime | None = None
    """When the roll said something that is not published: the person was not to be expected. None: all is said."""
    said: Said | None = None
    """What was published of the roll's entry."""

    @property
    def open(self) -> bool:
        """Neither was its roll called nor was it cancelled."""
        return self.status is None and self.cancelled_by is None and not self.off_roll

    @property
    def is_present(self) -> bool:
        """The roll says that the person was there."""
        return not self.off_roll and self.status is not None and self.status.is_present

    @property
    def is_offered(self) -> bool:
        """It takes place for the person. A patient's own cancellation stays offered."""
        return self.cancelled_by in (None, CancelledBy.PATIENT)

    @property
    def is_closed(self) -> bool:
        """Nobody could come: the facility was closed, or there was no way to it."""
        return self.cancelled_by in (CancelledBy.WEATHER, CancelledBy.CLOSURE)

    @property
    def planned(self) -> Span:
        """When it was to be."""
        return span(self.starts_at, self.minutes_planned)

    @property
    def held(self) -> Span:
        """When it was, or is going to be: one that ended early is not planned any longer than it lasted."""
        minutes = self.minutes_planned if self.minutes_held is None else self.minutes_held
        return span(self.starts_at, minutes)

    @property
    def present(self) -> Span:
        """When the person was there: whoever came late at its end, everybody else from its begin."""
        begins_at, ends_at = self.held
        if self.status is AttendanceStatus.LATE:
            return ends_at - timedelta(minutes=self.minutes_credited), ends_at
        return span(begins_at, self.minutes_credited)


class WeekAsks(Value):
    """What one week asks of one person."""

    minutes_threshold: int
    minutes_ceiling: int | None = None
    """At or above this many planned minutes the week is one of a higher level."""
    prorated: bool = False
    """The threshold is not the level's full one: a part of a week, or one in which the level changes."""
    is_part: bool = False
    """Some of its days do not belong to the episode, or nothing is offered on them: it asks no more than is offered."""


class DaysOff(Value):
    """On which days the program meets, and on which of them it does not: they ask for nothing."""

    meets_on: frozenset[int] = frozenset()
    """Days of the week, 1 is Monday; empty: it is not known on which."""
    pauses: tuple[tuple[date, date], ...] = ()
    """The person is paused between the two days."""
    closed: frozenset[date] = frozenset()
    """The facility is closed."""
    away: frozenset[date] = frozenset()
    """Nobody expects the person, who died, is in jail or in hospital, or has moved away."""

    unseated: frozenset[date] = frozenset()
    """The groups of the week meet on the day, and the person had no seat in any."""
    seated: Mapping[date, frozenset[int]] = {}
    """On which days of the week the groups meet in which the person had a seat on a day; none: `meets_on` says it."""

    def covers(self, day: date) -> bool:
        """Whether nothing is offered on a day, or nobody expects the person."""
        paused = any(since < day < until for since, until in self.pauses)
        return paused or day in self.closed or day in self.away or day in self.unseated

    def shared_by(self, day: date) -> frozenset[int]:
        """The days of the week that share the hours, as it was on a day."""
        return self.seated.get(day, frozenset()) or self.meets_on or EVERY_DAY


NOTHING_OFF: Final = DaysOff()
EVERY_DAY: Final = frozenset(range(1, calendar.DAYS_PER_WEEK + 1))
SHARES: Final = 420
"""Divided by any number of days in a week, up to seven, it leaves nothing over."""


class WeekTotals(WeekAsks):
    """A week's minutes. `offered` leaves out what the program cancelled; that is nobody's absence."""

    minutes_scheduled: int
    minutes_offered: int
    minutes_credited: int

    @property
    def met(self) -> bool:
        """The credited minutes reach what the level asks for."""
        return self.minutes_credited >= self.minutes_threshold

    @property
    def ceiling_reached(self) -> bool:
        """As many minutes are planned as a higher level of care has."""
        return self.minutes_ceiling is not None and self.minutes_scheduled >= self.minutes_ceiling

    @property
    def minutes_short(self) -> int:
        """Minutes the person could have had and did not: what was never offered is not counted against them."""
        return max(0, min(self.minutes_threshold, self.minutes_offered) - self.minutes_credited)


def week_of(moment: datetime, time_zone: str) -> date:
    """The Monday of the week that this moment falls into, in the facility's time zone."""
    return calendar.monday_of(calendar.local_day(moment, time_zone))


def closes_at(monday: date, time_zone: str) -> datetime:
    """When the week is over: next Monday 00:00 local."""
    return calendar.midnight(monday + WEEK, time_zone)


def projected_at(monday: date, time_zone: str) -> datetime:
    """When the week is projected, while a shortfall can still be made up."""
    weekday, at = PROJECTION
    return calendar.instant(monday + timedelta(days=weekday), at, time_zone)


def make_up_booked_by(monday: date, time_zone: str) -> datetime:
    """Until when somebody has to have booked what is missing."""
    weekday, at = MAKE_UP_BOOKED_BY
    return calendar.instant(monday + timedelta(days=weekday), at, time_zone)


def counts(
    modality: Modality, *, family_only: bool = False, service_counts: bool | None = None
) -> bool:
    """Whether a session's minutes count: by its modality, or by the plan for an ancillary service.

    A family session without the patient gives the patient no hours. House rule, docs/domain.md 3.3 (Hours).
    """
    if family_only:
        return False
    return modality in COUNTED if service_counts is None else service_counts


def asks(
    levels: Sequence[tuple[date, LevelOfCare]],
    population: Population,
    terms: ProgramTerms,
    monday: date,
    last_day: date | None,
    days_off: DaysOff = NOTHING_OFF,
) -> WeekAsks:
    """What a week asks for: each day that belongs to the episode asks its share of its level's floor.

    The days on which the program meets share the floor among them; where none are known, all seven do. A move to a
    group on other days asks for the days of each while the seat was there, never for more than the floor. `levels` are
    the days from which levels hold, the earliest first; the first is the day of admission. `last_day` is the last
    local day, inclusive; None while the episode runs. Minutes are rounded down. The ceiling is the highest of the
    week's levels and is never cut: a few intensive days do not make a higher level of care.
    """
    bands: dict[date, HoursBand | None] = {}
    for day in (monday + timedelta(days=n) for n in range(calendar.DAYS_PER_WEEK)):
        at_day = [level for since, level in levels if since <= day]
        if at_day and not days_off.covers(day) and (last_day is None or day <= last_day):
            bands[day] = terms.band(at_day[-1].code, population)
    floors = {day: 0 if band is None else band.minutes_floor for day, band in bands.items()}
    asked = sum(
        floor * SHARES // len(days_off.shared_by(day))
        for day, floor in floors.items()
        if day.isoweekday() in days_off.shared_by(day)
    )
    threshold = min(asked // SHARES, max(floors.values(), default=0))
    ceilings = [None if band is None else band.minutes_ceiling for band in bands.values()]
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    whole = min(floors.values(), default=0)
    is_part = len(bands) < calendar.DAYS_PER_WEEK or threshold < whole
    return WeekAsks(
        minutes_threshold=threshold,
        minutes_ceiling=max(known) if known and len(known) == len(ceilings) else None,
        prorated=is_part or len(set(floors.values())) > 1,
        is_part=is_part,
    )


def totals(
    bookings: Mapping[str, Booking], week: WeekAsks, earlier: Mapping[str, Booking]
) -> WeekTotals:
    """Add up one week's bookings: of what counts, each minute once. `earlier` begin before the week.

    A part of a week asks for its share of what the program offers, and never for more than was offered.
    """
    counted = [booking for booking in bookings.values() if booking.counts]
    offered = [booking for booking in counted if booking.is_offered]
    credited = credited_minutes({**earlier, **bookings})
    minutes_offered = minutes_of_union(booking.held for booking in offered)
    threshold = week.minutes_threshold
    return WeekTotals(
        minutes_threshold=min(threshold, minutes_offered) if week.is_part else threshold,
        minutes_ceiling=week.minutes_ceiling,
        prorated=week.prorated,
        is_part=week.is_part,
        minutes_scheduled=minutes_of_union(booking.planned for booking in counted),
        minutes_offered=minutes_offered,
        minutes_credited=sum(minutes for key, minutes in credited.items() if key in bookings),
    )


def credited_minutes(bookings: Mapping[str, Booking]) -> dict[str, int]:
    """What each session that counts and was attended adds: what two cover goes to the one that began first."""
    there = {
        key: booking
        for key, booking in bookings.items()
        if booking.counts and booking.is_present and booking.is_offered
    }
    in_order = sorted(there, key=lambda key: (there[key].starts_at, key))
    return shares({key: there[key].present for key in in_order})


def overlapping(bookings: Mapping[str, Booking]) -> set[tuple[str, str]]:
    """Pairs of sessions at the same time of which the person attends, or is to attend, both."""
    live = {
        key: booking
        for key, booking in bookings.items()
        if booking.cancelled_by is None
        and not booking.off_roll
        and not booking.family_only
        and (booking.status is None or booking.is_present)
    }
    in_order = sorted(live, key=lambda key: (live[key].starts_at, key))
    pairs: set[tuple[str, str]] = set()
    for place, key in enumerate(in_order):
        for other in in_order[place + 1 :]:
            if live[other].starts_at >= live[key].held[1]:
                break
            if overlap(_taken(live[key]), _taken(live[other])):
                pairs.add((key, other))
    return pairs


def _taken(booking: Booking) -> Span:
    """The time that a session takes of a person: what they were there for, or what is planned."""
    return booking.present if booking.is_present else booking.held


def projected_credit(bookings: Iterable[Booking]) -> int:
    """The minutes the week ends with if everything still open is attended in full."""
    return minutes_of_union(
        booking.present if booking.is_present else booking.held
        for booking in bookings
        if booking.counts
        and booking.cancelled_by is None
        and (booking.status is None or booking.is_present)
    )
