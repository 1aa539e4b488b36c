"""Who leads a session: one at one time, replaced in time, and the signature under the roll."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.app import SERVICE
from services.attendance.groups import leaders
from services.attendance.groups.session_state import Credential
from shared.contracts import intake, plans
from shared.decision import Decision
from shared.duty import staff_subject
from shared.runtime.core.record import OutcomeStatus, StreamPosition, Work
from tests.unit.attendance.clinic import Clinic, code
from tests.unit.attendance.world import HOUR
from tests.unit.support import FACILITY, START, History, cause, fact, uid

ME, OTHER = uid("actor"), uid("colleague")


def line(staff_id: str, part: str = "leader") -> dict[str, str]:
    return {"staff_id": staff_id, "part": part, "credential": "social_worker"}


async def leads(clinic: Clinic, session: str, *lines: dict[str, str]) -> Any:
    return await clinic.post(f"/sessions/{session}/leaders", {"leaders": list(lines)})


async def open_loops(clinic: Clinic, kind: str) -> list[str]:
    return [one["subject"] for one in (await clinic.get(f"/loops?kind={kind}")).json()["loops"]]


async def two_at_once(clinic: Clinic, hours: int = 3) -> tuple[str, str]:
    ann, bob = await clinic.admit("ann"), await clinic.admit("bob")
    first = await clinic.meets(await clinic.seated(ann), hours=hours)
    second = await clinic.meets(await clinic.seated(bob), hours=hours + 1)
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
    first, second = await two_at_once(clinic, hours=40)
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


def away(clinic: Clinic, **until: float) -> intake.StaffAbsencePlanned:
    """Away from two hours on."""
    now = clinic.clock.now()
    return fact(
        intake.StaffAbsencePlanned,
        absence_id=uid("absence"),
        staff_id=ME,
        from_at=now + timedelta(hours=2),
        until_at=now + timedelta(**until),
        deputy_id=OTHER,
    )


@pytest.mark.parametrize("first_away", [True, False])
@pytest.mark.parametrize("until", [{"days": 3}, {"hours": 3.5}])
async def test_who_is_away_leads_nothing_whichever_was_first_said(
    clinic: Clinic, first_away: bool, until: dict[str, float]
) -> None:
    first, _ = await two_at_once(clinic)
    if first_away:
        await heard_of_staff(clinic, away(clinic, **until))
    await leads(clinic, first, line(ME))
    if not first_away:
        assert await open_loops(clinic, "leader") == []
        await heard_of_staff(clinic, away(clinic, **until))
    assert await open_loops(clinic, "leader") == [f"session/{first}"]
    await leads(clinic, first, line(OTHER, "substitute"))
    assert await open_loops(clinic, "leader") == []


async def test_who_is_there_after_all_leads(clinic: Clinic) -> None:
    first, _ = await two_at_once(clinic)
    await leads(clinic, first, line(ME))
    await heard_of_staff(clinic, away(clinic, days=3))
    assert await open_loops(clinic, "leader") == [f"session/{first}"]
    back = fact(intake.StaffAbsenceEnded, absence_id=uid("absence"), staff_id=ME)
    await heard_of_staff(clinic, back)
    assert await open_loops(clinic, "leader") == []


@pytest.mark.parametrize("end", ["its end", "its roll"])
async def test_nobody_looks_for_the_leader_of_a_session_that_is_over(
    clinic: Clinic, end: str
) -> None:
    _, second = await two_at_once(clinic)
    await leads(clinic, second, line(ME))
    await heard_of_staff(clinic, away(clinic, days=3))
    assert await open_loops(clinic, "leader") == [f"session/{second}"]
    await clinic.after(hours=5 if end == "its roll" else 8)
    if end == "its roll":
        lines = [{"episode_id": uid("bob"), "status": "attended"}]
        body = {"entries": lines, "early": "emergency"}
        assert (await clinic.post(f"/sessions/{second}/attendance", body)).status_code == 200
    assert await open_loops(clinic, "leader") == []
    await clinic.after(days=4)
    assert "session-loop-escalated" not in [
        event.NAME
        for event in await clinic.said(f"session/{second}")
        if getattr(event, "loop", None) == "leader"
    ]


async def test_nobody_looks_for_the_leader_of_a_session_without_people(clinic: Clinic) -> None:
    _, second = await two_at_once(clinic)
    await leads(clinic, second, line(ME))
    await heard_of_staff(clinic, away(clinic, days=3))
    left = fact(plans.EpisodeDischarged, discharged_at=clinic.clock.now())
    await clinic.hear(uid("bob"), left)
    await clinic.after(hours=8)
    assert await open_loops(clinic, "leader") == []
    assert f"session/{second}" not in await open_loops(clinic, "roll_call"), "nor for its roll"


async def test_what_is_long_over_is_not_kept(clinic: Clinic) -> None:
    """The record of who leads five sessions a week for years keeps those of about a week, and those ahead."""
    staff = History(
        SERVICE.source,
        SERVICE.kinds["staff"],
        SERVICE.reactions,
        SERVICE.handoffs,
        subject=staff_subject(FACILITY, ME),
        now=START,
    )
    for n in range(300):
        staff.after(hours=24)
        starts_at = staff.now + 2 * HOUR
        body = leaders.LeadsSession(
            session_id=uid(f"session {n}"),
            staff_id=ME,
            starts_at=starts_at,
            minutes_planned=60,
            credential=Credential.NURSE,
        )
        assert staff.handed(body).status is OutcomeStatus.APPLIED
    assert 7 <= len(staff.state.leads) <= 9
    assert staff.state.busy == ()


def _told_one_by_one(lead: dict[str, tuple[int, int]]) -> set[str]:
    """Who is told that their leader is elsewhere, by looking at each pair."""
    in_order = sorted(lead, key=lambda key: (lead[key][0], key))
    return {
        key
        for place, key in enumerate(in_order)
        if any(
            lead[other][0] < sum(lead[key]) and lead[key][0] < sum(lead[other])
            for other in in_order[:place]
        )
    }


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 300), st.integers(15, 120))
    )
)
def test_of_those_at_one_time_each_but_the_first_is_told(lead: dict[str, tuple[int, int]]) -> None:
    state = leaders.LeadingState()
    for key, (begins, minutes) in lead.items():
        starts_at = START + timedelta(minutes=begins)
        body = leaders.LeadsSession(
            session_id=key,
            staff_id=ME,
            starts_at=starts_at,
            minutes_planned=minutes,
            credential=Credential.NURSE,
        )
        state = leaders.leads_session(state, body, cause()).state
    assert set(state.busy) == _told_one_by_one(lead)


async def heard_of_staff(
    clinic: Clinic, event: intake.StaffAbsencePlanned | intake.StaffAbsenceEnded
) -> None:
    reaction = SERVICE.reactions.find(event.TYPE.rpartition(".v")[0])
    assert reaction is not None
    number = 1 if isinstance(event, intake.StaffAbsencePlanned) else 2
    name = uid(f"absence {number}")
    work = Work(
        subject=staff_subject(FACILITY, ME),
        cause_id=name,
        correlation_id=name,
        facility_id=FACILITY,
        now=clinic.clock.now(),
        decide=lambda state, cause: reaction.rule(state, event, cause),
        stream=StreamPosition("intake", number, name),
    )
    [outcome] = await clinic.reactor.submit([work])
    assert outcome.status is OutcomeStatus.APPLIED
    await clinic.reactor.settle()


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


# --- nobody, or without a credential ------------------------------------------------------------------------


async def led(clinic: Clinic, *episodes: str) -> str:
    """A group of a program that asks who leads its sessions."""
    group_id = await clinic.seated(*episodes)
    await clinic.command(
        f"group/{group_id}", f"led {group_id}", lambda state, _: Decision(state.replace(led=True))
    )
    return group_id


@pytest.mark.fault("F45")
@pytest.mark.parametrize("named", ["while it lasts", "after its roll"])
async def test_a_session_that_begins_with_nobody_to_lead_it_goes_up_until_one_is_named(
    clinic: Clinic, named: str
) -> None:
    """Nobody was asked, and no roll was signed, as if the session had led itself."""
    ann = await clinic.admit("ann")
    session = await clinic.meets(await led(clinic, ann), hours=2)
    assert await open_loops(clinic, "leader") == [], "there is time until it begins"
    await clinic.after(hours=2.5)
    assert await open_loops(clinic, "leader") == [f"session/{session}"]
    if named == "while it lasts":
        assert (await leads(clinic, session, line(ME))).status_code == 200
        assert await open_loops(clinic, "leader") == []
    await clinic.after(hours=3)
    roll = {"entries": [{"episode_id": ann, "status": "attended"}]}
    assert (await clinic.post(f"/sessions/{session}/attendance", roll)).status_code == 200
    if named == "after its roll":
        assert await open_loops(clinic, "leader") == [f"session/{session}"]
        await clinic.after(hours=24)
        assert "session-loop-escalated" in await clinic.names(f"session/{session}")
        assert (await leads(clinic, session, line(ME))).status_code == 200
        assert await open_loops(clinic, "leader") == []
    assert await open_loops(clinic, "sign_off") == [f"session/{session}"]
    assert (await clinic.post(f"/sessions/{session}/sign-off")).status_code == 200
    assert (await clinic.state(f"session/{session}")).loops == {}


@pytest.mark.parametrize("why", ["cancelled", "everybody has left"])
async def test_nobody_is_named_for_a_session_that_does_not_take_place(
    clinic: Clinic, why: str
) -> None:
    ann = await clinic.admit("ann")
    session = await clinic.meets(await led(clinic, ann), hours=2)
    await clinic.after(hours=2.5)
    assert await open_loops(clinic, "leader") == [f"session/{session}"]
    if why == "cancelled":
        await clinic.post(f"/sessions/{session}/cancel", {"cancelled_by": "weather"})
        assert await open_loops(clinic, "leader") == []
        await clinic.post(f"/sessions/{session}/cancel/undo")
        await clinic.after(minutes=1)
        assert await open_loops(clinic, "leader") == [f"session/{session}"], "it took place"
        return
    begun = clinic.clock.now() - HOUR
    await clinic.hear(ann, fact(plans.EpisodeDischarged, discharged_at=begun))
    assert await open_loops(clinic, "leader") == []


async def test_nobody_is_asked_for_before_a_session_begins(clinic: Clinic) -> None:
    """The person has left and comes back meanwhile: the session is still ahead."""
    ann = await clinic.admit("ann")
    body = {
        "modality": "individual",
        "starts_at": (clinic.clock.now() + 9 * HOUR).isoformat(),
        "minutes_planned": 60,
        "roster": [ann],
    }
    session = (await clinic.post("/sessions", body)).json()["session_id"]
    await clinic.command(
        f"session/{session}", "led", lambda state, _: Decision(state.replace(led=True))
    )
    left_at = clinic.clock.now()
    await clinic.hear(ann, fact(plans.EpisodeDischarged, discharged_at=left_at))
    await clinic.after(hours=1)
    await clinic.hear(ann, fact(plans.DischargeUndone, discharged_at=left_at))
    assert await open_loops(clinic, "leader") == []
    await clinic.after(hours=8.5)
    assert await open_loops(clinic, "leader") == [f"session/{session}"]


async def holds(clinic: Clinic, until: float | None, credential: str = "social_worker") -> Any:
    """What is on record of me: a credential until so many hours from now."""
    now = clinic.clock.now()
    body = {"credential": credential, "valid_from_at": (now - 900 * HOUR).isoformat()}
    if until is not None:
        body["valid_until_at"] = (now + until * HOUR).isoformat()
    clinic.acting_as("clinical_supervisor")
    answer = await clinic.post(f"/staff/{ME}/credentials", body)
    clinic.acting_as("counselor")
    return answer


@pytest.mark.fault("F46")
@pytest.mark.parametrize("first", ["the leader", "the record"])
@pytest.mark.parametrize("end", ["renewed", "another leads"])
async def test_who_leads_as_what_they_are_no_longer_is_replaced_or_renews_it(
    clinic: Clinic, first: str, end: str
) -> None:
    """The credential on a session was the caller's word, and nothing compared it with anything."""
    session, _ = await two_at_once(clinic, hours=30)
    if first == "the leader":
        await leads(clinic, session, line(ME))
    assert (await holds(clinic, 20)).status_code == 200
    if first == "the record":
        await leads(clinic, session, line(ME))
    assert await open_loops(clinic, "leader") == [f"session/{session}"]
    if end == "renewed":
        await holds(clinic, 9000)
    else:
        await leads(clinic, session, line(OTHER, "substitute"))
    assert await open_loops(clinic, "leader") == []
    assert (await clinic.state(f"session/{session}")).lapsed == ()


@pytest.mark.parametrize("weeks", [0, 3])
async def test_a_credential_that_is_known_later_to_have_lapsed_is_looked_at(
    clinic: Clinic, weeks: int
) -> None:
    """The session is over and signed: it stays somebody's until the record or the session is right."""
    session, ann = await called(clinic, line(ME))
    await clinic.post(f"/sessions/{session}/sign-off")
    assert (await holds(clinic, -100)).status_code == 200
    assert await open_loops(clinic, "leader") == [f"session/{session}"]
    left = fact(plans.EpisodeDischarged, discharged_at=clinic.clock.now())
    await clinic.hear(ann, left)
    await clinic.after(days=7 * weeks)
    await holds(clinic, 50, "nurse")
    assert await open_loops(clinic, "leader") == [f"session/{session}"]
    await holds(clinic, 9000)
    assert await open_loops(clinic, "leader") == []


@pytest.mark.parametrize(
    ("until", "credential", "opens"),
    [(None, "social_worker", False), (31, "social_worker", False), (None, "nurse", True)],
)
async def test_who_leads_as_what_is_on_record(
    clinic: Clinic, until: float | None, credential: str, opens: bool
) -> None:
    session, _ = await two_at_once(clinic, hours=30)
    await holds(clinic, until, credential)
    await leads(clinic, session, line(ME))
    assert await open_loops(clinic, "leader") == ([f"session/{session}"] if opens else [])


async def test_a_credential_that_makes_no_sense_is_refused(clinic: Clinic) -> None:
    assert code(await holds(clinic, -900)) == (422, "credential-impossible")
    body = {"credential": "social_worker", "valid_from_at": clinic.clock.now().isoformat()}
    assert (await clinic.post(f"/staff/{ME}/credentials", body)).status_code == 403


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


@pytest.mark.parametrize("when", ["unsigned", "signed", "before anybody led"])
async def test_another_leader_signs_after_a_change(clinic: Clinic, when: str) -> None:
    session, _ = await called(clinic, *([] if when == "before anybody led" else [line(OTHER)]))
    if when == "signed":
        await clinic.command(
            f"session/{session}",
            "sign",
            lambda s, c: leaders.sign_off(s, c._replace(actor_id=OTHER)),
        )
        assert await open_loops(clinic, "sign_off") == []
    assert (await leads(clinic, session, line(ME))).status_code == 200
    assert await open_loops(clinic, "sign_off") == [f"session/{session}"]
    assert (await clinic.post(f"/sessions/{session}/sign-off")).status_code == 200
    assert await open_loops(clinic, "sign_off") == []


async def test_a_signature_of_who_still_leads_stands(clinic: Clinic) -> None:
    session, _ = await called(clinic, line(ME))
    await clinic.post(f"/sessions/{session}/sign-off")
    await leads(clinic, session, line(ME), line(OTHER, "co_leader"))
    assert await open_loops(clinic, "sign_off") == []
    assert (await clinic.state(f"session/{session}")).signed_by == ME


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
