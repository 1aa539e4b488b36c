"""Consents: what a person allowed, from when, until when. The person's record; every disclosure starts here.

Requirements of form follow 42 CFR 2.31 and 2.35; see docs/domain.md 4.2 (Consent).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from services.intake.handoffs import ReliedOn
from services.intake.person import person_state
from services.intake.person.person_state import (
    EXPIRY,
    RECIPIENT_CLASSES,
    TPO_PURPOSES,
    Consent,
    NewConsent,
    PersonState,
    Statement,
    end_of_day,
)
from shared.contracts import intake
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused, Unknown

CLOCKS_APART: Final = timedelta(days=1)
"""Where the form was signed it may be tomorrow already."""
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
    classes: bool = False
    """A recipient may be named as a class."""
    statements: tuple[Statement, ...] = (Statement.RIGHT_TO_REVOKE,)
    notes: bool = False
    """It is about counseling notes, and about nothing else; every other form is about anything else."""
    intermediary: bool = False
    """It names an intermediary beside its participants; no other form does."""


FORMS: Final[Mapping[ConsentKind, FormRule]] = {
    # 2.31(a)(4)-(7), (c): one consent for all treatment, payment and operations; a class and no end will do.
    ConsentKind.TPO: FormRule(
        purposes=TPO_PURPOSES,
        endings=(ConsentExpiry.NONE, ConsentExpiry.END_OF_TREATMENT),
        classes=True,
        statements=(*Statement,),
    ),
    # 2.31(a): a named recipient, and a day or an event.
    ConsentKind.SPECIFIC: FormRule(),
    # 2.35: who monitors a person for whom treatment is a condition; ends at the latest with the case. It is not
    # revocable before, and its form states that in place of the right to revoke.
    ConsentKind.CRIMINAL_JUSTICE: FormRule(
        purposes=(ConsentPurpose.MONITORING,),
        endings=(ConsentExpiry.FINAL_DISPOSITION,),
        statements=(),
    ),
    # 2.31(a)(4)(ii): the intermediary by name, with its participants by name or as the class of treating providers.
    ConsentKind.INTERMEDIARY: FormRule(classes=True, intermediary=True),
    # 2.31(b): counseling notes have a form of their own.
    ConsentKind.NOTES: FormRule(notes=True),
    # 2.31(d): so have proceedings against the person.
    ConsentKind.LEGAL: FormRule(purposes=(ConsentPurpose.LEGAL_PROCEEDINGS,)),
}


# --- commands -------------------------------------------------------------------------------------------


def grant(state: PersonState, new: NewConsent, cause: Cause) -> Decision[PersonState]:
    """Record a signed consent. It contains all that 42 CFR 2.31 asks for, and names its end: a day, or an event."""
    person_state.known(state)
    _complete(new)
    _of_its_form(new, FORMS[new.kind])
    _in_time(new, state, cause.now)
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
    state = _with(state, consent_id, Consent(**dict(new)))
    if new.expires_on is not None:
        state = state.arm(f"{EXPIRY}:{consent_id}", end_of_day(new.expires_on))
    return Decision(state, (event,), answer={"consent_id": consent_id})


def revoke(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    """The person takes a consent back. It stops the future and recalls nothing."""
    consent = _standing(state, consent_id)
    if consent.kind is ConsentKind.CRIMINAL_JUSTICE:
        raise Refused(
            "consent-irrevocable",
            "A criminal-justice consent can't be revoked before its end.",
            hint="It ends by the day or the event that it names.",
        )
    event = intake.ConsentRevoked(
        consent_id=consent_id, revoked_at=cause.now, in_reliance=consent.relied_on
    )
    state = _with(state, consent_id, consent.replace(revoked_at=cause.now))
    return Decision(state.disarm(f"{EXPIRY}:{consent_id}"), (event,))


def expire(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    """The event that a consent names as its end has come."""
    if _standing(state, consent_id).expires_with not in ENDING_EVENTS:
        raise Refused(
            "consent-names-no-event",
            "This consent does not end by an event.",
            hint="It ends by its day; the person may also revoke it.",
        )
    return expired(state.disarm(f"{EXPIRY}:{consent_id}"), consent_id, cause)


def relied_on(state: PersonState, body: ReliedOn, _cause: Cause) -> Decision[PersonState]:
    """Something was disclosed under this consent."""
    consent = state.consents.get(body.consent_id)
    if consent is None:
        return Decision(state)
    return Decision(_with(state, body.consent_id, consent.replace(relied_on=True)))


def expired(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    """The consent has come to its end, by its day or by the event that it names."""
    consent = state.consents[consent_id]
    event = intake.ConsentExpired(
        consent_id=consent_id, expired_at=cause.now, in_reliance=consent.relied_on
    )
    return Decision(_with(state, consent_id, consent.replace(expired_at=cause.now)), (event,))


# --- may this be disclosed? -----------------------------------------------------------------------------


def check(state: PersonState, asked: person_state.Asked, now: datetime) -> dict[str, Any]:
    """Whether something may be disclosed to somebody for a purpose now, and by which consent. In doubt: no."""
    person_state.known(state)
    consent_id = person_state.permitted_by(state, asked, now)
    return {
        "allowed": consent_id is not None,
        "consent_id": consent_id,
        "code": "consent-holds" if consent_id else "consent-missing",
        "as_of": now.isoformat(),
    }


# --- what a form must be --------------------------------------------------------------------------------


def _complete(new: NewConsent) -> None:
    """42 CFR 2.31(a)(1)-(9): what every form contains, whatever its kind. The patient is whose record this is."""
    missing = [
        *(["discloser_id"] if not new.discloser_id else []),
        *(
            statement.value
            for statement in FORMS[new.kind].statements
            if statement not in new.statements
        ),
    ]
    if missing:
        raise Invalid(
            "consent-incomplete",
            f"The form does not say: {', '.join(missing)}.",
            hint="State discloser_id, and in `statements` what the form tells the person before they sign.",
        )


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
    if new.intermediary_id in (*RECIPIENT_CLASSES, *new.recipients):
        raise Invalid(
            "intermediary-mismatch",
            "An intermediary is named by itself, and is not one of its own participants.",
            hint="State the intermediary's own id, and its participants as recipients.",
        )
    classes = set(new.recipients) & set(RECIPIENT_CLASSES)
    if classes and (not rule.classes or (rule.intermediary and classes != {"treating-providers"})):
        raise Invalid(
            "recipient-not-named",
            "This form of consent names its recipients, and no class of them.",
            hint="State each recipient's own id.",
        )


def _in_time(new: NewConsent, state: PersonState, now: datetime) -> None:
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
    if new.expires_on is not None and end_of_day(new.expires_on) <= max(now, new.effective_at):
        raise Invalid(
            "consent-already-expired",
            "The consent ends before it begins.",
            hint="Have a new form signed.",
        )
    if new.signed_on > (now + CLOCKS_APART).date():
        raise Invalid(
            "consent-not-signed", "The signature is in the future.", hint="Check the day."
        )
    ends_with_treatment = new.expires_with is ConsentExpiry.END_OF_TREATMENT
    if ends_with_treatment and not any(state.episodes.values()):
        raise Refused(
            "treatment-ended",
            "No episode is open whose end could end this consent.",
            hint="State expires_on.",
        )


def _standing(state: PersonState, consent_id: str) -> Consent:
    person_state.known(state)
    consent = state.consents.get(consent_id)
    if consent is None:
        raise Unknown("consent")
    if consent.ended:
        raise Refused(
            "consent-ended", "This consent holds no longer.", hint="There is nothing left to do."
        )
    return consent


def _with(state: PersonState, consent_id: str, consent: Consent) -> PersonState:
    return state.replace(consents={**state.consents, consent_id: consent})
