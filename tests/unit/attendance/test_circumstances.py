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
PAUSES = ProgramTerms(pause_after_absences=3, pause_days=14)


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


days = st.lists(st.sampled_from(["missed", "there", "quiet", "quiet week"]), min_size=1, max_size=9)


@given(days, st.data())
def test_taken_back_it_is_as_if_it_had_not_been(course: list[str], data: st.DataObject) -> None:
    """However long it lasted, who came back meanwhile, and whether an end stood when it was taken back."""
    history, never = both = Episode(START), Episode(START)
    recorded = data.draw(st.integers(0, len(course)))
    over = data.draw(st.integers(recorded, len(course)) | st.none())
    ended = data.draw(st.booleans())
    day = 0
    for n, what in enumerate([*course, "quiet"]):
        if n == recorded:
            history.hear(away(data.draw(st.integers(0, day))))
        if n == over:
            history.hear(back(history.now))
        day = spend(what, day, *both)
    kind, at = DischargeKind.INCARCERATED, history.now
    if ended:
        history.hear(fact(plans.EpisodeDischarged, kind=kind, discharged_at=at))
    history.hear(never_was())
    if ended:
        history.hear(fact(plans.DischargeUndone, kind=kind, discharged_at=at))
    for one in both:
        one.at(START + (day + 40) * DAY)
    assert history.state.away == {}
    for name in ("no_shows", "silent_since", "absences_consecutive"):
        assert getattr(history.state, name) == getattr(never.state, name)
    assert told(history) == told(never)
    assert said(history) >= {"silence"}


def spend(what: str, day: int, *episodes: Episode) -> int:
    """Let a day pass, or a week of which nothing is heard. Returns the next day."""
    after = day + (8 if what == "quiet week" else 1)
    for one in episodes:
        if what in ("missed", "there"):
            evening(one, day, missed=what == "missed")
        one.at(START + after * DAY)
    return after


def told(episode: Episode) -> dict[datetime, set[object]]:
    """What of the absence policy was published and holds, for each run of absences by when the person was there."""
    state = episode.state
    contacts = [START, *sorted(s.at for s in state.seen.values() if s.status.is_present)]
    found: dict[datetime, set[object]] = {}
    for one in state.thresholds:
        runs = found.setdefault(max(at for at in contacts if at <= one.at), set())
        runs |= {step for step in (2, 3) if one.absences >= step} | (
            {"silence"} if one.silent else set()
        )
    return found


def said(episode: Episode) -> set[str]:
    """What of the absence policy was published and holds."""
    kept = episode.state.thresholds
    return {"step" for one in kept if one.absences} | {"silence" for one in kept if one.silent}


def test_who_came_back_before_it_was_taken_back_is_still_looked_at_once() -> None:
    """What was taken back because of the circumstance, and what nobody was told, is somebody's after all."""
    episode = Episode(START)
    evening(episode, 0)
    evening(episode, 1)
    episode.hear(away(0))
    episode.at(START + 10 * DAY).hear(back(episode.now))
    evening(episode, 12, missed=False)
    assert episode.state.thresholds == ()
    episode.at(START + 14 * DAY).hear(never_was())
    step, silence = episode.of(attendance.AbsenceThresholdReached)[-2:]
    assert (step.absences_consecutive, silence.days_silent) == (2, 7)
    assert silence.reached_at == START + 7 * DAY
    episode.hear(never_was())
    assert len(episode.state.thresholds) == 2


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


@pytest.mark.parametrize("held_back", range(9))
@pytest.mark.parametrize("lasted", [0, 30])
def test_taken_back_while_an_end_stands_what_it_held_back_is_said_once_the_end_is_taken_back(
    held_back: int, lasted: int
) -> None:
    """Two sessions are missed and then none is: a step is reached, and after a week silence is."""
    history, never = Episode(START), Episode(START)
    for one in (history, never):
        one.hear(away(0))
        evening(one, 0)
        evening(one, 1)
        one.at(START + (held_back + 2) * DAY)
    kind, at = DischargeKind.INCARCERATED, history.now
    history.hear(fact(plans.EpisodeDischarged, kind=kind, discharged_at=at))
    for one in (history, never):
        one.hear(never_was())
        one.at(at + lasted * DAY)
    history.hear(fact(plans.DischargeUndone, kind=kind, discharged_at=at))
    for one in (history, never):
        one.at(at + 60 * DAY)
    assert said(history) == said(never) == {"step", "silence"}
