"""The story that goes well: from a referral to the last check-in, a year after."""

from __future__ import annotations

from datetime import time
from typing import Final

from demo.cast.company import Stage, Story
from demo.cast.consents import consents, discloses
from demo.cast.protagonist import Protagonist
from demo.cast.screens import rewarded

REFERRER: Final = "mesa-residential"
WEEKS: Final = 16
LAST_DAY: Final = 109
"""The Friday of the sixteenth week."""
SCREEN_WEEKS: Final = (0, 1, 2, 3, 7, 11)
"""Weekly in the first month, then monthly."""
REVIEW_DAYS: Final = (30, 60, 91)
"""Every thirty days; the third falls on a Sunday and is done on the day after."""
FAMILY_WEEKS: Final = (2, 6, 10)


async def happy_path(stage: Stage) -> None:
    """1: Sixteen weeks with their hours met, graduation, and a year of check-ins; the referrer hears of it."""
    ina = stage.person("ina")
    await ina.on(0)
    await ina.is_referred(
        "residential", source_facility_id=REFERRER, requested_level=_level(), urgency="urgent"
    )
    form = {"categories": ["referral_status"]}
    stage.ids["consent"] = await consents(ina, REFERRER, **form)
    assert await ina.is_assessed()
    await ina.is_admitted(weeks=WEEKS)
    stage.ids["disclosure"] = await discloses(ina, REFERRER, categories=["referral_status"])
    await ina.has_a_plan()
    for number in range(WEEKS - 2):
        await _week(ina, number)
    stage.beside(_last_weeks(ina))
    await ina.graduates(LAST_DAY)
    stage.ids["check-ins"] = ", ".join(await _year_after(ina))


def _level() -> dict[str, str]:
    return {"system": "asam", "edition": "3", "code": "2.1"}


async def _last_weeks(ina: Protagonist) -> None:
    """The groups go on while the last things are settled."""
    for number in (WEEKS - 2, WEEKS - 1):
        await _week(ina, number)


async def _week(ina: Protagonist, number: int) -> None:
    """Nine hours of group and one alone, and what else belongs to the week."""
    monday = 7 * number
    await ina.on(monday)
    await _is_reviewed(ina, monday)
    groups = [await ina.has_session(monday + day, time(18)) for day in (0, 2, 3)]
    alone = await ina.has_session(monday + 3, time(17), 60, modality="individual")
    await ina.on(monday, time(21))
    await ina.attends(groups[0], participation="active")
    if number in SCREEN_WEEKS:
        await ina.on(monday + 1)
        await rewarded(ina, await ina.is_screened())
    await ina.on(monday + 2)
    await _is_reviewed(ina, monday + 2)
    await ina.on(monday + 2, time(21))
    await ina.attends(groups[1], participation="active")
    await ina.on(monday + 3, time(18))
    await ina.attends(alone, 60, participation="active")
    await ina.on(monday + 3, time(21))
    await ina.attends(groups[2], participation="active")
    if monday + 4 < LAST_DAY:
        await ina.on(monday + 4)
        await _is_reviewed(ina, monday + 4)
        await _between_sessions(ina, number)


async def _is_reviewed(ina: Protagonist, day: int) -> None:
    if day in REVIEW_DAYS:
        found = {"basis": "progressing", "decision": "continue"}
        path = f"/plans/{ina.plan_id}/reviews"
        await ina.does("clinician", "plans", path, {**ina.of, **found}, "treatment-plan-reviewed")


async def _between_sessions(ina: Protagonist, number: int) -> None:
    """A meeting a week, and now and then the family comes along."""
    meeting = {
        **ina.of,
        "attended_on": ina.now.date().isoformat(),
        "fellowship": "smart" if number % 2 else "na",
        "verification": "self",
    }
    await ina.does(
        "peer_specialist", "attendance", "/mutual-support", meeting, "mutual-support-logged"
    )
    if number in FAMILY_WEEKS:
        visit = {
            **ina.of,
            "attendee_id": ina.assessment_id,  # any opaque id
            "kind": "education",
            "minutes_attended": 60,
            "patient_present": False,
        }
        await ina.does(
            "counselor", "attendance", "/family-sessions", visit, "family-session-attended"
        )


async def _year_after(ina: Protagonist) -> set[str]:
    """What was planned is agreed, the first appointment is kept, and every check-in answered; how they stand then."""
    await ina.after(hours=8)
    calendar = await ina.check_ins()
    appointment_at = ina.when(LAST_DAY + 5, time(17))
    agreed = {
        **ina.of,
        "elements": ["crisis-contacts", "support-meetings", "individual-therapy"],
        "first_appointment_at": appointment_at.isoformat(),
    }
    told = await ina.does(
        "case_manager", "followup", "/aftercare-plans", agreed, "aftercare-plan-agreed"
    )
    after_three_days, *later = calendar
    await ina.checks_in(after_three_days)
    await ina.on(LAST_DAY + 5, time(18))
    path = f"/aftercare-plans/{told['aftercare_plan_id']}/first-appointment"
    await ina.does("case_manager", "followup", path, {**ina.of, "outcome": "kept"})
    for check_in in later:
        await ina.checks_in(check_in)
    return {check_in["state"] for check_in in await ina.check_ins()}


STORIES = (Story(1, "Happy path", happy_path),)
