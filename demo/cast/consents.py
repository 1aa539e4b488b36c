"""Stories of consent: taken back mid-way, irrevocable for a court, and ended by its day."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any, Final

from demo.cast.company import Stage, Story
from demo.cast.protagonist import BEGINS_ON, FACILITY, Protagonist
from demo.hours import LEVEL
from shared.decision import derive_id

PARTNER: Final = "front-range-outpatient"
COURT: Final = "county-drug-court"
CLASSES: Final = ("attendance", "treatment_plan")


async def consents(one: Protagonist, recipient: str, **form: Any) -> str:
    """A signed consent is recorded; returns its id. By default a specific one, until a day a year ahead."""
    today: date = one.now.date()
    told = await one.does(
        "intake_coordinator",
        "intake",
        "/consents",
        {
            "person_id": one.person_id,
            "kind": "specific",
            "discloser_id": FACILITY,
            "recipients": [recipient],
            "categories": list(CLASSES),
            "purpose": "care_coordination",
            "effective_at": one.now.isoformat(),
            "expires_on": (today + timedelta(days=365)).isoformat(),
            "statements": ["right_to_revoke"],
            "signed_on": today.isoformat(),
            "document_sha256": "c0" * 32,
            **form,
        },
        "consent-granted",
    )
    return str(told["consent_id"])


async def discloses(one: Protagonist, recipient: str, **more: Any) -> str:
    """Somebody outside is told what a consent allows; returns the disclosure's id."""
    told = await one.does("case_manager", "intake", "/disclosures", _told(one, recipient, **more))
    return str(told["disclosure_id"])


def _told(one: Protagonist, recipient: str, **more: Any) -> dict[str, Any]:
    return {
        "person_id": one.person_id,
        "episode_id": one.episode_id,
        "recipient_id": recipient,
        "categories": ["attendance"],
        "discloser_id": derive_id("demo", FACILITY, "case_manager"),
        "disclosed_at": one.now.isoformat(),
        "basis": "consent",
        "purpose": "care_coordination",
        **more,
    }


async def may_tell(one: Protagonist, recipient: str, purpose: str = "care_coordination") -> bool:
    """Whether the gate is open at this moment."""
    question = f"person_id={one.person_id}&recipient={recipient}&category=attendance"
    path = f"/consents/check?{question}&purpose={purpose}"
    return bool((await one.sees("case_manager", "intake", path))["allowed"])


async def told_so_far(one: Protagonist) -> list[dict[str, Any]]:
    """The accounting of disclosures, as the person has a right to it."""
    path = f"/disclosures?person_id={one.person_id}"
    return list((await one.sees("privacy_officer", "intake", path))["disclosures"])


async def was_a_mistake(one: Protagonist, disclosure_id: str) -> None:
    """An entry of the accounting was written twice: it stays, and is marked."""
    path, body = f"/disclosures/{disclosure_id}/undo", {"reason": "duplicate"}
    who = {"person_id": one.person_id}
    await one.does("privacy_officer", "intake", path, {**who, **body}, "disclosure-undone")


async def revoked_mid_way(stage: Stage) -> None:
    """10: What was allowed is taken back; treatment goes on, and what was told before stays in the accounting."""
    jo = stage.person("jo")
    await jo.on(0)
    await jo.is_in_treatment()
    consent_id = stage.ids["consent"] = await consents(jo, PARTNER)
    assert await may_tell(jo, PARTNER)
    stage.ids["disclosure"] = await discloses(jo, PARTNER)
    await jo.week(0)
    await jo.on(7)
    revoke = f"/consents/{consent_id}/revoke"
    person = {"person_id": jo.person_id}
    await jo.does("intake_coordinator", "intake", revoke, person, "consent-revoked")
    wrong = {**person, "reason": "not_intended"}
    path = f"{revoke}/undo"
    await jo.does("privacy_officer", "intake", path, wrong, "consent-revocation-undone")
    assert await may_tell(jo, PARTNER)
    await jo.does("intake_coordinator", "intake", revoke, person, "consent-revoked")
    assert not await may_tell(jo, PARTNER)
    stage.ids["told_again"] = await jo.is_refused(
        "case_manager", "intake", "/disclosures", _told(jo, PARTNER)
    )
    stage.ids["referred_out"] = await jo.is_refused(
        "case_manager",
        "intake",
        "/outbound-referrals",
        {
            **jo.of,
            "target_kind": "outpatient",
            "target_facility_id": PARTNER,
            "target_level": {**LEVEL, "code": "1"},
            "respond_within_hours": 24,
        },
    )
    stage.ids["accounted"] = (await told_so_far(jo))[0]["disclosure_id"]
    await jo.week(7)
    await jo.on(14)
    await jo.leaves()


async def for_a_court(stage: Stage) -> None:
    """10: A court's consent is not taken back before the case has ended; it ends with it."""
    kit = stage.person("kit")
    await kit.on(0, time(10))
    await kit.is_in_treatment(court_involved=True)
    form: dict[str, Any] = {
        "kind": "cjs",
        "purpose": "monitoring",
        "expires_on": None,
        "expires_with": "final_disposition",
        "statements": [],
    }
    consent_id = stage.ids["court"] = await consents(kit, COURT, **form)
    person = {"person_id": kit.person_id}
    await kit.on(4)
    stage.ids["early"] = await kit.is_refused(
        "intake_coordinator", "intake", f"/consents/{consent_id}/revoke", person
    )
    assert await may_tell(kit, COURT, "monitoring")
    await kit.on(10)
    expire = f"/consents/{consent_id}/expire"
    await kit.does("intake_coordinator", "intake", expire, person, "consent-expired")
    assert not await may_tell(kit, COURT, "monitoring")
    await kit.leaves()


async def until_a_day(stage: Stage) -> None:
    """10: A consent ends by itself with the day that it names."""
    lee = stage.person("lee")
    await lee.on(0, time(11))
    await lee.is_in_treatment()
    last_day = BEGINS_ON + timedelta(days=5)
    stage.ids["dated"] = await consents(lee, PARTNER, expires_on=last_day.isoformat())
    await lee.on(4)
    assert await may_tell(lee, PARTNER)
    await discloses(lee, PARTNER)
    await was_a_mistake(lee, await discloses(lee, PARTNER))
    another = await consents(lee, COURT, categories=["attendance"])
    wrong = {"person_id": lee.person_id, "reason": "wrong_person"}
    path = f"/consents/{another}/undo"
    await lee.does("privacy_officer", "intake", path, wrong, "consent-undone")
    await lee.on(7)
    assert not await may_tell(lee, PARTNER)
    await lee.leaves()


async def consent(stage: Stage) -> None:
    """10: Consent revoked mid-way; beside it, the two consents that end otherwise."""
    stage.beside(for_a_court(stage))
    stage.beside(until_a_day(stage))
    await revoked_mid_way(stage)


STORIES = (Story(10, "Consent revoked mid-way", consent),)
