"""What comes up at a check-in and needs an answer: a risk to life at once, everything else in days.

Pure; no clock, no ids, no I/O. Times and owners are house rules. The emergency path: a risk to life is a clinician's at
once and someone else's an hour later; when the answer was the emergency department, the visit is remembered, so that
the person is seen after it (`transitions.py`). What had to be disclosed for it is recorded with intake.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from services.followup.episode import episode_state
from services.followup.episode.episode_state import EpisodeState, Step
from services.followup.measures import transitions
from shared.contracts.codes import FollowupLoop, Role
from shared.contracts.followup import FollowupEvent, RiskFlag, TransitionKind
from shared.decision import Cause, Decision
from shared.errors import Refused
from shared.loops import DEADLINE, close_loop, open_loop

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
ESCALATE_EVERY: Final = timedelta(hours=1)
ESCALATE_SLOWLY: Final = timedelta(days=1)
OWNERS_TO_LIFE: Final = (
    Role.COUNSELOR,
    Role.CLINICIAN,
    Role.CLINICAL_SUPERVISOR,
    Role.PROGRAM_DIRECTOR,
)
"""Whoever heard it hands it to a clinician at once; the last one keeps it."""
OWNERS: Final = (Role.CASE_MANAGER, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR)


def open_loops(
    state: EpisodeState, flags: tuple[RiskFlag, ...], loop_id: str, cause: Cause
) -> Step:
    """One answer to all that came up, in the time of the most urgent. Nothing came up: nothing is opened."""
    if not flags:
        return state, ()
    to_life = not TO_LIFE.isdisjoint(flags)
    within = min(WITHIN.get(flag, timedelta(hours=24)) for flag in flags)
    state = open_loop(
        state,
        FollowupLoop.RISK_RESPONSE,
        loop_id,
        deadline_at=cause.now if to_life else cause.now + within,
        owners=OWNERS_TO_LIFE if to_life else OWNERS,
        cause=cause,
    )
    if not to_life:
        return state, ()
    # The first step is announced at once: nobody waits an hour to hear of it.
    name = f"{DEADLINE}{FollowupLoop.RISK_RESPONSE.value}:{loop_id}"
    return episode_state.deadline_missed(state, name, ESCALATE_EVERY, cause)


def due(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen to it: the next role owns it."""
    loop = state.loops[name.removeprefix(DEADLINE)]
    fast = loop.owners == OWNERS_TO_LIFE
    wait = ESCALATE_EVERY if fast else ESCALATE_SLOWLY
    return Decision(*episode_state.deadline_missed(state, name, wait, cause))


def answer(state: EpisodeState, loop_id: str, how: Answer, cause: Cause) -> Decision[EpisodeState]:
    """Someone has seen to it. Being sent to an emergency department starts the clock of being seen after it."""
    episode_state.reachable(state)
    if state.loop(FollowupLoop.RISK_RESPONSE, loop_id) is None:
        raise Refused("no-such-risk", "No such risk is open.", hint="Read the episode.")
    state, gone = close_loop(state, FollowupLoop.RISK_RESPONSE, loop_id)
    said: tuple[FollowupEvent, ...] = ()
    if gone is not None:
        said = (episode_state.cleared(gone, episode_state.ClearedReason.RESOLVED),)
    if how == "emergency_department":
        on = transitions.local_day(state, cause.now)
        state, more = transitions.add(state, TransitionKind.ED_VISIT, on)
        said = (*said, *more)
    return Decision(state, said)
