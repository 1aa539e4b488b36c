"""Consents: granted by a form that says all it must, relied on, revoked, expired; and what each allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.app import SERVICE
from services.intake.handoffs import (
    EpisodeEnded,
    EpisodeJoined,
    EpisodeLeft,
    EpisodeOpened,
    ReliedOn,
)
from services.intake.person import consents, person_state
from services.intake.person.consents import FORMS
from services.intake.person.person_state import (
    RECIPIENT_CLASSES,
    Asked,
    NewConsent,
    PersonState,
    Statement,
)
from shared.contracts import intake
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
)
from shared.decision import HandoffBody
from shared.errors import Invalid, Refused, Unknown
from shared.runtime.core.work import OutcomeStatus
from tests.unit.served import Served, refused
from tests.unit.support import EPISODE_ID, START, History, uid

PERSON_ID = uid("person")
PERSON = f"person/{PERSON_ID}"
PARTNER = "harbor-detox"
COURT = "northside-court"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LATE = "expires_on"
Kind, Purpose, Ending, What = ConsentKind, ConsentPurpose, ConsentExpiry, InformationCategory

FORM: dict[str, Any] = {
    "kind": "specific",
    "discloser_id": "harbor-iop",
    "recipients": [PARTNER],
    "categories": ["referral_status"],
    "purpose": "care_coordination",
    "effective_at": START.isoformat(),
    "expires_on": "2026-06-30",
    "statements": ["right_to_revoke"],
    "signed_on": START.astimezone(UTC).date().isoformat(),
    "document_sha256": "9f" * 32,
}
OTHER_FORMS: dict[ConsentKind, dict[str, Any]] = {
    Kind.SPECIFIC: {},
    Kind.TPO: {
        "recipients": ["treating-providers"],
        "purpose": "treatment",
        "expires_on": None,
        "expires_with": "none",
        "statements": [*Statement],
    },
    Kind.CRIMINAL_JUSTICE: {
        "recipients": [COURT],
        "purpose": "monitoring",
        "expires_on": None,
        "expires_with": "final_disposition",
        "statements": [],
    },
    Kind.INTERMEDIARY: {
        "intermediary_id": "county-exchange",
        "recipients": ["treating-providers"],
        "purpose": "treatment",
    },
    Kind.NOTES: {"categories": ["counseling_notes"], "purpose": "treatment"},
    Kind.LEGAL: {"recipients": [COURT], "purpose": "legal_proceedings"},
}


def form(kind: ConsentKind = Kind.SPECIFIC, **changes: Any) -> NewConsent:
    """A complete form of this kind, with some of it changed."""
    said = {"expires_with": None, **FORM, "kind": kind, **OTHER_FORMS[kind], **changes}
    return NewConsent.model_validate(said)


class Person(History):
    """A person with one open episode."""

    def __init__(self, *, referred: bool = True) -> None:
        super().__init__(
            SERVICE.source,
            SERVICE.kinds["person"],
            SERVICE.reactions,
            SERVICE.handoffs,
            subject=PERSON,
        )
        if referred:
            self.handed(EpisodeOpened(episode_id=EPISODE_ID))

    def handed(self, body: HandoffBody) -> Any:
        outcome = super().handed(body)
        assert outcome.status is OutcomeStatus.APPLIED, outcome
        return outcome

    def grants(self, kind: ConsentKind = Kind.SPECIFIC, **changes: Any) -> str:
        new = form(kind, **changes)
        answer = self.command(lambda state, cause: consents.grant(state, new, cause)).answer
        consent_id: str = answer["consent_id"]
        return consent_id

    def revokes(self, consent_id: str) -> None:
        self.command(lambda state, cause: consents.revoke(state, consent_id, cause))

    def ends(self, consent_id: str) -> None:
        self.command(lambda state, cause: consents.expire(state, consent_id, cause))

    def may(self, **changes: Any) -> bool:
        return person_state.permitted_by(self.state, asked(**changes), self.now) is not None


def asked(**changes: Any) -> Asked:
    question = {
        "recipient_id": PARTNER,
        "category": What.REFERRAL_STATUS,
        "purpose": Purpose.CARE_COORDINATION,
    }
    return Asked.model_validate({**question, **changes})


def refuses(code: str, act: Any, *arguments: Any, **more: Any) -> Refused:
    with pytest.raises(Refused) as found:
        act(*arguments, **more)
    assert (found.value.code, bool(found.value.hint)) == (code, True)
    return found.value


# --- forms ----------------------------------------------------------------------------------------------


def test_a_consent_is_said_without_the_form() -> None:
    person = Person()
    consent_id = person.grants()
    [event] = person.of(intake.ConsentGranted)
    assert (event.consent_id, event.recipients) == (consent_id, (PARTNER,))
    said = person.record.waiting_entries()[0]["data"]
    assert not any(word in said for word in (b"signed_on", b"discloser", b"statements"))


@pytest.mark.parametrize("kind", [*FORMS])
def test_every_kind_of_consent_has_a_form(kind: ConsentKind) -> None:
    person = Person()
    person.grants(kind)
    assert person.of(intake.ConsentGranted)[0].kind is kind


def test_every_kind_is_ruled() -> None:
    assert set(FORMS) == set(Kind) - {Kind.UNKNOWN}


REFUSED_FORMS: list[tuple[ConsentKind, dict[str, Any], str]] = [
    # 2.31(a): who discloses, and the right to revoke
    (Kind.SPECIFIC, {"discloser_id": ""}, "consent-incomplete"),
    (Kind.SPECIFIC, {"statements": []}, "consent-incomplete"),
    (Kind.NOTES, {"statements": []}, "consent-incomplete"),
    (Kind.LEGAL, {"statements": ["redisclosure"]}, "consent-incomplete"),
    (Kind.INTERMEDIARY, {"statements": []}, "consent-incomplete"),
    (Kind.CRIMINAL_JUSTICE, {"discloser_id": ""}, "consent-incomplete"),
    # a general consent also says what may happen to it, and what happens without it
    (Kind.TPO, {"statements": ["right_to_revoke"]}, "consent-incomplete"),
    (Kind.TPO, {"statements": ["right_to_revoke", "redisclosure"]}, "consent-incomplete"),
    # purposes
    (Kind.TPO, {"purpose": "monitoring"}, "purpose-not-of-this-form"),
    (Kind.TPO, {"purpose": "family_involvement"}, "purpose-not-of-this-form"),
    (Kind.CRIMINAL_JUSTICE, {"purpose": "treatment"}, "purpose-not-of-this-form"),
    (Kind.SPECIFIC, {"purpose": "legal_proceedings"}, "purpose-not-of-this-form"),
    (Kind.LEGAL, {"purpose": "treatment"}, "purpose-not-of-this-form"),
    # notes by themselves
    (Kind.SPECIFIC, {"categories": ["counseling_notes"]}, "notes-need-their-own-form"),
    (Kind.TPO, {"categories": ["attendance", "counseling_notes"]}, "notes-need-their-own-form"),
    (Kind.NOTES, {"categories": ["counseling_notes", "screens"]}, "notes-need-their-own-form"),
    (Kind.NOTES, {"categories": ["screens"]}, "notes-need-their-own-form"),
    # intermediaries by name, with participants
    (Kind.INTERMEDIARY, {"intermediary_id": None}, "intermediary-mismatch"),
    (Kind.INTERMEDIARY, {"intermediary_id": "payers"}, "intermediary-mismatch"),
    (Kind.INTERMEDIARY, {"recipients": ["county-exchange"]}, "intermediary-mismatch"),
    (Kind.SPECIFIC, {"intermediary_id": "county-exchange"}, "intermediary-mismatch"),
    (Kind.INTERMEDIARY, {"recipients": ["payers"]}, "recipient-not-named"),
    # recipients by name
    (Kind.SPECIFIC, {"recipients": ["treating-providers"]}, "recipient-not-named"),
    (Kind.CRIMINAL_JUSTICE, {"recipients": ["treating-providers"]}, "recipient-not-named"),
    (Kind.LEGAL, {"recipients": [COURT, "payers"]}, "recipient-not-named"),
    # ends
    (Kind.SPECIFIC, {"expires_on": None}, "consent-without-end"),
    (Kind.SPECIFIC, {"expires_on": None, "expires_with": "none"}, "consent-without-end"),
    (Kind.TPO, {"expires_on": None, "expires_with": None}, "consent-without-end"),
    (Kind.TPO, {"expires_with": "final_disposition"}, "ending-not-of-this-form"),
    (Kind.CRIMINAL_JUSTICE, {"expires_with": "none"}, "consent-without-end"),
    (Kind.CRIMINAL_JUSTICE, {"expires_with": "end_of_treatment"}, "ending-not-of-this-form"),
    (Kind.SPECIFIC, {"expires_on": "2026-03-01"}, "consent-already-expired"),
    (Kind.SPECIFIC, {"effective_at": "2026-07-01T00:00:00Z"}, "consent-already-expired"),
    # signed
    (Kind.SPECIFIC, {"signed_on": "2026-03-04"}, "consent-not-signed"),
]


@pytest.mark.parametrize(("kind", "changes", "code"), REFUSED_FORMS)
def test_forms_that_are_not_consents(kind: ConsentKind, changes: dict[str, Any], code: str) -> None:
    person = Person()
    assert isinstance(refuses(code, person.grants, kind, **changes), Invalid)
    assert person.state.consents == {}
    assert person.said == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Kind.SPECIFIC, {"expires_on": None, "expires_with": "end_of_treatment"}),
        (Kind.SPECIFIC, {"expires_on": None, "expires_with": "final_disposition"}),
        (Kind.SPECIFIC, {"expires_with": "end_of_treatment"}),
        (Kind.SPECIFIC, {"recipients": [PARTNER, COURT], "signed_by": "guardian"}),
        (Kind.SPECIFIC, {"signed_on": "2026-03-03"}),
        (Kind.SPECIFIC, {"expires_on": "2026-03-02"}),
        (Kind.TPO, {"recipients": [PARTNER, "payers"]}),
        (Kind.TPO, {"expires_with": "end_of_treatment"}),
        (Kind.TPO, {"expires_on": "2026-12-31", "expires_with": None}),
        (Kind.CRIMINAL_JUSTICE, {"expires_on": "2026-12-31"}),
        (Kind.CRIMINAL_JUSTICE, {"expires_on": "2026-12-31", "expires_with": None}),
        (Kind.INTERMEDIARY, {"recipients": [PARTNER, "river-clinic"]}),
    ],
)
def test_forms_that_are_consents(kind: ConsentKind, changes: dict[str, Any]) -> None:
    person = Person()
    consent_id = person.grants(kind, **changes)
    assert person.state.consents[consent_id].holds(START)


def test_only_a_general_consent_may_be_endless() -> None:
    person = Person()
    person.grants(Kind.TPO)
    assert person.record.due is None
    person.after(days=4000)
    assert person.of(intake.ConsentExpired) == []


def test_an_intermediary_is_said_with_its_participants() -> None:
    person = Person()
    person.grants(Kind.INTERMEDIARY, recipients=[PARTNER])
    assert person.of(intake.ConsentGranted)[0].recipients == ("county-exchange", PARTNER)


def test_a_record_of_consents_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents, "CONSENTS_MAX", 2)
    person = Person()
    person.grants()
    person.grants()
    refuses("too-many-consents", person.grants)


# --- life -----------------------------------------------------------------------------------------------


def test_a_person_nobody_referred_is_unknown() -> None:
    for act in (Person.grants, lambda p: p.revokes(uid("x")), lambda p: p.ends(uid("x"))):
        with pytest.raises(Unknown) as found:
            act(Person(referred=False))
        assert found.value.code == "unknown-person"


def test_a_consent_ends_with_its_last_day() -> None:
    person = Person()
    consent_id = person.grants()
    person.at(datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC))
    assert person.of(intake.ConsentExpired) == []
    assert person.may()
    person.at(datetime(2026, 7, 1, tzinfo=UTC))
    [event] = person.of(intake.ConsentExpired)
    assert (event.consent_id, event.in_reliance) == (consent_id, False)
    assert event.expired_at == datetime(2026, 7, 1, tzinfo=UTC)
    assert not person.may()


def test_a_consent_is_taken_back_once() -> None:
    person = Person()
    consent_id = person.grants()
    person.revokes(consent_id)
    assert person.names == ["consent-granted", "consent-revoked"]
    assert person.record.due is None
    assert not person.may()
    refuses("consent-ended", person.revokes, consent_id)
    refuses("consent-ended", person.ends, consent_id)


@pytest.mark.parametrize("kind", [*FORMS])
def test_every_consent_but_a_courts_can_be_taken_back(kind: ConsentKind) -> None:
    """42 CFR 2.35: who is treated as a condition of a case can't take that consent back before its end."""
    person = Person()
    consent_id = person.grants(kind)
    if kind is Kind.CRIMINAL_JUSTICE:
        assert refuses("consent-irrevocable", person.revokes, consent_id).status == 409
        person.after(days=300)
        refuses("consent-irrevocable", person.revokes, consent_id)
        person.ends(consent_id)
        assert person.names[-1] == "consent-expired"
        refuses("consent-ended", person.revokes, consent_id)
    else:
        person.revokes(consent_id)
        assert person.names[-1] == "consent-revoked"


def test_a_consent_that_names_no_event_does_not_end_by_one() -> None:
    person = Person()
    refuses("consent-names-no-event", person.ends, person.grants())
    refuses("consent-names-no-event", person.ends, person.grants(Kind.TPO))


def test_an_unknown_consent_is_unknown() -> None:
    with pytest.raises(Unknown):
        Person().revokes(uid("x"))


def test_what_was_disclosed_stays_in_the_accounting() -> None:
    person = Person()
    consent_id = person.grants()
    person.handed(ReliedOn(consent_id=consent_id))
    person.revokes(consent_id)
    assert person.of(intake.ConsentRevoked)[0].in_reliance is True


def test_a_reliance_heard_too_late_or_of_no_consent_changes_nothing_else() -> None:
    person = Person()
    consent_id = person.grants()
    person.revokes(consent_id)
    person.handed(ReliedOn(consent_id=consent_id))
    person.handed(ReliedOn(consent_id=uid("x")))
    assert person.names == ["consent-granted", "consent-revoked"]
    assert person.state.consents[consent_id].ended


# --- the end of treatment -------------------------------------------------------------------------------

WITH_TREATMENT = {"expires_on": None, "expires_with": "end_of_treatment"}


def test_what_ends_with_treatment_lasts_until_that_day_is_over() -> None:
    person = Person()
    person.grants(**WITH_TREATMENT)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    person.at(datetime(2026, 3, 2, 23, 59, tzinfo=UTC))
    assert person.of(intake.ConsentExpired) == []
    person.at(datetime(2026, 3, 3, tzinfo=UTC))
    assert len(person.of(intake.ConsentExpired)) == 1


def test_treatment_ends_with_the_last_episode() -> None:
    person = Person()
    person.handed(EpisodeOpened(episode_id=uid("second")))
    person.grants(**WITH_TREATMENT)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    assert person.record.due is None
    person.handed(EpisodeEnded(episode_id=uid("second"), ended_at=START + DAY))
    assert person.record.due == datetime(2026, 3, 4, tzinfo=UTC)


def test_the_earlier_end_counts() -> None:
    person = Person()
    person.grants(expires_on="2026-03-02", expires_with="end_of_treatment")
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START + 40 * DAY))
    assert person.record.due == datetime(2026, 3, 3, tzinfo=UTC)


def test_after_treatment_no_consent_can_end_with_it() -> None:
    person = Person()
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    refuses("treatment-ended", person.grants, **WITH_TREATMENT)


def test_an_end_that_nobody_has_noticed_yet_is_an_end() -> None:
    """The timer may be late; a check is not."""
    person = Person()
    person.grants(**WITH_TREATMENT)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    state: PersonState = person.state
    for now, allowed in ((START, True), (START + 9 * HOUR, False)):
        assert (person_state.permitted_by(state, asked(), now) is not None) is allowed


# --- the episode was another's --------------------------------------------------------------------------


def test_consents_stay_when_an_episode_goes_to_another_person() -> None:
    wrong, right = Person(), Person(referred=False)
    wrong.grants()
    wrong.grants(**WITH_TREATMENT)
    wrong.handed(EpisodeLeft(episode_id=EPISODE_ID, left_at=START))
    right.handed(EpisodeJoined(episode_id=EPISODE_ID, open=True))
    assert (wrong.state.episodes, wrong.state.left) == ({}, (EPISODE_ID,))
    assert right.state.episodes == {EPISODE_ID: True}
    assert wrong.may(), "their own consents stay theirs"
    assert not right.may(), "nothing carries over"
    wrong.after(days=1)
    assert len(wrong.of(intake.ConsentExpired)) == 1, "what ended with treatment has ended"


def test_an_episode_that_left_does_not_come_back_by_ending() -> None:
    person = Person()
    person.handed(EpisodeLeft(episode_id=EPISODE_ID, left_at=START))
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    assert person.state.episodes == {}
    person.handed(EpisodeJoined(episode_id=EPISODE_ID, open=False))
    assert (person.state.episodes, person.state.left) == ({EPISODE_ID: False}, ())


# --- what is allowed ------------------------------------------------------------------------------------

TPO = (Kind.TPO, {"categories": ["attendance", "referral_status"]})


@pytest.mark.parametrize(
    ("given_form", "question", "after", "allowed"),
    [
        ((Kind.SPECIFIC, {}), {}, 0 * HOUR, True),
        ((Kind.SPECIFIC, {}), {"recipient_id": COURT}, 0 * HOUR, False),
        ((Kind.SPECIFIC, {}), {"category": What.SCREENS}, 0 * HOUR, False),
        ((Kind.SPECIFIC, {}), {"category": What.PRESENCE}, 0 * HOUR, False),
        ((Kind.SPECIFIC, {}), {"purpose": Purpose.TREATMENT}, 0 * HOUR, False),
        ((Kind.SPECIFIC, {}), {"recipient_class": "treating-providers"}, 0 * HOUR, True),
        ((Kind.SPECIFIC, {"effective_at": START + HOUR}), {}, 0 * HOUR, False),
        ((Kind.SPECIFIC, {"effective_at": START + HOUR}), {}, HOUR, True),
        ((Kind.SPECIFIC, {"expires_on": "2026-03-02"}), {}, 8 * HOUR, True),
        ((Kind.SPECIFIC, {"expires_on": "2026-03-02"}), {}, 9 * HOUR, False),
        # a class has to be known, and to be on the form
        (TPO, {"purpose": Purpose.TREATMENT}, 0 * HOUR, False),
        (
            TPO,
            {"purpose": Purpose.TREATMENT, "recipient_class": "treating-providers"},
            0 * HOUR,
            True,
        ),
        (TPO, {"purpose": Purpose.PAYMENT, "recipient_class": "payers"}, 0 * HOUR, False),
        (
            TPO,
            {"purpose": Purpose.TREATMENT, "recipient_id": "treating-providers"},
            0 * HOUR,
            False,
        ),
        (
            TPO,
            {"purpose": Purpose.TREATMENT, "recipient_class": "anybody"},
            0 * HOUR,
            False,
        ),
        # one consent for treatment, payment and operations, and for nothing else
        (
            TPO,
            {"purpose": Purpose.OPERATIONS, "recipient_class": "treating-providers"},
            0 * HOUR,
            True,
        ),
        (
            TPO,
            {"purpose": Purpose.MONITORING, "recipient_class": "treating-providers"},
            0 * HOUR,
            False,
        ),
        # an intermediary and whoever takes part
        (
            (Kind.INTERMEDIARY, {}),
            {"recipient_id": "county-exchange", "purpose": Purpose.TREATMENT},
            0 * HOUR,
            True,
        ),
        (
            (Kind.INTERMEDIARY, {}),
            {"recipient_class": "treating-providers", "purpose": Purpose.TREATMENT},
            0 * HOUR,
            True,
        ),
        ((Kind.INTERMEDIARY, {}), {"purpose": Purpose.TREATMENT}, 0 * HOUR, False),
    ],
)
def test_a_consent_names_recipient_content_purpose_and_time(
    given_form: tuple[ConsentKind, dict[str, Any]],
    question: dict[str, Any],
    after: timedelta,
    *,
    allowed: bool,
) -> None:
    kind, changes = given_form
    person = Person()
    consent_id = person.grants(kind, **changes)
    found = person_state.permitted_by(person.state, asked(**question), START + after)
    assert found == (consent_id if allowed else None)


QUESTIONS = st.builds(
    asked,
    recipient_id=st.sampled_from([PARTNER, COURT, "county-exchange", *RECIPIENT_CLASSES]),
    recipient_class=st.sampled_from([None, *RECIPIENT_CLASSES, "anybody"]),
    category=st.sampled_from([*What]),
    purpose=st.sampled_from([*Purpose]),
)
DEEDS = st.lists(st.tuples(st.sampled_from([*FORMS]), st.booleans()), max_size=5)


@given(DEEDS, QUESTIONS)
def test_whatever_is_allowed_one_standing_consent_says_whole(
    deeds: list[tuple[ConsentKind, bool]], question: Asked
) -> None:
    person = Person()
    for kind, ended in deeds:
        consent_id = person.grants(kind)
        if ended:
            (person.ends if kind is Kind.CRIMINAL_JUSTICE else person.revokes)(consent_id)
    found = person_state.permitted_by(person.state, question, START)
    if found is None:
        return
    held = person.state.consents[found]
    assert held.holds(START)
    assert not held.ended
    assert question.category in held.categories
    assert question.purpose is held.purpose or held.kind is Kind.TPO
    assert question.recipient_id not in RECIPIENT_CLASSES or question.recipient_class
    assert {question.recipient_id, question.recipient_class} & {*held.all_recipients}


def test_a_specific_consent_is_relied_on_before_a_general_one() -> None:
    person = Person()
    person.grants(Kind.TPO, recipients=[PARTNER])
    specific = person.grants(purpose="treatment")
    question = asked(purpose=Purpose.TREATMENT)
    assert person_state.permitted_by(person.state, question, START) == specific


def test_a_person_survives_the_store() -> None:
    person = Person()
    for kind in FORMS:
        person.grants(kind)
    state = person.state
    assert PersonState.model_validate(state.model_dump(mode="json")) == state


# --- over HTTP ------------------------------------------------------------------------------------------


@pytest.fixture
async def served() -> tuple[Served, str, str]:
    served = Served(SERVICE).acting_as("intake_coordinator")
    told = await served.does("/referrals", {"source_kind": "self", "priority": "routine"})
    return served, told["person_id"], told["episode_id"]


QUESTION = {
    "recipient": PARTNER,
    "category": "referral_status",
    "purpose": "care_coordination",
}


async def test_a_consent_lives_and_ends_over_http(served: tuple[Served, str, str]) -> None:
    intake_, person_id, _ = served
    question = {"params": {"person_id": person_id, **QUESTION}}
    answer = (await intake_.get("/consents/check", **question)).json()
    assert (answer["allowed"], answer["code"]) == (False, "consent-missing")
    granted = await intake_.does("/consents", {"person_id": person_id, **FORM})
    answer = (await intake_.get("/consents/check", **question)).json()
    assert (answer["allowed"], answer["consent_id"]) == (True, granted["consent_id"])
    path = f"/consents/{granted['consent_id']}"
    refused(
        await intake_.post(f"{path}/expire", {"person_id": person_id}),
        409,
        "consent-names-no-event",
    )
    await intake_.does(f"{path}/revoke", {"person_id": person_id})
    answer = (await intake_.get("/consents/check", **question)).json()
    assert answer["allowed"] is False
    held = (await intake_.get(f"/people/{person_id}/consents")).json()["consents"]
    assert held[granted["consent_id"]]["revoked_at"] is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "unknown"}, "request-invalid"),
        ({"categories": []}, "request-invalid"),
        ({"categories": ["unknown"]}, "request-invalid"),
        ({"recipients": ["Some Body"]}, "request-invalid"),
        ({"discloser_id": None}, "request-invalid"),
        ({"statements": ["anything"]}, "request-invalid"),
        ({"effective_at": "2026-03-02T15:00:00"}, "request-invalid"),
        ({"free_text": "someone"}, "request-invalid"),
        ({"statements": []}, "consent-incomplete"),
        ({"expires_on": "9999-12-31"}, "request-invalid"),
    ],
)
async def test_bodies_that_are_no_consent(
    served: tuple[Served, str, str], changes: dict[str, Any], code: str
) -> None:
    intake_, person_id, _ = served
    answer = await intake_.post("/consents", {"person_id": person_id, **FORM, **changes})
    refused(answer, 422, code)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"category": "unknown"}, 422, "code-not-listed"),
        ({"category": "everything"}, 422, "code-not-listed"),
        ({"purpose": "gossip"}, 422, "code-not-listed"),
        ({"recipient": "Some Body"}, 422, "request-invalid"),
        ({"recipient": None}, 422, "request-invalid"),
        ({"person_id": "x"}, 422, "request-invalid"),
        ({"person_id": uid("nobody")}, 404, "unknown-person"),
    ],
)
async def test_in_doubt_nothing_is_allowed(
    served: tuple[Served, str, str], changes: dict[str, Any], status: int, code: str
) -> None:
    intake_, person_id, _ = served
    params = {"person_id": person_id, **QUESTION, **changes}
    params = {name: value for name, value in params.items() if value is not None}
    refused(await intake_.get("/consents/check", params=params), status, code)


async def test_nobody_else_asks(served: tuple[Served, str, str]) -> None:
    intake_, person_id, _ = served
    params = {"person_id": person_id, **QUESTION}
    for role, facility, code in (
        ("partner", "harbor-iop", "role-not-allowed"),
        ("operator", "harbor-iop", "role-not-allowed"),
        ("clinician", "river-iop", "other-facility"),
    ):
        intake_.acting_as(role, "x", facility)
        refused(await intake_.get("/consents/check", params=params), 403, code)
