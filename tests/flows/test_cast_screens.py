"""The cast's screens: docs/domain.md scenarios 2, 3 and 4."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.flows.played import Played
from tests.flows.scene import in_order, names, of

REVIEWS = ("clinical-review-requested", "clinical-review-completed")


def meanings(cast: Played, number: int, label: str) -> list[str]:
    """How somebody's screens were interpreted, in order."""
    facts = of(cast.facts(number, label), "screen-interpreted")
    return [f.data["classification"] for f in facts]


def earned_cents(cast: Played, number: int, label: str) -> list[int]:
    """Somebody's rewards, in order."""
    person = f"person/{cast.person(number, label).person_id}"
    facts = of(cast.facts(number, label, also=[person]), "incentive-earned")
    return [f.data["amount_cents"] for f in facts]


@pytest.mark.scenario(2)
@pytest.mark.fact("1.8")
async def test_story_2_unexpected_positive(cast: Played) -> None:
    facts, ids = cast.facts(2), cast.stages[2].ids
    assert in_order(
        facts,
        "screen-ordered",
        "specimen-collected",
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
        "clinical-review-requested",
        "clinical-review-completed",
        "session-attended",
        "episode-discharged",
    )
    assert meanings(cast, 2, "ana") == ["unexpected_positive"]
    [failed] = of(facts, "screen-failed")
    [requested] = of(facts, "clinical-review-requested")
    assert (requested.data["trigger"], requested.data["review_id"]) == ("screen", ids["review"])
    assert requested.data["trigger_event_id"] == requested.headers["ce_causationid"] == failed.id
    [completed] = of(facts, "clinical-review-completed")
    assert completed.data["outcome"] == "intensify"
    assert ids["stage"] == "oriented", "still in treatment, days after"
    assert ids["reviews open"] == "0"
    said = {"screen_id", "matrix", "interpreted_by_id", "collected_at"}
    assert failed.data.keys() == said, "what was found stays"
    told = ("disclosure-recorded", "referral-sent", "clinical-review-overdue", "loop-escalated")
    assert not of(cast.facts(2, also=[f"person/{cast.person(2, 'ana').person_id}"]), *told)


@pytest.mark.scenario(3)
@pytest.mark.fact("2.1", "0.5")
async def test_story_3_prescribed_buprenorphine(cast: Played) -> None:
    facts = cast.facts(3)
    assert in_order(
        facts,
        "expected-analytes-updated",
        *("screen-ordered", "screen-resulted", "screen-interpreted") * 4,
        "episode-discharged",
    )
    [updated] = of(facts, "expected-analytes-updated")
    assert [(a["code"], a["verified"]) for a in updated.data["analytes"]] == [
        ("buprenorphine", True)
    ]
    assert meanings(cast, 3, "ben") == [
        "expected_positive",
        "expected_positive",
        "expected_absent",
        "expected_positive",
    ]
    rewards = earned_cents(cast, 3, "ben")
    assert rewards == [250, 375, 500, 625], "a row that neither breaks nor starts anew"
    assert cast.stages[3].ids["review"] == "adherence, private", "the only one, and nobody is told"
    assert not of(facts, "screen-failed", *REVIEWS, "loop-escalated", "escalation-cleared")


@pytest.mark.scenario(4)
@pytest.mark.fact("1.8")
async def test_story_4_dilute_is_taken_again(cast: Played) -> None:
    facts, ids = cast.facts(4, "cleo"), cast.stages[4].ids
    assert in_order(
        facts,
        "screen-ordered",
        "specimen-collected",
        *["custody-transferred"] * 3,
        "screen-resulted",
        "clinical-review-requested",
        "screen-interpreted",
        "clinical-review-completed",
        "screen-ordered",
        "specimen-collected",
        *["custody-transferred"] * 3,
        "screen-resulted",
        "screen-interpreted",
    )
    assert [f.data["validity"] for f in of(facts, "screen-resulted")] == ["dilute", "valid"]
    assert meanings(cast, 4, "cleo") == ["invalid", "negative"], "too thin is not positive"
    assert [f.data["trigger"] for f in of(facts, "clinical-review-requested")] == ["validity"]
    first, second = of(facts, "screen-ordered")
    assert (first.data["screen_id"], second.data["screen_id"]) == (ids["dilute"], ids["retest"])
    assert second.data["reason"] == "retest"
    dilute, collected_again = of(facts, "screen-resulted")[0], of(facts, "specimen-collected")[1]
    known_at = datetime.fromisoformat(dilute.headers["ce_time"])
    taken_at = datetime.fromisoformat(collected_again.data["collected_at"])
    assert taken_at - known_at < timedelta(hours=48)
    chain = [
        (f.data["screen_id"], f.data["custody_sequence"], f.data["holder"])
        for f in of(facts, "custody-transferred")
    ]
    holders = ("storage", "courier", "laboratory")
    assert chain == [
        (screen_id, number, holder)
        for screen_id in (ids["dilute"], ids["retest"])
        for number, holder in enumerate(holders, start=2)
    ]
    assert not of(facts, "screen-failed", "loop-escalated")


@pytest.mark.scenario(4)
@pytest.mark.fact("1.8")
async def test_story_4_a_refusal_is_reviewed_and_is_never_use(cast: Played) -> None:
    drew, ids = cast.person(4, "drew"), cast.stages[4].ids
    facts = cast.facts(4, "drew", also=[f"person/{drew.person_id}"])
    [refused] = of(facts, "screen-not-provided")
    assert (refused.data["screen_id"], refused.data["kind"]) == (ids["refused"], "refused")
    [requested] = of(facts, "clinical-review-requested")
    assert requested.data["trigger"] == "refusal"
    assert requested.data["trigger_event_id"] == refused.id
    of_it = [f for f in facts if f.data.get("screen_id") == ids["refused"]]
    assert names(of_it) == ["screen-ordered", "incentive-reset", "screen-not-provided"]
    assert meanings(cast, 4, "drew") == ["negative"] * 3
    assert not of(facts, "screen-failed")
    assert ids["failed"] == "0"

    assert earned_cents(cast, 4, "drew") == [250, 375, 250], "from the base again, and no lower"
    [reset] = of(facts, "incentive-reset")
    assert (reset.data["next_cents"], reset.data["total_cents"]) == (250, 625), "earned is earned"


@pytest.mark.scenario(4)
@pytest.mark.fact("1.11", "2.1", "2.7")
async def test_story_4_meetings_and_family(cast: Played) -> None:
    facts, ids = cast.facts(4, "drew"), cast.stages[4].ids
    meetings = of(facts, "mutual-support-logged")
    assert [f.data["fellowship"] for f in meetings] == ["smart", "aa"]
    [choice] = of(facts, "mutual-support-requirement-set")
    assert choice.data["opted_out"] is False
    [visit] = of(facts, "family-session-attended")
    assert (visit.data["session_id"], visit.data["kind"]) == (ids["family"], "education")
    [credited] = [f for f in of(facts, "session-attended") if f.data["session_id"] == ids["family"]]
    assert (credited.data["modality"], credited.data["minutes_credited"]) == ("family", 60)
    second_week = of(facts, "weekly-hours-evaluated")[-1].data
    assert second_week["minutes_credited"] == 3 * 180 + 60, "the family's hour, and no meeting"


@pytest.mark.scenario(4)
@pytest.mark.fact("1.8")
async def test_story_4_a_first_positive_breath_test_says_nothing_yet(cast: Played) -> None:
    facts, ids = cast.facts(4, "eli"), cast.stages[4].ids
    tests = of(facts, "breath-test-recorded")
    assert [f.data["outcome"] for f in tests] == ["retest", "negative", "retest", "positive"]
    for first, second in (tests[:2], tests[2:]):
        assert second.data["retest_of_screen_id"] == first.data["screen_id"]
        waited = datetime.fromisoformat(second.headers["ce_time"]) - datetime.fromisoformat(
            first.headers["ce_time"]
        )
        assert timedelta(minutes=15) <= waited <= timedelta(minutes=45)
    [requested] = of(facts, "clinical-review-requested")
    assert requested.data["trigger"] == "screen"
    assert requested.data["trigger_event_id"] == tests[-1].id
    assert ids["no group"] == "True"
    assert of(facts, "session-missed") == [], "no group on that day, and no absence either"
    assert in_order(facts, "breath-test-recorded", "session-attended", "breath-test-recorded")
