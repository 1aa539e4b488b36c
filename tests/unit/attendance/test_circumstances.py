"""Death, jail, hospital, a move away: absences of that time are nobody's to chase, as followup says at any time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.episode import absences
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.event import Event
from shared.contracts.plans import DischargeKind
from shared.contracts.terms import ProgramTerms
from tests.unit.attendance.world import ATTENDED, DAY, NO_SHOW, Episode, admission, local
from tests.unit.support import fact, uid

START = local("2026-02-02 09:00")
PAUSES = ProgramTerms(exclusion_absences=3, exclusion_days=14)


def away(from_day: int, name: str = "jail") -> Event:
    on = (START + from_day * DAY).date()
    return fact(followup.CircumstanceRecorded, circumstance_id=uid(name), occurred_on=on)


def back(at: datetime, name: str = "jail") -> Event:
    return fact(followup.CircumstanceEnded, circumstance_id=uid(name), ended_at=at)


def never_was(name: str = "jail") -> Event:
    return fact(followup.CircumstanceUndone, circumstance_id=uid(name))


def evening(episode: Episode, day: int, *, missed: bool = True) -> None:
    """A session and its roll, an hour later."""
    booked = episode.book(local("2026-02-02 18:00") + day * DAY)
    episode.at(booked.starts_at + timedelta(hours=1))
    episode.roll(booked, NO_SHOW if missed else ATTENDED)


@pytest.mark.parametrize("recorded_after", range(5))
def test_whenever_it_is_recorded_what_is_missed_from_that_day_on_leads_to_nothing(
    recorded_after: int,
) -> None:
    """Before, in between or long after: thresholds and pauses that there were are taken back."""
    episode = Episode(START, terms=PAUSES)
    for day in range(5):
        if day == recorded_after:
            episode.hear(away(0))
        evening(episode, day)
    if recorded_after == 4:
        assert episode.thresholds(), "somebody was told, before it was known"
    assert episode.state.no_shows == ()
    assert episode.state.absences_consecutive == 0
    assert episode.state.thresholds == ()
    assert episode.state.pause is None
    reached = {e.reached_at for e in episode.of(attendance.AbsenceThresholdReached)}
    assert {e.reached_at for e in episode.of(attendance.AbsenceThresholdUndone)} == reached
    episode.at(START + 300 * DAY)
    assert {e.reached_at for e in episode.of(attendance.AbsenceThresholdReached)} == reached


def test_what_was_missed_before_still_counts() -> None:
    episode = Episode(START)
    evening(episode, 0)
    evening(episode, 1)
    episode.hear(away(2))
    assert episode.thresholds() == [2]
    assert len(episode.state.thresholds) == 1


def test_silence_counts_anew_from_its_end() -> None:
    episode = Episode(START)
    episode.hear(away(0))
    episode.at(START + 100 * DAY)
    assert absences.SILENCE not in episode.state.deadlines
    episode.hear(back(episode.now))
    episode.at(START + 106 * DAY)
    assert episode.thresholds() == []
    episode.at(START + 108 * DAY)
    [silent] = episode.of(attendance.AbsenceThresholdReached)
    assert silent.days_silent == 7


courses = st.lists(st.booleans(), min_size=1, max_size=6)


@given(courses, st.data())
def test_taken_back_it_is_as_if_it_had_not_been(missed: list[bool], data: st.DataObject) -> None:
    history, never = Episode(START), Episode(START)
    recorded = data.draw(st.integers(0, len(missed)))
    over = data.draw(st.integers(recorded, len(missed)) | st.none())
    for day in range(len(missed) + 1):
        if day == recorded:
            history.hear(away(data.draw(st.integers(0, day))))
        if day == over:
            history.hear(back(history.now))
        if day < len(missed):
            for one in (history, never):
                evening(one, day, missed=missed[day])
    history.hear(never_was())
    for one in (history, never):
        one.at(one.now)
    mine, other = history.state, never.state
    assert mine.away == {}
    assert mine.no_shows == other.no_shows
    assert mine.silent_since == other.silent_since
    if mine.absences_consecutive >= mine.terms.absences_review:
        assert mine.thresholds, "who has missed that many in a row is somebody's"
    for one in (history, never):
        one.at(START + 40 * DAY)
    assert history.state.thresholds
    assert never.state.thresholds


@pytest.mark.parametrize("at", range(4))
def test_it_outlasts_an_admission_that_is_undone(at: int) -> None:
    course: list[Event] = [fact(intake.AdmissionUndone), admission(START)]
    episode = Episode(START)
    course.insert(min(at, 2), away(0))
    episode.hear_all(course)
    assert episode.state.is_away
    episode.at(START + 100 * DAY)
    assert episode.thresholds() == []


@pytest.mark.parametrize("said", [[away(0)], [away(0), back(START + DAY)], [away(0), never_was()]])
def test_heard_while_an_end_stands_it_counts_once_the_end_is_taken_back(
    said: Sequence[Event],
) -> None:
    history, never = Episode(START), Episode(START)
    for one in (history, never):
        evening(one, 0)
        evening(one, 1)
    kind = DischargeKind.INCARCERATED
    history.hear(fact(plans.EpisodeDischarged, kind=kind, discharged_at=history.now))
    for one in (history, never):
        one.hear_all(said)
    history.hear(fact(plans.DischargeUndone, kind=kind, discharged_at=history.now))
    assert history.state.thresholds == never.state.thresholds
    assert history.state.away == never.state.away
