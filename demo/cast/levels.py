"""Stories of the level of care: up to a residence, down as care takes hold, and needs that are treated together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.partners import (
    answers,
    asam,
    asks,
    ends,
    is_handed_over,
    is_seen_there,
    lets_know,
)
from demo.cast.protagonist import FOR_IOP, PROGRAM, ZONE, Protagonist
from demo.hours import ROLL

DAY_TREATMENT: Final = "individual"
"""Of another level than the program's evening groups, in which nobody of that level has a seat."""
RESIDENCE: Final = "high-plains-residence"
DUAL_HOUSE: Final = "high-plains-dual-diagnosis"
IN_WITHDRAWAL: Final = {**FOR_IOP, "1": 3}
FOURTH: Final = {"1": "ANY", "2": "ANY", "3": "1.5", "4": "2.1", "5": "1.5", "6": "ANY"}
"""Ratings of the fourth edition, which name the least level of each dimension."""
TOGETHER: Final = ("cognitive-behavioral", "dialectical-behavior", "integrated-dual-diagnosis")
GOALS_TOGETHER: Final = ((3, "symptom-days"), (4, "goals-named"), (5, "sessions-attended"))


async def opens_group(one: Protagonist, **more: Any) -> str:
    """A group of the evening program is opened; returns its id."""
    told = await one.does(
        "counselor",
        "attendance",
        "/groups",
        {"program": PROGRAM, "track": "evening", "time_zone": ZONE, **more},
        "group-opened",
    )
    return str(told["group_id"])


async def changes_level(one: Protagonist, code: str, direction: str, **more: Any) -> None:
    """A clinician decides for another level; `edition` is the third unless it is given."""
    edition = more.pop("edition", "3")
    await one.does(
        "clinician",
        "plans",
        f"/episodes/{one.episode_id}/loc-changes",
        {"to_level": asam(code, edition), "direction": direction, **more},
        "level-of-care-change-recommended",
        direction=direction,
    )


async def goes_elsewhere(one: Protagonist, partner: str, kind: str, code: str, day: int) -> str:
    """Consent, referral, acceptance, hand-over and first contact on a day; returns the referral's id."""
    level = asam(code)
    await lets_know(one, partner)
    sent = await asks(one, partner, kind, level)
    await one.after(hours=2)
    await answers(one, sent, "accepted", appointment_at=one.when(day).isoformat())
    await is_handed_over(one, sent, partner, level, in_hours=20)
    await one.on(day, time(12))
    await is_seen_there(one)
    await ends(one, sent, "admitted")
    return sent


# --- up ---------------------------------------------------------------------------------------------------


async def step_up(stage: Stage) -> None:
    """5: Two unexpected positives and signs of withdrawal: looked at anew, and to a residence. The seat falls free."""
    ben = stage.person("ben")
    await ben.on(0)
    await ben.is_in_treatment()
    group_id = stage.ids["group"] = await opens_group(ben)
    seats = f"/groups/{group_id}/seats"
    await ben.does("intake_coordinator", "attendance", seats, ben.of)
    await ben.on(1)
    await ben.is_screened(["cocaine"])
    await _is_reviewed(ben, "intensify")
    await ben.on(3)
    await ben.is_screened(["cocaine", "fentanyl"])

    await ben.on(4, time(10))
    assert not await ben.is_assessed(IN_WITHDRAWAL)
    review_id = await ben.open_review("screen")
    stage.ids["unanswered"] = await ben.is_refused(
        "clinician", "plans", f"/reviews/{review_id}/complete", {**ben.of, "outcome": "up"}
    )
    await _is_reviewed(ben, "up", drivers=[{"edition": "3", "number": 1}])
    stage.ids["here"] = await ben.is_refused(
        "clinician",
        "plans",
        f"/episodes/{ben.episode_id}/loc-changes",
        {"to_level": asam("3.7"), "direction": "up"},
    )
    await changes_level(ben, "3.7", "up", elsewhere=True)
    stage.ids["sent"] = await goes_elsewhere(ben, RESIDENCE, "residential", "3.7", 5)
    group = await ben.sees("counselor", "attendance", f"/groups/{group_id}")
    assert ben.episode_id not in group["seats"]


async def _is_reviewed(one: Protagonist, outcome: str, **more: Any) -> None:
    review_id = await one.open_review("screen")
    await one.does(
        "clinician",
        "plans",
        f"/reviews/{review_id}/complete",
        {**one.of, "outcome": outcome, **more},
        "clinical-review-completed",
        review_id=review_id,
        outcome=outcome,
    )


# --- down -------------------------------------------------------------------------------------------------


async def step_down(stage: Stage) -> None:
    """6: From 2.1 to 1.5; and beside it from 2.5 to 2.1. Another threshold from the day on which it holds."""
    stage.beside(_from_day_treatment(stage))
    ida = stage.person("ida")
    await ida.on(0)
    await ida.is_referred()
    assert await ida.is_assessed(FOURTH, edition="4")
    await ida.is_admitted(actual_level=asam("2.1", "4"))
    await ida.has_a_plan(((4, "goals-named"),), edition="4")
    await ida.week(0)
    await ida.week(7)
    await ida.on(14)
    await _reaches_goals(ida)
    await _is_found_ready(ida)
    stage.ids["no_appointment"] = await ida.is_refused(
        "clinician",
        "plans",
        f"/episodes/{ida.episode_id}/loc-changes",
        {
            "to_level": asam("1.5", "4"),
            "direction": "down",
            "effective_at": ida.when(16, time(0)).isoformat(),
            "supports_verified": True,
        },
    )
    next_one = stage.ids["next"] = await ida.has_session(18, time(17), 60, modality="individual")
    await changes_level(
        ida,
        "1.5",
        "down",
        edition="4",
        effective_at=ida.when(16, time(0)).isoformat(),
        supports_verified=True,
        appointment_session_id=next_one,
    )
    await _days(ida, 14, (180,))
    await ida.on(18, time(18))
    await ida.attends(next_one, 60)
    await ida.on(28)
    await ida.leaves()


async def _from_day_treatment(stage: Stage) -> None:
    """6: Some weeks at twenty hours, and back to nine."""
    hal = stage.person("hal")
    await hal.on(0, time(10))
    await hal.is_in_treatment()
    await changes_level(hal, "2.5", "up", effective_at=hal.when(7, time(0)).isoformat())
    await hal.week(0)
    for first_day in (7, 14):
        await _days(hal, first_day, (240,) * 5)
    await hal.on(19, time(10))
    await _reaches_goals(hal)
    await _is_found_ready(hal)
    monday = hal.when(21, time(0)).isoformat()
    first = stage.ids["first"] = await hal.has_session(21, time(18), modality=DAY_TREATMENT)
    await changes_level(
        hal,
        "2.1",
        "down",
        effective_at=monday,
        supports_verified=True,
        appointment_session_id=first,
    )
    await hal.on(21, ROLL)
    await hal.attends(first)
    await _days(hal, 22, (0, 180, 180))
    await hal.on(28, time(10))
    await hal.leaves()


async def _days(one: Protagonist, first_day: int, minutes: Sequence[int]) -> None:
    """A session on each of these days in a row, of so many minutes; none where it is 0."""
    for day, planned in enumerate(minutes, first_day):
        if planned:
            session_id = await one.has_session(day, time(12), planned, modality=DAY_TREATMENT)
            await one.on(day, ROLL)
            await one.attends(session_id, planned)


async def _reaches_goals(one: Protagonist) -> None:
    for goal_id in one.goal_ids:
        await one.does(
            "counselor",
            "plans",
            f"/goals/{goal_id}",
            {**one.of, "value": 3},
            "goal-updated",
            "goal-achieved",
            method="PATCH",
            goal_id=goal_id,
        )


async def _is_found_ready(one: Protagonist) -> None:
    await one.does(
        "clinician",
        "plans",
        f"/plans/{one.plan_id}/reviews",
        {**one.of, "basis": "met", "decision": "down", "drivers": []},
        "treatment-plan-reviewed",
        decision="down",
    )


# --- needs that go together -------------------------------------------------------------------------------


async def dual_diagnosis(stage: Stage) -> None:
    """14: Needs that go together are treated together, and looked at together; unstable, where there is more of it."""
    stage.beside(_unstable(stage))
    dee = stage.person("dee")
    await dee.on(0)
    await _has_integrated_care(dee, "trauma")
    await dee.week(0)
    await dee.week(7)
    due = dee.when(14)
    await dee.world.until(due)
    await dee.does(
        "clinician",
        "plans",
        f"/plans/{dee.plan_id}/reviews",
        {**dee.of, "basis": "progressing", "decision": "continue"},
        "treatment-plan-reviewed",
        decision="continue",
    )
    await dee.on(21)
    await dee.leaves()


async def _has_integrated_care(one: Protagonist, category: str) -> None:
    """Assessed as enhanced; the need is named and psychiatry on the plan before anyone signs."""
    await one.is_referred("psychiatry")
    assert await one.is_assessed({**FOR_IOP, "3": 2}, co_occurring="enhanced")
    await one.is_admitted()
    at = f"/episodes/{one.episode_id}"
    need: dict[str, Any] = {"category": category, "enhanced": True}
    await one.does(
        "clinician",
        "plans",
        f"{at}/co-occurring",
        need,
        "co-occurring-need-identified",
        category=category,
        enhanced_program_needed=True,
    )
    service: dict[str, Any] = {"kind": "psychiatry", "on_site": False}
    await one.does(
        "counselor",
        "plans",
        f"{at}/ancillary-services",
        service,
        "ancillary-service-added",
        **service,
    )
    await one.has_a_plan(GOALS_TOGETHER, therapies=TOGETHER)
    plan = (await one.sees("clinician", "plans", at))["plan"]
    assert {therapy for goal in plan["goals"] for therapy in goal["therapies"]} == {*TOGETHER}


async def _unstable(stage: Stage) -> None:
    """14: More than an outpatient program of this level can hold: to a co-occurring enhanced one."""
    eli = stage.person("eli")
    await eli.on(0, time(10))
    await _has_integrated_care(eli, "psychosis")
    await eli.week(0)
    await eli.on(7, time(10))
    assert not await eli.is_assessed({**FOR_IOP, "3": 3}, co_occurring="enhanced")
    await eli.does(
        "clinician",
        "plans",
        f"/plans/{eli.plan_id}/reviews",
        {**eli.of, "basis": "new_problem", "decision": "transfer"},
        "treatment-plan-reviewed",
        decision="transfer",
    )
    await changes_level(eli, "2.5", "up", elsewhere=True)
    stage.ids["sent"] = await goes_elsewhere(eli, DUAL_HOUSE, "partial_hospitalization", "2.5", 8)
    await eli.on(14, time(10))


STORIES = (
    Story(5, "Step up", step_up),
    Story(6, "Step down", step_down),
    Story(14, "Dual diagnosis", dual_diagnosis),
)
