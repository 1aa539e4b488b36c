"""Stories of the year after: a return to use, danger at a check-in, and somebody who is lost and found."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.protagonist import FACILITY, Protagonist
from shared.decision import derive_id

HOSPITAL: Final = "st-marys-emergency"


async def returns_to_use(stage: Stage) -> None:
    """11: Return to use on day 70: reassessed within days, readmitted as an episode that continues the first."""
    ray = stage.person("ray")
    await ray.on(0)
    await ray.is_in_treatment(weeks=3)
    for monday in (0, 7, 14):
        await ray.week(monday)
    await ray.graduates(21)
    calendar = await ray.check_ins()
    for check_in in calendar[:5]:
        await ray.checks_in(check_in)
    await ray.on(21 + 70)
    told = {"reported_by": "patient", "substance_class": "alcohol", "overdose": False}
    await ray.does(
        "case_manager",
        "followup",
        "/return-to-use",
        {**ray.of, **told},
        "return-to-use-reported",
        "reengagement-started",
    )
    again = stage.person("ray-again")
    await again.on(92)
    await again.is_referred(urgency="urgent", person_id=ray.person_id)
    assert again.person_id == ray.person_id
    assert await again.is_assessed()
    led = {**ray.of, "outcome": "readmitted"}
    await ray.does(
        "case_manager",
        "followup",
        "/reengagements",
        led,
        "reengagement-completed",
        "readmission-requested",
    )
    await again.is_admitted(weeks=2, prior_episode_id=ray.episode_id)
    await again.has_a_plan()
    stage.ids["superseded"] = await ray.is_refused(
        "case_manager",
        "followup",
        f"/checkins/{calendar[5]['check_in_id']}/attempts",
        {**ray.of, "channel": "call", "result": "reached"},
    )
    stage.ids["left"] = " ".join(item["state"] for item in await ray.check_ins())
    for monday in (98, 105):
        await again.week(monday)
    await again.graduates(112)
    await again.checks_in((await again.check_ins())[0])


async def in_danger(stage: Stage) -> None:
    """15: Danger to life at a check-in: the hospital is told and that is written down, and the visit is followed up."""
    stage.beside(in_danger_when_assessed(stage))
    sam = stage.person("sam")
    await sam.on(0, time(10))
    await sam.is_in_treatment()
    await sam.week(0)
    await sam.on(7)
    await sam.leaves("against_advice")
    first, second, *others = await sam.check_ins()
    loop_id = await _says_so(sam, first)
    stage.ids["disclosure"] = await discloses_in_emergency(sam, "overdose")
    answered = {**sam.of, "how": "emergency_department"}
    path = f"/risk-responses/{loop_id}/complete"
    await sam.does("clinician", "followup", path, answered, "transition-reported")
    review_id = await sam.open_review("risk")
    looked = {**sam.of, "outcome": "none"}
    await sam.does("clinician", "plans", f"/reviews/{review_id}/complete", looked)
    before = await _fua(sam)
    day = sam.now
    told = f"/disclosures/{stage.ids['disclosure']}/review"
    await sam.does("privacy_officer", "intake", told, sam.of)
    await sam.checks_in(second)
    await _is_seen(sam, day + timedelta(days=6))
    after = await _fua(sam)
    stage.ids["seen"] = str(after["within_7"]["numerator"] - before["within_7"]["numerator"])
    for check_in in others:
        await sam.checks_in(check_in)


async def _says_so(sam: Protagonist, check_in: dict[str, Any]) -> str:
    """At the check-in it comes out that there is danger to life; returns the loop of the answer."""
    await sam.world.until(datetime.fromisoformat(check_in["due_at"]))
    path = f"/checkins/{check_in['check_in_id']}"
    reached = {**sam.of, "channel": "call", "result": "reached"}
    await sam.does("case_manager", "followup", f"{path}/attempts", reached)
    said = {
        "use_since": "some",
        "housing": "stable",
        "risk_flags": ["overdose_risk"],
    }
    told = await sam.does(
        "case_manager",
        "followup",
        f"{path}/complete",
        {**sam.of, **said},
        "check-in-completed",
        check_in_id=check_in["check_in_id"],
    )
    return str(told["risk_loop_id"])


async def discloses_in_emergency(one: Protagonist, nature: str) -> str:
    """The hospital is told without consent, and all that 42 CFR 2.51 asks for is written down at once."""
    told = await one.does(
        "case_manager",
        "intake",
        "/disclosures/emergency",
        {
            "person_id": one.person_id,
            "episode_id": one.episode_id,
            "recipient_id": HOSPITAL,
            "categories": ["medication"],
            "discloser_id": derive_id("demo", FACILITY, "case_manager"),
            "disclosed_at": one.now.isoformat(),
            "personnel_name": "Avery Quill",
            "personnel_role": "emergency-physician",
            "nature": nature,
        },
        "emergency-disclosure-made",
        "disclosure-recorded",
    )
    return str(told["disclosure_id"])


async def _is_seen(one: Protagonist, at: datetime) -> None:
    """An appointment is agreed, on the last day but one that counts, and kept."""
    told = await one.does(
        "case_manager",
        "followup",
        "/aftercare-plans",
        {
            **one.of,
            "elements": ["crisis-contacts", "naloxone", "individual-therapy"],
            "first_appointment_at": at.isoformat(),
        },
        "aftercare-plan-agreed",
    )
    await one.world.until(at + timedelta(hours=1))
    path = f"/aftercare-plans/{told['aftercare_plan_id']}/first-appointment"
    await one.does("case_manager", "followup", path, {**one.of, "outcome": "kept"})


async def _fua(one: Protagonist) -> dict[str, Any]:
    """How many of the facility were seen in time after an emergency visit."""
    first, last = one.when(-30).date(), one.when(400).date()
    path = f"/measures/fua?from={first}&to={last}"
    return dict((await one.sees("case_manager", "followup", path))["parts"])


async def in_danger_when_assessed(stage: Stage) -> None:
    """15: Danger found at the assessment stops it: nobody is placed by a rule, and the visit is followed up as well."""
    mika = stage.person("mika")
    await mika.on(0, time(11))
    await mika.is_referred(urgency="urgent")
    assert not await mika.is_assessed(imminent_danger=True, danger_action="ed", danger_dimension=3)
    await discloses_in_emergency(mika, "suicide_risk")
    assessment = f"/assessments/{mika.assessment_id}/recommendation"
    stage.ids["no_level"] = await mika.is_refused("clinician", "intake", assessment, mika.of)
    visited = {**mika.of, "kind": "ed_visit", "on": mika.now.date().isoformat()}
    await mika.does("case_manager", "followup", "/transitions", visited)
    await mika.on(2)
    closed = f"/referrals/{mika.episode_id}/close"
    await mika.does("intake_coordinator", "intake", closed, {"outcome": "lost"})


async def is_lost(stage: Stage) -> None:
    """16: Not reached for the check-in of the first week, nor for a month; and then a call is answered."""
    tess = stage.person("tess")
    await tess.on(0, time(12))
    await tess.is_in_treatment()
    await tess.week(0)
    await tess.on(7)
    await tess.leaves("administrative")
    first, second, *others = await tess.check_ins()
    await tess.checks_in(first)
    for day, channel in enumerate(("call", "sms", "call")):
        await tess.world.until(datetime.fromisoformat(second["due_at"]) + timedelta(days=day * 0.9))
        await tess.does(
            "case_manager",
            "followup",
            f"/checkins/{second['check_in_id']}/attempts",
            {**tess.of, "channel": channel, "result": "no_answer"},
            "check-in-attempted",
            check_in_id=second["check_in_id"],
            attempt=day + 1,
        )
    await tess.on(7 + 45)
    answered = {"channel": "call", "result": "reached"}
    outreach = f"/episodes/{tess.episode_id}/outreach"
    await tess.does("peer_specialist", "followup", outreach, answered)
    regained = {**tess.of, "cause": "contact_regained"}
    await tess.does("case_manager", "followup", "/reengagements", regained, "reengagement-started")
    await tess.after(days=1)
    led = {**tess.of, "outcome": "outpatient"}
    await tess.does("case_manager", "followup", "/reengagements", led, "reengagement-completed")
    for check_in in others[2:]:
        await tess.checks_in(check_in)


STORIES = (
    Story(11, "Return to use, and readmission", returns_to_use),
    Story(15, "Imminent danger during a check-in", in_danger),
    Story(16, "Lost contact", is_lost),
)
