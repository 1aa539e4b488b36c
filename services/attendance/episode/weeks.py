"""An episode's weeks: their sessions, their required minutes, and their evaluation. Pure, like all rules.

Every rule here leads to the same weeks in whichever order its facts come: a week that is over is evaluated again when a
late roll, a correction, a change of level or a discharge changes it, and the later evaluation holds.
Source: house rules, docs/domain.md 3.3 (Hours).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from services.attendance.episode import hours
from services.attendance.episode.episode_state import Admission, EpisodeState, StateAndEvents
from services.attendance.episode.hours import Booking, WeekAsks, WeekTotals
from services.attendance.loop_table import LOOPS
from shared import calendar, loops
from shared.contracts import attendance
from shared.contracts.codes import AttendanceLoop, ClearedReason
from shared.decision import Cause, Decision, Events, derive_id
from shared.errors import NotYetKnown, Unknown


def start(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Weeks are counted from the day of admission."""
    admission = _known(state)
    monday = hours.week_of(admission.admitted_at, admission.time_zone)
    return _arm(state, monday, cause.now)


def put(
    state: EpisodeState,
    session_id: str,
    before: Booking | None,
    after: Booking | None,
    cause: Cause,
) -> StateAndEvents:
    """Put a booking where it counts, or take it away. A week that is closed is evaluated once more."""
    booking = after or before
    if booking is None:
        return state, ()
    bookings = {key: other for key, other in state.bookings.items() if key != session_id}
    zone = _known(state).time_zone
    monday = hours.week_of(booking.starts_at, zone)
    closed = state.weeks.get(monday.isoformat())
    if after is not None and (closed is None or _stays(after)):
        bookings[session_id] = after
    state = state.replace(bookings=bookings)
    if closed is None:
        return watch(state, cause)
    week = hours.again(closed, before, after)
    return _evaluated_again(state, monday, closed, week)


def _stays(booking: Booking) -> bool:
    """Whether a booking stays after its week is closed: its roll may still be called, or its kind be decided on."""
    return booking.open or booking.service is not None


def close_week(state: EpisodeState, monday: date, cause: Cause) -> Decision[EpisodeState]:
    """Evaluate a week that is over, fold what is settled in it into totals, and go on to the next."""
    admission = _known(state)
    week = totals(state, monday)
    ours = bookings_of(state, monday)
    bookings = {
        key: booking
        for key, booking in state.bookings.items()
        if key not in ours or _stays(booking)
    }
    label = monday.isoformat()
    state = state.replace(bookings=bookings, weeks={**state.weeks, label: week})
    state, closed = _over(state, label, cause)
    following = monday + hours.WEEK
    left = state.left_at
    if left is None or hours.week_of(left, admission.time_zone) >= following:
        state = _arm(state, following, cause.now)
    return Decision(state, (*_evaluated(monday, week, 0), *closed))


def _over(state: EpisodeState, label: str, cause: Cause) -> StateAndEvents:
    """Nothing can be made up any more in a week that is closed."""
    short = state.weeks[label].minutes_short
    reason = ClearedReason.SUPERSEDED if short else ClearedReason.RESOLVED
    return loops.close(state, AttendanceLoop.MAKE_UP, _make_up(cause.subject, label), reason)


def project_week(state: EpisodeState, monday: date, cause: Cause) -> Decision[EpisodeState]:
    """Publish a shortfall that can still be made up: what is credited and still booked does not reach the threshold.

    The threshold is the week's own: a week of admission asks for its days only. Somebody has to book a make-up.
    """
    asked = asks(state, monday).minutes_threshold
    projected = hours.projected_credit(bookings_of(state, monday).values())
    if projected >= asked:
        return Decision(state)
    event = attendance.WeeklyHoursShortfallDetected(
        week_starts_on=monday, minutes_short=asked - projected, projected=True
    )
    state, events = watch(state.replace(short_week=monday.isoformat()), cause)
    return Decision(state, (event, *events))


def watch(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """The make-up loop is open while a week that was projected to be short still runs and would still be short."""
    label = state.short_week
    if label is None or label in state.weeks or state.admission is None:
        return state, ()
    monday, zone = date.fromisoformat(label), state.admission.time_zone
    loop_id = _make_up(cause.subject, label)
    projected = hours.projected_credit(bookings_of(state, monday).values())
    if state.left_at is not None:
        return loops.close(state, AttendanceLoop.MAKE_UP, loop_id, ClearedReason.EPISODE_CLOSED)
    if projected >= asks(state, monday).minutes_threshold:
        return loops.close(state, AttendanceLoop.MAKE_UP, loop_id)
    if state.loop(AttendanceLoop.MAKE_UP, loop_id) is not None:
        return state, ()
    deadline = max(
        hours.make_up_booked_by(monday, zone), LOOPS[AttendanceLoop.MAKE_UP].deadline(cause.now)
    )
    state = loops.open_loop(state, AttendanceLoop.MAKE_UP, loop_id, cause, deadline_at=deadline)
    return state, ()


def reconsider(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """What weeks ask for may have changed: by a level, or by an end. Weeks that are over are evaluated again.

    A week that begins after the end requires nothing and is removed; a shortfall published for it is retracted.
    """
    if state.admission is None:
        return state, ()
    events: Events = ()
    left, zone = state.left_at, state.admission.time_zone
    for label, closed in state.weeks.items():
        monday = date.fromisoformat(label)
        asked = asks(state, monday)
        week = closed.replace(**asked.model_dump())
        state, evaluated = _evaluated_again(state, monday, closed, week)
        events += evaluated
        if left is not None and monday > calendar.local_day(left, zone):
            state = state.replace(weeks={key: w for key, w in state.weeks.items() if key != label})
    if left is not None:
        after = [
            name
            for name in state.deadlines
            if name.startswith("week-close:")
            and date.fromisoformat(name.partition(":")[2]) > calendar.local_day(left, zone)
        ]
        state = state.disarm(*after, "week-projection:*")
    state, cleared = watch(state, cause)
    return state, (*events, *cleared)


def go_on(state: EpisodeState, removed: Mapping[str, WeekTotals], cause: Cause) -> StateAndEvents:
    """An end is taken back: weeks that it removed count again, and those after it are closed in their turn."""
    if state.admission is None:
        return state, ()
    events: Events = ()
    for label, closed in removed.items():
        monday = date.fromisoformat(label)
        week = closed.replace(**asks(state, monday).model_dump())
        state = state.replace(weeks=dict(sorted({**state.weeks, label: week}.items())))
        events += _evaluated(monday, week, 0)
    state, evaluated = reconsider(state, cause)
    for label in state.weeks:
        state, over = _over(state, label, cause)
        evaluated += over
    if not any(name.startswith("week-close:") for name in state.deadlines) and state.weeks:
        last = date.fromisoformat(max(state.weeks))
        state = _arm(state, last + hours.WEEK, hours.closes_at(last, state.time_zone))
    return state, (*events, *evaluated)


# --- what is asked and what is there ---------------------------------------------------------------------


def asks(state: EpisodeState, monday: date) -> WeekAsks:
    """What a week asks of this person, by the levels that hold in it and the days that belong to the episode."""
    admission = _known(state)
    zone, left = admission.time_zone, state.left_at
    begins = calendar.local_day(admission.admitted_at, zone)
    changes = [(calendar.local_day(one.effective_at, zone), one.level) for one in state.levels]
    levels = [(begins, admission.level), *(change for change in changes if change[0] >= begins)]
    last_day = None if left is None else calendar.local_day(left, zone)
    pauses = [
        (calendar.local_day(p.since, zone), calendar.local_day(p.until, zone)) for p in state.pauses
    ]
    return hours.asks(levels, admission.population, admission.terms, monday, last_day, pauses)


def totals(state: EpisodeState, monday: date) -> WeekTotals:
    """A week as it stands: settled when it is over, and added up while it runs."""
    settled = state.weeks.get(monday.isoformat())
    if settled is not None:
        return settled
    return hours.totals(bookings_of(state, monday).values(), asks(state, monday))


def of(state: EpisodeState, moment: datetime) -> str:
    """The label of the week in which this moment lies."""
    return hours.week_of(moment, state.time_zone).isoformat()


def bookings_of(state: EpisodeState, monday: date) -> dict[str, Booking]:
    """The sessions of one week."""
    zone = _known(state).time_zone
    return {
        key: booking
        for key, booking in state.bookings.items()
        if hours.week_of(booking.starts_at, zone) == monday
    }


def view(state: EpisodeState, day: date, *, until: date) -> dict[str, Any]:
    """A week as its person's counselor sees it: what it asks for, what it has, and how it would end as booked.

    Raises `Unknown`: no day of that week belongs to the episode, or it lies too far ahead.
    """
    admission = _known(state)
    begins = calendar.local_day(admission.admitted_at, admission.time_zone)
    left = state.left_at
    ends = until if left is None else calendar.local_day(left, admission.time_zone)
    monday = calendar.monday_of(day)
    if day > until or monday > ends or monday + hours.WEEK <= begins:
        raise Unknown("week")
    week, ours = totals(state, monday), bookings_of(state, monday)
    services = () if state.prescribed is None else state.prescribed.services
    return {
        "week_starts_on": monday.isoformat(),
        "closed": monday.isoformat() in state.weeks,
        **week.model_dump(mode="json"),
        "met": week.met,
        "minutes_short": week.minutes_short,
        "over_ceiling": week.over_ceiling,
        "minutes_projected": max(week.minutes_credited, hours.projected_credit(ours.values())),
        "minutes_prescribed": sum(
            service.sessions_per_week * service.minutes_each
            for service in services
            if service.modality in hours.COUNTED
        ),
        "sessions": {key: booking.model_dump(mode="json") for key, booking in ours.items()},
    }


# --- events of a week ------------------------------------------------------------------------------------


def _evaluated_again(
    state: EpisodeState, monday: date, before: WeekTotals, after: WeekTotals
) -> StateAndEvents:
    state = state.replace(weeks={**state.weeks, monday.isoformat(): after})
    return state, () if after == before else _evaluated(monday, after, before.minutes_short)


def _evaluated(monday: date, week: WeekTotals, minutes_short_before: int) -> Events:
    """The events of a week that is over; a shortfall only where it is greater than the one published before."""
    evaluated = attendance.WeeklyHoursEvaluated(
        week_starts_on=monday,
        minutes_threshold=week.minutes_threshold,
        minutes_scheduled=week.minutes_scheduled,
        minutes_offered=week.minutes_offered,
        minutes_credited=week.minutes_credited,
        met=week.met,
        prorated=week.prorated,
        minutes_ceiling=week.minutes_ceiling,
        over_ceiling=week.over_ceiling or None,
    )
    if week.minutes_short <= minutes_short_before:
        return (evaluated,)
    shortfall = attendance.WeeklyHoursShortfallDetected(
        week_starts_on=monday, minutes_short=week.minutes_short, projected=False
    )
    return (evaluated, shortfall)


def _make_up(subject: str, label: str) -> str:
    """The id of the loop that asks for a make-up in one week."""
    return derive_id("make-up", subject, label)


def _known(state: EpisodeState) -> Admission:
    if state.admission is None:
        raise NotYetKnown("episode")
    return state.admission


def _arm(state: EpisodeState, monday: date, now: datetime) -> EpisodeState:
    zone = _known(state).time_zone
    label = monday.isoformat()
    projected_at = hours.projected_at(monday, zone)
    if projected_at > now:
        state = state.arm(f"week-projection:{label}", projected_at)
    return state.arm(f"week-close:{label}", hours.closes_at(monday, zone))
