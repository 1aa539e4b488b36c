"""The calendar of check-ins: the same local time, however long the months and whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup.episode.check_in_calendar import MILESTONES, due, months_later, windows
from shared.contracts.codes import Milestone

CHICAGO = "America/Chicago"
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
ZONES = [
    CHICAGO,
    "America/Phoenix",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "UTC",
]


def local(text: str, zone: str = CHICAGO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


# The clocks of Chicago go forward on 8 March 2026 at 02:00 and back on 1 November 2026 at 02:00.
@pytest.mark.parametrize(
    ("discharged", "milestone", "expected"),
    [
        ("2026-03-02T09:00", Milestone.HOURS_72, "2026-03-05T09:00"),
        ("2026-03-06T09:00", Milestone.HOURS_72, "2026-03-09T10:00"),  # hours are hours
        ("2026-10-30T09:00", Milestone.HOURS_72, "2026-11-02T08:00"),
        ("2026-03-02T09:00", Milestone.DAYS_7, "2026-03-09T09:00"),  # days are days
        ("2026-10-30T09:00", Milestone.DAYS_7, "2026-11-06T09:00"),
        ("2026-03-02T09:00", Milestone.DAYS_14, "2026-03-16T09:00"),
        ("2026-03-02T09:00", Milestone.DAYS_30, "2026-04-01T09:00"),
        ("2026-03-02T09:00", Milestone.DAYS_60, "2026-05-01T09:00"),
        ("2026-03-02T09:00", Milestone.DAYS_90, "2026-05-31T09:00"),
        ("2026-03-02T09:00", Milestone.MONTHS_6, "2026-09-02T09:00"),
        ("2026-08-31T09:00", Milestone.MONTHS_6, "2027-02-28T09:00"),
        ("2027-08-31T09:00", Milestone.MONTHS_6, "2028-02-29T09:00"),  # a leap year
        ("2026-03-31T09:00", Milestone.MONTHS_6, "2026-09-30T09:00"),
        ("2026-12-15T09:00", Milestone.MONTHS_6, "2027-06-15T09:00"),
        ("2026-06-30T09:00", Milestone.MONTHS_6, "2026-12-30T09:00"),
        ("2028-02-29T09:00", Milestone.MONTHS_12, "2029-02-28T09:00"),
        ("2026-01-31T09:00", Milestone.MONTHS_12, "2027-01-31T09:00"),
        ("2026-03-01T02:30", Milestone.DAYS_7, "2026-03-08T03:30"),  # no such time: an hour on
        ("2026-10-25T01:30", Milestone.DAYS_7, "2026-11-01T01:30"),  # twice: the first one
    ],
)
def test_due(discharged: str, milestone: Milestone, expected: str) -> None:
    assert due(milestone, local(discharged), CHICAGO) == local(expected).astimezone(UTC)


def test_the_second_of_two_equal_hours_leads_to_the_same_wall_time() -> None:
    second = local("2026-11-01T01:30").replace(fold=1)
    assert due(Milestone.DAYS_7, second, CHICAGO) == local("2026-11-08T01:30").astimezone(UTC)
    assert due(Milestone.MONTHS_6, second, CHICAGO) == local("2027-05-01T01:30").astimezone(UTC)


def test_the_day_is_the_facilitys() -> None:
    late = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)  # still 31 August in Chicago, at 22:00
    assert due(Milestone.MONTHS_6, late, CHICAGO) == local("2027-02-28T22:00").astimezone(UTC)
    assert due(Milestone.MONTHS_6, late, "UTC") == datetime(2027, 3, 1, 3, 0, tzinfo=UTC)


def test_windows_open_a_day_before_and_close_three_days_after() -> None:
    calendar = windows(local("2026-03-02T09:00"), CHICAGO)
    assert [window.milestone for window in calendar] == list(MILESTONES)
    assert {window.due_at - window.opens_at for window in calendar} == {timedelta(hours=24)}
    *others, last = [window.closes_at - window.due_at for window in calendar]
    assert set(others) == {timedelta(hours=72)}
    assert last == timedelta(days=7)


@pytest.mark.parametrize("months", [6, 12, 13, 18, 24])
def test_months_later_stays_in_its_month(months: int) -> None:
    for month in range(1, 13):
        start = datetime(2026, month, 28, tzinfo=UTC)
        total = month - 1 + months
        assert months_later(start, months).month == total % 12 + 1
        assert months_later(start, months).year == 2026 + total // 12


@given(
    discharged=st.integers(0, 15 * 365 * 24 * 60).map(lambda m: BEGIN + timedelta(minutes=m)),
    zone=st.sampled_from(ZONES),
)
def test_a_calendar_is_in_order_in_utc_and_keeps_the_wall_clock(
    discharged: datetime, zone: str
) -> None:
    calendar = windows(discharged, zone)
    assert len(calendar) == 8
    dues = [window.due_at for window in calendar]
    assert dues == sorted(dues)
    assert dues[0] > discharged
    assert all(
        moment.utcoffset() == timedelta(0)
        for window in calendar
        for moment in (window.opens_at, window.due_at, window.closes_at)
    )
    wall = discharged.astimezone(ZoneInfo(zone))
    for moment in dues[1:]:
        found = moment.astimezone(ZoneInfo(zone))
        # Only a wall time that does not exist on that day may be moved, by the width of the gap.
        skipped = found.replace(tzinfo=None, hour=wall.hour, minute=wall.minute)
        exists = skipped == skipped.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(
            ZoneInfo(zone)
        ).replace(tzinfo=None)
        assert (found.hour, found.minute) == (wall.hour, wall.minute) or not exists
