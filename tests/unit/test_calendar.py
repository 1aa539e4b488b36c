"""The facility's days: over time zones, and over the nights in which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import calendar

CHICAGO = "America/Chicago"
HOUR = timedelta(hours=1)
# North, south, without a change, half an hour, no whole hours, changes at midnight, ahead of and behind everybody.
ZONES = (
    *(
        "UTC",
        CHICAGO,
        "America/Phoenix",
        "Europe/Berlin",
        "Australia/Sydney",
        "Australia/Lord_Howe",
    ),
    *(
        "Asia/Kathmandu",
        "America/Havana",
        "Africa/Cairo",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
    ),
)
DAYS = st.dates(date(2015, 1, 1), date(2037, 12, 31))
MOMENTS = st.integers(1_420_000_000, 2_140_000_000).map(lambda n: datetime.fromtimestamp(n, UTC))


@pytest.mark.parametrize(
    ("moment", "time_zone", "day"),
    [
        ("2026-03-02T05:59:59.999999+00:00", CHICAGO, "2026-03-01"),
        ("2026-03-02T06:00:00+00:00", CHICAGO, "2026-03-02"),
        ("2026-07-02T04:59:59+00:00", CHICAGO, "2026-07-01"),
        ("2026-07-02T05:00:00+00:00", CHICAGO, "2026-07-02"),
        ("2026-03-02T05:45:00+05:45", "Asia/Kathmandu", "2026-03-02"),
        ("2026-03-01T10:00:00+00:00", "Pacific/Kiritimati", "2026-03-02"),
        ("2026-03-02T10:59:00+00:00", "Pacific/Pago_Pago", "2026-03-01"),
    ],
)
def test_a_moment_belongs_to_the_facilitys_day(moment: str, time_zone: str, day: str) -> None:
    found = calendar.local_day(datetime.fromisoformat(moment), time_zone)
    assert found == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("day", "time_zone", "hours"),
    [
        ("2026-03-07", CHICAGO, 24),
        ("2026-03-08", CHICAGO, 23),
        ("2026-11-01", CHICAGO, 25),
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2026-03-08", "America/Havana", 23),  # there is no midnight: the day begins at one
        (
            "2026-11-01",
            "America/Havana",
            25,
        ),  # there are two midnights: the first one begins the day
        ("2026-03-08", "America/Phoenix", 24),
    ],
)
def test_a_day_in_which_clocks_change_is_shorter_or_longer(
    day: str, time_zone: str, hours: float
) -> None:
    on = date.fromisoformat(day)
    begin, end = calendar.midnight(on, time_zone), calendar.end_of_day(on, time_zone)
    assert end - begin == hours * HOUR
    assert end == calendar.midnight(on + calendar.DAY, time_zone)


@given(DAYS, st.sampled_from(ZONES))
def test_a_day_has_every_instant_from_its_midnight_to_its_end_and_no_other(
    day: date, time_zone: str
) -> None:
    begin, end = calendar.midnight(day, time_zone), calendar.end_of_day(day, time_zone)
    tick = timedelta(microseconds=1)
    assert calendar.local_day(begin, time_zone) == day == calendar.local_day(end - tick, time_zone)
    assert calendar.local_day(begin - tick, time_zone) == day - calendar.DAY
    assert calendar.local_day(end, time_zone) == day + calendar.DAY


@given(MOMENTS, st.sampled_from(ZONES))
def test_no_moment_is_without_a_day(moment: datetime, time_zone: str) -> None:
    day = calendar.local_day(moment, time_zone)
    assert calendar.midnight(day, time_zone) <= moment < calendar.end_of_day(day, time_zone)


@pytest.mark.parametrize(
    ("day", "at", "expected"),
    [
        ("2026-03-04", "20:00", "2026-03-05T02:00"),
        ("2026-03-11", "20:00", "2026-03-12T01:00"),
        ("2026-11-01", "01:30", "2026-11-01T06:30"),  # occurs twice: the first
        (
            "2026-03-08",
            "02:30",
            "2026-03-08T08:30",
        ),  # left out: two and a half hours after midnight
    ],
)
def test_a_wall_time_is_one_instant_in_utc(day: str, at: str, expected: str) -> None:
    found = calendar.instant(date.fromisoformat(day), time.fromisoformat(at), CHICAGO)
    assert (found, found.tzinfo) == (datetime.fromisoformat(expected).replace(tzinfo=UTC), UTC)


@given(DAYS)
def test_a_week_begins_on_its_monday(day: date) -> None:
    monday = calendar.monday_of(day)
    assert monday.weekday() == 0
    assert monday <= day < monday + calendar.DAYS_PER_WEEK * calendar.DAY


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T15:00", "2026-03-03T15:00"),  # Monday
        ("2026-03-05T15:00", "2026-03-06T15:00"),  # Thursday
        ("2026-03-06T15:00", "2026-03-09T15:00"),  # Friday, over the change of clocks
        ("2026-03-07T15:00", "2026-03-09T15:00"),  # Saturday
        ("2026-03-08T15:00", "2026-03-09T15:00"),  # Sunday
        ("2026-03-05T23:30", "2026-03-06T23:30"),  # Friday already in UTC
        ("2026-10-30T09:00", "2026-11-02T09:00"),  # Friday, over the other change
    ],
)
def test_the_next_working_day_has_the_same_wall_time(moment: str, expected: str) -> None:
    zone = ZoneInfo(CHICAGO)
    begin, end = (datetime.fromisoformat(t).replace(tzinfo=zone) for t in (moment, expected))
    found = calendar.next_working_day(begin.astimezone(UTC), CHICAGO)
    assert found == end
    assert found.tzinfo is UTC, "as the moment was written"


@given(MOMENTS, st.sampled_from(ZONES))
def test_the_next_working_day_is_the_first_one_that_comes(moment: datetime, time_zone: str) -> None:
    today = calendar.local_day(moment, time_zone)
    found = calendar.local_day(calendar.next_working_day(moment, time_zone), time_zone)
    days = [today + n * calendar.DAY for n in range(1, 5)]
    assert found == next(day for day in days if day.isoweekday() <= 5)
