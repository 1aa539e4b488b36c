"""Consents, as far as a hand-over needs one: one record per person, from intake's events.

42 CFR 2.31: a disclosure needs a consent that names who may receive it, while it holds. It is asked at the moment of
the hand-over, not when the consent was given.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, Field

from shared.contracts import intake
from shared.contracts.codes import Day, Value
from shared.decision import Cause, Decision, State


class Consent(Value):
    """Who may receive, from when to when."""

    recipients: tuple[str, ...]
    effective_at: AwareDatetime
    expires_on: Day | None = None

    def covers(self, recipient_id: str, now: datetime) -> bool:
        """Whether it names this recipient and holds now. The last day counts wherever it is still that day."""
        begun = self.effective_at <= now
        over = self.expires_on is not None and now.date() > self.expires_on
        return recipient_id in self.recipients and begun and not over


class PersonState(State):
    """What plans knows of a person: their consents that hold, by id."""

    consents: dict[str, Consent] = Field(default_factory=dict[str, Consent])

    def allows(self, consent_id: str, recipient_id: str, now: datetime) -> bool:
        """Whether this consent lets this recipient know, now."""
        consent = self.consents.get(consent_id)
        return consent is not None and consent.covers(recipient_id, now)


def granted(
    state: PersonState, event: intake.ConsentGranted, _cause: Cause
) -> Decision[PersonState]:
    """The person allowed a disclosure."""
    return _holds(state, event)


def holds_again(
    state: PersonState, event: intake.ConsentExpiryUndone, _cause: Cause
) -> Decision[PersonState]:
    """What ended it is taken back."""
    return _holds(state, event)


def _holds(
    state: PersonState, event: intake.ConsentGranted | intake.ConsentExpiryUndone
) -> Decision[PersonState]:
    consent = Consent(
        recipients=event.recipients,
        effective_at=event.effective_at,
        expires_on=event.expires_on,
    )
    return Decision(state.replace(consents={**state.consents, event.consent_id: consent}))


def revoked(
    state: PersonState, event: intake.ConsentRevoked, _cause: Cause
) -> Decision[PersonState]:
    """The person took it back: from now on it covers nothing."""
    return Decision(_without(state, event.consent_id))


def expired(
    state: PersonState, event: intake.ConsentExpired, _cause: Cause
) -> Decision[PersonState]:
    """Its day or its event has come."""
    return Decision(_without(state, event.consent_id))


def _without(state: PersonState, consent_id: str) -> PersonState:
    return state.replace(consents={k: c for k, c in state.consents.items() if k != consent_id})
