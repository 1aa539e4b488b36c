"""Mistakes, corrected by events that every service subscribes to. Pure; no clock, no ids, no I/O.

An episode that was entered in error stores nothing of its own but that. What it was is put aside whole, with what
arrives since, for the case that the mistake is taken back.
"""

from __future__ import annotations

from typing import Final

from services.followup.episode import contact
from services.followup.episode.episode_state import EpisodeState, ReadmissionUndone, Readmitted
from shared import loops, voiding
from shared.contracts import followup, intake
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.event import Event
from shared.contracts.followup import ReengagementOutcome
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.endings import LateFacts

MEANWHILE: Final = LateFacts[EpisodeState]()
"""Decides what came while an episode was void, by the whole tables of reactions and handoffs."""


def entered_in_error(
    state: EpisodeState, _event: intake.EpisodeEnteredInError, cause: Cause
) -> Decision[EpisodeState]:
    """Every loop of it is closed, and nothing of it counts."""
    return _void(state, ClearedReason.ENTERED_IN_ERROR, intake.EpisodeEnteredInError, cause)


def merged(
    state: EpisodeState, _event: intake.ReferralMerged, cause: Cause
) -> Decision[EpisodeState]:
    """Another episode of the same person goes on instead."""
    return _void(state, ClearedReason.SUPERSEDED, intake.ReferralMerged, cause)


def _void(
    state: EpisodeState, reason: ClearedReason, by: type[Event], cause: Cause
) -> Decision[EpisodeState]:
    handoffs = _frees_the_one_before(state, cause)
    _, events = contact.close_everything(state, reason)
    void = voiding.put_aside(state, EpisodeState(void=True), by, cause)
    return Decision(void, events, handoffs)


def restored(
    state: EpisodeState,
    _event: intake.EpisodeEnteredInErrorUndone | intake.ReferralMergedUndone,
    cause: Cause,
) -> Decision[EpisodeState]:
    """The episode goes on as it was, the earlier one of the person is continued again, and the silence counts."""
    if state.voided is None:
        return Decision(state)
    back = voiding.go_on(voiding.before(state), state, MEANWHILE, cause)
    return back._replace(handoffs=(*_continues_the_one_before(back.state, cause), *back.handoffs))


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
        levels_before=(),
        step_down_at=None,
        weeks_short={},
        goals={},
        reviews={},
        plan_review={},
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


def _continues_the_one_before(state: EpisodeState, cause: Cause) -> Handoffs:
    admission = state.admission
    if admission is None or admission.prior_episode_id is None:
        return ()
    body = Readmitted(episode_id=cause.subject_id, admitted_at=admission.admitted_at)
    return (Handoff(f"episode/{admission.prior_episode_id}", body),)


def person_corrected(
    state: EpisodeState, event: intake.EpisodePersonCorrected, _cause: Cause
) -> Decision[EpisodeState]:
    """What happened stands; whose it is changes."""
    return Decision(state.replace(person_id=event.person_id))
