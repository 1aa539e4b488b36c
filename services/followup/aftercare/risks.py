"""What comes up at a check-in and needs an answer: a risk to life at once, everything else in days.

Pure; no clock, no ids, no I/O. Times and owners are house rules. The emergency path: a risk to life is a clinician's at
once and someone else's an hour later; when the answer was the emergency department, the visit is remembered, so that
the person is seen after it (`transitions.py`). What had to be disclosed for it is recorded with intake.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from services.followup.episode import contact
from services.followup.episode.episode_state import EpisodeState, StateAndEvents
from services.followup.loop_table import RISK_TO_LIFE
from services.followup.measures import transitions
from shared import calendar, endings, loops
from shared.contracts.codes import FollowupLoop
from shared.contracts.followup import RiskFlag, TransitionKind
from shared.decision import Cause, Decision
from shared.errors import Refused
from shared.retractions import holding, not_taken_back, taken_back

Answer = Literal["seen_to", "crisis_line", "emergency_department"]
"""How a risk was answered."""

TO_LIFE: Final = frozenset({RiskFlag.SUICIDE_RISK, RiskFlag.OVERDOSE_RISK, RiskFlag.VIOLENCE})
WITHIN: Final = {
    RiskFlag.WITHDRAWAL: timedelta(hours=24),
    RiskFlag.MEDICATION_GAP: timedelta(hours=24),
    RiskFlag.CRAVING: timedelta(hours=72),
    RiskFlag.HOUSING_LOSS: timedelta(hours=72),
}
"""Until when a risk that is not to life is answered. A flag that we do not know counts as the most urgent of these."""


def open_loops(
    state: EpisodeState, flags: tuple[RiskFlag, ...], loop_id: str, cause: Cause
) -> StateAndEvents:
    """One answer to all that came up, in the time of the most urgent. Nothing came up: nothing is opened."""
    if not flags:
        return state, ()
    kind = FollowupLoop.RISK_RESPONSE
    if TO_LIFE.isdisjoint(flags):
        due_at = cause.now + min(WITHIN.get(flag, timedelta(hours=24)) for flag in flags)
        return loops.open_loop(state, kind, loop_id, cause, deadline_at=due_at), ()
    state = loops.open_loop(
        state,
        kind,
        loop_id,
        cause,
        deadline_at=RISK_TO_LIFE.deadline(cause.now),
        owners=RISK_TO_LIFE.owners,
    )
    # The first step is published at once: nobody waits an hour to learn of it.
    name = f"{loops.DEADLINE}{kind.value}:{loop_id}"
    state, events, *_ = loops.escalate(state, name, cause, again_after=RISK_TO_LIFE.again)
    return state, events


def due(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen to it: the next role owns it."""
    to_life = state.loops[name.removeprefix(loops.DEADLINE)].owners == RISK_TO_LIFE.owners
    again_after = RISK_TO_LIFE.again if to_life else None
    return loops.escalate(state, name, cause, again_after=again_after)


def answer(state: EpisodeState, loop_id: str, how: Answer, cause: Cause) -> Decision[EpisodeState]:
    """Someone has seen to it. Being sent to an emergency department starts the clock of being seen after it."""
    contact.reachable(state)
    loop = state.loop(FollowupLoop.RISK_RESPONSE, loop_id)
    if loop is None:
        raise Refused("no-such-risk", "No such risk is open.", hint="Read the episode.")
    state = not_taken_back(state, loop_id, "risk-response")
    state = state.replace(answered={**state.answered, loop_id: loop})
    state, events = loops.close(state, FollowupLoop.RISK_RESPONSE, loop_id)
    if how == "emergency_department":
        on = calendar.local_day(cause.now, state.time_zone)
        state, more = transitions.add(state, TransitionKind.ED_VISIT, on, cause)
        events = (*events, *more)
    return Decision(state, events)


def undo(state: EpisodeState, loop_id: str, _cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen to it: the risk is open as it was, and its next owner is due if time has passed."""
    contact.reachable(state)
    loop = holding(state, state.answered, loop_id, "risk-response")
    left = {key: one for key, one in state.answered.items() if key != loop_id}
    state = taken_back(state.replace(answered=left), loop_id, "risk-response")
    return Decision(*endings.reopened(state, (loop,)))
