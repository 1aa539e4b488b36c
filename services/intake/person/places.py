"""One open episode of a person in a program: their record grants the place, as a group grants a seat. Pure.

An admission asks the person's record. It grants the place to the episode, which is admitted by that grant and answers;
one that can't be admitted any more says so, and the place is free again. So of two who ask, one is refused, and nobody
is admitted without a place.

Nobody is asked when an episode turns out to be another person's, or when an end is taken back. Then two open episodes
may claim one place: who has it keeps it, and the other episode has a loop (`double_admission`) until somebody settles
it by a discharge, an undone admission, or an episode entered in error. Source: docs/decisions/0017-who-owns-what.md.
"""

from __future__ import annotations

from services.intake.handoffs import AdmittedTo, Admitting, Granted, PlaceHeld
from services.intake.person.person_state import PersonState, known
from shared.decision import Cause, Decision, Handoff
from shared.errors import Refused


def grant(
    state: PersonState, episode_id: str, admitting: Admitting, cause: Cause
) -> Decision[PersonState]:
    """Give the person's place in a program to this episode. Raises when another open episode has it."""
    known(state)
    if not state.episodes.get(episode_id):
        raise Refused(
            "episode-changed",
            "The episode has ended, or is another person's.",
            hint="Read the episode, and decide anew.",
        )
    if episode_id in state.programs:
        raise Refused(
            "already-admitted",
            "The person is admitted, or is being admitted.",
            hint="Read the episode.",
        )
    held_by = state.places.get(admitting.program, ())
    if held_by:
        raise Refused(
            "program-has-open-episode",
            "The person has an open episode in this program.",
            hint=f"It is {held_by[0]}. Merge this referral into it; or, for a readmission, discharge it first;"
            " or undo its admission, if that was a mistake.",
        )
    handoff = Handoff(
        f"episode/{episode_id}", Granted(person_id=cause.subject_id, admitting=admitting)
    )
    programs = {**state.programs, episode_id: admitting.program}
    return Decision(state.replace(programs=programs), handoffs=(handoff,))


def admitted_to(state: PersonState, body: AdmittedTo, _cause: Cause) -> Decision[PersonState]:
    """The episode says where it is admitted, after a grant or when an admission is undone."""
    if body.episode_id in state.left:
        return Decision(state)
    programs = {key: program for key, program in state.programs.items() if key != body.episode_id}
    if body.program is not None:
        programs[body.episode_id] = body.program
    return Decision(state.replace(programs=programs))


def settled(
    before: PersonState, decision: Decision[PersonState], cause: Cause
) -> Decision[PersonState]:
    """A decision, completed by who has which place after it. An episode hears it when that changes for it."""
    state = decision.state
    if (state.episodes, state.programs) == (before.episodes, before.programs):
        return decision
    places = {
        program: _in_order(before.places.get(program, ()), _claims(state, program))
        for program in sorted(set(state.programs.values()))
    }
    told = tuple(
        Handoff(f"episode/{episode_id}", PlaceHeld(person_id=cause.subject_id, holder_id=claims[0]))
        for program, claims in places.items()
        for episode_id in claims
        if _is_news(episode_id, before.places.get(program, ()), claims)
    )
    state = state.replace(places={program: claims for program, claims in places.items() if claims})
    return decision._replace(state=state, handoffs=(*decision.handoffs, *told))


def _claims(state: PersonState, program: str) -> set[str]:
    """The open episodes that were granted the place, or are admitted."""
    return {
        key for key, where in state.programs.items() if where == program and state.episodes.get(key)
    }


def _in_order(before: tuple[str, ...], claims: set[str]) -> tuple[str, ...]:
    """Who has the place keeps it; who comes later waits behind."""
    staying = tuple(key for key in before if key in claims)
    return (*staying, *sorted(claims.difference(staying)))


def _is_news(episode_id: str, before: tuple[str, ...], claims: tuple[str, ...]) -> bool:
    return episode_id not in before or before[0] != claims[0]
