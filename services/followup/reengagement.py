"""Return to use, and the way back. It resets nothing: it opens a reassessment, soon, that somebody owns."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.followup import domain
from services.followup.domain import EpisodeState, Loop, Reengagement
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop, Role, Urgency
from shared.contracts.followup import (
    FollowupEvent,
    ReengagementCause,
    ReengagementOutcome,
    ReportedBy,
    SubstanceClass,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused

REASSESS_WITHIN: Final = timedelta(hours=72)
REASSESS_WITHIN_AFTER_OVERDOSE: Final = timedelta(hours=24)
"""House rule, domain reference, section 3 ("Cadence")."""
ESCALATE_EVERY: Final = timedelta(days=1)
ESCALATION: Final = (Role.CLINICIAN, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
"""Who owns a reassessment that did not take place in time; the last one keeps it."""


def report(
    state: EpisodeState,
    reported_by: ReportedBy,
    substance_class: SubstanceClass,
    *,
    overdose: bool,
    occurred_on: date | None,
    cause: Cause,
) -> Decision[EpisodeState]:
    """The person used again. A second report moves the reassessment only to an earlier time."""
    admission = domain.reachable(state)
    today = cause.now.astimezone(ZoneInfo(admission.time_zone)).date()
    if occurred_on is not None and occurred_on > today:
        raise Invalid(
            "day-in-future",
            "The day lies in the future.",
            way_out="Give the day in the facility's time zone, or leave it out.",
        )
    events: list[FollowupEvent] = [
        followup.ReturnToUseReported(
            reported_by=reported_by,
            substance_class=substance_class,
            overdose=overdose,
            occurred_on=occurred_on,
        )
    ]
    if reported_by is ReportedBy.PATIENT:
        state, contact = domain.in_contact(state, cause.now)
        events += contact
    due_at = cause.now + (REASSESS_WITHIN_AFTER_OVERDOSE if overdose else REASSESS_WITHIN)
    under_way = state.reengagement
    if under_way is None or due_at < under_way.reassessment_due_at:
        loop = (
            Loop(loop_id=cause.derive_id("reengagement")) if under_way is None else under_way.loop
        )
        state = state.but(reengagement=Reengagement(loop=loop, reassessment_due_at=due_at))
        state = state.arm("reengagement", due_at)
        events.append(
            followup.ReengagementStarted(
                cause=ReengagementCause.RETURN_TO_USE, reassessment_due_at=due_at
            )
        )
    else:
        due_at = under_way.reassessment_due_at
    answer = {"reassessment_due_at": due_at.isoformat()}
    return Decision(state, tuple(events), answer=answer)


def complete(
    state: EpisodeState, outcome: ReengagementOutcome, cause: Cause
) -> Decision[EpisodeState]:
    """It is known where the way back led. A readmission is a new episode, which intake opens."""
    domain.reachable(state)
    if state.reengagement is None:
        raise Refused(
            "no-reengagement",
            "No re-engagement is under way.",
            way_out="Report the return to use first.",
        )
    readmitted = outcome is ReengagementOutcome.READMITTED
    if readmitted and state.discharge is None:
        raise Refused(
            "episode-running",
            "The episode has not ended, so there is nothing to be readmitted to.",
            way_out="Change the level of care, or name another outcome.",
        )
    events: list[FollowupEvent] = [followup.ReengagementCompleted(outcome=outcome)]
    state, ended = domain.end_reengagement(state, ClearedReason.RESOLVED)
    events += ended
    if outcome is not ReengagementOutcome.UNREACHABLE:
        state, contact = domain.in_contact(state, cause.now)
        events += contact
    if readmitted:
        events.append(followup.ReadmissionRequested(urgency=Urgency.URGENT))
    return Decision(state, tuple(events))


def due(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Nobody was reassessed in time."""
    under_way = state.reengagement
    if under_way is None:
        return Decision(state)
    loop = under_way.loop.model_copy(update={"steps": under_way.loop.steps + 1})
    event = followup.LoopEscalated(
        loop=FollowupLoop.REENGAGEMENT,
        loop_id=loop.loop_id,
        owner_role=ESCALATION[loop.steps - 1],
        step=loop.steps,
        deadline_at=cause.now + ESCALATE_EVERY,
    )
    state = state.but(reengagement=under_way.model_copy(update={"loop": loop}))
    if loop.steps < len(ESCALATION):
        state = state.arm("reengagement", cause.now + ESCALATE_EVERY)
    return Decision(state, (event,))
