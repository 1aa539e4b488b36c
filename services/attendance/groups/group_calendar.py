"""A group's calendar: when it meets, within its track, and what its people and sessions are told of it. Pure.

The group refuses two sessions at one time; asked for the same session again, it answers with the one that is there.
Whoever has a seat is told of every session that is ahead, and of every change. Which days and how often follows from
the program's track; a session outside them says why. Source: docs/domain.md 3.4 (Groups), decision 17.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.attendance.episode import intervals
from services.attendance.episode.handoffs import (
    CalendarShared,
    ClosedOn,
    Dropped,
    Unbooked,
    to_episodes,
)
from services.attendance.groups.group_state import GroupState, Slot, booking_of
from services.attendance.groups.session_state import (
    CalledOff,
    NewSession,
    Planned,
    RosterAsked,
    RosterTaken,
    TookPlace,
    was_cancelled,
)
from shared import calendar
from shared.contracts.attendance import CancelledBy
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.errors import Invalid, Refused, Unknown

KEPT: Final = timedelta(days=400)
"""For how long a session is kept whose roll was called: what is corrected of it later, its own record knows."""


# --- scheduling ------------------------------------------------------------------------------------------


def schedule(
    state: GroupState, new: NewSession, session_id: str, cause: Cause
) -> Decision[GroupState]:
    """Put a session on the group's calendar, and in the week of everybody who is expected."""
    must_have_met(state, new.starts_at)
    slot = Slot(
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        modality=new.modality,
        topic=new.topic,
        family_only=new.family_only,
        service=new.service,
        unscheduled=new.unscheduled,
        only=tuple(sorted(new.roster)),
    )
    _is_within_program(state, slot)
    there = _at_that_time(state, slot)
    if there is not None:
        return Decision(state, answer=_answer(state, there, cause.now))
    if new.therapy is not None and state.therapies and new.therapy not in state.therapies:
        raise outside("The program does not have this approach.")
    _is_within_track(state, slot)
    _is_open_then(state, slot)
    if not set(new.roster) <= set(state.roster_of(slot.replace(only=()), cause.now)):
        raise Refused(
            "not-in-group",
            "Somebody on the roster has no seat in the group.",
            hint="Give them a seat, or add them to the roll when they come.",
        )
    state = with_slot(state, session_id, slot, cause.now)
    return _told(state, session_id, cause, new)


def _told(
    state: GroupState, session_id: str, cause: Cause, new: NewSession
) -> Decision[GroupState]:
    slot = state.slots[session_id]
    roster = state.roster_of(slot, cause.now)
    begun = slot.starts_at <= cause.now
    planned = Planned(
        session=new.replace(
            roster=roster if begun else (),
            below_minimum=state.is_too_few(roster),
            led=state.led,
        ),
        begun=begun,
    )
    handoffs: Handoffs = (Handoff(f"session/{session_id}", planned),)
    if not begun:
        handoffs += to_episodes(roster, booking_of(state, cause.subject_id, session_id))
    return Decision(state, (), handoffs, _answer(state, session_id, cause.now))


def _answer(state: GroupState, session_id: str, now: datetime) -> dict[str, object]:
    roster = state.roster_of(state.slots[session_id], now)
    answer: dict[str, object] = {"session_id": session_id, "roster": len(roster)}
    if state.is_too_few(roster):
        answer["below_minimum"] = True
    return answer


def may_have(state: GroupState, slot: Slot) -> None:
    """Whether the calendar has room for a session. Raises why not."""
    _is_within_program(state, slot)
    is_free(state, slot)
    _is_within_track(state, slot)
    _is_open_then(state, slot)


def is_taken(state: GroupState, slot: Slot) -> bool:
    """Whether a session that takes place is at that time."""
    return any(
        other.cancelled_by is None and intervals.overlap(other.time, slot.time)
        for other in state.slots.values()
    )


def is_free(state: GroupState, slot: Slot) -> None:
    """Whether no other session is at that time. Raises `Refused`."""
    if is_taken(state, slot):
        raise _meets_then()


def is_regular(state: GroupState, slot: Slot) -> bool:
    """Whether a session is within the track, and on a day on which the facility is open."""
    try:
        _is_within_track(state, slot)
        _is_open_then(state, slot)
    except Refused:
        return False
    return True


def _is_open_then(state: GroupState, slot: Slot) -> None:
    if slot.unscheduled is None and state.closure_of(slot) is not None:
        raise Refused(
            "facility-closed",
            "The facility is closed on that day.",
            hint="Choose another day, or take the closure back.",
        )


def _is_within_program(state: GroupState, slot: Slot) -> None:
    least, most = state.minutes_min or 0, state.minutes_max or slot.minutes_planned
    if not least <= slot.minutes_planned <= most:
        raise outside("The group's sessions are longer or shorter.")
    if slot.topic is not None and state.topics and slot.topic not in state.topics:
        raise outside("The group does not have this topic.")
    if len(slot.only) > state.seats_max:
        raise Refused(
            "group-too-large",
            "More people than the group has seats.",
            hint="Divide them into two sessions.",
        )


def _at_that_time(state: GroupState, slot: Slot) -> str | None:
    """The same session, where it is on the calendar already. Raises what else is there at that time."""
    for key, other in state.slots.items():
        if other.cancelled_by is not None or not intervals.overlap(other.time, slot.time):
            continue
        if _is_the_same(other, slot):
            return key
        raise _meets_then()
    return None


def _is_the_same(one: Slot, other: Slot) -> bool:
    """Whether one is the other, asked for once more."""
    return (one.time, one.only, one.modality, one.family_only, one.service) == (
        other.time,
        other.only,
        other.modality,
        other.family_only,
        other.service,
    )


def _meets_then() -> Refused:
    return Refused(
        "group-meets-then",
        "The group has another session at that time.",
        hint="Choose another time, or move or cancel the other session.",
    )


def _is_within_track(state: GroupState, slot: Slot) -> None:
    """The days and hours of the track, and how often it meets; what is outside of them says why."""
    if slot.unscheduled is not None:
        return
    track, zone, day = state.track_hours, state.time_zone, state.day_of(slot)
    begins, ends = slot.time
    if track is not None and not (
        day.isoweekday() in track.weekdays
        and calendar.instant(day, track.begins, zone) <= begins
        and ends <= calendar.instant(day, track.ends, zone)
    ):
        raise _outside_track("The track meets on other days, or at other hours.")
    monday = calendar.monday_of(day)
    usual = sum(
        other.unscheduled is None
        and other.cancelled_by is None
        and calendar.monday_of(state.day_of(other)) == monday
        for other in state.slots.values()
    )
    if state.sessions_per_week is not None and usual >= state.sessions_per_week:
        raise _outside_track("The group has met as often as it does in a week.")


def _outside_track(why: str) -> Refused:
    return Refused(
        "outside-track",
        why,
        hint="Choose another time, or say in `unscheduled` why the session is outside.",
    )


def outside(why: str) -> Invalid:
    """A refusal of what the group's program does not have."""
    return Invalid(
        "outside-program", why, hint="Read the program's profile, or change it in a new version."
    )


# --- calling off -----------------------------------------------------------------------------------------


def call_off(
    state: GroupState, session_id: str, by: CancelledBy, cause: Cause
) -> Decision[GroupState]:
    """Take a session off the calendar. One patient can't cancel what others are expected at."""
    slot = slot_of(state, session_id)
    if slot.cancelled_by is not None:
        raise was_cancelled()
    if slot.took_place:
        raise Refused(
            "roll-already-called",
            "The session took place: its roll has been called.",
            hint="Correct single entries of the roll instead.",
        )
    if by is CancelledBy.PATIENT:
        raise not_by_patient()
    after, handoffs = called_off(state, session_id, by, cause)
    handoffs += closed_told(state, after, cause)
    return Decision(after, (), handoffs, {"session_id": session_id})


def not_by_patient() -> Refused:
    """A refusal of a cancellation that would count against everybody."""
    return Refused(
        "not-by-patient",
        "A session of several people is never cancelled by one of them.",
        hint="Call the roll with them excused, or name who cancelled it for all.",
    )


def all_called_off(state: GroupState, cause: Cause) -> tuple[GroupState, Handoffs]:
    """The group ends: nothing that is ahead takes place."""
    handoffs: Handoffs = ()
    for session_id in _ahead(state, cause.now):
        state, told = called_off(state, session_id, CancelledBy.PROGRAM, cause)
        handoffs += told
    return state, handoffs


def called_off(
    state: GroupState, session_id: str, by: CancelledBy, cause: Cause, *, closed: bool = False
) -> tuple[GroupState, Handoffs]:
    """Take a session off the calendar, and tell it and everybody who is expected."""
    slot = state.slots[session_id]
    roster = state.roster_of(slot, cause.now)
    booked = booking_of(state, cause.subject_id, session_id)
    off = slot.replace(
        cancelled_by=by,
        closed=closed,
        closed_late=closed and (slot.closed_late if slot.closed else slot.starts_at <= cause.now),
    )
    state = with_slot(state, session_id, off, cause.now)
    dropped = Dropped(session_id=session_id, cancelled_by=by, booked=booked)
    session = Handoff(f"session/{session_id}", CalledOff(by=by))
    return state, (session, *to_episodes(roster, dropped))


def closed_told(before: GroupState, after: GroupState, cause: Cause) -> Handoffs:
    """What people are told of the days on which nobody could come, where a change of the calendar changed them."""
    if before.days_closed == after.days_closed:
        return ()
    people = {*after.confirmed, *(seat.episode_id for seat in after.former_seats)}
    told = {one: after.days_closed_for(one) for one in sorted(people)}
    return tuple(
        Handoff(f"episode/{one}", ClosedOn(group_id=cause.subject_id, days=days))
        for one, days in told.items()
        if days != before.days_closed_for(one)
    )


# --- what sessions tell and ask ------------------------------------------------------------------------


def roster_asked(state: GroupState, body: RosterAsked, cause: Cause) -> Decision[GroupState]:
    """A session begins: its roster is whoever has a seat at that moment."""
    slot = state.slots.get(body.session_id)
    if slot is None or slot.cancelled_by is not None or slot.starts_at != body.starts_at:
        return Decision(state)  # it was called off or moved: the session hears of it
    roster = state.roster_of(slot, max(cause.now, slot.starts_at))
    taken = RosterTaken(roster=roster, below_minimum=state.is_too_few(roster))
    return Decision(state, (), (Handoff(f"session/{body.session_id}", taken),))


def took_place(state: GroupState, body: TookPlace, cause: Cause) -> Decision[GroupState]:
    """The roll was called: what was called off in the same moment took place."""
    slot = state.slots.get(body.session_id)
    if slot is None:
        return Decision(state)
    slot = slot.replace(took_place=True, cancelled_by=None)
    return Decision(with_slot(state, body.session_id, slot, cause.now))


# --- what people are told when they get or lose a seat ---------------------------------------------------


def shared_with(state: GroupState, episode_id: str, cause: Cause) -> Handoffs:
    """The sessions that are ahead, for who has just got a seat."""
    ahead = _ahead_for(state, episode_id, cause.now)
    if not ahead and not state.days_closed:
        return ()
    booked = tuple(booking_of(state, cause.subject_id, key) for key in ahead)
    body = CalendarShared(group_id=cause.subject_id, sessions=booked, days_closed=state.days_closed)
    return (Handoff(f"episode/{episode_id}", body),)


def taken_from(state: GroupState, episode_id: str, cause: Cause) -> Handoffs:
    """The sessions that are ahead, also those that were called off, for who has just lost their seat."""
    ahead = tuple(
        key
        for key, slot in state.slots.items()
        if slot.starts_at > cause.now and slot.is_for(episode_id)
    )
    if not ahead and not state.days_closed:
        return ()
    days = state.days_closed_for(episode_id)
    body = Unbooked(group_id=cause.subject_id, session_ids=ahead, days_closed=days)
    return (Handoff(f"episode/{episode_id}", body),)


def _ahead_for(state: GroupState, episode_id: str, now: datetime) -> tuple[str, ...]:
    slots = ((key, state.slots[key]) for key in _ahead(state, now))
    return tuple(key for key, slot in slots if slot.is_for(episode_id))


def _ahead(state: GroupState, now: datetime) -> tuple[str, ...]:
    return tuple(
        key
        for key, slot in state.slots.items()
        if slot.starts_at > now and slot.cancelled_by is None
    )


def with_slot(state: GroupState, session_id: str, slot: Slot, now: datetime) -> GroupState:
    """The calendar with this session as it is now, and without what is long past and settled.

    What was called off, or has no roll, may be put right however late, for who was expected then.
    """
    kept = {
        key: one
        for key, one in state.slots.items()
        if one.starts_at >= now - KEPT or not one.took_place
    }
    return state.replace(slots={**kept, session_id: slot})


def slot_of(state: GroupState, session_id: str) -> Slot:
    """A session on the calendar. Raises `Unknown`."""
    slot = state.slots.get(session_id)
    if slot is None:
        raise Unknown("session")
    return slot


def must_have_met(state: GroupState, starts_at: datetime) -> None:
    """Raise unless the group takes people, or did at that time: a session may be written down after its end."""
    if not state.met_at(starts_at):
        must_be_open(state)


def must_be_open(state: GroupState) -> None:
    """Raise `Unknown` or `Refused` unless the group takes people."""
    if state.opened_at is None:
        raise Unknown("group")
    if state.closed_at is not None:
        raise Refused("group-closed", "The group has ended.", hint="Choose another group.")
