"""A week asks for the days on which a seat was the person's: a late seat, a move, and an end that was taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from typing import Any

import pytest

from services.attendance.groups.group_state import TrackHours
from shared.contracts import attendance, plans
from shared.contracts.attendance import WeeklyHoursEvaluated, WeeklyHoursShortfallDetected
from shared.contracts.codes import AttendanceLoop
from shared.contracts.plans import DischargeKind
from shared.decision import Decision
from tests.unit.attendance.clinic import Clinic
from tests.unit.attendance.test_part_weeks import EVENINGS, MONDAY, evenings
from tests.unit.attendance.world import DAY, HOUR, local
from tests.unit.support import fact


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic(local("2026-03-02 09:00"))
    yield it
    await it.client.aclose()


async def evening_group(clinic: Clinic, days: tuple[int, ...] = EVENINGS) -> str:
    group = await clinic.group(program="evening-groups", track="evening")
    if days != EVENINGS:

        def other_days(state: Any, _cause: Any) -> Decision[Any]:
            hours = state.track_hours
            return Decision(
                state.replace(
                    track_hours=TrackHours(weekdays=days, begins=hours.begins, ends=hours.ends)
                )
            )

        await clinic.command(f"group/{group}", f"days {days}", other_days)
    return group


async def scheduled(clinic: Clinic, group: str, at: datetime) -> str:
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": at.isoformat(),
        "minutes_planned": 180,
    }
    answer = await clinic.post("/sessions", body)
    assert answer.is_success, answer.text
    return str(answer.json()["session_id"])


async def called(clinic: Clinic, session: str, at: datetime) -> None:
    """At the end of a session everybody who is expected was there."""
    await clinic.at(at + 3 * HOUR)
    expected = (await clinic.state(f"session/{session}")).expected
    if expected:
        entries = [{"episode_id": one, "status": "attended"} for one in expected]
        answer = await clinic.post(f"/sessions/{session}/attendance", {"entries": entries})
        assert answer.is_success, answer.text


async def weeks(clinic: Clinic, episode: str) -> list[tuple[int, int, bool]]:
    """What was asked, offered and met of each week, by the last evaluation."""
    said = await clinic.said(f"episode/{episode}")
    latest = {one.week_starts_on: one for one in said if isinstance(one, WeeklyHoursEvaluated)}
    return [
        (week.minutes_threshold, week.minutes_offered, week.met)
        for _, week in sorted(latest.items())
    ]


async def shortfalls(clinic: Clinic, episode: str) -> list[tuple[date, bool]]:
    said = await clinic.said(f"episode/{episode}")
    return [
        (one.week_starts_on, one.projected)
        for one in said
        if isinstance(one, WeeklyHoursShortfallDetected)
    ]


FIRST_SEAT = [
    ("2026-03-02 10:00", 540),
    ("2026-03-03 10:00", 360),
    ("2026-03-04 10:00", 360),
    ("2026-03-05 10:00", 180),
]


@pytest.mark.parametrize(("seated", "asked"), FIRST_SEAT)
async def test_a_first_week_asks_from_the_seat_on(clinic: Clinic, seated: str, asked: int) -> None:
    """Admitted on Monday, oriented and seated on another day, and there at every session since."""
    ann = await clinic.admit("ann")
    group = await evening_group(clinic)
    sessions = {
        at: await scheduled(clinic, group, at) for at in evenings(MONDAY, MONDAY + 13 * DAY)
    }
    for at, session in sessions.items():
        if clinic.clock.now() < local(seated) < at + 3 * HOUR:
            await clinic.at(local(seated))
            await clinic.takes_a_seat(group, ann)
        await called(clinic, session, at)
    await clinic.at(local("2026-03-16 09:00"))
    assert await weeks(clinic, ann) == [(asked, asked, True), (540, 540, True)]
    told = await shortfalls(clinic, ann)
    assert [projected for _, projected in told if not projected] == []
    assert bool(told) == (seated > "2026-03-04 20:00"), "on Wednesday nothing was booked"


MOVES = [
    # the days of the other group, when the person moves there, asked
    ((2, 4, 5), "2026-03-10 10:00", 540),
    ((1, 2, 3), "2026-03-12 10:00", 360),
    ((2, 4, 5), "2026-03-11 22:00", 540),
    (EVENINGS, "2026-03-11 10:00", 540),
]


@pytest.mark.parametrize(("days", "moved", "asked"), MOVES)
async def test_a_move_asks_for_the_days_of_each_group(
    clinic: Clinic, days: tuple[int, ...], moved: str, asked: int
) -> None:
    ann = await clinic.admit("ann")
    one, other = await evening_group(clinic), await evening_group(clinic, days)
    await clinic.takes_a_seat(one, ann)
    first, last = date(2026, 3, 9), date(2026, 3, 15)
    await clinic.at(local("2026-03-08 09:00"))
    sessions: list[tuple[datetime, str]] = [
        (at, await scheduled(clinic, one, at)) for at in evenings(first, last)
    ]
    for n in range(7):
        at = local(f"{first + n * DAY} 18:00")
        if at.isoweekday() in days:
            sessions.append((at, await scheduled(clinic, other, at)))
    has_moved = False
    for at, session in sorted(sessions):
        if not has_moved and local(moved) < at:
            await clinic.at(local(moved))
            answer = await clinic.reserve(other, ann, from_group_id=one)
            assert answer.is_success, answer.text
            has_moved = True
        await called(clinic, session, at)
    await clinic.at(local("2026-03-16 09:00"))
    threshold, offered, met = (await weeks(clinic, ann))[1]
    assert (threshold, met) == (asked, True)
    assert offered >= asked
    assert date(2026, 3, 9) not in {day for day, _ in await shortfalls(clinic, ann)}


async def test_without_any_seat_the_program_offers_too_little(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    await clinic.at(local("2026-03-09 09:00"))
    assert await weeks(clinic, ann) == [(540, 0, False)]


async def attends(clinic: Clinic, sessions: Iterable[tuple[datetime, str]], until: str) -> None:
    for at, session in sessions:
        if clinic.clock.now() < at + 3 * HOUR <= local(until):
            await called(clinic, session, at)
    await clinic.at(local(until))


@pytest.mark.parametrize("undone", ["2026-03-10 12:00", "2026-03-11 22:00", "2026-04-03 09:00"])
@pytest.mark.parametrize("recorded_late", [False, True])
async def test_days_without_a_seat_because_of_an_end_that_was_taken_back_ask_for_nothing(
    clinic: Clinic, undone: str, recorded_late: bool
) -> None:
    """A wrong `deceased` of 10 March, taken back at once, the next day, and three weeks later."""
    ann, bob = [await clinic.admit(name) for name in ("ann", "bob")]
    group = await evening_group(clinic)
    for one in (ann, bob):
        await clinic.takes_a_seat(group, one)
    days = evenings(MONDAY, date(2026, 4, 12))
    sessions = [(at, await scheduled(clinic, group, at)) for at in days]
    at = local("2026-03-10 10:00")
    told = local("2026-03-10 11:00") if recorded_late else at
    kind = DischargeKind.DECEASED
    await attends(clinic, sessions, f"{told:%Y-%m-%d %H:%M}")
    await clinic.hear(ann, fact(plans.EpisodeDischarged, discharged_at=at, kind=kind))
    await attends(clinic, sessions, undone)
    await clinic.hear(ann, fact(plans.DischargeUndone, discharged_at=at, kind=kind))
    await attends(clinic, sessions, "2026-04-13 09:00")
    assert {met for _, _, met in await weeks(clinic, ann)} == {True}
    assert all(asked <= offered for asked, offered, _ in await weeks(clinic, ann))
    assert await shortfalls(clinic, ann) == []
    names = await clinic.names(f"episode/{ann}")
    assert attendance.LoopEscalated.NAME not in names
    asked = [asked for asked, _, _ in await weeks(clinic, ann)]
    if undone == "2026-03-10 12:00":
        assert asked == [540] * 6
    elif undone == "2026-04-03 09:00":
        assert asked == [540, 180, 0, 0, 0, 540]


async def test_no_week_that_is_over_is_projected_when_an_end_is_taken_back(clinic: Clinic) -> None:
    """Also without a group: nothing can be made up in it any more. The running week is projected."""
    ann = await clinic.admit("ann")
    at, kind = local("2026-03-10 10:00"), DischargeKind.DECEASED
    await clinic.at(at)
    await clinic.hear(ann, fact(plans.EpisodeDischarged, discharged_at=at, kind=kind))
    await clinic.at(local("2026-04-02 09:00"))
    await clinic.hear(ann, fact(plans.DischargeUndone, discharged_at=at, kind=kind))
    await clinic.at(local("2026-04-02 09:05"))
    told = [day for day, projected in await shortfalls(clinic, ann) if projected]
    assert told == [MONDAY, date(2026, 3, 30)]
    state = await clinic.state(f"episode/{ann}")
    assert len(state.loops_of(AttendanceLoop.MAKE_UP)) == 1
