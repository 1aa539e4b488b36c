"""Death, jail, hospital, a move away, as followup tells it: what is missed meanwhile is nobody's to chase.

Absences of that time are excused for every step of the absence policy, and silence counts anew from its end. Its days
ask for no hours, and nobody waits for a specimen or a screen of that time. All of it
follows from the facts that hold, so that one that is taken back leaves what would have been. Pure, like all rules.
"""

from __future__ import annotations

from services.attendance.episode import absences, pauses, weeks
from services.attendance.episode.episode_state import Away, Ending, EpisodeState
from services.attendance.screening import specimens
from shared.contracts import followup
from shared.decision import Cause, Decision


def recorded(
    state: EpisodeState, event: followup.CircumstanceRecorded, cause: Cause
) -> Decision[EpisodeState]:
    """From that day on nobody expects the person."""
    before = _without(state, event.circumstance_id)
    away = {**before.away, event.circumstance_id: Away(on=event.occurred_on)}
    return _considered(before.replace(away=away), cause)


def ended(
    state: EpisodeState, event: followup.CircumstanceEnded, cause: Cause
) -> Decision[EpisodeState]:
    """From then on the person is expected again."""
    known = state.away.get(event.circumstance_id)
    if known is None:
        return Decision(state)
    over = {**state.away, event.circumstance_id: known.replace(until=event.ended_at)}
    return _considered(state.replace(away=over), cause)


def undone(
    state: EpisodeState, event: followup.CircumstanceUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The person was expected all along; while an end stands, what that means waits for it to be taken back."""
    was = state.away.get(event.circumstance_id)
    state = _without(state, event.circumstance_id)
    if was is None:
        return Decision(state)
    if state.left_at is not None:
        ending = state.ending or Ending()
        put_aside = ending.replace(never_away=(*ending.never_away, was))
        return Decision(*weeks.reconsider(state.replace(ending=put_aside), cause))
    return _considered(state, cause, was)


def go_on(
    state: EpisodeState, never_away: tuple[Away, ...], cause: Cause
) -> Decision[EpisodeState]:
    """An end is taken back: what was heard while it stood counts."""
    return _considered(state, cause, *never_away)


def _without(state: EpisodeState, circumstance_id: str) -> EpisodeState:
    left = {key: one for key, one in state.away.items() if key != circumstance_id}
    return state.replace(away=left)


def _considered(state: EpisodeState, cause: Cause, *never_away: Away) -> Decision[EpisodeState]:
    """What weeks, screens and the absences that count mean now. After an end, what its weeks ask for."""
    state, events = weeks.reconsider(state, cause)
    if state.admission is None or state.left_at is not None:
        return Decision(state, events)
    if never_away:
        late = weeks.projected_late(state, cause)
        state, events = late.state, (*events, *late.events)
    state, settled = specimens.go_on(state, cause)
    events += settled
    for was in never_away:
        state, passed = absences.passed(state, was)
        events += passed
    state, reached = absences.consider(state, cause)
    state, paused, handoffs = pauses.consider(state, cause)
    return Decision(state, (*events, *reached, *paused), handoffs)
