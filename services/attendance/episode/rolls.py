"""Handoffs of sessions to an episode: attended or missed, corrected, not on the roll. Pure, like all rules.

Credit is never more than was planned; who came late or left early is credited the minutes they were there, and what two
sessions cover is credited once. A correction never edits what was published: it publishes what holds now, and a closed
week is evaluated once more.
Source: house rules, docs/domain.md 3.3 (Hours).
"""

from __future__ import annotations

from typing import Final

from services.attendance.episode import absences, bookings, pauses, weeks
from services.attendance.episode.episode_state import (
    EpisodeState,
    expects,
    is_shut_out,
)
from services.attendance.episode.handoffs import (
    Booked,
    Corrected,
    OffRoll,
    RollCalled,
    WalkInAgreed,
    WalkInDoubted,
)
from services.attendance.episode.hours import Booking
from shared.contracts import attendance
from shared.contracts.attendance import Absence, Arrival, AttendanceStatus, CorrectionReason
from shared.decision import Cause, Decision, Handoff, Handoffs

_ARRIVALS: Final = {
    AttendanceStatus.ATTENDED: Arrival.ATTENDED,
    AttendanceStatus.LATE: Arrival.LATE,
    AttendanceStatus.LEFT_EARLY: Arrival.LEFT_EARLY,
}
_ABSENCES: Final = {
    AttendanceStatus.EXCUSED: Absence.EXCUSED,
    AttendanceStatus.NO_SHOW: Absence.NO_SHOW,
}


# --- the roll --------------------------------------------------------------------------------------------


def roll_called(state: EpisodeState, body: RollCalled, cause: Cause) -> Decision[EpisodeState]:
    """Credit the minutes, or count the absence. Nobody is absent from what is closed to them.

    Whoever came although their record speaks against it was there all the same: somebody puts it right.
    """
    at, modality = body.booked.starts_at, body.booked.modality
    there = body.status.is_present
    if not expects(state, at):  # an end may be taken back: then the roll is decided again
        return Decision(state, (), (_doubt(body.session_id, cause),) if there else ())
    shut_out = is_shut_out(state, at, modality)
    if shut_out and not there:
        return Decision(state)
    state, handoffs = _known_roll(state, body, cause, doubted=shut_out)
    before = state
    booking = bookings.told(state, body.booked).replace(
        status=body.status,
        minutes_credited=credited(body.booked, body.status, body.minutes_present),
        minutes_held=body.minutes_held,
        cancelled_by=None,
        off_roll=False,
    )
    state, evaluated = weeks.put(state, body.session_id, booking, cause)
    state, reached = absences.consider(before, state, cause)
    event = _rolled(state, body)
    state, events, asked = pauses.consider(state, cause)
    return Decision(state, (event, *evaluated, *reached, *events), (*handoffs, *asked))


def _rolled(state: EpisodeState, body: RollCalled) -> attendance.AttendanceEvent:
    """The event of an entry of a roll."""
    booking = state.bookings[body.session_id]
    if body.status.is_present:
        return attendance.SessionAttended(
            session_id=body.session_id,
            starts_at=booking.starts_at,
            modality=booking.modality,
            arrival=_ARRIVALS[body.status],
            minutes_credited=weeks.credit_of(state, body.session_id),
            participation=body.participation,
            family_only=booking.family_only or None,
        )
    return attendance.SessionMissed(
        session_id=body.session_id,
        starts_at=booking.starts_at,
        modality=booking.modality,
        absence=_ABSENCES[body.status],
        family_only=booking.family_only or None,
    )


def corrected(state: EpisodeState, body: Corrected, cause: Cause) -> Decision[EpisodeState]:
    """The roll's entry for the person was wrong: minutes, a miss, or both. A closed week is evaluated again."""
    if not expects(state, body.booked.starts_at):
        return Decision(state)
    booking = bookings.told(state, body.booked).replace(
        status=body.status_after, minutes_credited=body.minutes_after, off_roll=False
    )
    return _put_right(state, body.session_id, booking, body.status_after, body.reason, cause)


def off_roll(state: EpisodeState, body: OffRoll, cause: Cause) -> Decision[EpisodeState]:
    """The roll is not about the person, or was so by mistake: they were neither there nor absent."""
    booking = state.bookings.get(body.session_id)
    if booking is None:
        return Decision(state)
    left = booking.replace(off_roll=True, status=None, minutes_credited=0)
    if booking.status is None or body.reason is None:
        state, events = weeks.put(state, body.session_id, left, cause)
        return Decision(state, events)
    state = state.replace(doubted=tuple(one for one in state.doubted if one != body.session_id))
    excused = AttendanceStatus.EXCUSED
    return _put_right(state, body.session_id, left, excused, body.reason, cause)


def _put_right(
    state: EpisodeState,
    session_id: str,
    booking: Booking,
    status_after: AttendanceStatus,
    reason: CorrectionReason,
    cause: Cause,
) -> Decision[EpisodeState]:
    """What holds now instead of what the roll said."""
    before = state
    known = state.bookings.get(session_id)
    minutes_before = 0 if known is None else weeks.credit_of(state, session_id)
    state, evaluated = weeks.put(state, session_id, booking, cause)
    if not expects(state, booking.starts_at):
        return Decision(state, evaluated)
    event = attendance.AttendanceCorrected(
        session_id=session_id,
        status_before=_status_of(known),
        status_after=status_after,
        minutes_before=minutes_before,
        minutes_after=weeks.credit_of(state, session_id),
        reason=reason,
        family_only=booking.family_only or None,
    )
    state, reached = absences.consider(before, state, cause)
    state, events, handoffs = pauses.consider(state, cause)
    return Decision(state, (event, *evaluated, *reached, *events), handoffs)


def _status_of(booking: Booking | None) -> AttendanceStatus:
    known = None if booking is None else booking.status
    return AttendanceStatus.EXCUSED if known is None else known


def credited(booked_as: Booked, status: AttendanceStatus, minutes_present: int) -> int:
    """The minutes that a roll gives: those the person was there, and at most the planned ones."""
    return min(minutes_present, booked_as.minutes_planned) if status.is_present else 0


# --- who came against their record ------------------------------------------------------------------------


def _known_roll(
    state: EpisodeState, body: RollCalled, cause: Cause, *, doubted: bool
) -> tuple[EpisodeState, Handoffs]:
    """Whether the record speaks against who was there, or agrees by now with what it had spoken against."""
    if doubted:
        listed = tuple(dict.fromkeys((*state.doubted, body.session_id)))
        return state.replace(doubted=listed), (_doubt(body.session_id, cause),)
    if not body.walk_in:
        return state, ()
    agrees = WalkInAgreed(episode_id=cause.subject_id)
    return state, (Handoff(f"session/{body.session_id}", agrees),)


def _doubt(session_id: str, cause: Cause) -> Handoff:
    return Handoff(f"session/{session_id}", WalkInDoubted(episode_id=cause.subject_id))


def agreed(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Handoffs]:
    """What the record has come to know may explain why the person was there."""
    explained = tuple(
        key
        for key in state.doubted
        if expects(state, state.bookings[key].starts_at)
        and not is_shut_out(state, state.bookings[key].starts_at, state.bookings[key].modality)
    )
    left = tuple(key for key in state.doubted if key not in explained)
    body = WalkInAgreed(episode_id=cause.subject_id)
    return state.replace(doubted=left), tuple(Handoff(f"session/{key}", body) for key in explained)
