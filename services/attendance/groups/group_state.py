"""A group's record: who has a seat in it from when until when, and when it meets. Pure, like all rules.

One record owns all seats of a group and its calendar, so that of two who ask for the last seat one gets it, and no two
of its sessions are at one time. Source: docs/decisions/0017-who-owns-what.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import ClassVar, Final

from pydantic import Field

from services.attendance.episode.handoffs import (
    Booked,
)
from services.attendance.episode.intervals import Span, span
from services.attendance.groups.closures import Closure
from services.attendance.loop_table import LOOPS
from shared import calendar
from shared.contracts import attendance
from shared.contracts.attendance import CancelledBy
from shared.contracts.codes import AttendanceLoop, Modality, Value
from shared.contracts.event import OpenEnum
from shared.loops import LOOP_INDEX, CareState, LoopEvents, LoopRule

GROUP_INDEX: Final = "group"
"""The index of open groups, by when they were opened."""


class SizeDecision(OpenEnum):
    """What becomes of a group with too few people."""

    RECLASSIFIED = "reclassified"
    RESCHEDULED = "rescheduled"
    UNKNOWN = "unknown"


class Unscheduled(OpenEnum):
    """Why a session is outside the days, the hours or the number of sessions of its group."""

    MAKE_UP = "make_up"
    EXTRA = "extra"
    HOLIDAY_MOVED = "holiday_moved"
    UNKNOWN = "unknown"


class TakenSeat(Value):
    """One person's seat: held until an instant, or taken."""

    held_until: datetime | None = None
    taken_at: datetime | None = None
    """From when on it is the person's; None while it is only held."""


class FormerSeat(Value):
    """A seat that was somebody's: its sessions may still be written down, or corrected."""

    episode_id: str
    taken_at: datetime
    freed_at: datetime


class Slot(Value):
    """A session on the group's calendar."""

    starts_at: datetime
    minutes_planned: int
    modality: Modality
    topic: str | None = None
    family_only: bool = False
    service: str | None = None
    unscheduled: Unscheduled | None = None
    only: tuple[str, ...] = ()
    """Who of the group is expected; empty: everybody."""
    times_changed: int = 0
    cancelled_by: CancelledBy | None = None
    closed: bool = False
    """It was called off because the facility is closed."""
    closed_late: bool = False
    """The closure was entered when its day was over: whether people came is not known by it."""
    took_place: bool = False
    """Its roll was called."""

    def is_for(self, episode_id: str) -> bool:
        """Whether this person of the group is expected."""
        return not self.only or episode_id in self.only

    @property
    def is_closed(self) -> bool:
        """Nobody of the group could come: the facility was closed, or there was no way to it."""
        return not self.only and self.cancelled_by in (CancelledBy.WEATHER, CancelledBy.CLOSURE)

    @property
    def time(self) -> Span:
        """From when until when."""
        return span(self.starts_at, self.minutes_planned)


class TrackHours(Value):
    """On which days and between which hours a track meets."""

    weekdays: tuple[int, ...]
    begins: time
    ends: time


class NewGroup(Value):
    """What is needed to open a group. What is left out is taken from the program."""

    program: str
    track: str
    time_zone: str = "UTC"
    topics: tuple[str, ...] = ()
    seats_min: int | None = None
    seats_max: int | None = None
    sessions_per_week: int | None = None
    session_minutes: int | None = None


class GroupState(CareState):
    """A group and who has a seat in it."""

    INDEXES: ClassVar[tuple[str, ...]] = (LOOP_INDEX, GROUP_INDEX)
    LOOPS: ClassVar[Mapping[AttendanceLoop, LoopRule]] = LOOPS
    LOOP_EVENTS: ClassVar[LoopEvents[AttendanceLoop]] = LoopEvents(
        AttendanceLoop, attendance.GroupLoopEscalated, attendance.GroupEscalationCleared
    )
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    program: str = ""
    program_version: str = ""
    track: str = ""
    topics: tuple[str, ...] = ()
    """What the group talks about; empty: anything."""
    therapies: tuple[str, ...] = ()
    """The approaches that the program has; empty: any."""
    level_code: str | None = None
    seats_min: int = 2
    seats_max: int = 12
    sessions_per_week: int | None = None
    minutes_min: int | None = None
    minutes_max: int | None = None
    """Between which lengths its sessions may be; missing: as they come."""
    led: bool = False
    """The program asks who leads its sessions."""
    time_zone: str = "UTC"
    """The facility's: the days and hours of the track are told by it."""
    track_hours: TrackHours | None = None
    """When the program's track meets; None: as it comes."""
    seats: dict[str, TakenSeat] = Field(default_factory=dict[str, TakenSeat])
    closures: tuple[Closure, ...] = ()
    """When the facility is closed."""
    former_seats: tuple[FormerSeat, ...] = ()
    """Every seat that was somebody's, for good: a day or a session of then may be put right at any time."""
    slots: dict[str, Slot] = Field(default_factory=dict[str, Slot])
    """The calendar, by session: a year of what took place, and for good what was called off or has no roll."""
    was_enough: bool = False
    """There were enough people for a group once; only then can there be too few."""
    size_decision: SizeDecision | None = None

    def index_entries(self) -> Mapping[str, datetime]:
        """An open group is listed by when it was opened."""
        found = dict(super().index_entries())
        if self.opened_at is not None and self.closed_at is None:
            found[GROUP_INDEX] = self.opened_at
        return found

    def met_at(self, moment: datetime) -> bool:
        """Whether the group takes people, or had not ended at that moment."""
        return self.opened_at is not None and (self.closed_at is None or moment < self.closed_at)

    @property
    def seats_left(self) -> int:
        """Free seats."""
        return max(0, self.seats_max - len(self.seats))

    @property
    def confirmed(self) -> tuple[str, ...]:
        """The people whose seats are taken for good."""
        return tuple(sorted(e for e, seat in self.seats.items() if seat.taken_at is not None))

    def seated_at(self, moment: datetime) -> tuple[str, ...]:
        """Who had, or has, a seat of their own at a moment."""
        now = {e for e, s in self.seats.items() if s.taken_at is not None and s.taken_at <= moment}
        before = {s.episode_id for s in self.former_seats if s.taken_at <= moment < s.freed_at}
        return tuple(sorted(now | before))

    def roster_of(self, slot: Slot, now: datetime) -> tuple[str, ...]:
        """Who is expected at a session: whoever had a seat when it began, or has one while it is ahead."""
        seated = self.confirmed if slot.starts_at > now else self.seated_at(slot.starts_at)
        return tuple(one for one in seated if slot.is_for(one))

    def is_too_few(self, roster: tuple[str, ...]) -> bool:
        """Whether so few people are no group: their session is billed and counted as something else."""
        return len(roster) < self.seats_min or self.size_decision is SizeDecision.RECLASSIFIED

    def closure_of(self, slot: Slot) -> Closure | None:
        """The closure on whose days a session is."""
        day = self.day_of(slot)
        return next((c for c in self.closures if c.from_on <= day <= c.until_on), None)

    @property
    def days_closed(self) -> tuple[date, ...]:
        """Every day on which nobody of the group could come: by a closure, or because its session was called off so."""
        days = {day for closure in self.closures for day in closure.days}
        days |= {self.day_of(slot) for slot in self.slots.values() if slot.is_closed}
        return tuple(sorted(days))

    def days_closed_for(self, episode_id: str) -> tuple[date, ...]:
        """Those of them that are the person's: of who has no seat any more, up to the day on which it fell free."""
        if episode_id in self.confirmed:
            return self.days_closed
        freed = [s.freed_at for s in self.former_seats if s.episode_id == episode_id]
        if not freed:
            return ()
        last = calendar.local_day(max(freed), self.time_zone)
        return tuple(day for day in self.days_closed if day <= last)

    def day_of(self, slot: Slot) -> date:
        """The facility's day of a session."""
        return calendar.local_day(slot.starts_at, self.time_zone)

    @property
    def is_group(self) -> bool:
        """Enough people for a group."""
        return len(self.seats) >= self.seats_min


def booking_of(
    state: GroupState, group_id: str, session_id: str, *, begins: bool = False
) -> Booked:
    """What a person of the group is told of one of its sessions."""
    slot = state.slots[session_id]
    return Booked(
        session_id=session_id,
        starts_at=slot.starts_at,
        minutes_planned=slot.minutes_planned,
        modality=slot.modality,
        group_id=group_id,
        family_only=slot.family_only,
        service=slot.service,
        track_days=() if state.track_hours is None else state.track_hours.weekdays,
        times_changed=slot.times_changed,
        begins=begins,
    )
