"""A person, as far as every service may know one: an opaque id, their episodes, and what they allowed.

Pure: no clock, no ids, no I/O. Names and contacts are in `identity.py`, in a record of their own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from services.intake.handoffs import EpisodeEnded, EpisodeJoined, EpisodeLeft, EpisodeOpened
from services.intake.person.accounting import Disclosure
from services.intake.person.may_disclose import Consent
from shared import calendar
from shared.contracts import intake
from shared.contracts.intake import ConsentExpiry
from shared.decision import Cause, Decision, Events, State
from shared.errors import Unknown

EXPIRY: Final = "consent-expiry"


class PersonState(State):
    """What intake knows of one person: no name, only episodes, consents, and what is on its way to somebody."""

    episodes: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Episodes by id, and whether each is open."""
    left: tuple[str, ...] = ()
    """Episodes that were written down as this person's and are another's."""
    time_zone: str = "UTC"
    """The time zone of the facility, as the latest consent or episode named it: in it days end."""
    programs: dict[str, str] = Field(default_factory=dict[str, str])
    """Programs by episode: of those that are or were admitted, or were granted to be."""
    places: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Open episodes by program; the first of them has the person's one place there. See `places.py`."""
    consents: dict[str, Consent] = Field(default_factory=dict[str, Consent])
    on_the_way: dict[str, Disclosure] = Field(default_factory=dict[str, Disclosure])
    """What was allowed and whose sender has not said yet what became of it, by its id."""
    reported: dict[str, str] = Field(default_factory=dict[str, str])
    """Deliveries allowed and reported, and what was recorded afterwards: a digest of each, the latest last."""
    undone: tuple[str, ...] = ()
    """Entries of the accounting that were marked as mistakes."""

    @property
    def heard_of(self) -> bool:
        """Somebody was referred under this id."""
        return bool(self.episodes or self.left)


def known(state: PersonState) -> None:
    """Raise unless somebody was referred under this id."""
    if not state.heard_of:
        raise Unknown("person")


def consent_of(state: PersonState, consent_id: str) -> Consent:
    """The consent of this id; raises when the person has none."""
    known(state)
    consent = state.consents.get(consent_id)
    if consent is None:
        raise Unknown("consent")
    return consent


def with_consent(state: PersonState, consent_id: str, consent: Consent) -> PersonState:
    """This person with a consent added or replaced."""
    return state.replace(consents={**state.consents, consent_id: consent})


# --- what episodes leave for their person ---------------------------------------------------------------


def episode_opened(state: PersonState, body: EpisodeOpened, _cause: Cause) -> Decision[PersonState]:
    """There is a further episode: what would have ended with treatment goes on with it."""
    episodes = {**state.episodes, body.episode_id: True}
    state, _ = treatment_goes_on(state.replace(episodes=episodes, time_zone=body.time_zone))
    return Decision(state)


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
    """The episode is this person's. What it was allowed under somebody else's consent is not allowed any more.

    Where it had been theirs before, their treatment never ended: what ended only because it seemed to holds again.
    """
    returned = body.episode_id in state.left
    left = tuple(key for key in state.left if key != body.episode_id)
    admitted = {} if body.program is None else {body.episode_id: body.program}
    state = state.replace(
        episodes={**state.episodes, body.episode_id: body.open},
        left=left,
        programs={**state.programs, **admitted},
    )
    if not body.open:
        return Decision(state)
    return Decision(*treatment_goes_on(state, expired_too=returned))


def _after_treatment(state: PersonState, ended_at: datetime) -> PersonState:
    """When no episode is open, what ends with treatment has until the end of that day of the facility."""
    if any(state.episodes.values()):
        return state
    at = calendar.end_of_day(calendar.local_day(ended_at, state.time_zone), state.time_zone)
    for consent_id, consent in state.consents.items():
        if consent.expires_with is not ConsentExpiry.END_OF_TREATMENT or _is_over(consent):
            continue
        ends_at = at if consent.ends_at is None else min(at, consent.ends_at)
        state = _with_end(state, consent_id, consent.replace(ends_at=ends_at))
    return state


def treatment_goes_on(
    state: PersonState, *, expired_too: bool = False
) -> tuple[PersonState, Events]:
    """Whatever would have ended with treatment holds on; what has ended with it already, where that was a mistake."""
    events: Events = ()
    for consent_id, consent in state.consents.items():
        if consent.ends_at is None or consent.undone_at is not None:
            continue
        if consent.expired_at is None:
            state = _with_end(state, consent_id, consent.replace(ends_at=None))
        elif consent.revoked_at is not None:
            continue
        elif expired_too and consent.expired_at == consent.ends_at:
            holding = consent.replace(ends_at=None, expired_at=None)
            state = arm_expiry(state, consent_id, holding)
            events = (*events, _undone(consent_id, consent))
    return state, events


def _is_over(consent: Consent) -> bool:
    """Nothing brings it back. One that was revoked comes back when the revocation was a mistake."""
    return consent.expired_at is not None or consent.undone_at is not None


def _with_end(state: PersonState, consent_id: str, consent: Consent) -> PersonState:
    """A consent that is revoked waits for no end, and knows it all the same."""
    if consent.revoked_at is not None:
        return with_consent(state, consent_id, consent)
    return arm_expiry(state, consent_id, consent)


def _undone(consent_id: str, consent: Consent) -> intake.ConsentExpiryUndone:
    return intake.ConsentExpiryUndone(
        consent_id=consent_id,
        recipients=consent.all_recipients,
        categories=consent.categories,
        effective_at=consent.effective_at,
        expires_on=consent.expires_on,
    )


def arm_expiry(state: PersonState, consent_id: str, consent: Consent) -> PersonState:
    """This person with a consent, and with the deadline at which its day or its treatment ends it, if either does."""
    day = consent.expires_on
    last = None if day is None else calendar.end_of_day(day, state.time_zone)
    ends = [at for at in (last, consent.ends_at) if at is not None]
    name = f"{EXPIRY}:{consent_id}"
    state = with_consent(state, consent_id, consent).disarm(name)
    return state.arm(name, min(ends)) if ends else state
