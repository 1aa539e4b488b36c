"""Mistakes, corrected by events that every service subscribes to. Pure; no clock, no ids, no I/O.

An episode that was entered in error stores nothing but that, so that it is the same whatever other events arrive, and
when.
"""

from __future__ import annotations

from services.followup.episode import contact
from services.followup.episode.episode_state import EpisodeState, ReadmissionUndone
from shared import loops
from shared.contracts import followup, intake
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.followup import ReengagementOutcome
from shared.decision import Cause, Decision, Handoff, Handoffs


def entered_in_error(
    state: EpisodeState, _event: intake.EpisodeEnteredInError, cause: Cause
) -> Decision[EpisodeState]:
    """Every loop of it is closed, and nothing of it counts."""
    return _void(state, ClearedReason.ENTERED_IN_ERROR, cause)


def merged(
    state: EpisodeState, _event: intake.ReferralMerged, cause: Cause
) -> Decision[EpisodeState]:
    """Another episode of the same person goes on instead."""
    return _void(state, ClearedReason.SUPERSEDED, cause)


def _void(state: EpisodeState, reason: ClearedReason, cause: Cause) -> Decision[EpisodeState]:
    handoffs = _frees_the_one_before(state, cause)
    _, events = contact.close_everything(state, reason)
    return Decision(EpisodeState(void=True), events, handoffs)


def admission_undone(
    state: EpisodeState, _event: intake.AdmissionUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The person is where they were before: what the admission began is removed, what happened stays.

    Who waits for a way back that was being prepared hears that it is not.
    """
    handoffs = _frees_the_one_before(state, cause)
    outlasting = (FollowupLoop.FIRST_APPOINTMENT, FollowupLoop.TIMELY_VISIT)
    kinds = (kind for kind in FollowupLoop if kind not in outlasting)
    state, cleared = loops.close_all(state, state.loops_of(*kinds), ClearedReason.WITHDRAWN)
    events = cleared
    if state.reengagement is not None:
        withdrawn = followup.ReengagementCompleted(
            reengagement_id=state.reengagement.id, outcome=ReengagementOutcome.WITHDRAWN
        )
        events = (withdrawn, *cleared)
    gone = ("admitted", "planned", "change_recommended", "transferring", "approved", "graduated")
    gone += ("paused", "resumes")
    state = state.replace(
        admission=None,
        undone=True,
        outreach=None,
        lost_at=None,
        ended=(),
        reengagement=None,
        aftercare=None,
        ending=None,
        aside=None,
        level=None,
        held=(),
        path={key: at for key, at in state.path.items() if key not in gone},
    )
    deadlines = ("silence", "check-in:*", "check-in-opens:*", "aftercare-over")
    return Decision(state.disarm(*deadlines), events, handoffs)


def _frees_the_one_before(state: EpisodeState, cause: Cause) -> Handoffs:
    prior = None if state.admission is None else state.admission.prior_episode_id
    if prior is None:
        return ()
    return (Handoff(f"episode/{prior}", ReadmissionUndone(episode_id=cause.subject_id)),)


def person_corrected(
    state: EpisodeState, event: intake.EpisodePersonCorrected, _cause: Cause
) -> Decision[EpisodeState]:
    """What happened stands; whose it is changes."""
    return Decision(state.replace(person_id=event.person_id))
