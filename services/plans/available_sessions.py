"""What there is to plan with: groups with free seats, and sessions that will take place. From attendance's events."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime

from shared.contracts import attendance
from shared.contracts.attendance import GroupCapacity
from shared.contracts.codes import Modality
from shared.decision import Cause, Decision, State


class GroupState(State):
    """A group, as the last fact about its seats left it."""

    track: str = ""
    seats_min: int = 0
    seats_max: int = 0
    seats_taken: int = 0
    below_minimum: bool = False
    """Too few people: it may have to be rescheduled, so nobody is planned into it alone."""

    @property
    def full(self) -> bool:
        """Whether the last seat is taken."""
        return self.seats_taken >= self.seats_max


def _seats(state: GroupState, event: GroupCapacity, *, below_minimum: bool) -> GroupState:
    return state.replace(
        track=event.track,
        seats_min=event.seats_min,
        seats_max=event.seats_max,
        seats_taken=event.seats_taken,
        below_minimum=below_minimum,
    )


def group_opened(
    state: GroupState, event: attendance.GroupOpened, _cause: Cause
) -> Decision[GroupState]:
    """A group takes people."""
    return Decision(_seats(state, event, below_minimum=False))


def group_filled(
    state: GroupState, event: attendance.GroupFilled, _cause: Cause
) -> Decision[GroupState]:
    """The last seat is taken."""
    return Decision(_seats(state, event, below_minimum=False))


def group_below_minimum(
    state: GroupState, event: attendance.GroupBelowMinimum, _cause: Cause
) -> Decision[GroupState]:
    """Too few are left to make a group."""
    return Decision(_seats(state, event, below_minimum=True))


class SessionState(State):
    """A session that will take place, or will not."""

    starts_at: AwareDatetime | None = None
    modality: Modality | None = None
    cancelled: bool = False

    def bookable_at(self) -> datetime | None:
        """When it begins; None when it does not take place."""
        return None if self.cancelled else self.starts_at


def session_scheduled(
    state: SessionState, event: attendance.SessionScheduled, _cause: Cause
) -> Decision[SessionState]:
    """A session has a time."""
    return Decision(state.replace(starts_at=event.starts_at, modality=event.modality))


def session_rescheduled(
    state: SessionState, event: attendance.SessionRescheduled, _cause: Cause
) -> Decision[SessionState]:
    """A session has another time."""
    return Decision(state.replace(starts_at=event.starts_at))


def session_put_back(
    state: SessionState, event: attendance.SessionCancellationUndone, _cause: Cause
) -> Decision[SessionState]:
    """It takes place after all."""
    return Decision(state.replace(starts_at=event.starts_at, cancelled=False))


def session_cancelled(
    state: SessionState, _event: attendance.SessionCancelled, _cause: Cause
) -> Decision[SessionState]:
    """It does not take place: nobody's next appointment can be this one."""
    return Decision(state.replace(cancelled=True))
