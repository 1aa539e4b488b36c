"""A later episode takes over from this one, and may turn out to have been a mistake. Pure; no clock, no ids, no I/O.

What the readmission closed is kept, so that taken back it leaves what would have been: whoever was being reached out to
still is, unless there was contact since.
"""

from __future__ import annotations

from typing import Final

from services.followup.aftercare import aftercare
from services.followup.episode import contact
from services.followup.episode.episode_state import (
    EpisodeState,
    ReadmissionUndone,
    Readmitted,
    StateAndEvents,
    Superseded,
)
from services.followup.outreach import reengagement
from shared import endings, loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.followup import ReengagementOutcome
from shared.decision import Cause, Decision, Events

KEPT: Final = FollowupLoop.RISK_RESPONSE
"""What somebody has to answer whoever looks after the person."""
AGAIN_BY_FACTS: Final = (
    *(FollowupLoop.OUTREACH, FollowupLoop.LOST_CONTACT, FollowupLoop.CIRCUMSTANCE),
    FollowupLoop.CHECK_IN,
)
"""What follows from the facts when the calendar goes on."""


def readmitted(state: EpisodeState, body: Readmitted, _cause: Cause) -> Decision[EpisodeState]:
    """The later episode will be followed up from its own discharge: the rest of this calendar is superseded."""
    events: Events = ()
    if state.reengagement is not None:
        completed = followup.ReengagementCompleted(
            reengagement_id=state.reengagement.id, outcome=ReengagementOutcome.READMITTED
        )
        events = (completed,)
    superseded = state.superseded or _of(state)
    others = (kind for kind in FollowupLoop if kind is not KEPT)
    state, ended = loops.close_all(
        state.replace(outreach=None, lost_at=None, ended=(), reengagement=None),
        state.loops_of(*others),
        ClearedReason.SUPERSEDED,
    )
    names = (f"{loops.DEADLINE}{loop.key}" for loop in state.loops_of(KEPT))
    deadlines = {name: state.deadlines[name] for name in names if name in state.deadlines}
    state = state.replace(
        readmitted=True,
        superseded=superseded,
        next_episode_id=body.episode_id,
        readmitted_at=body.admitted_at,
        deadlines=deadlines,
    )
    return Decision(state, (*events, *ended))


def _of(state: EpisodeState) -> Superseded:
    again = (kind for kind in FollowupLoop if kind not in (KEPT, *AGAIN_BY_FACTS))
    kept = {loop.key: loop.shown for loop in state.loops_of(*again)}
    names = {"aftercare-over", *(f"{loops.DEADLINE}{key}" for key in kept)}
    return Superseded(
        loops=kept,
        deadlines={name: at for name, at in state.deadlines.items() if name in names},
        ended=(*state.ended, *contact.open_now(state)),
        reengagement=state.reengagement,
    )


def readmission_undone(
    state: EpisodeState, body: ReadmissionUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The later episode was a mistake: this calendar goes on where it stands."""
    if state.next_episode_id != body.episode_id:
        return Decision(state)
    was = state.superseded or Superseded()
    state = state.replace(
        readmitted=False,
        next_episode_id=None,
        readmitted_at=None,
        superseded=None,
        ended=was.ended,
    )
    state, again = _as_before(state, was, cause)
    state, reaching = contact.goes_on(state)
    if state.aftercare is None:
        state, begun = aftercare.activate(state, cause)
        return Decision(state, (*again, *reaching, *begun))
    return Decision(aftercare.calendar_armed(state), (*again, *reaching))


def _as_before(state: EpisodeState, was: Superseded, cause: Cause) -> StateAndEvents:
    """What was open beside the calendar and reaching out. A way back that nothing asks for any more is not."""
    waiting = reengagement.still_asked(state, was.reengagement)
    kind = FollowupLoop.REENGAGEMENT
    left = {key: one for key, one in was.loops.items() if waiting or one.kind != kind.value}
    gone = {f"{loops.DEADLINE}{key}" for key in was.loops.keys() - left.keys()}
    due = {name: at for name, at in was.deadlines.items() if name not in gone}
    state = state.replace(
        loops={**left, **state.loops},
        deadlines={**due, **state.deadlines},
        reengagement=waiting,
    )
    state = reengagement.due_as_asked(state, cause)
    escalated = endings.announced(state, left.values())
    if waiting is None:
        return state, escalated
    started = followup.ReengagementStarted(
        reengagement_id=waiting.id,
        cause=waiting.cause,
        reassessment_due_at=waiting.reassessment_due_at,
    )
    return state, (started, *escalated)
