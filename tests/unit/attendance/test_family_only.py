"""A session of the family without the patient: it says nothing about the patient, in any service."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.attendance.episode.handoffs import (
    Booked,
)
from services.attendance.screening import incentives
from services.attendance.screening.incentives import TargetBehavior
from shared.contracts import attendance
from shared.contracts.attendance import AttendanceStatus
from shared.contracts.codes import Modality
from shared.errors import CareError
from tests.unit.attendance.test_corrections import correction
from tests.unit.attendance.world import ATTENDED, DAY, NO_SHOW, Episode, local
from tests.unit.support import uid

BEGIN = local("2026-03-02 09:00")


def only_the_mother(episode: Episode, day: int, status: AttendanceStatus = ATTENDED) -> Booked:
    booked = Booked(
        session_id=uid(f"family {day}"),
        starts_at=local("2026-03-02 18:00") + day * DAY,
        minutes_planned=60,
        modality=Modality.FAMILY,
        family_only=True,
    )
    episode.hand(booked.session_id, booked)
    episode.at(booked.starts_at + timedelta(hours=2))
    episode.roll(booked, status)
    return booked


@pytest.mark.parametrize("days", [(1,), (1, 3, 5), (6,)])
@pytest.mark.fault("F36")
def test_a_missing_patient_is_looked_for_whoever_else_comes(days: tuple[int, ...]) -> None:
    """The request of F5: three visits of the mother, and nobody looked for the patient."""
    episode = Episode(BEGIN)
    for day in days:
        only_the_mother(episode, day)
    assert episode.state.last_contact_at == BEGIN
    episode.at(BEGIN + 8 * DAY)
    [reached] = episode.of(attendance.AbsenceThresholdReached)
    assert reached.days_silent == 7


def test_what_is_said_of_it_says_whose_it_was() -> None:
    episode = Episode(BEGIN)
    booked = only_the_mother(episode, 1)
    only_the_mother(episode, 2, NO_SHOW)
    episode.hand(booked.session_id, correction(booked, (ATTENDED, 60), (NO_SHOW, 0)))
    for event in (attendance.SessionAttended, attendance.SessionMissed):
        assert [one.family_only for one in episode.of(event)] == [True]
    [corrected] = episode.of(attendance.AttendanceCorrected)
    assert corrected.family_only is True
    episode.roll(episode.book(local("2026-03-06 18:00")))
    assert episode.of(attendance.SessionAttended)[-1].family_only is False


def test_the_family_s_absence_is_not_the_patient_s() -> None:
    episode = Episode(BEGIN)
    for day in (1, 2, 3):
        only_the_mother(episode, day, NO_SHOW)
    assert episode.state.absences_consecutive == 0
    assert episode.thresholds() == []


def test_it_earns_nothing_and_gives_no_hours() -> None:
    episode = Episode(BEGIN)
    booked = only_the_mother(episode, 1)
    [week] = episode.at(local("2026-03-09 00:00")).weeks()
    assert (week.minutes_scheduled, week.minutes_credited) == (0, 0)
    with pytest.raises(CareError):
        episode.command(
            lambda s, c: incentives.earn(s, TargetBehavior.ATTENDANCE, booked.session_id, c)
        )
