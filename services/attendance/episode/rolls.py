"""Handoffs of sessions to an episode: booked, cancelled, attended or missed, corrected. Pure, like all rules.

Credit is never more than was planned; who came late or left early is credited the minutes they were there. A
correction never edits what was published: it publishes what holds now, and a closed week is evaluated once more.
Source: house rules, docs/domain.md 3.3 (Hours).
"""

from __future__ import annotations

from typing import Final

from services.attendance.episode import absences, hours, pauses, weeks
from services.attendance.episode.episode_state import (
    Booked,
    Corrected,
    Dropped,
    EpisodeState,
    RollCalled,
    expects,
    is_paused,
    not_expected,
)
from services.attendance.episode.hours import Booking
from shared.contracts import attendance, plans
from shared.contracts.attendance import Absence, Arrival, AttendanceStatus
from shared.decision import Cause, Decision, Events

_ARRIVALS: Final = {
    AttendanceStatus.ATTENDED: Arrival.ATTENDED,
    AttendanceStatus.LATE: Arrival.LATE,
    AttendanceStatus.LEFT_EARLY: Arrival.LEFT_EARLY,
}
_ABSENCES: Final = {
    AttendanceStatus.EXCUSED: Absence.EXCUSED,
    AttendanceStatus.NO_SHOW: Absence.NO_SHOW,
}


def booked(state: EpisodeState, body: Booked, cause: Cause) -> Decision[EpisodeState]:
    """Book a session in the person's week; the session of a person who has left gets its roster corrected."""
    if not expects(state, body.starts_at) or is_paused(state, body.starts_at, body.modality):
        return Decision(state, (), not_expected(cause.subject_id, (body.session_id,)))
    state, events = weeks.put(state, body.session_id, None, _booking(state, body), cause)
    return Decision(state, events)


def dropped(state: EpisodeState, body: Dropped, cause: Cause) -> Decision[EpisodeState]:
    """A session that does not take place is no longer offered, unless the patient cancelled it."""
    booking = state.bookings.get(body.session_id)
    if booking is None:
        return Decision(state)
    cancelled = booking.replace(cancelled_by=body.cancelled_by)
    state, events = weeks.put(state, body.session_id, booking, cancelled, cause)
    return Decision(state, events)


def roll_called(state: EpisodeState, body: RollCalled, cause: Cause) -> Decision[EpisodeState]:
    """Credit the minutes, or count the absence. Nobody is absent from what a pause excludes them from."""
    if not expects(state, body.booked.starts_at):
        return Decision(state)
    if not body.status.is_present and is_paused(state, body.booked.starts_at, body.booked.modality):
        return Decision(state)
    before = state.bookings.get(body.session_id) or _booking(state, body.booked)
    there = body.status.is_present
    after = before.replace(
        status=body.status,
        minutes_credited=credited(body.booked, body.status, body.minutes_present),
    )
    state, evaluated = weeks.put(state, body.session_id, before, after, cause)
    state, reached = absences.record_status(
        state, body.session_id, before.starts_at, body.status, cause
    )
    if there:
        event: attendance.AttendanceEvent = attendance.SessionAttended(
            session_id=body.session_id,
            starts_at=before.starts_at,
            modality=before.modality,
            arrival=_ARRIVALS[body.status],
            minutes_credited=after.minutes_credited,
            participation=body.participation,
        )
    else:
        event = attendance.SessionMissed(
            session_id=body.session_id,
            starts_at=before.starts_at,
            modality=before.modality,
            absence=_ABSENCES[body.status],
        )
    state, events, handoffs = pauses.consider(state, cause)
    return Decision(state, (event, *evaluated, *reached, *events), handoffs)


def corrected(state: EpisodeState, body: Corrected, cause: Cause) -> Decision[EpisodeState]:
    """The roll's entry for the person was wrong: minutes, a miss, or both. A closed week is evaluated again."""
    if not expects(state, body.booked.starts_at):
        return Decision(state)
    known = state.bookings.get(body.session_id) or _booking(state, body.booked)
    before = known.replace(status=body.status_before, minutes_credited=body.minutes_before)
    after = known.replace(status=body.status_after, minutes_credited=body.minutes_after)
    event = attendance.AttendanceCorrected(
        session_id=body.session_id,
        status_before=body.status_before,
        status_after=body.status_after,
        minutes_before=body.minutes_before,
        minutes_after=body.minutes_after,
        reason=body.reason,
    )
    state, evaluated = weeks.put(state, body.session_id, before, after, cause)
    state, reached = absences.record_status(
        state, body.session_id, known.starts_at, body.status_after, cause
    )
    state, events, handoffs = pauses.consider(state, cause)
    return Decision(state, (event, *evaluated, *reached, *events), handoffs)


def credited(booked_as: Booked, status: AttendanceStatus, minutes_present: int) -> int:
    """The minutes that a roll gives: those the person was there, and at most the planned ones."""
    return min(minutes_present, booked_as.minutes_planned) if status.is_present else 0


def ancillary_added(
    state: EpisodeState, event: plans.AncillaryServiceAdded, cause: Cause
) -> Decision[EpisodeState]:
    """The plan decides whether a further service counts toward the hours; its sessions count accordingly."""
    kind = event.kind.value
    state = state.replace(ancillary={**state.ancillary, kind: event.counts_toward_hours})
    events: Events = ()
    for session_id, booking in state.bookings.items():
        if booking.service == kind and booking.counts != event.counts_toward_hours:
            after = booking.replace(counts=event.counts_toward_hours)
            state, evaluated = weeks.put(state, session_id, booking, after, cause)
            events += evaluated
    return Decision(state, events)


def _booking(state: EpisodeState, body: Booked) -> Booking:
    service = None if body.service is None else state.ancillary.get(body.service)
    return Booking(
        starts_at=body.starts_at,
        minutes_planned=body.minutes_planned,
        modality=body.modality,
        counts=hours.counts(body.modality, family_only=body.family_only, service_counts=service),
        service=body.service,
    )
