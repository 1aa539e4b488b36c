"""The cast's weeks: docs/domain.md scenarios 1, 7 and 8."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from demo.cast.graduation import FAMILY_WEEKS, REFERRER, SCREEN_WEEKS, WEEKS
from demo.cast.weeks import WEEK
from tests.flows.played import Played
from tests.flows.scene import in_order, names, of

REVIEWS = ("clinical-review-requested", "clinical-review-completed")
MET = {"threshold": 540, "scheduled": 660, "offered": 660, "credited": 540, "met": True}
SHORT = {**MET, "credited": 480, "met": False}
NOT_OFFERED = {**SHORT, "scheduled": 540, "offered": 360, "credited": 360}


# --- 1: it goes well ---------------------------------------------------------------------------------------


@pytest.mark.scenario(1)
@pytest.mark.fact("0.7", "4.1", "4.2", "4.3", "4.4", "4.9")
async def test_story_1_the_whole_path(cast: Played) -> None:
    facts = cast.facts(1, also=[f"person/{cast.person(1, 'ina').person_id}"])
    assert in_order(
        facts,
        "referral-received",
        "referral-acknowledged",
        "consent-granted",
        "assessment-completed",
        "level-recommended",
        "eligibility-determined",
        "placement-decided",
        "patient-admitted",
        "referral-loop-closed",
        "orientation-completed",
        "disclosure-recorded",
        "treatment-plan-activated",
        *["weekly-hours-evaluated"] * (WEEKS - 1),
        "graduation-approved",
        "program-graduated",
        "episode-discharged",
        "aftercare-plan-activated",
        *["check-in-completed"] * 8,
        "aftercare-completed",
    )
    [recommended] = of(facts, "level-recommended")
    assert recommended.data["level"]["code"] == "2.1"
    [approved] = of(facts, "graduation-approved")
    assert all(criterion["met"] for criterion in approved.data["criteria"])
    [discharged] = of(facts, "episode-discharged")
    assert discharged.data["kind"] == "graduated"
    trouble = (
        *("session-missed", "screen-failed", *REVIEWS, "loop-escalated", "check-in-missed"),
        *("outreach-escalated", "absence-threshold-reached", "treatment-plan-review-overdue"),
        *("weekly-hours-shortfall-detected", "clinical-review-overdue"),
    )
    assert not of(facts, *trouble)


@pytest.mark.scenario(1)
async def test_story_1_the_referrer_hears_what_became_of_it(cast: Played) -> None:
    ina = cast.person(1, "ina")
    facts = cast.facts(1, also=[f"person/{ina.person_id}"])
    [received] = of(facts, "referral-received")
    assert received.data["source_facility_id"] == REFERRER
    [closed] = of(facts, "referral-loop-closed")
    assert (closed.data["referral_id"], closed.data["outcome"]) == (ina.episode_id, "admitted")
    [told] = of(facts, "disclosure-recorded")
    assert told.data["recipient_id"] == REFERRER
    assert told.data["categories"] == ["referral_status"]
    assert (told.data["basis"], told.data["consent_id"]) == (
        "consent",
        cast.stages[1].ids["consent"],
    )


@pytest.mark.scenario(1)
@pytest.mark.fact("0.2", "1.4", "1.7", "1.9", "3.8")
async def test_story_1_sixteen_weeks_with_their_hours(cast: Played) -> None:
    facts = cast.facts(1)
    weeks = [f.data for f in of(facts, "weekly-hours-evaluated")]
    assert [week["met"] for week in weeks] == [True] * WEEKS
    assert len({week["week_starts_on"] for week in weeks}) == WEEKS
    full = [week for week in weeks if not week["prorated"]]
    assert len(full) == WEEKS - 1, "the last one ends on Friday"
    hours = {(week["minutes_threshold"], week["minutes_credited"]) for week in full}
    assert hours == {(9 * 60, 10 * 60)}
    sessions = [f.data for f in of(facts, "session-attended")]
    groups = [s for s in sessions if s["modality"] == "group"]
    assert [s["minutes_credited"] for s in groups] == [180] * 3 * WEEKS
    assert [s["modality"] for s in sessions].count("individual") == WEEKS
    assert {s["participation"] for s in sessions} == {"active"}


@pytest.mark.scenario(1)
@pytest.mark.fact("1.8", "1.11", "2.1", "2.7")
async def test_story_1_what_belongs_to_the_weeks(cast: Played) -> None:
    facts = cast.facts(1, also=[f"person/{cast.person(1, 'ina').person_id}"])
    screens = [f.data["classification"] for f in of(facts, "screen-interpreted")]
    assert screens == ["negative"] * len(SCREEN_WEEKS)
    rewards = [f.data["amount_cents"] for f in of(facts, "incentive-earned")]
    assert rewards == [250 + 125 * n for n in range(len(SCREEN_WEEKS))]
    fellowships = {f.data["fellowship"] for f in of(facts, "mutual-support-logged")}
    assert fellowships == {"na", "smart"}, "a secular one among them"
    assert names(facts).count("mutual-support-logged") == WEEKS - 1
    assert names(facts).count("family-session-attended") == len(FAMILY_WEEKS)


@pytest.mark.scenario(1)
@pytest.mark.fact("2.5", "4.8")
async def test_story_1_reviews_every_thirty_days(cast: Played) -> None:
    facts = cast.facts(1)
    due, reviewed = of(facts, "treatment-plan-review-due"), of(facts, "treatment-plan-reviewed")
    assert [f.data["version"] for f in reviewed] == [2, 3, 4]
    assert len(due) == len(reviewed)
    [activated] = of(facts, "treatment-plan-activated")
    announced = [f.data["next_review_on"] for f in (activated, *reviewed[:-1])]
    assert [f.data["due_on"] for f in due] == announced
    drafts = [f.data["complete"] for f in of(facts, "aftercare-plan-drafted")]
    assert drafts == [False, True], "begun on the first day, settled before the last"


@pytest.mark.scenario(1)
@pytest.mark.fact("2.6", "3.12", "4.9")
async def test_story_1_a_year_of_check_ins(cast: Played) -> None:
    facts = cast.facts(1)
    scheduled, done = of(facts, "check-in-scheduled"), of(facts, "check-in-completed")
    assert [f.data["check_in_id"] for f in scheduled] == [f.data["check_in_id"] for f in done]
    [discharged], last = of(facts, "episode-discharged"), done[-1]
    year = _time(last) - _time(discharged)
    assert timedelta(days=364) < year < timedelta(days=367)
    [over] = of(facts, "aftercare-completed")
    assert (over.data["check_ins_done"], over.data["check_ins_due"]) == (8, 8)
    assert cast.stages[1].ids["check-ins"] == "done"


# --- 7: missed sessions -----------------------------------------------------------------------------------


@pytest.mark.scenario(7)
async def test_story_7_reached_within_a_day(cast: Played) -> None:
    facts = cast.facts(7, "uma")
    assert in_order(facts, "session-missed", "session-attended", "session-attended")
    [missed] = of(facts, "session-missed")
    assert missed.data["absence"] == "no_show"
    trouble = ("outreach-escalated", "absence-threshold-reached", *REVIEWS, "escalation-cleared")
    assert not of(facts, *trouble), "an attempt in the morning, reached at noon"


@pytest.mark.scenario(7)
async def test_story_7_two_in_a_row_are_reviewed(cast: Played) -> None:
    facts = cast.facts(7, "vic")
    assert in_order(
        facts,
        "session-missed",
        "outreach-escalated",
        "session-missed",
        "absence-threshold-reached",
        "clinical-review-requested",
        "outreach-escalated",
        "clinical-review-completed",
        "session-attended",
        "escalation-cleared",
    )
    first, escalated = of(facts, "session-missed")[0], of(facts, "outreach-escalated")
    assert [f.data for f in escalated] == [
        {"cause": "session_missed", "tier": 1},
        {"cause": "absence_threshold", "tier": 2},
    ]
    assert _time(escalated[0]) - _time(first) == timedelta(hours=24)
    [reached] = of(facts, "absence-threshold-reached")
    assert reached.data["absences_consecutive"] == 2
    [requested] = of(facts, "clinical-review-requested")
    assert requested.data["trigger"] == "absence"
    assert requested.data["trigger_event_id"] == reached.id
    [cleared] = of(facts, "escalation-cleared")
    assert cleared.data["step_reached"] == 2


@pytest.mark.scenario(7)
async def test_story_7_three_in_a_row_call_for_a_conference(cast: Played) -> None:
    facts = cast.facts(7, "wes")
    steps = [f.data["absences_consecutive"] for f in of(facts, "absence-threshold-reached")]
    assert steps == [2, 3]
    assert [f.data["tier"] for f in of(facts, "outreach-escalated")] == [1, 2, 3]
    assert cast.stages[7].ids["conference"] == "clinical_supervisor"
    assert [f.data["trigger"] for f in of(facts, "clinical-review-requested")] == ["absence"] * 2
    assert in_order(facts, *["session-missed"] * 3, "session-attended", "escalation-cleared")
    [cleared] = of(facts, "escalation-cleared")
    assert (cleared.data["loop"], cleared.data["step_reached"]) == ("outreach", 3)
    assert cleared.data["reason"] == "resolved"
    assert cleared.headers["ce_causationid"] == of(facts, "session-attended")[-1].id
    assert in_order(facts, "escalation-cleared", "episode-discharged"), "nobody is sent away for it"


@pytest.mark.scenario(7)
async def test_story_7_seven_silent_days_call_for_a_welfare_contact(cast: Played) -> None:
    facts = cast.facts(7, "xia")
    assert {f.data["absence"] for f in of(facts, "session-missed")} == {"excused"}
    [silent] = of(facts, "absence-threshold-reached")
    assert (silent.data["absences_consecutive"], silent.data["days_silent"]) == (0, 7)
    [escalated] = of(facts, "outreach-escalated")
    assert escalated.data["tier"] == 3
    assert in_order(facts, "absence-threshold-reached", "outreach-escalated", "escalation-cleared")
    loops = [(f.data["loop"], f.data["reason"]) for f in of(facts, "escalation-cleared")]
    assert ("outreach", "resolved") in loops, "a call is contact"


@pytest.mark.scenario(7)
async def test_story_7_a_program_that_pauses_keeps_an_owner_of_the_return(cast: Played) -> None:
    facts, ids = cast.facts(7, "pia"), cast.stages[7].ids
    [paused] = of(facts, "participation-paused")
    assert paused.data["absences_unexcused"] == 3
    assert ids["refused"] == "participation-paused"
    assert "return_after_pause" in ids["waits"]
    [resumed] = of(facts, "participation-resumed")
    assert (resumed.data["reason"], resumed.data["resumed_at"]) == (
        "over",
        paused.data["resumes_at"],
    )
    assert in_order(
        facts,
        "participation-paused",
        "participation-resumed",
        "session-attended",
        "episode-discharged",
    )
    assert "absence" in {f.data["trigger"] for f in of(facts, "clinical-review-requested")}
    asked = [week.data["minutes_threshold"] for week in of(facts, "weekly-hours-evaluated")]
    assert asked == [540, 540 * 4 // 7, 540 * 2 // 7], "days of the pause ask for nothing"


# --- 8: hours ---------------------------------------------------------------------------------------------


@pytest.mark.scenario(8)
@pytest.mark.fact("0.2")
@pytest.mark.parametrize(
    ("label", "week", "shortfalls", "reviews"),
    [
        ("yul", MET, [(120, True)], []),
        ("zoe", SHORT, [(120, True), (60, False)], ["hours"]),
        ("abe", NOT_OFFERED, [], []),
    ],
)
async def test_story_8_hours_below_nine(
    cast: Played,
    label: str,
    week: dict[str, Any],
    shortfalls: list[tuple[int, bool]],
    reviews: list[str],
) -> None:
    facts = cast.facts(8, label)
    [found] = [
        f.data for f in of(facts, "weekly-hours-evaluated") if f.data["week_starts_on"] == WEEK
    ]
    counted = ("threshold", "scheduled", "offered", "credited")
    assert {k: found[f"minutes_{k}"] for k in counted} | {"met": found["met"]} == week
    said = of(facts, "weekly-hours-shortfall-detected")
    assert [(f.data["minutes_short"], f.data["projected"]) for f in said] == shortfalls
    asked = of(facts, "clinical-review-requested")
    assert [f.data["trigger"] for f in asked] == reviews
    assert [f.data["trigger_event_id"] for f in asked] == [said[-1].id for _ in reviews]


@pytest.mark.scenario(8)
async def test_story_8_foreseen_on_wednesday_and_mended_by_friday(cast: Played) -> None:
    facts = cast.facts(8, "yul")
    [foreseen] = of(facts, "weekly-hours-shortfall-detected")
    assert foreseen.headers["ce_time"].startswith("2026-01-15T03:00"), "Wednesday, 20:00 in Denver"
    assert not of(facts, "loop-escalated"), "the make-up was booked in time"


@pytest.mark.scenario(8)
async def test_story_8_what_is_escalated_is_taken_back(cast: Played) -> None:
    facts = cast.facts(8, "zoe")
    [escalated], [cleared] = of(facts, "loop-escalated"), of(facts, "escalation-cleared")
    assert escalated.data["loop"] == cleared.data["loop"] == "make_up"
    assert cleared.data["loop_id"] == escalated.data["loop_id"]
    assert in_order(facts, *REVIEWS, "episode-discharged"), "a review, and not a discharge"


@pytest.mark.scenario(8)
async def test_story_8_hours_not_offered_are_the_programs_matter(cast: Played) -> None:
    ids = cast.stages[8].ids
    assert (ids["before"], ids["after"]) == ("clinical_supervisor", "")
    assert not of(cast.facts(8, "abe"), "loop-escalated", *REVIEWS)


def _time(fact: Any) -> datetime:
    return datetime.fromisoformat(fact.headers["ce_time"])
