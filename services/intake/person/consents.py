"""Consents: what a person allowed, from when, until when. The person's record; every disclosure starts here.

What one contains and what it allows is in `may_disclose.py`. Requirements of form follow 42 CFR 2.31 and 2.35; see
docs/domain.md 4.2 (Consent).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from services.intake.person import person_state
from services.intake.person.accounting import RevokedBefore
from services.intake.person.disclosures import accounted
from services.intake.person.may_disclose import (
    CLASSES,
    TPO_CLASSES,
    TPO_PURPOSES,
    Consent,
    NewConsent,
    Partner,
    RevocationWay,
    Signatory,
    Statement,
)
from services.intake.person.person_state import EXPIRY, PersonState, with_consent
from shared import calendar
from shared.contracts import intake
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
    PartnerKind,
    RecipientClass,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused

CLOCKS_APART: Final = timedelta(minutes=5)
CONSENTS_MAX: Final = 500
"""How many consents one person's record holds, those that ended included."""
ENDING_EVENTS: Final = (ConsentExpiry.END_OF_TREATMENT, ConsentExpiry.FINAL_DISPOSITION)
EVERY_OTHER_PURPOSE: Final = tuple(
    purpose
    for purpose in ConsentPurpose
    if purpose not in (ConsentPurpose.LEGAL_PROCEEDINGS, ConsentPurpose.UNKNOWN)
)


class FormRule(Value):
    """What one form of consent has to contain, and may not."""

    purposes: tuple[ConsentPurpose, ...] = EVERY_OTHER_PURPOSE
    endings: tuple[ConsentExpiry, ...] = ENDING_EVENTS
    """The events that may end it, beside a day."""
    ends_with: ConsentExpiry | None = None
    """The event that must end it, whatever day it names beside it."""
    statements: tuple[Statement, ...] = (Statement.RIGHT_TO_REVOKE,)
    notes: bool = False
    """It is about counseling notes, and about nothing else; every other form is about anything else."""
    intermediary: bool = False
    """It names an intermediary beside its participants; no other form does."""
    court_involved: bool = False
    """It is for persons for whom treatment is a condition of a court, and for courts' recipients alone."""


FORMS: Final[Mapping[ConsentKind, FormRule]] = {
    # 2.31(a)(4)-(7), (c): one consent for all treatment, payment and operations; a class and no end will do.
    ConsentKind.TPO: FormRule(
        purposes=TPO_PURPOSES,
        endings=(ConsentExpiry.NONE, ConsentExpiry.END_OF_TREATMENT),
        statements=(*Statement,),
    ),
    # 2.31(a): a recipient or a class of persons, and a day or an event.
    ConsentKind.SPECIFIC: FormRule(),
    # 2.35: who monitors a person for whom treatment is a condition; ends at the latest with the case. It is not
    # revocable before, and its form states that in place of the right to revoke.
    ConsentKind.CRIMINAL_JUSTICE: FormRule(
        purposes=(ConsentPurpose.MONITORING,),
        endings=(ConsentExpiry.FINAL_DISPOSITION,),
        ends_with=ConsentExpiry.FINAL_DISPOSITION,
        statements=(),
        court_involved=True,
    ),
    # 2.31(a)(4)(ii): the intermediary by name, with its participants by name or as the class of treating providers.
    ConsentKind.INTERMEDIARY: FormRule(intermediary=True),
    # 2.31(b): counseling notes have a form of their own.
    ConsentKind.NOTES: FormRule(notes=True),
    # 2.31(d): so have proceedings against the person.
    ConsentKind.LEGAL: FormRule(purposes=(ConsentPurpose.LEGAL_PROCEEDINGS,)),
}


class Circumstances(Value):
    """What has to be known beside the form, and stands in other records."""

    partners: dict[str, Partner]
    """Those of the recipients that are registered, by their codes."""
    court_involved: bool
    """Treatment is a condition for this person."""
    time_zone: str
    """Of the facility: in it days begin and end."""
    signatures: tuple[str, ...] = (Signatory.PATIENT,)
    """Whose signatures the form needs: of a minor, as the law of the facility's state asks (42 CFR 2.14)."""


# --- commands -------------------------------------------------------------------------------------------


def grant(
    state: PersonState, new: NewConsent, known: Circumstances, cause: Cause
) -> Decision[PersonState]:
    """Record a signed consent. It contains all that 42 CFR 2.31 asks for, and names its end: a day, or an event.

    The same form that comes again is the consent that holds: a second one would outlast the revocation of the first.
    """
    person_state.known(state)
    state = state.replace(time_zone=known.time_zone)
    _complete(new, known)
    _of_its_form(new, FORMS[new.kind])
    _to_whom(new, FORMS[new.kind], known)
    _signers(new, known)
    _signed(new, known.time_zone, cause.now)
    _ends(new, state, cause.now)
    for known_id, one in state.consents.items():
        if not one.ended and one.form == new:
            return Decision(state, answer={"consent_id": known_id})
    if len(state.consents) >= CONSENTS_MAX:
        raise Refused(
            "too-many-consents",
            "This person's record keeps no more consents.",
            hint="Ask the privacy officer to look at the consents of this person.",
        )
    consent_id = cause.derive_id("consent")
    event = intake.ConsentGranted(
        consent_id=consent_id,
        kind=new.kind,
        recipients=new.all_recipients,
        categories=new.categories,
        purpose=new.purpose,
        effective_at=new.effective_at,
        expires_on=new.expires_on,
        expires_with=new.expires_with,
        document_sha256=new.document_sha256,
    )
    state = person_state.arm_expiry(state, consent_id, Consent(**dict(new), recorded_at=cause.now))
    return Decision(state, (event,), answer={"consent_id": consent_id})


def revoke(
    state: PersonState,
    consent_id: str,
    cause: Cause,
    at: datetime | None = None,
    way: RevocationWay = RevocationWay.WRITTEN,
) -> Decision[PersonState]:
    """The person took a consent back, now or at a moment that is recorded later. It recalls nothing.

    What was disclosed under it in between is looked at. A consent that has ended since, or whose revocation was
    recorded with a later time, had been taken back all the same.
    """
    consent = person_state.consent_of(state, consent_id)
    if consent.undone_at is not None:
        raise _over_already()
    revoked_at = cause.now if at is None else at
    ended_at = min(consent.ends, default=None)
    if consent.ended and ended_at is not None and revoked_at >= ended_at:
        raise _over_already()
    signed = calendar.midnight(consent.signed_on, state.time_zone)
    if not signed <= revoked_at <= cause.now + CLOCKS_APART:
        raise Invalid(
            "revocation-out-of-time",
            "A consent is not revoked before it is signed, nor in the future.",
            hint="Give the time at which the person took it back.",
        )
    if consent.kind is ConsentKind.CRIMINAL_JUSTICE:
        raise Refused(
            "consent-irrevocable",
            "A criminal-justice consent can't be revoked before the case has ended.",
            hint="Once the case has its final disposition, record that: POST /consents/{id}/expire.",
        )
    event = intake.ConsentRevoked(
        consent_id=consent_id, revoked_at=revoked_at, in_reliance=consent.relied_on
    )
    revoked = consent.with_revocation_aside().replace(
        revoked_at=revoked_at, revoked_by=way, revocation_recorded_at=cause.now
    )
    state = with_consent(state, consent_id, revoked).disarm(f"{EXPIRY}:{consent_id}")
    if not consent.relied_on or revoked_at >= cause.now:
        return Decision(state, (event,))
    late = RevokedBefore(consent_id=consent_id, revoked_at=revoked_at, until=ended_at)
    return Decision(state, (event,), (accounted(late, cause),))


def expire(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    """The event that a consent names as its end has come. The final disposition ends every court's consent."""
    consent = _standing(state, consent_id)
    court = consent.kind is ConsentKind.CRIMINAL_JUSTICE
    if not court and consent.expires_with not in ENDING_EVENTS:
        raise Refused(
            "consent-names-no-event",
            "This consent does not end by an event.",
            hint="It ends by its day; the person may also revoke it.",
        )
    return expired(state.disarm(f"{EXPIRY}:{consent_id}"), consent_id, cause)


def expired(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    """The consent has come to its end, by its day or by the event that it names."""
    consent = state.consents[consent_id]
    event = intake.ConsentExpired(
        consent_id=consent_id, expired_at=cause.now, in_reliance=consent.relied_on
    )
    return Decision(
        with_consent(state, consent_id, consent.replace(expired_at=cause.now)), (event,)
    )


# --- what a form must be --------------------------------------------------------------------------------


def _complete(new: NewConsent, known: Circumstances) -> None:
    """42 CFR 2.31(a)(1)-(9): what every form contains, whatever its kind. The patient is whose record this is."""
    statements = set(FORMS[new.kind].statements)
    if new.purpose in TPO_PURPOSES and _reaches_covered(new, known):
        # 2.31(a)(4)(iii): who is bound by HIPAA may disclose further what is for treatment, payment or operations.
        statements.add(Statement.REDISCLOSURE)
    missing = [
        *(["discloser_id"] if not new.discloser_id else []),
        *(one.value for one in Statement if one in statements and one not in new.statements),
    ]
    if missing:
        raise Invalid(
            "consent-incomplete",
            f"The form does not say: {', '.join(missing)}.",
            hint="State it in discloser_id and `statements` where the form says it; else have one signed that does.",
        )


def _reaches_covered(new: NewConsent, known: Circumstances) -> bool:
    covered = {code for code, partner in known.partners.items() if partner.covered_entity}
    return not (covered | set(TPO_CLASSES)).isdisjoint(new.all_recipients)


def _of_its_form(new: NewConsent, rule: FormRule) -> None:
    if new.purpose not in rule.purposes:
        raise Invalid(
            "purpose-not-of-this-form",
            "This form of consent is not for this purpose.",
            hint=f"This form is for: {', '.join(rule.purposes)}.",
        )
    about_notes = {InformationCategory.COUNSELING_NOTES} & set(new.categories)
    if bool(about_notes) is not rule.notes or (rule.notes and len(set(new.categories)) > 1):
        raise Invalid(
            "notes-need-their-own-form",
            "Counseling notes are consented to on a form of their own.",
            hint="Use kind notes for counseling_notes alone, and another form for everything else.",
        )
    if (new.intermediary_id is not None) is not rule.intermediary:
        raise Invalid(
            "intermediary-mismatch",
            "An intermediary is named on an intermediary's form, and only there.",
            hint="State intermediary_id exactly when kind is intermediary; recipients are its participants.",
        )
    if new.intermediary_id in (*RecipientClass, *new.recipients):
        raise Invalid(
            "intermediary-mismatch",
            "An intermediary is named by itself, and is not one of its own participants.",
            hint="State the intermediary's own id, and its participants as recipients.",
        )


def _to_whom(new: NewConsent, rule: FormRule, known: Circumstances) -> None:
    """Recipients are registered, or classes that the form may name. No other word is a name."""
    classes = {one for one in new.recipients if one in [*RecipientClass]}
    allowed = CLASSES.get(new.kind, ())
    if not classes <= set(allowed):
        names = ", ".join(allowed) or "none"
        raise Invalid(
            "recipient-not-named",
            "A class of recipients stands on this form that it may not name.",
            hint=f"State each recipient's own id. Classes that this form may name: {names}.",
        )
    unknown = set(new.all_recipients) - classes - set(known.partners)
    if unknown:
        raise Invalid(
            "recipient-unknown",
            "A recipient is neither a registered partner nor a known class.",
            hint="Have the organisation registered (PUT /partners/{id}), or correct `recipients`.",
        )
    if not rule.court_involved:
        return
    if not known.court_involved:
        raise Invalid(
            "person-not-court-involved",
            "A criminal-justice consent is for persons for whom treatment is a condition of a court.",
            hint="Use kind specific, which the person may revoke.",
        )
    if any(known.partners[one].kind is not PartnerKind.COURT for one in new.recipients):
        raise Invalid(
            "recipient-not-a-court",
            "A criminal-justice consent names courts, and who supervises for them.",
            hint="Use kind specific for everybody else.",
        )


def _signers(new: NewConsent, known: Circumstances) -> None:
    """The patient signs, or who acts for somebody without capacity (2.15(a)); of a minor, whom the state's law asks."""
    if new.signed_by == (Signatory.REPRESENTATIVE,) and known.signatures == (Signatory.PATIENT,):
        return
    missing = [one for one in known.signatures if one not in new.signed_by]
    if missing:
        raise Invalid(
            "signature-missing",
            f"The form is not signed by: {', '.join(missing)}.",
            hint="Have it signed by everybody whom the law asks, and state all of them in signed_by.",
        )


def _signed(new: NewConsent, zone: str, now: datetime) -> None:
    """Signed by now, and not in force before it was signed (2.31(a)(9), 2.33)."""
    if new.signed_on > calendar.local_day(now, zone):
        raise Invalid(
            "consent-not-signed", "The signature is in the future.", hint="Check signed_on."
        )
    if calendar.local_day(new.effective_at, zone) < new.signed_on:
        raise Invalid(
            "consent-back-dated",
            "A consent does not hold before the day of its signature.",
            hint="State an effective_at that does not lie before signed_on.",
        )


def _ends(new: NewConsent, state: PersonState, now: datetime) -> None:
    rule = FORMS[new.kind]
    if new.expires_with is not None and new.expires_with not in rule.endings:
        named = new.expires_on is not None or new.expires_with is not ConsentExpiry.NONE
        raise Invalid(
            "ending-not-of-this-form" if named else "consent-without-end",
            "This form of consent does not end in this way.",
            hint=f"State expires_on, or one of: {', '.join(rule.endings)}.",
        )
    if new.expires_on is None and new.expires_with is None:
        raise Invalid(
            "consent-without-end",
            "A consent names the day or the event that ends it.",
            hint="State expires_on or expires_with; only a TPO consent may state none.",
        )
    if rule.ends_with is not None and new.expires_with is not rule.ends_with:
        raise Invalid(
            "consent-without-end",
            "This form of consent ends with an event, whatever day it names.",
            hint=f"State expires_with: {rule.ends_with.value}.",
        )
    if new.expires_on is not None and _over(new.expires_on, state) <= max(now, new.effective_at):
        raise Invalid(
            "consent-already-expired",
            "The consent ends before it begins.",
            hint="Have a new form signed.",
        )
    ends_with_treatment = new.expires_with is ConsentExpiry.END_OF_TREATMENT
    if ends_with_treatment and not any(state.episodes.values()):
        raise Refused(
            "treatment-ended",
            "No episode is open whose end could end this consent.",
            hint="State expires_on.",
        )


def _over(day: date, state: PersonState) -> datetime:
    return calendar.end_of_day(day, state.time_zone)


def _standing(state: PersonState, consent_id: str) -> Consent:
    consent = person_state.consent_of(state, consent_id)
    if consent.ended:
        raise _over_already()
    return consent


def _over_already() -> Refused:
    return Refused(
        "consent-ended", "This consent holds no longer.", hint="There is nothing left to do."
    )
