"""Consents and revocations that were recorded by mistake. Pure: no clock, no ids, no I/O.

Nothing is recalled: what was disclosed stays in the accounting, and under a consent that was none somebody looks at it.
A revocation is taken back for what comes: while it was on record nothing was allowed. docs/domain.md 4.2 (Consent).
"""

from __future__ import annotations

from services.intake.person.accounting import RevokedBefore
from services.intake.person.disclosures import accounted
from services.intake.person.may_disclose import Consent
from services.intake.person.person_state import (
    EXPIRY,
    PersonState,
    arm_expiry,
    consent_of,
    with_consent,
)
from shared import calendar
from shared.contracts import intake
from shared.contracts.intake import MistakeReason
from shared.decision import Cause, Decision
from shared.errors import Refused


def undo(
    state: PersonState, consent_id: str, reason: MistakeReason, cause: Cause
) -> Decision[PersonState]:
    """This person never gave this consent: it allows nothing, and what was made under it is looked at.

    One that has ended may be a mistake all the same. What was only allowed under it is looked at once it is made.
    """
    consent = _given(state, consent_id)
    ended_at = min(consent.ends, default=None)
    event = intake.ConsentUndone(
        consent_id=consent_id, in_reliance=consent.relied_on, reason=reason
    )
    marked = consent.replace(undone_at=cause.now, undone_for=reason)
    began = calendar.midnight(consent.signed_on, state.time_zone)
    state = with_consent(state, consent_id, marked).disarm(f"{EXPIRY}:{consent_id}")
    look = RevokedBefore(consent_id=consent_id, revoked_at=began, until=ended_at)
    handoffs = (accounted(look, cause),) if consent.relied_on else ()
    return Decision(state, (event,), handoffs)


def undo_revocation(
    state: PersonState, consent_id: str, reason: MistakeReason, cause: Cause
) -> Decision[PersonState]:
    """The person did not take the consent back: from now on it holds again, until one of its ends comes.

    An earlier word on the revocation holds again instead. An end that has come meanwhile ends it at once.
    """
    consent = _given(state, consent_id)
    if consent.revoked_at is None:
        raise Refused(
            "consent-not-revoked",
            "No revocation of this consent is on record.",
            hint="There is nothing to take back; a consent that has expired needs a new form.",
        )
    if any(
        not other.ended and other.form == consent.form
        for key, other in state.consents.items()
        if key != consent_id
    ):
        raise Refused(
            "consent-granted-anew",
            "The same form was recorded again since, and holds.",
            hint="Rely on the later record; a second one would outlast its revocation.",
        )
    event = intake.ConsentRevocationUndone(
        consent_id=consent_id, revoked_at=consent.revoked_at, reason=reason
    )
    again = _earlier_word(consent.with_revocation_aside(cause.now, reason))
    if again.ended:
        return Decision(with_consent(state, consent_id, again), (event,))
    return Decision(arm_expiry(state, consent_id, again), (event,))


def _earlier_word(consent: Consent) -> Consent:
    """The consent with the last of the earlier words on its revocation that was no mistake, if there is one."""
    standing = [one for one in consent.revocations if one.undone_at is None]
    if not standing:
        return consent
    last = standing[-1]
    return consent.replace(
        revocations=tuple(one for one in consent.revocations if one is not last),
        revoked_at=last.revoked_at,
        revoked_by=last.revoked_by,
        revocation_recorded_at=last.recorded_at,
    )


def _given(state: PersonState, consent_id: str) -> Consent:
    consent = consent_of(state, consent_id)
    if consent.undone_at is not None:
        raise Refused(
            "consent-undone",
            "This consent is marked as a mistake already.",
            hint="If the form was signed after all, record it: POST /consents.",
        )
    return consent
