"""An episode whose end is taken back: the person's treatment goes on, and what ended with it holds again. Pure.

A consent that was revoked meanwhile stays revoked, and one whose last day has come ends by that day.
"""

from __future__ import annotations

from services.intake.handoffs import EpisodeReopened
from services.intake.person.person_state import EXPIRY, Consent, PersonState, end_of_day
from shared.contracts import intake
from shared.contracts.intake import ConsentExpiry
from shared.decision import Cause, Decision, Events


def episode_reopened(
    state: PersonState, body: EpisodeReopened, _cause: Cause
) -> Decision[PersonState]:
    """Treatment has not ended: what was to end with it is not armed any more, and what has ended holds again."""
    if body.episode_id not in state.episodes:
        return Decision(state)
    state = state.replace(episodes={**state.episodes, body.episode_id: True})
    events: Events = ()
    for consent_id, consent in state.consents.items():
        if consent.expires_with is not ConsentExpiry.END_OF_TREATMENT or consent.revoked_at:
            continue
        if consent.expired_at is not None:
            if consent.expired_at < body.ended_at:
                continue
            holds = consent.replace(expired_at=None)
            state = state.replace(consents={**state.consents, consent_id: holds})
            events += (_undone(consent_id, consent),)
        state = state.disarm(f"{EXPIRY}:{consent_id}")
        if consent.expires_on is not None:
            state = state.arm(f"{EXPIRY}:{consent_id}", end_of_day(consent.expires_on))
    return Decision(state, events)


def _undone(consent_id: str, consent: Consent) -> intake.ConsentExpiryUndone:
    return intake.ConsentExpiryUndone(
        consent_id=consent_id,
        recipients=consent.all_recipients,
        categories=consent.categories,
        effective_at=consent.effective_at,
        expires_on=consent.expires_on,
    )
