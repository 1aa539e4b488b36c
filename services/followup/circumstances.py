"""Death, jail, hospital, a move away: known at any time, also in the year after. Pure; no clock, no ids, no I/O.

From then on nobody calls the person or their family: nothing is due, and what was escalated is taken back. Loops and
deadlines stay where they are, out of sight. Taken back, they come as if the circumstance had not been, each at the time
it was due; ended, what passed meanwhile is excused, and silence counts from the end.

So that nobody is forgotten, somebody finds out from time to time whether it still lasts, unless the person has died:
that is a loop, settled by confirming, ending or undoing the circumstance, or by a readmission. An episode that ended
because of jail says so by itself (`outreach/jail.py`).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.followup.aftercare import check_ins
from services.followup.episode import contact
from services.followup.episode.episode_state import Circumstance, EpisodeState, StateAndEvents
from services.followup.loop_table import LOOPS
from services.followup.outreach import jail, outreach, reengagement
from shared import calendar, endings, loops
from shared.contracts import followup
from shared.contracts.codes import ClearedReason, FollowupLoop, MistakeReason
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind, OutreachCause
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, Decision, Events
from shared.errors import Refused
from shared.retractions import holding, taken_back

UNHEARD: Final = (
    followup.OutreachEscalated,
    followup.ContactLost,
    followup.LoopEscalated,
    followup.EscalationCleared,
)
"""What is not published while nobody is called."""


ASKED_WITHIN: Final = {CircumstanceKind.HOSPITALIZED: timedelta(days=7)}
"""How long a circumstance is taken to last before somebody asks; the others for as long as the table of loops says."""


def record(
    state: EpisodeState, kind: CircumstanceKind, on: date, cause: Cause
) -> Decision[EpisodeState]:
    """From now on nobody is called. Several may last at a time.

    Jail that only the end of the episode has said so far is recorded as the same circumstance: it outlasts that end.
    """
    contact.must_be_known(state)
    contact.must_have_come(on, state, cause)
    known, implied = state.circumstances, jail.only_implied(state, kind)
    if implied is None and any(one.kind is kind and one.ended_at is None for one in known.values()):
        raise Refused(
            "circumstance-recorded",
            "This is recorded already.",
            hint="End it when it is over, or take it back if it was a mistake.",
        )
    key = implied or cause.derive_id("circumstance")
    before = Circumstance(kind=kind, on=on, recorded_at=cause.now)
    holds = known.get(key, before).replace(on=on, stated=True)
    state = state.replace(circumstances={**known, key: holds})
    event = followup.CircumstanceRecorded(circumstance_id=key, kind=kind, occurred_on=on)
    return Decision(state, (event,), answer={"circumstance_id": key})


def end(state: EpisodeState, circumstance_id: str, cause: Cause) -> Decision[EpisodeState]:
    """It is over: who may be called again is; check-ins that passed meanwhile are excused."""
    known = _passing(state, circumstance_id)
    before = contact.silent_since(state)
    over = known.replace(ended_at=cause.now)
    state = state.replace(circumstances={**state.circumstances, circumstance_id: over})
    state, found = contact.found(state, before, cause.now, but=(OutreachCause.REFERRAL,))
    state, excused = _excused(state, known, cause)
    if state.stopped_by is None:
        state = _put_off(state, circumstance_id, cause)
    event = followup.CircumstanceEnded(circumstance_id=circumstance_id, ended_at=cause.now)
    return Decision(state, (event, *found, *excused))


def confirm(state: EpisodeState, circumstance_id: str, cause: Cause) -> Decision[EpisodeState]:
    """It still lasts: somebody asks again later."""
    again = _passing(state, circumstance_id).replace(confirmed_at=cause.now)
    state = state.replace(circumstances={**state.circumstances, circumstance_id: again})
    return Decision(*loops.close(state, FollowupLoop.CIRCUMSTANCE, circumstance_id))


def _passing(state: EpisodeState, circumstance_id: str) -> Circumstance:
    """A circumstance that lasts, and can end."""
    known = _of(state, circumstance_id)
    if known.kind is CircumstanceKind.DECEASED:
        raise Refused(
            "circumstance-lasts",
            "This does not end.",
            hint="If it was a mistake, take it back: POST /circumstances/{id}/undo.",
        )
    if known.ended_at is not None:
        raise Refused("circumstance-ended", "This is over.", hint="There is nothing left to do.")
    return known


def refresh(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """Who asks whether a circumstance lasts, by the facts; and what is out of sight as long as one does."""
    asked = {} if state.readmitted or _died(state) else state.circumstances
    wanted = {key: one for key, one in asked.items() if one.ended_at is None}
    kind = FollowupLoop.CIRCUMSTANCE
    over = tuple(loop for loop in state.loops_of(kind) if loop.id not in wanted)
    state, events = loops.close_all(state, over)
    for key, one in wanted.items():
        if state.loop(kind, key) is None:
            within = ASKED_WITHIN.get(one.kind, LOOPS[kind].deadline(cause.now) - cause.now)
            deadline_at = max((one.confirmed_at or one.recorded_at) + within, cause.now)
            state = loops.open_loop(state, kind, key, cause, deadline_at=deadline_at)
    return _hidden(state), events


def _died(state: EpisodeState) -> bool:
    lasting = (one.kind for one in state.circumstances.values() if one.ended_at is None)
    left = state.discharge
    return CircumstanceKind.DECEASED in lasting or (
        left is not None and left.kind is DischargeKind.DECEASED
    )


def _hidden(state: EpisodeState) -> EpisodeState:
    stopped = state.stopped_by is not None
    hidden = {
        key: loop.replace(hidden=stopped and loop.kind != FollowupLoop.CIRCUMSTANCE.value)
        for key, loop in state.loops.items()
    }
    return state if hidden == state.loops else state.replace(loops=hidden)


def _excused(state: EpisodeState, known: Circumstance, cause: Cause) -> StateAndEvents:
    """Check-ins whose window closed meanwhile are excused, those too that were missed before it was told.

    One that closed before it happened was missed.
    """
    events: list[Event] = []
    for key, item in check_ins.check_ins(state).items():
        if not _began(state, known) <= item.window.closes_at <= cause.now:
            continue
        if item.settled == "missed":
            excused = item.replace(settled="excused", was_missed=True)
            state = check_ins.with_item(state, key, excused)
        elif item.settled is None:
            state, cleared = check_ins.settle(state, key, item, "excused", ClearedReason.SUPERSEDED)
            events += cleared
    state, over = check_ins.finished(state, cause)
    return state, (*events, *over)


def _began(state: EpisodeState, known: Circumstance) -> datetime:
    """With the day on which it happened, whenever somebody told of it."""
    return min(known.recorded_at, calendar.midnight(known.on, state.time_zone))


def _put_off(state: EpisodeState, circumstance_id: str, cause: Cause) -> EpisodeState:
    """Nobody knows yet whether the person got somewhere after a referral: there is time for it again."""
    loop = state.outreach_loop
    if loop is None:
        return state
    over = state.circumstances[circumstance_id].replace(postponed={loop.key: loop.shown})
    state = state.replace(circumstances={**state.circumstances, circumstance_id: over})
    deadline_at = cause.now + outreach.REACH_AFTER_REFUSAL
    return loops.open_loop(state, FollowupLoop.OUTREACH, loop.id, cause, deadline_at=deadline_at)


def undo(
    state: EpisodeState, circumstance_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """It was a mistake: everything is as if it had not been recorded. What was due meanwhile comes now."""
    known = _of(state, circumstance_id)
    jail.must_be_stated(known)
    left = {key: one for key, one in state.circumstances.items() if key != circumstance_id}
    state = taken_back(state.replace(circumstances=left), circumstance_id, "circumstance")
    state, again = contact.goes_on(_due_again(_not_put_off(state, known)))
    state, withdrawn = reengagement.not_released(state, circumstance_id, cause)
    event = followup.CircumstanceUndone(circumstance_id=circumstance_id, reason=reason)
    return Decision(state, (event, *again, *withdrawn))


def _not_put_off(state: EpisodeState, known: Circumstance) -> EpisodeState:
    """What was put off when it ended is due when it was before, unless that has gone on since."""
    for key, loop in known.postponed.items():
        now = state.loops.get(key)
        if now is not None and now.step == loop.step:
            state, _ = endings.reopened(state, (loop,))
    return state


def _due_again(state: EpisodeState) -> EpisodeState:
    """Check-ins that nothing excuses any more are open again, and missed when their window has closed."""
    for key, item in check_ins.check_ins(state).items():
        if item.settled != "excused" or _lasted(state, item.window.closes_at):
            continue
        if item.was_missed:
            missed = item.replace(settled="missed", was_missed=False)
            state = check_ins.with_item(state, key, missed)
        else:
            state = check_ins.reopened(state, key, item)
    return state


def _lasted(state: EpisodeState, at: datetime) -> bool:
    """Whether a circumstance that has ended lasted then."""
    return any(
        one.ended_at is not None and _began(state, one) <= at <= one.ended_at
        for one in state.circumstances.values()
    )


def _of(state: EpisodeState, circumstance_id: str) -> Circumstance:
    contact.must_be_known(state)
    return holding(state, state.circumstances, circumstance_id, "circumstance")


def heard(before: EpisodeState, state: EpisodeState, events: Events) -> Events:
    """What is said of reaching the person, whatever led to it: nothing while nobody is called.

    When that begins what was escalated is taken back, and when it is over it stands again.
    """
    was_stopped, stopped = before.stopped_by is not None, state.stopped_by is not None
    if not was_stopped and not stopped:
        return events
    asked = FollowupLoop.CIRCUMSTANCE
    kept = (
        event
        for event in events
        if not isinstance(event, UNHEARD) or getattr(event, "loop", None) is asked
    )
    about_this: Events = ()
    if not was_stopped:
        _, about_this = loops.close_all(before, reason=ClearedReason.SUPERSEDED)
    elif not stopped:
        again = (one for one in state.loops.values() if one.kind != asked.value)
        about_this = endings.announced(state, again)
    return (*kept, *about_this)
