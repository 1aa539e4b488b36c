"""Sessions: put on the calendar, begun, ended, and called off. Pure, like all rules. The roll is in `roll.py`.

A session's record knows its roster and its roll; what it means for a person is handed to that person's record. The
roster of a group's session is taken when it begins. A roll that is not called within a day of the session's end is
somebody's to call: an open loop with an owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.attendance.episode import hours, intervals
from services.attendance.episode.episode_state import (
    EpisodeState,
    booked_sessions,
    expects,
    in_care,
    is_shut_out,
    known,
)
from services.attendance.episode.handoffs import (
    BackOnRoster,
    Booked,
    Dropped,
    LeftRoster,
    to_episodes,
)
from services.attendance.episode.hours import Booking
from services.attendance.groups import leaders
from services.attendance.groups.group_calendar import not_by_patient
from services.attendance.groups.session_state import (
    CalledOff,
    NewSession,
    Planned,
    RosterAsked,
    RosterTaken,
    SessionState,
    TookPlace,
    must_be_known,
    must_be_scheduled,
)
from shared import loops
from shared.contracts import attendance
from shared.contracts.attendance import CancelledBy
from shared.contracts.codes import AttendanceLoop, ClearedReason
from shared.decision import Cause, Decision, Events, Handoff, Handoffs
from shared.errors import Refused, Unknown

BEGINS: Final = "begins"
ENDED: Final = "ended"


# --- on the calendar -------------------------------------------------------------------------------------


def may_be_booked(episode: EpisodeState, booked: Booked, now: datetime) -> None:
    """Whether a person can stand on this roster. Raises why not: not in treatment then, paused, or somewhere else.

    What has begun is written down afterwards, also of somebody who has left since.
    """
    _was_here(episode, booked.starts_at, now)
    if is_shut_out(episode, booked.starts_at, booked.modality):
        raise Refused(
            "participation-paused",
            "The person is in no group until their pause is over.",
            hint="See them alone, book a session after the pause, or have the pause lifted.",
        )
    span = intervals.span(booked.starts_at, booked.minutes_planned)
    for key, other in booked_sessions(episode).items():
        elsewhere = key != booked.session_id and other.open and not other.family_only
        if elsewhere and not booked.family_only and intervals.overlap(other.held, span):
            raise Refused(
                "booked-then",
                "The person is expected at another session at that time.",
                hint="Choose another time, or cancel or move the other session.",
            )


def _was_here(episode: EpisodeState, starts_at: datetime, now: datetime) -> None:
    """Whether a person is in treatment, or was when a session began. Raises why not."""
    if starts_at > now:
        in_care(episode)
    known(episode)
    if not expects(episode, starts_at):
        raise Refused(
            "not-in-treatment-then",
            "The person was not in treatment at that time.",
            hint="Check the time; who came before the admission is seen outside of it.",
        )


def may_take_place(episodes: Sequence[EpisodeState], booked: Booked, now: datetime) -> None:
    """Whether a session without a group can be at this time. Raises why not for anybody who can still come to it.

    Who has left meanwhile is on no roster when it begins; with nobody left it can't take place.
    """
    here = [one for one in episodes if expects(one, booked.starts_at)]
    for episode in here or episodes:
        may_be_booked(episode, booked, now)


def scheduled_before(episodes: Sequence[EpisodeState], new: NewSession) -> str | None:
    """The session that this is once more: of the same people, at the same time, of the same kind."""
    same = [
        {
            key
            for key, booking in episode.bookings.items()
            if booking.group_id is None
            and booking.cancelled_by is None
            and _is_the_same(booking, new)
        }
        for episode in episodes
    ]
    return next(iter(sorted(set[str].intersection(*same))), None) if same else None


def _is_the_same(booking: Booking, new: NewSession) -> bool:
    """Whether a session that is booked is the one that is asked for."""
    kind = (booking.modality, booking.family_only, booking.service)
    return (booking.starts_at, booking.minutes_planned) == (
        new.starts_at,
        new.minutes_planned,
    ) and kind == (new.modality, new.family_only, new.service)


def schedule(state: SessionState, new: NewSession, cause: Cause) -> Decision[SessionState]:
    """Put a session without a group on the calendar, and in the week of everyone on its roster."""
    answer = {"session_id": cause.subject_id, "roster": len(new.roster)}
    if state.starts_at is not None:
        if state.cancelled_by is None and set(state.roster) == set(new.roster):
            return Decision(state, answer=answer)
        raise Refused(
            "session-exists",
            "This session is already scheduled.",
            hint="Read the session, or schedule another one under a new Idempotency-Key.",
        )
    state, event = _planned(state, new)
    begun = new.starts_at <= cause.now
    state = leaders.to_be_led(state, cause) if begun else state.arm(BEGINS, new.starts_at)
    booked = booking_of(state, cause.subject_id, new.starts_at, begins=begun)
    return Decision(
        state.replace(roster_taken=True), (event,), to_episodes(new.roster, booked), answer
    )


def planned(state: SessionState, body: Planned, cause: Cause) -> Decision[SessionState]:
    """The group's calendar has the session."""
    if state.starts_at is not None:
        return Decision(state)
    state, event = _planned(state, body.session)
    starts_at = body.session.starts_at
    if not body.begun:
        return Decision(state.arm(BEGINS, starts_at), (event,))
    booked = booking_of(state, cause.subject_id, starts_at, begins=True)
    state = leaders.to_be_led(state.replace(roster_taken=True), cause)
    return Decision(state, (event,), to_episodes(state.roster, booked))


def _planned(
    state: SessionState, new: NewSession
) -> tuple[SessionState, attendance.AttendanceEvent]:
    state = state.replace(
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        modality=new.modality,
        topic=new.topic,
        mode=new.mode,
        group_id=new.group_id,
        family_only=new.family_only,
        service=new.service,
        therapy=new.therapy,
        supports=new.supports,
        unscheduled=new.unscheduled,
        below_minimum=new.below_minimum,
        led=new.led,
        roster=new.roster,
    )
    event = attendance.SessionScheduled(
        group_id=new.group_id,
        modality=new.modality,
        topic=new.topic,
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        counts_toward_hours=hours.counts(new.modality, family_only=new.family_only),
        mode=new.mode,
    )
    return state.arm(ENDED, planned_end(state)), event


def begins(state: SessionState, cause: Cause) -> Decision[SessionState]:
    """The session begins: a group is asked who has a seat, and a roster of its own is looked at once more."""
    starts_at = must_be_scheduled(state)
    if state.group_id is not None:
        asked = RosterAsked(session_id=cause.subject_id, starts_at=starts_at)
        return Decision(state, (), (Handoff(f"group/{state.group_id}", asked),))
    return Decision(*_begun(state, state.roster, cause))


def roster_taken(state: SessionState, body: RosterTaken, cause: Cause) -> Decision[SessionState]:
    """Whoever has a seat now is on the roster, and stays on it."""
    if state.cancelled_by is not None or state.roster_taken:
        return Decision(state)
    state = state.replace(below_minimum=body.below_minimum)
    return Decision(*_begun(state, body.roster, cause))


def _begun(
    state: SessionState, roster: tuple[str, ...], cause: Cause
) -> tuple[SessionState, Events, Handoffs]:
    """Everybody on the roster is expected, unless their record says otherwise now."""
    state = state.replace(roster=roster, roster_taken=True, left=())
    if not roster:
        state, cleared = _nobody_comes(state, cause)
        return state, cleared, ()
    booked = booking_of(state, cause.subject_id, must_be_scheduled(state), begins=True)
    state = leaders.to_be_led(state, cause)
    return state.arm(ENDED, planned_end(state)), (), to_episodes(roster, booked)


def left_roster(state: SessionState, body: LeftRoster, cause: Cause) -> Decision[SessionState]:
    """Somebody of the roster is not to be expected: they have left, or should never have been there."""
    if state.roll_called or body.episode_id not in state.expected:
        return Decision(state)
    state = state.replace(left=(*state.left, body.episode_id))
    if state.expected:
        return Decision(state)
    return Decision(*_nobody_comes(state, cause))


def back_on_roster(state: SessionState, body: BackOnRoster, cause: Cause) -> Decision[SessionState]:
    """The person is expected again. Where the session is over for them, they were told so then: it was not offered."""
    if body.episode_id not in state.left or state.roll_called or state.cancelled_by is not None:
        return Decision(state)
    was_expected = bool(state.expected)
    state = state.replace(left=tuple(one for one in state.left if one != body.episode_id))
    if was_expected:
        return Decision(state)
    state = leaders.to_be_led(state, cause)
    return Decision(state.arm(ENDED, planned_end(state)))


# --- called off ------------------------------------------------------------------------------------------


def cancel(state: SessionState, by: CancelledBy, cause: Cause) -> Decision[SessionState]:
    """Take a session without a group off the calendar. What the program cancels is never held against a patient."""
    starts_at = must_be_scheduled(state)
    if state.roll_called:
        raise Refused(
            "roll-already-called",
            "The session took place: its roll has been called.",
            hint="Correct single entries of the roll instead.",
        )
    if by is CancelledBy.PATIENT and len(state.roster) > 1:
        raise not_by_patient()
    booked = booking_of(state, cause.subject_id, starts_at)
    dropped = Dropped(session_id=cause.subject_id, cancelled_by=by, booked=booked)
    state, events, handoffs = session_cancelled(state, by, cause)
    return Decision(state, events, (*to_episodes(state.roster, dropped), *handoffs))


def called_off(state: SessionState, body: CalledOff, cause: Cause) -> Decision[SessionState]:
    """The group's calendar has it no longer. One whose roll was called meanwhile took place."""
    if state.roll_called:
        took_place = TookPlace(session_id=cause.subject_id)
        return Decision(state, (), (Handoff(f"group/{state.group_id}", took_place),))
    if state.starts_at is None or state.cancelled_by is body.by:
        return Decision(state)
    return Decision(*session_cancelled(state, body.by, cause))


def session_cancelled(
    state: SessionState, by: CancelledBy, cause: Cause
) -> tuple[SessionState, Events, Handoffs]:
    """A session that does not take place, its event, and what its leaders are told; of two words the later holds."""
    event = attendance.SessionCancelled(
        group_id=state.group_id,
        modality=state.modality,
        starts_at=must_be_known(state),
        minutes_planned=state.minutes_planned,
        cancelled_by=by,
    )
    state = state.replace(cancelled_by=by)
    state, cleared = close_roll_call(state, cause, ClearedReason.WITHDRAWN)
    state, nobody_leads = leaders.nobody_leads(state)
    return state, (event, *cleared, *nobody_leads), leaders.told(state, cause)


# --- the end --------------------------------------------------------------------------------------------


def ended(state: SessionState, cause: Cause) -> Decision[SessionState]:
    """The session has ended: its roll is to be called, if somebody was expected."""
    state, cleared = leaders.is_over(state, cause)
    if state.expected or not state.roster_taken:
        state = loops.open_loop(state, AttendanceLoop.ROLL_CALL, cause.subject_id, cause)
    return Decision(state, cleared)


# --- what rules share ------------------------------------------------------------------------------------


def _nobody_comes(state: SessionState, cause: Cause) -> tuple[SessionState, Events]:
    """Nobody has to call a roll without people, nor to lead them, as long as it is one."""
    loop_id, why = cause.subject_id, ClearedReason.WITHDRAWN
    state, cleared = loops.close(state, AttendanceLoop.ROLL_CALL, loop_id, why)
    state, led = leaders.need_not_be_led(state, cause)
    return state, (*cleared, *led)


def close_roll_call(
    state: SessionState, cause: Cause, reason: ClearedReason = ClearedReason.RESOLVED
) -> tuple[SessionState, Events]:
    """Nobody has to call this roll any more, also when the session begins or ends by its clock only now."""
    over = state.disarm(BEGINS, ENDED)
    return loops.close(over, AttendanceLoop.ROLL_CALL, cause.subject_id, reason)


def booking_of(
    state: SessionState, session_id: str, starts_at: datetime, *, begins: bool = False
) -> Booked:
    """What a person on the roster is told."""
    return Booked(
        session_id=session_id,
        starts_at=starts_at,
        minutes_planned=state.minutes_planned,
        modality=state.modality,
        group_id=state.group_id,
        family_only=state.family_only,
        service=state.service,
        times_changed=state.times_changed,
        begins=begins,
    )


def planned_end(state: SessionState) -> datetime:
    """When a session is planned to end. Raises `Unknown`."""
    if state.ends_at is None:
        raise Unknown("session")
    return state.ends_at
