"""What is true after every decision, whatever led to it: clocks that run have an owner, and marks say where to look.

The runtime asks `restored` after every decision on an episode, for events, handoffs, deadlines and commands alike, so
that what follows from the facts alone follows in any order of their arrival. Pure; no clock, no ids, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from services.followup import circumstances, journey
from services.followup.aftercare import appointments
from services.followup.episode import episode_state
from services.followup.episode.episode_state import EpisodeState, StateAndEvents
from services.followup.measures import measures
from services.followup.measures.measures import Clock, Measure, Standing
from services.followup.measures.transitions import MEASURED_BY, inferred
from services.followup.outreach import jail
from shared import calendar, loops, voiding
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.event import Event
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, Decision, derive_id
from shared.loops import must_stand

ESCALATED_DAYS_BEFORE: Final = 1
"""A clock goes to its next owner with the beginning of the last day but one that counts. House rule."""

Command = Callable[[EpisodeState, Cause], Decision[EpisodeState]]


# --- around every rule ----------------------------------------------------------------------------------


def for_command(command: Command) -> Command:
    """A rule for a command: on an episode that was entered in error it is refused before anything else is asked."""

    def decide(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
        must_stand(state)
        return command(state, cause)

    return decide


def restored(
    before: EpisodeState, decision: Decision[EpisodeState], cause: Cause
) -> Decision[EpisodeState]:
    """A decision, completed by what follows from the facts as it leaves them.

    A void episode is left alone. One that comes back is compared with what it was before the mistake.
    """
    if before.void:
        if decision.state.void:
            return decision
        before = voiding.before(before)
    state, events = refresh(decision.state, cause)
    told = circumstances.heard(before, state, (*decision.events, *events))
    return Decision(state, told, decision.handoffs, decision.answer)


def refresh(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """Open and close the loops that follow from the facts, and mark the record."""
    state, jailed = jail.refresh(state, cause)
    state, appointment_events = appointments.refresh(state, cause)
    state, clock_events = _clock_loops(state, cause)
    state, asked = circumstances.refresh(state, cause)
    index_entries = _index_entries(state)
    if index_entries != state.tz_index_entries:
        state = state.replace(tz_index_entries=index_entries)
    return state, (*jailed, *appointment_events, *clock_events, *asked)


# --- clocks ---------------------------------------------------------------------------------------------


def clocks(state: EpisodeState) -> tuple[Clock, ...]:
    """All clocks of an episode, from everything heard so far; the rules are in `measures.py`."""
    if state.void:
        return ()
    sessions = [
        calendar.local_day(s.starts_at, state.time_zone)
        for s in state.sessions.values()
        if s.service
    ]
    seen = [*sessions, *_other_services(state)]
    index_on = _index(state)
    found = () if index_on is None else measures.treatment(index_on, sessions)
    for transition in sorted(
        (*state.transitions, *inferred(state)), key=lambda t: (t.on, t.kind.value)
    ):
        found += measures.follow_up(MEASURED_BY[transition.kind], transition.on, seen)
    return found


def _index(state: EpisodeState) -> date | None:
    """The index of IET, where the episode has one."""
    admission = state.admission
    if "ineligible" in state.path or (admission is not None and admission.prior_episode_id):
        return None
    if state.assessed_at is not None:
        return calendar.local_day(state.assessed_at, state.time_zone)
    return None if admission is None else calendar.local_day(admission.admitted_at, state.time_zone)


def _other_services(state: EpisodeState) -> list[date]:
    """Services beside sessions: the visit for assessment, arriving elsewhere or here anew, a first appointment kept."""
    moments = (state.assessed_at, state.path.get("transferred"), state.readmitted_at)
    days = [calendar.local_day(moment, state.time_zone) for moment in moments if moment is not None]
    kept_on = None if state.agreed is None else state.agreed.kept_on
    return [*days, *([] if kept_on is None else [kept_on])]


def _pending(state: EpisodeState, today: date) -> dict[str, Clock]:
    """The clocks that somebody has to see to now, by an id that follows from them: of each pair, the next to lapse."""
    left = state.discharge
    gone = left is not None and (
        left.kind in episode_state.NO_CONTACT or left.kind is DischargeKind.TRANSFERRED
    )
    if gone or state.readmitted or not {"declined", "closed"}.isdisjoint(state.path):
        return {}
    pending: dict[tuple[Measure, date], Clock] = {}
    for clock in clocks(state):
        if clock.standing(today) is Standing.OPEN:
            pending.setdefault((clock.rule.measure, clock.index_on), clock)
    return {f"{_name(clock)}": clock for clock in pending.values()}


def _name(clock: Clock) -> str:
    return f"{clock.rule.measure}/{clock.rule.name}/{clock.day_zero_on.isoformat()}"


def _clock_loops(state: EpisodeState, cause: Cause) -> StateAndEvents:
    today = calendar.local_day(cause.now, state.time_zone)
    wanted = {
        derive_id("timely-visit", cause.subject, name): clock
        for name, clock in _pending(state, today).items()
    }
    met = {
        derive_id("timely-visit", cause.subject, _name(clock))
        for clock in clocks(state)
        if clock.met_on is not None
    }
    events: list[Event] = []
    for loop in state.loops_of(FollowupLoop.TIMELY_VISIT):
        if loop.id in wanted:
            continue
        reason = ClearedReason.RESOLVED if loop.id in met else ClearedReason.SUPERSEDED
        state, cleared = loops.close_all(state, (loop,), reason)
        events += cleared
    for loop_id, clock in wanted.items():
        loop = state.loop(FollowupLoop.TIMELY_VISIT, loop_id)
        last_call = calendar.midnight(
            clock.last_on - timedelta(days=ESCALATED_DAYS_BEFORE), state.time_zone
        )
        deadline_at = max(last_call, cause.now) if loop is None else last_call
        if loop is None or (loop.step == 0 and loop.deadline_at < deadline_at):
            state = loops.open_loop(
                state, FollowupLoop.TIMELY_VISIT, loop_id, cause, deadline_at=deadline_at
            )
    return state, tuple(events)


def clock_due(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Little time is left: the supervisor has it until it lapses. What has lapsed is closed by `refresh`."""
    today = calendar.local_day(cause.now, state.time_zone)
    for key, clock in _pending(state, today).items():
        if name.endswith(derive_id("timely-visit", cause.subject, key)):
            lapses_at = calendar.end_of_day(clock.last_on, state.time_zone)
            raised = loops.escalate(state, name, cause, again_after=lapses_at - cause.now)
            return Decision(raised.state.arm(name, lapses_at), raised.events)
    return Decision(state)


# --- marks ----------------------------------------------------------------------------------------------


def _index_entries(state: EpisodeState) -> dict[str, datetime]:
    """The latest index day of each measure, and until when the present step may last."""
    index_entries: dict[str, datetime] = {}
    for clock in clocks(state):
        at = index_mark(clock.index_on)
        name = clock.rule.measure.value
        index_entries[name] = max(at, index_entries.get(name, at))
    due_at = journey.place(state).due_at
    if due_at is not None:
        index_entries["awaited"] = due_at
    return index_entries


def index_mark(day: date) -> datetime:
    """By what a record is found that has a clock with this index day."""
    return calendar.midnight(day, "UTC")
