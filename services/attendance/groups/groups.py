"""Groups: their seats, held until an instant or taken, and too few people for a group. Pure, like all rules.

One record owns all seats of a group, so of two who ask for the last one, one gets it and the other is refused: the
group is full. A hold that nobody confirms lapses by itself. Two to twelve people make a group unless the program sets
other limits; with fewer it is no group, because it is billed and counted as something else. Source:
docs/domain.md 3.4 (Groups), scenario 9.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from services.attendance.episode.seats import (
    ConfirmSeat,
    HoldSeat,
    ReleaseSeat,
    SeatFreed,
    SeatGiven,
    SeatMissing,
    TakeSeat,
)
from services.attendance.groups import group_calendar
from services.attendance.groups.closures import GroupListed, GroupUnlisted, closures_id
from services.attendance.groups.group_calendar import must_be_open, outside
from services.attendance.groups.group_state import (
    FormerSeat,
    GroupState,
    NewGroup,
    SizeDecision,
    TakenSeat,
    TrackHours,
)
from shared import calendar, loops
from shared.contracts import attendance
from shared.contracts.attendance import SeatReleaseReason
from shared.contracts.codes import AttendanceLoop, ClearedReason
from shared.decision import Cause, Decision, Events, Handoff, Handoffs
from shared.errors import Invalid, Refused, Unknown
from shared.programs.profile import ProgramProfile

HOLD_MINUTES: Final = 48 * 60
"""How long a seat is held unless the request names another time. House rule."""
HOLD: Final = "hold"
"""The deadline at which a held seat falls free, with the episode."""


# --- commands --------------------------------------------------------------------------------------------


def open_group(
    state: GroupState, new: NewGroup, profile: ProgramProfile, cause: Cause
) -> Decision[GroupState]:
    """Open a group within what its program allows."""
    if state.opened_at is not None:
        raise Refused(
            "group-exists",
            "This group is already open.",
            hint="Use the group that is open.",
        )
    least, most = profile.group.members_min, profile.group.members_max
    seats_min = new.seats_min or least
    seats_max = new.seats_max or most
    if not least <= seats_min <= seats_max <= most:
        raise outside(f"A group of this program has {least} to {most} people.")
    sessions = profile.sessions
    track = next((one for one in profile.tracks if one.code == new.track), None)
    if not _between(new.sessions_per_week, sessions.per_week_min, sessions.per_week_max):
        raise outside("The program's groups meet more or less often.")
    if not _between(new.session_minutes, sessions.minutes_min, sessions.minutes_max):
        raise outside("The program's sessions are longer or shorter.")
    if profile.topics and not set(new.topics) <= set(profile.topics):
        raise outside("The program does not have this topic.")
    if profile.tracks and track is None:
        raise outside("The program does not have this track.")
    state = state.replace(
        opened_at=cause.now,
        program=profile.program,
        program_version=profile.version,
        track=new.track,
        topics=new.topics or profile.topics,
        therapies=profile.therapies,
        level_code=profile.level.code,
        led=sessions.led,
        time_zone=new.time_zone,
        track_hours=track
        and TrackHours(weekdays=track.weekdays, begins=track.begins, ends=track.ends),
        seats_min=seats_min,
        seats_max=seats_max,
        sessions_per_week=new.sessions_per_week or sessions.per_week_max,
        minutes_min=new.session_minutes or sessions.minutes_min,
        minutes_max=new.session_minutes or sessions.minutes_max,
    )
    answer = {"group_id": cause.subject_id, "seats_left": state.seats_left}
    listed = _to_facility(GroupListed(group_id=cause.subject_id), cause)
    return Decision(state, (attendance.GroupOpened(**_capacity(state)),), (listed,), answer)


def reserve(
    state: GroupState,
    episode_id: str,
    hold_minutes: int | None,
    cause: Cause,
    *,
    from_group: str | None = None,
) -> Decision[GroupState]:
    """Hold a seat for somebody; of two who ask for the last one, one gets it. Who moves leaves their other group."""
    must_be_open(state)
    if from_group == cause.subject_id:
        raise Invalid(
            "same-group",
            "The person moves to the group that they come from.",
            hint="Name in from_group_id the group that they leave, or leave it out.",
        )
    if episode_id in state.seats:
        raise Refused(
            "seat-exists",
            "This person has a seat in the group already.",
            hint="A held seat is confirmed; a taken one is theirs.",
        )
    if not state.seats_left:
        raise Refused(
            "group-full",
            "Every seat of the group is taken or held.",
            hint="Put the person on the waiting list, or choose another group.",
        )
    until = cause.now + timedelta(minutes=hold_minutes or HOLD_MINUTES)
    decision = _give(state, episode_id, until, cause)
    answer = {
        "group_id": cause.subject_id,
        "hold_until": until.isoformat(),
        "seats_left": decision.state.seats_left,
    }
    handoffs = decision.handoffs
    if from_group is not None:
        leaves = ReleaseSeat(episode_id=episode_id, reason=SeatReleaseReason.MOVED)
        handoffs += (Handoff(f"group/{from_group}", leaves),)
    return Decision(decision.state, decision.events, handoffs, answer)


def confirm(state: GroupState, episode_id: str, cause: Cause) -> Decision[GroupState]:
    """The held seat is the person's for good."""
    must_be_open(state)
    seat = _seat(state, episode_id)
    if seat.held_until is None:
        raise Refused(
            "seat-taken",
            "The seat is confirmed already.",
            hint="Nothing is left to do: the seat is theirs.",
        )
    return _give(state, episode_id, None, cause)


def release(state: GroupState, episode_id: str, cause: Cause) -> Decision[GroupState]:
    """The person gives the seat back."""
    must_be_open(state)
    _seat(state, episode_id)
    return _free(state, (episode_id,), SeatReleaseReason.WITHDRAWN, cause)


def decide_size(state: GroupState, decision: SizeDecision, cause: Cause) -> Decision[GroupState]:
    """With too few people it goes on as something else, or at another time. Until then somebody is asked."""
    must_be_open(state)
    if state.loop(AttendanceLoop.GROUP_SIZE, cause.subject_id) is None:
        raise Refused(
            "group-large-enough",
            "Nothing has to be decided about this group's size.",
            hint="Read the group: it has enough people, or was decided about.",
        )
    state = state.replace(size_decision=decision)
    state, events = loops.close(state, AttendanceLoop.GROUP_SIZE, cause.subject_id)
    return Decision(state, events)


def close(state: GroupState, cause: Cause) -> Decision[GroupState]:
    """The group ends; every person with a seat needs another one, and what was ahead does not take place."""
    must_be_open(state)
    state, called_off = group_calendar.all_called_off(state, cause)
    freed = _free(state, tuple(state.seats), SeatReleaseReason.MOVED, cause, closing=True)
    state, events = loops.close(
        freed.state, AttendanceLoop.GROUP_SIZE, cause.subject_id, ClearedReason.WITHDRAWN
    )
    state = state.replace(closed_at=cause.now)
    ended_on = calendar.local_day(cause.now, state.time_zone)
    unlisted = _to_facility(GroupUnlisted(group_id=cause.subject_id, ended_on=ended_on), cause)
    return Decision(state, (*freed.events, *events), (*called_off, *freed.handoffs, unlisted))


# --- what episodes ask -----------------------------------------------------------------------------------


def held_for(state: GroupState, body: HoldSeat, cause: Cause) -> Decision[GroupState]:
    """An offer holds a seat until it lapses. When there is none, the episode gets `SeatMissing`."""
    seat = state.seats.get(body.episode_id)
    if seat is not None and (seat.held_until is None or seat.held_until >= body.until):
        return Decision(state)
    room = seat is not None or state.seats_left > 0
    if not _is_open(state) or not room or body.until <= cause.now:
        return Decision(state, (), (_none(body.episode_id, cause),))
    return _give(state, body.episode_id, body.until, cause)


def confirmed_for(state: GroupState, body: ConfirmSeat, cause: Cause) -> Decision[GroupState]:
    """The person was admitted, or took the offer. A seat that has lapsed meanwhile is somebody's to find again."""
    seat = state.seats.get(body.episode_id)
    if seat is None:
        return Decision(state, (), (_none(body.episode_id, cause),))
    if seat.held_until is None:
        return Decision(state)
    return _give(state, body.episode_id, None, cause)


def taken_again(state: GroupState, body: TakeSeat, cause: Cause) -> Decision[GroupState]:
    """The person's end was taken back: their seat is theirs again, unless none is left."""
    seat = state.seats.get(body.episode_id)
    if seat is not None and seat.held_until is None:
        return Decision(state)
    if not _is_open(state) or (seat is None and not state.seats_left):
        return Decision(state, (), (_none(body.episode_id, cause),))
    return _give(state, body.episode_id, None, cause)


def released_by(state: GroupState, body: ReleaseSeat, cause: Cause) -> Decision[GroupState]:
    """The person does not need the seat any more."""
    if body.episode_id not in state.seats:
        return Decision(state)
    return _free(state, (body.episode_id,), body.reason, cause)


def hold_lapsed(state: GroupState, episode_id: str, cause: Cause) -> Decision[GroupState]:
    """Nobody confirmed the seat in time."""
    return _free(state, (episode_id,), SeatReleaseReason.HOLD_EXPIRED, cause)


# --- seats -----------------------------------------------------------------------------------------------


def _give(
    state: GroupState, episode_id: str, until: datetime | None, cause: Cause
) -> Decision[GroupState]:
    """A seat for this person, until an instant or for good; the last one fills the group."""
    taken_at = None if until is not None else cause.now
    seat = TakenSeat(held_until=until, taken_at=taken_at)
    was_full = not state.seats_left
    state = state.replace(seats={**state.seats, episode_id: seat}).disarm(f"{HOLD}:{episode_id}")
    if until is not None:
        state = state.arm(f"{HOLD}:{episode_id}", until)
    events: Events = ()
    if not was_full and not state.seats_left:
        events = (attendance.GroupFilled(**_capacity(state)),)
    if state.is_group:
        state = state.replace(was_enough=True, size_decision=None)
        state, cleared = loops.close(state, AttendanceLoop.GROUP_SIZE, cause.subject_id)
        events += cleared
    body = SeatGiven(
        group_id=cause.subject_id,
        seats_left=state.seats_left,
        level_code=state.level_code,
        track=state.track,
        held_until=until,
        taken_at=taken_at,
        weekdays=() if state.track_hours is None else state.track_hours.weekdays,
        begins=None if state.track_hours is None else state.track_hours.begins,
    )
    handoffs = (Handoff(f"episode/{episode_id}", body),)
    if taken_at is not None:
        handoffs += group_calendar.shared_with(state, episode_id, cause)
    return Decision(state, events, handoffs)


def _free(
    state: GroupState,
    episodes: tuple[str, ...],
    reason: SeatReleaseReason,
    cause: Cause,
    *,
    closing: bool = False,
) -> Decision[GroupState]:
    """Seats fall free. With too few people left, somebody has to decide what becomes of the group."""
    seats = {episode: seat for episode, seat in state.seats.items() if episode not in episodes}
    former = tuple(
        FormerSeat(episode_id=episode, taken_at=seat.taken_at, freed_at=cause.now)
        for episode, seat in state.seats.items()
        if episode in episodes and seat.taken_at is not None
    )
    had = {seat.episode_id for seat in former}
    state = state.replace(seats=seats, former_seats=(*state.former_seats, *former))
    state = state.disarm(*(f"{HOLD}:{episode}" for episode in episodes))
    freed = SeatFreed(
        group_id=cause.subject_id,
        seats_left=state.seats_left,
        reason=reason,
        freed_at=cause.now,
    )
    handoffs: Handoffs = ()
    for episode in episodes:
        handoffs += (Handoff(f"episode/{episode}", freed),)
        if episode in had:
            handoffs += group_calendar.taken_from(state, episode, cause)
    if closing or state.is_group or not state.was_enough:
        return Decision(state, (), handoffs)
    state = loops.open_loop(
        state.replace(was_enough=False), AttendanceLoop.GROUP_SIZE, cause.subject_id, cause
    )
    return Decision(state, (attendance.GroupBelowMinimum(**_capacity(state)),), handoffs)


def _to_facility(body: GroupListed | GroupUnlisted, cause: Cause) -> Handoff:
    return Handoff(f"closures/{closures_id(cause.facility_id)}", body)


def _none(episode_id: str, cause: Cause) -> Handoff:
    return Handoff(f"episode/{episode_id}", SeatMissing(group_id=cause.subject_id))


def _capacity(state: GroupState) -> dict[str, Any]:
    return {
        "track": state.track,
        "seats_min": state.seats_min,
        "seats_max": state.seats_max,
        "seats_taken": len(state.seats),
    }


def _is_open(state: GroupState) -> bool:
    return state.opened_at is not None and state.closed_at is None


def _seat(state: GroupState, episode_id: str) -> TakenSeat:
    seat = state.seats.get(episode_id)
    if seat is None:
        raise Unknown("seat")
    return seat


def _between(value: int | None, least: int | None, most: int | None) -> bool:
    return value is None or ((least is None or least <= value) and (most is None or value <= most))
