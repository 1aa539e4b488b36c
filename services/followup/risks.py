"""Risks to life that come up at a check-in: a clinician's at once, and someone else's an hour later."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.followup import domain
from services.followup.domain import EpisodeState, Loop, Step
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop, Role
from shared.contracts.followup import RiskFlag
from shared.decision import Cause, Decision
from shared.errors import Refused

TO_LIFE: Final = frozenset({RiskFlag.SUICIDE_RISK, RiskFlag.OVERDOSE_RISK})
ESCALATE_EVERY: Final = timedelta(hours=1)
ESCALATION: Final = (Role.CLINICIAN, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
"""Who owns the answer after each missed deadline; the last one keeps it. House rule."""


def open_loop(state: EpisodeState, loop_id: str, cause: Cause) -> Step:
    """The first step is announced at once: nobody waits an hour to hear of it."""
    return _escalate(state, Loop(loop_id=loop_id), cause)


def due(state: EpisodeState, loop_id: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen to it: the next role owns it."""
    return Decision(*_escalate(state, state.risks[loop_id], cause))


def answer(state: EpisodeState, loop_id: str, _cause: Cause) -> Decision[EpisodeState]:
    """Someone has seen to it."""
    domain.reachable(state)
    loop = state.risks.get(loop_id)
    if loop is None:
        raise Refused("no-such-risk", "No such risk is open.", way_out="Read the episode.")
    left = {key: other for key, other in state.risks.items() if key != loop_id}
    event = _cleared(loop, ClearedReason.RESOLVED)
    return Decision(state.but(risks=left).disarm(f"risk:{loop_id}"), (event,))


def end_all(state: EpisodeState, reason: ClearedReason) -> Step:
    """Risks to life are no longer answered here."""
    events = tuple(_cleared(loop, reason) for loop in state.risks.values())
    return state.but(risks={}).disarm("risk:*"), events


def _escalate(state: EpisodeState, loop: Loop, cause: Cause) -> Step:
    loop = loop.model_copy(update={"steps": loop.steps + 1})
    event = followup.LoopEscalated(
        loop=FollowupLoop.RISK_RESPONSE,
        loop_id=loop.loop_id,
        owner_role=ESCALATION[loop.steps - 1],
        step=loop.steps,
        deadline_at=cause.now + ESCALATE_EVERY,
    )
    state = state.but(risks={**state.risks, loop.loop_id: loop})
    if loop.steps < len(ESCALATION):
        state = state.arm(f"risk:{loop.loop_id}", cause.now + ESCALATE_EVERY)
    return state, (event,)


def _cleared(loop: Loop, reason: ClearedReason) -> followup.EscalationCleared:
    return domain.cleared(FollowupLoop.RISK_RESPONSE, loop.loop_id, loop.steps, reason)
