"""What was recorded wrongly is taken back, and everybody follows: step by step, with what the services answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from demo.services import DemoError
from tests.flows.scene import EVENING, MORNING, NIGHT, NOON, ZONE, Flow, Patient, in_order, of

MON, TUE, WED, THU, _ = range(5)
BOSS = "clinical_supervisor"


async def _loops(flow: Flow, patient: Patient) -> set[tuple[str, str]]:
    """What is waited for about this person, by service and kind."""
    found: set[tuple[str, str]] = set()
    for service in ("intake", "plans", "attendance", "followup"):
        answer = await flow.staff.sees(BOSS, service, "/loops?limit=500")
        found |= {
            (service, loop["kind"])
            for loop in answer["loops"]
            if loop["subject"] == patient.subject
        }
    return found


@pytest.mark.fault("F14")
async def test_a_living_person_who_was_recorded_as_dead_is_back_everywhere(flow: Flow) -> None:
    """Two days later: seat, session, loops and the week are as if nobody had been wrong; and somebody looks."""
    patient = await flow.admitted()
    program = {"program": "iop-evening", "track": "evening", "time_zone": ZONE}
    group = await flow.does("counselor", "attendance", "/groups", **program)
    seat = f"/groups/{group['group_id']}/seats"
    await flow.does("counselor", "attendance", seat, "held", episode_id=patient.episode_id)
    session = await flow.session(patient, at=flow.when(THU, EVENING), minutes=60)
    await flow.world.quiet()
    before = await _loops(flow, patient)
    bookings = (await flow.view("attendance", patient))["bookings"]
    await flow.on(MON, NOON)
    ends = f"/episodes/{patient.episode_id}/discharge"
    await flow.does("clinician", "plans", ends, "wrong", kind="deceased")
    await flow.world.quiet()
    assert await _loops(flow, patient) == set()
    reached = {"channel": "call", "result": "reached"}
    outreach = f"/episodes/{patient.episode_id}/outreach"
    with pytest.raises(DemoError, match=r"no-contact.*discharge/undo"):
        await flow.does("counselor", "followup", outreach, "too early", **reached)
    await flow.on(WED, NOON)
    await flow.does(BOSS, "plans", f"{ends}/undo", "right", reason="wrong_person")
    await flow.world.quiet()
    assert await _loops(flow, patient) == before | {("plans", "clinical_review")}
    after = await flow.view("attendance", patient)
    assert after["bookings"] == bookings
    assert (await flow.view("intake", patient))["stage"] == "oriented"
    await flow.does("counselor", "followup", outreach, "in time", **reached)
    await flow.on(THU, NIGHT)
    await flow.roll(session, {patient: 60})
    facts = await flow.facts(patient.subject)
    assert in_order(facts, "seat-released", "seat-reserved", "discharge-undone", "session-attended")
    [undone] = of(facts, "discharge-undone")
    assert (undone.data["kind"], undone.data["reason"]) == ("deceased", "wrong_person")
    with pytest.raises(DemoError, match="not-discharged"):
        await flow.does(BOSS, "plans", f"{ends}/undo", "again", reason="wrong_person")
    await flow.leaves(patient)


async def test_an_overturned_positive_is_nobodys_any_more(flow: Flow) -> None:
    """Presumptive, interpreted, and then the definitive test finds nothing."""
    patient = await flow.admitted()
    told = {"episode_id": patient.episode_id}
    answer = await flow.does("nurse", "attendance", "/screens", panel="urine-12", **told)
    screen = f"/screens/{answer['screen_id']}"
    await flow.does("nurse", "attendance", f"{screen}/collect", observed=True, **told)

    async def resulted(stage: str, found: list[str]) -> dict[str, Any]:
        said: dict[str, Any] = {"stage": stage, "validity": "valid", "positives": found, **told}
        await flow.does("nurse", "attendance", f"{screen}/results", stage, **said)
        await flow.does("clinician", "attendance", f"{screen}/interpret", stage, **told)
        await flow.world.quiet()
        return await flow.view("plans", patient)

    await flow.on(TUE, MORNING)
    seen = await resulted("presumptive", ["amphetamine"])
    assert [r["trigger"] for r in seen["reviews"].values() if r["open"]] == ["screen"]
    assert (await flow.view("followup", patient))["screens_failed"] == 1
    seen = await resulted("definitive", [])
    assert not [r for r in seen["reviews"].values() if r["open"]]
    assert (await flow.view("followup", patient))["screens_failed"] == 0
    facts = await flow.facts(patient.subject)
    assert in_order(
        facts, "screen-failed", "clinical-review-requested", "clinical-review-completed"
    )
    await flow.leaves(patient)


@pytest.mark.fault("F22")
async def test_nobody_calls_the_family_of_who_died_in_the_year_after(flow: Flow) -> None:
    """Not for a year; and when it was a namesake, the check-ins go on."""
    patient = await flow.admitted()
    ends = f"/episodes/{patient.episode_id}/discharge"
    await flow.does("clinician", "plans", ends, "left", kind="against_advice")
    await flow.on(TUE, NOON)
    day = flow.when(TUE, NOON).date().isoformat()
    died = {"episode_id": patient.episode_id, "kind": "deceased", "occurred_on": day}
    told = await flow.does("case_manager", "followup", "/circumstances", **died)
    await flow.on(40, NOON)
    assert ("followup", "check_in") not in await _loops(flow, patient)
    facts = await flow.facts(patient.subject)
    assert not of(facts, "check-in-missed")
    assert not of(facts, "outreach-escalated")
    undo = f"/circumstances/{told['circumstance_id']}/undo"
    why = {"episode_id": patient.episode_id, "reason": "wrong_person"}
    await flow.does("case_manager", "followup", undo, **why)
    await flow.world.step_to(flow.when(40, NOON) + timedelta(hours=1))
    facts = await flow.facts(patient.subject)
    missed = [f.headers["ce_time"] for f in of(facts, "check-in-missed")]
    assert len(missed) == 4, "as if nobody had been wrong, each at its time"
    await flow.does("case_manager", "followup", "/circumstances", "true", **died)
    await flow.world.quiet()
