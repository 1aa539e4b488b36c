"""An episode whose end is taken back: the person's treatment goes on, and what ended with it holds again. Pure.

A consent that was revoked meanwhile stays revoked, and one whose last day has come ends by that day.
"""

from __future__ import annotations

from services.intake.handoffs import EpisodeReopened
from services.intake.person.person_state import PersonState, treatment_goes_on
from shared.decision import Cause, Decision


def episode_reopened(
    state: PersonState, body: EpisodeReopened, _cause: Cause
) -> Decision[PersonState]:
    """Treatment has not ended: what was to end with it is not armed any more, and what has ended holds again."""
    if body.episode_id not in state.episodes:
        return Decision(state)
    state = state.replace(episodes={**state.episodes, body.episode_id: True})
    return Decision(*treatment_goes_on(state, expired_too=True))
