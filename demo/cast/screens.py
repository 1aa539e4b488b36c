"""Stories of screens: an unexpected positive, a prescribed substance, a dilute specimen and a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.protagonist import Protagonist

CHAIN: Final = ("storage", "courier", "laboratory")
"""Through whose hands a specimen goes after the collector's."""
NOON: Final = time(12)
DILUTE: Final = {"creatinine_mg_dl": 9.0, "specific_gravity": 1.0011, "ph": 6.8}


async def unexpected_positive(stage: Stage) -> None:
    """2: Reviewed within a working day, the plan is intensified, and nobody is sent away."""
    ana = stage.person("ana")
    await ana.on(0)
    await ana.is_in_treatment()
    stage.beside(comes_every_week(ana, 2))
    await ana.on(8)
    stage.ids["screen"] = await ana.is_screened(["cocaine"])
    stage.ids["review"] = await reviewed(ana, "screen", "intensify")
    # What was decided is done: one more session alone, in the same week.
    extra = await ana.has_session(10, time(17), 60, modality="individual")
    await ana.on(10, time(18))
    await ana.attends(extra, 60)
    await ana.on(11)
    seen = await ana.sees("clinician", "intake", f"/episodes/{ana.episode_id}")
    stage.ids["stage"] = seen["stage"]
    known = await ana.sees("case_manager", "followup", f"/episodes/{ana.episode_id}")
    stage.ids["reviews open"] = str(len(known["reviews_open"]))
    await ana.leaves()
    await ana.on(14)


async def prescribed(stage: Stage) -> None:
    """3: A prescribed substance is expected; when it is missing, that is talked about in private."""
    ben = stage.person("ben")
    await ben.on(0)
    await ben.is_in_treatment()
    await ben.does(
        "clinician",
        "plans",
        f"/episodes/{ben.episode_id}/expected-analytes",
        {
            "analytes": [
                {
                    "code": "buprenorphine",
                    "from_on": ben.now.date().isoformat(),
                    "verified": True,
                }
            ]
        },
        "expected-analytes-updated",
        method="PUT",
    )
    stage.beside(comes_every_week(ben, 3))
    for label, day in (("first", 4), ("second", 8)):
        await ben.on(day)
        stage.ids[label] = await ben.is_screened(["buprenorphine"])
        await rewarded(ben, stage.ids[label])
    await ben.on(15)
    stage.ids["missing"] = await ben.is_screened([])
    await rewarded(ben, stage.ids["missing"])
    seen = await ben.sees("clinician", "plans", f"/episodes/{ben.episode_id}")
    [review] = seen["reviews"].values()
    stage.ids["review"] = review["trigger"] + (", private" if review["private"] else "")
    await reviewed(ben, "adherence", "none", said=False)
    await ben.on(18)
    stage.ids["again"] = await ben.is_screened(["buprenorphine"])
    await rewarded(ben, stage.ids["again"])
    await ben.leaves()
    await ben.on(21)


async def dilute_or_refused(stage: Stage) -> None:
    """4: A dilute specimen is taken again within two days; a refusal is a refusal and never use."""
    stage.beside(dilute_then_negative(stage))
    stage.beside(blows_twice(stage))
    await earns_then_refuses(stage)


async def dilute_then_negative(stage: Stage) -> None:
    """4: Too thin to say anything: another specimen the next day, and a clinician asks why."""
    cleo = stage.person("cleo")
    await cleo.on(0)
    await cleo.is_in_treatment()
    stage.beside(comes_every_week(cleo, 2))
    await cleo.on(8)
    stage.ids["dilute"] = await collected(cleo)
    await cleo.after(hours=20)
    await resulted(cleo, stage.ids["dilute"], measured=DILUTE)
    await reviewed(cleo, "validity", "none")
    await cleo.on(9, NOON)
    stage.ids["retest"] = await collected(cleo, reason="retest", retest_of=stage.ids["dilute"])
    await cleo.after(hours=20)
    await resulted(cleo, stage.ids["retest"], validity="valid")
    await cleo.on(11)
    await cleo.leaves()
    await cleo.on(14)


async def earns_then_refuses(stage: Stage) -> None:
    """4: Two rewards, the second worth more; a refusal sets the next one back, and is looked at as what it is."""
    drew = stage.person("drew")
    await drew.on(0)
    await drew.is_in_treatment()
    stage.beside(comes_every_week(drew, 2))
    for label, day in (("negative", 4), ("negative again", 8)):
        await drew.on(day)
        stage.ids[label] = await drew.is_screened()
        await rewarded(drew, stage.ids[label])
    await drew.on(9, time(10))
    await goes_to_meetings(drew)
    stage.ids["family"] = await comes_with_family(drew, 9)
    await drew.on(10, NOON)
    order = {**drew.of, "panel": "urine-12", "reason": "random"}
    told = await drew.does("nurse", "attendance", "/screens", order, "screen-ordered")
    stage.ids["refused"] = told["screen_id"]
    refused = {**drew.of, "kind": "refused"}
    path, fact = f"/screens/{told['screen_id']}/not-provided", "screen-not-provided"
    await drew.does("nurse", "attendance", path, refused, fact, kind="refused")
    await reviewed(drew, "refusal", "intensify")
    await drew.on(11)
    stage.ids["after"] = await drew.is_screened()
    await rewarded(drew, stage.ids["after"])
    seen = await drew.sees("case_manager", "followup", f"/episodes/{drew.episode_id}")
    stage.ids["failed"] = str(seen["screens_failed"])
    await drew.leaves()
    await drew.on(14)


async def comes_every_week(one: Protagonist, weeks: int) -> None:
    """All groups of the first weeks, whatever else happens in them."""
    for number in range(weeks):
        await one.on(7 * number)
        await one.week(7 * number)


async def goes_to_meetings(one: Protagonist) -> None:
    """The person's own choice, then one secular meeting and one of the twelve steps, on one day."""
    await one.does(
        "peer_specialist",
        "attendance",
        f"/episodes/{one.episode_id}/mutual-support",
        {"alternatives": ["aa", "smart"]},
        "mutual-support-requirement-set",
        method="PUT",
        opted_out=False,
    )
    for fellowship in ("smart", "aa"):
        body = {
            **one.of,
            "attended_on": one.now.date().isoformat(),
            "fellowship": fellowship,
            "verification": "signed",
        }
        fact = "mutual-support-logged"
        await one.does(
            "peer_specialist", "attendance", "/mutual-support", body, fact, fellowship=fellowship
        )


async def comes_with_family(one: Protagonist, day: int) -> str:
    """A family session with the patient: its minutes are hours, and the visit is counted apart."""
    session_id = await one.has_session(day, time(17), 60, modality="family")
    await one.on(day, time(18))
    await one.attends(session_id, 60)
    visit = {
        **one.of,
        "session_id": session_id,
        "attendee_id": one.assessment_id,  # any opaque id
        "kind": "education",
        "minutes_attended": 60,
        "patient_present": True,
    }
    fact = "family-session-attended"
    await one.does("counselor", "attendance", "/family-sessions", visit, fact, kind="education")
    return session_id


async def blows_twice(stage: Stage) -> None:
    """4: A first positive breath test says nothing yet; only the second, after fifteen minutes, does."""
    eli = stage.person("eli")
    await eli.on(0)
    await eli.is_in_treatment()
    await eli.week(0)
    for label, day, second in (("mouthwash", 7, "0.000"), ("drink", 9, "0.031")):
        group = await eli.has_session(day, time(18))
        await eli.on(day, time(17, 15))
        first = await blows(eli, "0.045", "retest")
        await eli.after(minutes=20)
        sober = second == "0.000"
        stage.ids[label] = await blows(
            eli, second, "negative" if sober else "positive", retest_of=first
        )
        if not sober:
            seen = await eli.sees("nurse", "attendance", f"/episodes/{eli.episode_id}")
            stage.ids["no group"] = str(seen["no_group_today"])
            home = {**eli.of, "transport": "ride_arranged", "withdrawal_signs": "none"}
            path = f"/breath-tests/{stage.ids[label]}/departure"
            await eli.does("nurse", "attendance", path, home)
        await eli.on(day, time(21))
        await eli.attends(group, 180, "attended" if sober else "excused")
    await reviewed(eli, "screen", "intensify")
    last = await eli.has_session(10, time(18))
    await eli.on(10, time(21))
    await eli.attends(last)
    await eli.on(11)
    await eli.leaves()
    await eli.on(14)


async def blows(one: Protagonist, value: str, outcome: str, **more: Any) -> str:
    """One breath test after a quarter of an hour under somebody's eyes."""
    told = await one.does(
        "nurse",
        "attendance",
        "/breath-tests",
        {
            **one.of,
            "value_g_per_210l": value,
            "device_id": "fuel-cell-2",
            "observed_minutes": 15,
            **more,
        },
        "breath-test-recorded",
        outcome=outcome,
    )
    return str(told["screen_id"])


async def collected(one: Protagonist, **order: Any) -> str:
    """A screen with its whole chain of custody, from the collector to the laboratory."""
    body = {**one.of, "panel": "urine-12", "reason": "random", **order}
    told = await one.does("nurse", "attendance", "/screens", body, "screen-ordered")
    screen_id = str(told["screen_id"])
    taken = {**one.of, "observed": False, "temperature_f": 94.5}
    path = f"/screens/{screen_id}"
    await one.does("nurse", "attendance", f"{path}/collect", taken, "specimen-collected")
    for number, holder in enumerate(CHAIN, start=2):
        link = {**one.of, "holder": holder, "custody_sequence": number}
        await one.does("nurse", "attendance", f"{path}/custody", link, "custody-transferred")
    return screen_id


async def resulted(one: Protagonist, screen_id: str, **result: Any) -> None:
    """The laboratory's result, and what a clinician makes of it."""
    path = f"/screens/{screen_id}"
    body: Mapping[str, Any] = {**one.of, "stage": "definitive", **result}
    await one.does("nurse", "attendance", f"{path}/results", body, "screen-resulted")
    await one.does("clinician", "attendance", f"{path}/interpret", one.of, "screen-interpreted")


async def rewarded(one: Protagonist, screen_id: str) -> None:
    """The program keeps its promise at once."""
    body = {**one.of, "behavior": "screen", "reference_id": screen_id}
    await one.does("counselor", "attendance", "/incentives", body)


async def reviewed(one: Protagonist, trigger: str, outcome: str, *, said: bool = True) -> str:
    """A clinician completes the open review; of a private one nothing is said."""
    review_id = await one.open_review(trigger)
    path, body = f"/reviews/{review_id}/complete", {**one.of, "outcome": outcome}
    if said:
        fact = "clinical-review-completed"
        await one.does("clinician", "plans", path, body, fact, review_id=review_id)
    else:
        await one.does("clinician", "plans", path, body)
    return review_id


STORIES = (
    Story(2, "Unexpected positive", unexpected_positive),
    Story(3, "Prescribed buprenorphine", prescribed),
    Story(4, "Dilute or refused", dilute_or_refused),
)
