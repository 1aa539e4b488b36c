"""What is on its way to somebody outside: asked, allowed, reported; and the partners that it is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.intake.app import SERVICE
from services.intake.person import accounting, disclosures
from services.intake.person.requests import partner_subject
from shared.contracts import intake, plans
from shared.contracts.codes import IntakeLoop
from shared.contracts.intake import WithheldReason
from tests.unit.intake.partners import ORGANISATIONS, register
from tests.unit.served import Served, refused
from tests.unit.support import FACILITY, START, fact, uid

HOUR = timedelta(hours=1)
CONSENT: dict[str, Any] = {
    "kind": "specific",
    "discloser_id": FACILITY,
    "recipients": ["harbor-detox"],
    "categories": ["referral_status", "level_of_care"],
    "purpose": "care_coordination",
    "effective_at": START.isoformat(),
    "expires_on": "2026-06-30",
    "statements": ["right_to_revoke"],
    "signed_on": "2026-03-02",
    "document_sha256": "9f" * 32,
}
REFERRAL: dict[str, Any] = {
    "target_kind": "withdrawal_management",
    "target_facility_id": "harbor-detox",
    "respond_within_hours": 24,
}


class Case:
    """A person with one open episode."""

    def __init__(self, served: Served, told: dict[str, Any]) -> None:
        self.served = served
        self.person_id, self.episode_id = told["person_id"], told["episode_id"]
        self.person, self.episode = f"person/{self.person_id}", f"episode/{self.episode_id}"

    async def consents(self, **changes: Any) -> str:
        body = {"person_id": self.person_id, **CONSENT, **changes}
        told = await self.served.acting_as("intake_coordinator").does("/consents", body)
        consent_id: str = told["consent_id"]
        return consent_id

    async def revokes(self, consent_id: str, at: datetime | None = None) -> None:
        path = f"/consents/{consent_id}/revoke"
        body = {"person_id": self.person_id, "revoked_at": at and at.isoformat()}
        await self.served.acting_as("intake_coordinator").does(path, body)

    async def refers(self, key: str | None = None, **changes: Any) -> Any:
        body = {"episode_id": self.episode_id, **REFERRAL, **changes}
        return await self.served.acting_as("case_manager").post(
            "/outbound-referrals", body, key=key
        )

    async def asks(self, delivery_id: str = uid("delivery"), **changes: Any) -> Any:
        body = {
            "person_id": self.person_id,
            "episode_id": self.episode_id,
            "delivery_id": delivery_id,
            "recipient_id": "harbor-detox",
            "categories": ["referral_status"],
            "purpose": "care_coordination",
            **changes,
        }
        return await self.served.acting_as("case_manager").post("/disclosures/request", body)

    async def reports(self, delivery_id: str = uid("delivery"), **what: Any) -> Any:
        body = {"person_id": self.person_id, **(what or {"made_at": START.isoformat()})}
        path = f"/disclosures/{delivery_id}/report"
        return await self.served.acting_as("case_manager").post(path, body)

    async def entries(self, state: str = "made", **more: Any) -> list[dict[str, Any]]:
        answer = await self.served.acting_as("privacy_officer").get(
            "/disclosures", params={"person_id": self.person_id, "state": state, **more}
        )
        rows: list[dict[str, Any]] = answer.json()["disclosures"]
        return rows

    def loops(self) -> list[str]:
        state = self.served.state(self.episode)
        return [one.id for one in state.loops_of(IntakeLoop.DISCLOSURE_REPORT)]

    def said(self, event_type: type[Any], subject: str = "") -> list[Any]:
        said = self.served.said(subject or self.episode)
        return [event for event in said if isinstance(event, event_type)]


@pytest.fixture
async def case() -> Case:
    served = await register(Served(SERVICE).acting_as("intake_coordinator"))
    told = await served.does("/referrals", {"source_kind": "self", "urgency": "routine"})
    return Case(served, told)


# --- a referral to a partner --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consent", "referral"),
    [
        ({"categories": ["attendance"], "purpose": "family_involvement"}, {}),
        ({"categories": ["attendance"]}, {}),
        ({"purpose": "family_involvement"}, {}),
        ({"recipients": ["river-clinic"]}, {}),
        ({"categories": ["referral_status"]}, {"target_level": "3.7-WM"}),
    ],
)
@pytest.mark.fault("F1")
async def test_a_referral_leaves_only_if_one_consent_says_all_of_it(
    case: Case, consent: dict[str, Any], referral: dict[str, Any]
) -> None:
    if "target_level" in referral:
        level = {"system": "asam", "edition": "3", "code": referral["target_level"]}
        referral = {"target_level": level}
    consent_id = await case.consents(**consent)
    for named in ({}, {"consent_id": consent_id}):
        refused(await case.refers(**referral, **named), 403, "consent-missing")
    assert case.said(intake.ReferralSent) == []
    for state in ("made", "allowed", "not_made"):
        assert await case.entries(state) == []


async def test_a_referral_that_leaves_is_in_the_accounting(case: Case) -> None:
    consent_id = await case.consents()
    answer = await case.refers()
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["consent_id"] == consent_id
    assert told["obligations"] == {
        "notice_version": "part2-2024",
        "notice": "42 CFR part 2 prohibits unauthorized use or disclosure of these records.",
        "categories": ["referral_status"],
        "purpose": "care_coordination",
        "document_sha256": "9f" * 32,
        "may_redisclose": False,
    }
    [sent] = case.said(intake.ReferralSent)
    assert (sent.referral_id, sent.consent_id) == (told["referral_id"], consent_id)
    [entry] = await case.entries("allowed")
    assert (entry["disclosure_id"], entry["consent_id"]) == (told["referral_id"], consent_id)
    assert (entry["recipient_id"], entry["disclosed_at"]) == ("harbor-detox", None)
    assert await case.entries() == []
    assert (await case.reports(told["referral_id"])).status_code == 200
    [made] = await case.entries()
    assert (made["disclosure_id"], made["state"]) == (told["referral_id"], "made")
    assert await case.entries("allowed") == []
    [recorded] = case.said(intake.DisclosureRecorded, case.person)
    assert (recorded.disclosure_id, recorded.consent_id) == (told["referral_id"], consent_id)


@pytest.mark.parametrize("answer", ["accepted", "rejected"])
async def test_a_partner_that_answers_was_reached(case: Case, answer: str) -> None:
    await case.consents()
    referral_id = (await case.refers()).json()["referral_id"]
    await case.served.does(
        f"/outbound-referrals/{referral_id}/{answer}", {"episode_id": case.episode_id}
    )
    [made] = await case.entries()
    assert made["disclosure_id"] == referral_id
    assert case.loops() == []
    refused(await case.reports(referral_id), 409, "delivery-reported")


@pytest.mark.fault("F8")
async def test_a_general_consent_carries_a_referral_to_who_treats(case: Case) -> None:
    form = {
        "kind": "tpo",
        "recipients": ["treating-providers"],
        "purpose": "treatment",
        "expires_on": None,
        "expires_with": "none",
        "statements": ["right_to_revoke", "redisclosure", "consequences_of_refusal"],
    }
    await case.consents(**form)
    for purpose in ("care_coordination", "treatment"):
        answer = await case.refers(purpose=purpose)
        assert answer.status_code == 201, answer.text
        assert answer.json()["obligations"]["may_redisclose"] is True
    to_court = {"target_kind": "court", "target_facility_id": "county-prosecutor"}
    refused(await case.refers(**to_court), 403, "consent-missing")


async def test_the_same_command_again_sends_one_referral(case: Case) -> None:
    consent_id = await case.consents()
    first = await case.refers(key="once")
    await case.revokes(consent_id)
    again = await case.refers(key="once")
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(case.said(intake.ReferralSent)) == 1
    assert len(await case.entries("allowed")) == 1
    refused(await case.refers(), 403, "consent-missing")


async def test_a_second_click_sends_no_second_referral(case: Case) -> None:
    """The partner would be asked twice, and the accounting would tell of a disclosure that there was none of."""
    await case.consents()
    first = (await case.refers()).json()["referral_id"]
    again = await case.refers(respond_within_hours=48)
    assert (again.status_code, again.json()["referral_id"]) == (201, first)
    assert len(case.said(intake.ReferralSent)) == 1
    assert len(await case.entries("allowed")) == 1
    accepted = f"/outbound-referrals/{first}/accepted"
    case.served.acting_as("case_manager")
    await case.served.does(accepted, {"episode_id": case.episode_id})
    assert (await case.refers()).json()["referral_id"] == first, "the partner has said yes"
    assert (await case.entries("allowed"), len(await case.entries())) == ([], 1)


@pytest.mark.parametrize("over", ["rejected", "closed", "not made"])
async def test_what_is_over_is_asked_anew(case: Case, over: str) -> None:
    await case.consents()
    first = (await case.refers()).json()["referral_id"]
    of = {"episode_id": case.episode_id}
    case.served.acting_as("case_manager")
    if over == "rejected":
        await case.served.does(f"/outbound-referrals/{first}/rejected", of)
    elif over == "closed":
        path = f"/outbound-referrals/{first}/close"
        await case.served.does(path, {**of, "outcome": "no_show"})
    else:
        assert (await case.reports(first, not_made="not_delivered")).status_code == 200
    second = (await case.refers()).json()["referral_id"]
    assert second != first
    assert (await case.refers()).json()["referral_id"] == second
    assert len(case.said(intake.ReferralSent)) == 2
    assert [one["disclosure_id"] for one in await case.entries("allowed")][-1] == second


@pytest.mark.parametrize(
    "changes",
    [
        {"target_facility_id": "river-residential", "target_kind": "residential"},
        {"target_level": {"system": "asam", "edition": "4", "code": "3.7"}},
        {"purpose": "treatment"},
    ],
)
async def test_another_question_is_another_referral(case: Case, changes: dict[str, Any]) -> None:
    both = ["harbor-detox", "river-residential"]
    for purpose in ("care_coordination", "treatment"):
        words = ["right_to_revoke", "redisclosure"]
        await case.consents(recipients=both, purpose=purpose, statements=words)
    first = (await case.refers()).json()["referral_id"]
    assert (await case.refers(**changes)).json()["referral_id"] != first
    assert len(case.said(intake.ReferralSent)) == 2


async def test_a_form_that_comes_again_does_not_outlast_its_revocation(case: Case) -> None:
    first = await case.consents()
    assert await case.consents() == first
    assert len(case.said(intake.ConsentGranted, case.person)) == 1
    await case.revokes(first)
    refused(await case.asks(), 403, "consent-missing")
    assert await case.consents() != first, "signed anew"
    other = await case.consents(expires_on="2026-07-31")
    assert len({first, other, await case.consents()}) == 3


async def test_what_is_recorded_again_has_its_entry(case: Case) -> None:
    await case.consents()
    told = {
        "person_id": case.person_id,
        "episode_id": case.episode_id,
        "recipient_id": "harbor-detox",
        "categories": ["referral_status"],
        "discloser_id": uid("nurse"),
        "disclosed_at": START.isoformat(),
        "basis": "consent",
        "purpose": "care_coordination",
    }
    case.served.acting_as("case_manager")
    first = (await case.served.does("/disclosures", told))["disclosure_id"]
    assert (await case.served.does("/disclosures", told))["disclosure_id"] == first
    later = {**told, "disclosed_at": (START - timedelta(minutes=1)).isoformat()}
    refused(await case.served.post("/disclosures", later), 403, "consent-missing")
    assert len(await case.entries()) == 1
    body = {"person_id": case.person_id, "reason": "wrong_person"}
    await case.served.does(f"/disclosures/{first}/undo", body)
    case.served.acting_as("case_manager")
    second = (await case.served.does("/disclosures", told))["disclosure_id"]
    assert second != first, "a mistake is no entry of it"
    assert len(await case.entries()) == 2


async def test_an_episode_that_has_ended_refers_nobody(case: Case) -> None:
    await case.consents()
    case.served.acting_as("intake_coordinator")
    await case.served.does(f"/referrals/{case.episode_id}/close", {"outcome": "lost"})
    refused(await case.refers(), 409, "episode-closed")
    assert await case.entries("allowed") == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target_facility_id": "zephyrine-quillfeather"}, "partner-not-registered"),
        ({"target_facility_id": FACILITY}, "partner-not-registered"),
        ({"target_kind": "psychiatry"}, "kind-not-of-partner"),
        ({"purpose": "family_involvement"}, "request-invalid"),
    ],
)
async def test_whom_and_what_for_a_referral_names(
    case: Case, changes: dict[str, Any], code: str
) -> None:
    await case.consents()
    refused(await case.refers(**changes), 422, code)
    assert case.said(intake.ReferralSent) == []


# --- asked beforehand -----------------------------------------------------------------------------------------


async def test_what_is_asked_again_is_decided_anew_and_entered_once(case: Case) -> None:
    consent_id = await case.consents()
    for _ in range(3):
        assert (await case.asks()).status_code == 201
    assert len(await case.entries("allowed")) == 1
    await case.revokes(consent_id)
    refused(await case.asks(), 403, "consent-missing")
    await case.consents()
    assert (await case.asks()).status_code == 201
    assert (await case.reports()).status_code == 200
    assert (await case.asks()).status_code == 201, "sent again under the same delivery"
    assert await case.entries("allowed") == []
    assert len(await case.entries()) == 1
    assert case.loops() == [], "nothing waits for a report"


@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"recipient_id": "river-clinic"},
        {"categories": ["level_of_care"]},
        {"purpose": "treatment"},
    ],
)
async def test_a_delivery_is_one_thing_to_one_recipient(
    case: Case, changes: dict[str, Any], *, reported: bool
) -> None:
    """Anything else under its id would be allowed, and be in no accounting."""
    statements = ["right_to_revoke", "redisclosure"]
    for purpose in ("care_coordination", "treatment"):
        await case.consents(
            recipients=["harbor-detox", "river-clinic"], purpose=purpose, statements=statements
        )
    await case.asks()
    if reported:
        await case.reports()
    refused(await case.asks(**changes), 409, "delivery-differs")
    assert (await case.asks(uid("its own"), **changes)).status_code == 201


@pytest.mark.parametrize("what", [{"made_at": START.isoformat()}, {"not_made": "not_delivered"}])
@pytest.mark.fault("F4")
async def test_what_nobody_reports_is_a_loop_until_it_is_reported(
    case: Case, what: dict[str, Any]
) -> None:
    await case.consents()
    await case.asks()
    assert case.loops() == [uid("delivery")]
    await case.served.after(days=1)
    [escalated] = [one for one in case.said(intake.LoopEscalated) if one.loop_id == uid("delivery")]
    assert (escalated.loop, escalated.owner_role) == (
        IntakeLoop.DISCLOSURE_REPORT,
        "privacy_officer",
    )
    assert (await case.reports(**what)).status_code == 200
    assert case.loops() == []
    assert uid("delivery") in [one.loop_id for one in case.said(intake.EscalationCleared)]
    state = "made" if "made_at" in what else "not_made"
    [entry] = await case.entries(state)
    assert (entry["disclosed_at"] is not None) is (state == "made")


async def test_the_loop_outlasts_the_episode(case: Case) -> None:
    await case.consents()
    await case.asks()
    case.served.acting_as("intake_coordinator")
    await case.served.does(f"/referrals/{case.episode_id}/close", {"outcome": "lost"})
    assert case.loops() == [uid("delivery")]


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ({"made_at": START.isoformat(), "not_made": "withdrawn"}, 422, "report-unclear"),
        ({"made_at": (START - HOUR).isoformat()}, 422, "made-at-impossible"),
        ({"made_at": (START + HOUR).isoformat()}, 422, "made-at-impossible"),
        ({"not_made": "unknown"}, 422, "request-invalid"),
        ({"not_made": None}, 422, "report-unclear"),
    ],
)
async def test_reports_that_say_nothing(
    case: Case, what: dict[str, Any], status: int, code: str
) -> None:
    await case.consents()
    await case.asks()
    refused(await case.reports(**what), status, code)
    refused(await case.reports(uid("another")), 404, "unknown-delivery")
    assert case.loops() == [uid("delivery")]


ENDS: dict[str, dict[str, Any]] = {
    "revoked": {},
    "its last day": {"expires_on": "2026-03-02"},
    "with treatment": {"expires_on": None, "expires_with": "end_of_treatment"},
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("hours", "late"), [(None, False), (0, False), (1, True), (36, True)], ids=str
)
@pytest.mark.fault("F4")
async def test_what_is_made_after_its_consent_has_ended_is_looked_at(
    case: Case, end: str, hours: int | None, *, late: bool
) -> None:
    """However the consent ended; not what left before that, nor what did not leave. Hours are counted from the end."""
    consent_id = await case.consents(**ENDS[end])
    await case.asks()
    ended_at = datetime(2026, 3, 3, 5, tzinfo=UTC)
    if end == "revoked":
        await case.served.at(ended_at)
        await case.revokes(consent_id)
    if end == "with treatment":
        case.served.acting_as("intake_coordinator")
        await case.served.does(f"/referrals/{case.episode_id}/close", {"outcome": "lost"})
    await case.served.after(days=3)
    made_at = None if hours is None else ended_at + (hours or -1) * HOUR
    what = {"made_at": made_at.isoformat()} if made_at else {"not_made": "withdrawn"}
    assert (await case.reports(**what)).status_code == 200
    reviews = case.served.state(case.episode).loops_of(IntakeLoop.DISCLOSURE_REVIEW)
    assert [one.id for one in reviews] == ([uid("delivery")] if late else [])
    assert len(await case.entries("not_made" if made_at is None else "made")) == 1
    if late:
        path = f"/disclosures/{uid('delivery')}/review"
        await case.served.does(path, {"episode_id": case.episode_id})
        assert not case.served.state(case.episode).loops_of(IntakeLoop.DISCLOSURE_REVIEW)


@pytest.mark.parametrize("per_page", [2, 500])
@pytest.mark.parametrize("hours", [None, 0, 1, 2, 4])
@pytest.mark.fault("F4")
async def test_a_revocation_that_comes_late_leaves_nothing_unseen(
    case: Case, hours: int | None, per_page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded at last, it holds from when the person took the consent back: what was told since is looked at.

    Neither what another consent allowed, nor what did not leave, nor an entry that was a mistake.
    """
    monkeypatch.setattr(accounting, "ENTRIES_PER_PAGE", per_page)
    consent_id = await case.consents()
    await case.consents(recipients=["river-clinic"])
    for hour in range(4):
        await case.asks(uid(f"made {hour}"))
        await case.reports(uid(f"made {hour}"), made_at=case.served.now().isoformat())
        await case.served.after(hours=1)
    await case.asks(uid("by another"), recipient_id="river-clinic")
    await case.reports(uid("by another"), made_at=case.served.now().isoformat())
    await case.asks(uid("not made"))
    await case.reports(uid("not made"), not_made="withdrawn")
    await case.asks(uid("mistake"))
    await case.reports(uid("mistake"), made_at=case.served.now().isoformat())
    mistake = {"person_id": case.person_id, "reason": "wrong_person"}
    case.served.acting_as("privacy_officer")
    await case.served.does(f"/disclosures/{uid('mistake')}/undo", mistake)
    await case.revokes(consent_id, None if hours is None else START + hours * HOUR)
    reviews = case.served.state(case.episode).loops_of(IntakeLoop.DISCLOSURE_REVIEW)
    since = range(4 if hours is None else hours, 4)
    assert {one.id for one in reviews} == {uid(f"made {hour}") for hour in since}


REVOKED_LATER = [
    ("expired", 1, True),
    ("expired", 9, False),
    ("revoked", 1, True),
    ("revoked", 9, False),
]


@pytest.mark.parametrize(("end", "day", "possible"), REVOKED_LATER)
async def test_a_revocation_may_precede_an_end_that_is_recorded(
    case: Case, end: str, day: int, *, possible: bool
) -> None:
    """The person had taken the consent back, and it was told when the consent was over: what was made since is seen."""
    consent_id = await case.consents(expires_on="2026-03-06")
    for days in (0, 2, 4):
        await case.served.at(START + timedelta(days=days))
        await case.asks(uid(f"day {days}"))
        await case.reports(uid(f"day {days}"), made_at=case.served.now().isoformat())
    if end == "revoked":
        await case.served.after(hours=1)
        await case.revokes(consent_id)
    await case.served.at(START + timedelta(days=10))
    path, at = f"/consents/{consent_id}/revoke", START + timedelta(days=day)
    body = {"person_id": case.person_id, "revoked_at": at.isoformat()}
    answer = await case.served.acting_as("intake_coordinator").post(path, body)
    reviews = case.served.state(case.episode).loops_of(IntakeLoop.DISCLOSURE_REVIEW)
    if not possible:
        refused(answer, 409, "consent-ended")
        assert reviews == ()
        return
    assert answer.is_success, answer.text
    assert {one.id for one in reviews} == {uid("day 2"), uid("day 4")}
    assert case.said(intake.ConsentRevoked, case.person)[-1].revoked_at == at
    refused(await case.served.post(path, {"person_id": case.person_id}), 409, "consent-ended")


@pytest.mark.parametrize("undone", [0, 1, 2])
async def test_what_was_undone_was_not_relied_on(case: Case, undone: int) -> None:
    consent_id = await case.consents()
    for number in range(2):
        await case.asks(uid(f"made {number}"))
        await case.reports(uid(f"made {number}"))
    mistake = {"person_id": case.person_id, "reason": "wrong_person"}
    for number in range(undone):
        case.served.acting_as("privacy_officer")
        await case.served.does(f"/disclosures/{uid(f'made {number}')}/undo", mistake)
    await case.revokes(consent_id)
    [revoked] = case.said(intake.ConsentRevoked, case.person)
    assert revoked.in_reliance is (undone < 2)


async def test_only_what_was_made_was_relied_on(case: Case) -> None:
    first, second = await case.consents(), await case.consents(recipients=["river-clinic"])
    await case.asks()
    await case.asks(uid("other"), recipient_id="river-clinic")
    await case.reports()
    await case.reports(uid("other"), not_made="withdrawn")
    for consent_id in (first, second):
        await case.revokes(consent_id)
    revoked = {
        one.consent_id: one.in_reliance for one in case.said(intake.ConsentRevoked, case.person)
    }
    assert revoked == {first: True, second: False}


async def test_too_much_on_its_way_is_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosures, "ON_THE_WAY_MAX", 2)
    await case.consents()
    for name in ("a", "b"):
        await case.asks(uid(name))
    refused(await case.asks(uid("c")), 409, "too-many-on-the-way")
    await asked_by_plans(case, delivery_id=uid("c"))
    [withheld] = case.said(intake.DisclosureWithheld)
    assert withheld.reason is WithheldReason.TOO_MANY_UNREPORTED
    await case.reports(uid("a"))
    assert (await case.asks(uid("c"))).status_code == 201


async def test_what_waits_for_a_report_stays_at_hand(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many disclosures follow, what was only allowed is not filed away before it is settled."""
    monkeypatch.setattr(accounting, "ENTRIES_PER_PAGE", 2)
    await case.consents()
    await case.asks(uid("waits"))
    for name in "abcde":
        await case.asks(uid(name))
        await case.reports(uid(name))
    [waits] = await case.entries("allowed")
    assert waits["disclosure_id"] == uid("waits")
    await case.reports(uid("waits"))
    pages = case.served.state(f"accounting/{case.person_id}").pages + 1
    rows = [row for page in range(1, pages + 1) for row in await case.entries(page=page)]
    told = sorted(row["disclosure_id"] for row in rows)
    assert told == sorted(uid(name) for name in ("waits", *"abcde"))


# --- taken back -----------------------------------------------------------------------------------------------


async def test_an_entry_that_was_a_mistake_stays_and_is_marked(case: Case) -> None:
    await case.consents()
    await case.asks()
    undo = f"/disclosures/{uid('delivery')}/undo"
    body = {"person_id": case.person_id, "reason": "wrong_person"}
    case.served.acting_as("privacy_officer")
    refused(await case.served.post(undo, body), 409, "disclosure-not-made")
    await case.reports()
    refused(await case.served.acting_as("nurse").post(undo, body), 403, "role-not-allowed")
    case.served.acting_as("privacy_officer")
    assert (await case.served.post(undo, body)).status_code == 200
    [entry] = await case.entries()
    assert entry["mistake"]["reason"] == "wrong_person"
    [undone] = case.said(intake.DisclosureUndone, case.person)
    assert undone.disclosure_id == uid("delivery")
    refused(again := await case.served.post(undo, body), 409, "disclosure-undone")
    refused(reported := await case.reports(), 409, "delivery-reported")
    assert "POST /disclosures." in again.json()["hint"]
    assert again.json()["hint"] == reported.json()["hint"], "not back to the report, nor to undo"
    case.served.acting_as("privacy_officer")
    unknown = f"/disclosures/{uid('x')}/undo"
    refused(await case.served.post(unknown, body), 404, "unknown-disclosure")


async def test_what_was_reported_as_not_made_and_was_is_recorded(case: Case) -> None:
    """No refusal leads to another one that leads back."""
    await case.consents()
    await case.asks()
    await case.reports(not_made="withdrawn")
    body = {"person_id": case.person_id, "reason": "wrong_person"}
    case.served.acting_as("privacy_officer")
    refused(await case.reports(), 409, "delivery-reported")
    case.served.acting_as("privacy_officer")
    page = f"/disclosures/{uid('delivery')}/undo"
    refused(answer := await case.served.post(page, body), 409, "disclosure-not-made")
    assert "POST /disclosures." in answer.json()["hint"]


async def test_an_entry_on_an_old_page_is_marked_there(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting, "ENTRIES_PER_PAGE", 2)
    await case.consents()
    for name in "abcde":
        await case.asks(uid(name))
        await case.reports(uid(name))
    case.served.acting_as("privacy_officer")
    body = {"person_id": case.person_id, "reason": "duplicate"}
    path = f"/disclosures/{uid('a')}/undo"
    refused(await case.served.post(path, body), 404, "unknown-disclosure")
    assert (await case.served.post(path, {**body, "page": 1})).status_code == 200
    marked = [row["disclosure_id"] for row in await case.entries(page=1) if row["mistake"]]
    assert marked == [uid("a")]


# --- asked by plans -------------------------------------------------------------------------------------------


async def asked_by_plans(case: Case, **changes: Any) -> None:
    said = {
        "delivery_id": uid("delivery"),
        "to_facility_id": "harbor-detox",
        "categories": ("referral_status", "level_of_care"),
        "purpose": "care_coordination",
        "consent_id": None,
    }
    await case.served.hear(case.episode, fact(plans.TransferRequested, **{**said, **changes}))


async def test_a_transfer_that_is_asked_for_is_allowed_and_made(case: Case) -> None:
    consent_id = await case.consents()
    await asked_by_plans(case)
    [allowed] = case.said(intake.DisclosureAllowed)
    assert (allowed.delivery_id, allowed.consent_id) == (uid("delivery"), consent_id)
    assert allowed.document_sha256 == "9f" * 32
    assert len(await case.entries("allowed")) == 1
    await case.served.hear(case.episode, fact(plans.TransferInitiated, delivery_id=uid("delivery")))
    [made] = await case.entries()
    assert made["disclosure_id"] == uid("delivery")
    assert case.loops() == []


@pytest.mark.fault("F3")
async def test_a_revocation_that_plans_has_not_heard_of_withholds(case: Case) -> None:
    """Only who keeps the consents decides: the copy of another service could be older than this revocation."""
    consent_id = await case.consents()
    await case.revokes(consent_id)
    await asked_by_plans(case)
    [withheld] = case.said(intake.DisclosureWithheld)
    assert withheld.reason is WithheldReason.NOT_IN_FORCE
    assert case.said(intake.DisclosureAllowed) == []
    for state in ("made", "allowed", "not_made"):
        assert await case.entries(state) == []


@pytest.mark.parametrize("first", ["asked", "revoked"])
async def test_a_revocation_that_races_a_transfer_comes_before_it_or_after_it(
    case: Case, first: str
) -> None:
    """Whichever reaches the person's record first: told and accounted for under a consent that held, or not at all."""
    consent_id = await case.consents()
    if first == "asked":
        await asked_by_plans(case)
        await case.revokes(consent_id)
    else:
        await case.revokes(consent_id)
        await asked_by_plans(case)
    allowed = case.said(intake.DisclosureAllowed)
    assert len(allowed) == len(await case.entries("allowed")) == (first == "asked")
    for one in allowed:
        begun = fact(plans.TransferInitiated, delivery_id=one.delivery_id)
        await case.served.hear(case.episode, begun)
    made = await case.entries()
    assert [one["consent_id"] for one in made] == [consent_id] * len(allowed)
    assert case.loops() == []
    refused(await case.asks(uid("other")), 403, "consent-missing")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"to_facility_id": "zephyrine-quillfeather"}, WithheldReason.PARTNER_UNKNOWN),
        ({"to_facility_id": "river-clinic"}, WithheldReason.RECIPIENT_NOT_NAMED),
        ({"categories": ("screens",)}, WithheldReason.CATEGORY_NOT_COVERED),
        ({"purpose": "treatment"}, WithheldReason.PURPOSE_NOT_COVERED),
        ({"consent_id": uid("another")}, WithheldReason.RECIPIENT_NOT_NAMED),
    ],
)
async def test_what_is_withheld_says_what_is_missing(
    case: Case, changes: dict[str, Any], reason: WithheldReason
) -> None:
    await case.consents()
    await asked_by_plans(case, **changes)
    assert [one.reason for one in case.said(intake.DisclosureWithheld)] == [reason]


async def test_an_episode_given_to_another_person_meanwhile_is_withheld(case: Case) -> None:
    await case.consents()
    served = case.served.acting_as("intake_coordinator")
    other = await served.does("/referrals", {"source_kind": "self", "urgency": "routine"})
    served.acting_as("privacy_officer")
    await served.does(f"/episodes/{case.episode_id}/person", {"person_id": other["person_id"]})
    await asked_by_plans(case)
    [withheld] = case.said(intake.DisclosureWithheld)
    assert withheld.reason is WithheldReason.NOT_IN_FORCE or withheld.reason is (
        WithheldReason.RECIPIENT_NOT_NAMED
    ), "no consent goes along"


async def test_a_transfer_that_does_not_begin_was_not_made(case: Case) -> None:
    await case.consents()
    await asked_by_plans(case)
    await case.served.hear(case.episode, fact(plans.TransferNotBegun, delivery_id=uid("delivery")))
    [entry] = await case.entries("not_made")
    assert entry["not_made"] == "withdrawn"
    assert case.loops() == []


async def test_an_episode_entered_in_error_is_told_to_nobody(case: Case) -> None:
    """The answer comes to an episode that should never have existed: nothing leaves."""
    await case.consents()
    case.served.acting_as("privacy_officer")
    await case.served.does(
        f"/episodes/{case.episode_id}/entered-in-error", {"reason": "test_entry"}
    )
    await asked_by_plans(case)
    assert case.said(intake.DisclosureAllowed) == []
    assert case.loops() == []


# --- organisations -------------------------------------------------------------------------------------------


async def test_what_an_organisation_is_stands_in_its_record(case: Case) -> None:
    served = case.served
    [registered] = case.said(intake.PartnerRegistered, partner_subject("harbor-detox"))
    assert (registered.partner_id, registered.recipient_class) == (
        "harbor-detox",
        "treating-providers",
    )
    answer = (await served.get("/partners/harbor-detox")).json()
    assert (answer["kind"], answer["covered_entity"]) == ("withdrawal_management", True)
    found = (await served.get("/partners")).json()["partners"]
    assert {one["partner_id"] for one in found} == set(ORGANISATIONS)
    refused(await served.get("/partners/nobody-known"), 404, "unknown-partner")


@pytest.mark.fault("F2")
async def test_nobody_says_of_themselves_what_they_are(case: Case) -> None:
    """A class in a request is refused: it is a fact of the organisation, and not of who asks."""
    question = {
        "person_id": case.person_id,
        "recipient": "county-prosecutor",
        "category": "attendance",
        "purpose": "treatment",
    }
    await case.consents(
        kind="tpo",
        recipients=["treating-providers"],
        purpose="treatment",
        categories=["attendance"],
        expires_on=None,
        expires_with="none",
        statements=["right_to_revoke", "redisclosure", "consequences_of_refusal"],
    )
    for more in ({}, {"recipient_class": "treating-providers"}):
        answer = (await case.served.get("/consents/check", params=question | more)).json()
        assert answer["allowed"] is False
    answer = await case.served.get("/consents/check", params=question | {"recipient": "harbor-ed"})
    assert answer.json()["allowed"] is True
    told = {
        "person_id": case.person_id,
        "episode_id": case.episode_id,
        "recipient_id": "county-prosecutor",
        "categories": ["attendance"],
        "discloser_id": uid("nurse"),
        "disclosed_at": START.isoformat(),
        "basis": "consent",
        "purpose": "treatment",
    }
    refused(await case.served.post("/disclosures", told), 403, "consent-missing")
    said = told | {"recipient_class": "treating-providers"}
    refused(await case.served.post("/disclosures", said), 422, "request-invalid")


@pytest.mark.parametrize(
    ("code", "body", "problem"),
    [
        ("treating-providers", {"kind": "outpatient"}, "partner-code-reserved"),
        (
            "a-court",
            {"kind": "court", "recipient_class": "treating-providers"},
            "class-not-of-this-kind",
        ),
        (
            "a-payer",
            {"kind": "payer", "recipient_class": "operations-contractors"},
            "class-not-of-this-kind",
        ),
        ("a-place", {"kind": "unknown"}, "request-invalid"),
        ("a-place", {"kind": "outpatient", "recipient_class": "unknown"}, "request-invalid"),
        ("a-place", {"kind": "outpatient", "covered_entity": "yes"}, "request-invalid"),
        ("a-place", {"kind": "outpatient", "name": "A Place"}, "request-invalid"),
    ],
)
async def test_what_no_organisation_is(
    case: Case, code: str, body: dict[str, Any], problem: str
) -> None:
    case.served.acting_as("operator", facility_id="operations")
    refused(await case.served.put(f"/partners/{code}", body), 422, problem)


async def test_the_operating_organisation_alone_registers(case: Case) -> None:
    body = ORGANISATIONS["harbor-detox"]
    case.served.acting_as("operator")
    answer = await case.served.put("/partners/harbor-detox", body)
    refused(answer, 403, "not-operating-organisation")
    case.served.acting_as("program_director", facility_id="operations")
    refused(await case.served.put("/partners/harbor-detox", body), 403, "role-not-allowed")


async def test_agreements_are_each_facilitys_own(case: Case) -> None:
    served = case.served.acting_as("operator", facility_id="operations")
    body = {"facility_id": FACILITY, "kind": "qsoa", "from_on": "2026-03-01"}
    told = await served.does("/partners/county-exchange/agreements", body)
    again = await served.does("/partners/county-exchange/agreements", body)
    assert again["agreement_id"] == told["agreement_id"], (
        "else one would outlast the end of the other"
    )
    path = f"/partners/county-exchange/agreements/{told['agreement_id']}/end"
    refused(
        await served.post(path, {"until_on": "2026-02-01"}), 422, "agreement-ends-before-it-begins"
    )
    for facility_id, held in ((FACILITY, 1), ("river-iop", 0)):
        served.acting_as("clinician", facility_id=facility_id)
        answer = (await served.get("/partners/county-exchange")).json()
        assert len(answer["agreements"]) == held
    served.acting_as("operator", facility_id="operations")
    await served.does(path, {"until_on": "2026-04-01"})
    refused(await served.post(path, {"until_on": "2026-05-01"}), 409, "agreement-ended")
    unknown = f"/partners/county-exchange/agreements/{uid('x')}/end"
    refused(await served.post(unknown, {"until_on": "2026-05-01"}), 404, "unknown-agreement")
    names = served.names(partner_subject("county-exchange"))
    assert names == [
        "partner-registered",
        "partner-agreement-recorded",
        "partner-agreement-ended",
    ]


@pytest.mark.fault("F1")
async def test_a_consent_for_another_to_disclose_allows_this_facility_nothing(case: Case) -> None:
    """42 CFR 2.31(a)(2): through no door of the service."""
    await case.consents(discloser_id="harbor-ed")
    refused(await case.refers(), 403, "consent-missing")
    problem = (await case.asks()).json()
    assert (problem["code"], "discloser" in problem["detail"]) == ("consent-missing", True)
    told = {
        "person_id": case.person_id,
        "episode_id": case.episode_id,
        "recipient_id": "harbor-detox",
        "categories": ["referral_status"],
        "discloser_id": uid("nurse"),
        "disclosed_at": START.isoformat(),
        "basis": "consent",
        "purpose": "care_coordination",
    }
    refused(await case.served.post("/disclosures", told), 403, "consent-missing")
    question = {
        "person_id": case.person_id,
        "recipient": "harbor-detox",
        "category": "referral_status",
        "purpose": "care_coordination",
    }
    answer = (await case.served.get("/consents/check", params=question)).json()
    assert (answer["allowed"], answer["reason"]) == (False, "discloser_not_named")
    await asked_by_plans(case)
    assert [one.reason for one in case.said(intake.DisclosureWithheld)] == [
        WithheldReason.DISCLOSER_NOT_NAMED
    ]
    assert not await case.entries("allowed")
    assert not await case.entries()


async def test_the_own_facility_is_no_partner_though_others_refer_to_it(case: Case) -> None:
    """Through no door: what stays in the house is no disclosure, and belongs in no accounting."""
    served = case.served.acting_as("operator", facility_id="operations")
    body = {"kind": "withdrawal_management", "recipient_class": "treating-providers"}
    assert (await served.put(f"/partners/{FACILITY}", body)).status_code == 200
    here = {"person_id": case.person_id, "episode_id": case.episode_id, "recipient_id": FACILITY}
    told = {"categories": ["attendance"], "discloser_id": uid("nurse")}
    now = {"disclosed_at": START.isoformat()}
    who = {"personnel_name": "Dr. A", "personnel_role": "physician", "nature": "overdose"}
    room = {"kind": "withdrawal_management", "places_free": 1, "as_of": START.isoformat()}
    await case.consents(recipients=["treating-providers"])
    refused(await case.refers(target_facility_id=FACILITY), 422, "partner-not-registered")
    refused(await case.asks(recipient_id=FACILITY), 422, "partner-not-registered")
    refused(
        await case.served.post("/disclosures/emergency", here | told | now | who),
        422,
        "partner-not-registered",
    )
    answer = await served.post(
        "/disclosures", here | told | now | {"basis": "consent", "purpose": "care_coordination"}
    )
    refused(answer, 422, "partner-not-registered")
    refused(
        await served.put("/partners/capacity", {"partner_id": FACILITY, **room}),
        422,
        "partner-not-registered",
    )
    consent = {"person_id": case.person_id, **CONSENT, "recipients": [FACILITY]}
    served.acting_as("intake_coordinator")
    refused(await served.post("/consents", consent), 422, "recipient-unknown")
    question = {
        "person_id": case.person_id,
        "recipient": FACILITY,
        "category": "referral_status",
        "purpose": "care_coordination",
    }
    answer = (await served.get("/consents/check", params=question)).json()
    assert answer["reason"] == "partner_unknown"
    await asked_by_plans(case, to_facility_id=FACILITY)
    assert [one.reason for one in case.said(intake.DisclosureWithheld)] == [
        WithheldReason.PARTNER_UNKNOWN
    ]


async def test_who_asks_about_an_organisation_does_not_make_it_theirs() -> None:
    """A facility asked before it was registered; it is the operating organisation's all the same, and answers all."""
    served = Served(SERVICE).acting_as("intake_coordinator")
    told = await served.does("/referrals", {"source_kind": "self", "urgency": "routine"})
    case = Case(served, told)
    await asked_by_plans(case)
    assert [one.reason for one in case.said(intake.DisclosureWithheld)] == [
        WithheldReason.PARTNER_UNKNOWN
    ]
    await register(served)
    await case.consents()
    await asked_by_plans(case, delivery_id=uid("second"))
    [allowed] = case.said(intake.DisclosureAllowed)
    assert allowed.delivery_id == uid("second")
    [record] = (await served.store.load([partner_subject("harbor-detox")])).values()
    assert record.facility_id == "operations"
    state = served.state(case.person)
    assert list(state.on_the_way) == [uid("second")]
