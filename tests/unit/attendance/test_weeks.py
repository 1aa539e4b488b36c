"""An episode's weeks: closed, foreseen, evaluated again, and what is known only after they are over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest

from services.attendance.episode import handoffs
from shared.contracts import attendance, plans
from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.contracts.codes import AttendanceLoop, Modality, Population
from shared.loops import Loop
from tests.unit.attendance.world import (
    DAY,
    HOUR,
    NO_SHOW,
    WEEK,
    Episode,
    level,
    local,
)
from tests.unit.support import fact, uid

NY, CHICAGO = "America/New_York", "America/Chicago"
MARCH_2, MARCH_9 = date(2026, 3, 2), date(2026, 3, 9)


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
    assert not any(booking.open for booking in episode.state.bookings.values())


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
    assert (week.minutes_threshold, week.prorated) == (0, True), "nothing was offered"
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
    assert (last.minutes_threshold, last.prorated, last.minutes_credited) == (180, True, 180)
    assert episode.state.deadlines == {}


def test_a_discharge_heard_before_the_old_week_was_closed_still_has_its_own_week() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.now = left_at = local("2026-03-09 09:00")
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=left_at))
    weeks = episode.after(days=30).weeks()
    assert [(week.week_starts_on, week.minutes_threshold) for week in weeks] == [
        (MARCH_2, 540),
        (MARCH_9, 0),
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
    assert not any(booking.open for booking in episode.state.bookings.values())
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
    assert not any(booking.open for booking in episode.state.bookings.values())


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
        ("2026-03-02", 180, 180, False),
    ]
    assert episode.shortfalls() == [(540, True)], "nothing is short that only waits for its roll"


@pytest.mark.parametrize("change", ["nothing", "another session", "the level"])
def test_what_is_written_down_and_not_called_in_time_is_short_then(change: str) -> None:
    """Whatever else is heard meanwhile, the week is judged anew when the roll is overdue, or comes."""
    episode = Episode(local("2026-03-02 09:00"))
    there = episode.book(local("2026-03-05 18:00"))
    episode.at(local("2026-03-05 21:00")).roll(there)
    episode.at(local("2026-03-09 09:00"))
    held = episode.book(local("2026-03-08 18:00"))
    if change == "another session":
        episode.roll(episode.book(local("2026-03-04 18:00"), 60))
    elif change == "the level":
        effective_at = local("2026-03-09 00:00")
        episode.hear(fact(plans.LevelOfCareChanged, to_level=level("1"), effective_at=effective_at))
    assert episode.shortfalls() == [(360, True)]
    episode.at(local("2026-03-10 10:00"))
    assert episode.shortfalls() == [(360, True), (180, False)]
    episode.roll(held)
    week = episode.state.weeks["2026-03-02"]
    assert week.minutes_credited == week.minutes_offered
    assert episode.shortfalls() == [(360, True), (180, False)]
    labels = [
        one.week_starts_on.isoformat() for one in episode.at(local("2026-03-17 00:00")).weeks()
    ]
    assert labels.count("2026-03-09") == 1, "the weeks after it are closed once"


def test_an_end_that_is_taken_back_goes_on_though_a_closed_week_waits_for_a_roll() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.at(local("2026-03-09 09:00"))
    ended_at = local("2026-03-09 08:00")
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=ended_at))
    episode.book(local("2026-03-08 18:00"))
    episode.hear(fact(plans.DischargeUndone, discharged_at=ended_at))
    episode.at(local("2026-03-24 00:00"))
    assert list(episode.state.weeks) == ["2026-03-02", "2026-03-09", "2026-03-16"]


def test_what_does_not_count_evaluates_nothing_again() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = episode.book(local("2026-03-06 18:00"), 60, Modality.WELLNESS)
    episode.at(local("2026-03-09 09:00"))
    episode.roll(held)
    assert credited(episode) == [("2026-03-02", 0, 0, False)]


# --- a change of level, whenever it is heard ------------------------------------------------------------


def down(effective: str) -> plans.LevelOfCareChanged:
    return fact(
        plans.LevelOfCareChanged,
        from_level=level("2.5"),
        to_level=level("2.1"),
        effective_at=local(effective),
    )


@pytest.mark.parametrize("heard_at", ["2026-03-04 09:00", "2026-03-12 09:00", "2026-03-25 09:00"])
@pytest.mark.scenario(6)
def test_a_change_of_level_holds_from_its_day_whether_heard_before_or_long_after(
    heard_at: str,
) -> None:
    episode = Episode(local("2026-03-02 09:00"), level=level("2.5"))
    episode.at(local(heard_at)).hear(down("2026-03-12 00:00"))
    episode.at(local("2026-03-30 00:00"))
    latest = {w.week_starts_on: w.minutes_threshold for w in episode.weeks()}
    assert list(latest.values()) == [1200, 822, 540, 540]
    assert [w.prorated for w in episode.state.weeks.values()] == [False, True, False, False]


@pytest.mark.scenario(6)
def test_a_shortfall_that_a_late_change_of_level_explains_is_taken_back() -> None:
    episode = Episode(local("2026-03-02 09:00"), level=level("2.5"))
    held = [episode.book(local(f"2026-03-0{day} 10:00"), 400) for day in (2, 3, 5)]
    for booked in held[:2]:
        episode.at(booked.starts_at + 8 * HOUR).roll(booked, minutes=300)
    episode.at(local("2026-03-09 09:00"))
    assert episode.shortfalls() == [(200, True), (600, False)]
    episode.hear(down("2026-03-02 00:00"))
    *_, last = episode.weeks()
    assert (last.minutes_threshold, last.minutes_credited, last.met) == (540, 600, True)


def test_a_ceiling_that_is_reached_is_said_with_the_week() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    for day in (2, 3, 4):
        episode.book(local(f"2026-03-0{day} 09:00"), 400)
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_ceiling, week.ceiling_reached) == (1200, True)
    [_, following] = episode.at(local("2026-03-16 00:00")).weeks()
    assert (following.minutes_ceiling, following.ceiling_reached) == (1200, False)


def test_a_discharge_that_is_heard_late_takes_back_the_weeks_after_it() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = [episode.book(local(f"2026-03-{day} 18:00")) for day in ("03", "10", "17")]
    episode.at(local("2026-03-24 09:00"))
    assert [w.met for w in episode.weeks()] == [False] * 3
    left_at = local("2026-03-04 12:00")
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=left_at))
    assert list(episode.state.weeks) == ["2026-03-02"]
    assert episode.state.weeks["2026-03-02"].minutes_threshold == 180
    latest = {w.week_starts_on.isoformat(): w.met for w in episode.weeks()}
    assert latest == {"2026-03-02": False, "2026-03-09": True, "2026-03-16": True}
    gone = [item.subject for item in episode.handing]
    assert gone == [f"session/{booked.session_id}" for booked in held[1:]]
    assert episode.state.deadlines == {}


# --- make-ups --------------------------------------------------------------------------------------------


def make_ups(episode: Episode) -> list[Loop]:
    return list(episode.state.loops_of(AttendanceLoop.MAKE_UP))


@pytest.mark.scenario(8)
@pytest.mark.fact("0.2", "3.8")
def test_a_shortfall_that_is_foreseen_on_wednesday_is_mended_by_a_make_up() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    held = [episode.book(local(f"2026-03-0{day} 18:00")) for day in (2, 4, 5)]
    episode.at(local("2026-03-02 22:00")).roll(held[0], minutes=60)
    episode.at(local("2026-03-04 20:00"))
    assert episode.shortfalls() == [(120, True)]
    [loop] = make_ups(episode)
    assert (loop.owner_role, loop.deadline_at) == ("counselor", local("2026-03-06 20:00"))
    held.append(episode.book(local("2026-03-07 10:00"), 60))
    assert make_ups(episode), "an hour is missing still"
    held.append(episode.book(local("2026-03-07 11:00"), 60))
    assert make_ups(episode) == []
    for booked in held[1:]:
        episode.at(booked.starts_at + 3 * HOUR).roll(booked)
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_credited, week.met) == (540, True)
    assert "loop-escalated" not in episode.names


def test_a_make_up_that_nobody_books_goes_to_the_supervisor_until_the_week_is_over() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.book(local("2026-03-06 18:00"))
    episode.at(local("2026-03-06 20:00"))
    [escalated] = episode.of(attendance.LoopEscalated)
    assert (escalated.loop, escalated.owner_role) == ("make_up", "clinical_supervisor")
    episode.at(local("2026-03-09 00:00"))
    [cleared] = episode.of(attendance.EscalationCleared)
    assert (cleared.loop_id, cleared.reason) == (escalated.loop_id, "superseded")
    assert make_ups(episode) == []


def test_a_make_up_that_is_called_off_is_waited_for_again_without_another_word() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.at(local("2026-03-04 20:00"))
    made_up = episode.book(local("2026-03-07 10:00"), 480)
    more = episode.book(local("2026-03-08 10:00"), 60)
    assert make_ups(episode) == []
    episode.drop(more, CancelledBy.PATIENT)
    assert len(make_ups(episode)) == 1
    episode.drop(made_up, CancelledBy.PROGRAM)
    assert len(make_ups(episode)) == 1
    assert episode.shortfalls() == [(540, True)]


def test_nobody_makes_up_for_who_has_left() -> None:
    episode = Episode(local("2026-03-02 09:00"))
    episode.at(local("2026-03-06 20:00"))
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=episode.now))
    [cleared] = episode.of(attendance.EscalationCleared)
    assert cleared.reason == "episode_closed"
    assert episode.state.loops == {}


@pytest.mark.parametrize(
    ("admitted_at", "booked", "short"),
    [
        ("2026-03-02 09:00", 540, None),
        ("2026-03-02 09:00", 480, 60),
        ("2026-03-04 09:00", 0, None),  # of a part of a week no more is asked than is offered
        ("2026-03-04 09:00", 360, None),
        ("2026-03-04 09:00", 385, None),
        ("2026-03-03 09:00", 462, None),
        ("2026-03-03 09:00", 420, None),
    ],
)
def test_the_week_of_admission_is_foreseen_by_its_own_days(
    admitted_at: str, booked: int, short: int | None
) -> None:
    episode = Episode(local(admitted_at))
    for n, minutes in enumerate([480] * (booked // 480) + [booked % 480]):
        if minutes:
            episode.book(local("2026-03-06 08:00") + n * DAY, minutes)
    episode.at(local("2026-03-04 20:00"))
    assert episode.shortfalls() == ([] if short is None else [(short, True)])


# --- ancillary services ----------------------------------------------------------------------------------


STEPS = [
    order
    for order in permutations(("plan", "book", "roll", "close"))
    if order.index("book") < order.index("roll")  # a session tells of itself in order
]


@pytest.mark.parametrize("order", STEPS)
@pytest.mark.fact("3.5")
def test_an_ancillary_service_counts_when_the_plan_says_so_whenever_that_is_heard(
    order: tuple[str, ...],
) -> None:
    episode = Episode(local("2026-03-02 09:00"))
    booked = handoffs.Booked(
        session_id=uid("yoga"),
        starts_at=local("2026-03-03 18:00"),
        minutes_planned=60,
        modality=Modality.WELLNESS,
        service="yoga",
    )
    for step in order:
        if step == "plan":
            kind = plans.AncillaryKind.YOGA
            episode.hear(fact(plans.AncillaryServiceAdded, kind=kind, counts_toward_hours=True))
        elif step == "book":
            episode.hand(booked.session_id, booked)
        elif step == "roll":
            episode.roll(booked)
        else:
            episode.at(local("2026-03-09 00:00"))
    assert episode.state.weeks["2026-03-02"].minutes_credited == 60
    assert episode.weeks()[-1].minutes_credited == 60
