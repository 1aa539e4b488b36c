"""The story of what nobody did in time: each loop is said to be overdue, has another owner, and is closed even so."""

from __future__ import annotations

from datetime import time
from typing import Final

from demo.cast.company import Stage, Story
from demo.cast.levels import opens_group
from demo.cast.partners import asam, asks, ends, is_closed, lets_know
from demo.cast.protagonist import FOR_IOP, Protagonist
from demo.paths import GOALS

SLOW: Final = "slow-detox"
FIVE_WEEKS: Final = (0, 7, 14, 21, 28)


async def nobody_in_time(stage: Stage) -> None:
    """19: A plan review, a partner's answer, a group's size and a referral wait too long, each in its service."""
    stage.beside(no_answer(stage))
    stage.beside(too_few(stage))
    stage.beside(declined_late(stage))
    await reviewed_late(stage)


async def reviewed_late(stage: Stage) -> None:
    """19: A goal is added on the way; the review of the plan is due after thirty days, and comes after thirty-five."""
    vera = stage.person("vera")
    await vera.on(0)
    await vera.is_in_treatment()
    number, metric = GOALS[0]
    goal = {
        "dimension": {"edition": "3", "number": number},
        "metric": metric,
        "unit": "per_week",
        "baseline": 0,
        "target": 2,
        "due_on": vera.when(40).date().isoformat(),
        "owner": "patient",
        "contributors": ["patient", "counselor"],
    }
    path = f"/plans/{vera.plan_id}/goals"
    told = await vera.does("counselor", "plans", path, {**vera.of, **goal}, "goal-added")
    further = f"/goals/{told['goal_id']}"
    for monday in FIVE_WEEKS:
        await vera.week(monday)
    await vera.on(35)
    stage.ids["review"] = await _overdue(vera, "plans")
    found = {**vera.of, "basis": "progressing", "decision": "continue"}
    given_up = {**vera.of, "withdrawn": "patient_choice"}
    await vera.does("counselor", "plans", further, given_up, "goal-withdrawn", method="PATCH")
    path = f"/plans/{vera.plan_id}/reviews"
    await vera.does("clinician", "plans", path, found, "treatment-plan-reviewed")
    stage.ids["reviewed"] = await _overdue(vera, "plans")
    await vera.leaves()


async def no_answer(stage: Stage) -> None:
    """19: A partner does not answer: said every day, until somebody finds out what became of the person."""
    xia = stage.person("xia")
    await xia.on(0, time(10))
    await xia.is_referred()
    assert not await xia.is_assessed({**FOR_IOP, "1": 3})
    await lets_know(xia, SLOW)
    sent = await asks(xia, SLOW, "withdrawal_management", asam("3.7"))
    await xia.on(4, time(10))
    stage.ids["asked"] = await _overdue(xia, "intake")
    await ends(xia, sent, "lost")
    await is_closed(xia, "lost")
    stage.ids["ended"] = await _overdue(xia, "intake")


async def too_few(stage: Stage) -> None:
    """19: A group of one, about which nobody decides for three days."""
    yan, zoe = stage.person("yan"), stage.person("zoe")
    await yan.on(0, time(11))
    group_id = stage.ids["group"] = await opens_group(yan, seats_max=2)
    seats = f"/groups/{group_id}/seats"
    for one in (yan, zoe):
        await one.is_referred()
        held = {**one.of, "hold_minutes": 14 * 24 * 60}
        await one.does("intake_coordinator", "attendance", seats, held)
    await zoe.does("intake_coordinator", "attendance", f"{seats}/release", zoe.of)
    await yan.on(3, time(12))
    size = f"/groups/{group_id}/below-minimum"
    decided = {"decision": "rescheduled"}
    await yan.does("program_director", "attendance", size, decided, "group-escalation-cleared")
    await yan.does("counselor", "attendance", f"/groups/{group_id}/close")
    for one in (yan, zoe):
        await is_closed(one)


async def declined_late(stage: Stage) -> None:
    """19: Nobody takes a referral on for two days; then it is declined, and others are named."""
    wes = stage.person("wes")
    await wes.on(0, time(12))
    body = {"source_kind": "residential", "urgency": "routine"}
    told = await wes.does("intake_coordinator", "intake", "/referrals", body, "referral-received")
    wes.episode_id, wes.person_id = told["episode_id"], told["person_id"]
    await wes.on(2, time(13))
    why = {"reason": "level_not_offered", "alternatives": ["harbor-outpatient"]}
    path = f"/referrals/{wes.episode_id}/decline"
    await wes.does(
        "clinical_supervisor", "intake", path, why, "referral-declined", "referral-loop-closed"
    )


async def _overdue(one: Protagonist, service: str) -> str:
    """What a service says is overdue about this person, and whose it is now."""
    seen = await one.sees("clinical_supervisor", service, "/loops?overdue=true&limit=500")
    ours = [loop for loop in seen["loops"] if loop["subject"] == one.subject]
    return " ".join(f"{loop['kind']}:{loop['owner']['role']}" for loop in ours)


STORIES = (Story(19, "What nobody did in time", nobody_in_time),)
