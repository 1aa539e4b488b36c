"""Changes of the calendar: sessions moved, put back, closures, and who it was who cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.attendance.episode.episode_state import booked_sessions
from shared.contracts import attendance
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.attendance.world import DAY, HOUR, ZONE, local
from tests.unit.support import uid

MONDAY = "2026-03-09"
EVENING = {"program": "evening-groups", "track": "evening"}
WEDNESDAY, THURSDAY = local("2026-03-11 18:00"), local("2026-03-12 18:00")
NEXT_MONDAY = local("2026-03-09 18:00")


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    it = Clinic(local("2026-03-02 09:00"))
    yield it
    await it.client.aclose()


async def scheduled(clinic: Clinic, group: str, at: datetime, **more: Any) -> Any:
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": at.isoformat(),
        "minutes_planned": 180,
        **more,
    }
    return await clinic.post("/sessions", body)


async def week_of_three(clinic: Clinic, *episodes: str) -> tuple[str, list[str]]:
    group = await clinic.seated(*episodes, **EVENING)
    answers = [await scheduled(clinic, group, at) for at in (NEXT_MONDAY, WEDNESDAY, THURSDAY)]
    return group, [answer.json()["session_id"] for answer in answers]


async def week(clinic: Clinic, episode_id: str, day: str = MONDAY) -> dict[str, Any]:
    return (await clinic.get(f"/episodes/{episode_id}/weeks/{day}")).json()


async def closes(clinic: Clinic, first: str, last: str, reason: str = "holiday") -> str:
    clinic.acting_as("program_director")
    body = {"from_on": first, "until_on": last, "reason": reason}
    answer = await clinic.post("/closures", body)
    clinic.acting_as("counselor")
    assert answer.status_code == 201, answer.text
    return answer.json()["closure_id"]


async def rolled(clinic: Clinic, session: str, *episodes: str) -> None:
    lines = [{"episode_id": one, "status": "attended"} for one in episodes]
    answer = await clinic.post(f"/sessions/{session}/attendance", {"entries": lines})
    assert answer.status_code == 200, answer.text


# --- moved -----------------------------------------------------------------------------------------------


async def test_a_session_that_is_moved_is_moved_for_everybody(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    path = f"/sessions/{first}/reschedule"
    tuesday = (NEXT_MONDAY + DAY).isoformat()
    assert code(await clinic.post(path, {"starts_at": tuesday})) == (409, "outside-track")
    taken = {"starts_at": WEDNESDAY.isoformat()}
    assert code(await clinic.post(path, taken)) == (409, "group-meets-then")
    answer = await clinic.post(path, {"starts_at": tuesday, "unscheduled": "extra"})
    assert answer.status_code == 200, answer.text
    assert booked_sessions(await clinic.state(f"episode/{ann}"))[first].starts_at == (
        NEXT_MONDAY + DAY
    )
    event = (await clinic.said(f"session/{first}"))[-1]
    assert isinstance(event, attendance.SessionRescheduled)
    assert (event.starts_at, event.group_id) == (NEXT_MONDAY + DAY, group)
    await clinic.at(NEXT_MONDAY + 4 * HOUR)
    assert (await clinic.state(f"session/{first}")).roster_taken is False
    await clinic.at(NEXT_MONDAY + DAY + 4 * HOUR)
    await rolled(clinic, first, ann)
    assert (await week(clinic, ann))["minutes_credited"] == 180


async def test_what_has_begun_is_not_moved_nor_into_the_past(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, [first, *_] = await week_of_three(clinic, ann)
    path = f"/sessions/{first}/reschedule"
    past = {"starts_at": local("2026-03-01 18:00").isoformat()}
    assert code(await clinic.post(path, past)) == (409, "session-begun")
    await clinic.at(NEXT_MONDAY + HOUR)
    later = {"starts_at": (THURSDAY + 7 * DAY).isoformat()}
    assert code(await clinic.post(path, later)) == (409, "session-begun")


async def test_a_session_alone_is_moved_too(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    body = {
        "modality": "individual",
        "starts_at": NEXT_MONDAY.isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    session = (await clinic.post("/sessions", body)).json()["session_id"]
    path = f"/sessions/{session}/reschedule"
    moved = {"starts_at": WEDNESDAY.isoformat(), "minutes_planned": 45}
    assert (await clinic.post(path, moved)).status_code == 200
    await clinic.at(WEDNESDAY + HOUR)
    await rolled(clinic, session, ann)
    assert (await week(clinic, ann))["minutes_credited"] == 45


# --- put back --------------------------------------------------------------------------------------------


@pytest.mark.fault("F33")
async def test_a_cancellation_is_taken_back_and_everything_is_as_before(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    before = await week(clinic, ann)
    undo = f"/sessions/{first}/cancel/undo"
    assert code(await clinic.post(undo)) == (409, "session-not-cancelled")
    for _ in range(2):
        await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "program"})
        assert (await week(clinic, ann))["minutes_offered"] == 360
        assert (await clinic.post(undo)).status_code == 200
        after = await week(clinic, ann)
        assert after["minutes_offered"] == before["minutes_offered"] == 540
    names = await clinic.names(f"session/{first}")
    assert names[1:] == ["session-cancelled", "session-cancellation-undone"] * 2
    await clinic.at(NEXT_MONDAY + 4 * HOUR)
    await rolled(clinic, first, ann)
    assert (await week(clinic, ann))["minutes_credited"] == 180
    assert (await clinic.state(f"group/{group}")).slots[first].took_place


async def test_a_cancellation_of_what_should_have_begun_is_taken_back_too(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, [first, *_] = await week_of_three(clinic, ann)
    await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "weather"})
    await clinic.at(NEXT_MONDAY + 5 * HOUR)
    assert (await clinic.post(f"/sessions/{first}/cancel/undo")).status_code == 200
    await clinic.after(minutes=1)
    await rolled(clinic, first, ann)
    assert (await week(clinic, ann))["minutes_credited"] == 180


@pytest.mark.parametrize("put_back", [False, True])
async def test_a_roll_called_before_the_clock_said_anything_is_called(
    clinic: Clinic, *, put_back: bool
) -> None:
    """The beginning and the end come to the record after the roll: nobody is asked to call it once more."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    body = {"modality": "individual", "roster": [ann], "minutes_planned": 60}
    answer = await clinic.post("/sessions", {**body, "starts_at": NEXT_MONDAY.isoformat()})
    session = answer.json()["session_id"]
    if put_back:
        await clinic.post(f"/sessions/{session}/cancel", {"cancelled_by": "patient"})
    clinic.clock.step_to(NEXT_MONDAY + 2 * HOUR)
    if put_back:
        assert (await clinic.post(f"/sessions/{session}/cancel/undo")).status_code == 200
    await rolled(clinic, session, ann)
    before = (await clinic.state(f"session/{session}")).loops
    await clinic.after(days=9)
    assert (await clinic.state(f"session/{session}")).loops == before == {}
    assert "loop-escalated" not in await clinic.names(f"session/{session}")
    assert (await week(clinic, ann))["minutes_credited"] == 60


async def test_what_took_its_place_meanwhile_stays(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    group, [first, *_] = await week_of_three(clinic, ann)
    await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "program"})
    assert (await scheduled(clinic, group, NEXT_MONDAY)).status_code == 201
    assert code(await clinic.post(f"/sessions/{first}/cancel/undo")) == (409, "group-meets-then")


@pytest.mark.parametrize("of_group", [True, False])
@pytest.mark.fault("F33")
async def test_who_cancelled_is_corrected_and_the_later_word_holds(
    clinic: Clinic, of_group: bool
) -> None:
    """The request of F21: a mistaken word about a snow day could not be corrected."""
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, [session, *_] = await week_of_three(clinic, ann)
    if not of_group:
        body = {
            "modality": "individual",
            "starts_at": (NEXT_MONDAY - 2 * HOUR).isoformat(),
            "minutes_planned": 60,
            "roster": [ann],
        }
        session = (await clinic.post("/sessions", body)).json()["session_id"]
    correct = f"/sessions/{session}/cancel/correct"
    weather = {"cancelled_by": "weather"}
    assert code(await clinic.post(correct, weather)) == (409, "session-not-cancelled")
    first = "clinician" if of_group else "patient"
    await clinic.post(f"/sessions/{session}/cancel", {"cancelled_by": first})
    assert (await clinic.post(correct, weather)).status_code == 200
    told = [
        event.cancelled_by
        for event in await clinic.said(f"session/{session}")
        if isinstance(event, attendance.SessionCancelled)
    ]
    assert told == [first, "weather"]
    booking = (await clinic.state(f"episode/{ann}")).bookings[session]
    assert booking.cancelled_by == "weather"


# --- closures --------------------------------------------------------------------------------------------


@pytest.mark.fault("F33")
async def test_a_snow_day_calls_off_what_every_group_has_on_it(clinic: Clinic) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    _, [first, second, third] = await week_of_three(clinic, ann)
    _, [other, *_] = await week_of_three(clinic, bob)
    await closes(clinic, MONDAY, MONDAY, "weather")
    for session, person in ((first, ann), (other, bob)):
        assert (await clinic.names(f"session/{session}"))[-1] == "session-cancelled"
        assert (await week(clinic, person))["minutes_offered"] == 360
    for session, at in ((second, WEDNESDAY), (third, THURSDAY)):
        await clinic.at(at + 3 * HOUR)
        await rolled(clinic, session, ann)
    await clinic.at(local("2026-03-16 09:00"))
    closed = await week(clinic, ann)
    assert (closed["minutes_threshold"], closed["minutes_credited"], closed["met"]) == (
        360,
        360,
        True,
    )


async def test_a_holiday_that_is_entered_ahead_is_asked_of_nobody(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    await closes(clinic, MONDAY, MONDAY)
    group = await clinic.seated(ann, **EVENING)
    assert code(await scheduled(clinic, group, NEXT_MONDAY)) == (409, "facility-closed")
    for at in (WEDNESDAY, THURSDAY):
        session = (await scheduled(clinic, group, at)).json()["session_id"]
        await clinic.at(at + 3 * HOUR)
        await rolled(clinic, session, ann)
    await clinic.at(local("2026-03-16 09:00"))
    closed = await week(clinic, ann)
    assert (closed["minutes_threshold"], closed["met"]) == (360, True)


async def test_a_closure_that_is_taken_back_puts_back_what_is_ahead(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, sessions = await week_of_three(clinic, ann)
    closure = await closes(clinic, MONDAY, "2026-03-11")
    assert await closes(clinic, MONDAY, "2026-03-11") == closure, "once more is the same"
    assert (await week(clinic, ann))["minutes_threshold"] == 180
    listed = (await clinic.get("/closures")).json()["closures"]
    assert listed == [
        {
            "closure_id": closure,
            "from_on": MONDAY,
            "until_on": "2026-03-11",
            "reason": "holiday",
        }
    ]
    clinic.acting_as("program_director")
    assert (await clinic.post(f"/closures/{closure}/undo")).status_code == 200
    assert code(await clinic.post(f"/closures/{closure}/undo")) == (409, "already-undone")
    clinic.acting_as("counselor")
    after = await week(clinic, ann)
    assert (after["minutes_threshold"], after["minutes_offered"]) == (540, 540)
    assert (await clinic.names(f"session/{sessions[0]}"))[-1] == "session-cancellation-undone"


async def test_what_somebody_cancelled_is_not_put_back_by_the_end_of_a_closure(
    clinic: Clinic,
) -> None:
    ann = await clinic.admit("ann", time_zone=ZONE)
    _, [first, *_] = await week_of_three(clinic, ann)
    await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "program"})
    closure = await closes(clinic, MONDAY, MONDAY)
    clinic.acting_as("program_director")
    await clinic.post(f"/closures/{closure}/undo")
    assert (await clinic.names(f"session/{first}"))[-1] == "session-cancelled"


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"from_on": "2026-03-10", "until_on": "2026-03-09"}, 422, "closure-impossible"),
        ({"from_on": "2026-03-10", "until_on": "2026-06-09"}, 422, "closure-impossible"),
        (
            {"from_on": "2026-03-10", "until_on": "2026-03-10", "reason": "unknown"},
            422,
            "request-invalid",
        ),
    ],
)
async def test_a_closure_that_makes_no_sense_is_refused(
    clinic: Clinic, body: dict[str, Any], status: int, why: str
) -> None:
    clinic.acting_as("program_director")
    assert code(await clinic.post("/closures", {"reason": "holiday", **body})) == (status, why)
    clinic.acting_as("counselor")
    assert code(await clinic.post("/closures", {"reason": "holiday", **body}))[0] in (403, 422)


# --- what staff look at ----------------------------------------------------------------------------------


@pytest.mark.fault("F42")
async def test_the_day_s_sessions_are_listed_with_their_rosters(clinic: Clinic) -> None:
    ann, bob = [await clinic.admit(n, time_zone=ZONE) for n in ("ann", "bob")]
    group, [first, second, third] = await week_of_three(clinic, ann, bob)
    alone = {
        "modality": "individual",
        "starts_at": (NEXT_MONDAY - 2 * HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    single = (await clinic.post("/sessions", alone)).json()["session_id"]
    day = {"from": local(f"{MONDAY} 00:00").isoformat(), "to": local(f"{MONDAY} 23:59").isoformat()}

    async def listed(**query: Any) -> list[dict[str, Any]]:
        answer = await clinic.client.get("/sessions", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["sessions"]

    rows = await listed(**day)
    assert [(row["session_id"], sorted(row["roster"])) for row in rows] == [
        (single, [ann]),
        (first, sorted([ann, bob])),
    ]
    assert [row["session_id"] for row in await listed(group=group)] == [first, second, third]
    await clinic.post(f"/groups/{group}/seats/release", {"episode_id": bob})
    assert [row["roster"] for row in await listed(group=group)] == [[ann]] * 3
    await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "program"})
    assert [row["cancelled_by"] for row in await listed(**day)] == [None, "program"]
    clinic.acting_as("counselor", "another-iop")
    assert await listed() == []
    assert (await clinic.client.get("/sessions", params={"from": "today"})).status_code == 422
    assert uid("ann") == ann
    assert timedelta(0) < THURSDAY - WEDNESDAY
