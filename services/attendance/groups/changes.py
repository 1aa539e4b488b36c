"""Changes of a calendar: sessions moved, put back, called off by somebody else, and days on which nobody comes. Pure.

A session without a group decides for itself; the group decides for its own, and tells its people and its sessions. What
was accepted never disappears: whoever hears of the older change after the later one keeps the later. Decision 17.
"""

from __future__ import annotations

from datetime import UTC, datetime

from services.attendance.episode.handoffs import Dropped, to_episodes
from services.attendance.groups import group_calendar, leaders
from services.attendance.groups.closures import FacilityClosed
from services.attendance.groups.group_calendar import called_off, closed_told, slot_of, with_slot
from services.attendance.groups.group_state import GroupState, Slot, Unscheduled, booking_of
from services.attendance.groups.session_state import (
    Moved,
    PutBack,
    SessionState,
    must_be_known,
    must_be_scheduled,
    was_cancelled,
)
from services.attendance.groups.sessions import (
    BEGINS,
    ENDED,
    planned_end,
    session_cancelled,
)
from services.attendance.groups.sessions import booking_of as booking_of_session
from shared import calendar
from shared.contracts import attendance
from shared.contracts.attendance import CancelledBy
from shared.contracts.codes import Value
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.errors import Refused


class NewTime(Value):
    """When a session is to be instead."""

    starts_at: datetime
    minutes_planned: int | None = None
    """None: as long as before."""
    unscheduled: Unscheduled | None = None
    """None: as before, if the new time is outside as well."""


# --- of a group ------------------------------------------------------------------------------------------


def move_of_group(
    state: GroupState, session_id: str, new: NewTime, cause: Cause
) -> Decision[GroupState]:
    """Give a session of the group another time, within its days and hours."""
    group_calendar.must_be_open(state)
    slot = slot_of(state, session_id)
    _may_be_moved(slot.starts_at, new, cause.now)
    if slot.cancelled_by is not None:
        raise was_cancelled()
    moved = slot.replace(
        starts_at=new.starts_at.astimezone(UTC),
        minutes_planned=new.minutes_planned or slot.minutes_planned,
        unscheduled=new.unscheduled,
        times_changed=slot.times_changed + 1,
    )
    others = {key: one for key, one in state.slots.items() if key != session_id}
    without = state.replace(slots=others)
    if new.unscheduled is None and not group_calendar.is_regular(without, moved):
        moved = moved.replace(unscheduled=slot.unscheduled)
    group_calendar.may_have(without, moved)
    state = with_slot(state, session_id, moved, cause.now)
    body = Moved(
        starts_at=moved.starts_at,
        minutes_planned=moved.minutes_planned,
        times_changed=moved.times_changed,
        unscheduled=moved.unscheduled,
    )
    handoffs = (Handoff(f"session/{session_id}", body), *_booked(state, session_id, cause))
    return Decision(state, (), handoffs, {"session_id": session_id})


def put_back_of_group(state: GroupState, session_id: str, cause: Cause) -> Decision[GroupState]:
    """A session that was called off takes place after all, unless another one is there now.

    However late: what the group had before it ended is put back too, and its roll is called.
    """
    slot = slot_of(state, session_id)
    group_calendar.must_have_met(state, slot.starts_at)
    if slot.cancelled_by is None:
        raise _not_cancelled()
    group_calendar.is_free(state, slot)
    after, handoffs = _put_back(state, session_id, slot, cause)
    handoffs += closed_told(state, after, cause)
    return Decision(after, (), handoffs, {"session_id": session_id})


def blame_of_group(
    state: GroupState, session_id: str, by: CancelledBy, cause: Cause
) -> Decision[GroupState]:
    """Somebody else cancelled the session than was said."""
    slot = slot_of(state, session_id)
    if slot.cancelled_by is None:
        raise _not_cancelled()
    if by is CancelledBy.PATIENT:
        raise group_calendar.not_by_patient()
    after, handoffs = called_off(state, session_id, by, cause, closed=slot.closed)
    handoffs += closed_told(state, after, cause)
    return Decision(after, (), handoffs, {"session_id": session_id})


def facility_closed(state: GroupState, body: FacilityClosed, cause: Cause) -> Decision[GroupState]:
    """On a day that is closed now nothing takes place; what a closure called off that is no more is put back.

    Only days that this change closes or opens are looked at: what somebody has put back, moved or cancelled meanwhile
    stands. What has begun today, or has a roll, took place; of a day that is over, what nobody has called the roll of
    did not. What was called off ahead and is over by now stays so, because nobody came. What is outside the calendar
    (`unscheduled`) somebody meant to be there.
    """
    before, state = state, state.replace(closures=body.closures)
    handoffs: Handoffs = ()
    for session_id, slot in before.slots.items():
        was, closure = before.closure_of(slot), state.closure_of(slot)
        if (was is None) is (closure is None) or slot.took_place:
            continue
        if closure is not None and _is_called_off_by_it(state, slot, cause.now):
            state, told = called_off(state, session_id, closure.cancels_by, cause, closed=True)
            handoffs += told
        elif closure is None and _is_put_back_by_it(state, slot, cause.now):
            state, told = _put_back(state, session_id, slot, cause)
            handoffs += told
    return Decision(state, (), (*handoffs, *closed_told(before, state, cause)))


def _is_called_off_by_it(state: GroupState, slot: Slot, now: datetime) -> bool:
    """Whether a session without a roll does not take place, or did not, when its day turns out to be closed."""
    day_over = state.day_of(slot) < calendar.local_day(now, state.time_zone)
    open_still = slot.cancelled_by is None and slot.unscheduled is None
    return open_still and (slot.starts_at > now or day_over)


def _is_put_back_by_it(state: GroupState, slot: Slot, now: datetime) -> bool:
    """Whether what a closure called off takes place, or did, when the closure is taken back."""
    off_by_it = slot.closed and slot.cancelled_by is not None
    may_have_come = slot.starts_at > now or slot.closed_late
    free = state.met_at(slot.starts_at) and not group_calendar.is_taken(state, slot)
    return off_by_it and may_have_come and free


def _put_back(
    state: GroupState, session_id: str, slot: Slot, cause: Cause
) -> tuple[GroupState, Handoffs]:
    back = slot.replace(
        cancelled_by=None, closed=False, closed_late=False, times_changed=slot.times_changed + 1
    )
    state = with_slot(state, session_id, back, cause.now)
    told = Handoff(f"session/{session_id}", PutBack(times_changed=back.times_changed))
    return state, (told, *_booked(state, session_id, cause))


def _booked(state: GroupState, session_id: str, cause: Cause) -> Handoffs:
    roster = state.roster_of(state.slots[session_id], cause.now)
    return to_episodes(roster, booking_of(state, cause.subject_id, session_id))


# --- what a session of a group hears ---------------------------------------------------------------------


def moved(state: SessionState, body: Moved, cause: Cause) -> Decision[SessionState]:
    """The group's calendar has the session at another time."""
    if state.starts_at is None or body.times_changed <= state.times_changed:
        return Decision(state)
    state = state.replace(unscheduled=body.unscheduled)
    return _at_another_time(state, body.starts_at, body.minutes_planned, body.times_changed, cause)


def put_back(state: SessionState, body: PutBack, cause: Cause) -> Decision[SessionState]:
    """The group's calendar has the session again."""
    if state.cancelled_by is None or body.times_changed <= state.times_changed:
        return Decision(state)
    return _again(state, body.times_changed, cause)


# --- of a session without a group ------------------------------------------------------------------------


def move(state: SessionState, new: NewTime, cause: Cause) -> Decision[SessionState]:
    """Give a session without a group another time."""
    _may_be_moved(must_be_scheduled(state), new, cause.now)
    minutes = new.minutes_planned or state.minutes_planned
    decision = _at_another_time(
        state, new.starts_at.astimezone(UTC), minutes, state.times_changed + 1, cause
    )
    after = decision.state
    booked = booking_of_session(after, cause.subject_id, must_be_scheduled(after))
    handoffs = (*to_episodes(after.roster, booked), *decision.handoffs)
    return Decision(after, decision.events, handoffs)


def uncancel(state: SessionState, cause: Cause) -> Decision[SessionState]:
    """A session without a group takes place after all."""
    starts_at = must_be_known(state)
    if state.cancelled_by is None:
        raise _not_cancelled()
    decision = _again(state, state.times_changed + 1, cause)
    booked = booking_of_session(decision.state, cause.subject_id, starts_at)
    handoffs = (*to_episodes(state.roster, booked), *decision.handoffs)
    return Decision(decision.state, decision.events, handoffs)


def blame(state: SessionState, by: CancelledBy, cause: Cause) -> Decision[SessionState]:
    """Somebody else cancelled the session than was said; the later word holds."""
    starts_at = must_be_known(state)
    if state.cancelled_by is None:
        raise _not_cancelled()
    if by is CancelledBy.PATIENT and len(state.roster) > 1:
        raise group_calendar.not_by_patient()
    booked = booking_of_session(state, cause.subject_id, starts_at)
    dropped = Dropped(session_id=cause.subject_id, cancelled_by=by, booked=booked)
    state, events, handoffs = session_cancelled(state, by, cause)
    return Decision(state, events, (*to_episodes(state.roster, dropped), *handoffs))


# --- what they share -------------------------------------------------------------------------------------


def _may_be_moved(starts_at: datetime, new: NewTime, now: datetime) -> None:
    if min(starts_at, new.starts_at) <= now:
        raise Refused(
            "session-begun",
            "What has begun is not moved, and nothing is moved into the past.",
            hint="Cancel the session, and schedule another one.",
        )


def _at_another_time(
    state: SessionState, starts_at: datetime, minutes: int, times_changed: int, cause: Cause
) -> Decision[SessionState]:
    state = state.replace(
        starts_at=starts_at,
        minutes_planned=minutes,
        times_changed=times_changed,
        left=(),
        roster_taken=state.group_id is None,
    )
    event = attendance.SessionRescheduled(
        group_id=state.group_id, starts_at=starts_at, minutes_planned=minutes
    )
    if state.cancelled_by is not None:
        return Decision(state)
    state = state.arm(BEGINS, starts_at).arm(ENDED, planned_end(state))
    return Decision(state, (event,), leaders.told(state, cause))


def _again(state: SessionState, times_changed: int, cause: Cause) -> Decision[SessionState]:
    state = state.replace(cancelled_by=None, times_changed=times_changed, left=())
    starts_at = must_be_scheduled(state)
    state = leaders.to_be_led(state, cause)
    event = attendance.SessionCancellationUndone(starts_at=starts_at)
    state = state.arm(BEGINS, starts_at).arm(ENDED, planned_end(state))
    return Decision(state, (event,), leaders.told(state, cause))


def _not_cancelled() -> Refused:
    return Refused(
        "session-not-cancelled",
        "The session was not cancelled.",
        hint="Read the session; cancel it first if it is not to take place.",
    )
