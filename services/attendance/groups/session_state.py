"""A session's record, what is needed for one, and what it and its group tell each other. No rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from pydantic import Field

from services.attendance.episode.handoffs import Booked
from services.attendance.groups.group_state import Unscheduled
from services.attendance.loop_table import LOOPS
from shared.contracts import attendance
from shared.contracts.attendance import (
    AttendanceStatus,
    CancelledBy,
    Participation,
    SessionMode,
)
from shared.contracts.codes import AttendanceLoop, Modality, TopicCode, Value
from shared.contracts.event import OpenEnum
from shared.decision import HandoffBody, derive_id
from shared.errors import Invalid, Refused, Unknown
from shared.loops import LOOP_INDEX, CareState, Loop, LoopEvents, LoopRule

SESSION_INDEX: Final = "session"
"""The index of sessions, by when they begin."""
CALENDAR: Final = timedelta(days=366)
"""How far back a session may be written down, and how far ahead it may be planned."""
WHOLE_DAY: Final = 24 * 60
"""As many minutes as a session can have: attending in full credits what was planned."""


class EarlyRoll(OpenEnum):
    """Why a roll is called before the planned end. What is credited ends with it."""

    ENDED_EARLY = "ended_early"
    FACILITY_CLOSED = "facility_closed"
    EMERGENCY = "emergency"
    UNKNOWN = "unknown"


class LeadingPart(OpenEnum):
    """Which part somebody has in leading a session."""

    LEADER = "leader"
    CO_LEADER = "co_leader"
    SUBSTITUTE = "substitute"
    UNKNOWN = "unknown"


class Credential(OpenEnum):
    """As what somebody leads a session: what a payer asks for beside the time."""

    PHYSICIAN = "physician"
    NURSE = "nurse"
    PSYCHOLOGIST = "psychologist"
    SOCIAL_WORKER = "social_worker"
    PROFESSIONAL_COUNSELOR = "professional_counselor"
    ADDICTION_COUNSELOR = "addiction_counselor"
    PEER_SPECIALIST = "peer_specialist"
    SUPERVISED_INTERN = "supervised_intern"
    UNKNOWN = "unknown"


class SessionSupport(OpenEnum):
    """What makes it possible to come, or to take part."""

    INTERPRETER = "interpreter"
    ACCESSIBILITY = "accessibility"
    TRANSPORT = "transport"
    CHILDCARE = "childcare"
    UNKNOWN = "unknown"


class Leader(Value):
    """Somebody who leads a session."""

    part: LeadingPart
    credential: Credential


class Entry(Value):
    """The roll's entry for one person, as it stands after every correction."""

    status: AttendanceStatus
    minutes_credited: int
    minutes_present: int = 0
    """As the roll says it; what is credited is at most as long as the session was."""
    walk_in: bool = False


class SessionState(CareState):
    """A session, who is on its roster, and its roll. Everything about a person is handed to that person's record.

    The session of a group has no roster until it begins: until then, whoever has a seat is expected.
    """

    INDEXES: ClassVar[tuple[str, ...]] = (LOOP_INDEX, SESSION_INDEX)
    DIVIDED: ClassVar[tuple[str, ...]] = (SESSION_INDEX,)
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
    therapy: str | None = None
    supports: tuple[SessionSupport, ...] = ()
    leaders: dict[str, Leader] = Field(default_factory=dict[str, Leader])
    """Who leads it, by member of staff."""
    led: bool = False
    """The program asks who leads it."""
    lapsed: tuple[str, ...] = ()
    """Those of its leaders whose credential does not hold when it begins."""
    signed_by: str | None = None
    signed_at: datetime | None = None
    """Who said that the roll is right, and when."""
    unscheduled: Unscheduled | None = None
    below_minimum: bool = False
    """For fewer people than make a group: it is billed and counted as something else."""
    roster: tuple[str, ...] = ()
    roster_taken: bool = False
    """Who is on the roster is settled: it begins, or never depended on a group."""
    left: tuple[str, ...] = ()
    """People of the roster who are not to be expected any more."""
    roll_called: bool = False
    minutes_held: int | None = None
    """How long it lasted when it ended early."""
    entries: dict[str, Entry] = Field(default_factory=dict[str, Entry])
    cancelled_by: CancelledBy | None = None
    times_changed: int = 0
    """How often it was put on the calendar anew."""

    def index_entries(self) -> Mapping[str, datetime]:
        """A session is listed by when it begins, also one that was cancelled."""
        found = dict(super().index_entries())
        if self.starts_at is not None:
            found[SESSION_INDEX] = self.starts_at
        return found

    def index_parts(self) -> Mapping[str, tuple[str, ...]]:
        """The sessions of a group, and those that somebody leads."""
        parts = [f"leader={staff_id}" for staff_id in sorted(self.leaders)]
        if self.group_id is not None:
            parts.append(f"group={self.group_id}")
        return {SESSION_INDEX: tuple(parts)}

    def told_of(self, subject: str, loop: Loop) -> Mapping[str, Any]:
        """Who is meant: somebody on the roll, or somebody who was to lead the session."""
        episode = (one for one in self.entries if about("walk-in", subject, one) == loop.id)
        leader = (one for one in self.leaders if about("leader", subject, one) == loop.id)
        named = {"episode_id": next(episode, None), "staff_id": next(leader, None)}
        return {field: one for field, one in named.items() if one is not None}

    @property
    def expected(self) -> tuple[str, ...]:
        """Who is on the roster and still expected."""
        return tuple(episode for episode in self.roster if episode not in self.left)

    @property
    def ends_at(self) -> datetime | None:
        """When it is planned to end."""
        if self.starts_at is None:
            return None
        return self.starts_at + timedelta(minutes=self.minutes_planned)


def about(what: str, subject: str, who: str) -> str:
    """The id of a loop of a session about one person: who walked in, or leads it (`walk-in`, `leader`)."""
    return derive_id(what, subject, who)


def must_be_near(starts_at: datetime, now: datetime) -> None:
    """Raise `Invalid` for a session that is further away than a calendar reaches."""
    if not now - CALENDAR <= starts_at <= now + CALENDAR:
        raise Invalid(
            "session-too-far",
            "A session is at most a year away.",
            hint="Check the year; what lies further ahead is scheduled later.",
        )


def must_be_known(state: SessionState) -> datetime:
    """When a session begins, or was to begin. Raises `Unknown`."""
    if state.starts_at is None:
        raise Unknown("session")
    return state.starts_at


def must_be_scheduled(state: SessionState) -> datetime:
    """When a session begins. Raises `Unknown`, or `Refused` for one that was cancelled."""
    starts_at = must_be_known(state)
    if state.cancelled_by is not None:
        raise was_cancelled()
    return starts_at


def was_cancelled() -> Refused:
    """A refusal of what needs a session that takes place."""
    return Refused(
        "session-cancelled",
        "The session was cancelled.",
        hint="If it takes place after all, take that back: POST /sessions/{session_id}/cancel/undo.",
    )


class NewSession(Value):
    """What is needed to schedule a session."""

    group_id: str | None
    modality: Modality
    topic: TopicCode | None
    starts_at: datetime
    minutes_planned: int
    mode: SessionMode
    roster: tuple[str, ...]
    """Who is expected; of a group's session empty: everybody with a seat."""
    family_only: bool = False
    service: str | None = None
    below_minimum: bool = False
    led: bool = False
    """The program asks who leads it."""
    unscheduled: Unscheduled | None = None
    therapy: str | None = None
    """The approach, where there is one."""
    supports: tuple[SessionSupport, ...] = ()

    def booked_as(self, session_id: str) -> Booked:
        """What a person on the roster of this session is told."""
        return Booked(
            session_id=session_id,
            starts_at=self.starts_at,
            minutes_planned=self.minutes_planned,
            modality=self.modality,
            group_id=self.group_id,
            family_only=self.family_only,
            service=self.service,
        )


class RollEntry(Value):
    """The roll's entry for one person, as called. `minutes_present` is capped at the planned minutes."""

    episode_id: str
    status: AttendanceStatus
    minutes_present: int
    participation: Participation
    walk_in: bool = False
    """The person came without being on the roster."""


# --- between a session and its group ---------------------------------------------------------------------


class Planned(HandoffBody):
    """To a session: the group's calendar has you."""

    session: NewSession
    begun: bool
    """It is written down afterwards, and has its roster."""


class RosterTaken(HandoffBody):
    """To a session that begins: these people have a seat."""

    roster: tuple[str, ...]
    below_minimum: bool


class CalledOff(HandoffBody):
    """To a session: the group's calendar has you no longer."""

    by: CancelledBy


class Moved(HandoffBody):
    """To a session: the group's calendar has you at another time."""

    starts_at: datetime
    minutes_planned: int
    times_changed: int
    unscheduled: Unscheduled | None = None


class PutBack(HandoffBody):
    """To a session: the group's calendar has you again."""

    times_changed: int


class RosterAsked(HandoffBody):
    """To a group: this session begins; who has a seat?"""

    session_id: str
    starts_at: datetime


class TookPlace(HandoffBody):
    """To a group: the roll of this session was called."""

    session_id: str
