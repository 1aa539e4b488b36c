"""Handlers for other services' events: the end, another level, a way back, a return to use. In any order."""

from __future__ import annotations

from datetime import datetime

from services.intake.episode import episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.episode.values import LevelHeard, UseReport
from services.intake.handoffs import EpisodeReopened, Readmitted
from services.intake.loop_table import LOOPS
from shared import endings, loops
from shared.contracts import followup, plans
from shared.contracts.codes import ClearedReason, IntakeLoop, Urgency
from shared.contracts.followup import ReengagementOutcome
from shared.decision import Cause, Decision, Events, Handoff


def discharged(
    state: EpisodeState, event: plans.EpisodeDischarged, cause: Cause
) -> Decision[EpisodeState]:
    """The episode is over. What it closes is put aside, for the case that the end is taken back."""
    state = state.replace(discharged=event.kind)
    ended = episode_state.end(state, event.discharged_at, cause)
    return ended._replace(state=endings.put_aside(state, ended.state))


def discharge_undone(
    state: EpisodeState, event: plans.DischargeUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The episode is open, as if it had not ended; so are the person's consents that its end has ended."""
    if state.discharged is None:
        return Decision(state)
    at = event.discharged_at
    state, escalated = endings.take_up(
        state.replace(closed_at=None, discharged=None, reopened_from=at)
    )
    reopened = EpisodeReopened(episode_id=cause.subject_id, ended_at=at)
    handoffs = (Handoff(f"person/{state.person_id}", reopened),)
    cleared: Events = ()
    if state.asked_after is not None and state.asked_after <= at:
        state, cleared = _not_awaited(state, cause)
    return Decision(state, (*escalated, *cleared), handoffs)


def _not_awaited(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Events]:
    """Nobody is to be admitted again."""
    return loops.close(
        state.replace(readmission=None, asked_after=None),
        IntakeLoop.READMISSION,
        cause.subject_id,
        ClearedReason.WITHDRAWN,
    )


def change_recommended(
    state: EpisodeState, event: plans.LevelOfCareChangeRecommended, cause: Cause
) -> Decision[EpisodeState]:
    """Another level would suit the person better. Where their program does not go on with them, it has to be found."""
    admission = state.admission
    offered = admission is not None and event.to_level.code in admission.offered
    here = offered or event.effective_at is not None
    if state.closed_at is not None or admission is None or here:
        return Decision(state)
    return Decision(episode_state.send_on(state, cause))


def level_changed(
    state: EpisodeState, event: plans.LevelOfCareChanged, cause: Cause
) -> Decision[EpisodeState]:
    """The person is at another level: nobody has to look for a place any more, and it is offered from now on."""
    admission = state.admission
    if state.closed_at is not None or admission is None:
        return Decision(state)
    offered = tuple(sorted({*admission.offered, event.to_level.code}))
    searched = state.loop(IntakeLoop.OUTBOUND_REFERRAL, cause.subject_id)
    heard = LevelHeard(
        to_level=event.to_level,
        effective_at=event.effective_at,
        offered_before=admission.offered,
        searched=None if searched is None else searched.shown,
    )
    admission = admission.replace(offered=offered, levels=(*admission.levels, heard))
    state = state.replace(admission=admission)
    state, cleared = loops.close(state, IntakeLoop.OUTBOUND_REFERRAL, cause.subject_id)
    return Decision(state, cleared)


def level_change_undone(
    state: EpisodeState, event: plans.LevelOfCareChangeUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The person did not change: who looked for another place goes on, unless somebody looks for one by now.

    One that had not taken effect was never heard of here.
    """
    admission = state.admission
    if state.closed_at is not None or admission is None or not admission.levels:
        return Decision(state)
    *earlier, last = admission.levels
    if (last.to_level, last.effective_at) != (event.to_level, event.effective_at):
        return Decision(state)
    admission = admission.replace(offered=last.offered_before, levels=tuple(earlier))
    state = state.replace(admission=admission)
    looking = state.loop(IntakeLoop.OUTBOUND_REFERRAL, cause.subject_id)
    under_way = any(one.outcome is None for one in state.outbound.values())
    if last.searched is None or looking is not None or under_way:
        return Decision(state)
    return Decision(*endings.reopened(state, (last.searched,)))


def readmission_requested(
    state: EpisodeState, event: followup.ReadmissionRequested, cause: Cause
) -> Decision[EpisodeState]:
    """The person should be admitted again. In either order with the discharge; if they are already, it is done.

    Asked for after an end that is known to be taken back, it is nothing: they are in treatment.
    """
    at, undone = event.discharged_at, state.reopened_from
    stands = state.discharged is not None and state.closed_at == at
    if undone is not None and at <= undone and not stands:
        return Decision(*_not_awaited(state, cause))
    return _wait_for_return(state.replace(asked_after=at), event.urgency, None, cause)


def reengagement_started(
    state: EpisodeState, event: followup.ReengagementStarted, cause: Cause
) -> Decision[EpisodeState]:
    """The way back is being prepared: somebody has to make room for a reassessment by the day that was named."""
    due_at = event.reassessment_due_at
    return _wait_for_return(state.replace(asked_after=None), Urgency.URGENT, due_at, cause)


def _wait_for_return(
    state: EpisodeState, urgency: Urgency, due_at: datetime | None, cause: Cause
) -> Decision[EpisodeState]:
    if state.readmission is not None:
        return Decision(state)
    state = state.replace(readmission=urgency)
    if state.readmitted_as is not None:
        return Decision(state)
    limit = LOOPS[IntakeLoop.READMISSION].deadline(cause.now)
    due_at = limit if due_at is None else min(limit, max(due_at, cause.now + episode_state.SOON))
    own = cause.subject_id
    return Decision(loops.open_loop(state, IntakeLoop.READMISSION, own, cause, deadline_at=due_at))


def readmitted(state: EpisodeState, body: Readmitted, cause: Cause) -> Decision[EpisodeState]:
    """The person is back, in another episode: what was asked for is done, unless that is taken back."""
    state = state.replace(readmitted_as=body.episode_id)
    state, cleared = loops.close(state, IntakeLoop.READMISSION, cause.subject_id)
    return Decision(state, cleared)


def reengagement_completed(
    state: EpisodeState, event: followup.ReengagementCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """The way back led elsewhere, or nowhere: the loop of the readmission is closed."""
    if event.outcome is ReengagementOutcome.READMITTED:
        return Decision(state)
    return Decision(*_not_awaited(state, cause))


def return_to_use_reported(
    state: EpisodeState, event: followup.ReturnToUseReported, cause: Cause
) -> Decision[EpisodeState]:
    """Stored for the clinician who assesses the person next."""
    report = UseReport(
        report_id=event.report_id,
        heard_at=cause.now,
        overdose=event.overdose,
        occurred_on=event.occurred_on,
    )
    return Decision(state.replace(use_reports=(*state.use_reports, report)))


def return_to_use_undone(
    state: EpisodeState, event: followup.ReturnToUseUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """It was a mistake: whoever assesses the person next does not read it."""
    left = tuple(one for one in state.use_reports if one.report_id != event.report_id)
    return Decision(state.replace(use_reports=left))
