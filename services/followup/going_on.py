"""An end of an episode that is taken back: the program goes on, and so does whoever was being reached out to. Pure.

What aftercare began is superseded. What somebody was told or found out meanwhile stays: contact, a risk, a return to
use. Facts of attendance that came meanwhile are decided again, as if the episode had not ended.
"""

from __future__ import annotations

from typing import Final

from services.followup import event_handlers
from services.followup.episode import contact
from services.followup.episode.episode_state import Ending, EpisodeState, StateAndEvents
from services.followup.outreach import jail, outreach, reengagement
from shared import endings, loops
from shared.contracts import attendance, plans
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.decision import Cause, Decision, Events
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
WEEK_EVALUATED: Final = outreach.LATE.rule(
    attendance.WeeklyHoursEvaluated, event_handlers.week_evaluated
)


def put_aside(before: EpisodeState, after: EpisodeState) -> EpisodeState:
    """The state after an end, with what the end took away."""
    open_now = contact.open_now(before)
    ending = Ending(
        ended=open_now,
        reengagement=before.reengagement if after.reengagement is None else None,
        reviews=before.reviews,
        plan_review=before.plan_review,
        weeks_short=before.weeks_short,
    )
    state = endings.put_aside(before, after.replace(ending=ending))
    reaching_out = (one.loop.key for one in open_now if one.loop is not None)
    return state.replace(aside=endings.without(state.aside or Aside(), *reaching_out))


def discharge_undone(
    state: EpisodeState, event: plans.DischargeUndone, cause: Cause
) -> Decision[EpisodeState]:
    """The episode has not ended: its check-ins are superseded, and it is as it was before, but for what happened."""
    was, late = state.ending, () if state.aside is None else state.aside.late
    state, free = jail.not_implied(state, event.discharged_at, event.reason, cause)
    state, superseded = _without_aftercare(state)
    superseded = (*free, *superseded)
    state = state.replace(discharge=None, ending=None)
    if was is None:
        return Decision(state.replace(aside=None), superseded)
    state, ended = _reached_out_as_before(state, was)
    waiting = reengagement.still_asked(state, was.reengagement)
    if was.reengagement is not None and waiting is None:
        gone = f"{FollowupLoop.REENGAGEMENT.value}:{was.reengagement.id}"
        state = state.replace(aside=endings.without(state.aside or Aside(), gone))
    state, escalated = endings.take_up(state)
    state = contact.arm_silence(state).replace(
        reengagement=state.reengagement or waiting,
        reviews={**was.reviews, **state.reviews},
        plan_review=was.plan_review,
        weeks_short=was.weeks_short,
    )
    meanwhile = outreach.LATE.replay(reengagement.due_as_asked(state, cause), late, cause)
    events = (*superseded, *ended, *escalated, *meanwhile.events)
    return Decision(meanwhile.state, events, meanwhile.handoffs)


def _without_aftercare(state: EpisodeState) -> StateAndEvents:
    begun = state.loops_of(*OF_AFTERCARE)
    state, events = loops.close_all(state, begun, ClearedReason.SUPERSEDED)
    deadlines = ("check-in:*", "check-in-opens:*", "aftercare-over")
    return state.replace(aftercare=None).disarm(*deadlines), events


def _reached_out_as_before(state: EpisodeState, was: Ending) -> StateAndEvents:
    """Who had been reached out to before the end is, unless there was contact since; nobody else is."""
    state, reached = contact.close_outreach(state, ClearedReason.SUPERSEDED)
    keys = {one.loop.key for one in was.ended if one.loop is not None and one.outreach is None}
    still_lost = state.lost_at is not None and not keys.isdisjoint(state.loops)
    found: Events = ()
    if not still_lost:
        state, found = contact.close_lost(state, ClearedReason.SUPERSEDED)
    before = (one for one in was.ended if not (still_lost and one.outreach is None))
    known = (one for one in state.ended if one.in_program or one.outreach is None)
    state, again = contact.goes_on(state.replace(ended=(*known, *before)))
    return state, (*reached, *found, *again)


def graduation_undone(
    state: EpisodeState, _event: plans.GraduationUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Neither approved nor graduated. The end is taken back by the fact that follows."""
    return Decision(event_handlers.on_path(state, ("approved", "graduated")))


def first_contact_undone(
    state: EpisodeState, event: plans.FirstContactUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """We are responsible again until the other place has seen the person."""
    gone = ("transferred",)
    return Decision(event_handlers.on_path(state, gone, transferring=event.handoff_at))
