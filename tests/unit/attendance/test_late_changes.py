"""The calendar changed late: after the sessions passed, after the group ended, and years afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.contracts import attendance, plans
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.attendance.test_calendar_changes import (
    MONDAY,
    NEXT_MONDAY,
    THURSDAY,
    WEDNESDAY,
    closes,
    rolled,
    scheduled,
    week,
    week_of_three,
)
from tests.unit.attendance.test_closures import cancelled, opens, put_back
from tests.unit.attendance.test_leaders import open_loops
from tests.unit.attendance.world import DAY, HOUR, ZONE, local
from tests.unit.support import fact

TUESDAY_MORNING = local("2026-03-10 08:00")
YEARS = 800 * DAY
"""How long after the group has ended."""


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic(local("2026-03-02 09:00"))
    yield it
    await it.client.aclose()


async def rest_of_the_week(clinic: Clinic, sessions: list[str], *episodes: str) -> None:
    """The person attends what is on Wednesday and Thursday."""
    for session, at in zip(sessions[1:], (WEDNESDAY, THURSDAY), strict=True):
        await clinic.at(at + 3 * HOUR)
        await rolled(clinic, session, *episodes)


async def asked(clinic: Clinic, episode: str) -> tuple[int, int, int, bool]:
    """What a week asks for, offers and credits, and whether it is met."""
    it = await week(clinic, episode)
    return it["minutes_threshold"], it["minutes_offered"], it["minutes_credited"], it["met"]


async def years_later(clinic: Clinic, *episodes: str) -> None:
    """Everybody of then has left, and two years have passed."""
    for one in episodes:
        left = fact(plans.EpisodeDischarged, discharged_at=clinic.clock.now())
        await clinic.hear(one, left)
    await clinic.after(days=YEARS.days)


async def waits_for_a_roll(clinic: Clinic, session: str) -> bool:
    return f"session/{session}" in await open_loops(clinic, "roll_call")


# --- a snow day that is entered late -----------------------------------------------------------------------


@pytest.mark.fault("F43")
@pytest.mark.parametrize("entered", ["the next morning", "after the week", "after the group"])
async def test_a_snow_day_that_is_entered_late_is_as_one_at_once(
    clinic: Clinic, entered: str
) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group, sessions = await week_of_three(clinic, ann, bob)
    await clinic.at(TUESDAY_MORNING)
    assert await waits_for_a_roll(clinic, sessions[0])
    if entered == "the next morning":
        await closes(clinic, MONDAY, MONDAY, "weather")
    await rest_of_the_week(clinic, sessions, ann, bob)
    await clinic.at(local("2026-03-17 09:00"))
    if entered == "after the group":
        await clinic.post(f"/groups/{group}/close")
        await years_later(clinic, ann, bob)
    if entered != "the next morning":
        assert await asked(clinic, ann) == (540, 540, 360, False)
        await closes(clinic, MONDAY, MONDAY, "weather")
    assert await cancelled(clinic, sessions[0]) == "weather"
    assert not await waits_for_a_roll(clinic, sessions[0])
    for one in (ann, bob):
        assert await asked(clinic, one) == (360, 360, 360, True)


async def test_what_has_a_roll_took_place_whatever_is_entered_afterwards(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, sessions = await week_of_three(clinic, ann)
    await clinic.at(NEXT_MONDAY + 3 * HOUR)
    await rolled(clinic, sessions[0], ann)
    await clinic.at(TUESDAY_MORNING)
    await closes(clinic, MONDAY, MONDAY, "weather")
    assert await cancelled(clinic, sessions[0]) is None
    assert (await week(clinic, ann))["minutes_credited"] == 180


async def test_a_late_closure_of_the_wrong_day_is_taken_back(clinic: Clinic) -> None:
    """What it called off waits for its roll again, and the week waits for that roll."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, sessions = await week_of_three(clinic, ann)
    await clinic.at(TUESDAY_MORNING)
    closure = await closes(clinic, MONDAY, MONDAY, "weather")
    await rest_of_the_week(clinic, sessions, ann)
    await clinic.at(local("2026-03-18 09:00"))
    await opens(clinic, closure)
    await clinic.after(minutes=1)
    assert await waits_for_a_roll(clinic, sessions[0])
    await rolled(clinic, sessions[0], ann)
    assert await asked(clinic, ann) == (540, 540, 540, True)
    short = [
        one
        for one in await clinic.said(f"episode/{ann}")
        if isinstance(one, attendance.WeeklyHoursShortfallDetected)
        and one.week_starts_on.isoformat() == MONDAY
    ]
    assert not short


# --- a cancellation that is taken back or corrected late ---------------------------------------------------


@pytest.mark.fault("F43")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("ended", [False, True])
async def test_a_cancellation_is_taken_back_however_late(
    clinic: Clinic, *, ended: bool, late: bool
) -> None:
    """The roll of what took place after all is called, and the week is as if nobody had cancelled it."""
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group, sessions = await week_of_three(clinic, ann, bob)
    await clinic.post(f"/sessions/{sessions[0]}/cancel", {"cancelled_by": "program"})
    await rest_of_the_week(clinic, sessions, ann, bob)
    await clinic.at(local("2026-03-20 09:00"))
    if ended:
        await clinic.post(f"/groups/{group}/close")
    if late:
        await years_later(clinic, ann, bob)
    await _others_come_and_go(clinic, group, ended=ended)
    await put_back(clinic, sessions[0])
    await clinic.after(minutes=1)
    assert await waits_for_a_roll(clinic, sessions[0])
    await rolled(clinic, sessions[0], ann, bob)
    assert not await waits_for_a_roll(clinic, sessions[0])
    for one in (ann, bob):
        assert await asked(clinic, one) == (540, 540, 540, True)


async def _others_come_and_go(clinic: Clinic, group: str, *, ended: bool) -> None:
    """The group's record is saved again, with another session on its calendar and another person on its seats."""
    if ended:
        return
    eve = await clinic.admit("eve", time_zone=ZONE)
    await clinic.takes_a_seat(group, eve)
    soon = clinic.clock.now() + 30 * HOUR
    answer = await scheduled(clinic, group, soon, unscheduled="extra")
    assert answer.status_code == 201, answer.text
    answer = await clinic.post(f"/groups/{group}/seats/release", {"episode_id": eve})
    assert answer.status_code == 200, answer.text


@pytest.mark.fault("F43")
@pytest.mark.parametrize("ended", [False, True])
async def test_who_cancelled_is_corrected_years_later(clinic: Clinic, *, ended: bool) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, sessions = await week_of_three(clinic, ann)
    await clinic.post(f"/sessions/{sessions[0]}/cancel", {"cancelled_by": "program"})
    await rest_of_the_week(clinic, sessions, ann)
    await clinic.at(local("2026-03-20 09:00"))
    assert await asked(clinic, ann) == (540, 360, 360, False)
    if ended:
        await clinic.post(f"/groups/{group}/close")
    await years_later(clinic, ann)
    await _others_come_and_go(clinic, group, ended=ended)
    correct = f"/sessions/{sessions[0]}/cancel/correct"
    answer = await clinic.post(correct, {"cancelled_by": "weather"})
    assert answer.status_code == 200, answer.text
    assert await asked(clinic, ann) == (360, 360, 360, True)


async def test_a_snow_day_of_long_ago_stays_one(clinic: Clinic) -> None:
    """The group's record forgot it after a year, and the week of then was held against everybody."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, sessions = await week_of_three(clinic, ann)
    await clinic.post(f"/sessions/{sessions[0]}/cancel", {"cancelled_by": "weather"})
    await rest_of_the_week(clinic, sessions, ann)
    await clinic.at(local("2026-03-20 09:00"))
    assert await asked(clinic, ann) == (360, 360, 360, True)
    await years_later(clinic, ann)
    soon = clinic.clock.now() + 30 * HOUR
    extra = (await scheduled(clinic, group, soon, unscheduled="extra")).json()["session_id"]
    await clinic.post(f"/sessions/{extra}/cancel", {"cancelled_by": "weather"})
    assert await asked(clinic, ann) == (360, 360, 360, True)


async def test_what_the_end_of_a_group_called_off_stays_called_off(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, sessions = await week_of_three(clinic, ann)
    await clinic.post(f"/groups/{group}/close")
    await clinic.at(local("2026-03-20 09:00"))
    answer = await clinic.post(f"/sessions/{sessions[0]}/cancel/undo")
    assert code(answer) == (409, "group-closed")


async def test_a_calendar_forgets_what_is_settled_and_keeps_the_rest(clinic: Clinic) -> None:
    """The record of a group of many years holds a year of it, and what somebody may still have to put right."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, sessions = await week_of_three(clinic, ann)
    await clinic.post(f"/sessions/{sessions[0]}/cancel", {"cancelled_by": "program"})
    await rest_of_the_week(clinic, sessions, ann)
    await clinic.at(local("2026-03-20 09:00"))
    await years_later(clinic, ann)
    await _others_come_and_go(clinic, group, ended=False)
    known = (await clinic.state(f"group/{group}")).slots
    assert sessions[0] in known
    assert not {*sessions[1:]} & {*known}
    body = {"episode_id": ann, "status": "no_show", "reason": "entered_in_error"}
    answer = await clinic.post(f"/attendance/{sessions[1]}/corrections", body)
    assert answer.status_code == 200, "the session's own record has its roll"
    assert await asked(clinic, ann) == (540, 360, 180, False)
