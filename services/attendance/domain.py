"""The rules of attendance: rolls, weeks, absences and screens. Pure: no clock, no ids, no I/O.

Thresholds marked "house rule" are defaults of the domain reference, section 3, not official criteria.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import Field

from services.attendance import hours
from services.attendance.hours import Booking, WeekTotals
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import (
    Absence,
    Arrival,
    AttendanceStatus,
    CancelledBy,
    Participation,
)
from shared.contracts.codes import LevelOfCare, Modality, Population, Role, Value
from shared.decision import Cause, Decision, HandoffBody, State
from shared.errors import NotYetKnown

SILENT_DAYS: Final = 7
"""Days without any contact before someone has to act. House rule."""
NO_SHOW_STEPS: Final = (2, 3)
"""Unexcused absences in a row that call for a review, and for a retention conference. House rule."""
RECENT: Final = timedelta(days=14)
SPECIMEN_LOOKED_AT_WITHIN: Final = timedelta(hours=24)

_PRESENT: Final = {
    AttendanceStatus.ATTENDED: Arrival.ATTENDED,
    AttendanceStatus.LATE: Arrival.LATE,
    AttendanceStatus.LEFT_EARLY: Arrival.LEFT_EARLY,
}
_ABSENT: Final = {
    AttendanceStatus.EXCUSED: Absence.EXCUSED,
    AttendanceStatus.NO_SHOW: Absence.NO_SHOW,
}


# --- what a session tells the episodes on its roster ---------------------------------------------------


class Booked(HandoffBody):
    """To an episode: you are on the roster of this session."""

    session_id: str
    starts_at: datetime
    minutes_planned: int
    modality: Modality


class RollCalled(HandoffBody):
    """To an episode: the roll of this session says this of you."""

    session_id: str
    booked: Booked
    status: AttendanceStatus
    minutes_present: int
    participation: Participation


class Dropped(HandoffBody):
    """To an episode: this session does not take place."""

    session_id: str
    cancelled_by: CancelledBy


# --- an episode: weeks and absences ---------------------------------------------------------------------


class Admission(Value):
    """What intake said at admission, as far as attendance needs it."""

    level: LevelOfCare
    population: Population
    admitted_at: datetime
    time_zone: str


class Screen(Value):
    """One screen on its way from order to interpretation. Results stay here."""

    matrix: attendance.Matrix
    panel: str
    window_ends_at: datetime
    collected_at: datetime | None = None
    positives: tuple[str, ...] = ()
    validity: attendance.SpecimenValidity | None = None
    closed: bool = False


class EpisodeState(State):
    """One person's attendance in one episode. What is settled in closed weeks is folded into their totals."""

    admission: Admission | None = None
    discharged_at: datetime | None = None
    bookings: dict[str, Booking] = Field(default_factory=dict[str, Booking])
    weeks: dict[str, WeekTotals] = Field(default_factory=dict[str, WeekTotals])
    no_shows: tuple[datetime, ...] = ()
    """Unexcused absences of the last 14 days or since the last contact, by when the session began."""
    last_contact_at: datetime | None = None
    screens: dict[str, Screen] = Field(default_factory=dict[str, Screen])
    expected: tuple[plans.ExpectedAnalyte, ...] = ()

    @property
    def absences_consecutive(self) -> int:
        """Unexcused absences since the person was last there, in whichever order the rolls were called."""
        since = self.last_contact_at
        return sum(since is None or moment > since for moment in self.no_shows)


def admitted(
    state: EpisodeState, event: intake.PatientAdmitted, cause: Cause
) -> Decision[EpisodeState]:
    """Hours are counted from the day of admission."""
    admission = Admission(
        level=event.level,
        population=event.population,
        admitted_at=event.admitted_at,
        time_zone=event.time_zone,
    )
    state = state.but(admission=admission, last_contact_at=event.admitted_at)
    state = _arm_week(state, hours.week_of(event.admitted_at, event.time_zone), cause.now)
    return Decision(state.arm("silence", event.admitted_at + timedelta(days=SILENT_DAYS)))


def level_changed(
    state: EpisodeState, event: plans.LevelOfCareChanged, _cause: Cause
) -> Decision[EpisodeState]:
    """Another level asks for other hours."""
    if state.admission is None:
        return Decision(state)
    return Decision(
        state.but(admission=state.admission.model_copy(update={"level": event.to_level}))
    )


def expected_analytes_updated(
    state: EpisodeState, event: plans.ExpectedAnalytesUpdated, _cause: Cause
) -> Decision[EpisodeState]:
    """What is prescribed is expected in a screen."""
    return Decision(state.but(expected=event.analytes))


def discharged(
    state: EpisodeState, event: plans.EpisodeDischarged, _cause: Cause
) -> Decision[EpisodeState]:
    """The last week is still counted; nothing else is waited for."""
    state = state.but(discharged_at=event.discharged_at)
    return Decision(state.disarm("silence", "screen:*", "week-projection:*"))


def booked(state: EpisodeState, body: Booked, _cause: Cause) -> Decision[EpisodeState]:
    """A session stands in the person's week."""
    return Decision(*_in_its_week(state, body.session_id, None, _booking(body)))


def _booking(body: Booked) -> Booking:
    return Booking(
        starts_at=body.starts_at,
        minutes_planned=body.minutes_planned,
        modality=body.modality,
        counts=body.modality in hours.COUNTED,
    )


def dropped(state: EpisodeState, body: Dropped, _cause: Cause) -> Decision[EpisodeState]:
    """A session that does not take place is no longer offered, unless the patient cancelled it."""
    booking = state.bookings.get(body.session_id)
    if booking is None:
        return Decision(state)
    cancelled = booking.model_copy(update={"cancelled_by": body.cancelled_by})
    return Decision(*_in_its_week(state, body.session_id, booking, cancelled))


def roll_called(state: EpisodeState, body: RollCalled, cause: Cause) -> Decision[EpisodeState]:
    """Credit the minutes, or count the absence. Credit is never more than was planned."""
    before = state.bookings.get(body.session_id) or _booking(body.booked)
    present = body.status in _PRESENT
    credited = min(body.minutes_present, before.minutes_planned) if present else 0
    booking = before.model_copy(update={"status": body.status, "minutes_credited": credited})
    state, evaluated = _in_its_week(state, body.session_id, before, booking)
    if present:
        event = attendance.SessionAttended(
            session_id=body.session_id,
            starts_at=before.starts_at,
            modality=before.modality,
            arrival=_PRESENT[body.status],
            minutes_credited=credited,
            participation=body.participation,
        )
        return Decision(_in_contact(state, before.starts_at), (event, *evaluated))
    missed = attendance.SessionMissed(
        session_id=body.session_id,
        starts_at=before.starts_at,
        modality=before.modality,
        absence=_ABSENT[body.status],
    )
    if body.status is AttendanceStatus.EXCUSED:
        return Decision(state, (missed,))
    return _no_show(state, before.starts_at, missed, cause)


def _in_its_week(
    state: EpisodeState, session_id: str, before: Booking | None, after: Booking
) -> tuple[EpisodeState, tuple[attendance.AttendanceEvent, ...]]:
    """Put a booking where it counts. A week that is closed is evaluated once more, and the later evaluation holds."""
    zone = "UTC" if state.admission is None else state.admission.time_zone
    monday = hours.week_of(after.starts_at, zone)
    closed = state.weeks.get(monday.isoformat())
    bookings = {**state.bookings, session_id: after}
    if closed is None:
        return state.but(bookings=bookings), ()
    if not after.open:
        del bookings[session_id]
    week = hours.again(closed, before, after)
    state = state.but(bookings=bookings, weeks={**state.weeks, monday.isoformat(): week})
    return state, () if week == closed else _evaluated(monday, week, closed.minutes_short)


def _evaluated(
    monday: date, week: WeekTotals, said_short: int
) -> tuple[attendance.AttendanceEvent, ...]:
    """What is said of a week that is over; a shortfall only where it is more than was said before."""
    evaluated = attendance.WeeklyHoursEvaluated(
        week_starts_on=monday,
        minutes_threshold=week.minutes_threshold,
        minutes_scheduled=week.minutes_scheduled,
        minutes_offered=week.minutes_offered,
        minutes_credited=week.minutes_credited,
        met=week.met,
        prorated=week.prorated,
    )
    if week.minutes_short <= said_short:
        return (evaluated,)
    shortfall = attendance.WeeklyHoursShortfallDetected(
        week_starts_on=monday, minutes_short=week.minutes_short, projected=False
    )
    return (evaluated, shortfall)


def _in_contact(state: EpisodeState, at: datetime) -> EpisodeState:
    """Being there ends a run of absences at any stage; a roll that is called late ends nothing that came after."""
    if state.last_contact_at is not None and at <= state.last_contact_at:
        return state
    state = state.but(last_contact_at=at)
    if state.discharged_at is not None:
        return state
    return state.arm("silence", at + timedelta(days=SILENT_DAYS))


def _no_show(
    state: EpisodeState, at: datetime, missed: attendance.SessionMissed, cause: Cause
) -> Decision[EpisodeState]:
    """Two in a row call for a review, three for a retention conference; each step is said once per run."""
    before = state.absences_consecutive
    since = state.last_contact_at or at
    kept = sorted(m for m in (*state.no_shows, at) if m > cause.now - RECENT or m > since)
    state = state.but(no_shows=tuple(kept))
    if not before < state.absences_consecutive or state.absences_consecutive not in NO_SHOW_STEPS:
        return Decision(state, (missed,))
    return Decision(state, (missed, _threshold(state, cause.now)))


def _threshold(state: EpisodeState, now: datetime) -> attendance.AbsenceThresholdReached:
    silent = now - (state.last_contact_at or now)
    return attendance.AbsenceThresholdReached(
        absences_consecutive=state.absences_consecutive,
        absences_last_14_days=sum(moment > now - RECENT for moment in state.no_shows),
        days_silent=silent.days,
    )


# --- deadlines ------------------------------------------------------------------------------------------


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """A week closes or is projected, a person falls silent, a specimen is late."""
    kind, _, detail = name.partition(":")
    if kind == "week-close":
        return close_week(state, date.fromisoformat(detail), cause)
    if kind == "week-projection":
        return project_week(state, date.fromisoformat(detail))
    if kind == "silence":
        return Decision(state, (_threshold(state, cause.now),))
    if kind == "screen":
        return _specimen_late(state, detail, cause)
    raise ValueError(f"unknown deadline {kind}")


def close_week(state: EpisodeState, monday: date, cause: Cause) -> Decision[EpisodeState]:
    """Evaluate a week that is over, fold what is settled in it into totals, and go on to the next."""
    admission = _known(state)
    week = _totals(state, admission, monday)
    ours = _bookings_of(state, monday, admission.time_zone)
    bookings = {
        key: booking for key, booking in state.bookings.items() if key not in ours or booking.open
    }
    state = state.but(bookings=bookings, weeks={**state.weeks, monday.isoformat(): week})
    following = monday + timedelta(days=hours.DAYS_PER_WEEK)
    left = state.discharged_at
    if left is None or hours.week_of(left, admission.time_zone) >= following:
        state = _arm_week(state, following, cause.now)
    return Decision(state, _evaluated(monday, week, 0))


def project_week(state: EpisodeState, monday: date) -> Decision[EpisodeState]:
    """Say so while a shortfall can still be mended: what is credited and still booked does not reach the threshold."""
    admission = _known(state)
    threshold, _ = _threshold_of(state, admission, monday)
    projected = hours.projected_credit(_bookings_of(state, monday, admission.time_zone).values())
    if projected >= threshold:
        return Decision(state)
    event = attendance.WeeklyHoursShortfallDetected(
        week_starts_on=monday, minutes_short=threshold - projected, projected=True
    )
    return Decision(state, (event,))


def _known(state: EpisodeState) -> Admission:
    if state.admission is None:
        raise NotYetKnown("episode")
    return state.admission


def _arm_week(state: EpisodeState, monday: date, now: datetime) -> EpisodeState:
    zone = _known(state).time_zone
    label = monday.isoformat()
    projected_at = hours.projected_at(monday, zone)
    if projected_at > now:
        state = state.arm(f"week-projection:{label}", projected_at)
    return state.arm(f"week-close:{label}", hours.closes_at(monday, zone))


def _bookings_of(state: EpisodeState, monday: date, time_zone: str) -> dict[str, Booking]:
    return {
        key: booking
        for key, booking in state.bookings.items()
        if hours.week_of(booking.starts_at, time_zone) == monday
    }


def _threshold_of(state: EpisodeState, admission: Admission, monday: date) -> tuple[int, bool]:
    zone = ZoneInfo(admission.time_zone)
    left = state.discharged_at
    return hours.prorated_threshold(
        hours.minutes_asked(admission.level, admission.population),
        monday,
        admission.admitted_at.astimezone(zone).date(),
        None if left is None else left.astimezone(zone).date(),
    )


def _totals(state: EpisodeState, admission: Admission, monday: date) -> WeekTotals:
    threshold, prorated = _threshold_of(state, admission, monday)
    ours = _bookings_of(state, monday, admission.time_zone)
    return hours.totals(ours.values(), threshold, prorated=prorated)


def _specimen_late(state: EpisodeState, screen_id: str, cause: Cause) -> Decision[EpisodeState]:
    """Nobody brought a specimen in time: a nurse has to look at it. It is not a refusal until someone says so."""
    event = attendance.LoopEscalated(
        loop=attendance.AttendanceLoop.SPECIMEN,
        loop_id=screen_id,
        owner_role=Role.NURSE,
        step=1,
        deadline_at=cause.now + SPECIMEN_LOOKED_AT_WITHIN,
    )
    return Decision(state, (event,))
