"""Sessions: put on the calendar, called off, and the roll called once. Pure, like all rules.

A session's record knows its roster; what it means for a person is handed to that person's record.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.attendance import hours
from services.attendance.domain import Booked, Dropped, RollCalled
from shared.contracts import attendance
from shared.contracts.attendance import AttendanceStatus, CancelledBy, Participation, SessionMode
from shared.contracts.codes import Modality, TopicCode, Value
from shared.decision import Cause, Decision, Handoff, State
from shared.errors import Refused, Unknown


class SessionState(State):
    """A session and who is on its roster. Everything about a person is handed to that person's record."""

    starts_at: datetime | None = None
    minutes_planned: int = 0
    modality: Modality = Modality.GROUP
    roster: tuple[str, ...] = ()
    roll_called: bool = False
    cancelled_by: CancelledBy | None = None


class NewSession(Value):
    """What is needed to schedule a session."""

    group_id: str | None
    modality: Modality
    topic: TopicCode | None
    starts_at: datetime
    minutes_planned: int
    mode: SessionMode
    roster: tuple[str, ...]


class RollEntry(Value):
    """What the roll says of one person. `minutes_present` is capped at the planned minutes."""

    episode_id: str
    status: AttendanceStatus
    minutes_present: int
    participation: Participation


def schedule(state: SessionState, new: NewSession, cause: Cause) -> Decision[SessionState]:
    """Put a session on the calendar, and in the week of everyone on its roster."""
    if state.starts_at is not None:
        raise Refused("session-exists", "This session is already scheduled.")
    session_id = cause.subject_id
    booked = Booked(
        session_id=session_id,
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        modality=new.modality,
    )
    event = attendance.SessionScheduled(
        group_id=new.group_id,
        modality=new.modality,
        topic=new.topic,
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        counts_toward_hours=new.modality in hours.COUNTED,
        mode=new.mode,
    )
    next_state = state.but(
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        modality=new.modality,
        roster=new.roster,
    )
    return Decision(
        next_state,
        (event,),
        tuple(Handoff(f"episode/{episode}", booked) for episode in new.roster),
        {"session_id": session_id},
    )


def call_roll(
    state: SessionState, entries: Iterable[RollEntry], cause: Cause
) -> Decision[SessionState]:
    """Say of everyone on the roster whether they were there, and how long. Once; later it is a correction."""
    starts_at = _scheduled(state)
    if state.roll_called:
        raise Refused(
            "roll-already-called",
            "The roll of this session has been called.",
            way_out="Correct single entries instead.",
        )
    if cause.now < starts_at:
        raise Refused("session-not-begun", "The session has not begun.")
    by_episode = {entry.episode_id: entry for entry in entries}
    if set(by_episode) != set(state.roster):
        raise Refused(
            "roll-incomplete",
            "The roll must name everyone on the roster, and nobody else.",
            way_out="Read the session for its roster.",
        )
    booked = Booked(
        session_id=cause.subject_id,
        starts_at=starts_at,
        minutes_planned=state.minutes_planned,
        modality=state.modality,
    )
    handoffs = tuple(
        Handoff(
            f"episode/{episode}",
            RollCalled(
                session_id=cause.subject_id,
                booked=booked,
                status=entry.status,
                minutes_present=entry.minutes_present,
                participation=entry.participation,
            ),
        )
        for episode, entry in sorted(by_episode.items())
    )
    return Decision(state.but(roll_called=True), (), handoffs, {"entries": len(handoffs)})


def cancel(state: SessionState, by: CancelledBy, cause: Cause) -> Decision[SessionState]:
    """Take a session off the calendar. What the program cancels is never held against a patient."""
    starts_at = _scheduled(state)
    if state.roll_called:
        raise Refused("roll-already-called", "The session took place: its roll has been called.")
    event = attendance.SessionCancelled(
        modality=state.modality,
        starts_at=starts_at,
        minutes_planned=state.minutes_planned,
        cancelled_by=by,
    )
    dropped = Dropped(session_id=cause.subject_id, cancelled_by=by)
    return Decision(
        state.but(cancelled_by=by),
        (event,),
        tuple(Handoff(f"episode/{episode}", dropped) for episode in state.roster),
    )


def _scheduled(state: SessionState) -> datetime:
    if state.starts_at is None:
        raise Unknown("session")
    if state.cancelled_by is not None:
        raise Refused("session-cancelled", "The session was cancelled.")
    return state.starts_at
