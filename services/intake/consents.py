"""Consents: what a person allowed, from when, until when. The person's record; every disclosure starts here.

Requirements of form follow 42 CFR 2.31 and 2.35 as the domain reference, section 4, reports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from pydantic import Field

from services.intake.domain import EpisodeEnded, EpisodeOpened, ReliedOn
from shared.contracts import intake
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
)
from shared.decision import Cause, Decision, State
from shared.errors import Invalid, Refused, Unknown

EXPIRY: Final = "consent-expiry"
CLOCKS_APART: Final = timedelta(days=1)
"""Where the form was signed it may be tomorrow already."""
ENDING_EVENTS: Final = (ConsentExpiry.END_OF_TREATMENT, ConsentExpiry.FINAL_DISPOSITION)


class NewConsent(Value):
    """What the signed form says."""

    kind: ConsentKind
    recipients: tuple[str, ...]
    categories: tuple[InformationCategory, ...]
    purpose: ConsentPurpose
    effective_at: datetime
    expires_on: date | None
    expires_with: ConsentExpiry | None
    signed_on: date
    document_sha256: str


class Consent(NewConsent):
    """A consent. It holds from `effective_at` until it is revoked or has expired."""

    relied_on: bool = False
    revoked_at: datetime | None = None
    expired_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """It was revoked, or has expired."""
        return self.revoked_at is not None or self.expired_at is not None

    def allows(self, recipient: str, now: datetime) -> bool:
        """Something may be disclosed to this recipient now."""
        within = self.effective_at <= now and (
            self.expires_on is None or now < end_of_day(self.expires_on)
        )
        return not self.ended and within and recipient in self.recipients


class PersonState(State):
    """What intake knows of one person: no name, only episodes and consents."""

    episodes: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Episodes by id, and whether each is open."""
    consents: dict[str, Consent] = Field(default_factory=dict[str, Consent])


def end_of_day(day: date) -> datetime:
    """The instant at which this day is over, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(0, 0), UTC)


# --- commands -------------------------------------------------------------------------------------------


def grant(state: PersonState, new: NewConsent, cause: Cause) -> Decision[PersonState]:
    """Record a signed consent. It names its end: a day, or an event."""
    _known(state)
    _well_formed(new, state, cause.now)
    consent_id = cause.derive_id("consent")
    event = intake.ConsentGranted(consent_id=consent_id, **new.model_dump(exclude={"signed_on"}))
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
            way_out="It ends by the day or the event that it names.",
        )
    event = intake.ConsentRevoked(
        consent_id=consent_id, revoked_at=cause.now, in_reliance=consent.relied_on
    )
    state = _with(state, consent_id, consent.model_copy(update={"revoked_at": cause.now}))
    return Decision(state.disarm(f"{EXPIRY}:{consent_id}"), (event,))


def expire(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    """The event that a consent names as its end has come."""
    if _standing(state, consent_id).expires_with not in ENDING_EVENTS:
        raise Refused(
            "consent-names-no-event",
            "This consent does not end by an event.",
            way_out="It ends by its day; the person may also revoke it.",
        )
    return _expired(state.disarm(f"{EXPIRY}:{consent_id}"), consent_id, cause)


# --- what episodes leave for their person ---------------------------------------------------------------


def episode_opened(state: PersonState, body: EpisodeOpened, _cause: Cause) -> Decision[PersonState]:
    """There is a further episode."""
    return Decision(state.but(episodes={**state.episodes, body.episode_id: True}))


def episode_ended(state: PersonState, body: EpisodeEnded, _cause: Cause) -> Decision[PersonState]:
    """With the last open episode, treatment ends; what ends with it lasts until that day is over."""
    state = state.but(episodes={**state.episodes, body.episode_id: False})
    if any(state.episodes.values()):
        return Decision(state)
    at = end_of_day(body.ended_at.astimezone(UTC).date())
    for consent_id, consent in state.consents.items():
        if consent.expires_with is ConsentExpiry.END_OF_TREATMENT and not consent.ended:
            name = f"{EXPIRY}:{consent_id}"
            state = state.arm(name, min(at, state.deadlines.get(name, at)))
    return Decision(state)


def relied_on(state: PersonState, body: ReliedOn, _cause: Cause) -> Decision[PersonState]:
    """Something was disclosed under this consent."""
    consent = state.consents.get(body.consent_id)
    if consent is None:
        return Decision(state)
    return Decision(_with(state, body.consent_id, consent.model_copy(update={"relied_on": True})))


# --- deadlines ------------------------------------------------------------------------------------------


def on_deadline(state: PersonState, name: str, cause: Cause) -> Decision[PersonState]:
    """A consent has come to its end."""
    kind, _, consent_id = name.partition(":")
    if kind != EXPIRY:
        raise ValueError(f"unknown deadline {kind}")
    return _expired(state, consent_id, cause)


def permits(
    consents: Mapping[str, Consent], consent_id: str, recipient: str, now: datetime
) -> bool:
    """This consent of the person allows telling this recipient now."""
    consent = consents.get(consent_id)
    return consent is not None and consent.allows(recipient, now)


def _well_formed(new: NewConsent, state: PersonState, now: datetime) -> None:
    no_event = new.expires_with in (None, ConsentExpiry.NONE)
    endless_kind = new.kind is ConsentKind.TPO and new.expires_with is ConsentExpiry.NONE
    if new.expires_on is None and no_event and not endless_kind:
        raise Invalid(
            "consent-without-end",
            "A consent names the day or the event that ends it.",
            way_out="State expires_on or expires_with; only a TPO consent may state none.",
        )
    if new.expires_on is not None and end_of_day(new.expires_on) <= max(now, new.effective_at):
        raise Invalid(
            "consent-already-expired",
            "The consent ends before it begins.",
            way_out="Have a new form signed.",
        )
    if new.signed_on > (now + CLOCKS_APART).date():
        raise Invalid(
            "consent-not-signed", "The signature is in the future.", way_out="Check the day."
        )
    ends_with_treatment = new.expires_with is ConsentExpiry.END_OF_TREATMENT
    if ends_with_treatment and not any(state.episodes.values()):
        raise Refused(
            "treatment-ended",
            "No episode is open whose end could end this consent.",
            way_out="State expires_on.",
        )


def _known(state: PersonState) -> None:
    if not state.episodes:
        raise Unknown("person")


def _standing(state: PersonState, consent_id: str) -> Consent:
    _known(state)
    consent = state.consents.get(consent_id)
    if consent is None:
        raise Unknown("consent")
    if consent.ended:
        raise Refused(
            "consent-ended", "This consent holds no longer.", way_out="There is nothing left to do."
        )
    return consent


def _expired(state: PersonState, consent_id: str, cause: Cause) -> Decision[PersonState]:
    consent = state.consents[consent_id]
    event = intake.ConsentExpired(
        consent_id=consent_id, expired_at=cause.now, in_reliance=consent.relied_on
    )
    expired = consent.model_copy(update={"expired_at": cause.now})
    return Decision(_with(state, consent_id, expired), (event,))


def _with(state: PersonState, consent_id: str, consent: Consent) -> PersonState:
    return state.but(consents={**state.consents, consent_id: consent})
