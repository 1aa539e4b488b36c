"""Absences: runs that do not depend on when rolls are called, thresholds said once, and silence."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.attendance.episode import absences
from services.attendance.episode.handoffs import Booked, Corrected
from shared.contracts import attendance, plans
from shared.contracts.attendance import AttendanceStatus, CorrectionReason
from shared.contracts.terms import ProgramTerms
from tests.unit.attendance.world import ATTENDED, EXCUSED, NO_SHOW, Episode, local
from tests.unit.support import fact

LATE, LEFT_EARLY = AttendanceStatus.LATE, AttendanceStatus.LEFT_EARLY
START = local("2026-02-02 09:00")


def after(*statuses: AttendanceStatus, order: tuple[int, ...] | None = None) -> Episode:
    """A session every evening, with its roll an hour later; or all rolls at the end, in this order."""
    episode = Episode(START)
    booked = [
        episode.book(local("2026-02-02 18:00") + timedelta(days=n)) for n in range(len(statuses))
    ]
    for n in order or range(len(statuses)):
        if order is None:
            episode.at(booked[n].starts_at + timedelta(hours=1))
        else:
            episode.at(booked[-1].starts_at + timedelta(hours=2))
        episode.roll(booked[n], statuses[n])
    return episode


@pytest.mark.parametrize(
    ("statuses", "thresholds", "running"),
    [
        ([NO_SHOW], [], 1),
        ([NO_SHOW, NO_SHOW], [2], 2),
        ([NO_SHOW, NO_SHOW, NO_SHOW], [2, 3], 3),
        ([NO_SHOW] * 5, [2, 3], 5),
        ([NO_SHOW, ATTENDED, NO_SHOW], [], 1),
        ([NO_SHOW, NO_SHOW, ATTENDED], [2], 0),
        ([NO_SHOW, NO_SHOW, ATTENDED, NO_SHOW, NO_SHOW], [2, 2], 2),
        ([NO_SHOW, EXCUSED, NO_SHOW], [2], 2),
        ([EXCUSED, EXCUSED, EXCUSED], [], 0),
        ([NO_SHOW, LATE, NO_SHOW], [], 1),
        ([NO_SHOW, LEFT_EARLY, NO_SHOW], [], 1),
        ([NO_SHOW, NO_SHOW, EXCUSED, NO_SHOW], [2, 3], 3),
        ([ATTENDED] * 4, [], 0),
    ],
)
def test_unexcused_absences_in_a_row_call_for_a_review_and_then_a_conference(
    statuses: list[AttendanceStatus], thresholds: list[int], running: int
) -> None:
    episode = after(*statuses)
    assert episode.thresholds() == thresholds
    assert episode.state.absences_consecutive == running


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_run_does_not_depend_on_the_order_in_which_rolls_are_called(
    order: tuple[int, ...],
) -> None:
    statuses = (NO_SHOW, ATTENDED, NO_SHOW, NO_SHOW)
    in_turn, as_called = after(*statuses), after(*statuses, order=order)
    assert as_called.state.absences_consecutive == in_turn.state.absences_consecutive == 2
    assert as_called.state.last_contact_at == in_turn.state.last_contact_at
    assert as_called.thresholds()[-1:] == [2] or 3 in as_called.thresholds(), "somebody was told"


def test_a_late_roll_ends_nothing_that_came_after() -> None:
    """The roll of Monday, when the person was there, is called after they missed Tuesday and Wednesday."""
    episode = after(ATTENDED, NO_SHOW, NO_SHOW, order=(1, 2, 0))
    assert episode.thresholds() == [2]
    assert episode.state.absences_consecutive == 2
    assert episode.state.last_contact_at == local("2026-02-02 18:00")


def test_a_late_roll_of_an_absence_before_the_last_contact_is_no_run() -> None:
    episode = after(NO_SHOW, NO_SHOW, ATTENDED, order=(2, 0, 1))
    assert episode.thresholds() == []
    assert episode.state.absences_consecutive == 0


def test_a_late_roll_of_an_earlier_absence_says_nothing_again() -> None:
    episode = after(NO_SHOW, ATTENDED, NO_SHOW, NO_SHOW, order=(1, 2, 3, 0))
    assert episode.thresholds() == [2]


def test_what_a_threshold_says() -> None:
    episode = after(ATTENDED, NO_SHOW, NO_SHOW)
    [event] = episode.of(attendance.AbsenceThresholdReached)
    assert (event.absences_consecutive, event.absences_last_14_days, event.days_silent) == (2, 2, 2)


def test_absences_of_more_than_a_fortnight_ago_are_no_longer_recent() -> None:
    episode = Episode(START)
    missed = [
        episode.book(local(day))
        for day in ("2026-02-03 18:00", "2026-02-20 18:00", "2026-02-21 18:00")
    ]
    for booked in missed:
        episode.at(booked.starts_at + timedelta(hours=1))
        episode.roll(booked, NO_SHOW)
    *_, last = episode.of(attendance.AbsenceThresholdReached)
    assert (last.absences_consecutive, last.absences_last_14_days) == (3, 2)


# --- silence -------------------------------------------------------------------------------------------


def silences(episode: Episode) -> list[int]:
    return [
        event.days_silent
        for event in episode.of(attendance.AbsenceThresholdReached)
        if not event.absences_consecutive
    ]


def test_a_silent_week_is_said_once() -> None:
    episode = Episode(START)
    assert silences(episode.at(START + timedelta(days=7, seconds=-1))) == []
    assert silences(episode.at(START + timedelta(days=7))) == [7]
    assert silences(episode.at(START + timedelta(days=30))) == [7]


@pytest.mark.parametrize("status", [ATTENDED, LATE, LEFT_EARLY])
def test_being_there_begins_the_week_anew_from_when_the_session_began(
    status: AttendanceStatus,
) -> None:
    episode = after(status)
    began = local("2026-02-02 18:00")
    assert silences(episode.at(began + timedelta(days=7, seconds=-1))) == []
    assert silences(episode.at(began + timedelta(days=7))) == [7]


@pytest.mark.parametrize("status", [NO_SHOW, EXCUSED])
def test_not_being_there_is_silence(status: AttendanceStatus) -> None:
    episode = after(status).at(START + timedelta(days=7))
    assert [e.days_silent for e in episode.of(attendance.AbsenceThresholdReached)] == [7]


def test_nobody_waits_for_who_has_left() -> None:
    episode = after(ATTENDED)
    left_at = local("2026-02-03 12:00")
    episode.at(left_at).hear(fact(plans.EpisodeDischarged, discharged_at=left_at))
    late = episode.book(local("2026-02-02 20:00"))
    episode.roll(late)
    episode.at(START + timedelta(days=60))
    assert episode.of(attendance.AbsenceThresholdReached) == []
    assert episode.state.deadlines == {}


def test_thresholds_are_the_house_rule_unless_the_program_says_otherwise() -> None:
    terms = ProgramTerms()
    numbers = (terms.absences_review, terms.absences_conference, terms.silent_days_conference)
    assert (*numbers, absences.RECENT.days) == (2, 3, 7, 14)


# --- as the program says ---------------------------------------------------------------------------------

STRICT = ProgramTerms(absences_review=1, absences_conference=4, silent_days_conference=3)
LENIENT = ProgramTerms(absences_review=3, absences_conference=5, silent_days_conference=14)


@pytest.mark.parametrize(
    ("terms", "misses", "thresholds"),
    [
        (None, 5, [2, 3]),
        (STRICT, 5, [1, 4]),
        (STRICT, 1, [1]),
        (LENIENT, 2, []),
        (LENIENT, 5, [3, 5]),
    ],
)
@pytest.mark.scenario(7)
@pytest.mark.fact("1.9")
def test_the_terms_of_the_admission_say_when_absences_call_for_somebody(
    terms: ProgramTerms | None, misses: int, thresholds: list[int]
) -> None:
    episode = Episode(START, terms=terms)
    for n in range(misses):
        booked = episode.book(local("2026-02-02 18:00") + timedelta(days=n))
        episode.now = booked.starts_at + timedelta(hours=4)
        episode.roll(booked, NO_SHOW)
    assert [reached for reached in episode.thresholds() if reached] == thresholds


@pytest.mark.parametrize(("terms", "days"), [(None, 7), (STRICT, 3), (LENIENT, 14)])
def test_the_terms_of_the_admission_say_how_long_silence_may_last(
    terms: ProgramTerms | None, days: int
) -> None:
    episode = Episode(START, terms=terms)
    assert silences(episode.at(START + timedelta(days=days, seconds=-1))) == []
    assert silences(episode.at(START + timedelta(days=days))) == [days]


@pytest.mark.scenario(7)
@pytest.mark.parametrize("misses", range(1, 5))
def test_coming_back_at_any_stage_ends_the_run(misses: int) -> None:
    episode = after(*[NO_SHOW] * misses, ATTENDED, NO_SHOW)
    assert episode.state.absences_consecutive == 1
    assert episode.state.last_contact_at == local("2026-02-02 18:00") + timedelta(days=misses)


def test_every_roll_is_remembered_so_that_a_correction_years_later_finds_it() -> None:
    episode = Episode(START)
    first = episode.book(local("2026-02-02 18:00"), 60)
    for n in range(0, 200, 2):
        booked = first if n == 0 else episode.book(first.starts_at + timedelta(days=n), 60)
        episode.now = booked.starts_at + timedelta(hours=2)
        episode.roll(booked, NO_SHOW if n else ATTENDED)
        episode.at(episode.now)
    assert len(episode.state.seen) == 100
    assert episode.state.last_contact_at == first.starts_at


def correct(episode: Episode, booked: Booked, was: AttendanceStatus, now: AttendanceStatus) -> None:
    minutes = {ATTENDED: 60, NO_SHOW: 0}
    body = Corrected(
        session_id=booked.session_id,
        booked=booked,
        status_after=now,
        minutes_after=minutes[now],
        reason=CorrectionReason.ENTERED_IN_ERROR,
    )
    episode.hand(booked.session_id, body)


@given(st.lists(st.sampled_from([ATTENDED, NO_SHOW]), min_size=2, max_size=9), st.data())
def test_thresholds_that_stand_are_those_that_the_rolls_now_say(
    rolls: list[Any], data: st.DataObject
) -> None:
    """Each entry may be corrected, and corrected again, much later: what stands is what right rolls would have said."""
    final = [data.draw(st.sampled_from([ATTENDED, NO_SHOW])) for _ in rolls]
    episode = Episode(START)
    booked: list[Any] = []
    for n, status in enumerate(rolls):
        session = episode.book(local("2026-02-02 18:00") + timedelta(days=n), 60)
        booked.append(session)
        episode.at(session.starts_at + timedelta(hours=2))
        episode.roll(session, status)
    episode.after(days=data.draw(st.sampled_from([0, 400])))
    for n in data.draw(st.permutations(range(len(rolls)))):
        if final[n] is not rolls[n]:
            correct(episode, booked[n], rolls[n], final[n])
    reached = Counter(e.reached_at for e in episode.of(attendance.AbsenceThresholdReached))
    undone = Counter(e.reached_at for e in episode.of(attendance.AbsenceThresholdUndone))
    stands = (
        reached - undone
    )  # a step may be taken back by one correction and reached again by the next
    assert Counter(one.at for one in episode.state.thresholds) == stands
    for at, step in ((one.at, one.absences) for one in episode.state.thresholds):
        ended = [s for s, b in zip(final, booked, strict=True) if b.starts_at <= at]
        in_a_row = next((n for n, s in enumerate(reversed(ended)) if s is ATTENDED), len(ended))
        there = [b.starts_at for s, b in zip(final, booked, strict=True) if s is ATTENDED]
        since = max([START, *(moment for moment in there if moment <= at)])
        assert in_a_row >= max(step, 2) or at - since >= timedelta(days=7)


@pytest.mark.parametrize(
    ("rolls", "wrong", "stands"),
    [
        ([NO_SHOW, NO_SHOW, NO_SHOW], 2, [2]),
        ([NO_SHOW, NO_SHOW, NO_SHOW], 0, [2]),
        ([NO_SHOW, ATTENDED, NO_SHOW], 1, [3]),
        ([NO_SHOW, NO_SHOW], 1, []),
    ],
)
def test_a_step_that_was_not_reached_after_all_is_taken_back(
    rolls: list[Any], wrong: int, stands: list[int]
) -> None:
    """A conference was called for by three absences, of which one was none: a review stays to be asked for."""
    episode = Episode(START)
    booked = [episode.book(START + timedelta(hours=9 + 24 * n), 60) for n in range(len(rolls))]
    for session, status in zip(booked, rolls, strict=True):
        episode.at(session.starts_at + timedelta(hours=2))
        episode.roll(session, status)
    episode.after(minutes=1)
    right = NO_SHOW if rolls[wrong] is ATTENDED else AttendanceStatus.EXCUSED
    body = Corrected(
        session_id=booked[wrong].session_id,
        booked=booked[wrong],
        status_after=right,
        minutes_after=0,
        reason=CorrectionReason.ENTERED_IN_ERROR,
    )
    episode.hand(booked[wrong].session_id, body)
    undone = {e.reached_at for e in episode.of(attendance.AbsenceThresholdUndone)}
    told = episode.of(attendance.AbsenceThresholdReached)
    assert [e.absences_consecutive for e in told if e.reached_at not in undone] == stands


@settings(max_examples=12)
@given(st.lists(st.sampled_from([ATTENDED, NO_SHOW]), min_size=1, max_size=8), st.data())
@pytest.mark.fault("F23")
def test_a_roll_corrected_two_years_later_is_as_if_at_once(
    rolls: list[Any], data: st.DataObject
) -> None:
    at_once, late = both = Episode(START), Episode(START)
    wrong = data.draw(st.integers(0, len(rolls) - 1))
    right = NO_SHOW if rolls[wrong] is ATTENDED else ATTENDED
    corrected: Any = None
    for n, status in enumerate(rolls):
        session, _ = (one.book(local("2026-02-02 18:00") + timedelta(days=n), 60) for one in both)
        for one in both:
            one.at(session.starts_at + timedelta(hours=2))
            one.roll(session, status)
        if n == wrong:
            corrected = session
            correct(at_once, session, status, right)
    for one in both:
        one.after(days=730)
    correct(late, corrected, rolls[wrong], right)
    for name in (
        "seen",
        "weeks",
        "bookings",
        "last_contact_at",
        "no_shows",
        "absences_consecutive",
    ):
        assert getattr(late.state, name) == getattr(at_once.state, name)
