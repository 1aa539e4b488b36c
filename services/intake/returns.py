"""Coming back: a readmission that is asked for, and a return to use. Neither changes the episode that was."""

from __future__ import annotations

from typing import Final

from services.intake import domain
from services.intake.domain import EpisodeState, Readmitted, UseReport
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.decision import Cause, Decision

REPORTS_KEPT: Final = 20


def readmission_requested(
    state: EpisodeState, event: followup.ReadmissionRequested, cause: Cause
) -> Decision[EpisodeState]:
    """The person should be admitted again. It may be heard before the discharge, or after the readmission."""
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
    state: EpisodeState, _event: followup.ReengagementCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """The way back led somewhere, be it not here: nobody waits for a readmission any more."""
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
