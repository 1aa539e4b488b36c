"""An end of an episode that is taken back: the program goes on, and so does whoever was being reached out to. Pure.

What aftercare began is superseded. What somebody was told or found out meanwhile stays: contact, a risk, a return to
use. Facts of attendance that came meanwhile are decided again, as if the episode had not ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.followup import event_handlers
from services.followup.episode import episode_state
from services.followup.episode.episode_state import Ending, EpisodeState, StateAndEvents
from services.followup.outreach import outreach
from shared import endings, loops
from shared.contracts import attendance, plans
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.event import Event
from shared.decision import Cause, Decision
from shared.loops import Aside

OF_AFTERCARE: Final = (
    FollowupLoop.CHECK_IN,
    FollowupLoop.AFTERCARE_PLAN,
    FollowupLoop.MISSING_FACT,
)
"""What is waited for only because the episode has ended."""

PAUSED: Final = outreach.LATE.rule(attendance.ParticipationPaused, event_handlers.paused)
RESUMED: Final = outreach.LATE.rule(attendance.ParticipationResumed, event_handlers.resumed)
HOURS_SHORT: Final = outreach.LATE.rule(
    attendance.WeeklyHoursShortfallDetected, event_handlers.hours_short
)


def put_aside(before: EpisodeState, after: EpisodeState) -> EpisodeState:
    """The state after an end, with what the end took away."""
    ending = Ending(
        outreach=before.outreach,
        lost_at=before.lost_at,
        lost_loop=next(iter(before.loops_of(FollowupLoop.LOST_CONTACT)), None),
        reengagement=before.reengagement if after.reengagement is None else None,
        reviews=before.reviews,
        plan_review=before.plan_review,
        hours_short=before.hours_short,
    )
    return endings.put_aside(before, after.replace(ending=ending))


def discharge_undone(
    state: EpisodeState, _event: plans.DischargeUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The episode has not ended: its check-ins are superseded, and it is as it was before, but for what happened."""
    was, late = state.ending, () if state.aside is None else state.aside.late
    state, superseded = _without_aftercare(state)
    state = state.replace(discharge=None, ending=None)
    if was is None:
        return Decision(state.replace(aside=None), superseded)
    state, ended = _reached_out_as_before(state, was)
    state, escalated = endings.take_up(state)
    state = state.replace(
        reengagement=state.reengagement or was.reengagement,
        reviews={**was.reviews, **state.reviews},
        plan_review=was.plan_review,
        hours_short=was.hours_short,
    )
    if state.lost_at is None:
        state = episode_state.arm_silence(state)
    meanwhile = outreach.LATE.replay(state, late, cause)
    events = (*superseded, *ended, *escalated, *meanwhile.events)
    return Decision(meanwhile.state, events, meanwhile.handoffs)


def _without_aftercare(state: EpisodeState) -> StateAndEvents:
    begun = state.loops_of(*OF_AFTERCARE)
    state, events = loops.close_all(state, begun, ClearedReason.SUPERSEDED)
    deadlines = ("check-in:*", "check-in-opens:*", "aftercare-over")
    return state.replace(aftercare=None).disarm(*deadlines), events


def _reached_out_as_before(state: EpisodeState, was: Ending) -> StateAndEvents:
    """Who had been reached out to before the end is, unless there was contact since; nobody else is."""
    silent = was.outreach is not None and not _contact_since(state, was.outreach.since)
    lost = was.lost_at is not None and not _contact_since(state, was.lost_at)
    state, reached = episode_state.close_outreach(state, ClearedReason.SUPERSEDED)
    found: tuple[Event, ...] = ()
    if not lost:
        state, found = episode_state.close_lost(state, ClearedReason.SUPERSEDED)
    aside = state.aside or Aside()
    gone = () if silent else (FollowupLoop.OUTREACH,)
    kept = {key: loop for key, loop in aside.loops.items() if loop.kind not in gone}
    names = {loops.DEADLINE + key for key in aside.loops.keys() - kept.keys()}
    deadlines = {key: at for key, at in aside.deadlines.items() if key not in names}
    loop = was.lost_loop
    if lost and loop is not None and loop.key not in state.loops:
        kept[loop.key] = loop
        if not loop.at_last_owner:
            deadlines[loops.DEADLINE + loop.key] = loop.deadline_at
    state = state.replace(
        outreach=was.outreach if silent else None,
        lost_at=was.lost_at if lost else None,
        aside=aside.replace(loops=kept, deadlines=deadlines),
    )
    return state, (*reached, *found)


def _contact_since(state: EpisodeState, at: datetime) -> bool:
    return state.contact_at is not None and state.contact_at >= at


def graduation_undone(
    state: EpisodeState, _event: plans.GraduationUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Neither approved nor graduated. The end is taken back by the fact that follows."""
    return Decision(_off_path(state, "approved", "graduated"))


def first_contact_undone(
    state: EpisodeState, event: plans.FirstContactUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """We are responsible again until the other place has seen the person."""
    state = _off_path(state, "transferred")
    return Decision(state.replace(path={**state.path, "transferring": event.handoff_at}))


def _off_path(state: EpisodeState, *gone: str) -> EpisodeState:
    return state.replace(path={key: at for key, at in state.path.items() if key not in gone})
