"""What a person is booked for: their seats times the groups' calendars, and sessions of their own. Pure.

A group tells its people when a seat or its calendar changes, and a session tells its roster when it begins. Both may
come in any order: of what the calendar said of one session, the latest holds, and what its roll said holds before all.
Source: docs/decisions/0017-who-owns-what.md.
"""

from __future__ import annotations

from datetime import UTC, date

from services.attendance.episode import breath, hours, weeks
from services.attendance.episode.episode_state import (
    EpisodeState,
    StateAndEvents,
    expects,
    is_shut_out,
    not_expected,
)
from services.attendance.episode.handoffs import (
    Booked,
    CalendarShared,
    ClosedOn,
    Dropped,
    Unbooked,
)
from services.attendance.episode.hours import Booking
from shared import calendar
from shared.contracts import plans
from shared.contracts.codes import Modality
from shared.decision import Cause, Decision, Events, Handoffs


def booked(state: EpisodeState, body: Booked, cause: Cause) -> Decision[EpisodeState]:
    """Book a session in the person's week. Whoever is not to be expected there is taken off its roster."""
    state, events, handoffs = _book(state, body, cause)
    return Decision(state, events, handoffs)


def calendar_shared(
    state: EpisodeState, body: CalendarShared, cause: Cause
) -> Decision[EpisodeState]:
    """With the seat come the sessions that are ahead of the group."""
    state, events = _closed(state, body.group_id, body.days_closed, cause)
    handoffs: Handoffs = ()
    for one in body.sessions:
        state, booked_too, not_there = _book(state, one, cause)
        events, handoffs = (*events, *booked_too), (*handoffs, *not_there)
    return Decision(state, events, handoffs)


def closed_on(state: EpisodeState, body: ClosedOn, cause: Cause) -> Decision[EpisodeState]:
    """Nothing is asked for on days on which the facility is closed."""
    state, events = _closed(state, body.group_id, body.days, cause)
    return Decision(state, events)


def _closed(
    state: EpisodeState, group_id: str, days: tuple[date, ...], cause: Cause
) -> StateAndEvents:
    if state.void or state.days_closed.get(group_id, ()) == days:
        return state, ()
    others = {key: known for key, known in state.days_closed.items() if key != group_id}
    state = state.replace(days_closed={**others, group_id: days} if days else others)
    return weeks.reconsider(state, cause)


def _book(state: EpisodeState, body: Booked, cause: Cause) -> tuple[EpisodeState, Events, Handoffs]:
    welcome = _is_welcome(state, body, cause)
    if not state.void:
        after = told(state, body)
        if body.begins:
            after = after.replace(off_roll=not welcome)
        known = state.bookings.get(body.session_id)
        if (known is None or known.cancelled_by != after.cancelled_by) and (
            after.planned[1] < cause.now
        ):
            after = after.replace(written_at=cause.now)
        if known is not None and known.status is not None:
            after = known
        state, events = weeks.put(state, body.session_id, after, cause)
    else:
        events = ()
    if welcome:
        return state, events, ()
    return state, events, not_expected(cause.subject_id, (body.session_id,))


def _is_welcome(state: EpisodeState, body: Booked, cause: Cause) -> bool:
    """Whether the person is to be expected. Whoever blew positive today is in no group today."""
    if not expects(state, body.starts_at) or is_shut_out(state, body.starts_at, body.modality):
        return False
    if body.modality is not Modality.GROUP:
        return True
    days = [calendar.local_day(at, state.time_zone) for at in (cause.now, body.starts_at)]
    return days[0] != days[1] or not breath.no_group_today(state, cause.now)


def told(state: EpisodeState, body: Booked) -> Booking:
    """What is known of a session: of what the calendar said, the latest."""
    known, now = state.bookings.get(body.session_id), _booking(state, body)
    if known is None:
        return now
    if body.times_changed < known.times_changed:
        return known
    back = body.times_changed > known.times_changed
    return known.replace(
        starts_at=now.starts_at,
        minutes_planned=now.minutes_planned,
        modality=now.modality,
        counts=now.counts,
        group_id=now.group_id,
        service=now.service,
        family_only=now.family_only,
        times_changed=now.times_changed,
        track_days=now.track_days or known.track_days,
        cancelled_by=None if back else known.cancelled_by,
        off_roll=known.off_roll and not back,
    )


def unbooked(state: EpisodeState, body: Unbooked, cause: Cause) -> Decision[EpisodeState]:
    """Without the seat neither the sessions ahead of the group nor the days on which it is off are the person's."""
    state, events = _closed(state, body.group_id, body.days_closed, cause)
    for session_id in body.session_ids:
        known = state.bookings.get(session_id)
        if known is not None and known.status is None:
            state, evaluated = weeks.put(state, session_id, None, cause)
            events += evaluated
    return Decision(state, events)


def dropped(state: EpisodeState, body: Dropped, cause: Cause) -> Decision[EpisodeState]:
    """A session that does not take place is no longer offered, unless the patient cancelled it."""
    booking = told(state, body.booked)
    if booking.status is not None:  # it took place: its roll was called meanwhile
        return Decision(state)
    cancelled = booking.replace(cancelled_by=body.cancelled_by)
    state, events = weeks.put(state, body.session_id, cancelled, cause)
    return Decision(state, events)


def ancillary_added(
    state: EpisodeState, event: plans.AncillaryServiceAdded, cause: Cause
) -> Decision[EpisodeState]:
    """The plan decides whether a further service counts toward the hours; its sessions count accordingly."""
    kind = event.kind.value
    state = state.replace(ancillary={**state.ancillary, kind: event.counts_toward_hours})
    events: Events = ()
    for session_id, booking in state.bookings.items():
        counts = _counts(state, booking)
        if booking.service == kind and booking.counts != counts:
            after = booking.replace(counts=counts)
            state, evaluated = weeks.put(state, session_id, after, cause)
            events += evaluated
    return Decision(state, events)


def _counts(state: EpisodeState, session: Booked | Booking) -> bool:
    """Whether a session counts toward the hours, by all that is known of it and of the plan."""
    service = None if session.service is None else state.ancillary.get(session.service)
    return hours.counts(session.modality, family_only=session.family_only, service_counts=service)


def _booking(state: EpisodeState, body: Booked) -> Booking:
    return Booking(
        starts_at=body.starts_at.astimezone(UTC),
        minutes_planned=body.minutes_planned,
        modality=body.modality,
        counts=_counts(state, body),
        group_id=body.group_id,
        service=body.service,
        family_only=body.family_only,
        times_changed=body.times_changed,
        track_days=body.track_days,
    )
