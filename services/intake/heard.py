"""What others say of an episode: its end, a way back, a return to use. In whichever order it is heard."""

from __future__ import annotations

from typing import Final

from services.intake import domain
from services.intake.domain import EpisodeState, Readmitted, UseReport
from shared.contracts import followup, plans
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.contracts.followup import ReengagementOutcome
from shared.decision import Cause, Decision

REPORTS_KEPT: Final = 20


def discharged(
    state: EpisodeState, event: plans.EpisodeDischarged, cause: Cause
) -> Decision[EpisodeState]:
    """The episode is over."""
    return domain.end(state.but(discharged=event.kind), event.discharged_at, cause)


def readmission_requested(
    state: EpisodeState, event: followup.ReadmissionRequested, cause: Cause
) -> Decision[EpisodeState]:
    """The person should be admitted again. Heard before the discharge or after; if they are, it is done."""
    if state.readmitted_as is not None or state.readmission is not None:
        return Decision(state)
    state = state.but(readmission=event.urgency)
    return Decision(domain.wait_for(state, IntakeLoop.READMISSION, cause))


def readmitted(state: EpisodeState, body: Readmitted, cause: Cause) -> Decision[EpisodeState]:
    """The person is back, in another episode: what was asked for is done."""
    state = state.but(readmission=None, readmitted_as=body.episode_id)
    state, cleared = domain.settle(state, IntakeLoop.READMISSION, cause=cause)
    return Decision(state, cleared)


def reengagement_completed(
    state: EpisodeState, event: followup.ReengagementCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """The way back led elsewhere, or nowhere: nobody waits for a readmission any more."""
    if event.outcome is ReengagementOutcome.READMITTED:
        return Decision(state)
    state, cleared = domain.settle(
        state.but(readmission=None),
        IntakeLoop.READMISSION,
        cause=cause,
        reason=ClearedReason.WITHDRAWN,
    )
    return Decision(state, cleared)


def return_to_use_reported(
    state: EpisodeState, event: followup.ReturnToUseReported, cause: Cause
) -> Decision[EpisodeState]:
    """Kept for whoever assesses the person next."""
    report = UseReport(heard_at=cause.now, overdose=event.overdose, occurred_on=event.occurred_on)
    return Decision(state.but(use_reports=(*state.use_reports, report)[-REPORTS_KEPT:]))
