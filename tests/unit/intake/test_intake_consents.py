"""Consents: granted by a form that says all it must, relied on, revoked, expired; and what each allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest

from services.intake.app import SERVICE
from services.intake.handoffs import (
    EpisodeEnded,
    EpisodeJoined,
    EpisodeLeft,
    EpisodeOpened,
)
from services.intake.person import consents
from services.intake.person.consents import FORMS, Circumstances
from services.intake.person.may_disclose import (
    Allowed,
    Consent,
    NewConsent,
    RevocationWay,
    Statement,
    Withheld,
    may_disclose,
)
from services.intake.person.person_state import PersonState
from shared.contracts import intake
from shared.contracts.codes import Population
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
)
from shared.decision import HandoffBody
from shared.errors import Invalid, Refused, Unknown
from shared.runtime.core.work import OutcomeStatus
from shared.runtime.http.call import Call
from tests.unit.intake.partners import known, register
from tests.unit.intake.world import at_stage
from tests.unit.served import Served, refused
from tests.unit.support import EPISODE_ID, FACILITY, START, History, uid

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
        "statements": ["right_to_revoke", "redisclosure"],
    },
    Kind.NOTES: {
        "categories": ["counseling_notes"],
        "purpose": "treatment",
        "statements": ["right_to_revoke", "redisclosure"],
    },
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
        new, here = form(kind, **changes), circumstances()
        answer = self.command(lambda state, cause: consents.grant(state, new, here, cause)).answer
        consent_id: str = answer["consent_id"]
        return consent_id

    def revokes(self, consent_id: str) -> None:
        self.command(lambda state, cause: consents.revoke(state, consent_id, cause))

    def ends(self, consent_id: str) -> None:
        self.command(lambda state, cause: consents.expire(state, consent_id, cause))

    def finds(self, now: datetime | None = None, **changes: Any) -> Allowed | Withheld:
        return decided(self.state, now or self.now, **changes)

    def may(self, **changes: Any) -> bool:
        return isinstance(self.finds(**changes), Allowed)


def circumstances(**changes: Any) -> Circumstances:
    """Everybody is registered, a court made treatment a condition, and days are those of UTC."""
    here = {"partners": known(), "court_involved": True, "time_zone": "UTC"}
    return Circumstances.model_validate({**here, **changes})


def decided(
    state: PersonState,
    now: datetime,
    *,
    recipient: str = PARTNER,
    categories: tuple[InformationCategory, ...] = (What.REFERRAL_STATUS,),
    purpose: ConsentPurpose = Purpose.CARE_COORDINATION,
) -> Allowed | Withheld:
    return may_disclose(
        state.consents, FACILITY, known().get(recipient), categories, purpose, now, state.time_zone
    )


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
    # 2.31(a)(4)(iii): whoever HIPAA binds may disclose further what is for treatment, payment or operations
    (Kind.SPECIFIC, {"purpose": "treatment"}, "consent-incomplete"),
    (
        Kind.SPECIFIC,
        {"purpose": "payment", "recipients": ["payers"], "statements": ["right_to_revoke"]},
        "consent-incomplete",
    ),
    (Kind.NOTES, {"statements": ["right_to_revoke"]}, "consent-incomplete"),
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
    # recipients by name, or by a class that the form may name; no other word is a name
    (Kind.SPECIFIC, {"recipients": ["probation-officers"]}, "recipient-unknown"),
    (Kind.TPO, {"recipients": ["recovery-residences"]}, "recipient-not-named"),
    (Kind.NOTES, {"recipients": ["treating-providers"]}, "recipient-not-named"),
    (Kind.INTERMEDIARY, {"intermediary_id": "nobody-known"}, "recipient-unknown"),
    (Kind.CRIMINAL_JUSTICE, {"recipients": [PARTNER]}, "recipient-not-a-court"),
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
    (
        Kind.CRIMINAL_JUSTICE,
        {"expires_on": "2026-12-31", "expires_with": None},
        "consent-without-end",
    ),
    # signed, by now, and before it begins
    (Kind.SPECIFIC, {"signed_on": "2026-03-03"}, "consent-not-signed"),
    (Kind.SPECIFIC, {"effective_at": "2020-01-01T00:00:00Z"}, "consent-back-dated"),
    (Kind.SPECIFIC, {"effective_at": "2026-03-01T23:59:59Z"}, "consent-back-dated"),
]


@pytest.mark.parametrize(("kind", "changes", "code"), REFUSED_FORMS)
@pytest.mark.fault("F5")
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
        (Kind.SPECIFIC, {"recipients": [PARTNER, COURT], "signed_by": ["patient", "guardian"]}),
        (Kind.SPECIFIC, {"recipients": ["treating-providers"]}),
        (Kind.SPECIFIC, {"recipients": ["recovery-residences", COURT]}),
        (Kind.SPECIFIC, {"signed_on": "2017-03-03"}),
        (Kind.SPECIFIC, {"effective_at": "2026-03-02T00:00:00Z"}),
        (Kind.SPECIFIC, {"purpose": "treatment", "recipients": ["hill-house"]}),
        (
            Kind.SPECIFIC,
            {"purpose": "treatment", "statements": ["right_to_revoke", "redisclosure"]},
        ),
        (Kind.SPECIFIC, {"expires_on": "2026-03-02"}),
        (Kind.TPO, {"recipients": [PARTNER, "payers"]}),
        (Kind.TPO, {"expires_with": "end_of_treatment"}),
        (Kind.TPO, {"expires_on": "2026-12-31", "expires_with": None}),
        (Kind.CRIMINAL_JUSTICE, {"expires_on": "2026-12-31"}),
        (Kind.INTERMEDIARY, {"recipients": [PARTNER, "river-clinic"]}),
    ],
)
def test_forms_that_are_consents(kind: ConsentKind, changes: dict[str, Any]) -> None:
    person = Person()
    consent_id = person.grants(kind, **changes)
    assert person.state.consents[consent_id].holds(START, "UTC")


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
    for document in ("1f", "2f"):
        person.grants(document_sha256=document * 32)
    person.grants(document_sha256="2f" * 32)
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
    for now, allowed in ((START, True), (START + 9 * HOUR, False)):
        assert isinstance(person.finds(now), Allowed) is allowed


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


def test_who_is_given_back_the_next_minute_has_never_left() -> None:
    person = Person()
    person.grants(**WITH_TREATMENT)
    person.handed(EpisodeLeft(episode_id=EPISODE_ID, left_at=START))
    person.after(minutes=5)
    person.handed(EpisodeJoined(episode_id=EPISODE_ID, open=True))
    person.after(days=30)
    assert person.names == ["consent-granted"]
    assert person.may()


@pytest.mark.fault("F9")
def test_who_is_given_back_after_days_has_never_left() -> None:
    """What seemed to end with the treatment had ended by a mistake, and whoever heard of its end hears of that."""
    person = Person()
    consent_id = person.grants(**WITH_TREATMENT)
    person.grants(expires_on="2026-03-03")
    revoked = person.grants(**WITH_TREATMENT, document_sha256="1f" * 32)
    person.handed(EpisodeLeft(episode_id=EPISODE_ID, left_at=START))
    person.revokes(revoked)
    person.after(days=5)
    assert not person.may()
    person.handed(EpisodeJoined(episode_id=EPISODE_ID, open=True))
    [undone] = person.of(intake.ConsentExpiryUndone)
    assert undone.consent_id == consent_id
    found = person.finds()
    assert isinstance(found, Allowed)
    assert found.consent_id == consent_id
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=person.now))
    person.after(days=1)
    assert person.names[-1] == "consent-expired"


def test_an_episode_that_ends_or_joins_later_revives_nothing() -> None:
    person = Person()
    person.grants(**WITH_TREATMENT)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    person.after(days=1)
    for body in (
        EpisodeOpened(episode_id=uid("next")),
        EpisodeJoined(episode_id=uid("x"), open=True),
    ):
        person.handed(body)
        assert not person.may()


def test_treatment_that_goes_on_the_same_day_has_not_ended() -> None:
    person = Person()
    person.grants(**WITH_TREATMENT)
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=START))
    person.handed(EpisodeOpened(episode_id=uid("next")))
    person.after(days=2)
    assert person.may()


# --- days of the facility ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "last_moment"),
    [
        ("America/New_York", datetime(2026, 3, 18, 3, 59, 59, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 3, 18, 6, 59, 59, tzinfo=UTC)),
        ("Pacific/Guam", datetime(2026, 3, 17, 13, 59, 59, tzinfo=UTC)),
        ("UTC", datetime(2026, 3, 17, 23, 59, 59, tzinfo=UTC)),
    ],
)
@pytest.mark.fault("F6")
def test_the_last_day_of_a_consent_is_the_facilitys(zone: str, last_moment: datetime) -> None:
    person = Person()
    new, here = form(expires_on="2026-03-17"), circumstances(time_zone=zone)
    person.command(lambda state, cause: consents.grant(state, new, here, cause))
    second = timedelta(seconds=1)
    assert isinstance(person.finds(last_moment), Allowed)
    assert isinstance(person.finds(last_moment + second), Withheld)
    person.at(last_moment)
    assert person.of(intake.ConsentExpired) == []
    person.at(last_moment + second)
    [expired] = person.of(intake.ConsentExpired)
    assert expired.expired_at == last_moment + second


def test_treatment_ends_with_the_facilitys_day() -> None:
    person = Person(referred=False)
    person.handed(EpisodeOpened(episode_id=EPISODE_ID, time_zone="America/New_York"))
    new, here = form(**WITH_TREATMENT), circumstances(time_zone="America/New_York")
    person.command(lambda state, cause: consents.grant(state, new, here, cause))
    late = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)  # still 2 March in New York
    person.handed(EpisodeEnded(episode_id=EPISODE_ID, ended_at=late))
    assert person.record.due == datetime(2026, 3, 3, 5, 0, tzinfo=UTC)


def test_a_form_signed_this_evening_is_signed_today() -> None:
    """In New York it is 2 March until five in the morning, UTC."""
    person = Person()
    person.at(datetime(2026, 3, 3, 3, 0, tzinfo=UTC))
    here = circumstances(time_zone="America/New_York")
    tomorrow = form(signed_on="2026-03-03", effective_at=person.now)
    with pytest.raises(Invalid, match="consent-not-signed"):
        person.command(lambda state, cause: consents.grant(state, tomorrow, here, cause))
    today = form(signed_on="2026-03-02", effective_at=person.now)
    person.command(lambda state, cause: consents.grant(state, today, here, cause))


# --- taken back on another day ------------------------------------------------------------------------------


@pytest.mark.fault("F12")
def test_a_revocation_counts_from_when_the_person_took_it_back() -> None:
    person = Person()
    consent_id = person.grants()
    person.after(days=2)
    at = START + DAY
    person.command(
        lambda state, cause: consents.revoke(state, consent_id, cause, at, RevocationWay.ORAL)
    )
    [revoked] = person.of(intake.ConsentRevoked)
    assert revoked.revoked_at == at
    assert isinstance(person.finds(at - HOUR), Allowed)
    assert isinstance(person.finds(at), Withheld)
    held = person.state.consents[consent_id]
    assert (held.revoked_by, held.revocation_recorded_at) == (RevocationWay.ORAL, person.now)


@pytest.mark.parametrize("at", [START - DAY, START + DAY])
def test_a_consent_is_not_taken_back_before_it_is_signed_nor_tomorrow(at: datetime) -> None:
    person = Person()
    consent_id = person.grants()
    with pytest.raises(Invalid, match="revocation-out-of-time"):
        person.command(lambda state, cause: consents.revoke(state, consent_id, cause, at))


# --- who signs --------------------------------------------------------------------------------------------

PATIENT, GUARDIAN, REPRESENTATIVE = "patient", "guardian", "representative"


@pytest.mark.parametrize(
    ("asked_for", "signed_by", "complete"),
    [
        ((PATIENT,), (PATIENT,), True),
        ((PATIENT,), (PATIENT, GUARDIAN), True),
        ((PATIENT,), (GUARDIAN,), False),
        ((PATIENT,), (REPRESENTATIVE,), True),
        ((PATIENT, GUARDIAN), (PATIENT, GUARDIAN), True),
        ((PATIENT, GUARDIAN), (PATIENT,), False),
        ((PATIENT, GUARDIAN), (GUARDIAN,), False),
        ((PATIENT, GUARDIAN), (REPRESENTATIVE,), False),
        ((GUARDIAN,), (GUARDIAN,), True),
        ((GUARDIAN,), (PATIENT,), False),
    ],
)
def test_a_form_is_signed_by_whom_the_law_asks(
    asked_for: tuple[str, ...], signed_by: tuple[str, ...], *, complete: bool
) -> None:
    person, new = Person(), form(signed_by=signed_by)
    here = circumstances(signatures=asked_for)
    if complete:
        person.command(lambda state, cause: consents.grant(state, new, here, cause))
        return
    with pytest.raises(Invalid, match="signature-missing"):
        person.command(lambda state, cause: consents.grant(state, new, here, cause))


# --- the court --------------------------------------------------------------------------------------------


@pytest.mark.fault("F7")
def test_a_courts_consent_is_for_who_is_treated_as_a_condition_of_a_court() -> None:
    person, new = Person(), form(Kind.CRIMINAL_JUSTICE)
    here = circumstances(court_involved=False)
    with pytest.raises(Invalid, match="person-not-court-involved"):
        person.command(lambda state, cause: consents.grant(state, new, here, cause))


@pytest.mark.fault("F7")
def test_the_final_disposition_ends_a_courts_consent_whatever_day_it_names() -> None:
    person = Person()
    consent_id = person.grants(Kind.CRIMINAL_JUSTICE, expires_on="2032-06-30")
    refusal = refuses("consent-irrevocable", person.revokes, consent_id)
    assert "expire" in refusal.hint, "the way out that is named is one"
    person.ends(consent_id)
    assert person.names[-1] == "consent-expired"


def test_what_a_courts_consent_allows_goes_to_courts_alone() -> None:
    """42 CFR 2.35, even if a form was recorded before the recipient was registered as something else."""
    held = {uid("c"): Consent(**dict(form(Kind.CRIMINAL_JUSTICE, recipients=[COURT, PARTNER])))}
    for recipient, allowed in ((COURT, True), (PARTNER, False)):
        found = may_disclose(
            held,
            FACILITY,
            known()[recipient],
            (What.REFERRAL_STATUS,),
            Purpose.MONITORING,
            START,
            "UTC",
        )
        assert isinstance(found, Allowed) is allowed


def test_a_person_survives_the_store() -> None:
    person = Person()
    for kind in FORMS:
        person.grants(kind)
    state = person.state
    assert PersonState.model_validate(state.model_dump(mode="json")) == state


# --- over HTTP ------------------------------------------------------------------------------------------


@pytest.fixture
async def served() -> tuple[Served, str, str]:
    served = await register(Served(SERVICE).acting_as("intake_coordinator"))
    told = await served.does("/referrals", {"source_kind": "self", "urgency": "routine"})
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
    ("born_on", "signed_by", "status"),
    [
        ("1990-03-02", ["patient"], 201),
        ("1990-03-02", ["guardian"], 422),
        ("2008-03-02", ["patient"], 201),  # eighteen on the day of the signature
        ("2008-03-03", ["patient"], 422),
        ("2008-03-03", ["patient", "guardian"], 201),
    ],
)
@pytest.mark.fault("F11")
async def test_a_minor_s_form_is_signed_by_both(
    served: tuple[Served, str, str], born_on: str, signed_by: list[str], status: int
) -> None:
    intake_, person_id, _ = served
    who = {"given_name": "A", "family_name": "B", "born_on": born_on}
    await intake_.put(f"/people/{person_id}/identity", who)
    body = {"person_id": person_id, **FORM, "signed_by": signed_by}
    answer = await intake_.post("/consents", body)
    assert answer.status_code == status, answer.text
    assert born_on not in answer.text


@pytest.mark.parametrize(
    ("population", "born_on", "signed_by", "status"),
    [
        ("adolescent", None, ["patient"], 422),
        ("adolescent", None, ["representative"], 422),
        ("adolescent", None, ["patient", "guardian"], 201),
        ("adolescent", "1990-03-02", ["patient"], 201),
        ("adult", None, ["patient"], 201),
        ("adult", "2010-03-02", ["patient"], 422),
    ],
)
async def test_whose_age_is_unknown_signs_as_they_were_admitted(
    served: tuple[Served, str, str],
    population: str,
    born_on: str | None,
    signed_by: list[str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    intake_, person_id, _ = served
    if born_on is not None:
        who = {"given_name": "A", "family_name": "B", "born_on": born_on}
        await intake_.put(f"/people/{person_id}/identity", who)
    state = at_stage("admitted").state
    admission = state.admission.replace(population=Population(population))
    states = AsyncMock(return_value=[state.replace(admission=admission)])
    monkeypatch.setattr(Call, "states", states)
    body = {"person_id": person_id, **FORM, "signed_by": signed_by}
    assert (await intake_.post("/consents", body)).status_code == status


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
