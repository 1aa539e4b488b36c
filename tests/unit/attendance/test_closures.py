"""Closures act on the days that they change, and on what those days are to people who come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.attendance.episode.episode_state import booked_sessions
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.attendance.test_calendar_changes import (
    EVENING,
    MONDAY,
    NEXT_MONDAY,
    WEDNESDAY,
    closes,
    rolled,
    scheduled,
    week,
    week_of_three,
)
from tests.unit.attendance.world import DAY, HOUR, ZONE, local

FRIDAY = "2026-03-13"


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic(local("2026-03-02 09:00"))
    yield it
    await it.client.aclose()


async def opens(clinic: Clinic, closure: str) -> None:
    clinic.acting_as("program_director")
    assert (await clinic.post(f"/closures/{closure}/undo")).status_code == 200
    clinic.acting_as("counselor")


async def cancelled(clinic: Clinic, session: str) -> Any:
    return (await clinic.state(f"session/{session}")).cancelled_by


async def put_back(clinic: Clinic, session: str) -> None:
    answer = await clinic.post(f"/sessions/{session}/cancel/undo")
    assert answer.status_code == 200, answer.text


# --- another closure leaves what stands alone ----------------------------------------------------------------


async def _put_back_by_hand(clinic: Clinic, group: str, session: str) -> str:
    await closes(clinic, MONDAY, MONDAY)
    await put_back(clinic, session)
    return session


async def _written_down(clinic: Clinic, group: str, session: str) -> str:
    await closes(clinic, MONDAY, MONDAY)
    more = {"unscheduled": "extra", "minutes_planned": 180}
    return (await scheduled(clinic, group, NEXT_MONDAY - 4 * HOUR, **more)).json()["session_id"]


async def _begun(clinic: Clinic, group: str, session: str) -> str:
    await clinic.at(NEXT_MONDAY + HOUR)
    await closes(clinic, MONDAY, MONDAY, "weather")
    return session


async def _over(clinic: Clinic, group: str, session: str) -> str:
    await clinic.at(NEXT_MONDAY + 5 * HOUR)
    await closes(clinic, MONDAY, MONDAY, "emergency")
    return session


STANDING = {
    "put back by hand": _put_back_by_hand,
    "outside the calendar": _written_down,
    "begun": _begun,
    "over": _over,
}


@pytest.mark.parametrize("what", STANDING)
async def test_another_closure_calls_off_nothing_that_stands(clinic: Clinic, what: str) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    session = await STANDING[what](clinic, group, first)
    assert await cancelled(clinic, session) is None
    other = await closes(clinic, FRIDAY, FRIDAY)
    again = await closes(clinic, MONDAY, "2026-03-10", "emergency")
    assert await cancelled(clinic, session) is None
    await opens(clinic, other)
    await opens(clinic, again)
    assert await cancelled(clinic, session) is None


async def test_the_roll_of_a_session_that_a_closure_ended_is_called(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, [first, *_] = await week_of_three(clinic, ann)
    await clinic.at(NEXT_MONDAY + HOUR)
    await closes(clinic, MONDAY, MONDAY, "weather")
    lines = [{"episode_id": ann, "status": "attended"}]
    body = {"entries": lines, "early": "facility_closed"}
    assert (await clinic.post(f"/sessions/{first}/attendance", body)).status_code == 200
    assert (await week(clinic, ann))["minutes_credited"] == 60


async def test_what_took_the_place_meanwhile_stays_when_the_facility_opens(clinic: Clinic) -> None:
    """Of two sessions at one time one takes place: the one that somebody put there."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    closure = await closes(clinic, MONDAY, MONDAY)
    other = (await scheduled(clinic, group, NEXT_MONDAY, unscheduled="extra")).json()["session_id"]
    await opens(clinic, closure)
    assert await cancelled(clinic, first) == "closure"
    assert await cancelled(clinic, other) is None
    assert set(booked_sessions(await clinic.state(f"episode/{ann}"))) >= {other}
    assert (await week(clinic, ann))["minutes_offered"] == 540


async def test_who_called_it_off_is_corrected_and_the_facility_opens(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, [first, *_] = await week_of_three(clinic, ann)
    closure = await closes(clinic, MONDAY, MONDAY)
    correct = f"/sessions/{first}/cancel/correct"
    assert (await clinic.post(correct, {"cancelled_by": "weather"})).status_code == 200
    await opens(clinic, closure)
    assert await cancelled(clinic, first) is None


async def test_the_end_of_a_closure_puts_back_nothing_of_a_group_that_has_ended(
    clinic: Clinic,
) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    closure = await closes(clinic, MONDAY, MONDAY)
    await clinic.post(f"/groups/{group}/close")
    await opens(clinic, closure)
    assert await cancelled(clinic, first) == "closure"


async def test_what_a_closure_leaves_alone_is_shown_to_staff(clinic: Clinic) -> None:
    """A session without a group is moved or cancelled by its own staff, who find it in the list."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, _ = await week_of_three(clinic, ann)
    body = {"modality": "individual", "minutes_planned": 60, "roster": [ann]}
    single, late, called_off = [
        (await clinic.post("/sessions", {**body, "starts_at": at.isoformat()})).json()["session_id"]
        for at in (NEXT_MONDAY - 5 * HOUR, NEXT_MONDAY + 5.5 * HOUR, NEXT_MONDAY - 3 * HOUR)
    ]
    await clinic.post(f"/sessions/{called_off}/cancel", {"cancelled_by": "program"})
    extra = await scheduled(clinic, group, NEXT_MONDAY - 9 * HOUR, unscheduled="extra")

    async def listed(query: str = "?on_closed_day=true") -> list[str]:
        rows = (await clinic.get(f"/sessions{query}")).json()["sessions"]
        return [row["session_id"] for row in rows if row["on_closed_day"]]

    assert await listed() == []
    closure = await closes(clinic, MONDAY, MONDAY)
    expected = [extra.json()["session_id"], single, late]
    assert await listed() == expected, "by the facility's day, to its last hour"
    assert await listed("") == expected
    await opens(clinic, closure)
    assert await listed() == []


# --- days off, for who comes and goes ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closure", "weather"])
async def test_who_joins_later_is_asked_for_no_day_on_which_nobody_could_come(
    clinic: Clinic, how: str
) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group, [first, *_] = await week_of_three(clinic, ann)
    if how == "closure":
        await closes(clinic, MONDAY, MONDAY)
    else:
        await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "weather"})
    await clinic.takes_a_seat(group, bob)
    assert (await week(clinic, ann))["minutes_threshold"] == 360
    assert (await week(clinic, bob))["minutes_threshold"] == 360
    if how == "weather":
        await put_back(clinic, first)
        assert (await week(clinic, bob))["minutes_threshold"] == 540


async def test_who_has_moved_takes_no_day_off_along_that_is_none(clinic: Clinic) -> None:
    """The facility closes, the person moves to another group, and the facility opens after all."""
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    old, _ = await week_of_three(clinic, ann, bob)
    new, _ = await week_of_three(clinic, bob)
    closure = await closes(clinic, MONDAY, MONDAY)
    assert (await clinic.reserve(new, ann, from_group_id=old)).status_code == 201
    assert (await week(clinic, ann))["minutes_threshold"] == 360
    assert list((await clinic.state(f"episode/{ann}")).days_closed) == [new]
    await opens(clinic, closure)
    assert (await week(clinic, ann))["minutes_threshold"] == 540
    assert (await clinic.state(f"episode/{ann}")).days_closed == {}


async def test_who_has_left_keeps_the_days_off_that_were_theirs(clinic: Clinic) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group, [first, second, _] = await week_of_three(clinic, ann, bob)
    closure = await closes(clinic, MONDAY, MONDAY, "weather")
    await closes(clinic, "2026-03-12", "2026-03-12")
    await clinic.at(WEDNESDAY + 4 * HOUR)
    await rolled(clinic, second, ann, bob)
    await clinic.post(f"/groups/{group}/seats/release", {"episode_id": ann})
    days = (await clinic.state(f"episode/{ann}")).days_closed[group]
    assert [day.isoformat() for day in days] == [MONDAY]
    await opens(clinic, closure)
    assert (await clinic.state(f"episode/{ann}")).days_closed == {group: days}, "nobody could come"
    await clinic.post(f"/sessions/{first}/cancel/correct", {"cancelled_by": "program"})
    assert (await clinic.state(f"episode/{ann}")).days_closed == {}


async def test_who_has_left_is_not_scheduled_for_what_was_called_off(clinic: Clinic) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group, [first, *_] = await week_of_three(clinic, ann, bob)
    await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "program"})
    await clinic.post(f"/groups/{group}/seats/release", {"episode_id": ann})
    assert (await clinic.state(f"episode/{ann}")).bookings == {}


# --- what a change keeps of a group's session ----------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [{"family_only": True}, {"service": "yoga"}, {"modality": "family"}]
)
@pytest.mark.parametrize("change", ["none", "moved", "put back"])
async def test_a_session_of_a_group_stays_what_it_is(
    clinic: Clinic, more: dict[str, Any], change: str
) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group = await clinic.seated(ann, bob, **EVENING)
    session = (await scheduled(clinic, group, NEXT_MONDAY, **more)).json()["session_id"]
    before = (await clinic.state(f"episode/{ann}")).bookings[session]
    for name, value in more.items():
        assert getattr(before, name) == value
    if change == "moved":
        body = {"starts_at": WEDNESDAY.isoformat()}
        assert (await clinic.post(f"/sessions/{session}/reschedule", body)).status_code == 200
    elif change == "put back":
        await clinic.post(f"/sessions/{session}/cancel", {"cancelled_by": "program"})
        await put_back(clinic, session)
    after = (await clinic.state(f"episode/{ann}")).bookings[session]
    kept = {"starts_at": before.starts_at, "times_changed": before.times_changed}
    assert after.replace(**kept) == before


@pytest.mark.parametrize("other", [{"family_only": True}, {"modality": "psychoeducation"}])
async def test_another_session_at_that_time_is_no_second_click(
    clinic: Clinic, other: dict[str, Any]
) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    again = await scheduled(clinic, group, NEXT_MONDAY)
    assert again.json()["session_id"] == first
    assert code(await scheduled(clinic, group, NEXT_MONDAY, **other)) == (409, "group-meets-then")


async def test_a_session_that_comes_back_to_its_day_is_no_longer_outside(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    path = f"/sessions/{first}/reschedule"
    outside = {"starts_at": (NEXT_MONDAY + DAY).isoformat(), "unscheduled": "extra"}
    further = {"starts_at": (NEXT_MONDAY + DAY + HOUR).isoformat()}
    home = {"starts_at": NEXT_MONDAY.isoformat()}
    for body, why in ((outside, "extra"), (further, "extra"), (home, None)):
        assert (await clinic.post(path, body)).status_code == 200
        assert (await clinic.state(f"group/{group}")).slots[first].unscheduled == why
        assert (await clinic.state(f"session/{first}")).unscheduled == why
