"""A person, as far as every service may know one: an opaque id, their episodes, and what they allowed.

Pure: no clock, no ids, no I/O. Names and contacts are in `identity.py`, in a record of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from pydantic import Field

from services.intake.handoffs import EpisodeEnded, EpisodeJoined, EpisodeLeft, EpisodeOpened
from shared.contracts.codes import Value
from shared.contracts.intake import (
    ConsentExpiry,
    ConsentKind,
    ConsentPurpose,
    InformationCategory,
)
from shared.decision import Cause, Decision, State
from shared.errors import Unknown

EXPIRY: Final = "consent-expiry"
RECIPIENT_CLASSES: Final = ("treating-providers", "payers", "operations-contractors")
"""Recipients that a form may name as a class. 42 CFR 2.31(a)(4): for treatment, payment and operations only."""
TPO_PURPOSES: Final = (
    ConsentPurpose.TREATMENT,
    ConsentPurpose.PAYMENT,
    ConsentPurpose.OPERATIONS,
)


class Statement(StrEnum):
    """What the form informs the person of before they sign."""

    RIGHT_TO_REVOKE = "right_to_revoke"
    REDISCLOSURE = "redisclosure"
    CONSEQUENCES_OF_REFUSAL = "consequences_of_refusal"


class Signatory(StrEnum):
    """Who signed."""

    PATIENT = "patient"
    GUARDIAN = "guardian"
    REPRESENTATIVE = "representative"


class NewConsent(Value):
    """What the signed form contains: every element of 42 CFR 2.31(a), beside the patient, whose record this is."""

    kind: ConsentKind
    discloser_id: str = ""
    """Who may disclose: a facility."""
    recipients: tuple[str, ...]
    """Who may receive; of an intermediary's consent, its participants."""
    intermediary_id: str | None = None
    categories: tuple[InformationCategory, ...]
    purpose: ConsentPurpose
    effective_at: datetime
    expires_on: date | None
    expires_with: ConsentExpiry | None
    statements: tuple[Statement, ...] = ()
    signed_by: Signatory = Signatory.PATIENT
    signed_on: date
    document_sha256: str

    @property
    def all_recipients(self) -> tuple[str, ...]:
        """Every permitted recipient, an intermediary first."""
        return (
            *(() if self.intermediary_id is None else (self.intermediary_id,)),
            *self.recipients,
        )


class Consent(NewConsent):
    """A consent. It holds from `effective_at` until it is revoked or has expired."""

    relied_on: bool = False
    revoked_at: datetime | None = None
    expired_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """It was revoked, or has expired."""
        return self.revoked_at is not None or self.expired_at is not None

    def holds(self, now: datetime) -> bool:
        """At this moment it has begun and has not ended, whether or not its end has been noticed yet."""
        within = self.effective_at <= now and (
            self.expires_on is None or now < end_of_day(self.expires_on)
        )
        over = min(
            (at for at in (self.revoked_at, self.expired_at) if at is not None), default=None
        )
        return within and (over is None or now < over)

    def allows(self, recipient: str, now: datetime) -> bool:
        """Something may be disclosed to this recipient now."""
        return self.holds(now) and recipient in self.all_recipients

    def serves(self, purpose: ConsentPurpose) -> bool:
        """It was given for this purpose. One consent for treatment, payment and operations serves all three."""
        return purpose is self.purpose or (
            self.kind is ConsentKind.TPO
            and purpose in TPO_PURPOSES
            and self.purpose in TPO_PURPOSES
        )


class PersonState(State):
    """What intake knows of one person: no name, only episodes and consents."""

    episodes: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Episodes by id, and whether each is open."""
    left: tuple[str, ...] = ()
    """Episodes that were written down as this person's and are another's."""
    programs: dict[str, str] = Field(default_factory=dict[str, str])
    """Programs by episode: of those that are or were admitted, or were granted to be."""
    places: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Open episodes by program; the first of them has the person's one place there. See `places.py`."""
    consents: dict[str, Consent] = Field(default_factory=dict[str, Consent])

    @property
    def heard_of(self) -> bool:
        """Somebody was referred under this id."""
        return bool(self.episodes or self.left)

    def end_noticed(self, consent_id: str, now: datetime) -> bool:
        """A deadline of this consent has come, even if it has not been acted upon."""
        at = self.deadlines.get(f"{EXPIRY}:{consent_id}")
        return at is not None and at <= now


class Asked(Value):
    """What somebody wants to disclose: to whom, what, what for."""

    recipient_id: str
    recipient_class: str | None = None
    """The class that the recipient is known to belong to, where a consent may name one."""
    category: InformationCategory
    purpose: ConsentPurpose


def end_of_day(day: date) -> datetime:
    """The instant at which this day is over, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(0, 0), UTC)


def known(state: PersonState) -> None:
    """Raise unless somebody was referred under this id."""
    if not state.heard_of:
        raise Unknown("person")


def permitted_by(state: PersonState, asked: Asked, now: datetime) -> str | None:
    """The consent that allows this now, by its id; None when the disclosure is not permitted.

    Fails closed: recipient, category and purpose must all be on one consent that holds. The one with the narrowest
    form comes first, so that a general consent is not relied upon where a specific one was given.
    """
    found = [
        (held.kind is ConsentKind.TPO, consent_id)
        for consent_id, held in state.consents.items()
        if held.holds(now)
        and not state.end_noticed(consent_id, now)
        and _names(held, asked)
        and asked.category in held.categories
        and held.serves(asked.purpose)
    ]
    return min(found)[1] if found else None


def permits(
    consents: Mapping[str, Consent], consent_id: str, recipient: str, now: datetime
) -> bool:
    """Whether this consent of the person allows the disclosure to this recipient now."""
    consent = consents.get(consent_id)
    return consent is not None and consent.allows(recipient, now)


def _names(held: Consent, asked: Asked) -> bool:
    by_class = asked.recipient_class in RECIPIENT_CLASSES
    named = (
        asked.recipient_id not in RECIPIENT_CLASSES and asked.recipient_id in held.all_recipients
    )
    return named or (by_class and asked.recipient_class in held.recipients)


# --- what episodes leave for their person ---------------------------------------------------------------


def episode_opened(state: PersonState, body: EpisodeOpened, _cause: Cause) -> Decision[PersonState]:
    """There is a further episode."""
    return Decision(state.replace(episodes={**state.episodes, body.episode_id: True}))


def episode_ended(state: PersonState, body: EpisodeEnded, _cause: Cause) -> Decision[PersonState]:
    """With the last open episode, treatment ends; what ends with it lasts until that day is over."""
    if body.episode_id in state.left:
        return Decision(state)
    episodes = {**state.episodes, body.episode_id: False}
    return Decision(_after_treatment(state.replace(episodes=episodes), body.ended_at))


def episode_left(state: PersonState, body: EpisodeLeft, _cause: Cause) -> Decision[PersonState]:
    """The episode was never this person's. Consents stay: they are the person's own, and do not go along."""
    episodes = {key: is_open for key, is_open in state.episodes.items() if key != body.episode_id}
    left = (*(key for key in state.left if key != body.episode_id), body.episode_id)
    programs = {key: program for key, program in state.programs.items() if key != body.episode_id}
    state = state.replace(episodes=episodes, left=left, programs=programs)
    return Decision(_after_treatment(state, body.left_at))


def episode_joined(state: PersonState, body: EpisodeJoined, _cause: Cause) -> Decision[PersonState]:
    """The episode is this person's. What it was allowed under somebody else's consent is not allowed any more."""
    left = tuple(key for key in state.left if key != body.episode_id)
    admitted = {} if body.program is None else {body.episode_id: body.program}
    return Decision(
        state.replace(
            episodes={**state.episodes, body.episode_id: body.open},
            left=left,
            programs={**state.programs, **admitted},
        )
    )


def _after_treatment(state: PersonState, ended_at: datetime) -> PersonState:
    """When no episode is open, what ends with treatment has until the end of that day."""
    if any(state.episodes.values()):
        return state
    at = end_of_day(ended_at.astimezone(UTC).date())
    for consent_id, consent in state.consents.items():
        if consent.expires_with is ConsentExpiry.END_OF_TREATMENT and not consent.ended:
            name = f"{EXPIRY}:{consent_id}"
            state = state.arm(name, min(at, state.deadlines.get(name, at)))
    return state
