"""Whatever is delivered again changes nothing, and rolls may be called in any order."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.attendance import domain
from shared.contracts import attendance
from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.contracts.codes import Modality
from tests.unit.attendance.world import Episode, local

START = local("2026-03-02 09:00")
STATUSES = [s for s in AttendanceStatus if s is not AttendanceStatus.UNKNOWN]
MODALITIES = [Modality.GROUP, Modality.INDIVIDUAL, Modality.WELLNESS]

Day = tuple[Modality, AttendanceStatus | CancelledBy, int, int]
days = st.lists(
    st.tuples(
        st.sampled_from(MODALITIES),
        st.sampled_from([*STATUSES, CancelledBy.PROGRAM, CancelledBy.PATIENT]),
        st.integers(0, 240),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=16,
)


def lived(told: list[Day], *, again: bool) -> Episode:
    """A session a day, over weeks; each handoff redelivered as often as told, when `again`."""
    episode = Episode(START)
    for n, (modality, what, minutes, times) in enumerate(told):
        times = times if again else 0  # noqa: PLW2901
        starts_at = local("2026-03-02 18:00") + timedelta(days=n)
        booked = episode.book(starts_at, modality=modality, again=times)
        episode.at(starts_at + timedelta(hours=3))
        if isinstance(what, AttendanceStatus):
            episode.roll(booked, what, minutes, again=times)
        else:
            episode.drop(booked, what)
    return episode.at(START + timedelta(days=28))


@given(days)
def test_what_is_delivered_again_changes_nothing(told: list[Day]) -> None:
    once, often = lived(told, again=False), lived(told, again=True)
    assert often.state == once.state
    assert often.said == once.said
    assert often.record.next_sequence == once.record.next_sequence


@given(days)
def test_every_minute_is_in_one_week_and_no_week_has_more_than_was_offered(told: list[Day]) -> None:
    episode = lived(told, again=False)
    attended = sum(
        event.minutes_credited
        for event in episode.of(attendance.SessionAttended)
        if event.modality is not Modality.WELLNESS
    )
    assert sum(week.minutes_credited for week in episode.weeks()) == attended
    for week in episode.weeks():
        assert 0 <= week.minutes_credited <= week.minutes_offered <= week.minutes_scheduled


@given(days, st.randoms(use_true_random=False))
def test_weeks_come_out_alike_in_whichever_order_and_however_late_rolls_are_called(
    told: list[Day], luck: Random
) -> None:
    """All at the end, after three weeks have closed without them, and shuffled."""
    in_time, late = lived(told, again=False), Episode(START)
    booked = [
        late.book(local("2026-03-02 18:00") + timedelta(days=n), modality=modality)
        for n, (modality, *_) in enumerate(told)
    ]
    late.at(START + timedelta(days=28))
    turns = list(zip(booked, told, strict=True))
    luck.shuffle(turns)
    for session, (_, what, minutes, _) in turns:
        if isinstance(what, AttendanceStatus):
            late.roll(session, what, minutes)
        else:
            late.drop(session, what)
    assert latest(late) == latest(in_time)
    assert late.state.weeks == in_time.state.weeks
    assert late.state.bookings == in_time.state.bookings == {}
    assert late.state.absences_consecutive <= len(told)
    assert late.state.last_contact_at == in_time.state.last_contact_at


def latest(episode: Episode) -> dict[str, attendance.WeeklyHoursEvaluated]:
    return {week.week_starts_on.isoformat(): week for week in episode.weeks()}


def test_a_roll_without_its_booking_brings_it_along() -> None:
    """The two handoffs of a session are in order; should the first be lost from sight, nothing is lost."""
    told, bare = Episode(START), Episode(START)
    booked = told.book(local("2026-03-02 18:00"))
    for episode in (told, bare):
        episode.at(local("2026-03-02 21:00"))
        episode.roll(booked)
    assert bare.state.bookings == told.state.bookings
    assert isinstance(booked, domain.Booked)
