"""Return to use, and the way back. It resets nothing: it opens a reassessment, soon, that somebody owns."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.followup.episode import contact
from services.followup.episode.episode_state import (
    Circumstance,
    EpisodeState,
    Reengagement,
    Reported,
    StateAndEvents,
)
from services.followup.loop_table import LOOPS
from shared import loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop, MistakeReason, Urgency
from shared.contracts.event import Event
from shared.contracts.followup import (
    ReengagementCause,
    ReengagementOutcome,
    ReportedBy,
    SubstanceClass,
)
from shared.decision import Cause, Decision, Events
from shared.errors import NotYetKnown, Refused
from shared.retractions import holding, taken_back

STARTED: Final = "started"
"""What asks for a re-engagement beside reports: staff who began it for another reason."""
RELEASED: Final = "released:"
"""The same of a circumstance that is over: out of jail, because of which the episode had ended."""
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
    contact.reachable(state)
    _not_taken_over(state)
    if occurred_on is not None:
        contact.must_have_come(occurred_on, state, cause)
    report_id = cause.derive_id("report")
    events: list[Event] = [
        followup.ReturnToUseReported(
            report_id=report_id,
            reported_by=reported_by,
            substance_class=substance_class,
            overdose=overdose,
            occurred_on=occurred_on,
        )
    ]
    if reported_by is ReportedBy.PATIENT:
        state, told = contact.made(state, _told_in(report_id), cause.now)
        events += told
    by = LOOPS[FollowupLoop.REENGAGEMENT].deadline(cause.now)
    if overdose:
        by = cause.now + REASSESS_WITHIN_AFTER_OVERDOSE
    why = ReengagementCause.RETURN_TO_USE
    reported = {**state.reports, report_id: Reported(due_at=by, overdose=overdose)}
    state = state.replace(reports=reported)
    state, started = _wait(state, why, by, overdose=overdose, cause=cause, of=report_id)
    answer = {**_answer(state), "report_id": report_id}
    return Decision(state, (*events, *started), answer=answer)


def _told_in(report_id: str) -> str:
    return f"report:{report_id}"


def undo(
    state: EpisodeState, report_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """Nobody used: the way back that was prepared because of it is withdrawn, unless something else asks for it."""
    if state.admission is None:
        raise NotYetKnown("episode")
    holding(state, state.reports, report_id, "report")
    left = {key: one for key, one in state.reports.items() if key != report_id}
    state = taken_back(state.replace(reports=left), report_id, "report")
    events: Events = (followup.ReturnToUseUndone(report_id=report_id, reason=reason),)
    state, again = contact.never_made(state, _told_in(report_id))
    state, withdrawn = _asked_no_more(state, report_id, cause)
    return Decision(state, (*events, *again, *withdrawn))


def _asked_no_more(state: EpisodeState, by: str, cause: Cause) -> StateAndEvents:
    """One of what asked for the way back was a mistake: it is withdrawn, unless something else asks for it."""
    under_way = state.reengagement
    if under_way is None or by not in under_way.asked_by:
        return state, ()
    asked = still_asked(state, under_way)
    if asked is not None:
        return due_as_asked(state.replace(reengagement=asked), cause), ()
    withdrawn = followup.ReengagementCompleted(
        reengagement_id=under_way.id, outcome=ReengagementOutcome.WITHDRAWN
    )
    state, ended = contact.close_reengagement(state, ClearedReason.ENTERED_IN_ERROR)
    return state, (withdrawn, *ended)


def released(state: EpisodeState, circumstance_id: str, cause: Cause) -> StateAndEvents:
    """The person is out of jail, because of which the episode had ended: care may be resumed."""
    known = state.circumstances[circumstance_id]
    within = LOOPS[FollowupLoop.REENGAGEMENT].deadline(cause.now) - cause.now
    by = max((known.ended_at or cause.now) + within, cause.now)
    state = _with(state, circumstance_id, known.replace(resume_by=by))
    why, of = ReengagementCause.CONTACT_REGAINED, f"{RELEASED}{circumstance_id}"
    return _wait(state, why, by, overdose=False, cause=cause, of=of)


def not_released(state: EpisodeState, circumstance_id: str, cause: Cause) -> StateAndEvents:
    """Nobody came out of it to resume care: there was no such circumstance, or no end because of it."""
    known = state.circumstances.get(circumstance_id)
    if known is not None:
        state = _with(state, circumstance_id, known.replace(resume_by=None))
    return _asked_no_more(state, f"{RELEASED}{circumstance_id}", cause)


def _with(state: EpisodeState, circumstance_id: str, known: Circumstance) -> EpisodeState:
    return state.replace(circumstances={**state.circumstances, circumstance_id: known})


def still_asked(state: EpisodeState, waiting: Reengagement | None) -> Reengagement | None:
    """A way back as it is asked for now, by the reports that hold or by staff; None when nothing asks for it."""
    if waiting is None:
        return None
    out = {f"{RELEASED}{key}": one.resume_by for key, one in state.circumstances.items()}
    known: dict[str, datetime | None] = {
        STARTED: waiting.due_otherwise,
        **{key: one.due_at for key, one in state.reports.items()},
        **{key: by for key, by in out.items() if by is not None},
    }
    asked_by = tuple(key for key in waiting.asked_by if key in known)
    if not asked_by:
        return None
    left = [state.reports[key] for key in asked_by if key in state.reports]
    dues = [by for by in map(known.get, asked_by) if by is not None]
    return waiting.replace(
        asked_by=asked_by,
        overdose=any(one.overdose for one in left),
        reassessment_due_at=min(dues, default=waiting.reassessment_due_at),
    )


def due_as_asked(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Its loop is due when it is asked for, unless that was missed already."""
    kind, under_way = FollowupLoop.REENGAGEMENT, state.reengagement
    loop = None if under_way is None else state.loop(kind, under_way.id)
    if under_way is None or loop is None or loop.step:
        return state
    due_at = under_way.reassessment_due_at
    return loops.open_loop(state, kind, under_way.id, cause, deadline_at=due_at)


def start(state: EpisodeState, why: ReengagementCause, cause: Cause) -> Decision[EpisodeState]:
    """The way back begins for another reason: the person asked, was found again, or is at risk."""
    contact.reachable(state)
    _not_taken_over(state)
    if state.reengagement is not None:
        raise Refused(
            "reengagement-under-way",
            "A re-engagement is under way.",
            hint="Complete it, or work on it as it is.",
        )
    by = LOOPS[FollowupLoop.REENGAGEMENT].deadline(cause.now)
    state, started = _wait(state, why, by, overdose=False, cause=cause, of=STARTED)
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
    of: str,
) -> StateAndEvents:
    """Open the loop of a reassessment; one that is open already is only ever moved to an earlier time."""
    before = state.reengagement
    asked_by = () if before is None else before.asked_by
    otherwise = due_at if of == STARTED else None if before is None else before.due_otherwise
    if before is not None and before.reassessment_due_at <= due_at:
        more = {"overdose": before.overdose or overdose, "asked_by": (*asked_by, of)}
        return state.replace(reengagement=before.replace(**more)), ()
    loop_id = cause.derive_id("reengagement") if before is None else before.id
    state = loops.open_loop(state, FollowupLoop.REENGAGEMENT, loop_id, cause, deadline_at=due_at)
    overdose = overdose or (before is not None and before.overdose)
    under_way = Reengagement(
        id=loop_id,
        cause=why,
        reassessment_due_at=due_at,
        overdose=overdose,
        asked_by=(*asked_by, of),
        due_otherwise=otherwise,
    )
    started = followup.ReengagementStarted(
        reengagement_id=loop_id, cause=why, reassessment_due_at=due_at
    )
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
    contact.reachable(state)
    under_way = state.reengagement
    if under_way is None or reengagement_id not in (None, under_way.id):
        raise Refused(
            "no-reengagement",
            "No such re-engagement is under way.",
            hint="Report the return to use first.",
        )
    readmitted, left = outcome is ReengagementOutcome.READMITTED, state.discharge
    if readmitted and left is None:
        raise Refused(
            "episode-running",
            "The episode has not ended, so there is nothing to be readmitted to.",
            hint="Change the level of care, or name another outcome.",
        )
    events: list[Event] = [
        followup.ReengagementCompleted(reengagement_id=under_way.id, outcome=outcome)
    ]
    state, ended = contact.close_reengagement(state, ClearedReason.RESOLVED)
    events += ended
    if outcome is not ReengagementOutcome.UNREACHABLE:
        state, told = contact.made(state, cause.id, cause.now)
        events += told
    if readmitted and left is not None:
        urgency = Urgency.EMERGENT if under_way.overdose else Urgency.URGENT
        at = left.discharged_at
        events.append(followup.ReadmissionRequested(urgency=urgency, discharged_at=at))
    return Decision(state, tuple(events))
