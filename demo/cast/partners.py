"""Stories of partners: a hand-over that a second partner takes on, and withdrawal care first. And the common steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.protagonist import BEGINS_ON, FACILITY, FOR_IOP, Protagonist

FULL_HOUSE: Final = "mesa-day-hospital"
OPEN_HOUSE: Final = "canyon-day-hospital"
DETOX: Final = "mesa-detox"
DAY_HOSPITAL: Final = "partial_hospitalization"
FOR_DETOX: Final = {**FOR_IOP, "1": 3}


def asam(code: str, edition: str = "3") -> dict[str, str]:
    """A level of care."""
    return {"system": "asam", "edition": edition, "code": code}


async def lets_know(one: Protagonist, *recipients: str) -> str:
    """The person signs that these partners may know of the referral; returns the consent's id."""
    today = one.now.date()
    told = await one.does(
        "intake_coordinator",
        "intake",
        "/consents",
        {
            "person_id": one.person_id,
            "kind": "specific",
            "discloser_id": FACILITY,
            "recipients": list(recipients),
            "categories": ["referral_status", "level_of_care"],
            "purpose": "care_coordination",
            "effective_at": one.now.isoformat(),
            "expires_on": (today + timedelta(days=365)).isoformat(),
            "statements": ["right_to_revoke"],
            "signed_on": today.isoformat(),
            "document_sha256": "5e" * 32,
        },
        "consent-granted",
    )
    return str(told["consent_id"])


async def asks(
    one: Protagonist,
    partner: str,
    kind: str,
    level: Mapping[str, str] | None = None,
) -> str:
    """A partner is asked to take the person, and has got the referral; returns its id."""
    body: dict[str, Any] = {
        **one.of,
        "target_kind": kind,
        "target_facility_id": partner,
        "respond_within_hours": 48,
    }
    if level is not None:
        body["target_level"] = dict(level)
    told = await one.does(
        "case_manager", "intake", "/outbound-referrals", body, "referral-sent", target_kind=kind
    )
    referral_id = str(told["referral_id"])
    await is_reported(one, referral_id, made_at=one.now.isoformat())
    return referral_id


async def is_reported(one: Protagonist, delivery_id: str, **what: Any) -> None:
    """Whoever sent something says what became of it."""
    path = f"/disclosures/{delivery_id}/report"
    body = {"person_id": one.person_id, **what}
    fact = "disclosure-recorded"
    await one.does("case_manager", "intake", path, body, fact, disclosure_id=delivery_id)


async def answers(one: Protagonist, referral_id: str, answer: str, **more: Any) -> None:
    """The partner says that it takes the person, or that it does not; that closes nothing."""
    await one.does(
        "case_manager",
        "intake",
        f"/outbound-referrals/{referral_id}/{answer}",
        {**one.of, **more},
        f"partner-referral-{answer}",
        referral_id=referral_id,
    )


async def ends(one: Protagonist, referral_id: str, outcome: str) -> None:
    """It is known what became of the referral."""
    await one.does(
        "case_manager",
        "intake",
        f"/outbound-referrals/{referral_id}/close",
        {**one.of, "outcome": outcome},
        "referral-loop-closed",
        referral_id=referral_id,
        outcome=outcome,
    )


async def is_closed(one: Protagonist, outcome: str = "declined") -> None:
    """The referral to us ends without an admission."""
    await one.does(
        "intake_coordinator",
        "intake",
        f"/referrals/{one.episode_id}/close",
        {"outcome": outcome},
        "referral-loop-closed",
        referral_id=one.episode_id,
        outcome=outcome,
    )


async def is_handed_over(
    one: Protagonist,
    referral_id: str,
    partner: str,
    level: Mapping[str, str],
    *,
    in_hours: int = 24,
    allowed: bool = True,
) -> None:
    """The hand-over to a partner that has accepted is asked for; it begins if intake allows that the partner is told.

    Until first contact the program is responsible.
    """
    began = ("transfer-initiated",) if allowed else ()
    await one.does(
        "case_manager",
        "plans",
        f"/episodes/{one.episode_id}/transfer",
        {
            "referral_id": referral_id,
            "to_facility_id": partner,
            "to_level": dict(level),
            "handoff_at": (one.now + timedelta(hours=in_hours)).isoformat(),
        },
        *began,
        to_facility_id=partner,
    )


async def is_seen_there(one: Protagonist) -> None:
    """The partner has seen the person, an hour ago: the episode ends here."""
    await one.does(
        "case_manager",
        "plans",
        f"/episodes/{one.episode_id}/transfer/first-contact",
        {"first_contact_at": (one.now - timedelta(hours=1)).isoformat()},
        "transfer-completed",
        "episode-discharged",
    )


async def _has_room(one: Protagonist, partner: str, places: int, *, hours_ago: int) -> None:
    """A partner says what it can take; four hours later nobody should believe it any more."""
    await one.does(
        "case_manager",
        "intake",
        "/partners/capacity",
        {
            "partner_id": partner,
            "kind": DAY_HOSPITAL,
            "level": asam("2.5"),
            "places_free": places,
            "as_of": (one.now - timedelta(hours=hours_ago)).isoformat(),
        },
        method="PUT",
    )


async def second_partner(stage: Stage) -> None:
    """12: The first partner's place was stale news; the second accepts. Responsible until first contact."""
    ray = stage.person("ray")
    await ray.on(0)
    await ray.is_in_treatment()
    await ray.week(0)
    await ray.on(7)
    await ray.does(
        "clinician",
        "plans",
        f"/plans/{ray.plan_id}/reviews",
        {**ray.of, "basis": "not_progressing", "decision": "transfer"},
        "treatment-plan-reviewed",
        decision="transfer",
    )
    await _has_room(ray, FULL_HOUSE, 3, hours_ago=10)
    known = await ray.sees("case_manager", "intake", f"/partners/capacity?kind={DAY_HOSPITAL}")
    [listed] = [one for one in known["capacity"] if one["partner_id"] == FULL_HOUSE]
    assert (listed["places_free"], listed["stale"]) == (3, True), "listed, and marked as too old"
    level, consent_id = asam("2.5"), await lets_know(ray, FULL_HOUSE, OPEN_HOUSE)
    stage.ids["consent"] = consent_id
    first = stage.ids["first"] = await asks(ray, FULL_HOUSE, DAY_HOSPITAL, level)
    await ray.after(hours=5)
    await answers(ray, first, "rejected", reason="no_bed")
    stage.ids["refused"] = await _cannot_be_handed_over(ray, first)
    await ends(ray, first, "declined")

    await ray.on(8)
    await _has_room(ray, OPEN_HOUSE, 1, hours_ago=1)
    second = stage.ids["second"] = await asks(ray, OPEN_HOUSE, DAY_HOSPITAL, level)
    appointment_at = ray.when(10).isoformat()
    await answers(ray, second, "accepted", appointment_at=appointment_at)
    await takes_back(ray, consent_id)
    await is_handed_over(ray, second, OPEN_HOUSE, level, in_hours=48, allowed=False)
    seen = await ray.sees("case_manager", "plans", f"/episodes/{ray.episode_id}")
    stage.ids["withheld"] = seen["transfer_withheld"]
    await lets_know(ray, OPEN_HOUSE)
    await is_handed_over(ray, second, OPEN_HOUSE, level, in_hours=48)
    session_id = stage.ids["session"] = await ray.has_session(9, time(18))
    await ray.on(9, time(21))
    await ray.attends(session_id)
    await ray.on(10, time(12))
    await is_seen_there(ray)
    await ends(ray, second, "admitted")
    await ray.on(14)


async def takes_back(one: Protagonist, consent_id: str) -> None:
    """The person takes a consent back."""
    path, body = f"/consents/{consent_id}/revoke", {"person_id": one.person_id}
    await one.does("intake_coordinator", "intake", path, body, "consent-revoked")


async def _cannot_be_handed_over(ray: Protagonist, referral_id: str) -> str:
    return await ray.is_refused(
        "case_manager",
        "plans",
        f"/episodes/{ray.episode_id}/transfer",
        {
            "referral_id": referral_id,
            "to_facility_id": FULL_HOUSE,
            "to_level": asam("2.5"),
            "handoff_at": ray.when(9).isoformat(),
        },
    )


async def withdrawal_care_first(stage: Stage) -> None:
    """13: Not here yet: detox first, until arrival there; then a referral back, and the clock of being seen in time."""
    mia = stage.person("mia")
    await mia.on(0)
    await mia.is_referred("primary_care")
    assert not await mia.is_assessed(FOR_DETOX)
    kind = "withdrawal_management"
    await lets_know(mia, DETOX)
    sent = stage.ids["sent"] = await asks(mia, DETOX, kind, asam("3.7-WM"))
    await mia.after(hours=3)
    await answers(mia, sent, "accepted", appointment_at=mia.when(1).isoformat())
    await mia.on(1, time(12))
    await ends(mia, sent, "admitted")
    await is_closed(mia)

    back = stage.person("mia, back")
    await back.on(8)
    await back.is_referred(kind, "urgent", person_id=mia.person_id, source_facility_id=DETOX)
    assert back.person_id == mia.person_id
    stage.ids["left_detox_on"] = (BEGINS_ON + timedelta(days=8)).isoformat()
    await back.on(11)
    assert await back.is_assessed()
    await back.is_admitted()
    await back.has_a_plan()
    await back.week(14)
    await back.on(21)
    day = stage.ids["left_detox_on"]
    question = f"/measures/fui?from={day}&to={day}"
    parts = (await back.sees("clinician", "followup", question))["parts"]
    stage.ids["seen"] = " ".join(name for name, part in parts.items() if part["numerator"])
    await back.leaves()


STORIES = (
    Story(12, "Transfer to a partner", second_partner),
    Story(13, "Ineligible at intake", withdrawal_care_first),
)
