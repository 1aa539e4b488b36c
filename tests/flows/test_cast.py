"""The scenarios of docs/domain.md 8 (Scenarios), as the fixed cast lives them; more of them in `test_cast_*.py`."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.flows.played import Played
from tests.flows.scene import in_order, names, of

"""Whichever test comes first waits for the play."""


async def test_the_account_of_all_stories_is_clean(cast: Played) -> None:
    assert cast.ledger.clean, cast.ledger.findings()


@pytest.mark.scenario(10)
async def test_story_10_consent_revoked_mid_way(cast: Played) -> None:
    jo, ids = cast.person(10, "jo"), cast.stages[10].ids
    facts = cast.facts(10, "jo", also=[f"person/{jo.person_id}"])
    assert in_order(
        facts, "consent-granted", "disclosure-recorded", "consent-revoked", "session-attended"
    )
    mistaken, revoked = of(facts, "consent-revoked")
    [undone] = of(facts, "consent-revocation-undone")
    assert mistaken.data["consent_id"] == undone.data["consent_id"] == ids["consent"]
    assert revoked.data["consent_id"] == ids["consent"]
    assert revoked.data["in_reliance"]
    assert ids["told_again"] == ids["referred_out"] == "consent-missing"
    assert "referral-sent" not in names(facts)
    [told] = of(facts, "disclosure-recorded")
    assert ids["accounted"] == told.data["disclosure_id"] == ids["disclosure"]
    after = [f for f in of(facts, "weekly-hours-evaluated") if f.data["minutes_credited"]]
    assert [f.data["minutes_credited"] for f in after] == [540, 540]


@pytest.mark.scenario(10)
async def test_story_10_a_court_and_a_day(cast: Played) -> None:
    kit, lee = cast.person(10, "kit"), cast.person(10, "lee")
    assert cast.stages[10].ids["early"] == "consent-irrevocable"
    court = cast.facts(10, "kit", also=[f"person/{kit.person_id}"])
    assert in_order(court, "consent-granted", "consent-expired", "episode-discharged")
    assert "consent-revoked" not in names(court)
    dated = cast.facts(10, "lee", also=[f"person/{lee.person_id}"])
    assert in_order(dated, "consent-granted", "consent-expired", "episode-discharged")
    [expired] = of(dated, "consent-expired")
    assert expired.data["consent_id"] == cast.stages[10].ids["dated"]


@pytest.mark.scenario(11)
@pytest.mark.fact("3.12", "4.9")
async def test_story_11_return_to_use_and_readmission(cast: Played) -> None:
    ray, again, ids = cast.person(11, "ray"), cast.person(11, "ray-again"), cast.stages[11].ids
    facts = cast.facts(11)
    assert in_order(
        facts,
        "program-graduated",
        "aftercare-plan-activated",
        "check-in-completed",
        "return-to-use-reported",
        "reengagement-started",
        "assessment-completed",
        "reengagement-completed",
        "readmission-requested",
        "patient-admitted",
    )
    first, second = of(facts, "patient-admitted")
    assert second.subject == again.subject
    assert second.data["prior_episode_id"] == ray.episode_id
    assert second.data["person_id"] == first.data["person_id"]
    assert ids["superseded"] == "check-in-superseded"
    assert ids["left"].split() == ["done"] * 5 + ["superseded"] * 3
    assert "check-in-missed" not in names(cast.facts(11, "ray"))
    [left, anew] = of(facts, "episode-discharged")
    due = [
        datetime.fromisoformat(f.data["due_at"])
        for f in of(facts, "check-in-scheduled")
        if f.data["milestone"] == "months_12"
    ]
    for discharge, last in zip((left, anew), due, strict=True):
        since = datetime.fromisoformat(discharge.data["discharged_at"])
        assert (last.date() - since.date()).days == 365


@pytest.mark.scenario(15)
async def test_story_15_imminent_danger_during_a_check_in(cast: Played) -> None:
    sam, ids = cast.person(15, "sam"), cast.stages[15].ids
    facts = cast.facts(15, "sam", also=[f"person/{sam.person_id}"])
    assert in_order(
        facts,
        "check-in-completed",
        "loop-escalated",
        "emergency-disclosure-made",
        "disclosure-recorded",
        "escalation-cleared",
        "transition-reported",
        "loop-escalated",
        "escalation-cleared",
    )
    [made] = of(facts, "emergency-disclosure-made")
    assert made.data["disclosure_id"] == ids["disclosure"]
    assert made.data["nature"] == "overdose"
    assert "Quill" not in "".join(str(f.data) for f in cast.heard)
    raised = {f.data["loop"]: f for f in of(facts, "loop-escalated")}
    cleared = {f.data["loop"]: f.data["reason"] for f in of(facts, "escalation-cleared")}
    assert cleared.keys() == raised.keys() >= {"risk_response", "timely_visit"}
    assert cleared["risk_response"] == cleared["timely_visit"] == "resolved"
    at_once = raised["risk_response"]
    assert at_once.headers["ce_time"] == of(facts, "check-in-completed")[0].headers["ce_time"]
    assert ids["seen"] == "1"


@pytest.mark.scenario(15)
async def test_story_15_danger_stops_an_assessment(cast: Played) -> None:
    facts = cast.facts(15, "mika")
    assert in_order(facts, "assessment-completed", "imminent-danger-identified")
    assert [f.data["kind"] for f in of(facts, "transition-reported")] == ["ed_visit"]
    assert not of(facts, "level-recommended", "eligibility-determined", "patient-admitted")


@pytest.mark.scenario(16)
@pytest.mark.fact("3.12")
async def test_story_16_lost_contact(cast: Played) -> None:
    facts = cast.facts(16)
    assert in_order(
        facts,
        "check-in-completed",
        *["check-in-attempted"] * 3,
        "check-in-missed",
        "outreach-escalated",
        "contact-lost",
        "escalation-cleared",
        "reengagement-started",
        "reengagement-completed",
        "check-in-completed",
        "aftercare-completed",
    )
    missed = of(facts, "check-in-missed")[0]
    assert (missed.data["attempts"], missed.data["channels_tried"]) == (3, 2)
    [lost] = of(facts, "contact-lost")
    assert lost.data["days_silent"] >= 30
    [found] = [f for f in of(facts, "escalation-cleared") if f.data["loop"] == "lost_contact"]
    assert found.data["reason"] == "resolved"
    [year] = of(facts, "aftercare-completed")
    assert year.data["check_ins_due"] == 8
    assert year.data["check_ins_done"] == len(of(facts, "check-in-completed"))
