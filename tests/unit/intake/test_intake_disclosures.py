"""Disclosures: emergencies without consent, everything else with its ground, and the accounting of all of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.intake.app import SERVICE
from services.intake.person import accounting, grounds
from shared.contracts import intake
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.contracts.intake import DisclosureBasis, EmergencyNature
from tests.unit.intake.partners import register
from tests.unit.served import Served, refused
from tests.unit.support import START, uid

REFERRAL = {"source_kind": "self", "urgency": "routine"}
CONSENT = {
    "kind": "specific",
    "discloser_id": "harbor-iop",
    "recipients": ["river-clinic"],
    "categories": ["attendance", "referral_status"],
    "purpose": "care_coordination",
    "effective_at": START.isoformat(),
    "expires_on": "2026-06-30",
    "statements": ["right_to_revoke"],
    "signed_on": "2026-03-02",
    "document_sha256": "9f" * 32,
}


class Case:
    """A person, their episode, and what is told about them."""

    def __init__(self, served: Served, told: dict[str, Any]) -> None:
        self.served = served
        self.person_id, self.episode_id = told["person_id"], told["episode_id"]

    @property
    def emergency(self) -> dict[str, Any]:
        return {
            "person_id": self.person_id,
            "episode_id": self.episode_id,
            "recipient_id": "harbor-ed",
            "personnel_name": "Dr. Canary",
            "personnel_role": "ed-physician",
            "categories": ["medication", "screens"],
            "discloser_id": uid("nurse"),
            "disclosed_at": START.isoformat(),
            "nature": "overdose",
        }

    @property
    def ordinary(self) -> dict[str, Any]:
        return {
            "person_id": self.person_id,
            "episode_id": self.episode_id,
            "recipient_id": "river-clinic",
            "categories": ["attendance"],
            "discloser_id": uid("nurse"),
            "disclosed_at": START.isoformat(),
            "basis": "consent",
            "purpose": "care_coordination",
        }

    async def in_emergency(self, **changes: Any) -> Any:
        body = {**self.emergency, **changes}
        return await self.served.acting_as("nurse").post(
            "/disclosures/emergency", {k: v for k, v in body.items() if v is not None}
        )

    async def otherwise(self, **changes: Any) -> Any:
        return await self.served.acting_as("nurse").post(
            "/disclosures", {**self.ordinary, **changes}
        )

    async def consents(self, **changes: Any) -> str:
        told = await self.served.acting_as("intake_coordinator").does(
            "/consents", {"person_id": self.person_id, **CONSENT, **changes}
        )
        consent_id: str = told["consent_id"]
        return consent_id

    async def accounting(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.served.acting_as("privacy_officer").get(
            "/disclosures", params={"person_id": self.person_id, **params}
        )
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["disclosures"]
        return rows

    def said(self, event_type: type[Any]) -> list[Any]:
        said = self.served.said(f"person/{self.person_id}")
        return [event for event in said if isinstance(event, event_type)]


@pytest.fixture
async def case() -> Case:
    served = await register(Served(SERVICE).acting_as("intake_coordinator"))
    return Case(served, await served.does("/referrals", REFERRAL))


# --- emergencies ----------------------------------------------------------------------------------------


@pytest.mark.scenario(15)
async def test_an_emergency_is_told_accounted_for_and_looked_at(case: Case) -> None:
    answer = await case.in_emergency()
    assert answer.status_code == 201, answer.text
    disclosure_id = answer.json()["disclosure_id"]
    [made] = case.said(intake.EmergencyDisclosureMade)
    [recorded] = case.said(intake.DisclosureRecorded)
    assert made.disclosure_id == recorded.disclosure_id == disclosure_id, "one row, not two"
    assert (made.nature, made.recipient_id) == (EmergencyNature.OVERDOSE, "harbor-ed")
    assert (made.disclosed_by_id, made.disclosed_at) == (uid("nurse"), START)
    assert recorded.basis is DisclosureBasis.EMERGENCY
    assert recorded.consent_id is None
    assert (made.notice_version, recorded.notice_version) == (None, None), "no notice went along"
    [row] = await case.accounting()
    assert row["personnel_id"] == made.personnel_id
    assert (row["personnel_role"], row["nature"]) == ("ed-physician", "overdose")
    [loop] = (await case.served.get("/loops", params={"kind": "disclosure_review"})).json()["loops"]
    assert (loop["id"], loop["owner"]["role"]) == (disclosure_id, "privacy_officer")


async def test_of_an_emergency_that_was_none_nothing_is_looked_at(case: Case) -> None:
    disclosure_id = (await case.in_emergency()).json()["disclosure_id"]
    mistake = {"person_id": case.person_id, "reason": "wrong_person"}
    case.served.acting_as("privacy_officer")
    await case.served.does(f"/disclosures/{disclosure_id}/undo", mistake)
    found = await case.served.get("/loops", params={"kind": "disclosure_review"})
    assert found.json()["loops"] == []


async def test_the_name_of_who_was_told_is_sealed_with_the_identity_alone(case: Case) -> None:
    await case.in_emergency()
    assert "Dr. Canary" not in str(case.served.disk.documents())
    assert list(case.served.state(f"identity/{case.person_id}").personnel)
    case.served.acting_as("intake_coordinator")
    body = {"given_name": "A", "family_name": "B", "born_on": "1990-01-01"}
    await case.served.put(f"/people/{case.person_id}/identity", body)
    path = f"/people/{case.person_id}/identity"
    case.served.acting_as("privacy_officer")
    answer = await case.served.get(path, params={"purpose": "privacy_review"})
    [row] = await case.accounting()
    assert answer.json()["emergency_personnel"] == {row["personnel_id"]: "Dr. Canary"}
    answer = await case.served.acting_as("nurse").get(path, params={"purpose": "emergency"})
    assert "emergency_personnel" not in answer.json()


@pytest.mark.parametrize(
    "missing",
    [
        *("person_id", "episode_id", "recipient_id", "personnel_name", "personnel_role"),
        *("categories", "discloser_id", "disclosed_at", "nature"),
    ],
)
async def test_breaking_the_glass_asks_for_everything(case: Case, missing: str) -> None:
    """42 CFR 2.51: to whom and where, by whom, when, why."""
    refused(await case.in_emergency(**{missing: None}), 422, "request-invalid")
    assert case.said(intake.EmergencyDisclosureMade) == []
    assert await case.accounting() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"nature": "unknown"}, 422, "request-invalid"),
        ({"nature": "boredom"}, 422, "request-invalid"),
        ({"categories": []}, 422, "request-invalid"),
        ({"recipient_id": "The Hospital"}, 422, "request-invalid"),
        ({"disclosed_at": "2026-03-02T15:00:00"}, 422, "request-invalid"),
        ({"disclosed_at": (START + timedelta(hours=1)).isoformat()}, 422, "disclosure-in-future"),
        ({"episode_id": uid("other")}, 422, "episode-not-theirs"),
        ({"person_id": uid("nobody")}, 404, "unknown-person"),
        ({"why": "someone"}, 422, "request-invalid"),
    ],
)
async def test_emergencies_that_were_none(
    case: Case, changes: dict[str, Any], status: int, code: str
) -> None:
    refused(await case.in_emergency(**changes), status, code)
    assert case.said(intake.DisclosureRecorded) == []


async def test_nobody_outside_care_breaks_the_glass(case: Case) -> None:
    for role in ("operator", "partner", "privacy_officer"):
        answer = await case.served.acting_as(role).post("/disclosures/emergency", case.emergency)
        refused(answer, 403, "role-not-allowed")


@pytest.mark.parametrize("days", [0, 3])
async def test_the_look_afterwards_closes_or_escalates(case: Case, days: int) -> None:
    disclosure_id = (await case.in_emergency()).json()["disclosure_id"]
    await case.served.after(days=days)
    path, body = f"/disclosures/{disclosure_id}/review", {"episode_id": case.episode_id}
    episode = f"episode/{case.episode_id}"
    escalated = [
        event.step
        for event in case.served.said(episode)
        if isinstance(event, intake.LoopEscalated) and event.loop is IntakeLoop.DISCLOSURE_REVIEW
    ]
    assert escalated == ([1, 2] if days else [])
    refused(await case.served.acting_as("nurse").post(path, body), 403, "role-not-allowed")
    case.served.acting_as("privacy_officer")
    assert (await case.served.post(path, body)).status_code == 200
    cleared = [
        (event.step_reached, event.reason)
        for event in case.served.said(episode)
        if isinstance(event, intake.EscalationCleared) and event.loop_id == disclosure_id
    ]
    assert cleared == ([(2, ClearedReason.RESOLVED)] if days else [])
    refused(await case.served.post(path, body), 404, "unknown-open-disclosure")


async def test_the_look_afterwards_outlasts_the_episode(case: Case) -> None:
    await case.in_emergency()
    case.served.acting_as("intake_coordinator")
    await case.served.does(f"/referrals/{case.episode_id}/close", {"outcome": "lost"})
    state = case.served.state(f"episode/{case.episode_id}")
    assert [loop.kind for loop in state.loops.values()] == [IntakeLoop.DISCLOSURE_REVIEW]


async def test_a_repeated_emergency_is_one(case: Case) -> None:
    served = case.served.acting_as("nurse")
    answers = [
        await served.post("/disclosures/emergency", case.emergency, key="once") for _ in range(3)
    ]
    assert len({answer.json()["disclosure_id"] for answer in answers}) == 1
    assert len(await case.accounting()) == 1


# --- every other ground ---------------------------------------------------------------------------------


async def test_what_a_consent_allowed_is_accounted_for_and_relied_on(case: Case) -> None:
    refused(await case.otherwise(), 403, "consent-missing")
    consent_id = await case.consents()
    assert (await case.otherwise(categories=["attendance", "referral_status"])).status_code == 201
    [row] = await case.accounting()
    assert (row["basis"], row["consent_id"]) == ("consent", consent_id)
    assert row["notice_version"] == "part2-2024"
    [recorded] = case.said(intake.DisclosureRecorded)
    assert recorded.notice_version == "part2-2024"
    await case.served.acting_as("intake_coordinator").does(
        f"/consents/{consent_id}/revoke", {"person_id": case.person_id}
    )
    [revoked] = case.said(intake.ConsentRevoked)
    assert revoked.in_reliance is True
    assert len(await case.accounting()) == 1, "revoking recalls nothing"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"categories": ["attendance", "screens"]}, 403, "consent-missing"),
        ({"purpose": "treatment"}, 403, "consent-missing"),
        ({"recipient_id": "harbor-ed"}, 403, "consent-missing"),
        ({"basis": "emergency"}, 422, "emergency-has-its-own-form"),
        ({"basis": "court"}, 422, "ground-mismatch"),
        ({"order_on": "2026-03-01"}, 422, "ground-mismatch"),
        ({"basis": "court", "order_on": "2030-01-01"}, 422, "ground-in-future"),
        ({"recipient_id": "zephyrine-quillfeather"}, 422, "partner-not-registered"),
        ({"basis": "unknown"}, 422, "request-invalid"),
        ({"episode_id": uid("other")}, 422, "episode-not-theirs"),
        ({"disclosed_at": "2026-03-03T15:00:00Z"}, 422, "disclosure-in-future"),
        ({"disclosed_at": "2026-03-02T14:59:00Z"}, 403, "consent-missing"),
    ],
)
async def test_disclosures_without_a_ground(
    case: Case, changes: dict[str, Any], status: int, code: str
) -> None:
    await case.consents()
    refused(await case.otherwise(**changes), status, code)
    assert await case.accounting() == []
    assert case.said(intake.DisclosureRecorded) == []


AGREED = {"qso": "county-exchange", "audit": "state-auditor", "research": "a-university"}
GROUNDS: list[tuple[str, dict[str, Any]]] = [
    *[(basis, {"recipient_id": partner}) for basis, partner in AGREED.items()],
    ("court", {"recipient_id": "northside-court", "order_on": "2026-03-01"}),
    ("crime_on_premises", {"recipient_id": "county-police", "incident_on": "2026-03-02"}),
    ("child_abuse_report", {"recipient_id": "county-police", "incident_on": "2026-03-01"}),
    ("patient_access", {"recipient_id": None, "requested_on": "2026-03-01"}),
    ("deceased", {"recipient_id": "county-police", "died_on": "2026-03-01"}),
    ("public_health", {"recipient_id": "county-police", "deidentified": True}),
    ("pdmp", {"recipient_id": "county-police", "categories": ["medication"]}),
]
"""Each lawful ground beside consent, with what it asks for."""
PRESENCE = ("crime_on_premises", "child_abuse_report")


async def told_on(case: Case, basis: str, **changes: Any) -> Any:
    categories = ["presence"] if basis in PRESENCE else ["attendance"]
    given = {"categories": categories, "purpose": "monitoring", **dict(GROUNDS)[basis], **changes}
    return await case.otherwise(basis=basis, **given)


async def agree(case: Case, from_on: str = "2026-03-02") -> None:
    operator = case.served.acting_as("operator", facility_id="operations")
    for basis, partner in AGREED.items():
        kind = "qsoa" if basis == "qso" else basis
        body = {"facility_id": "harbor-iop", "kind": kind, "from_on": from_on}
        await operator.does(f"/partners/{partner}/agreements", body)


@pytest.mark.parametrize(("basis", "given"), GROUNDS)
@pytest.mark.fault("F10")
async def test_every_lawful_ground_can_be_accounted_for(
    case: Case, basis: str, given: dict[str, Any]
) -> None:
    await agree(case)
    if basis == "pdmp":
        refused(await told_on(case, basis), 403, "consent-missing")
        await case.consents(
            recipients=["county-police"], categories=["medication"], purpose="monitoring"
        )
    answer = await told_on(case, basis)
    assert answer.status_code == 201, answer.text
    [row] = await case.accounting()
    assert (row["basis"], row["recipient_id"]) == (basis, given["recipient_id"])
    evidence = {k: v for k, v in row["evidence"].items() if v}
    assert evidence == {k: v for k, v in given.items() if k not in ("recipient_id", "categories")}
    [recorded] = case.said(intake.DisclosureRecorded)
    assert recorded.basis == basis
    notice = "part2-2024" if basis == "pdmp" else None
    assert recorded.notice_version == row["notice_version"] == notice, "it goes with consent"


async def test_a_notice_that_is_stated_is_accounted_for_on_any_ground(case: Case) -> None:
    answer = await told_on(case, "court", notice_version="part2-2024")
    assert answer.status_code == 201, answer.text
    [recorded] = case.said(intake.DisclosureRecorded)
    assert recorded.notice_version == "part2-2024"


def test_every_basis_is_ruled() -> None:
    ruled = set(grounds.GROUNDS) | {DisclosureBasis.EMERGENCY, DisclosureBasis.UNKNOWN}
    assert ruled == set(DisclosureBasis)
    assert {basis for basis, _ in GROUNDS} == {one.value for one in grounds.GROUNDS} - {"consent"}


@pytest.mark.parametrize("basis", [*AGREED])
async def test_what_rests_on_an_agreement_needs_one_at_that_time(case: Case, basis: str) -> None:
    refused(await told_on(case, basis), 409, "agreement-missing")
    await agree(case)
    before = (START - timedelta(days=1)).isoformat()
    refused(await told_on(case, basis, disclosed_at=before), 409, "agreement-missing")
    assert (await told_on(case, basis)).status_code == 201
    other = next(partner for other, partner in AGREED.items() if other != basis)
    refused(await told_on(case, basis, recipient_id=other), 409, "agreement-missing")


@pytest.mark.parametrize("basis", [*AGREED])
async def test_an_agreement_entered_later_makes_no_day_before_lawful(
    case: Case, basis: str
) -> None:
    """From whatever day it says that it holds: it was not on file."""
    await case.served.after(days=1)
    await agree(case, from_on="2020-01-01")
    refused(await told_on(case, basis), 409, "agreement-missing")
    now = case.served.now().isoformat()
    assert (await told_on(case, basis, disclosed_at=now)).status_code == 201


CLASS = {"recipients": ["treating-providers"], "kind": "tpo", "purpose": "treatment"}
FORM = {"statements": ["right_to_revoke", "redisclosure", "consequences_of_refusal"]}


@pytest.mark.parametrize("before", [None, {"kind": "primary_care"}, {"kind": "court"}])
async def test_a_class_counts_from_when_it_is_registered(
    case: Case, before: dict[str, Any] | None
) -> None:
    """What was disclosed before is judged by what the organisation was then."""
    operator, path = ("operator", "actor", "operations"), "/partners/late-clinic"
    await case.consents(**CLASS, **FORM)
    if before is not None:
        await case.served.acting_as(*operator).put(path, before)
    await case.served.after(hours=1)
    body = {"kind": "primary_care", "recipient_class": "treating-providers"}
    assert (await case.served.acting_as(*operator).put(path, body)).status_code == 200
    to_them = {"recipient_id": "late-clinic", "purpose": "treatment"}
    refused(await case.otherwise(**to_them), 403, "consent-missing")
    now = case.served.now().isoformat()
    assert (await case.otherwise(**to_them, disclosed_at=now)).status_code == 201
    # It is something else from now on; what was disclosed until then stays lawful.
    await case.served.after(hours=1)
    await case.served.acting_as(*operator).put(path, {"kind": "court"})
    later = (case.served.now() - timedelta(minutes=30)).isoformat()
    assert (await case.otherwise(**to_them, disclosed_at=later)).status_code == 201
    now = case.served.now().isoformat()
    refused(await case.otherwise(**to_them, disclosed_at=now), 403, "consent-missing")


@pytest.mark.parametrize("hours", [0, 7, 30])
async def test_what_was_disclosed_before_its_consent_was_recorded_is_looked_at(
    case: Case, hours: int
) -> None:
    """Whether it had been signed by then, nothing but the form says."""
    await case.served.after(hours=hours)
    await case.consents(effective_at="2026-03-02T06:00:00Z")
    answer = await case.otherwise()
    assert answer.status_code == 201, answer.text
    found = await case.served.get("/loops", params={"kind": "disclosure_review"})
    asked = [loop["id"] for loop in found.json()["loops"]]
    assert asked == ([answer.json()["disclosure_id"]] if hours else [])


@pytest.mark.parametrize(
    ("basis", "changes", "code"),
    [
        *[(basis, {"order_on": "2026-03-01"}, "ground-mismatch") for basis in AGREED],
        ("crime_on_premises", {"incident_on": None}, "ground-mismatch"),
        ("crime_on_premises", {"incident_on": "2026-03-03"}, "ground-in-future"),
        ("crime_on_premises", {"categories": ["attendance"]}, "category-not-of-ground"),
        ("crime_on_premises", {"recipient_id": "river-clinic"}, "recipient-not-of-ground"),
        ("child_abuse_report", {"categories": ["presence", "screens"]}, "category-not-of-ground"),
        ("patient_access", {"recipient_id": "river-clinic"}, "recipient-not-of-ground"),
        ("patient_access", {"requested_on": None}, "ground-mismatch"),
        ("deceased", {"died_on": "2026-03-03"}, "ground-in-future"),
        ("deceased", {"recipient_id": None}, "recipient-not-of-ground"),
        ("public_health", {"deidentified": False}, "ground-mismatch"),
        ("public_health", {"recipient_id": "river-clinic"}, "recipient-not-of-ground"),
        ("pdmp", {"categories": ["screens"]}, "category-not-of-ground"),
        ("court", {"order_on": "2026-03-03"}, "ground-in-future"),
    ],
)
async def test_each_ground_asks_for_its_evidence(
    case: Case, basis: str, changes: dict[str, Any], code: str
) -> None:
    await agree(case)
    refused(await told_on(case, basis, **changes), 422, code)
    assert await case.accounting() == []


async def test_what_was_told_before_a_revocation_may_be_written_down_after_it(case: Case) -> None:
    consent_id = await case.consents()
    await case.served.after(hours=1)
    case.served.acting_as("intake_coordinator")
    await case.served.does(f"/consents/{consent_id}/revoke", {"person_id": case.person_id})
    await case.served.after(hours=1)
    assert (await case.otherwise()).status_code == 201
    late = (START + timedelta(minutes=61)).isoformat()
    refused(await case.otherwise(disclosed_at=late), 403, "consent-missing")


# --- the accounting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("privacy_officer", True),
        ("clinician", True),
        ("clinical_supervisor", True),
        ("case_manager", True),
        ("nurse", False),
        ("intake_coordinator", False),
        ("operator", False),
        ("partner", False),
    ],
)
async def test_who_reads_the_accounting(case: Case, role: str, *, may: bool) -> None:
    params = {"person_id": case.person_id}
    answer = await case.served.acting_as(role).get("/disclosures", params=params)
    if may:
        assert answer.json()["disclosures"] == []
    else:
        refused(answer, 403, "role-not-allowed")
    stranger = case.served.acting_as(role, "x", "river-iop")
    assert (await stranger.get("/disclosures", params=params)).status_code == 403


async def test_the_accounting_drops_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "ENTRIES_PER_PAGE", 2)
    told = [(await case.in_emergency()).json()["disclosure_id"] for _ in range(5)]
    rows = [row for page in (1, 2, 3) for row in await case.accounting(page=page)]
    assert [row["disclosure_id"] for row in rows] == told
