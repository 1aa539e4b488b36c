"""Death, jail, hospital, a move away: known at any time, also in the year after. Pure; no clock, no ids, no I/O.

From then on nobody calls the person or their family: nothing is due, nobody has a task, and what was escalated is taken
back. Loops and deadlines stay where they are, out of sight. Taken back, they come as if the circumstance had not been,
each at the time it was due; ended, what passed meanwhile is excused, and silence counts from the end.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from services.followup.aftercare import check_ins
from services.followup.episode import episode_state
from services.followup.episode.episode_state import Circumstance, EpisodeState, StateAndEvents
from shared import calendar, endings, loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, MistakeReason
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind
from shared.decision import Cause, Decision, Events
from shared.errors import Invalid, NotYetKnown, Refused
from shared.retractions import holding, taken_back

UNHEARD: Final = (
    followup.OutreachEscalated,
    followup.ContactLost,
    followup.LoopEscalated,
    followup.EscalationCleared,
)
"""What is not published while nobody is called."""


def record(
    state: EpisodeState, kind: CircumstanceKind, on: date, cause: Cause
) -> Decision[EpisodeState]:
    """From now on nobody is called. Several may last at a time."""
    if state.admission is None and state.referral is None:
        raise NotYetKnown("episode")
    if on > calendar.local_day(cause.now, state.time_zone):
        raise Invalid(
            "day-in-future",
            "The day lies in the future.",
            hint="Give the day in the facility's time zone, once it has come.",
        )
    if any(one.kind is kind and one.ended_at is None for one in state.circumstances.values()):
        raise Refused(
            "circumstance-recorded",
            "This is recorded already.",
            hint="End it when it is over, or take it back if it was a mistake.",
        )
    was_stopped = state.stopped_by is not None
    key = cause.derive_id("circumstance")
    known = Circumstance(kind=kind, on=on, recorded_at=cause.now)
    state = state.replace(circumstances={**state.circumstances, key: known})
    event = followup.CircumstanceRecorded(circumstance_id=key, kind=kind, occurred_on=on)
    cleared: Events = ()
    if not was_stopped:
        _, cleared = loops.close_all(state, reason=ClearedReason.SUPERSEDED)
    return Decision(state, (event, *cleared), answer={"circumstance_id": key})


def end(state: EpisodeState, circumstance_id: str, cause: Cause) -> Decision[EpisodeState]:
    """It is over: who may be called again is; check-ins that passed meanwhile are excused."""
    known = _of(state, circumstance_id)
    if known.kind is CircumstanceKind.DECEASED:
        raise Refused(
            "circumstance-lasts",
            "This does not end.",
            hint="If it was a mistake, take it back: POST /circumstances/{id}/undo.",
        )
    if known.ended_at is not None:
        raise Refused("circumstance-ended", "This is over.", hint="There is nothing left to do.")
    over = known.replace(ended_at=cause.now)
    state = state.replace(circumstances={**state.circumstances, circumstance_id: over})
    event = followup.CircumstanceEnded(circumstance_id=circumstance_id, ended_at=cause.now)
    if state.stopped_by is not None:
        return Decision(state, (event,))
    state, reached = episode_state.close_outreach(state, ClearedReason.SUPERSEDED)
    state, found = episode_state.close_lost(state, ClearedReason.SUPERSEDED)
    state, excused = _excused(episode_state.arm_silence(state), cause)
    kept = [one for one in (*reached, *found, *excused) if not isinstance(one, UNHEARD)]
    return Decision(state, (event, *kept, *endings.announced(state, state.loops.values())))


def _excused(state: EpisodeState, cause: Cause) -> StateAndEvents:
    events: list[Event] = []
    for key, item in check_ins.check_ins(state).items():
        if item.settled is None and item.window.closes_at <= cause.now:
            state, cleared = check_ins.settle(state, key, item, "excused", ClearedReason.SUPERSEDED)
            events += cleared
    state, over = check_ins.finished(state, cause)
    return state, (*events, *over)


def undo(
    state: EpisodeState, circumstance_id: str, reason: MistakeReason
) -> Decision[EpisodeState]:
    """It was a mistake: everything is as if it had not been recorded. What was due meanwhile comes now."""
    _of(state, circumstance_id)
    was_stopped = state.stopped_by is not None
    left = {key: one for key, one in state.circumstances.items() if key != circumstance_id}
    state = taken_back(state.replace(circumstances=left), circumstance_id, "circumstance")
    event = followup.CircumstanceUndone(circumstance_id=circumstance_id, reason=reason)
    if not was_stopped or state.stopped_by is not None:
        return Decision(state, (event,))
    return Decision(state, (event, *endings.announced(state, state.loops.values())))


def _of(state: EpisodeState, circumstance_id: str) -> Circumstance:
    if state.admission is None and state.referral is None:
        raise NotYetKnown("episode")
    return holding(state, state.circumstances, circumstance_id, "circumstance")


def heard(events: Events) -> Events:
    """What is published of these while a circumstance lasts: nothing about reaching the person."""
    return tuple(event for event in events if not isinstance(event, UNHEARD))
