"""Corrections: what a roll said of one person was wrong. Weeks, runs and silence come out as if it had been right."""

from __future__ import annotations

from datetime import UTC, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.episode import handoffs
from services.attendance.groups import roll, session_state
from shared.contracts import attendance
from shared.contracts.attendance import AttendanceStatus, CorrectionReason, Participation
from shared.contracts.plans import EpisodeDischarged
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.world import ATTENDED, EXCUSED, NO_SHOW, Episode, Session, local
from tests.unit.support import EPISODE_ID, START, fact, uid

LATE, LEFT_EARLY = AttendanceStatus.LATE, AttendanceStatus.LEFT_EARLY
WRONG = CorrectionReason.ENTERED_IN_ERROR


def correction(
    booked: handoffs.Booked,
    was: tuple[AttendanceStatus, int],
    now: tuple[AttendanceStatus, int],
    reason: CorrectionReason = WRONG,
) -> handoffs.Corrected:
    return handoffs.Corrected(
        session_id=booked.session_id,
        booked=booked,
        status_after=now[0],
        minutes_after=now[1],
        reason=reason,
    )


def week_of_three(*minutes: int) -> tuple[Episode, list[handoffs.Booked]]:
    """A week of three sessions whose rolls say these minutes; 0 is a no-show."""
    episode = Episode(local("2026-03-02 09:00"))
    held = [episode.book(local(f"2026-03-0{day} 18:00")) for day in (2, 3, 5)]
    for booked, present in zip(held, minutes, strict=True):
        episode.at(booked.starts_at + timedelta(hours=4))
        episode.roll(booked, ATTENDED if present else NO_SHOW, present)
    return episode, held


# --- what is said ----------------------------------------------------------------------------------------


@pytest.mark.scenario(17)
def test_a_correction_says_what_was_and_what_holds_and_reopens_a_closed_week() -> None:
    episode, held = week_of_three(180, 180, 0)
    episode.at(local("2026-03-10 09:00"))
    assert episode.shortfalls() == [(180, False)]
    episode.hand(held[2].session_id, correction(held[2], (NO_SHOW, 0), (ATTENDED, 180)))
    [corrected] = episode.of(attendance.AttendanceCorrected)
    assert (corrected.status_before, corrected.status_after) == (NO_SHOW, ATTENDED)
    assert (corrected.minutes_before, corrected.minutes_after) == (0, 180)
    assert corrected.reason is WRONG
    assert [week.met for week in episode.weeks()] == [False, True]
    assert episode.names[-2:] == ["attendance-corrected", "weekly-hours-evaluated"]
    assert episode.state.weeks["2026-03-02"].minutes_credited == 540
    assert episode.shortfalls() == [(180, False)], "met takes it back; nothing is short any more"


@pytest.mark.scenario(17)
def test_a_correction_downwards_says_the_shortfall_that_it_makes() -> None:
    episode, held = week_of_three(180, 180, 180)
    episode.at(local("2026-03-10 09:00"))
    episode.hand(held[1].session_id, correction(held[1], (ATTENDED, 180), (LEFT_EARLY, 60)))
    assert [week.met for week in episode.weeks()] == [True, False]
    assert episode.shortfalls() == [(120, False)]


CORRECTIONS = [
    # minutes of the three rolls, which one, from, to, credited, met
    ((180, 180, 180), 0, (ATTENDED, 180), (LATE, 150), 510, False),
    ((180, 180, 180), 0, (ATTENDED, 180), (NO_SHOW, 0), 360, False),
    ((180, 180, 180), 0, (ATTENDED, 180), (EXCUSED, 0), 360, False),
    ((180, 180, 60), 2, (ATTENDED, 60), (ATTENDED, 180), 540, True),
    ((180, 180, 0), 2, (NO_SHOW, 0), (EXCUSED, 0), 360, False),
    ((180, 180, 0), 2, (NO_SHOW, 0), (LATE, 170), 530, False),
    ((180, 0, 0), 1, (NO_SHOW, 0), (ATTENDED, 180), 360, False),
    ((0, 0, 0), 0, (NO_SHOW, 0), (ATTENDED, 1), 1, False),
]


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize(("minutes", "which", "was", "now", "credited", "met"), CORRECTIONS)
def test_minutes_after_a_correction(
    minutes: tuple[int, int, int],
    which: int,
    was: tuple[AttendanceStatus, int],
    now: tuple[AttendanceStatus, int],
    credited: int,
    met: bool,
    closed: bool,
) -> None:
    episode, held = week_of_three(*minutes)
    if closed:
        episode.at(local("2026-03-09 00:00"))
    episode.hand(held[which].session_id, correction(held[which], was, now), again=2)
    week = episode.at(local("2026-03-09 00:00")).weeks()[-1]
    assert (week.minutes_credited, week.met) == (credited, met)
    assert week.minutes_offered == 540


def test_an_excuse_that_is_verified_later_ends_no_run_and_belongs_to_none() -> None:
    episode, held = week_of_three(180, 0, 0)
    assert episode.thresholds() == [2]
    excused = correction(held[2], (NO_SHOW, 0), (EXCUSED, 0), CorrectionReason.EXCUSE_VERIFIED)
    episode.hand(held[2].session_id, excused)
    assert episode.state.absences_consecutive == 1


def test_somebody_who_was_there_after_all_has_no_run_and_was_not_silent() -> None:
    episode, held = week_of_three(180, 0, 0)
    episode.hand(held[2].session_id, correction(held[2], (NO_SHOW, 0), (ATTENDED, 180)))
    assert episode.state.absences_consecutive == 0
    assert episode.state.last_contact_at == held[2].starts_at
    assert episode.state.deadlines["silence"] == held[2].starts_at.astimezone(UTC) + timedelta(
        days=7
    )


def test_somebody_who_was_not_there_after_all_may_have_been_silent_too_long_already() -> None:
    episode, held = week_of_three(180, 180, 180)
    episode.at(local("2026-03-11 09:00"))
    assert episode.thresholds() == []
    for booked in held[1:]:
        episode.hand(booked.session_id, correction(booked, (ATTENDED, 180), (NO_SHOW, 0)))
    [reached] = episode.of(attendance.AbsenceThresholdReached)
    assert (reached.absences_consecutive, reached.days_silent) == (2, 8)
    assert "silence" not in episode.state.deadlines


def test_a_correction_of_somebody_who_has_left_still_counts_in_their_weeks() -> None:
    episode, held = week_of_three(180, 180, 0)
    left_at = local("2026-03-06 12:00")
    episode.at(left_at).hear(fact(EpisodeDischarged, discharged_at=left_at))
    episode.at(local("2026-03-12 12:00"))
    episode.hand(held[2].session_id, correction(held[2], (NO_SHOW, 0), (ATTENDED, 180)))
    *_, last = episode.weeks()
    assert (last.minutes_threshold, last.minutes_credited, last.met) == (385, 540, True)
    assert episode.state.deadlines == {}


# --- any order -------------------------------------------------------------------------------------------

STATUSES = st.sampled_from([ATTENDED, LATE, LEFT_EARLY, EXCUSED, NO_SHOW])
answers = st.tuples(STATUSES, st.integers(0, 180))
histories = st.lists(st.lists(answers, min_size=1, max_size=4), min_size=1, max_size=10)


def settled(answer: tuple[AttendanceStatus, int]) -> tuple[AttendanceStatus, int]:
    status, minutes = answer
    return status, minutes if status.is_present else 0


def lived(told: list[list[tuple[AttendanceStatus, int]]], luck: Random | None) -> Episode:
    """A session every second day; the first answer is its roll, the others are corrections of it.

    Without luck only the last answer is ever said, in time; with it, all are, late and with the sessions shuffled.
    """
    episode = Episode(local("2026-03-02 09:00"))
    first = local("2026-03-02 18:00")
    held = [episode.book(first + timedelta(days=2 * n)) for n in range(len(told))]
    if luck is None:
        for booked, answered in zip(held, told, strict=True):
            episode.at(booked.starts_at + timedelta(hours=4))
            episode.roll(booked, *settled(answered[-1]))
        return episode.at(local("2026-04-06 09:00"))
    turns = [n for n, answered in enumerate(told) for _ in answered]
    luck.shuffle(turns)
    late_from = luck.randrange(len(turns) + 1)
    said = [0] * len(told)
    episode.at(first + timedelta(days=2 * len(told)))
    for turn, n in enumerate(turns):
        if turn == late_from:
            episode.at(local("2026-04-06 09:00"))
        now = settled(told[n][said[n]])
        if said[n] == 0:
            episode.roll(held[n], *now)
        else:
            was = settled(told[n][said[n] - 1])
            episode.hand(held[n].session_id, correction(held[n], was, now), again=luck.randrange(2))
        said[n] += 1
    return episode.at(local("2026-04-06 09:00"))


@pytest.mark.scenario(17)
@given(histories, st.randoms(use_true_random=False))
def test_corrections_in_any_order_and_however_late_lead_to_what_is_true(
    told: list[list[tuple[AttendanceStatus, int]]], luck: Random
) -> None:
    right, corrected = lived(told, None), lived(told, luck)
    assert corrected.state.weeks == right.state.weeks
    assert corrected.state.bookings == right.state.bookings
    assert corrected.state.seen == right.state.seen
    assert corrected.state.absences_consecutive == right.state.absences_consecutive
    assert corrected.state.last_contact_at == right.state.last_contact_at
    latest = {week.week_starts_on: week for week in corrected.weeks()}
    assert latest == {week.week_starts_on: week for week in right.weeks()}


# --- a session's record ----------------------------------------------------------------------------------


def called(minutes: int = 180, status: AttendanceStatus = ATTENDED) -> Session:
    session = Session()
    session.schedule(EPISODE_ID)
    session.at(START + timedelta(hours=4))
    entry = session_state.RollEntry(
        episode_id=EPISODE_ID,
        status=status,
        minutes_present=minutes,
        participation=Participation.ACTIVE,
    )
    session.command(lambda s, c: roll.call_roll(s, [entry], None, c))
    return session


def test_a_session_knows_its_roll_as_it_stands_and_hands_on_what_is() -> None:
    session = called(200)
    for status, minutes in ((LATE, 100), (NO_SHOW, 0), (ATTENDED, 500)):
        entry = session_state.RollEntry(
            episode_id=EPISODE_ID,
            status=status,
            minutes_present=minutes,
            participation=Participation.ACTIVE,
        )
        session.command(lambda s, c, e=entry: roll.correct(s, e, WRONG, c))
    told = [item.body for item in session.handing if isinstance(item.body, handoffs.Corrected)]
    assert [b.minutes_after for b in told] == [100, 0, 180]
    assert session.state.entries[EPISODE_ID].minutes_credited == 180


# --- over HTTP -------------------------------------------------------------------------------------------


async def held(clinic: Clinic, *roster: str, **changes: Any) -> str:
    body = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + timedelta(hours=1)).isoformat(),
        "minutes_planned": 180,
        "roster": list(roster),
        **changes,
    }
    answer = await clinic.post("/sessions", body)
    assert answer.status_code == 201, answer.text
    await clinic.after(hours=5)
    return answer.json()["session_id"]


@pytest.mark.scenario(17)
@pytest.mark.fact("0.2")
async def test_a_correction_over_http_reopens_the_week_that_it_belongs_to(clinic: Clinic) -> None:
    person = await clinic.admit("corrected")
    session_id = await held(clinic, person)
    absent = {"entries": [{"episode_id": person, "status": "no_show"}]}
    assert (await clinic.post(f"/sessions/{session_id}/attendance", absent)).status_code == 200
    await clinic.after(days=8)
    before = (await clinic.get(f"/episodes/{person}/weeks/2026-03-04")).json()
    assert (before["week_starts_on"], before["closed"]) == ("2026-03-02", True)
    assert (before["minutes_credited"], before["met"], before["minutes_short"]) == (0, False, 180)
    body = {"episode_id": person, "status": "attended", "reason": "late_documentation"}
    answer = await clinic.post(f"/attendance/{session_id}/corrections", body)
    assert answer.status_code == 200
    assert (answer.json()["minutes_before"], answer.json()["minutes_after"]) == (0, 180)
    after = (await clinic.get(f"/episodes/{person}/weeks/2026-03-04")).json()
    assert (after["minutes_credited"], after["minutes_short"]) == (180, 0)
    again = await clinic.post(f"/attendance/{session_id}/corrections", body)
    assert (again.status_code, again.json()["code"]) == (409, "correction-changes-nothing")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"episode_id": uid("stranger")}, 404, "unknown-roll-entry"),
        ({"status": "late"}, 422, "minutes-missing"),
        ({"status": "left_early"}, 422, "minutes-missing"),
        ({"status": "excused", "minutes_present": 10}, 422, "minutes-of-an-absence"),
        ({"status": "unknown"}, 422, "request-invalid"),
        ({"status": "asleep"}, 422, "request-invalid"),
        ({"reason": "unknown"}, 422, "request-invalid"),
        ({"reason": "because I say so"}, 422, "request-invalid"),
        ({"minutes_present": -1}, 422, "request-invalid"),
        ({"minutes_present": 481}, 422, "request-invalid"),
        ({"note": "free text"}, 422, "request-invalid"),
        ({"episode_id": "me"}, 422, "request-invalid"),
    ],
)
async def test_what_is_no_correction_is_refused_with_a_code(
    clinic: Clinic, change: dict[str, Any], status: int, code: str
) -> None:
    person = await clinic.admit("corrected")
    session_id = await held(clinic, person)
    absent = {"entries": [{"episode_id": person, "status": "no_show"}]}
    await clinic.post(f"/sessions/{session_id}/attendance", absent)
    body = {"episode_id": person, "status": "attended", "reason": "entered_in_error", **change}
    answer = await clinic.post(f"/attendance/{session_id}/corrections", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_roll_that_was_never_called_is_called_and_not_corrected(clinic: Clinic) -> None:
    person = await clinic.admit("corrected")
    session_id = await held(clinic, person)
    body = {"episode_id": person, "status": "attended", "reason": "entered_in_error"}
    answer = await clinic.post(f"/attendance/{session_id}/corrections", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "roll-not-called")
    answer = await clinic.post(f"/attendance/{uid('none')}/corrections", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-session")
