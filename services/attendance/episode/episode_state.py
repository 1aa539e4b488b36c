"""What attendance knows of an episode, and what every rule about it shares. Pure: no clock, no ids, no I/O.

The rules stand by theme: `weeks.py` (hours), `absences.py` (misses and silence), `rolls.py` (handoffs of sessions),
`seats.py` (places in groups), `../screening/` (screens and breath tests); `../event_handlers.py` combines them.
Thresholds marked "house rule" are defaults, not official criteria: docs/domain.md 3 (Hours, attendance and screens).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import Field

from services.attendance.episode.handoffs import LeftRoster
from services.attendance.episode.hours import Booking, LevelFrom, WeekTotals, overlapping
from services.attendance.episode.values import BreathTest, Draw, FamilyVisit, Paid, Support
from services.attendance.laboratory.interpretation import Screen
from services.attendance.loop_table import LOOPS
from shared import calendar
from shared.contracts import attendance, plans
from shared.contracts.attendance import (
    AttendanceStatus,
    PauseEnd,
)
from shared.contracts.codes import (
    AttendanceLoop,
    LevelOfCare,
    Modality,
    Population,
    Value,
)
from shared.contracts.terms import HOUSE, ProgramTerms
from shared.decision import Events, Handoff, Handoffs, derive_id
from shared.errors import NotYetKnown, Refused
from shared.loops import LOOP_INDEX, CareState, Loop, LoopEvents, LoopRule, must_stand

# --- an episode -----------------------------------------------------------------------------------------

ADMITTED_INDEX: Final = "admitted"
"""The index of people who were admitted, by when; its parts are what those in care are looked for by."""
IN_CARE: Final = "in_care"
"""The part of those who have not left."""
LEVEL: Final = "level"
"""The deadline at which a change of level takes effect."""


class Standing(StrEnum):
    """Where an admitted person stands in the program."""

    ADMITTED = "admitted"
    ORIENTED = "oriented"
    PAUSED = "paused"
    TRANSFERRING = "transferring"
    DISCHARGED = "discharged"


class Admission(Value):
    """What intake published at admission, as far as attendance needs it."""

    level: LevelOfCare
    population: Population
    admitted_at: datetime
    time_zone: str
    person_id: str = ""
    program: str = ""
    terms: ProgramTerms = HOUSE
    """What the program asks, as it was on the first day."""


class Seen(Value):
    """The roll's entry for one session: whether the person was there, and whether a miss was excused."""

    at: datetime
    status: AttendanceStatus


class Threshold(Value):
    """What added up at a moment, as it was published: absences in a row, silence, or both."""

    at: datetime
    absences: int = 0
    """How many of them the program's terms ask for; 0: it was silence alone."""
    silent: bool = False


class Seat(Value):
    """A place in a group: held until an instant, or taken."""

    level_code: str | None = None
    track: str | None = None
    held_until: datetime | None = None


class SeatTime(Value):
    """From when until when a seat in a group was the person's own, and on which days that group meets."""

    group_id: str
    since: datetime
    until: datetime | None = None
    weekdays: tuple[int, ...] = ()
    """1 is Monday; empty: as it comes, on any."""
    begins: time | None = None
    """When the group's track begins; None: at any time of the day."""

    def covers(self, day: date, time_zone: str) -> bool:
        """Whether the seat was the person's when the group met, or might have met, on a day."""
        if self.begins is None:
            since = calendar.local_day(self.since, time_zone)
            until = None if self.until is None else calendar.local_day(self.until, time_zone)
            return since <= day and (until is None or day <= until)
        meets_at = calendar.instant(day, self.begins, time_zone)
        return self.since <= meets_at and (self.until is None or meets_at < self.until)


class Gap(Value):
    """A time that began with an end and was over when the end was taken back."""

    since: datetime
    until: datetime
    without_seat: bool = False
    """The end had taken a seat away: nobody expected the person at the group's sessions."""

    def covers(self, day: date, time_zone: str) -> bool:
        """Whether a day lies in it."""
        since = calendar.local_day(self.since, time_zone)
        return self.without_seat and since <= day <= calendar.local_day(self.until, time_zone)


class Waiting(Value):
    """The person is on a waiting list; a seat may be held for them meanwhile."""

    track: str
    position: int | None = None
    group_id: str | None = None
    offer_expires_at: datetime | None = None


class Prescribed(Value):
    """The services of the treatment plan in force."""

    plan_id: str
    version: int
    services: tuple[plans.PlannedService, ...] = ()
    decision: str | None = None
    """What the last review of it decided."""


class Away(Value):
    """Why nobody expects the person, as followup knows it: from the begin of this day on."""

    on: date
    until: datetime | None = None


class Ending(Value):
    """What the end of the episode took away beside its loops, for the case that the end is taken back."""

    since: datetime | None = None
    """When it was heard of."""
    seats: tuple[str, ...] = ()
    """Groups in which the person had a seat."""
    weeks: tuple[str, ...] = ()
    """Weeks after it that had been closed before the end was known."""
    never_away: tuple[Away, ...] = ()
    """Circumstances that were taken back while it stood."""


class Pause(Value):
    """A time in which the person is in no group, by the program's terms."""

    since: datetime
    until: datetime
    ended: PauseEnd | None = None
    """How it ended; None while it lasts."""


CLOSED_IN_PAUSE: Final = frozenset(
    {Modality.GROUP, Modality.PSYCHOEDUCATION, Modality.FAMILY, Modality.WELLNESS}
)
"""What a pause excludes a person from. Individual sessions, medication and case management are never withheld."""


class EpisodeState(CareState):
    """One person's attendance in one episode.

    Bookings are stored as they were told, for good: what counts of them follows from the facts that hold, so that one
    that is taken back years later leads to the same weeks as if it had never been.
    """

    INDEXES: ClassVar[tuple[str, ...]] = (LOOP_INDEX, ADMITTED_INDEX)
    DIVIDED: ClassVar[tuple[str, ...]] = (ADMITTED_INDEX,)
    LOOPS: ClassVar[Mapping[AttendanceLoop, LoopRule]] = LOOPS
    LOOP_EVENTS: ClassVar[LoopEvents[AttendanceLoop]] = LoopEvents(
        AttendanceLoop, attendance.LoopEscalated, attendance.EscalationCleared
    )
    admission: Admission | None = None
    oriented_at: datetime | None = None
    discharged_at: datetime | None = None
    graduated_at: datetime | None = None
    transferring: bool = False
    """Handed over to another facility that has not seen the person yet: this program stays responsible."""
    transferred_at: datetime | None = None
    levels: tuple[LevelFrom, ...] = ()
    """Every change of level, from the earliest to the latest; some of them may lie ahead."""
    bookings: dict[str, Booking] = Field(default_factory=dict[str, Booking])
    weeks: dict[str, WeekTotals] = Field(default_factory=dict[str, WeekTotals])
    short_week: str | None = None
    """The week whose shortfall was foreseen; as long as it runs, a make-up is asked for."""
    days_closed: dict[str, tuple[date, ...]] = Field(default_factory=dict[str, tuple[date, ...]])
    """When the facility is closed, as the person's groups said, by group."""
    doubted: tuple[str, ...] = ()
    """Sessions whose roll has the person although their record speaks against it."""
    thresholds: tuple[Threshold, ...] = ()
    """When absences added up, and to what, as it was published and holds."""
    pauses: tuple[Pause, ...] = ()
    """Every pause, from the earliest to the latest."""
    away: dict[str, Away] = Field(default_factory=dict[str, Away])
    """Circumstances that hold, or held until they ended (`circumstances.py`)."""
    seats: dict[str, Seat] = Field(default_factory=dict[str, Seat])
    """Places in groups, by group."""
    seat_times: tuple[SeatTime, ...] = ()
    """Every seat that is or was the person's own, for good: a week asks for the days on which it was."""
    ending: Ending | None = None
    gaps: tuple[Gap, ...] = ()
    """Ends that were taken back, from the earliest to the latest."""
    waiting: Waiting | None = None
    prescribed: Prescribed | None = None
    co_occurring: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Areas of co-occurring need, and whether an enhanced program is asked for."""
    ancillary: dict[str, bool] = Field(default_factory=dict[str, bool])
    """Ancillary services of the plan, and whether their minutes count."""
    screens: dict[str, Screen] = Field(default_factory=dict[str, Screen])
    draw: Draw | None = None
    breath_tests: dict[str, BreathTest] = Field(default_factory=dict[str, BreathTest])
    support: Support = Support()
    family: tuple[FamilyVisit, ...] = ()
    paid: dict[str, Paid] = Field(default_factory=dict[str, Paid])
    """Rewards handed to the person's ledger, by what they were for."""
    resets: tuple[str, ...] = ()
    """Screens and breath tests that hold, because of which the ledger was told that the next reward starts again."""
    expected: tuple[plans.ExpectedAnalyte, ...] = ()

    def person(self) -> str | None:
        """Whom the episode is about, once it is known."""
        return (self.admission.person_id or None) if self.admission else None

    def index_entries(self) -> Mapping[str, datetime]:
        """Beside its loops, by when the person was admitted."""
        entries = super().index_entries()
        if self.admission is None or self.void:
            return entries
        return {**entries, ADMITTED_INDEX: self.admission.admitted_at}

    def index_parts(self) -> Mapping[str, tuple[str, ...]]:
        """Those in care are found by what staff look for; who has left is found by that alone."""
        state = f"state={self.standing.value}"
        if self.admission is None or self.left_at is not None:
            return {ADMITTED_INDEX: (state,)}
        parts = {IN_CARE, state, f"program={self.admission.program}"}
        if self.level is not None:
            parts.add(f"level={self.level.code}")
        parts |= {f"track={track}" for track in self.tracks}
        parts |= {f"caseload={staff_id}" for staff_id in self.team.values()}
        return {ADMITTED_INDEX: tuple(sorted(parts))}

    def told_of(self, subject: str, loop: Loop) -> Mapping[str, Any]:
        """Of a double booking, which two sessions they are."""
        if loop.kind != AttendanceLoop.DOUBLE_BOOKING.value:
            return {}
        pairs = overlapping(booked_sessions(self))
        found = (pair for pair in sorted(pairs) if double_booking_id(subject, pair) == loop.id)
        return {"session_ids": [*next(found, ())]}

    @property
    def standing(self) -> Standing:
        """Where the person stands in this program."""
        if self.left_at is not None:
            return Standing.DISCHARGED
        if self.transferring:
            return Standing.TRANSFERRING
        if self.pause is not None:
            return Standing.PAUSED
        return Standing.ADMITTED if self.oriented_at is None else Standing.ORIENTED

    @property
    def level(self) -> LevelOfCare | None:
        """The level that holds. One that lies ahead has a deadline, by which the record is saved anew."""
        if self.admission is None:
            return None
        ahead = self.deadlines.get(LEVEL)
        since = self.admission.admitted_at
        held = [
            one.level
            for one in self.levels
            if since <= one.effective_at and (ahead is None or one.effective_at < ahead)
        ]
        return held[-1] if held else self.admission.level

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks of the groups in which the person has a seat."""
        return tuple(sorted({seat.track for seat in self.seats.values() if seat.track is not None}))

    @property
    def left_at(self) -> datetime | None:
        """When the episode ended; an end before the admission that holds is of an admission that was undone."""
        ended = self.discharged_at
        if ended is None or (self.admission is not None and ended < self.admission.admitted_at):
            return None
        return ended

    @property
    def terms(self) -> ProgramTerms:
        """What the program asks of this person; the house rules until the admission is known."""
        return HOUSE if self.admission is None else self.admission.terms

    @property
    def time_zone(self) -> str:
        """The facility's time zone; until the admission names it, days are counted in UTC."""
        return "UTC" if self.admission is None else self.admission.time_zone

    @property
    def pause(self) -> Pause | None:
        """The pause that lasts."""
        return self.pauses[-1] if self.pauses and self.pauses[-1].ended is None else None

    @property
    def seen(self) -> dict[str, Seen]:
        """The rolls' entries that were published and hold, by session.

        The family without the patient says nothing about the patient.
        """
        return {
            key: Seen(at=booking.starts_at, status=booking.said.status)
            for key, booking in self.bookings.items()
            if booking.said is not None
            and booking.said.status is not None
            and booking.unsaid_since is None
            and not booking.family_only
            and expects(self, booking.starts_at)
        }

    @property
    def last_contact_at(self) -> datetime | None:
        """When the person was last there: at a session, or at the admission."""
        there = [seen.at for seen in self.seen.values() if seen.status.is_present]
        if self.admission is not None:
            there.append(self.admission.admitted_at)
        return max(there, default=None)

    @property
    def silent_since(self) -> datetime | None:
        """Since when nobody has seen the person, or nobody could while a circumstance lasted."""
        ended = [one.until for one in self.away.values() if one.until is not None]
        last = self.last_contact_at
        return last if last is None else max((last, *ended))

    @property
    def is_away(self) -> bool:
        """Whether a circumstance lasts."""
        return any(one.until is None for one in self.away.values())

    def away_at(self, moment: datetime) -> bool:
        """Whether nobody expects the person at this moment."""
        return any(
            calendar.midnight(one.on, self.time_zone) <= moment
            and (one.until is None or moment <= one.until)
            for one in self.away.values()
        )

    @property
    def no_shows(self) -> tuple[datetime, ...]:
        """Unexcused absences, by when the session began. While a circumstance lasts, none is."""
        return tuple(
            sorted(
                s.at
                for s in self.seen.values()
                if s.status is AttendanceStatus.NO_SHOW and not self.away_at(s.at)
            )
        )

    @property
    def absences_consecutive(self) -> int:
        """Unexcused absences since the person was last there, in whichever order the rolls were called."""
        since = self.last_contact_at
        return sum(since is None or moment > since for moment in self.no_shows)


StateAndEvents = tuple[EpisodeState, Events]
"""What a helper hands back to its rule: the next state, and the events on the way to it."""


def known(state: EpisodeState) -> Admission:
    """The admission of an episode that stands, ended or not: a specimen may still be on its way when it ends."""
    must_stand(state)
    if state.admission is None:
        raise NotYetKnown("episode")
    return state.admission


def in_care(state: EpisodeState) -> Admission:
    """The admission of a person who is in care: what every command on an episode begins with."""
    admission = known(state)
    if state.left_at is not None:
        raise Refused(
            "episode-closed",
            "The episode has ended.",
            hint="If the end was a mistake, have it taken back; what happened before it is still written down.",
        )
    return admission


def expects(state: EpisodeState, moment: datetime) -> bool:
    """Whether the person is expected at a session at this moment: admitted by that day, and not gone."""
    stay = _stay(state)
    return stay is not None and stay[0] <= moment and (stay[1] is None or moment <= stay[1])


def _stay(state: EpisodeState) -> tuple[datetime, datetime | None] | None:
    """From the begin of the day of admission until the end; None while there is no stay."""
    admission = state.admission
    if state.void or admission is None:
        return None
    zone = admission.time_zone
    begins_at = calendar.midnight(calendar.local_day(admission.admitted_at, zone), zone)
    return begins_at, state.left_at


def is_paused(state: EpisodeState, starts_at: datetime, modality: Modality) -> bool:
    """Whether a session of this kind begins in a pause of the person's."""
    return modality in CLOSED_IN_PAUSE and any(
        pause.since < starts_at < pause.until for pause in state.pauses
    )


def is_shut_out(state: EpisodeState, starts_at: datetime, modality: Modality) -> bool:
    """Whether sessions of this kind are closed to the person then: in a pause, and groups before the orientation."""
    before_orientation = modality is Modality.GROUP and state.oriented_at is None
    return before_orientation or is_paused(state, starts_at, modality)


def booked_sessions(state: EpisodeState) -> dict[str, Booking]:
    """The sessions that are the person's by all that is known now: where they were, and what is open to them."""
    stay = _stay(state)
    if stay is None:
        return {}
    begins_at, left_at = stay
    return {
        key: booking
        for key, booking in state.bookings.items()
        if not booking.off_roll
        and begins_at <= booking.starts_at
        and (left_at is None or booking.starts_at <= left_at)
        and (booking.is_present or not is_shut_out(state, booking.starts_at, booking.modality))
    }


def double_booking_id(subject: str, pair: tuple[str, str]) -> str:
    """The id of the loop about two sessions of a person at one time."""
    return derive_id("double-booking", subject, *pair)


# --- sessions ------------------------------------------------------------------------------------------


def not_expected(episode_id: str, session_ids: tuple[str, ...]) -> Handoffs:
    """Handoffs that take this person off the rosters of sessions."""
    return tuple(
        Handoff(f"session/{session_id}", LeftRoster(episode_id=episode_id))
        for session_id in session_ids
    )
