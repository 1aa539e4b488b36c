"""The seventeen scenarios of the domain reference, as the fixed cast lives them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from demo.cast.stories import STORIES
from shared.testing.backends import Backend
from tests.flows.played import Played, played
from tests.flows.scene import in_order, names, of

ONLY = [int(n) for n in os.environ.get("STORIES", "").split(",") if n]
"""For work on a few stories: `STORIES=2,9 pytest tests/flows/test_cast.py -k 'story_2 or story_9'`."""


@pytest.fixture(scope="module")
async def cast(backend: Backend) -> AsyncIterator[Played]:
    async with played(backend, f"c{uuid4().hex[:8]}_", ONLY or tuple(STORIES)) as all_of_it:
        yield all_of_it


@pytest.mark.timeout(400)
async def test_the_account_of_all_stories_is_clean(cast: Played) -> None:
    assert cast.ledger.clean, cast.ledger.report()


@pytest.mark.scenario(2)
async def test_story_2_unexpected_positive(cast: Played) -> None:
    facts = cast.facts(2)
    assert in_order(
        facts,
        "screen-resulted",
        "screen-interpreted",
        "screen-failed",
        "clinical-review-requested",
        "clinical-review-completed",
    )
    asked = [f.data["trigger"] for f in of(facts, "clinical-review-requested")]
    assert asked.count("screen") == 1
    assert "referral-sent" not in names(facts)


@pytest.mark.scenario(10)
async def test_story_10_consent_revoked_mid_way(cast: Played) -> None:
    jo, ids = cast.person(10, "jo"), cast.stages[10].ids
    facts = cast.facts(10, "jo", also=[f"person/{jo.person_id}"])
    assert in_order(
        facts, "consent-granted", "disclosure-recorded", "consent-revoked", "session-attended"
    )
    [revoked] = of(facts, "consent-revoked")
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


@pytest.mark.scenario(12)
async def test_story_12_transfer_to_a_partner(cast: Played) -> None:
    stage = cast.stages[12]
    facts = cast.facts(12)
    assert in_order(
        facts,
        "treatment-plan-reviewed",
        "referral-sent",
        "partner-referral-rejected",
        "referral-loop-closed",
        "referral-sent",
        "partner-referral-accepted",
        "transfer-initiated",
        "session-attended",
        "transfer-completed",
        "episode-discharged",
        "referral-loop-closed",
    )
    [rejected] = of(facts, "partner-referral-rejected")
    assert (rejected.data["referral_id"], rejected.data["reason"]) == (stage.ids["first"], "no_bed")
    assert stage.ids["refused"] == "referral-not-accepted"
    closed = {f.data["referral_id"]: f.data["outcome"] for f in of(facts, "referral-loop-closed")}
    assert closed[stage.ids["first"]] == "declined"
    assert closed[stage.ids["second"]] == "admitted"
    [moved], [ended] = of(facts, "transfer-completed"), of(facts, "episode-discharged")
    assert ended.data["kind"] == "transferred"
    kept = [f.data for f in of(facts, "session-attended")][-1]
    assert kept["session_id"] == stage.ids["session"]
    assert kept["starts_at"] < moved.data["first_contact_at"]
    assert kept["minutes_credited"] == 180, "this program's until somebody else has seen them"


@pytest.mark.scenario(13)
async def test_story_13_withdrawal_care_first(cast: Played) -> None:
    stage = cast.stages[13]
    facts = cast.facts(13, "mia")
    assert in_order(
        facts,
        "assessment-completed",
        "eligibility-determined",
        "referral-sent",
        "partner-referral-accepted",
        "referral-loop-closed",
        "referral-loop-closed",
    )
    [found] = of(facts, "eligibility-determined")
    assert "withdrawal-management-needed" in found.data["unmet"]
    closed = {f.data["referral_id"]: f.data["outcome"] for f in of(facts, "referral-loop-closed")}
    assert closed[stage.ids["sent"]] == "admitted"
    assert not of(facts, "patient-admitted")
    back = cast.facts(13, "mia, back")
    assert in_order(
        back, "referral-received", "level-recommended", "patient-admitted", "session-attended"
    )
    day = stage.ids["left_detox_on"]
    seen = await stage.staff.sees("clinician", "followup", f"/measures/fui?from={day}&to={day}")
    parts = seen["parts"]
    assert parts["within_7"]["numerator"] == parts["within_30"]["numerator"] >= 1
