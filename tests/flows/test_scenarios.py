"""Two scenarios step by step, with what the services answer on the way; all others are the cast's (`test_cast*.py`)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from demo.services import DemoError
from tests.flows.scene import (
    EVENING,
    FOR_DETOX,
    MORNING,
    NOON,
    PARTNER,
    Flow,
    in_order,
    of,
)

MON, TUE, _, THU, FRI = range(5)


@pytest.mark.scenario(17)
async def test_a_roll_that_is_called_after_the_week_was_closed_still_counts_in_it(
    flow: Flow,
) -> None:
    """Late is not lost."""
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
    [booking] = view["bookings"].values()
    assert (booking["status"], booking["minutes_credited"]) == ("attended", 180)
    await flow.leaves(patient)


@pytest.mark.scenario(13)
async def test_who_needs_withdrawal_care_is_referred_on_under_a_consent_until_they_arrive(
    flow: Flow,
) -> None:
    """No consent, no referral; and accepted is not arrived, which is said when it lasts too long."""
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
    assert view["stage"] == "declined"
    assert view["outbound"][sent["referral_id"]]["outcome"] == "admitted"
