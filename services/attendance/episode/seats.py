"""An episode's seats in groups: handoffs from groups, and requests to them. Pure, like all rules.

The group's record alone owns the seats, so that two people never get the last one. An episode asks for a seat to be
held, confirmed or freed, and publishes what the group decided: `seat-reserved` and `seat-released`, each once.
A held seat becomes the person's with the admission; it falls free when they leave, in whichever way. Source:
docs/domain.md 3.4 (Groups), scenarios 5 and 9.
"""

from __future__ import annotations

from datetime import datetime, time

from services.attendance.episode import weeks
from services.attendance.episode.episode_state import (
    LEVEL,
    Ending,
    EpisodeState,
    Seat,
    SeatTime,
    Waiting,
)
from shared import loops
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import SeatReleaseReason
from shared.contracts.codes import AttendanceLoop
from shared.contracts.intake import WaitlistExit
from shared.decision import Cause, Decision, Handoff, HandoffBody, Handoffs, derive_id
from shared.errors import Refused
from shared.loops import must_stand

# --- between an episode and a group ----------------------------------------------------------------------


class HoldSeat(HandoffBody):
    """To a group: hold a seat for this person until then."""

    episode_id: str
    until: datetime


class ConfirmSeat(HandoffBody):
    """To a group: the person is here, the seat is theirs."""

    episode_id: str


class TakeSeat(HandoffBody):
    """To a group: the person is here after all, and wants the seat again that they had."""

    episode_id: str


class ReleaseSeat(HandoffBody):
    """To a group: the person does not need the seat any more."""

    episode_id: str
    reason: SeatReleaseReason


class SeatGiven(HandoffBody):
    """To an episode: you have a seat, for good or until then."""

    group_id: str
    seats_left: int
    level_code: str | None = None
    track: str | None = None
    held_until: datetime | None = None
    taken_at: datetime | None = None
    """From when on it is yours; None while it is only held."""
    weekdays: tuple[int, ...] = ()
    """On which days of the week the group meets; 1 is Monday."""
    begins: time | None = None
    """From when on it meets on these days."""


class SeatFreed(HandoffBody):
    """To an episode: your seat is free again."""

    group_id: str
    seats_left: int
    reason: SeatReleaseReason
    freed_at: datetime


class SeatMissing(HandoffBody):
    """To an episode: there is no seat to be had in this group."""

    group_id: str


def may_have_one(state: EpisodeState) -> None:
    """Check that a seat can be held for this person. Raises why not."""
    must_stand(state)
    if gone(state) is not None:
        raise Refused(
            "episode-closed",
            "The person is not in this program any more.",
            hint="If the end was a mistake, have it taken back; what happened before it is still written down.",
        )


# --- handoffs of groups to an episode --------------------------------------------------------------------


def given(state: EpisodeState, body: SeatGiven, cause: Cause) -> Decision[EpisodeState]:
    """The group has a seat for the person; a person who has left meanwhile gives it back."""
    reason = gone(state) or _moved_on(state, body.level_code, cause.now)
    seat = Seat(level_code=body.level_code, track=body.track, held_until=body.held_until)
    state = _seated(state.replace(seats={**state.seats, body.group_id: seat}), body)
    event = attendance.SeatReserved(
        group_id=body.group_id, seats_left=body.seats_left, hold_expires_at=body.held_until
    )
    if reason is not None:
        state = with_seats_aside(state, cause) if gone(state) else state
        return Decision(state, (event,), (_release(cause, body.group_id, reason),))
    state, cleared = loops.close(state, AttendanceLoop.SEAT, _found(state, body.group_id, cause))
    state, evaluated = weeks.reconsider(state, cause)
    return Decision(state, (event, *cleared, *evaluated), confirmations(state, cause))


def _seated(state: EpisodeState, body: SeatGiven) -> EpisodeState:
    """From now on the sessions of this group are the person's."""
    has_it = any(one.group_id == body.group_id and one.until is None for one in state.seat_times)
    if body.taken_at is None or has_it or state.void:
        return state
    time_of_it = SeatTime(
        group_id=body.group_id,
        since=body.taken_at,
        weekdays=body.weekdays,
        begins=body.begins,
    )
    return state.replace(seat_times=(*state.seat_times, time_of_it))


def freed(state: EpisodeState, body: SeatFreed, cause: Cause) -> Decision[EpisodeState]:
    """The seat is free again: published once, for a seat that the person had."""
    if body.group_id not in state.seats:
        return Decision(state)
    seats = {group: seat for group, seat in state.seats.items() if group != body.group_id}
    event = attendance.SeatReleased(
        group_id=body.group_id, seats_left=body.seats_left, reason=body.reason
    )
    times = tuple(
        one.replace(until=body.freed_at)
        if one.group_id == body.group_id and one.until is None
        else one
        for one in state.seat_times
    )
    state, evaluated = weeks.reconsider(state.replace(seats=seats, seat_times=times), cause)
    return Decision(state, (event, *evaluated))


def _found(state: EpisodeState, group_id: str, cause: Cause) -> str:
    """The loop that this seat closes: of the same group, or else the oldest of a seat that was to be found."""
    own = _loop_id(cause, group_id)
    looked_for = state.loops_of(AttendanceLoop.SEAT)
    if not looked_for or any(loop.id == own for loop in looked_for):
        return own
    return min(looked_for, key=lambda loop: loop.opened_at).id


def missing(state: EpisodeState, body: SeatMissing, cause: Cause) -> Decision[EpisodeState]:
    """A seat was offered, or counted on, and is not there: somebody has to find another one."""
    if gone(state) is not None:
        return Decision(state)
    state = loops.open_loop(state, AttendanceLoop.SEAT, _loop_id(cause, body.group_id), cause)
    return Decision(state)


# --- what an episode asks of groups ----------------------------------------------------------------------


def confirmations(state: EpisodeState, cause: Cause) -> Handoffs:
    """A held seat becomes the person's with the admission, whichever event arrives first."""
    if state.admission is None or gone(state) is not None:
        return ()
    return tuple(
        Handoff(f"group/{group}", ConfirmSeat(episode_id=cause.subject_id))
        for group, seat in state.seats.items()
        if seat.held_until is not None
    )


def leave(state: EpisodeState, reason: SeatReleaseReason, cause: Cause) -> Handoffs:
    """Every seat of the person is to be freed."""
    return tuple(_release(cause, group, reason) for group in state.seats)


def with_seats_aside(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Remember the seats that an end takes away, and since when."""
    ending = state.ending or Ending()
    seats = tuple(dict.fromkeys((*ending.seats, *state.seats)))
    return state.replace(ending=ending.replace(seats=seats, since=ending.since or cause.now))


def asked_again(groups: tuple[str, ...], cause: Cause) -> Handoffs:
    """The end that took these seats away is taken back."""
    body = TakeSeat(episode_id=cause.subject_id)
    return tuple(Handoff(f"group/{group}", body) for group in groups)


def gone(state: EpisodeState) -> SeatReleaseReason | None:
    """Why the person needs no seat here any more; None while they may."""
    if state.void or state.left_at is not None or _holds(state, state.graduated_at):
        return SeatReleaseReason.EPISODE_CLOSED
    return SeatReleaseReason.MOVED if _holds(state, state.transferred_at) else None


def moved(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Handoffs]:
    """At another level of care the groups of the former one are not the person's any more.

    The change that took these seats remembers them, for the case that it is taken back.
    """
    left = tuple(
        group for group, seat in state.seats.items() if _moved_on(state, seat.level_code, cause.now)
    )
    if not left:
        return state, ()
    held = max((at for at, one in enumerate(state.levels) if one.effective_at <= cause.now))
    change = state.levels[held]
    change = change.replace(seats=tuple(dict.fromkeys((*change.seats, *left))))
    levels = (*state.levels[:held], change, *state.levels[held + 1 :])
    released = (_release(cause, group, SeatReleaseReason.MOVED) for group in left)
    return state.replace(levels=levels), tuple(released)


def watch_level(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Changes of level that lie ahead take effect on their day."""
    ahead = [one.effective_at for one in state.levels if one.effective_at > cause.now]
    if state.void or state.left_at is not None or not ahead:
        return state.disarm(LEVEL)
    return state.arm(LEVEL, min(ahead))


def level_takes_effect(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The day of a change of level has come."""
    state, released = moved(watch_level(state, cause), cause)
    return Decision(state, (), released)


# --- the waiting list ------------------------------------------------------------------------------------


def joined(
    state: EpisodeState, event: intake.WaitlistJoined, _cause: Cause
) -> Decision[EpisodeState]:
    """The person is on the waiting list of a track: the demand that a group's page shows."""
    return Decision(state.replace(waiting=Waiting(track=event.track, position=event.position)))


def offered(
    state: EpisodeState, event: intake.WaitlistOffered, cause: Cause
) -> Decision[EpisodeState]:
    """An offer holds the seat for this person until it lapses; the seat of an earlier offer is freed."""
    before = None if state.waiting is None else state.waiting.group_id
    waiting = Waiting(
        track=event.track, group_id=event.group_id, offer_expires_at=event.offer_expires_at
    )
    handoffs: list[Handoff] = []
    if before is not None and before != event.group_id:
        handoffs.append(_release(cause, before, SeatReleaseReason.WITHDRAWN))
    if event.group_id is not None and gone(state) is None:
        hold = HoldSeat(episode_id=cause.subject_id, until=event.offer_expires_at)
        handoffs.append(Handoff(f"group/{event.group_id}", hold))
    return Decision(state.replace(waiting=waiting), (), tuple(handoffs))


def waiting_ended(
    state: EpisodeState, event: intake.WaitlistLeft, cause: Cause
) -> Decision[EpisodeState]:
    """A person who accepted the offer has the seat; otherwise the seat is freed."""
    group = None if state.waiting is None else state.waiting.group_id
    state = state.replace(waiting=None)
    if group is None:
        return Decision(state)
    if event.reason is WaitlistExit.ACCEPTED:
        body = ConfirmSeat(episode_id=cause.subject_id)
        return Decision(state, (), (Handoff(f"group/{group}", body),))
    state, cleared = loops.close(state, AttendanceLoop.SEAT, _loop_id(cause, group))
    expired = event.reason is WaitlistExit.EXPIRED
    reason = SeatReleaseReason.HOLD_EXPIRED if expired else SeatReleaseReason.WITHDRAWN
    return Decision(state, cleared, (_release(cause, group, reason),))


# --- transfer and graduation -----------------------------------------------------------------------------


def transfer_initiated(
    state: EpisodeState, _event: plans.TransferInitiated, _cause: Cause
) -> Decision[EpisodeState]:
    """This program stays responsible until the first contact elsewhere: the seat stays taken."""
    return Decision(state.replace(transferring=True))


def transfer_completed(
    state: EpisodeState, event: plans.TransferCompleted, cause: Cause
) -> Decision[EpisodeState]:
    """The other facility has seen the person: the seat is free."""
    state = state.replace(transferring=False, transferred_at=event.first_contact_at)
    state = with_seats_aside(state, cause)
    return Decision(state, (), leave(state, SeatReleaseReason.MOVED, cause))


def graduated(
    state: EpisodeState, event: plans.ProgramGraduated, cause: Cause
) -> Decision[EpisodeState]:
    """The person completed the program: the seat is free."""
    state = state.replace(graduated_at=event.graduated_at)
    if gone(state) is None:
        return Decision(state)
    state = with_seats_aside(state, cause)
    return Decision(state, (), leave(state, SeatReleaseReason.EPISODE_CLOSED, cause))


def transfer_fell_through(
    state: EpisodeState, _event: plans.TransferFellThrough, _cause: Cause
) -> Decision[EpisodeState]:
    """The other facility will not take the person, who goes on here."""
    return Decision(state.replace(transferring=False))


def transfer_undone(
    state: EpisodeState, _event: plans.TransferUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody is handed over."""
    return Decision(state.replace(transferring=False))


def first_contact_undone(
    state: EpisodeState, _event: plans.FirstContactUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """The hand-over is still under way. The seat is asked for again when the end is taken back, which follows."""
    return Decision(state.replace(transferring=True, transferred_at=None))


def graduation_undone(
    state: EpisodeState, _event: plans.GraduationUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """The program goes on. The seat is asked for again when the end is taken back, which follows."""
    return Decision(state.replace(graduated_at=None))


def _holds(state: EpisodeState, moment: datetime | None) -> bool:
    """Whether an end is of the admission that holds, and not of one that was undone."""
    return moment is not None and (state.admission is None or moment >= state.admission.admitted_at)


def _moved_on(
    state: EpisodeState, level_code: str | None, now: datetime
) -> SeatReleaseReason | None:
    if level_code is None or state.admission is None:
        return None
    since = state.admission.admitted_at
    changes = [one for one in state.levels if since <= one.effective_at <= now]
    if not changes or changes[-1].level.code == level_code:
        return None
    return SeatReleaseReason.MOVED


def _release(cause: Cause, group_id: str, reason: SeatReleaseReason) -> Handoff:
    return Handoff(f"group/{group_id}", ReleaseSeat(episode_id=cause.subject_id, reason=reason))


def _loop_id(cause: Cause, group_id: str) -> str:
    return derive_id("seat", cause.subject, group_id)
