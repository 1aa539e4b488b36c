"""Rosters: whoever has a seat when a session begins, walk-ins on the roll, and what people are told meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from services.attendance.episode.episode_state import booked_sessions
from shared.contracts import attendance, intake, plans
from tests.unit.attendance.clinic import PROGRAM, Clinic, code
from tests.unit.attendance.world import HOUR, local
from tests.unit.support import fact, uid

MONDAY = "2026-03-02"


async def expected(clinic: Clinic, session_id: str) -> list[str]:
    return sorted((await clinic.state(f"session/{session_id}")).expected)


async def booked(clinic: Clinic, episode_id: str) -> set[str]:
    return set(booked_sessions(await clinic.state(f"episode/{episode_id}")))


def line(episode_id: str, status: str = "attended", **more: Any) -> dict[str, Any]:
    return {"episode_id": episode_id, "status": status, **more}


async def rolled(clinic: Clinic, session_id: str, *lines: dict[str, Any], **more: Any) -> Any:
    return await clinic.post(f"/sessions/{session_id}/attendance", {"entries": list(lines), **more})


async def minutes(clinic: Clinic, episode_id: str) -> tuple[int, int, int]:
    week = (await clinic.get(f"/episodes/{episode_id}/weeks/{MONDAY}")).json()
    return week["minutes_scheduled"], week["minutes_offered"], week["minutes_credited"]


# --- seats times calendar --------------------------------------------------------------------------------


@pytest.mark.fault("F24")
async def test_who_takes_a_seat_after_scheduling_is_on_the_roster_and_on_the_roll(
    clinic: Clinic,
) -> None:
    """The request of F3: 409 on the roll, 404 on the correction."""
    ann, late = await clinic.admit("ann"), await clinic.admit("late")
    group = await clinic.seated(ann)
    first, second = [await clinic.meets(group, hours=n) for n in (3, 27)]
    await clinic.takes_a_seat(group, late)
    assert await booked(clinic, late) == {first, second}
    await clinic.after(hours=3)
    assert await expected(clinic, first) == sorted([ann, late])
    await clinic.after(hours=3)
    assert (await rolled(clinic, first, line(ann), line(late))).status_code == 200
    body = {**line(late, "late", minutes_present=100), "reason": "entered_in_error"}
    assert (await clinic.post(f"/attendance/{first}/corrections", body)).status_code == 200
    assert await minutes(clinic, late) == (360, 360, 100)


@pytest.mark.fault("F24")
async def test_who_moves_is_not_on_the_old_roster_and_nothing_is_held_against_them(
    clinic: Clinic,
) -> None:
    moves, stays = await clinic.admit("moves"), await clinic.admit("stays")
    old, new = await clinic.seated(moves, stays), await clinic.group()
    first, second = [await clinic.meets(old, hours=n) for n in (1, 25)]
    third = await clinic.meets(new, hours=49)
    await clinic.after(hours=4)
    await rolled(clinic, first, line(moves), line(stays))
    assert (await clinic.reserve(new, moves, from_group_id=uid("none"))).status_code == 404
    assert (await clinic.reserve(new, moves, from_group_id=old)).status_code == 201
    assert set((await clinic.state(f"group/{old}")).seats) == {stays}
    assert await booked(clinic, moves) == {first, third}
    await clinic.after(hours=24)
    assert await expected(clinic, second) == [stays]
    assert (await rolled(clinic, second, line(stays))).status_code == 200
    await clinic.after(hours=24)
    assert (await rolled(clinic, third, line(moves))).status_code == 200
    assert await minutes(clinic, moves) == (360, 360, 360)
    assert "session-missed" not in await clinic.names(f"episode/{moves}")


async def test_who_leaves_after_the_begin_stays_on_that_roster(clinic: Clinic) -> None:
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    group = await clinic.seated(ann, bob)
    session = await clinic.meets(group, hours=1)
    await clinic.after(hours=2)
    await clinic.post(f"/groups/{group}/seats/release", {"episode_id": bob})
    await clinic.after(hours=3)
    assert await expected(clinic, session) == sorted([ann, bob])


async def test_a_held_seat_is_on_no_roster(clinic: Clinic) -> None:
    group = await clinic.seated(await clinic.admit("ann"))
    session = await clinic.meets(group, hours=1)
    await clinic.reserve(group, uid("to come"))
    view = (await clinic.get(f"/sessions/{session}")).json()
    assert view["roster"] == [uid("ann")]
    assert view["roster_taken"] is False


async def test_a_session_that_is_written_down_afterwards_has_who_had_a_seat_then(
    clinic: Clinic,
) -> None:
    was, still, later = [await clinic.admit(name) for name in ("was", "still", "later")]
    group = await clinic.seated(was, still)
    await clinic.after(days=1)
    await clinic.post(f"/groups/{group}/seats/release", {"episode_id": was})
    await clinic.takes_a_seat(group, later)
    await clinic.after(days=2)
    session = await clinic.meets(group, hours=-60)
    assert await expected(clinic, session) == sorted([was, still])
    assert (await rolled(clinic, session, line(was), line(still))).status_code == 200


async def test_the_end_of_a_group_calls_off_what_is_ahead(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    session = await clinic.meets(group, hours=3)
    await clinic.post(f"/groups/{group}/close")
    [_, cancelled] = await clinic.said(f"session/{session}")
    assert isinstance(cancelled, attendance.SessionCancelled)
    assert (cancelled.group_id, cancelled.cancelled_by) == (group, "program")
    assert await minutes(clinic, ann) == (0, 0, 0)


async def test_a_person_who_has_left_is_not_on_the_roster_and_their_seat_is_free(
    clinic: Clinic,
) -> None:
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    group = await clinic.seated(ann, bob)
    session = await clinic.meets(group, hours=3)
    gone = fact(plans.EpisodeDischarged, discharged_at=clinic.clock.now())
    await clinic.hear(ann, gone)
    await clinic.after(hours=6)
    assert await expected(clinic, session) == [bob]


async def test_nobody_is_asked_for_the_roll_of_a_session_without_people(clinic: Clinic) -> None:
    group = await clinic.group()
    session = await clinic.meets(group, hours=1)
    await clinic.after(hours=60)
    assert (await clinic.state(f"session/{session}")).loops == {}


# --- a group's calendar ----------------------------------------------------------------------------------


@pytest.mark.fault("F27")
async def test_the_same_session_once_more_is_the_one_that_is_there(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    first = await clinic.meets(group, hours=3)
    assert await clinic.meets(group, hours=3) == first
    assert await booked(clinic, ann) == {first}
    alone = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + 30 * HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    once, again = [(await clinic.post("/sessions", alone)).json() for _ in range(2)]
    assert once["session_id"] == again["session_id"]


@pytest.mark.parametrize(("hours", "minutes"), [(3, 120), (2, 120), (5, 120), (4, 180)])
async def test_a_group_has_no_two_sessions_at_one_time(
    clinic: Clinic, hours: int, minutes: int
) -> None:
    group = await clinic.seated(await clinic.admit("ann"))
    session = await clinic.meets(group, hours=3)
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": (clinic.clock.now() + hours * HOUR).isoformat(),
        "minutes_planned": minutes,
    }
    assert code(await clinic.post("/sessions", body)) == (409, "group-meets-then")
    await clinic.post(f"/sessions/{session}/cancel", {"cancelled_by": "program"})
    assert (await clinic.post("/sessions", body)).status_code == 201


async def test_who_is_known_to_be_elsewhere_is_not_booked_alone(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    await clinic.meets(await clinic.seated(ann), hours=3)
    body = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + 4 * HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    assert code(await clinic.post("/sessions", body)) == (409, "booked-then")
    after = {**body, "starts_at": (clinic.clock.now() + 6 * HOUR).isoformat()}
    assert (await clinic.post("/sessions", after)).status_code == 201


TRACK = {"program": "evening-groups", "track": "evening"}  # Monday, Wednesday, Thursday, 18-21
TIMES = [
    # begin, minutes, accepted
    ("2026-03-04 18:00", 180, True),
    ("2026-03-04 18:30", 120, True),
    ("2026-03-05 18:00", 180, True),
    ("2026-03-03 18:00", 180, False),  # a Tuesday
    ("2026-03-04 03:00", 180, False),
    ("2026-03-04 17:59", 60, False),
    ("2026-03-04 20:00", 61, False),
    ("2026-03-04 20:30", 480, False),  # over midnight
]


@pytest.mark.parametrize(("begins", "planned", "accepted"), TIMES)
@pytest.mark.fault("F29")
async def test_a_group_meets_on_the_days_and_at_the_hours_of_its_track(
    clinic: Clinic, begins: str, planned: int, accepted: bool
) -> None:
    group = await clinic.group(**TRACK)
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": local(begins).isoformat(),
        "minutes_planned": planned,
    }
    answer = await clinic.post("/sessions", body)
    if accepted:
        assert answer.status_code == 201, answer.text
        return
    assert code(answer) == (409, "outside-track")
    answer = await clinic.post("/sessions", {**body, "unscheduled": "extra"})
    assert answer.status_code == 201


@pytest.mark.fault("F29")
async def test_a_group_meets_as_often_in_a_week_as_it_does_and_says_why_more(
    clinic: Clinic,
) -> None:
    """The request of F24: five sessions of a group that meets three times a week."""
    group = await clinic.group(sessions_per_week=3)
    for day in range(1, 4):
        await clinic.meets(group, hours=24 * day)
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": (clinic.clock.now() + 96 * HOUR).isoformat(),
        "minutes_planned": 180,
    }
    assert code(await clinic.post("/sessions", body)) == (409, "outside-track")
    assert (await clinic.post("/sessions", {**body, "unscheduled": "make_up"})).is_success
    await clinic.meets(group, hours=24 * 8)


@pytest.mark.fault("F28")
async def test_a_group_session_is_one_of_a_group(clinic: Clinic) -> None:
    """The requests of F7: fourteen people for eight hours, and one alone."""
    everybody = [await clinic.admit(f"person {n}") for n in range(14)]
    for roster in (everybody, everybody[:1]):
        body = {
            "modality": "group",
            "roster": roster,
            "starts_at": (clinic.clock.now() + HOUR).isoformat(),
            "minutes_planned": 480,
        }
        assert code(await clinic.post("/sessions", body)) == (422, "group-missing")


SEVERAL = ["psychoeducation", "individual", "family", "medication", "case_management", "wellness"]


@pytest.mark.parametrize("modality", SEVERAL)
async def test_what_several_patients_attend_is_a_session_of_a_group_by_whatever_name(
    clinic: Clinic, modality: str
) -> None:
    """Fourteen people, or two; what educates is a group's even with one. A family is one patient and their own."""
    everybody = [await clinic.admit(f"person {n}", program=PROGRAM) for n in range(14)]
    body = {
        "modality": modality,
        "starts_at": (clinic.clock.now() + HOUR).isoformat(),
        "minutes_planned": 60,
    }
    for several in (everybody, everybody[:2]):
        answer = await clinic.post("/sessions", {**body, "roster": several})
        assert code(answer) == (422, "group-missing")
    alone = {**body, "roster": everybody[:1]}
    if modality == "psychoeducation":
        assert code(await clinic.post("/sessions", alone)) == (422, "group-missing")
        await clinic.meets(await clinic.seated(*everybody[:2]), hours=1, modality=modality)
        return
    too_long = await clinic.post("/sessions", {**alone, "minutes_planned": 480})
    assert code(too_long) == (422, "outside-program")
    assert (await clinic.post("/sessions", alone)).status_code == 201


async def test_a_make_up_is_for_those_of_the_group_who_need_it(clinic: Clinic) -> None:
    ann, bob, eve = [await clinic.admit(name) for name in ("ann", "bob", "eve")]
    group = await clinic.seated(ann, bob)
    make_up = {"roster": [bob], "unscheduled": "make_up"}
    session = await clinic.meets(group, hours=5, **make_up)
    assert await booked(clinic, bob) == {session}
    assert await booked(clinic, ann) == set()
    body = {
        "modality": "group",
        "group_id": group,
        "starts_at": (clinic.clock.now() + 30 * HOUR).isoformat(),
        "minutes_planned": 180,
    }
    stranger = {**body, "roster": [eve], "unscheduled": "make_up"}
    assert code(await clinic.post("/sessions", stranger)) == (409, "not-in-group")
    assert code(await clinic.post("/sessions", {**body, "roster": [bob]})) == (
        422,
        "roster-of-a-group",
    )
    await clinic.after(hours=9)
    assert await expected(clinic, session) == [bob]


@pytest.mark.fault("F32")
async def test_one_patient_never_cancels_for_all(clinic: Clinic) -> None:
    """The request of 14: each of three had offered 360, credited 180, short 180."""
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    group = await clinic.seated(ann, bob)
    of_group = await clinic.meets(group, hours=3)
    of_families = await clinic.meets(group, hours=30, modality="family")
    for session in (of_group, of_families):
        path = f"/sessions/{session}/cancel"
        assert code(await clinic.post(path, {"cancelled_by": "patient"})) == (409, "not-by-patient")
        assert (await clinic.post(path, {"cancelled_by": "weather"})).status_code == 200
        assert code(await clinic.post(path, {"cancelled_by": "program"})) == (
            409,
            "session-cancelled",
        )


async def test_a_cancellation_that_races_the_roll_does_not_undo_it(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    group = await clinic.seated(ann)
    session = await clinic.meets(group, hours=1)
    await clinic.after(hours=4)
    slots = (await clinic.state(f"group/{group}")).slots
    assert (await rolled(clinic, session, line(ann))).status_code == 200
    from services.attendance.groups import group_calendar  # noqa: PLC0415
    from shared.contracts.attendance import CancelledBy  # noqa: PLC0415

    await clinic.command(
        f"group/{group}",
        "as of a moment before",
        lambda state, cause: group_calendar.call_off(
            state.replace(slots=slots), session, CancelledBy.PROGRAM, cause
        ),
    )
    assert await minutes(clinic, ann) == (180, 180, 180)
    assert "session-cancelled" not in await clinic.names(f"session/{session}")
    assert (await clinic.state(f"group/{group}")).slots[session].took_place is True


# --- walk-ins --------------------------------------------------------------------------------------------


async def session_of(clinic: Clinic, *episodes: str) -> str:
    session = await clinic.meets(await clinic.seated(*episodes), hours=1)
    await clinic.after(hours=4)
    return session


@pytest.mark.fault("F25")
async def test_the_roll_may_add_who_walks_in(clinic: Clinic) -> None:
    ann, eve = await clinic.admit("ann"), await clinic.admit("eve")
    session = await session_of(clinic, ann)
    assert code(await rolled(clinic, session, line(ann), line(eve))) == (409, "roll-incomplete")
    absent = line(eve, "no_show", walk_in=True)
    assert code(await rolled(clinic, session, line(ann), absent)) == (422, "walk-in-absent")
    answer = await rolled(clinic, session, line(ann), line(eve, walk_in=True))
    assert (answer.status_code, answer.json()["entries"]) == (200, 2)
    assert await minutes(clinic, eve) == (180, 180, 180)
    assert (await clinic.state(f"session/{session}")).loops == {}


async def test_who_was_forgotten_is_added_by_a_correction_and_taken_off_again(
    clinic: Clinic,
) -> None:
    ann, eve = await clinic.admit("ann"), await clinic.admit("eve")
    session = await session_of(clinic, ann)
    await rolled(clinic, session, line(ann))
    path = f"/attendance/{session}/corrections"
    body = {**line(eve), "reason": "late_documentation"}
    assert code(await clinic.post(path, body)) == (404, "unknown-roll-entry")
    assert (await clinic.post(path, {**body, "walk_in": True})).status_code == 200
    assert await minutes(clinic, eve) == (180, 180, 180)
    off = {**line(eve, "no_show"), "reason": "wrong_person"}
    answer = await clinic.post(path, off)
    assert (answer.json()["minutes_before"], answer.json()["minutes_after"]) == (180, 0)
    assert await minutes(clinic, eve) == (0, 0, 0)
    assert (await clinic.state(f"episode/{eve}")).absences_consecutive == 0
    assert (await clinic.names(f"episode/{eve}"))[-1] == "attendance-corrected"


async def walks_in(clinic: Clinic, episode_id: str) -> str:
    ann = await clinic.admit("ann")
    session = await session_of(clinic, ann)
    answer = await rolled(clinic, session, line(ann), line(episode_id, walk_in=True))
    assert answer.status_code == 200, answer.text
    return session


async def test_who_is_not_oriented_and_came_is_recorded_and_somebody_puts_it_right(
    clinic: Clinic,
) -> None:
    new = await clinic.admit("new", oriented=False)
    session = await walks_in(clinic, new)
    assert await minutes(clinic, new) == (180, 180, 180), "they were there"
    [loop] = (await clinic.get("/loops?kind=walk_in")).json()["loops"]
    assert (loop["owner"]["role"], loop["subject"]) == ("counselor", f"session/{session}")
    await clinic.after(hours=49)
    assert "session-loop-escalated" in await clinic.names(f"session/{session}")
    now = clinic.clock.now()
    await clinic.hear(new, fact(intake.OrientationCompleted, completed_at=now))
    assert (await clinic.get("/loops?kind=walk_in")).json()["loops"] == []
    assert "session-escalation-cleared" in await clinic.names(f"session/{session}")


async def test_who_has_left_and_came_is_recorded_with_a_loop_that_somebody_settles(
    clinic: Clinic,
) -> None:
    gone = await clinic.admit("gone")
    await clinic.hear(gone, fact(plans.EpisodeDischarged, discharged_at=clinic.clock.now()))
    session = await walks_in(clinic, gone)
    assert "session-attended" not in await clinic.names(f"episode/{gone}")
    path, body = f"/sessions/{session}/walk-ins/settle", {"episode_id": gone}
    assert (await clinic.post(path, body)).status_code == 200
    assert (await clinic.get("/loops?kind=walk_in")).json()["loops"] == []
    assert code(await clinic.post(path, body)) == (404, "unknown-walk-in")


async def test_a_walk_in_that_was_somebody_else_closes_the_loop(clinic: Clinic) -> None:
    new = await clinic.admit("new", oriented=False)
    session = await walks_in(clinic, new)
    off = {**line(new, "no_show"), "reason": "wrong_person"}
    assert (await clinic.post(f"/attendance/{session}/corrections", off)).status_code == 200
    assert (await clinic.get("/loops?kind=walk_in")).json()["loops"] == []


async def test_an_episode_of_another_facility_or_of_nobody_is_no_walk_in(clinic: Clinic) -> None:
    ann = await clinic.admit("ann")
    session = await session_of(clinic, ann)
    stranger = line(uid("stranger"), walk_in=True)
    assert code(await rolled(clinic, session, line(ann), stranger)) == (409, "not-yet-known")


# --- when the roll is called -----------------------------------------------------------------------------


@pytest.mark.fault("F31")
async def test_a_roll_before_the_end_says_why_and_credits_the_time_until_then(
    clinic: Clinic,
) -> None:
    """The request of F6: a minute after the begin of three hours, 180 minutes were credited."""
    ann = await clinic.admit("ann")
    session = await clinic.meets(await clinic.seated(ann), hours=1)
    await clinic.after(hours=1, minutes=90)
    assert code(await rolled(clinic, session, line(ann))) == (409, "session-not-ended")
    answer = await rolled(clinic, session, line(ann), early="ended_early")
    assert answer.status_code == 200, answer.text
    assert await minutes(clinic, ann) == (180, 90, 90), "what was cut short was not offered"


@pytest.mark.fault("F35")
async def test_whoever_was_positive_today_is_in_no_group_today(clinic: Clinic) -> None:
    """The request of F25."""
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    group = await clinic.seated(ann, bob)
    today, tomorrow = [await clinic.meets(group, hours=n) for n in (3, 27)]
    clinic.acting_as("nurse")
    breath = {
        "episode_id": ann,
        "value_g_per_210l": 0.08,
        "device_id": "device-1",
        "observed_minutes": 15,
    }
    assert (await clinic.post("/breath-tests", breath)).status_code == 201
    clinic.acting_as("counselor")
    await clinic.after(hours=7)
    assert await expected(clinic, today) == [bob]
    assert (await rolled(clinic, today, line(bob))).status_code == 200
    assert await minutes(clinic, ann) == (180, 180, 0), "tomorrow's is left"
    await clinic.after(hours=24)
    assert await expected(clinic, tomorrow) == sorted([ann, bob])


@pytest.mark.fault("F30")
async def test_a_session_before_the_admission_credits_nothing(clinic: Clinic) -> None:
    """The request of F14: a session six weeks before the admission."""
    ann = await clinic.admit("ann")
    body = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() - 60 * HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    assert code(await clinic.post("/sessions", body)) == (409, "not-in-treatment-then")
    assert await minutes(clinic, ann) == (0, 0, 0)
    assert "session-attended" not in await clinic.names(f"episode/{ann}")
