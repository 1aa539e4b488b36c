"""What comes late, twice or wrong, people on duty, and the vocabulary as a whole."""

from __future__ import annotations

import pytest

from demo.cast.stories import STORIES
from tests.flows.conftest import ONLY
from tests.flows.played import Played
from tests.flows.scene import in_order, names, of

"""Whichever test comes first waits for the play."""


@pytest.mark.scenario(17)
async def test_story_17_results_twice_and_out_of_order(cast: Played) -> None:
    facts, screen_id = cast.facts(17), cast.stages[17].ids["screen"]
    ours = [f for f in facts if f.data.get("screen_id") == screen_id]
    assert names(ours) == [
        "screen-ordered",
        "specimen-collected",
        "custody-transferred",
        "screen-resulted",
        "screen-interpreted",
    ]
    [resulted] = of(ours, "screen-resulted")
    assert resulted.data["stage"] == "definitive"
    [interpreted] = of(ours, "screen-interpreted")
    assert interpreted.data["classification"] == "negative"


@pytest.mark.scenario(17)
@pytest.mark.fact("0.2")
async def test_story_17_a_correction_reopens_a_closed_week(cast: Played) -> None:
    facts, ids = cast.facts(17), cast.stages[17].ids
    assert in_order(
        facts,
        "weekly-hours-evaluated",
        "attendance-corrected",
        "weekly-hours-evaluated",
    )
    [corrected] = of(facts, "attendance-corrected")
    assert corrected.data["session_id"] == ids["missed"]
    weeks = of(facts, "weekly-hours-evaluated")
    first = weeks[0].data["week_starts_on"]
    before, after = [f.data for f in weeks if f.data["week_starts_on"] == first]
    assert (before["minutes_credited"], before["met"]) == (360, False)
    assert (after["minutes_credited"], after["met"]) == (540, True)
    assert names(facts).count("mutual-support-logged") == 1


@pytest.mark.scenario(17)
async def test_story_17_a_roll_that_nobody_called_is_asked_for(cast: Played) -> None:
    late = cast.stages[17].ids["late"]
    session = cast.facts(17, "nia", also=[f"session/{late}"])
    assert in_order(
        session,
        "session-loop-escalated",
        "session-escalation-cleared",
        "session-attended",
        "weekly-hours-evaluated",
    )
    [cleared] = of(session, "session-escalation-cleared")
    assert cleared.data["loop"] == "roll_call"


async def test_story_18_a_deputy_then_a_colleague_has_the_work(cast: Played) -> None:
    ids, facts = cast.stages[18].ids, cast.facts(18, "uma")
    assert "outreach" in ids["deputy"].split()
    assert "outreach" not in ids["away"].split()
    assert ids["back"] == ids["deputy"] == ids["colleague"]
    teams = [f.data["staff_id"] for f in of(facts, "care-team-assigned")]
    assert len(teams) == len(set(teams)) == 2
    assert in_order(facts, "care-team-assigned", "care-team-role-vacated")


async def test_story_18_what_never_existed_is_taken_back_everywhere(cast: Played) -> None:
    facts = cast.facts(18, "ola")
    assert in_order(facts, "session-attended", "episode-entered-in-error")
    assert cast.stages[18].ids["void"].split() == ["entered-in-error"] * 4
    last = of(facts, "episode-entered-in-error")[0].headers["ce_time"]
    later = [f for f in facts if f.headers["ce_time"] > last]
    assert not [f for f in later if f.topic != "care.intake"]


async def test_story_18_a_person_is_corrected_and_a_referral_merged(cast: Played) -> None:
    pia, quin, ids = cast.person(18, "pia"), cast.person(18, "quin"), cast.stages[18].ids
    facts = cast.facts(18, "pia", "quin")
    assert in_order(facts, "episode-person-corrected", "referral-merged", "episode-discharged")
    assert ids["different"] == "different-persons"
    [corrected] = of(facts, "episode-person-corrected")
    assert corrected.subject == pia.subject
    assert corrected.data["previous_person_id"] == ids["was"]
    assert corrected.data["person_id"] == quin.person_id
    assert len(of(facts, "referral-merged-undone")) == 1
    _, merged = of(facts, "referral-merged")
    assert (merged.subject, merged.data["into_episode_id"]) == (quin.subject, pia.episode_id)


async def test_story_18_an_admission_is_undone(cast: Played) -> None:
    facts = cast.facts(18, "rob")
    assert in_order(
        facts, "patient-admitted", "admission-undone", "patient-admitted", "episode-discharged"
    )
    assert cast.stages[18].ids["before"] == "placed"
    ledger = cast.facts(18, "rob", also=[f"person/{cast.person(18, 'rob').person_id}"])
    assert in_order(ledger, "incentive-earned", "incentive-undone")


async def test_story_18_an_end_that_was_a_mistake_is_taken_back(cast: Played) -> None:
    facts, ids = cast.facts(18, "sam"), cast.stages[18].ids
    of_plans = [fact for fact in facts if fact.topic == "care.plans"]
    assert in_order(
        of_plans,
        "episode-discharged",
        "discharge-undone",
        "clinical-review-completed",
        "program-graduated",
        "graduation-undone",
        "discharge-undone",
        "transfer-completed",
        "first-contact-undone",
        "discharge-undone",
        "transfer-undone",
        "transfer-initiated",
        "transfer-fell-through",
        "episode-discharged",
    )
    assert ids["sam waits for"] == "level_change", "and no longer for an arrival"
    assert ids["sam is"] == "oriented"
    [again] = [
        fact
        for fact in cast.facts(18, "sam", also=[f"person/{cast.person(18, 'sam').person_id}"])
        if fact.type.endswith("consent-expiry-undone.v1")
    ]
    assert again.data["consent_id"] == ids["sam's consent"]


@pytest.mark.fact("1.8")
async def test_story_18_what_was_recorded_wrongly_is_taken_back(cast: Played) -> None:
    ledger = f"person/{cast.person(18, 'tia').person_id}"
    facts, ids = cast.facts(18, "tia", also=[ledger]), cast.stages[18].ids
    assert in_order(facts, "absence-threshold-reached", "absence-threshold-undone")
    assert in_order(facts, "incentive-earned", "incentive-reset", "incentive-reset-undone")
    assert (ids["tia's failed"], ids["tia's overturned"]) == ("1", "0")
    for fact in (
        "interpretation-undone",
        "screen-not-provided-undone",
        "breath-test-undone",
        "mutual-support-undone",
        "family-session-undone",
    ):
        assert len(of(facts, fact)) == 1
    asked = {f.data["review_id"] for f in of(facts, "clinical-review-requested")}
    done = {f.data["review_id"] for f in of(facts, "clinical-review-completed")}
    assert asked == done, "nobody had to look at any of it"


async def test_story_18_nobody_calls_who_is_said_to_have_died(cast: Played) -> None:
    facts, ids = cast.facts(18, "ugo"), cast.stages[18].ids
    assert in_order(
        facts,
        "circumstance-recorded",
        "circumstance-undone",
        "check-in-completed",
        "check-in-undone",
        "check-in-attempt-undone",
        "return-to-use-reported",
        "return-to-use-undone",
        "transition-undone",
        "circumstance-recorded",
        "circumstance-ended",
        "circumstance-recorded",
    )
    assert ids["ugo called"] == "no-contact"
    last = of(facts, "circumstance-recorded")[-1].headers["ce_time"]
    later = [f for f in facts if f.headers["ce_time"] > last and f.topic == "care.followup"]
    asked = {f.data["loop"] for f in of(later, "loop-escalated")}
    assert len(of(later, "loop-escalated")) == len(later), "in jail, nobody is called"
    assert asked <= {"circumstance"}, "at most it is asked whether it still is so"


async def test_story_19_a_review_that_was_late(cast: Played) -> None:
    facts, ids = cast.facts(19, "vera"), cast.stages[19].ids
    assert in_order(
        facts,
        "goal-added",
        "treatment-plan-review-due",
        "treatment-plan-review-overdue",
        "loop-escalated",
        "goal-withdrawn",
        "treatment-plan-reviewed",
        "escalation-cleared",
    )
    [late] = of(facts, "treatment-plan-review-overdue")
    assert late.data["days_overdue"] == 3
    assert "plan_review:" in ids["review"]
    assert "plan_review:" not in ids["reviewed"]


async def test_story_19_a_partner_that_does_not_answer(cast: Played) -> None:
    facts, ids = cast.facts(19, "xia"), cast.stages[19].ids
    assert in_order(
        facts,
        "referral-sent",
        "referral-loop-overdue",
        "referral-loop-closed",
        "escalation-cleared",
    )
    hours = [f.data["hours_open"] for f in of(facts, "referral-loop-overdue")]
    assert hours == sorted(hours)
    assert hours[0] == 48
    assert "outbound_referral:" in ids["asked"]
    assert not ids["ended"]


async def test_story_19_a_group_and_a_referral_that_nobody_looked_at(cast: Played) -> None:
    group = cast.facts(19, "yan", also=[f"group/{cast.stages[19].ids['group']}"])
    assert in_order(
        group,
        "group-opened",
        "group-below-minimum",
        "group-loop-escalated",
        "group-escalation-cleared",
    )
    referral = cast.facts(19, "wes")
    assert in_order(
        referral,
        "referral-received",
        "loop-escalated",
        "referral-declined",
        "referral-loop-closed",
        "escalation-cleared",
    )


@pytest.mark.skipif(bool(ONLY), reason="only the whole cast says everything")
async def test_the_cast_says_every_type_of_the_catalogue(cast: Played) -> None:
    assert set(cast.stages) == set(STORIES)
    assert not cast.ledger.unheard
