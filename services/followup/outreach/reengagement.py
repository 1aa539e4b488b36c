"""Return to use, and the way back. It resets nothing: it opens a reassessment, soon, that somebody owns."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.followup.episode import episode_state
from services.followup.episode.episode_state import EpisodeState, Reengagement, StateAndEvents
from services.followup.loop_table import LOOPS
from shared import calendar, loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop, Urgency
from shared.contracts.event import Event
from shared.contracts.followup import (
    ReengagementCause,
    ReengagementOutcome,
    ReportedBy,
    SubstanceClass,
)
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused

REASSESS_WITHIN_AFTER_OVERDOSE: Final = timedelta(hours=24)
"""House rule, docs/domain.md 3.14 (Cadence)."""


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
    admission = episode_state.reachable(state)
    _not_taken_over(state)
    today = calendar.local_day(cause.now, admission.time_zone)
    if occurred_on is not None and occurred_on > today:
        raise Invalid(
            "day-in-future",
            "The day lies in the future.",
            hint="Give the day in the facility's time zone, or leave it out.",
        )
    events: list[Event] = [
        followup.ReturnToUseReported(
            reported_by=reported_by,
            substance_class=substance_class,
            overdose=overdose,
            occurred_on=occurred_on,
        )
    ]
    if reported_by is ReportedBy.PATIENT:
        state, contact = episode_state.in_contact(state, cause.now)
        events += contact
    by = LOOPS[FollowupLoop.REENGAGEMENT].deadline(cause.now)
    if overdose:
        by = cause.now + REASSESS_WITHIN_AFTER_OVERDOSE
    why = ReengagementCause.RETURN_TO_USE
    state, started = _wait(state, why, by, overdose=overdose, cause=cause)
    return Decision(state, (*events, *started), answer=_answer(state))


def start(state: EpisodeState, why: ReengagementCause, cause: Cause) -> Decision[EpisodeState]:
    """The way back begins for another reason: the person asked, was found again, or is at risk."""
    episode_state.reachable(state)
    _not_taken_over(state)
    if state.reengagement is not None:
        raise Refused(
            "reengagement-under-way",
            "A re-engagement is under way.",
            hint="Complete it, or work on it as it is.",
        )
    by = LOOPS[FollowupLoop.REENGAGEMENT].deadline(cause.now)
    state, started = _wait(state, why, by, overdose=False, cause=cause)
    return Decision(state, started, answer=_answer(state))


def _answer(state: EpisodeState) -> dict[str, str]:
    under_way = state.reengagement
    if under_way is None:
        return {}
    return {
        "reengagement_id": under_way.id,
        "reassessment_due_at": under_way.reassessment_due_at.isoformat(),
    }


def _wait(
    state: EpisodeState,
    why: ReengagementCause,
    due_at: datetime,
    *,
    overdose: bool,
    cause: Cause,
) -> StateAndEvents:
    """Open the loop of a reassessment; one that is open already is only ever moved to an earlier time."""
    before = state.reengagement
    if before is not None and before.reassessment_due_at <= due_at:
        more = {"overdose": before.overdose or overdose}
        return state.replace(reengagement=before.replace(**more)), ()
    loop_id = cause.derive_id("reengagement") if before is None else before.id
    state = loops.open_loop(state, FollowupLoop.REENGAGEMENT, loop_id, cause, deadline_at=due_at)
    overdose = overdose or (before is not None and before.overdose)
    under_way = Reengagement(id=loop_id, reassessment_due_at=due_at, overdose=overdose)
    started = followup.ReengagementStarted(cause=why, reassessment_due_at=due_at)
    return state.replace(reengagement=under_way), (started,)


def _not_taken_over(state: EpisodeState) -> None:
    if state.readmitted:
        raise Refused(
            "episode-superseded",
            "A later episode has taken over.",
            hint="Work on the later episode.",
        )


def complete(
    state: EpisodeState,
    outcome: ReengagementOutcome,
    cause: Cause,
    reengagement_id: str | None = None,
) -> Decision[EpisodeState]:
    """It is known where the way back led. A readmission is a new episode, which intake opens.

    `reengagement_id` makes sure that it is this one; without it, it is the one under way.
    """
    episode_state.reachable(state)
    under_way = state.reengagement
    if under_way is None or reengagement_id not in (None, under_way.id):
        raise Refused(
            "no-reengagement",
            "No such re-engagement is under way.",
            hint="Report the return to use first.",
        )
    readmitted = outcome is ReengagementOutcome.READMITTED
    if readmitted and state.discharge is None:
        raise Refused(
            "episode-running",
            "The episode has not ended, so there is nothing to be readmitted to.",
            hint="Change the level of care, or name another outcome.",
        )
    events: list[Event] = [followup.ReengagementCompleted(outcome=outcome)]
    state, ended = episode_state.close_reengagement(state, ClearedReason.RESOLVED)
    events += ended
    if outcome is not ReengagementOutcome.UNREACHABLE:
        state, contact = episode_state.in_contact(state, cause.now)
        events += contact
    if readmitted:
        urgency = Urgency.EMERGENT if under_way.overdose else Urgency.URGENT
        events.append(followup.ReadmissionRequested(urgency=urgency))
    return Decision(state, tuple(events))
