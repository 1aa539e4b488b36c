"""Scenarios of the domain reference, section 8, on the four real services: what is published, and what they answer."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from demo.groups import Group
from demo.paths import PersonPath
from demo.population import Person
from demo.witnesses import Heard
from demo.world import DemoError
from tests.flows.scene import (
    EVENING,
    FACILITY,
    FOR_DETOX,
    MORNING,
    NIGHT,
    NOON,
    PARTNER,
    ZONE,
    Flow,
    Patient,
    in_order,
    name,
    names,
    of,
)

WEEKS = 16
MON, TUE, WED, THU, FRI = range(5)
REVIEWS = ("clinical-review-requested", "clinical-review-completed")


def steady(flow: Flow) -> Person:
    """Somebody who always comes, has nothing to hide, and answers every call."""
    return Person(
        number=0,
        facility=FACILITY,
        time_zone=ZONE,
        arrives_on=flow.monday,
        source_kind="residential",
        priority="routine",
        adolescent=False,
        needs_withdrawal_care=False,
        acknowledged_at_once=True,
        plan_signed_late=False,
        length_weeks=WEEKS,
        leaves_after_days=None,
        leaves_how="",
        attends=1.0,
        calls_ahead=1.0,
        positive=0.0,
        reachable=1.0,
        returns_to_use_day=None,
        engages_again=True,
        luck=Random(1),
        days_luck=Random(2),
    )


@pytest.mark.timeout(200)
async def test_the_whole_path_from_referral_to_the_end_of_aftercare(flow: Flow) -> None:
    """Scenario 1."""
    person = steady(flow)
    group = Group(FACILITY, 1, ZONE, flow.world, flow.staff)
    last = flow.monday + timedelta(weeks=WEEKS + 2)
    lives = [
        flow.world.live(group.run(flow.monday, last)),
        flow.world.live(PersonPath(person, flow.world, flow.staff, group).walk()),
    ]
    await flow.world.run(flow.when(0, MORNING))
    assert all(life.done() for life in lives)
    assert person.stage == "completed"
    facts = await flow.facts(f"episode/{person.episode_id}")

    assert in_order(
        facts,
        "referral-received",
        "referral-acknowledged",
        "assessment-completed",
        "level-recommended",
        "eligibility-determined",
        "placement-decided",
        "patient-admitted",
        "referral-loop-closed",
        "orientation-completed",
        "treatment-plan-activated",
        *["weekly-hours-evaluated"] * WEEKS,
        "graduation-approved",
        "program-graduated",
        "episode-discharged",
        "aftercare-plan-activated",
        *["check-in-completed"] * 8,
        "aftercare-completed",
    )
    [recommended] = of(facts, "level-recommended")
    assert recommended.data["level"]["code"] == "2.1"
    [closed] = of(facts, "referral-loop-closed")
    assert (closed.data["referral_id"], closed.data["outcome"]) == (person.episode_id, "admitted")
    full = [f.data for f in of(facts, "weekly-hours-evaluated") if not f.data["prorated"]]
    assert [(week["minutes_threshold"], week["met"]) for week in full] == [(540, True)] * WEEKS
    reviewed = of(facts, "treatment-plan-reviewed")
    assert [f.data["version"] for f in reviewed] == [2, 3, 4]
    assert names(facts).count("treatment-plan-review-due") == len(reviewed)
    [discharged] = of(facts, "episode-discharged")
    assert discharged.data["kind"] == "graduated"
    scheduled, done = of(facts, "check-in-scheduled"), of(facts, "check-in-completed")
    assert [f.data["check_in_id"] for f in scheduled] == [f.data["check_in_id"] for f in done]
    [over] = of(facts, "aftercare-completed")
    assert (over.data["check_ins_done"], over.data["check_ins_due"]) == (8, 8)
    trouble = ("session-missed", "screen-failed", *REVIEWS, "loop-escalated", "check-in-missed")
    assert not of(facts, *trouble, "outreach-escalated", "absence-threshold-reached")

    assert (await flow.staff.sees("clinician", "intake", f"/episodes/{person.episode_id}"))[
        "referral"
    ]["outcome"] == "admitted"
    view = await flow.staff.sees("clinician", "followup", f"/episodes/{person.episode_id}")
    assert view["aftercare"]["completed"] is True
    assert {item["state"] for item in view["aftercare"]["check_ins"]} == {"done"}


async def test_an_unexpected_positive_is_reviewed_and_nobody_is_sent_away(flow: Flow) -> None:
    """Scenario 2."""
    patient = await flow.admitted()
    await screened(flow, patient, ["cocaine"], day=MON)
    facts = await flow.facts(patient.subject)
    meanings = [f.data["classification"] for f in of(facts, "screen-interpreted")]
    assert meanings == ["unexpected_positive"]
    [requested] = of(facts, "clinical-review-requested")
    assert requested.data["trigger"] == "screen"
    [failed] = of(facts, "screen-failed")
    assert requested.data["trigger_event_id"] == failed.id
    assert requested.headers["ce_causationid"] == failed.id
    assert "positives" not in failed.data, "analytes stay with attendance"

    review = (await flow.view("plans", patient))["reviews"][requested.data["review_id"]]
    assert (review["open"], review["trigger"]) == (True, "screen")
    await flow.does(
        "clinician",
        "plans",
        f"/reviews/{requested.data['review_id']}/complete",
        episode_id=patient.episode_id,
        outcome="intensify",
    )
    facts = await flow.facts(patient.subject)
    assert in_order(
        facts,
        "screen-ordered",
        "specimen-collected",
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
        "clinical-review-requested",
        "clinical-review-completed",
    )
    assert [f.data["outcome"] for f in of(facts, "clinical-review-completed")] == ["intensify"]

    plans, followup = await flow.view("plans", patient), await flow.view("followup", patient)
    assert plans["discharged"] is None
    assert (await flow.view("intake", patient))["stage"] == "oriented"
    assert (followup["screens_failed"], followup["reviews_open"]) == (1, [])
    assert not of(facts, "episode-discharged", "clinical-review-overdue", "referral-sent")
    await flow.leaves(patient)


async def test_what_is_prescribed_is_expected_in_a_screen(flow: Flow) -> None:
    """Scenario 3."""
    patient = await flow.admitted()
    await flow.staff.does(
        "clinician",
        "plans",
        f"/episodes/{patient.episode_id}/expected-analytes",
        {
            "analytes": [
                {"code": "buprenorphine", "from_on": flow.monday.isoformat(), "verified": True}
            ]
        },
        who=patient.label,
        method="PUT",
    )
    await screened(flow, patient, ["buprenorphine"], day=MON)
    await screened(flow, patient, [], day=WED)
    facts = await flow.facts(patient.subject)
    meanings = [f.data["classification"] for f in of(facts, "screen-interpreted")]
    assert meanings == ["expected_positive", "expected_absent"]
    assert not of(facts, "screen-failed", *REVIEWS)
    [review] = (await flow.view("plans", patient))["reviews"].values()
    assert (review["trigger"], review["private"]) == ("adherence", True), "talked about in private"
    await flow.leaves(patient)


async def screened(flow: Flow, patient: Patient, positives: list[str], *, day: int) -> None:
    """A screen from order to interpretation."""
    of_episode = {"episode_id": patient.episode_id}
    await flow.on(day, NOON)
    told = await flow.does("nurse", "attendance", "/screens", **of_episode, panel="urine-12")
    screen = f"/screens/{told['screen_id']}"
    await flow.does("nurse", "attendance", f"{screen}/collect", **of_episode)
    await flow.on(day + 1, MORNING)
    await flow.does(
        "nurse",
        "attendance",
        f"{screen}/results",
        **of_episode,
        stage="definitive",
        validity="valid",
        positives=positives,
    )
    await flow.does("clinician", "attendance", f"{screen}/interpret", **of_episode)


async def test_no_shows_lead_to_outreach_review_and_conference_and_coming_back_clears(
    flow: Flow,
) -> None:
    """Scenario 7."""
    away, back = await flow.admitted(), await flow.admitted()

    async def held(day: int, present: dict[Patient, int | None], hour: int = 20) -> None:
        session = await flow.session(*present, at=flow.when(day, EVENING))
        await flow.on(day, EVENING.replace(hour=hour))
        await flow.roll(session, present)
        await flow.world.quiet()

    await held(MON, {away: None, back: None}, hour=21)
    view = await flow.view("followup", away)
    assert (view["outreach"]["open"], view["outreach"]["tier"]) == (True, 0)
    await flow.on(TUE, EVENING)
    assert not of(await flow.facts(away.subject), "outreach-escalated"), "less than a day"
    await flow.on(TUE, NIGHT)
    facts = await flow.facts(away.subject)
    assert [f.data for f in of(facts, "outreach-escalated")] == [
        {"cause": "session_missed", "tier": 1}
    ]

    await held(WED, {away: None, back: 180})
    facts = await flow.facts(away.subject)
    [second] = of(facts, "absence-threshold-reached")
    assert second.data["absences_consecutive"] == 2
    assert of(facts, "outreach-escalated")[-1].data == {"cause": "absence_threshold", "tier": 2}
    [review] = of(facts, "clinical-review-requested")
    assert review.data["trigger"] == "absence"
    returned = await flow.facts(back.subject)
    [cleared] = of(returned, "escalation-cleared")
    assert cleared.topic == "care.followup"
    assert (cleared.data["step_reached"], cleared.data["reason"]) == (1, "resolved")
    assert not of(returned, "absence-threshold-reached", *REVIEWS)

    await held(THU, {away: None, back: 180})
    facts = await flow.facts(away.subject)
    steps = of(facts, "absence-threshold-reached")
    assert [f.data["absences_consecutive"] for f in steps] == [2, 3]
    assert [f.data["tier"] for f in of(facts, "outreach-escalated")] == [1, 2, 3]
    view = await flow.view("followup", away)
    assert (view["outreach"]["tier"], view["outreach"]["owner_role"]) == (3, "clinical_supervisor")
    assert names(facts).count("clinical-review-requested") == 1, "one is open"

    await held(FRI, {away: 180})
    facts = await flow.facts(away.subject)
    assert name(facts[-1]) == "escalation-cleared"
    assert facts[-1].data["loop"] == "outreach"
    assert (facts[-1].data["step_reached"], facts[-1].data["reason"]) == (3, "resolved")
    assert (await flow.view("followup", away))["outreach"]["open"] is False
    assert in_order(
        facts,
        "session-missed",
        "outreach-escalated",
        "session-missed",
        "absence-threshold-reached",
        "outreach-escalated",
        "session-missed",
        "absence-threshold-reached",
        "outreach-escalated",
        "session-attended",
        "escalation-cleared",
    )
    await flow.leaves(away, back)


async def test_a_week_below_its_hours_is_seen_in_time_and_never_held_against_who_was_not_offered(
    flow: Flow,
) -> None:
    """Scenario 8, with its two variants."""
    await flow.on(FRI, MORNING)
    mended, short, cancelled = everyone = [await flow.admitted() for _ in range(3)]
    # The week that is looked at is the one after, which is whole for everybody.
    monday = flow.monday + timedelta(days=7)
    mon, wed, thu, fri = 7, 9, 10, 11
    groups = [await flow.session(*everyone, at=flow.when(day, EVENING)) for day in (mon, wed)]
    third = await flow.session(mended, short, at=flow.when(thu, EVENING))
    dropped = await flow.session(cancelled, at=flow.when(thu, EVENING))
    await flow.on(mon, NIGHT)
    await flow.roll(groups[0], {mended: 60, short: 60, cancelled: 180})

    await flow.on(wed, NIGHT)  # an hour after the week was projected
    facts = {patient: await flow.facts(patient.subject) for patient in everyone}
    assert [shortfalls(facts[patient], monday) for patient in everyone] == [
        [(120, True)],
        [(120, True)],
        [],
    ]
    await flow.roll(groups[1], dict.fromkeys(everyone, 180))
    make_up = await flow.session(mended, short, at=flow.when(fri, EVENING), minutes=120)

    await flow.on(thu, NOON)
    await flow.does(
        "counselor", "attendance", f"/sessions/{dropped}/cancel", cancelled_by="program"
    )
    await flow.on(thu, NIGHT)
    await flow.roll(third, {mended: 180, short: 180})
    await flow.on(fri, NIGHT)
    await flow.roll(make_up, {mended: 120, short: 60})
    await flow.on(14, MORNING)

    facts = {patient: await flow.facts(patient.subject) for patient in everyone}
    assert [week(facts[patient], monday) for patient in everyone] == [
        {"threshold": 540, "scheduled": 660, "offered": 660, "credited": 540, "met": True},
        {"threshold": 540, "scheduled": 660, "offered": 660, "credited": 480, "met": False},
        {"threshold": 540, "scheduled": 540, "offered": 360, "credited": 360, "met": False},
    ]
    assert [shortfalls(facts[patient], monday) for patient in everyone] == [
        [(120, True)],
        [(120, True), (60, False)],
        [],
    ]
    reviews = [of(facts[patient], "clinical-review-requested") for patient in everyone]
    assert [[f.data["trigger"] for f in asked] for asked in reviews] == [[], ["hours"], []]
    because = of(facts[short], "weekly-hours-shortfall-detected")[-1]
    assert reviews[1][0].data["trigger_event_id"] == because.id

    view = await flow.view("attendance", cancelled)
    assert view["weeks"][monday.isoformat()]["minutes_offered"] == 360
    assert (await flow.view("plans", short))["discharged"] is None, "a review, never a discharge"
    await flow.leaves(*everyone)


async def test_a_roll_that_is_called_after_the_week_was_closed_still_counts_in_it(
    flow: Flow,
) -> None:
    """Scenario 17, as far as rolls go: late is not lost."""
    await flow.on(FRI, MORNING)
    patient = await flow.admitted()
    session = await flow.session(patient, at=flow.when(FRI, EVENING))
    await flow.on(7, NOON)
    await flow.roll(session, {patient: 180})
    facts = await flow.facts(patient.subject)
    weeks = [f.data for f in of(facts, "weekly-hours-evaluated")]
    assert {w["week_starts_on"] for w in weeks} == {flow.monday.isoformat()}
    assert [w["minutes_credited"] for w in weeks] == [0, 180]
    view = await flow.view("attendance", patient)
    assert view["weeks"][flow.monday.isoformat()]["minutes_credited"] == 180
    assert view["bookings"] == {}
    await flow.leaves(patient)


def week(facts: list[Heard], monday: date) -> dict[str, Any]:
    """How the week was evaluated, once."""
    [data] = [
        f.data
        for f in of(facts, "weekly-hours-evaluated")
        if f.data["week_starts_on"] == monday.isoformat()
    ]
    counted = ("threshold", "scheduled", "offered", "credited")
    return {name: data[f"minutes_{name}"] for name in counted} | {"met": data["met"]}


def shortfalls(facts: list[Heard], monday: date) -> list[tuple[int, bool]]:
    """Minutes short in the week, and whether it was still running."""
    return [
        (f.data["minutes_short"], f.data["projected"])
        for f in of(facts, "weekly-hours-shortfall-detected")
        if f.data["week_starts_on"] == monday.isoformat()
    ]


async def test_who_needs_withdrawal_care_is_referred_on_under_a_consent_until_they_arrive(
    flow: Flow,
) -> None:
    """Scenario 13."""
    patient, eligible = await flow.assessed(FOR_DETOX)
    assert not eligible
    of_episode = {"episode_id": patient.episode_id}
    referral = {
        **of_episode,
        "target_kind": "withdrawal_management",
        "target_facility_id": PARTNER,
        "respond_within_hours": 48,
    }
    somebody_elses = patient.person_id
    with pytest.raises(DemoError, match=r"403 .*consent-missing"):
        await flow.does(
            "case_manager", "intake", "/outbound-referrals", consent_id=somebody_elses, **referral
        )
    facts = await flow.facts(patient.subject)
    assert not of(facts, "referral-sent")
    [found] = of(facts, "eligibility-determined")
    assert (found.data["eligible"], found.data["unmet"]) == (
        False,
        ["withdrawal-management-needed", "level-not-offered"],
    )

    await flow.on(MON, NOON)
    granted = await flow.does(
        "case_manager",
        "intake",
        "/consents",
        person_id=patient.person_id,
        kind="specific",
        discloser_id="harbor-iop",
        recipients=[PARTNER],
        categories=["referral_status"],
        purpose="care_coordination",
        effective_at=flow.when(MON, NOON).isoformat(),
        expires_on=(flow.monday + timedelta(days=90)).isoformat(),
        statements=["right_to_revoke"],
        signed_on=flow.monday.isoformat(),
        document_sha256="0" * 64,
    )
    sent = await flow.does(
        "case_manager",
        "intake",
        "/outbound-referrals",
        consent_id=granted["consent_id"],
        **referral,
    )
    outbound = f"/outbound-referrals/{sent['referral_id']}"
    await flow.on(TUE, NOON)
    await flow.does("case_manager", "intake", f"{outbound}/accepted", **of_episode)
    facts = await flow.facts(patient.subject)
    assert of(facts, "partner-referral-accepted")
    assert not of(facts, "referral-loop-closed"), "accepted is not arrived"
    view = await flow.view("intake", patient)
    assert view["outbound"][sent["referral_id"]]["outcome"] is None

    await flow.on(THU, MORNING)  # two days without an outcome are said to be too long
    facts = await flow.facts(patient.subject)
    assert [f.data["hours_open"] for f in of(facts, "referral-loop-overdue")] == [48]
    await flow.does("case_manager", "intake", f"{outbound}/close", **of_episode, outcome="admitted")
    await flow.does(
        "case_manager",
        "intake",
        f"/referrals/{patient.episode_id}/close",
        outcome="declined",
    )
    facts = await flow.facts(patient.subject, f"person/{patient.person_id}")
    assert in_order(
        facts,
        "assessment-completed",
        "eligibility-determined",
        "consent-granted",
        "referral-sent",
        "partner-referral-accepted",
        "referral-loop-closed",
        "referral-loop-closed",
    )
    outcomes = [
        (f.data["referral_id"], f.data["outcome"]) for f in of(facts, "referral-loop-closed")
    ]
    assert outcomes == [(sent["referral_id"], "admitted"), (patient.episode_id, "declined")]
    assert not of(facts, "patient-admitted")
    view = await flow.view("intake", patient)
    assert view["stage"] == "closed"
    assert view["outbound"][sent["referral_id"]]["outcome"] == "admitted"
