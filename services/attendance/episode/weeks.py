"""An episode's weeks: their sessions, their required minutes, and their evaluation. Pure, like all rules.

Every rule here leads to the same weeks in whichever order its facts come: a week that is over is evaluated again when a
late roll, a correction, a change of level or a discharge changes it, and the later evaluation holds.
Source: house rules, docs/domain.md 3.3 (Hours).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from services.attendance.episode import double_bookings, hours
from services.attendance.episode.episode_state import (
    Admission,
    EpisodeState,
    StateAndEvents,
    booked_sessions,
)
from services.attendance.episode.hours import Booking, DaysOff, WeekAsks, WeekTotals
from services.attendance.loop_table import LOOPS
from shared import calendar, loops
from shared.contracts import attendance
from shared.contracts.attendance import CorrectionReason
from shared.contracts.codes import AttendanceLoop, ClearedReason
from shared.decision import Cause, Decision, Events, derive_id
from shared.errors import NotYetKnown, Unknown


def start(state: EpisodeState, cause: Cause) -> EpisodeState:
    """Weeks are counted from the day of admission."""
    admission = _known(state)
    monday = hours.week_of(admission.admitted_at, admission.time_zone)
    return _arm(state, monday, cause.now)


def put(
    state: EpisodeState, session_id: str, booking: Booking | None, cause: Cause
) -> StateAndEvents:
    """Put a booking where it counts, or take it away. A week that is closed is evaluated once more.

    What this adds to or takes from another session at the same time is published as that session's correction.
    """
    before = state.bookings.get(session_id)
    bookings = {key: other for key, other in state.bookings.items() if key != session_id}
    if booking is not None:
        bookings[session_id] = booking
    after = state.replace(bookings=bookings)
    if state.admission is None:
        return after, ()
    touched = [one for one in (before, booking) if one is not None]
    after, events = _shares_moved(state, after, session_id, touched)
    zone = state.admission.time_zone
    mondays = {hours.week_of(at, zone) for one in touched for at in one.planned}
    for monday in sorted(mondays):
        if monday.isoformat() in after.weeks:
            after, evaluated = _judged_anew(after, monday, cause.now)
            events += evaluated
        elif _last_roll_is_in(after, monday, cause.now):
            decision = close_week(after.disarm(_closing(monday)), monday, cause)
            after, events = decision.state, (*events, *decision.events)
    after, watched = watch(after, cause)
    after, settled = double_bookings.watch(after, cause)
    return after, (*events, *watched, *settled)


def credit_of(state: EpisodeState, session_id: str) -> int:
    """What a session adds to the hours; of one that does not count, what its roll says."""
    booking = state.bookings[session_id]
    if not booking.counts:
        return booking.minutes_credited
    return _credits_around(state, booking).get(session_id, 0)


def _credits_around(state: EpisodeState, booking: Booking) -> dict[str, int]:
    """What the sessions near one add to the hours."""
    near = {
        key: other
        for key, other in booked_sessions(state).items()
        if abs(other.starts_at - booking.starts_at) <= 2 * calendar.DAY
    }
    return hours.credited_minutes(near)


def _shares_moved(
    before: EpisodeState, after: EpisodeState, session_id: str, touched: Iterable[Booking]
) -> StateAndEvents:
    """The corrections of other sessions whose time another one takes, or gives back, of which something was said."""
    moved: dict[str, tuple[int, int]] = {}
    for booking in touched:
        was, now = _credits_around(before, booking), _credits_around(after, booking)
        for key in was.keys() & now.keys():
            if key != session_id and was[key] != now[key]:
                near = abs(after.bookings[key].starts_at - booking.starts_at) <= calendar.DAY
                if near:
                    moved[key] = (was[key], now[key])
    events: Events = ()
    for key, (minutes_before, minutes_after) in sorted(moved.items()):
        other = after.bookings[key]
        if other.said is None or other.said.status is None:
            continue
        events += (
            attendance.AttendanceCorrected(
                session_id=key,
                status_before=other.said.status,
                status_after=other.said.status,
                minutes_before=minutes_before,
                minutes_after=minutes_after,
                reason=CorrectionReason.OVERLAP,
                family_only=other.family_only,
            ),
        )
        said = other.said.replace(minutes=minutes_after)
        after = after.replace(bookings={**after.bookings, key: other.replace(said=said)})
    return after, events


def close_week(state: EpisodeState, monday: date, cause: Cause) -> Decision[EpisodeState]:
    """Evaluate a week that is over and whose rolls are in, or overdue, and go on to the next."""
    admission = _known(state)
    due_at = _rolls_due_at(state, monday)
    if due_at is not None and due_at > cause.now:
        return Decision(state.arm(_closing(monday), due_at))
    label = monday.isoformat()
    if label in state.weeks:  # a session was written into it after it was closed
        return Decision(*_judged_anew(state, monday, cause.now))
    week = added_up(state, monday)
    state = state.replace(weeks={**state.weeks, label: week})
    state, closed = _over(state, label, cause)
    following = monday + hours.WEEK
    left = state.left_at
    if left is None or hours.week_of(left, admission.time_zone) >= following:
        state = _arm(state, following, cause.now)
    return Decision(state, (*_evaluated(monday, week, 0), *closed))


def _closing(monday: date) -> str:
    """The deadline at which a week is closed."""
    return f"week-close:{monday.isoformat()}"


def _rolls_due_at(state: EpisodeState, monday: date) -> datetime | None:
    """Until when the rolls of a week may still be called; None when all are in."""
    due = [_roll_due_at(booking) for booking in bookings_of(state, monday).values()]
    return max((at for at in due if at is not None), default=None)


def _roll_due_at(booking: Booking) -> datetime | None:
    """Until when the roll of a session may still be called; None when it is, or is not waited for."""
    if not booking.open or not booking.counts:
        return None
    within = LOOPS[AttendanceLoop.ROLL_CALL].within or calendar.DAY
    return max(booking.planned[1], booking.written_at or booking.planned[1]) + within


def _last_roll_is_in(state: EpisodeState, monday: date, now: datetime) -> bool:
    """Whether a week that is over waited only for what has come now."""
    over = hours.closes_at(monday, _known(state).time_zone) <= now
    return over and _closing(monday) in state.deadlines and _rolls_due_at(state, monday) is None


def _over(state: EpisodeState, label: str, cause: Cause) -> StateAndEvents:
    """Nothing can be made up any more in a week that is closed."""
    short = state.weeks[label].minutes_short
    reason = ClearedReason.SUPERSEDED if short else ClearedReason.RESOLVED
    return loops.close(state, AttendanceLoop.MAKE_UP, _make_up(cause.subject, label), reason)


def project_week(state: EpisodeState, monday: date, cause: Cause) -> Decision[EpisodeState]:
    """Publish a shortfall that can still be made up: what is credited and still booked does not reach the threshold.

    The threshold is the week's own: a week of admission asks for its days only. Somebody has to book a make-up. Nothing
    can be made up in a week that was over when an end was taken back.
    """
    if state.gaps and hours.closes_at(monday, _known(state).time_zone) <= state.gaps[-1].until:
        return Decision(state)
    asked = added_up(state, monday).minutes_threshold
    projected = _projected(state, monday)
    if projected >= asked:
        return Decision(state)
    event = attendance.WeeklyHoursShortfallDetected(
        week_starts_on=monday, minutes_short=asked - projected, projected=True
    )
    state, events = watch(state.replace(short_week=monday.isoformat()), cause)
    return Decision(state, (event, *events))


def _projected(state: EpisodeState, monday: date) -> int:
    """The minutes with which a week ends if the person attends all that is open and that they can attend."""
    ours = _could_come(state, bookings_of(state, monday))
    return hours.projected_credit(ours.values())


def projected_late(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """What kept the running week from being projected never was: it is projected now, if its time is over."""
    if state.admission is None or state.left_at is not None:
        return Decision(state)
    monday = hours.week_of(cause.now, state.time_zone)
    label = monday.isoformat()
    if hours.projected_at(monday, state.time_zone) > cause.now:
        return Decision(state)
    if label in state.weeks or state.short_week == label:
        return Decision(state)
    return project_week(state, monday, cause)


def watch(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """The make-up loop is open while a week that was projected to be short still runs and would still be short."""
    label = state.short_week
    if label is None or label in state.weeks or state.admission is None:
        return state, ()
    monday, zone = date.fromisoformat(label), state.admission.time_zone
    loop_id = _make_up(cause.subject, label)
    projected = _projected(state, monday)
    if state.left_at is not None:
        return loops.close(state, AttendanceLoop.MAKE_UP, loop_id, ClearedReason.EPISODE_CLOSED)
    if projected >= added_up(state, monday).minutes_threshold:
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
    for label in state.weeks:
        monday = date.fromisoformat(label)
        state, evaluated = _judged_anew(state, monday, cause.now)
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
    state, settled = double_bookings.watch(state, cause)
    return state, (*events, *cleared, *settled)


def go_on(state: EpisodeState, removed: Iterable[str], cause: Cause) -> StateAndEvents:
    """An end is taken back: weeks that it removed count again, and those after it are closed in their turn."""
    if state.admission is None:
        return state, ()
    events: Events = ()
    for label in removed:
        monday = date.fromisoformat(label)
        week = added_up(state, monday, cause.now)
        state = state.replace(weeks=dict(sorted({**state.weeks, label: week}.items())))
        events += _evaluated(monday, week, 0)
    state, evaluated = reconsider(state, cause)
    for label in state.weeks:
        state, over = _over(state, label, cause)
        evaluated += over
    closings = {name for name in state.deadlines if name.startswith("week-close:")}
    if state.weeks and closings <= {_closing(date.fromisoformat(label)) for label in state.weeks}:
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
    off = _days_off(state, monday)
    return hours.asks(levels, admission.population, admission.terms, monday, last_day, off)


def _days_off(state: EpisodeState, monday: date) -> DaysOff:
    """On which days the person's groups meet in a week, by what they were booked for, and which of them are off."""
    zone = _known(state).time_zone
    ours = bookings_of(state, monday).values()
    pauses = tuple(
        (calendar.local_day(p.since, zone), calendar.local_day(p.until, zone)) for p in state.pauses
    )
    unseated, seated = _seated(state, monday, ours)
    return DaysOff(
        unseated=unseated,
        seated=seated,
        meets_on=frozenset(day for booking in ours for day in booking.track_days),
        pauses=pauses,
        closed=frozenset(
            calendar.local_day(booking.starts_at, zone) for booking in ours if booking.is_closed
        ).union(*state.days_closed.values()),
        away=frozenset(day for day in _days(monday) if _is_away_on(state, day, ours)),
    )


def _days(monday: date) -> tuple[date, ...]:
    return tuple(monday + timedelta(days=n) for n in range(calendar.DAYS_PER_WEEK))


def _seated(
    state: EpisodeState, monday: date, ours: Collection[Booking]
) -> tuple[frozenset[date], Mapping[date, frozenset[int]]]:
    """On which days of a week the person had no seat, and where they had one, on which days the groups meet.

    Of a week in which they never had one nothing is known: the program offers nothing, which is its own matter, unless
    an end that was taken back is the reason.
    """
    zone = state.time_zone
    there = {(one.group_id, calendar.local_day(one.starts_at, zone)) for one in ours}
    seated: dict[date, frozenset[int]] = {}
    for day in _days(monday):
        meets = [
            frozenset(seat.weekdays) or hours.EVERY_DAY
            for seat in state.seat_times
            if seat.covers(day, zone) or (seat.group_id, day) in there
        ]
        if meets:
            seated[day] = frozenset().union(*meets)
    gone = any(gap.covers(day, zone) for gap in state.gaps for day in _days(monday))
    if not seated and not gone:
        return frozenset(), {}
    meets_on = frozenset[int]().union(*seated.values()) or hours.EVERY_DAY
    without = (day for day in _days(monday) if day not in seated)
    return frozenset(day for day in without if day.isoweekday() in meets_on), seated


def _is_away_on(state: EpisodeState, day: date, ours: Iterable[Booking]) -> bool:
    """Whether nobody expects the person on a day: on all of it, or when its sessions begin."""
    zone = state.time_zone
    if state.away_at(calendar.midnight(day, zone)) and state.away_at(
        calendar.midnight(day + calendar.DAY, zone)
    ):
        return True
    of_day = [one.starts_at for one in ours if calendar.local_day(one.starts_at, zone) == day]
    return bool(of_day) and all(state.away_at(at) for at in of_day)


def _could_come(state: EpisodeState, bookings: Mapping[str, Booking]) -> dict[str, Booking]:
    """Without the sessions of a time in which nobody expects the person, unless they were there."""
    return {
        key: booking
        for key, booking in bookings.items()
        if booking.is_present or not state.away_at(booking.starts_at)
    }


def totals(state: EpisodeState, monday: date) -> WeekTotals:
    """A week as it stands: as it was evaluated when it is over, and added up while it runs."""
    return state.weeks.get(monday.isoformat()) or added_up(state, monday)


def added_up(state: EpisodeState, monday: date, now: datetime | None = None) -> WeekTotals:
    """A week by all that is known; with `now`, as of one that is over, without sessions whose roll may still come."""
    zone = _known(state).time_zone
    begins_at, ends_at = calendar.midnight(monday, zone), hours.closes_at(monday, zone)
    ours: dict[str, Booking] = {}
    earlier: dict[str, Booking] = {}
    for key, booking in booked_sessions(state).items():
        due_at = None if now is None else _roll_due_at(booking)
        if due_at is not None and now is not None and due_at > now:
            continue
        if begins_at <= booking.starts_at < ends_at:
            ours[key] = booking
        elif begins_at - calendar.DAY <= booking.starts_at < begins_at:
            earlier[key] = booking
    return hours.totals(_could_come(state, ours), asks(state, monday), earlier)


def bookings_of(state: EpisodeState, monday: date) -> dict[str, Booking]:
    """The sessions of one week."""
    zone = _known(state).time_zone
    begins_at, ends_at = calendar.midnight(monday, zone), hours.closes_at(monday, zone)
    return {
        key: booking
        for key, booking in booked_sessions(state).items()
        if begins_at <= booking.starts_at < ends_at
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
        "ceiling_reached": week.ceiling_reached,
        "minutes_projected": max(week.minutes_credited, hours.projected_credit(ours.values())),
        "minutes_prescribed": sum(
            service.sessions_per_week * service.minutes_per_session
            for service in services
            if service.modality in hours.COUNTED
        ),
        "sessions": {key: booking.model_dump(mode="json") for key, booking in ours.items()},
    }


# --- events of a week ------------------------------------------------------------------------------------


def _judged_anew(state: EpisodeState, monday: date, now: datetime) -> StateAndEvents:
    """A week that was closed, by all that is known now. What was written into it afterwards waits for its roll."""
    before = state.weeks[monday.isoformat()]
    after = added_up(state, monday, now)
    state = state.replace(weeks={**state.weeks, monday.isoformat(): after})
    due_at = _rolls_due_at(state, monday)
    state = state.disarm(_closing(monday))
    if due_at is not None and due_at > now:
        state = state.arm(_closing(monday), due_at)
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
        ceiling_reached=week.ceiling_reached,
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
    return state.arm(_closing(monday), hours.closes_at(monday, zone))
