"""Two sessions at once: each minute is credited once, whatever the rolls say and in whichever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.episode import intervals
from shared.contracts import attendance, plans
from shared.contracts.attendance import AttendanceStatus, CancelledBy, CorrectionReason
from shared.contracts.codes import AttendanceLoop, Modality
from tests.unit.attendance.test_corrections import correction
from tests.unit.attendance.world import ATTENDED, HOUR, NO_SHOW, Episode, local
from tests.unit.support import fact

EVENING = local("2026-03-04 18:00")
MONDAY = "2026-03-02"


def at_once(*others: tuple[float, int]) -> Episode:
    """Three hours on Wednesday evening, and others that begin so many hours later, for so many minutes."""
    episode = Episode(local("2026-03-02 09:00"))
    episode.book(EVENING)
    for hours, minutes in others:
        episode.book(EVENING + hours * HOUR + timedelta(seconds=1) * (hours == 0), minutes)
    return episode


def attended(episode: Episode) -> Episode:
    episode.at(EVENING + 10 * HOUR)
    for key, booking in sorted(episode.state.bookings.items(), key=lambda kv: kv[1].starts_at):
        body = episode.booked[key]
        assert booking.open
        episode.roll(body)
    return episode


@pytest.mark.parametrize(
    ("others", "credited"),
    [
        ([], 180),
        ([(0, 180)], 180),  # two groups at one hour: 360 before
        ([(0, 60), (0.001, 180)], 180),
        ([(2, 180)], 300),
        ([(3, 180)], 360),  # one after the other is no overlap
        ([(0, 480)], 480),
        ([(-1, 60), (3, 60)], 300),
    ],
)
@pytest.mark.fault("F26")
def test_a_minute_is_scheduled_offered_and_credited_once(
    others: list[tuple[float, int]], credited: int
) -> None:
    [week] = attended(at_once(*others)).at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_scheduled, week.minutes_offered) == (credited, credited)
    assert week.minutes_credited == credited


def test_the_time_of_both_goes_to_the_one_that_began_first() -> None:
    episode = attended(at_once((2, 180)))
    told = [event.minutes_credited for event in episode.of(attendance.SessionAttended)]
    assert told == [180, 120]


def test_a_roll_that_is_called_later_takes_what_is_its_own() -> None:
    episode = at_once((2, 180))
    first, second = episode.booked.values()
    episode.at(EVENING + 10 * HOUR)
    episode.roll(second)
    episode.roll(first)
    told = [event.minutes_credited for event in episode.of(attendance.SessionAttended)]
    assert told == [180, 180]
    [corrected] = episode.of(attendance.AttendanceCorrected)
    assert corrected.session_id == second.session_id
    assert (corrected.minutes_before, corrected.minutes_after) == (180, 120)
    assert corrected.reason is CorrectionReason.OVERLAP
    assert corrected.status_before is corrected.status_after is ATTENDED


def test_a_correction_of_one_gives_the_other_its_time_back() -> None:
    episode = attended(at_once((2, 180)))
    first, second = episode.booked.values()
    episode.hand(first.session_id, correction(first, (ATTENDED, 180), (NO_SHOW, 0)))
    told = {e.session_id: e.minutes_after for e in episode.of(attendance.AttendanceCorrected)}
    assert told == {first.session_id: 0, second.session_id: 180}


STATUSES = st.sampled_from([s for s in AttendanceStatus if s.name != "UNKNOWN"])
SESSIONS = st.lists(
    st.tuples(st.integers(0, 600), st.sampled_from([60, 90, 180]), STATUSES, st.integers(0, 180)),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one[0],
)


@given(SESSIONS, st.randoms(use_true_random=False), st.booleans())
def test_whatever_the_order_of_the_rolls_each_minute_counts_once_and_what_is_said_adds_up(
    told: list[tuple[int, int, AttendanceStatus, int]], luck: Random, late: bool
) -> None:
    episode = Episode(local("2026-03-02 09:00"))
    rolls = [
        (episode.book(EVENING + timedelta(minutes=after), minutes), status, min(present, minutes))
        for after, minutes, status, present in told
    ]
    episode.at(local("2026-03-10 09:00") if late else local("2026-03-06 09:00"))
    luck.shuffle(rolls)
    there: set[datetime] = set()
    for booked, status, present in rolls:
        episode.roll(booked, status, present)
        if status.is_present:
            since = booked.minutes_planned - present if status is AttendanceStatus.LATE else 0
            begins_at = booked.starts_at.astimezone(UTC)
            there |= {begins_at + timedelta(minutes=since + n) for n in range(present)}
    episode.at(local("2026-03-10 09:00"))
    assert episode.state.weeks[MONDAY].minutes_credited == len(there)
    said: dict[str, int] = {}
    for event in episode.said:
        if isinstance(event, attendance.SessionAttended):
            said[event.session_id] = event.minutes_credited
        elif isinstance(event, attendance.AttendanceCorrected):
            assert said[event.session_id] == event.minutes_before
            said[event.session_id] = event.minutes_after
    assert sum(said.values()) == len(there)


spans = st.tuples(st.integers(0, 500), st.integers(0, 200)).map(
    lambda pair: intervals.span(EVENING + timedelta(minutes=pair[0]), pair[1])
)


@given(st.lists(spans, max_size=8))
def test_shares_add_up_to_the_union(told: list[intervals.Span]) -> None:
    shares = intervals.shares({str(n): one for n, one in enumerate(told)})
    minutes = {
        begins_at + timedelta(minutes=n)
        for begins_at, ends_at in told
        for n in range((ends_at - begins_at) // timedelta(minutes=1))
    }
    assert sum(shares.values()) == intervals.minutes_of_union(told) == len(minutes)


# --- a double booking is somebody's to settle ------------------------------------------------------------


def double_bookings(episode: Episode) -> int:
    return len(episode.state.loops_of(AttendanceLoop.DOUBLE_BOOKING))


@pytest.mark.fault("F26")
def test_a_double_booking_is_settled_within_a_day_or_goes_up() -> None:
    episode = at_once((1, 180))
    [loop] = episode.state.loops_of(AttendanceLoop.DOUBLE_BOOKING)
    assert loop.owner_role == "counselor"
    episode.after(hours=25)
    assert episode.names.count("loop-escalated") == 1
    episode.drop(list(episode.booked.values())[1], CancelledBy.CLINICIAN)
    assert double_bookings(episode) == 0
    assert "escalation-cleared" in episode.names


def test_a_roll_that_says_the_person_was_at_one_only_settles_it() -> None:
    episode = at_once((1, 180))
    first, second = episode.booked.values()
    episode.at(EVENING + 10 * HOUR)
    episode.roll(first)
    assert double_bookings(episode) == 1
    episode.roll(second, NO_SHOW)
    assert double_bookings(episode) == 0


def test_a_session_of_the_family_without_the_patient_is_no_double_booking() -> None:
    episode = at_once()
    body = episode.booked[next(iter(episode.booked))].model_copy(
        update={"session_id": "family", "modality": Modality.FAMILY, "family_only": True}
    )
    episode.hand(body.session_id, body)
    assert double_bookings(episode) == 0


def test_nobody_settles_the_bookings_of_who_has_left() -> None:
    episode = at_once((1, 180))
    episode.hear(fact(plans.EpisodeDischarged, discharged_at=episode.now))
    assert episode.state.loops == {}


def test_every_word_about_a_session_says_whether_the_family_was_alone() -> None:
    episode = at_once((2, 180))
    first, second = episode.booked.values()
    episode.at(EVENING + 10 * HOUR)
    episode.roll(second)
    episode.roll(first)
    for event in (attendance.SessionAttended, attendance.AttendanceCorrected):
        assert {one.family_only for one in episode.of(event)} == {False}
        assert "family_only" in event.model_json_schema()["required"]
