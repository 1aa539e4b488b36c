"""The week: which one a moment is in, what it asks for, and what is scheduled, offered and credited in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.attendance.episode import hours
from services.attendance.episode.hours import Booking
from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.contracts.codes import Modality, Population
from shared.contracts.terms import HoursBand, ProgramTerms
from tests.unit.attendance.world import (
    DAY,
    HOUR,
    NO_SHOW,
    WEEK,
    Episode,
    level,
    local,
)

NY, CHICAGO = "America/New_York", "America/Chicago"
MARCH_2, MARCH_9 = date(2026, 3, 2), date(2026, 3, 9)
OCTOBER_26, NOVEMBER_2 = date(2026, 10, 26), date(2026, 11, 2)

WEEK_OF = [
    # Clocks go forward on Sunday 8 March 2026 at 02:00, back on Sunday 1 November at 02:00.
    ("2026-03-08T04:59:59Z", NY, MARCH_2),
    ("2026-03-08T07:30:00Z", NY, MARCH_2),
    ("2026-03-09T03:59:59Z", NY, MARCH_2),
    ("2026-03-09T04:00:00Z", NY, MARCH_9),
    ("2026-03-09T04:59:59Z", CHICAGO, MARCH_2),
    ("2026-03-09T05:00:00Z", CHICAGO, MARCH_9),
    ("2026-03-02T04:59:59Z", NY, date(2026, 2, 23)),
    ("2026-03-02T05:00:00Z", NY, MARCH_2),
    ("2026-03-02T05:00:00Z", CHICAGO, date(2026, 2, 23)),
    ("2026-03-02T06:00:00Z", CHICAGO, MARCH_2),
    ("2026-10-26T03:59:59Z", NY, date(2026, 10, 19)),
    ("2026-10-26T04:00:00Z", NY, OCTOBER_26),
    ("2026-11-01T05:30:00Z", NY, OCTOBER_26),
    ("2026-11-01T06:30:00Z", NY, OCTOBER_26),
    ("2026-11-02T04:59:59Z", NY, OCTOBER_26),
    ("2026-11-02T05:00:00Z", NY, NOVEMBER_2),
    ("2026-11-02T05:59:59Z", CHICAGO, OCTOBER_26),
    ("2026-11-02T06:00:00Z", CHICAGO, NOVEMBER_2),
]


@pytest.mark.parametrize(("moment", "zone", "monday"), WEEK_OF)
def test_a_moment_belongs_to_the_week_of_its_local_day(
    moment: str, zone: str, monday: date
) -> None:
    at = datetime.fromisoformat(moment)
    assert hours.week_of(at, zone) == monday
    assert hours.closes_at(monday - WEEK, zone) <= at < hours.closes_at(monday, zone)


@pytest.mark.parametrize(
    ("monday", "zone", "closes", "projected", "length"),
    [
        (MARCH_2, NY, "2026-03-09T04:00:00Z", "2026-03-05T01:00:00Z", 167),
        (MARCH_2, CHICAGO, "2026-03-09T05:00:00Z", "2026-03-05T02:00:00Z", 167),
        (MARCH_9, NY, "2026-03-16T04:00:00Z", "2026-03-12T00:00:00Z", 168),
        (OCTOBER_26, NY, "2026-11-02T05:00:00Z", "2026-10-29T00:00:00Z", 169),
        (OCTOBER_26, CHICAGO, "2026-11-02T06:00:00Z", "2026-10-29T01:00:00Z", 169),
    ],
)
def test_a_week_has_seven_days_also_when_the_clocks_change(
    monday: date, zone: str, closes: str, projected: str, length: int
) -> None:
    end = hours.closes_at(monday, zone)
    assert end == datetime.fromisoformat(closes)
    assert end.tzinfo is UTC
    assert hours.projected_at(monday, zone) == datetime.fromisoformat(projected)
    assert end - hours.closes_at(monday - WEEK, zone) == timedelta(hours=length)


@pytest.mark.parametrize(
    ("code", "population", "minutes"),
    [
        ("2.1", Population.ADULT, 540),
        ("2.1", Population.ADOLESCENT, 360),
        ("2.5", Population.ADULT, 1200),
        ("2.5", Population.ADOLESCENT, 1200),
        ("1", Population.ADULT, 0),
        ("3.1", Population.ADULT, 0),
    ],
)
def test_what_a_level_asks_for(code: str, population: Population, minutes: int) -> None:
    week = hours.asks([(MARCH_2, level(code))], population, ProgramTerms(), MARCH_2, None)
    assert (week.minutes_threshold, week.prorated) == (minutes, False)


def asked(
    *levels: tuple[str, str],
    last: str | None = None,
    population: Population = Population.ADULT,
    terms: ProgramTerms | None = None,
    monday: date = MARCH_2,
) -> hours.WeekAsks:
    since = [(date.fromisoformat(day), level(code)) for day, code in levels]
    until = None if last is None else date.fromisoformat(last)
    return hours.asks(since, population, terms or ProgramTerms(), monday, until)


PRORATED = [
    # admitted, code, last day, threshold, prorated
    ("2026-03-02", "2.1", None, 540, False),
    ("2026-03-01", "2.1", "2026-03-20", 540, False),
    ("2026-03-03", "2.1", None, 462, True),  # six days: 462.8 rounded down
    ("2026-03-04", "2.1", None, 385, True),
    ("2026-03-05", "2.1", None, 308, True),
    ("2026-03-06", "2.1", None, 231, True),
    ("2026-03-07", "2.1", None, 154, True),
    ("2026-03-08", "2.1", None, 77, True),
    ("2026-03-09", "2.1", None, 0, True),
    ("2026-01-05", "2.1", "2026-03-08", 540, False),
    ("2026-01-05", "2.1", "2026-03-07", 462, True),
    ("2026-01-05", "2.1", "2026-03-02", 77, True),
    ("2026-01-05", "2.1", "2026-03-01", 0, True),
    ("2026-03-04", "2.1", "2026-03-06", 231, True),
    ("2026-03-04", "2.1", "2026-03-04", 77, True),
    ("2026-03-05", "2.5", None, 685, True),
    ("2026-03-05", "1", None, 0, True),
]


@pytest.mark.parametrize(("first", "code", "last", "threshold", "prorated"), PRORATED)
def test_the_first_and_the_last_week_ask_for_their_days(
    first: str, code: str, last: str | None, threshold: int, prorated: bool
) -> None:
    week = asked((first, code), last=last)
    assert (week.minutes_threshold, week.prorated) == (threshold, prorated)


CHANGED = [
    # levels by the day from which they hold, population, last day, threshold, prorated
    ([("2026-01-05", "2.5"), ("2026-03-02", "2.1")], "adult", None, 540, False),
    ([("2026-01-05", "2.5"), ("2026-03-03", "2.1")], "adult", None, 634, True),  # 1200 + 6 x 540
    ([("2026-01-05", "2.5"), ("2026-03-05", "2.1")], "adult", None, 822, True),
    ([("2026-01-05", "2.5"), ("2026-03-08", "2.1")], "adult", None, 1105, True),
    ([("2026-01-05", "2.5"), ("2026-03-09", "2.1")], "adult", None, 1200, False),
    ([("2026-01-05", "2.1"), ("2026-03-05", "2.5")], "adult", None, 917, True),
    ([("2026-01-05", "2.1"), ("2026-03-05", "1")], "adult", None, 231, True),
    ([("2026-01-05", "2.1"), ("2026-03-05", "1.5")], "adult", None, 231, True),
    ([("2026-01-05", "1"), ("2026-03-05", "2.1")], "adult", None, 308, True),
    ([("2026-01-05", "2.1"), ("2026-03-05", "2.1")], "adult", None, 540, False),  # lateral
    ([("2026-03-03", "2.5"), ("2026-03-05", "2.1")], "adult", None, 651, True),  # admitted too
    ([("2026-01-05", "2.5"), ("2026-03-04", "2.1")], "adult", "2026-03-06", 574, True),
    ([("2026-01-05", "2.5"), ("2026-03-05", "2.1")], "adolescent", None, 720, True),
    (
        [("2026-01-05", "2.1"), ("2026-03-04", "2.5"), ("2026-03-06", "2.1")],
        "adult",
        None,
        728,
        True,
    ),
    ([("2026-01-05", "2.5"), ("2026-03-03", "2.1"), ("2026-03-03", "1")], "adult", None, 171, True),
]


@pytest.mark.parametrize(("levels", "population", "last", "threshold", "prorated"), CHANGED)
@pytest.mark.scenario(6)
def test_a_week_in_which_the_level_changes_asks_for_its_days_at_each(
    levels: list[tuple[str, str]], population: str, last: str | None, threshold: int, prorated: bool
) -> None:
    since = [
        (date.fromisoformat(day), level(code, "4" if code == "1.5" else "3"))
        for day, code in levels
    ]
    until = None if last is None else date.fromisoformat(last)
    week = hours.asks(since, Population(population), ProgramTerms(), MARCH_2, until)
    assert (week.minutes_threshold, week.prorated) == (threshold, prorated)


ADOLESCENTS = [
    ("2026-03-02", None, 360),
    ("2026-03-03", None, 308),
    ("2026-03-05", None, 205),
    ("2026-03-08", None, 51),
    ("2026-01-05", "2026-03-04", 154),
    ("2026-01-05", "2026-03-06", 257),
]


@pytest.mark.parametrize(("first", "last", "threshold"), ADOLESCENTS)
def test_adolescents_have_hours_of_their_own(first: str, last: str | None, threshold: int) -> None:
    week = asked((first, "2.1"), last=last, population=Population.ADOLESCENT)
    assert week.minutes_threshold == threshold


FIFTEEN = ProgramTerms(
    bands=(
        HoursBand(
            level_code="2.1", population=Population.ADULT, minutes_floor=540, minutes_ceiling=900
        ),
        HoursBand(level_code="2.5", population=Population.ADULT, minutes_floor=1200),
    )
)
CEILINGS = [
    # terms, levels, planned minutes, ceiling, over it
    (ProgramTerms(), [("2026-01-05", "2.1")], 1199, 1200, False),
    (ProgramTerms(), [("2026-01-05", "2.1")], 1200, 1200, True),
    (ProgramTerms(), [("2026-01-05", "2.1")], 1500, 1200, True),
    (ProgramTerms(), [("2026-03-06", "2.1")], 540, 1200, False),  # three intensive days are not 2.5
    (ProgramTerms(), [("2026-01-05", "2.5")], 2000, None, False),
    (ProgramTerms(), [("2026-01-05", "2.1"), ("2026-03-05", "2.5")], 1300, None, False),
    (ProgramTerms(), [("2026-01-05", "1")], 1300, None, False),
    (FIFTEEN, [("2026-01-05", "2.1")], 899, 900, False),
    (FIFTEEN, [("2026-01-05", "2.1")], 900, 900, True),
]


@pytest.mark.parametrize(("terms", "levels", "planned", "ceiling", "over"), CEILINGS)
@pytest.mark.fact("0.2")
def test_as_many_planned_hours_as_a_higher_level_has_are_flagged(
    terms: ProgramTerms,
    levels: list[tuple[str, str]],
    planned: int,
    ceiling: int | None,
    over: bool,
) -> None:
    week = hours.totals({"one": session(planned)}, asked(*levels, terms=terms), {})
    assert (week.minutes_ceiling, week.ceiling_reached) == (ceiling, over)


DST = [
    # zone, Monday of the week in which the clocks change, hours of that week
    ("America/New_York", "2026-03-02", 167),
    ("America/New_York", "2026-10-26", 169),
    ("America/Denver", "2026-03-02", 167),
    ("America/Phoenix", "2026-03-02", 168),
    ("America/Anchorage", "2026-10-26", 169),
    ("Pacific/Honolulu", "2026-10-26", 168),
    ("America/St_Johns", "2026-03-02", 167),
    ("Europe/Berlin", "2026-03-23", 167),
    ("Europe/Berlin", "2026-10-19", 169),
    ("Australia/Sydney", "2026-09-28", 167),
    ("Australia/Sydney", "2026-03-30", 169),
    ("Australia/Lord_Howe", "2026-09-28", 167.5),
    ("UTC", "2026-03-02", 168),
]


@pytest.mark.parametrize(("zone", "monday", "length"), DST)
def test_a_session_of_three_hours_is_three_hours_also_when_the_clocks_change(
    zone: str, monday: str, length: float
) -> None:
    begins = local(f"{monday} 00:00", zone)
    episode = Episode(begins, time_zone=zone)
    days = [date.fromisoformat(monday) + n * DAY for n in (0, 2, 6)]
    held = [episode.book(local(f"{day} 18:00", zone)) for day in days]
    for booked in held:
        episode.at(booked.starts_at + 4 * HOUR)
        episode.roll(booked)
    closes = begins + timedelta(days=7)
    assert closes.astimezone(UTC) - begins.astimezone(UTC) == timedelta(hours=length)
    [week] = episode.at(closes).weeks()
    assert (week.minutes_credited, week.minutes_threshold, week.met) == (540, 540, True)
    assert week.week_starts_on == date.fromisoformat(monday)


@pytest.mark.parametrize(
    ("admitted_on", "monday", "threshold"),
    [
        ("2024-02-26", "2024-02-26", 540),
        ("2024-02-29", "2024-02-26", 308),  # the day that a leap year has more
        ("2024-03-01", "2024-02-26", 231),
        ("2025-02-28", "2025-02-24", 231),
        ("2024-12-31", "2024-12-30", 462),
        ("2025-01-01", "2024-12-30", 385),
        ("2026-12-31", "2026-12-28", 308),
        ("2028-02-29", "2028-02-28", 462),
    ],
)
def test_weeks_pass_over_leap_days_and_new_years(
    admitted_on: str, monday: str, threshold: int
) -> None:
    week = asked((admitted_on, "2.1"), monday=date.fromisoformat(monday))
    assert week.minutes_threshold == threshold


@pytest.mark.parametrize(
    ("modality", "family_only", "service_counts", "counts"),
    [
        *[(m, False, None, True) for m in sorted(hours.COUNTED)],
        *[(m, False, None, False) for m in (Modality.WELLNESS, Modality.CASE_MANAGEMENT)],
        (Modality.FAMILY, True, None, False),
        (Modality.FAMILY, True, True, False),
        (Modality.WELLNESS, False, True, True),
        (Modality.MEDICATION, False, False, False),
    ],
)
def test_what_counts_toward_the_hours(
    modality: Modality, family_only: bool, service_counts: bool | None, counts: bool
) -> None:
    told = hours.counts(modality, family_only=family_only, service_counts=service_counts)
    assert told is counts


# --- totals: (modality, planned, status, present, cancelled by) per session ------------------------------

Told = tuple[Modality, int, AttendanceStatus | None, int, CancelledBy | None]
GROUP, ALONE = Modality.GROUP, Modality.INDIVIDUAL
THERE, LATE = AttendanceStatus.ATTENDED, AttendanceStatus.LATE


def session(
    planned: int = 180,
    credited: int | None = None,
    *,
    by: CancelledBy | None = None,
    modality: Modality = GROUP,
) -> Booking:
    return Booking(
        starts_at=local("2026-03-02 18:00"),
        minutes_planned=planned,
        modality=modality,
        counts=modality in hours.COUNTED,
        status=None if credited is None else THERE if credited else NO_SHOW,
        minutes_credited=credited or 0,
        cancelled_by=by,
    )


PROGRAM, CLINICIAN = CancelledBy.PROGRAM, CancelledBy.CLINICIAN
WEATHER, PATIENT = CancelledBy.WEATHER, CancelledBy.PATIENT
TOTALS = [
    # sessions, (scheduled, offered, credited), short of 540, met, projected
    ([], (0, 0, 0), 0, False, 0),
    ([session(180, 180)] * 3, (540, 540, 540), 0, True, 540),
    ([session(180, 180)] * 4, (720, 720, 720), 0, True, 720),
    ([session(180, 180)] * 2 + [session(180, 0)], (540, 540, 360), 180, False, 360),
    ([session(180, 180)] * 2 + [session(180, 120)], (540, 540, 480), 60, False, 480),
    ([session(180, 180)] * 2 + [session(180)], (540, 540, 360), 180, False, 540),
    ([session(180, 180)] * 2 + [session(180, by=PROGRAM)], (540, 360, 360), 0, False, 360),
    ([session(180, 180)] * 2 + [session(180, by=CLINICIAN)], (540, 360, 360), 0, False, 360),
    ([session(180, 180)] * 2 + [session(180, by=WEATHER)], (540, 360, 360), 0, False, 360),
    ([session(180, 180)] * 2 + [session(180, by=PATIENT)], (540, 540, 360), 180, False, 360),
    (
        [session(180, 180), session(180, 0), session(180, by=PROGRAM)],
        (540, 360, 180),
        180,
        False,
        180,
    ),
    ([session(180, 180)] * 2 + [session(60), session(60)], (480, 480, 360), 120, False, 480),
    ([session(180, 180)] * 3 + [session(180, 0)], (720, 720, 540), 0, True, 540),
    ([session(180, 180)] * 3 + [session(60, by=PATIENT)], (600, 600, 540), 0, True, 540),
    ([session(600, 600, modality=Modality.WELLNESS)], (0, 0, 0), 0, False, 0),
    ([session(600, 600, modality=Modality.CASE_MANAGEMENT)], (0, 0, 0), 0, False, 0),
    ([session(180, 180, modality=Modality.FAMILY)] * 3, (540, 540, 540), 0, True, 540),
    ([session(180, 180, modality=Modality.PSYCHOEDUCATION)] * 3, (540, 540, 540), 0, True, 540),
    ([session(180, 180, modality=Modality.MEDICATION)] * 3, (540, 540, 540), 0, True, 540),
    ([session(600, modality=Modality.WELLNESS), session(540, 539)], (540, 540, 539), 1, False, 539),
]


@pytest.mark.parametrize(("bookings", "minutes", "short", "met", "projected"), TOTALS)
def test_scheduled_offered_and_credited_are_different_things(
    bookings: list[Booking], minutes: tuple[int, int, int], short: int, met: bool, projected: int
) -> None:
    one_after_another = {
        str(n): booking.replace(starts_at=booking.starts_at + n * timedelta(hours=10))
        for n, booking in enumerate(bookings)
    }
    week = hours.totals(one_after_another, hours.WeekAsks(minutes_threshold=540), {})
    assert (week.minutes_scheduled, week.minutes_offered, week.minutes_credited) == minutes
    assert (week.minutes_short, week.met) == (short, met)
    assert hours.projected_credit(one_after_another.values()) == projected
