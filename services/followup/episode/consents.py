"""A person's consents, as far as aftercare rests on them: the partners to which it may be disclosed. Pure.

Consents belong to the person, so they have a record of their own, which hands them to the person's episodes. Whether
something may be sent is decided anew by partners, each time. No clock, no ids, no I/O.
"""

from __future__ import annotations

from typing import Final

from services.followup.episode.episode_state import EpisodeState
from shared.contracts import intake
from shared.contracts.intake import InformationCategory
from shared.decision import Cause, Decision, Handoff, HandoffBody, Handoffs, State

CONSENTS_MAX: Final = 200


class PersonState(State):
    """What followup knows of one person: no more than what holds, and for which episodes."""

    consents: tuple[str, ...] = ()
    """Consents in force that cover aftercare, the latest last."""
    episodes: tuple[str, ...] = ()


class Joined(HandoffBody):
    """To a person: this episode is theirs."""

    episode_id: str


class Left(HandoffBody):
    """To a person: this episode is somebody else's after all."""

    episode_id: str


class Holding(HandoffBody):
    """To an episode: these consents hold now."""

    person_id: str
    consent_ids: tuple[str, ...]


def granted(
    state: PersonState, event: intake.ConsentGranted | intake.ConsentExpiryUndone, cause: Cause
) -> Decision[PersonState]:
    """A consent that covers aftercare counts from now on, or again."""
    if InformationCategory.AFTERCARE not in event.categories:
        return Decision(state)
    consents = (*_without(state.consents, event.consent_id), event.consent_id)
    return _inform_episodes(state.replace(consents=consents[-CONSENTS_MAX:]), cause)


def ended(
    state: PersonState, event: intake.ConsentRevoked | intake.ConsentExpired, cause: Cause
) -> Decision[PersonState]:
    """Nothing may rest on it any more."""
    if event.consent_id not in state.consents:
        return Decision(state)
    return _inform_episodes(
        state.replace(consents=_without(state.consents, event.consent_id)), cause
    )


def joined(state: PersonState, body: Joined, cause: Cause) -> Decision[PersonState]:
    """The episode learns what holds."""
    episodes = (*_without(state.episodes, body.episode_id), body.episode_id)
    state = state.replace(episodes=episodes)
    return Decision(state, handoffs=(_holding(state, body.episode_id, cause),))


def left(state: PersonState, body: Left, _cause: Cause) -> Decision[PersonState]:
    """The episode gets no more handoffs."""
    return Decision(state.replace(episodes=_without(state.episodes, body.episode_id)))


def _inform_episodes(state: PersonState, cause: Cause) -> Decision[PersonState]:
    handoffs = tuple(_holding(state, episode_id, cause) for episode_id in state.episodes)
    return Decision(state, handoffs=handoffs)


def _holding(state: PersonState, episode_id: str, cause: Cause) -> Handoff:
    body = Holding(person_id=cause.subject_id, consent_ids=state.consents)
    return Handoff(f"episode/{episode_id}", body)


def _without(ids: tuple[str, ...], gone: str) -> tuple[str, ...]:
    return tuple(one for one in ids if one != gone)


def holding(state: EpisodeState, body: Holding, _cause: Cause) -> Decision[EpisodeState]:
    """Store the consents that the person's record holds, unless the episode is another person's by now."""
    if body.person_id != state.person_id:
        return Decision(state)
    return Decision(state.replace(consent_ids=body.consent_ids))


def between(before: EpisodeState, after: EpisodeState, cause: Cause) -> Handoffs:
    """Handoffs to the persons' records when an episode's person becomes known, or changes."""
    if before.person_id == after.person_id:
        return ()
    own = cause.subject_id
    handoffs: list[Handoff] = []
    if before.person_id is not None:
        handoffs.append(Handoff(f"person/{before.person_id}", Left(episode_id=own)))
    if after.person_id is not None:
        handoffs.append(Handoff(f"person/{after.person_id}", Joined(episode_id=own)))
    return tuple(handoffs)
