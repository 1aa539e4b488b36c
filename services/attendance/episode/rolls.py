"""Handoffs of sessions to an episode: attended or missed, corrected, not on the roll. Pure, like all rules.

Credit is never more than was planned; who came late or left early is credited the minutes they were there, and what two
sessions cover is credited once. A correction never edits what was published: it publishes what holds now, and a closed
week is evaluated once more.

A roll is stored whenever it is heard. What it means is published only when the person is expected at the session: what
is heard before the admission waits for it, and what is heard after an end waits for the end to be taken back.
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
from services.attendance.episode.hours import Booking, Said
from shared.contracts import attendance
from shared.contracts.attendance import Absence, Arrival, AttendanceStatus
from shared.decision import Cause, Decision, Events, Handoff, Handoffs

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
    if state.void:
        there = body.status.is_present
        return Decision(state, (), (_doubt(body.session_id, cause),) if there else ())
    booking = bookings.told(state, body.booked).replace(
        status=body.status,
        minutes_credited=credited(body.booked, body.status, body.minutes_present),
        minutes_held=body.minutes_held,
        participation=body.participation,
        cancelled_by=None,
        off_roll=False,
        correction=None,
    )
    return _heard(state, body.session_id, booking, cause)


def corrected(state: EpisodeState, body: Corrected, cause: Cause) -> Decision[EpisodeState]:
    """The roll's entry for the person was wrong: minutes, a miss, or both. A closed week is evaluated again."""
    booking = bookings.told(state, body.booked).replace(
        status=body.status_after,
        minutes_credited=body.minutes_after,
        minutes_held=body.minutes_held,
        off_roll=False,
    )
    known = state.bookings.get(body.session_id)
    if known is not None and booking == known.replace(minutes_held=body.minutes_held):
        return Decision(*weeks.put(state, body.session_id, booking, cause))
    booking = booking.replace(correction=body.reason)
    return _heard(state, body.session_id, booking, cause)


def off_roll(state: EpisodeState, body: OffRoll, cause: Cause) -> Decision[EpisodeState]:
    """The roll is not about the person, or was so by mistake: they were neither there nor absent."""
    booking = state.bookings.get(body.session_id)
    if booking is None:
        return Decision(state)
    left = booking.replace(off_roll=True, status=None, minutes_credited=0, written_at=None)
    if booking.status is None or body.reason is None:
        state, events = weeks.put(state, body.session_id, left, cause)
        return Decision(state, events)
    return _heard(state, body.session_id, left.replace(correction=body.reason), cause)


def _heard(
    state: EpisodeState, session_id: str, booking: Booking, cause: Cause
) -> Decision[EpisodeState]:
    """Store what a roll says, and publish it unless the person is not expected there by all that is known."""
    booking = booking.replace(unsaid_since=cause.now, written_at=None)
    state, evaluated = weeks.put(state, session_id, booking, cause)
    said = _published(state, session_id, cause)
    state, doubts = watch_doubts(said.state, cause)
    events = (*said.events[:1], *evaluated, *said.events[1:])
    return Decision(state, events, (*doubts, *said.handoffs))


def caught_up(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Publish what rolls said before it was known that the person was expected, as of when each was heard."""
    events: Events = ()
    handoffs: Handoffs = ()
    waiting = sorted(
        (booking.unsaid_since, key)
        for key, booking in state.bookings.items()
        if booking.unsaid_since is not None
    )
    for heard_at, session_id in waiting:
        said = _published(state, session_id, cause._replace(now=heard_at))
        state, events = said.state, (*events, *said.events)
        handoffs += said.handoffs
    state, doubts = watch_doubts(state, cause)
    return Decision(state, events, (*doubts, *handoffs))


def _published(state: EpisodeState, session_id: str, cause: Cause) -> Decision[EpisodeState]:
    """Publish what a roll says now, unless it was published, or the person is not to be expected there."""
    booking = state.bookings[session_id]
    status = _holds(state, booking)
    nothing = status is None and (booking.said is None or booking.said.status is None)
    if booking.unsaid_since is None or nothing or not expects(state, booking.starts_at):
        return Decision(state)
    said = Said(status=status, minutes=weeks.credit_of(state, session_id))
    after = booking.replace(said=said)
    if (
        status is not None or booking.off_roll
    ):  # what is closed to the person now may not be by what comes
        after = after.replace(unsaid_since=None, correction=None)
    state = state.replace(bookings={**state.bookings, session_id: after})
    state, reached = absences.consider(state, cause)
    state, events, handoffs = pauses.consider(state, cause)
    event = _event(session_id, booking, said)
    return Decision(state, (event, *reached, *events), handoffs)


def _holds(state: EpisodeState, booking: Booking) -> AttendanceStatus | None:
    """What the roll says of the person; None where it is not about them, or says that they missed what was closed."""
    shut_out = is_shut_out(state, booking.starts_at, booking.modality)
    if booking.off_roll or (shut_out and not booking.is_present):
        return None
    return booking.status


def _event(session_id: str, booking: Booking, said: Said) -> attendance.AttendanceEvent:
    """The event of an entry of a roll: the first word about it, or what holds instead of the one before."""
    if booking.said is not None and booking.correction is not None:
        return attendance.AttendanceCorrected(
            session_id=session_id,
            status_before=booking.said.status or AttendanceStatus.EXCUSED,
            status_after=said.status or AttendanceStatus.EXCUSED,
            minutes_before=booking.said.minutes,
            minutes_after=said.minutes,
            reason=booking.correction,
            family_only=booking.family_only,
        )
    status = said.status or AttendanceStatus.EXCUSED
    if status.is_present:
        return attendance.SessionAttended(
            session_id=session_id,
            starts_at=booking.starts_at,
            modality=booking.modality,
            arrival=_ARRIVALS[status],
            minutes_credited=said.minutes,
            participation=booking.participation,
            family_only=booking.family_only,
        )
    return attendance.SessionMissed(
        session_id=session_id,
        starts_at=booking.starts_at,
        modality=booking.modality,
        absence=_ABSENCES[status],
        family_only=booking.family_only,
    )


def credited(booked_as: Booked, status: AttendanceStatus, minutes_present: int) -> int:
    """The minutes that a roll gives: those the person was there, and at most the planned ones."""
    return min(minutes_present, booked_as.minutes_planned) if status.is_present else 0


# --- who came against their record ------------------------------------------------------------------------


def watch_doubts(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Handoffs]:
    """Sessions whose roll has the person against their record, told once; and once more when the two agree."""
    doubted = tuple(sorted(key for key, one in state.bookings.items() if _is_doubted(state, one)))
    doubts = tuple(_doubt(key, cause) for key in doubted if key not in state.doubted)
    agrees = WalkInAgreed(episode_id=cause.subject_id)
    explained = (key for key in state.doubted if key not in doubted)
    agreed = tuple(Handoff(f"session/{key}", agrees) for key in explained)
    return state.replace(doubted=doubted), (*doubts, *agreed)


def all_doubted(state: EpisodeState, cause: Cause) -> Handoffs:
    """The person should never have been here: somebody looks at every roll that has them."""
    there = sorted(key for key, booking in state.bookings.items() if booking.is_present)
    return tuple(_doubt(key, cause) for key in there if key not in state.doubted)


def _is_doubted(state: EpisodeState, booking: Booking) -> bool:
    """Whether the record speaks against who was there."""
    at, modality = booking.starts_at, booking.modality
    return booking.is_present and (not expects(state, at) or is_shut_out(state, at, modality))


def _doubt(session_id: str, cause: Cause) -> Handoff:
    return Handoff(f"session/{session_id}", WalkInDoubted(episode_id=cause.subject_id))
