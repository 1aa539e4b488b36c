"""Pauses: only where a program has the policy, with an end, an owner of the return, and care that goes on."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from services.attendance.episode import pauses
from services.attendance.episode.episode_state import booked_sessions
from services.attendance.episode.handoffs import (
    Booked,
    Corrected,
    LeftRoster,
)
from services.attendance.screening import random_draw
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import AttendanceStatus, CorrectionReason
from shared.contracts.codes import AttendanceLoop, Modality
from shared.contracts.terms import ProgramTerms
from shared.errors import Refused
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.world import ATTENDED, DAY, EXCUSED, HOUR, NO_SHOW, Episode, local
from tests.unit.support import fact

START = local("2026-03-02 09:00")
EVENING = local("2026-03-02 18:00")
POLICY = ProgramTerms(pause_after_absences=3, pause_days=14)


class Pausing(Episode):
    """An episode of a program that pauses for two weeks after three unexcused absences."""

    def __init__(self, terms: ProgramTerms = POLICY) -> None:
        super().__init__(START, terms=terms)

    def evening(self, number: int, modality: Modality = Modality.GROUP) -> Booked:
        return self.book(EVENING + number * DAY, modality=modality)

    def rolled(self, number: int, status: AttendanceStatus) -> Booked:
        """One evening's session with its roll, an hour after it begins."""
        booked = self.evening(number)
        self.at(booked.starts_at + HOUR)
        self.roll(booked, status)
        return booked

    def missed(self, *numbers: int) -> Pausing:
        for number in numbers:
            self.rolled(number, NO_SHOW)
        return self

    def lift(self) -> None:
        self.command(pauses.lift)

    @property
    def returns(self) -> list[Any]:
        return list(self.state.loops_of(AttendanceLoop.RETURN_AFTER_PAUSE))

    @property
    def said_of_pauses(self) -> list[str]:
        return [name for name in self.names if name.startswith("participation-")]


@pytest.mark.parametrize(
    ("terms", "statuses", "paused"),
    [
        (ProgramTerms(), [NO_SHOW] * 8, 0),
        (POLICY, [NO_SHOW, NO_SHOW], 0),
        (POLICY, [NO_SHOW, NO_SHOW, NO_SHOW], 1),
        (POLICY, [NO_SHOW, ATTENDED, NO_SHOW, ATTENDED, NO_SHOW], 1),
        (POLICY, [NO_SHOW, EXCUSED, NO_SHOW, EXCUSED], 0),
        (ProgramTerms(pause_after_absences=1, pause_days=7), [NO_SHOW], 1),
    ],
)
def test_only_terms_that_say_so_lead_to_a_pause_and_only_unexcused_absences_count(
    terms: ProgramTerms, statuses: list[AttendanceStatus], paused: int
) -> None:
    episode = Pausing(terms)
    for number, status in enumerate(statuses):
        episode.rolled(number, status)
    assert len(episode.of(attendance.ParticipationPaused)) == paused


def test_what_is_said_and_that_it_ends_by_its_day() -> None:
    episode = Pausing().missed(0, 1, 2)
    [paused] = episode.of(attendance.ParticipationPaused)
    assert (paused.absences_unexcused, paused.paused_at) == (3, episode.now)
    assert paused.resumes_at == episode.now + 14 * DAY
    episode.at(paused.resumes_at - timedelta(seconds=1))
    assert episode.of(attendance.ParticipationResumed) == []
    episode.at(paused.resumes_at)
    [resumed] = episode.of(attendance.ParticipationResumed)
    assert (resumed.reason, resumed.resumed_at) == ("over", paused.resumes_at)
    assert episode.state.pause is None


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_it_does_not_depend_on_the_order_of_the_rolls(order: tuple[int, ...]) -> None:
    episode = Pausing()
    statuses = (NO_SHOW, ATTENDED, NO_SHOW, NO_SHOW)
    booked = [episode.evening(number) for number in range(4)]
    episode.at(booked[-1].starts_at + HOUR)
    for number in order:
        episode.roll(booked[number], statuses[number])
    [pause] = episode.state.pauses
    assert (pause.since, pause.until) == (episode.now, episode.now + 14 * DAY)
    assert episode.said_of_pauses == ["participation-paused"]


def test_groups_of_the_pause_are_called_off_for_the_person_and_nothing_else_is() -> None:
    episode = Pausing()
    group, alone = episode.evening(6), episode.evening(7, Modality.INDIVIDUAL)
    later = episode.evening(20)
    episode.missed(0, 1, 2)
    assert set(booked_sessions(episode.state)) >= {alone.session_id, later.session_id}
    assert group.session_id not in booked_sessions(episode.state)
    told = {h.subject: h.body for h in episode.handing if isinstance(h.body, LeftRoster)}
    assert set(told) == {f"session/{group.session_id}"}
    late = episode.evening(8)
    told = {h.subject for h in episode.handing if isinstance(h.body, LeftRoster)}
    assert f"session/{late.session_id}" in told, "whoever books a moment too late is told"


def test_nobody_is_absent_from_what_they_are_kept_from() -> None:
    episode = Pausing()
    missed = episode.evening(5)
    episode.missed(0, 1, 2)
    episode.at(missed.starts_at + HOUR)
    episode.roll(missed, NO_SHOW)
    assert len(episode.of(attendance.SessionMissed)) == 3
    episode.roll(episode.evening(6, Modality.INDIVIDUAL), NO_SHOW)
    assert len(episode.of(attendance.SessionMissed)) == 4


def test_days_of_a_pause_ask_for_no_hours() -> None:
    """Paused from Wednesday to Wednesday two weeks later: three sevenths, nothing, and five sevenths of 540.

    After the pause nothing is asked where nothing is offered.
    """
    episode = Pausing().missed(0, 1, 2)
    for hour in (9, 13, 18):
        episode.book(local(f"2026-03-20 {hour:02}:00"))
    episode.at(local("2026-03-23 00:00"))
    assert [week.minutes_threshold for week in episode.weeks()] == [
        540 * 3 // 7,
        0,
        540 * 5 // 7,
    ]
    assert [week.prorated for week in episode.weeks()] == [True, True, True]
    assert not episode.state.loops_of(AttendanceLoop.MAKE_UP)


def test_somebody_may_lift_it_and_the_days_left_ask_again() -> None:
    episode = Pausing().missed(0, 1, 2)
    episode.at(local("2026-03-09 09:00"))
    episode.lift()
    [resumed] = episode.of(attendance.ParticipationResumed)
    assert resumed.reason == "lifted"
    episode.at(local("2026-03-23 00:00"))
    assert [week.minutes_threshold for week in episode.weeks()] == [540 * 3 // 7, 540, 540]
    assert episode.said_of_pauses == ["participation-paused", "participation-resumed"]
    with pytest.raises(Refused) as refused:
        episode.lift()
    assert refused.value.code == "not-paused"


def test_an_absence_that_was_none_takes_the_pause_back() -> None:
    episode = Pausing().missed(0, 1)
    wrong = episode.rolled(2, NO_SHOW)
    episode.after(days=1)
    mended = Corrected(
        session_id=wrong.session_id,
        booked=wrong,
        status_after=EXCUSED,
        minutes_after=0,
        reason=CorrectionReason.EXCUSE_VERIFIED,
    )
    episode.hand(wrong.session_id, mended)
    [resumed] = episode.of(attendance.ParticipationResumed)
    assert resumed.reason == "corrected"
    assert (episode.state.pause, episode.returns) == (None, [])
    episode.missed(4)
    assert episode.state.pause is not None, "the two others still count"


def test_absences_before_a_pause_that_held_are_spent() -> None:
    episode = Pausing().missed(0, 1, 2)
    episode.after(days=15)
    episode.missed(20, 21)
    assert episode.state.pause is None
    episode.missed(22)
    assert len(episode.of(attendance.ParticipationPaused)) == 2


@pytest.mark.parametrize("lifted", [True, False])
def test_the_return_is_somebodys_and_the_first_session_after_the_pause_ends_it(
    lifted: bool,
) -> None:
    episode = Pausing().missed(0, 1, 2)
    [loop] = episode.returns
    assert loop.owner_role == "counselor"
    assert loop.deadline_at == episode.now + 14 * DAY + 7 * DAY
    if lifted:
        episode.after(days=2)
        episode.lift()
    else:
        episode.after(days=14)
    [loop] = episode.returns
    assert loop.deadline_at == episode.now + 7 * DAY
    episode.after(days=8)
    late = [e for e in episode.of(attendance.LoopEscalated) if e.loop_id == loop.id]
    assert [e.owner_role for e in late] == ["clinician", "clinical_supervisor"]
    booked = episode.book(episode.now + HOUR)
    episode.at(booked.starts_at + HOUR)
    episode.roll(booked, ATTENDED)
    assert episode.returns == []
    [back] = [e for e in episode.of(attendance.EscalationCleared) if e.loop_id == loop.id]
    assert back.reason == "resolved"


def test_a_session_alone_within_the_pause_is_no_return() -> None:
    episode = Pausing().missed(0, 1, 2)
    alone = episode.evening(5, Modality.INDIVIDUAL)
    episode.at(alone.starts_at + HOUR)
    episode.roll(alone, ATTENDED)
    assert len(episode.of(attendance.SessionAttended)) == 1
    assert len(episode.returns) == 1


@pytest.mark.parametrize(
    "ends",
    [
        fact(plans.EpisodeDischarged, discharged_at=local("2026-03-06 12:00")),
        fact(intake.EpisodeEnteredInError),
        fact(intake.ReferralMerged),
        fact(intake.AdmissionUndone),
    ],
    ids=lambda event: event.NAME,
)
def test_the_end_of_the_episode_ends_all_of_it(ends: Any) -> None:
    episode = Pausing().missed(0, 1, 2)
    episode.at(local("2026-03-06 12:00"))
    episode.hear(ends)
    assert pauses.OVER not in episode.state.deadlines
    assert episode.returns == []
    episode.at(local("2026-06-01 12:00"))
    assert episode.said_of_pauses == ["participation-paused"]


def test_nobody_is_drawn_or_due_for_a_screen_in_a_pause() -> None:
    episode = Pausing(POLICY.replace(screen_every_days=7))
    drawn = episode.command(lambda s, c: random_draw.draw(s, "urine-12", random_draw.LOTS - 1, c))
    assert drawn.answer == {"drawn": False}
    episode.missed(0, 1, 2)
    until = episode.state.pause.until
    drawn = episode.command(lambda s, c: random_draw.draw(s, "urine-12", 0, c))
    assert drawn.answer == {"drawn": False}
    episode.at(until - HOUR)
    assert not episode.state.loops_of(AttendanceLoop.SCREEN_DUE)
    episode.at(until + 2 * DAY)
    assert episode.state.loops_of(AttendanceLoop.SCREEN_DUE), "due when the person is back"


# --- over HTTP --------------------------------------------------------------------------------------------


async def test_the_routes(clinic: Clinic) -> None:
    once = ProgramTerms(pause_after_absences=1, pause_days=14)
    ann, bob = await clinic.admit("ann", terms=once), await clinic.admit("bob", terms=once)
    group = await clinic.group()
    for episode_id in (ann, bob):
        await clinic.reserve(group, episode_id)
        await clinic.post(f"/groups/{group}/seats/confirm", {"episode_id": episode_id})

    async def schedule(days: int, **more: Any) -> Any:
        starts_at = (clinic.clock.now() + timedelta(days=days)).isoformat()
        body = {"modality": "group", "starts_at": starts_at, "minutes_planned": 180, **more}
        return await clinic.post("/sessions", body)

    async def expected(session_id: str) -> tuple[str, ...]:
        return (await clinic.state(f"session/{session_id}")).expected

    first = (await schedule(0, group_id=group)).json()["session_id"]
    roll = [
        {"episode_id": ann, "status": "no_show"},
        {"episode_id": bob, "status": "attended"},
    ]
    await clinic.after(hours=3)
    assert (await clinic.post(f"/sessions/{first}/attendance", {"entries": roll})).is_success
    refused = await schedule(2, roster=[ann], modality="family")
    assert (refused.status_code, refused.json()["code"]) == (409, "participation-paused")
    assert (await schedule(2, roster=[ann], modality="individual")).status_code == 201
    second = (await schedule(2, group_id=group)).json()["session_id"]
    third = (await schedule(9, group_id=group)).json()["session_id"]
    await clinic.after(days=3)
    assert await expected(second) == (bob,), "who is not paused comes"
    clinic.acting_as("counselor")
    assert (await clinic.post(f"/episodes/{ann}/pause/lift")).status_code == 403
    clinic.acting_as("clinician")
    assert (await clinic.post(f"/episodes/{ann}/pause/lift")).status_code == 200
    assert (await clinic.post(f"/episodes/{ann}/pause/lift")).json()["code"] == "not-paused"
    assert (await schedule(3, roster=[ann], modality="family")).status_code == 201
    await clinic.after(days=7)
    assert set(await expected(third)) == {ann, bob}, "the seat was theirs all the time"
