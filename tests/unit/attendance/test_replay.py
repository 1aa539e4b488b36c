"""Whatever is delivered again changes nothing, and rolls may be called in any order."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.app import SERVICE
from services.attendance.episode import handoffs
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import AttendanceStatus, CancelledBy
from shared.contracts.codes import Modality
from shared.contracts.event import Event
from tests.unit.attendance.world import DAY, Episode, admission, local
from tests.unit.support import History, fact, interleaved

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
    assert late.state.bookings == in_time.state.bookings
    assert not any(booking.open for booking in late.state.bookings.values())
    assert late.state.absences_consecutive <= len(told)
    assert late.state.last_contact_at == in_time.state.last_contact_at


def latest(episode: Episode) -> dict[str, attendance.WeeklyHoursEvaluated]:
    return {week.week_starts_on.isoformat(): week for week in episode.weeks()}


def test_a_roll_without_its_booking_brings_it_along() -> None:
    """The two handoffs of a session are in order; should the first be lost from sight, nothing is lost."""
    told, fresh = Episode(START), Episode(START)
    booked = told.book(local("2026-03-02 18:00"))
    for episode in (told, fresh):
        episode.at(local("2026-03-02 21:00"))
        episode.roll(booked)
    assert fresh.state.bookings == told.state.bookings
    assert isinstance(booked, handoffs.Booked)


# --- facts of several sources ----------------------------------------------------------------------------

LEVEL_DOWN = {"system": "asam", "edition": "3", "code": "1"}
LINES: dict[str, tuple[list[Event], list[Event]]] = {
    "a whole course": (
        [
            fact(intake.WaitlistJoined),
            fact(intake.WaitlistLeft),
            admission(START),
            fact(intake.OrientationCompleted),
            fact(intake.CareTeamAssigned),
        ],
        [
            fact(plans.TreatmentPlanActivated),
            fact(plans.ExpectedAnalytesUpdated),
            fact(plans.CoOccurringNeedIdentified),
            fact(plans.AncillaryServiceAdded),
            fact(plans.LevelOfCareChanged, to_level=LEVEL_DOWN, effective_at=START + 3 * DAY),
            fact(plans.TreatmentPlanReviewed),
            fact(plans.ProgramGraduated, graduated_at=START + 9 * DAY),
            fact(plans.EpisodeDischarged, discharged_at=START + 10 * DAY),
        ],
    ),
    "a transfer": (
        [admission(START), fact(intake.OrientationCompleted)],
        [
            fact(plans.TransferInitiated),
            fact(plans.TransferCompleted, first_contact_at=START + 2 * DAY),
            fact(plans.EpisodeDischarged, discharged_at=START + 2 * DAY),
        ],
    ),
    "an admission taken back and made again": (
        [
            admission(START),
            fact(intake.OrientationCompleted),
            fact(intake.AdmissionUndone),
            admission(START + DAY, population="adolescent"),
        ],
        [
            fact(plans.TreatmentPlanActivated),
            fact(plans.LevelOfCareChanged, to_level=LEVEL_DOWN, effective_at=START + 3 * DAY),
            fact(plans.AncillaryServiceAdded),
        ],
    ),
    "entered in error": (
        [admission(START), fact(intake.CareTeamAssigned), fact(intake.EpisodeEnteredInError)],
        [
            fact(plans.TreatmentPlanActivated),
            fact(plans.LevelOfCareChanged),
            fact(plans.EpisodeDischarged),
        ],
    ),
    "merged into another": (
        [admission(START), fact(intake.ReferralMerged)],
        [fact(plans.ExpectedAnalytesUpdated), fact(plans.ProgramGraduated)],
    ),
    "somebody else's after all": (
        [admission(START), fact(intake.EpisodePersonCorrected)],
        [fact(plans.TreatmentPlanActivated), fact(plans.EpisodeDischarged)],
    ),
}


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
def test_facts_of_two_sources_lead_to_the_same_in_any_order(name: str, data: st.DataObject) -> None:
    """Each source's own order is kept; a session of the first evening is told somewhere in between."""
    intakes, planned = LINES[name]
    straight, mixed = fresh(), fresh()
    straight.hear_all([*intakes, *planned])
    for event in data.draw(interleaved(intakes, planned)):
        mixed.hear(event, again=data.draw(st.integers(0, 1)))
    later = START + timedelta(days=40)
    ends = [one.at(later).state.replace(voided=None) for one in (mixed, straight)]
    assert ends[0] == ends[1]
    assert {e.NAME for e in mixed.said} == {e.NAME for e in straight.said}


def fresh() -> History:
    return History(
        SERVICE.source, SERVICE.kinds["episode"], SERVICE.reactions, SERVICE.handoffs, now=START
    )


@pytest.mark.parametrize(
    "event_type", [intake.ConsentGranted, intake.ConsentRevoked, intake.ConsentExpired]
)
@pytest.mark.scenario(10)
def test_treatment_does_not_depend_on_a_consent(event_type: type[Event]) -> None:
    """Attendance discloses nothing to anybody outside, so it hears of no consent: care goes on without one."""
    assert SERVICE.reactions.find(event_type.TYPE.rpartition(".v")[0]) is None
