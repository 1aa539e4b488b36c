"""Sessions: put on the calendar, called off, the roll called once, and corrected as often as needed. Pure.

A session's record knows its roster and its roll; what it means for a person is handed to that person's record. A roll
that is not called within a day of the session's end is somebody's to call: an open loop with an owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final, TypeVar

from pydantic import Field

from services.attendance.episode import hours
from services.attendance.episode.episode_state import (
    BackOnRoster,
    Booked,
    Corrected,
    Dropped,
    EpisodeState,
    LeftRoster,
    RollCalled,
    in_care,
    is_paused,
)
from services.attendance.loop_table import LOOPS
from shared import loops
from shared.contracts import attendance
from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    CorrectionReason,
    Participation,
    SessionMode,
)
from shared.contracts.codes import AttendanceLoop, ClearedReason, Modality, TopicCode, Value
from shared.decision import Cause, Decision, Events, Handoff
from shared.errors import Invalid, Refused, Unknown
from shared.loops import CareState, LoopEvents, LoopRule

ENDED: Final = "ended"
WHOLE_DAY: Final = 24 * 60
"""As many minutes as a session can have: attending in full credits what was planned."""


class Entry(Value):
    """The roll's entry for one person, as it stands after every correction."""

    status: AttendanceStatus
    minutes_credited: int


class SessionState(CareState):
    """A session, who is on its roster, and its roll. Everything about a person is handed to that person's record."""

    LOOPS: ClassVar[Mapping[AttendanceLoop, LoopRule]] = LOOPS
    LOOP_EVENTS: ClassVar[LoopEvents[AttendanceLoop]] = LoopEvents(
        AttendanceLoop, attendance.SessionLoopEscalated, attendance.SessionEscalationCleared
    )
    starts_at: datetime | None = None
    minutes_planned: int = 0
    modality: Modality = Modality.GROUP
    topic: str | None = None
    mode: SessionMode = SessionMode.ON_SITE
    group_id: str | None = None
    family_only: bool = False
    service: str | None = None
    below_minimum: bool = False
    """Scheduled for fewer people than make a group: it is billed and counted as something else."""
    roster: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """People of the roster who are not to be expected any more."""
    roll_called: bool = False
    entries: dict[str, Entry] = Field(default_factory=dict[str, Entry])
    cancelled_by: CancelledBy | None = None

    @property
    def expected(self) -> tuple[str, ...]:
        """Who is on the roster and still expected."""
        return tuple(episode for episode in self.roster if episode not in self.left)


S = TypeVar("S", bound=SessionState)


class NewSession(Value):
    """What is needed to schedule a session."""

    group_id: str | None
    modality: Modality
    topic: TopicCode | None
    starts_at: datetime
    minutes_planned: int
    mode: SessionMode
    roster: tuple[str, ...]
    family_only: bool = False
    service: str | None = None
    below_minimum: bool = False


class RollEntry(Value):
    """The roll's entry for one person, as called. `minutes_present` is capped at the planned minutes."""

    episode_id: str
    status: AttendanceStatus
    minutes_present: int
    participation: Participation


def may_be_booked(episode: EpisodeState, new: NewSession) -> None:
    """Whether a person can stand on this roster. Raises why not: not in care, paused, not oriented before a group."""
    in_care(episode)
    if is_paused(episode, new.starts_at, new.modality):
        raise Refused(
            "participation-paused",
            "The person is in no group until their pause is over.",
            hint="See them alone, book a session after the pause, or have the pause lifted.",
        )
    in_group = new.group_id is not None or new.modality is Modality.GROUP
    if in_group and episode.oriented_at is None:
        raise Refused(
            "not-oriented",
            "Groups are open to people who know the schedule and the rules.",
            hint="Complete the orientation in intake; if that was a moment ago, retry.",
        )


def minutes_of(status: AttendanceStatus, minutes_present: int | None) -> int:
    """The minutes that an entry of a roll means. Raises `Invalid` when they are missing, or given for an absence."""
    if not status.is_present:
        if minutes_present:
            raise Invalid("minutes-of-an-absence", "An absent person cannot have minutes present.")
        return 0
    if minutes_present is None and status is not AttendanceStatus.ATTENDED:
        raise Invalid(
            "minutes-missing",
            "minutes_present is missing for a person who came late or left early.",
        )
    return WHOLE_DAY if minutes_present is None else minutes_present


def schedule(state: SessionState, new: NewSession, cause: Cause) -> Decision[SessionState]:
    """Put a session on the calendar, and in the week of everyone on its roster."""
    if state.starts_at is not None:
        raise Refused("session-exists", "This session is already scheduled.")
    session_id = cause.subject_id
    next_state = state.replace(
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        modality=new.modality,
        topic=new.topic,
        mode=new.mode,
        group_id=new.group_id,
        family_only=new.family_only,
        service=new.service,
        below_minimum=new.below_minimum,
        roster=new.roster,
    )
    booked = _booked(next_state, session_id, new.starts_at)
    event = attendance.SessionScheduled(
        group_id=new.group_id,
        modality=new.modality,
        topic=new.topic,
        starts_at=new.starts_at,
        minutes_planned=new.minutes_planned,
        counts_toward_hours=hours.counts(new.modality, family_only=new.family_only),
        mode=new.mode,
    )
    answer = {"session_id": session_id, "roster": len(new.roster)}
    if new.below_minimum:
        answer["below_minimum"] = True
    ends_at = new.starts_at + timedelta(minutes=new.minutes_planned)
    return Decision(
        next_state.arm(ENDED, ends_at),
        (event,),
        tuple(Handoff(f"episode/{episode}", booked) for episode in new.roster),
        answer,
    )


def call_roll(
    state: SessionState, entries: Iterable[RollEntry], cause: Cause
) -> Decision[SessionState]:
    """Record for everyone on the roster whether they were there, and how long. Once; later it is a correction."""
    starts_at = _scheduled(state)
    if state.roll_called:
        raise Refused(
            "roll-already-called",
            "The roll of this session has been called.",
            hint="Correct single entries instead.",
        )
    if cause.now < starts_at:
        raise Refused("session-not-begun", "The session has not begun.")
    by_episode = {entry.episode_id: entry for entry in entries}
    expected, named = set(state.expected), set(by_episode)
    if not expected <= named or not named <= set(state.roster):
        raise Refused(
            "roll-incomplete",
            "The roll must name everyone on the roster, and nobody else.",
            hint="Read the session for its roster.",
        )
    booked = _booked(state, cause.subject_id, starts_at)
    counted = [by_episode[episode] for episode in sorted(expected)]
    roll = {
        entry.episode_id: Entry(
            status=entry.status,
            minutes_credited=_credited(state, entry.status, entry.minutes_present),
        )
        for entry in counted
    }
    handoffs = tuple(
        Handoff(
            f"episode/{entry.episode_id}",
            RollCalled(
                session_id=cause.subject_id,
                booked=booked,
                status=entry.status,
                minutes_present=entry.minutes_present,
                participation=entry.participation,
            ),
        )
        for entry in counted
    )
    state, cleared = _close_roll_call(state.replace(roll_called=True, entries=roll), cause)
    return Decision(state, cleared, handoffs, {"entries": len(handoffs)})


def correct(
    state: SessionState,
    episode_id: str,
    status: AttendanceStatus,
    minutes_present: int,
    reason: CorrectionReason,
    cause: Cause,
) -> Decision[SessionState]:
    """Correct the roll's entry for one person. What was published before stays in the history."""
    starts_at = _scheduled(state)
    if not state.roll_called:
        raise Refused(
            "roll-not-called", "The roll of this session was not called.", hint="Call the roll."
        )
    before = state.entries.get(episode_id)
    if before is None:
        raise Unknown("roll-entry")
    after = Entry(status=status, minutes_credited=_credited(state, status, minutes_present))
    if after == before:
        raise Refused("correction-changes-nothing", "The roll says so already.")
    corrected = Corrected(
        session_id=cause.subject_id,
        booked=_booked(state, cause.subject_id, starts_at),
        status_before=before.status,
        minutes_before=before.minutes_credited,
        status_after=after.status,
        minutes_after=after.minutes_credited,
        reason=reason,
    )
    answer = {
        "minutes_before": before.minutes_credited,
        "minutes_after": after.minutes_credited,
    }
    return Decision(
        state.replace(entries={**state.entries, episode_id: after}),
        (),
        (Handoff(f"episode/{episode_id}", corrected),),
        answer,
    )


def cancel(state: SessionState, by: CancelledBy, cause: Cause) -> Decision[SessionState]:
    """Take a session off the calendar. What the program cancels is never held against a patient."""
    starts_at = _scheduled(state)
    if state.roll_called:
        raise Refused("roll-already-called", "The session took place: its roll has been called.")
    event = attendance.SessionCancelled(
        group_id=state.group_id,
        modality=state.modality,
        starts_at=starts_at,
        minutes_planned=state.minutes_planned,
        cancelled_by=by,
    )
    dropped = Dropped(session_id=cause.subject_id, cancelled_by=by)
    state, cleared = _close_roll_call(
        state.replace(cancelled_by=by), cause, ClearedReason.WITHDRAWN
    )
    return Decision(
        state,
        (event, *cleared),
        tuple(Handoff(f"episode/{episode}", dropped) for episode in state.expected),
    )


def left_roster(state: SessionState, body: LeftRoster, cause: Cause) -> Decision[SessionState]:
    """Somebody of the roster is not to be expected: they have left, or should never have been there."""
    if body.episode_id not in state.expected or state.roll_called:
        return Decision(state)
    state = state.replace(left=(*state.left, body.episode_id))
    if state.expected:
        return Decision(state)
    state, cleared = _close_roll_call(state, cause, ClearedReason.WITHDRAWN)
    return Decision(state, cleared)


def back_on_roster(state: SessionState, body: BackOnRoster, cause: Cause) -> Decision[SessionState]:
    """The person is expected again. Where the session is over for them, it was not offered to them."""
    if body.episode_id in state.expected or body.episode_id not in state.roster:
        return Decision(state)
    starts_at = state.starts_at
    if starts_at is None or state.roll_called or state.cancelled_by is not None:
        by = state.cancelled_by or CancelledBy.PROGRAM
        dropped = Dropped(session_id=cause.subject_id, cancelled_by=by)
        return Decision(state, (), (Handoff(f"episode/{body.episode_id}", dropped),))
    was_expected = bool(state.expected)
    left = tuple(episode for episode in state.left if episode != body.episode_id)
    state = state.replace(left=left)
    if was_expected:
        return Decision(state)
    return Decision(state.arm(ENDED, starts_at + timedelta(minutes=state.minutes_planned)))


def ended(state: SessionState, cause: Cause) -> Decision[SessionState]:
    """The session has ended: its roll is to be called."""
    return Decision(loops.open_loop(state, AttendanceLoop.ROLL_CALL, cause.subject_id, cause))


def _close_roll_call(
    state: SessionState, cause: Cause, reason: ClearedReason = ClearedReason.RESOLVED
) -> tuple[SessionState, Events]:
    """Nobody has to call this roll any more."""
    return loops.close(state.disarm(ENDED), AttendanceLoop.ROLL_CALL, cause.subject_id, reason)


def _credited(state: SessionState, status: AttendanceStatus, minutes_present: int) -> int:
    return min(minutes_present, state.minutes_planned) if status.is_present else 0


def _booked(state: SessionState, session_id: str, starts_at: datetime) -> Booked:
    return Booked(
        session_id=session_id,
        starts_at=starts_at,
        minutes_planned=state.minutes_planned,
        modality=state.modality,
        family_only=state.family_only,
        service=state.service,
    )


def _scheduled(state: SessionState) -> datetime:
    if state.starts_at is None:
        raise Unknown("session")
    if state.cancelled_by is not None:
        raise Refused("session-cancelled", "The session was cancelled.")
    return state.starts_at
