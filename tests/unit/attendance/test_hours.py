"""The week: which one a moment is in, what it asks for, and what is scheduled, offered and credited in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.attendance import hours
from services.attendance.hours import Booking
from shared.contracts import attendance, plans
from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.contracts.codes import Modality, Population
from shared.contracts.terms import ProgramTerms
from tests.unit.attendance.world import (
    HOUR,
    NO_SHOW,
    WEEK,
    Episode,
    level,
    local,
)
from tests.unit.support import fact

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
    week = hours.totals(bookings, hours.WeekAsks(minutes_threshold=540))
    assert (week.minutes_scheduled, week.minutes_offered, week.minutes_credited) == minutes
    assert (week.minutes_short, week.met) == (short, met)
    assert hours.projected_credit(bookings) == projected


# --- weeks of a record ----------------------------------------------------------------------------------


def test_credit_is_never_more_than_was_planned_nor_given_to_who_was_away() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    long, away = episode.book(local("2026-03-02 18:00")), episode.book(local("2026-03-04 18:00"))
    excused = episode.book(local("2026-03-05 18:00"))
    episode.at(local("2026-03-06 09:00"))
    episode.roll(long, minutes=240)
    episode.roll(away, NO_SHOW, minutes=180)
    episode.roll(excused, AttendanceStatus.EXCUSED, minutes=180)
    [attended] = episode.of(attendance.SessionAttended)
    assert attended.minutes_credited == 180
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_scheduled, week.minutes_credited, week.met) == (540, 180, False)


@pytest.mark.parametrize(
    ("zone", "closes"), [(NY, "2026-03-09T04:00:00Z"), (CHICAGO, "2026-03-09T05:00:00Z")]
)
def test_a_week_closes_at_local_midnight_and_the_next_one_is_waited_for(
    zone: str, closes: str
) -> None:
    episode = Episode(local("2026-03-02 09:00", zone), time_zone=zone)
    sunday = episode.book(local("2026-03-08 23:00", zone), 60)
    episode.at(datetime.fromisoformat(closes) - timedelta(seconds=1))
    assert episode.weeks() == []
    episode.roll(sunday)
    [week] = episode.at(datetime.fromisoformat(closes)).weeks()
    assert (week.week_starts_on, week.minutes_credited) == (MARCH_2, 60)
    [_, following] = episode.at(datetime.fromisoformat(closes) + WEEK).weeks()
    assert (following.week_starts_on, following.minutes_scheduled) == (MARCH_9, 0)
    assert episode.state.bookings == {}


@pytest.mark.parametrize(
    ("present", "projected"),
    [(180, []), (60, [(120, True)]), (0, [(180, True)])],
)
def test_the_middle_of_the_week_says_what_is_missing(
    present: int, projected: list[tuple[int, bool]]
) -> None:
    episode = Episode(local("2026-03-02 09:00"))
    monday = episode.book(local("2026-03-02 18:00"))
    for day in (4, 5):
        episode.book(local(f"2026-03-0{day} 18:00"))
    episode.roll(monday, minutes=present)
    episode.at(local("2026-03-04 19:59"))
    assert episode.shortfalls() == []
    assert episode.at(local("2026-03-04 20:00")).shortfalls() == projected


def test_who_is_admitted_after_the_projection_is_first_projected_in_the_next_week() -> None:
    episode = Episode(local("2026-03-05 09:00"))
    assert "week-projection:2026-03-02" not in episode.state.deadlines
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_threshold, week.prorated) == (308, True)
    assert "week-projection:2026-03-09" in episode.state.deadlines


@pytest.mark.parametrize(
    ("changes", "threshold"),
    [
        ({}, 540),
        ({"population": Population.ADOLESCENT}, 360),
        ({"level": level("2.5")}, 1200),
        ({"level": level("2.5"), "population": Population.ADOLESCENT}, 1200),
        ({"level": level("1")}, 0),
    ],
)
def test_a_whole_week_asks_for_what_the_level_asks(
    changes: dict[str, object], threshold: int
) -> None:
    episode = Episode(local("2026-03-02 09:00"), **changes)
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_threshold, week.prorated) == (threshold, False)


def test_another_level_asks_for_other_hours_from_the_week_that_runs() -> None:
    episode = Episode(local("2026-03-02 09:00"), level=level("2.5"))
    episode.at(local("2026-03-10 09:00"))
    effective_at = local("2026-03-09 00:00")
    changed = fact(
        plans.LevelOfCareChanged,
        from_level=level("2.5"),
        to_level=level(),
        effective_at=effective_at,
    )
    episode.hear(changed)
    weeks = episode.at(local("2026-03-16 00:00")).weeks()
    assert [week.minutes_threshold for week in weeks] == [1200, 540]


def test_the_last_week_is_counted_for_its_days_and_none_after_it() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = episode.book(local("2026-03-10 18:00"))
    episode.at(local("2026-03-10 21:00"))
    episode.roll(held)
    left_at = local("2026-03-11 12:00")
    episode.at(left_at).hear(fact(plans.EpisodeDischarged, discharged_at=left_at))
    [_, last] = episode.after(days=30).weeks()
    assert (last.minutes_threshold, last.prorated, last.minutes_credited) == (231, True, 180)
    assert episode.state.deadlines == {}


def test_a_discharge_heard_before_the_old_week_was_closed_still_has_its_own_week() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.now = left_at = local("2026-03-09 09:00")
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=left_at))
    weeks = episode.after(days=30).weeks()
    assert [(week.week_starts_on, week.minutes_threshold) for week in weeks] == [
        (MARCH_2, 540),
        (MARCH_9, 77),
    ]


def test_a_shortfall_is_said_once_and_only_of_what_was_offered() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = [episode.book(local(f"2026-03-0{day} 18:00")) for day in (2, 4, 5)]
    episode.at(local("2026-03-02 21:00")).roll(held[0], minutes=120)
    episode.at(local("2026-03-04 19:00")).roll(held[1])
    episode.drop(held[2], CancelledBy.PROGRAM)
    assert episode.at(local("2026-03-09 00:00")).shortfalls() == [(240, True), (60, False)]
    assert episode.after(days=1).shortfalls() == [(240, True), (60, False)]


def test_a_session_is_in_the_week_in_which_it_begins() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    over_midnight = episode.book(local("2026-03-08 23:30"), 120)
    episode.at(local("2026-03-08 23:45"))
    episode.roll(over_midnight)
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert week.minutes_credited == 120


def test_the_hour_that_clocks_repeat_is_counted_as_it_passes() -> None:
    """Two sessions at 01:30 on the first Sunday of November are two, an hour apart."""
    episode = Episode(local("2026-10-26 09:00"))
    first, second = (episode.book(local("2026-11-01 01:30", fold=n), 60) for n in (0, 1))
    assert second.starts_at.astimezone(UTC) - first.starts_at.astimezone(UTC) == HOUR
    episode.at(local("2026-11-01 03:00"))
    episode.roll(first)
    episode.roll(second)
    [week] = episode.at(local("2026-11-02 00:00")).weeks()
    assert week.minutes_credited == 120


# --- what is known only after the week is over ----------------------------------------------------------


def credited(episode: Episode) -> list[tuple[str, int, int, bool]]:
    return [
        (week.week_starts_on.isoformat(), week.minutes_offered, week.minutes_credited, week.met)
        for week in episode.weeks()
    ]


def test_a_roll_that_is_called_after_its_week_is_over_still_counts_in_it() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = [episode.book(local(f"2026-03-0{day} 18:00")) for day in (2, 4, 6)]
    episode.at(local("2026-03-06 21:00"))
    episode.roll(held[0])
    episode.roll(held[1])
    episode.at(local("2026-03-09 09:00"))
    assert credited(episode) == [("2026-03-02", 540, 360, False)]
    assert episode.shortfalls() == [(180, False)]
    episode.roll(held[2], again=2)
    assert credited(episode)[1:] == [("2026-03-02", 540, 540, True)]
    assert episode.names[-2:] == ["session-attended", "weekly-hours-evaluated"]
    assert episode.state.bookings == {}
    [_, _, following] = episode.at(local("2026-03-16 00:00")).weeks()
    assert following.minutes_credited == 0, "nothing is counted in two weeks"


def test_a_late_roll_that_mends_a_part_does_not_say_the_shortfall_again() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = episode.book(local("2026-03-06 18:00"))
    episode.at(local("2026-03-09 09:00"))
    episode.roll(held, minutes=60)
    assert credited(episode)[1:] == [("2026-03-02", 180, 60, False)]
    assert episode.shortfalls() == [(360, True), (180, False)]
    assert episode.state.weeks["2026-03-02"].minutes_short == 120


@pytest.mark.parametrize("status", [NO_SHOW, AttendanceStatus.EXCUSED])
def test_a_late_roll_that_changes_no_minutes_evaluates_nothing_again(
    status: AttendanceStatus,
) -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = episode.book(local("2026-03-06 18:00"))
    episode.at(local("2026-03-09 09:00"))
    episode.roll(held, status)
    assert credited(episode) == [("2026-03-02", 180, 0, False)]
    assert episode.names[-1] == "session-missed"
    assert episode.state.bookings == {}


def test_a_session_that_is_cancelled_afterwards_is_no_longer_held_against_anyone() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = episode.book(local("2026-03-06 18:00"))
    episode.at(local("2026-03-09 09:00"))
    episode.drop(held, CancelledBy.PROGRAM)
    assert credited(episode) == [("2026-03-02", 180, 0, False), ("2026-03-02", 0, 0, False)]
    assert episode.shortfalls() == [(540 - 180, True), (180, False)]
    assert episode.state.weeks["2026-03-02"].minutes_short == 0


def test_a_session_that_is_written_down_afterwards_counts_in_its_week() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.at(local("2026-03-10 09:00"))
    held = episode.book(local("2026-03-06 18:00"))
    episode.roll(held)
    assert credited(episode) == [
        ("2026-03-02", 0, 0, False),
        ("2026-03-02", 180, 0, False),
        ("2026-03-02", 180, 180, False),
    ]
    assert episode.shortfalls() == [(540, True), (180, False)]


def test_what_does_not_count_evaluates_nothing_again() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = episode.book(local("2026-03-06 18:00"), 60, Modality.WELLNESS)
    episode.at(local("2026-03-09 09:00"))
    episode.roll(held)
    assert credited(episode) == [("2026-03-02", 0, 0, False)]
