"""Who leads a session: one at one time, replaced in time, and the signature under the roll."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts import intake
from shared.duty import staff_subject
from shared.runtime.core.record import OutcomeStatus, StreamPosition, Work
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.attendance.world import HOUR
from tests.unit.support import FACILITY, fact, uid

ME, OTHER = uid("actor"), uid("colleague")


def line(staff_id: str, part: str = "leader") -> dict[str, str]:
    return {"staff_id": staff_id, "part": part, "credential": "social_worker"}


async def leads(clinic: Clinic, session: str, *lines: dict[str, str]) -> Any:
    return await clinic.post(f"/sessions/{session}/leaders", {"leaders": list(lines)})


async def open_loops(clinic: Clinic, kind: str) -> list[str]:
    return [one["subject"] for one in (await clinic.get(f"/loops?kind={kind}")).json()["loops"]]


async def two_at_once(clinic: Clinic) -> tuple[str, str]:
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    first = await clinic.meets(await clinic.seated(ann), hours=3)
    second = await clinic.meets(await clinic.seated(bob), hours=4)
    return first, second


async def called(clinic: Clinic, *lines: dict[str, str]) -> tuple[str, str]:
    ann = await clinic.admit("ann")
    session = await clinic.meets(await clinic.seated(ann), hours=1)
    if lines:
        assert (await leads(clinic, session, *lines)).status_code == 200
    await clinic.after(hours=4)
    roll = {"entries": [{"episode_id": ann, "status": "attended"}]}
    assert (await clinic.post(f"/sessions/{session}/attendance", roll)).status_code == 200
    return session, ann


@pytest.mark.fault("F34")
async def test_who_leads_two_at_one_time_is_replaced_or_it_goes_up(clinic: Clinic) -> None:
    first, second = await two_at_once(clinic)
    for session in (first, second):
        assert (await leads(clinic, session, line(ME))).status_code == 200
    assert await open_loops(clinic, "leader") == [f"session/{second}"]
    await clinic.after(hours=25)
    assert "session-loop-escalated" in await clinic.names(f"session/{second}")
    stands_in = await leads(clinic, second, line(OTHER, "substitute"), line(ME, "co_leader"))
    assert stands_in.status_code == 200
    assert await open_loops(clinic, "leader") == [f"session/{second}"], "still in two places"
    assert (await leads(clinic, second, line(OTHER, "substitute"))).status_code == 200
    assert await open_loops(clinic, "leader") == []
    assert "session-escalation-cleared" in await clinic.names(f"session/{second}")


@pytest.mark.parametrize("end", ["cancelled", "moved", "the other is replaced"])
async def test_it_ends_when_one_of_the_two_goes(clinic: Clinic, end: str) -> None:
    first, second = await two_at_once(clinic)
    for session in (second, first):
        await leads(clinic, session, line(ME))
    assert await open_loops(clinic, "leader") == [f"session/{second}"], "whichever was first said"
    if end == "cancelled":
        await clinic.post(f"/sessions/{first}/cancel", {"cancelled_by": "program"})
    elif end == "moved":
        later = {"starts_at": (clinic.clock.now() + 30 * HOUR).isoformat()}
        await clinic.post(f"/sessions/{second}/reschedule", later)
    else:
        await leads(clinic, first, line(OTHER))
    assert await open_loops(clinic, "leader") == []


async def test_a_cancelled_session_needs_no_leader_until_it_is_put_back(clinic: Clinic) -> None:
    first, second = await two_at_once(clinic)
    for session in (first, second):
        await leads(clinic, session, line(ME))
    cancel = f"/sessions/{second}/cancel"
    await clinic.post(cancel, {"cancelled_by": "program"})
    assert await open_loops(clinic, "leader") == []
    await clinic.post(f"{cancel}/undo")
    assert await open_loops(clinic, "leader") == [f"session/{second}"]


async def test_who_is_away_leads_nothing(clinic: Clinic) -> None:
    first, _ = await two_at_once(clinic)
    now = clinic.clock.now()
    away = fact(
        intake.StaffAbsencePlanned,
        absence_id=uid("absence"),
        from_at=now,
        until_at=now + timedelta(days=3),
        deputy_id=OTHER,
    )
    await heard_of_staff(clinic, away)
    await leads(clinic, first, line(ME))
    assert await open_loops(clinic, "leader") == [f"session/{first}"]
    await leads(clinic, first, line(OTHER, "substitute"))
    assert await open_loops(clinic, "leader") == []


async def heard_of_staff(clinic: Clinic, event: intake.StaffAbsencePlanned) -> None:
    from services.attendance.app import SERVICE  # noqa: PLC0415

    reaction = SERVICE.reactions.find(event.TYPE.rpartition(".v")[0])
    assert reaction is not None
    work = Work(
        subject=staff_subject(FACILITY, ME),
        cause_id=uid("absence"),
        correlation_id=uid("absence"),
        facility_id=FACILITY,
        now=clinic.clock.now(),
        decide=lambda state, cause: reaction.rule(state, event, cause),
        stream=StreamPosition("intake", 1, uid("absence")),
    )
    [outcome] = await clinic.reactor.submit([work])
    assert outcome.status is OutcomeStatus.APPLIED


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        ([], 422, "request-invalid"),
        ([line(ME, "co_leader")], 422, "one-leader"),
        ([line(ME), line(OTHER)], 422, "one-leader"),
        ([line(ME), line(ME, "co_leader")], 422, "leader-repeats"),
        ([{**line(ME), "credential": "wizard"}], 422, "request-invalid"),
        ([{**line(ME), "part": "unknown"}], 422, "request-invalid"),
        ([{**line(ME), "name": "free text"}], 422, "request-invalid"),
    ],
)
async def test_leaders_that_make_no_sense_are_refused(
    clinic: Clinic, lines: list[dict[str, str]], status: int, why: str
) -> None:
    first, _ = await two_at_once(clinic)
    assert code(await leads(clinic, first, *lines)) == (status, why)


# --- the signature ---------------------------------------------------------------------------------------


async def test_the_roll_is_signed_by_who_led_and_a_correction_anew(clinic: Clinic) -> None:
    session, ann = await called(clinic, line(ME))
    sign = f"/sessions/{session}/sign-off"
    assert await open_loops(clinic, "sign_off") == [f"session/{session}"]
    answer = await clinic.post(sign)
    assert (answer.status_code, answer.json()["credential"]) == (200, "social_worker")
    assert code(await clinic.post(sign)) == (409, "roll-signed")
    assert await open_loops(clinic, "sign_off") == []
    correction = {
        "episode_id": ann,
        "status": "late",
        "minutes_present": 90,
        "reason": "entered_in_error",
    }
    await clinic.post(f"/attendance/{session}/corrections", correction)
    assert await open_loops(clinic, "sign_off") == [f"session/{session}"]
    assert (await clinic.post(sign)).status_code == 200


async def test_a_roll_that_nobody_signs_goes_up(clinic: Clinic) -> None:
    session, _ = await called(clinic, line(ME))
    await clinic.after(hours=73)
    assert "session-loop-escalated" in await clinic.names(f"session/{session}")
    assert (await clinic.post(f"/sessions/{session}/sign-off")).status_code == 200
    assert "session-escalation-cleared" in await clinic.names(f"session/{session}")


async def test_nobody_else_signs_and_nothing_that_was_not_called(clinic: Clinic) -> None:
    session, _ = await called(clinic, line(OTHER))
    assert code(await clinic.post(f"/sessions/{session}/sign-off")) == (403, "not-a-leader")
    ahead = await clinic.meets(await clinic.seated(await clinic.admit("eve")), hours=3)
    await leads(clinic, ahead, line(ME))
    assert code(await clinic.post(f"/sessions/{ahead}/sign-off")) == (409, "roll-not-called")


async def test_a_session_without_leaders_needs_no_signature(clinic: Clinic) -> None:
    await called(clinic)
    assert await open_loops(clinic, "sign_off") == []


async def test_a_member_of_staff_sees_what_they_lead(clinic: Clinic) -> None:
    first, second = await two_at_once(clinic)
    await leads(clinic, second, line(ME))
    rows = (await clinic.get(f"/sessions?leader={ME}")).json()["sessions"]
    assert [row["session_id"] for row in rows] == [second]
    assert rows[0]["leaders"] == {ME: {"part": "leader", "credential": "social_worker"}}
    assert first != second


# --- what a session is ------------------------------------------------------------------------------------


@pytest.mark.fact("3.9")
async def test_a_session_has_an_approach_of_its_program_and_what_it_needs(clinic: Clinic) -> None:
    ann = await clinic.admit("ann", program="daily-dual-diagnosis")
    body = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
        "therapy": "crystal-healing",
        "supports": ["interpreter", "childcare", "interpreter"],
    }
    assert code(await clinic.post("/sessions", body)) == (422, "therapy-not-offered")
    answer = await clinic.post("/sessions", {**body, "therapy": "dialectical-behavior"})
    view = (await clinic.get(f"/sessions/{answer.json()['session_id']}")).json()
    assert (view["therapy"], view["supports"]) == (
        "dialectical-behavior",
        ["interpreter", "childcare"],
    )
    group = await clinic.seated(ann, program="daily-dual-diagnosis", track="day")
    of_group = {
        "modality": "group",
        "group_id": group,
        "starts_at": (clinic.clock.now() + 5 * HOUR).isoformat(),
        "minutes_planned": 180,
        "therapy": "crystal-healing",
    }
    assert code(await clinic.post("/sessions", of_group)) == (422, "outside-program")
    of_group["therapy"] = "relapse-prevention"
    assert (await clinic.post("/sessions", of_group)).status_code == 201
