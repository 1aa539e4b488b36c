"""The next appointment after a step down or a discharge: the gap in which people are lost. Pure.

A first outpatient visit within a week of leaving goes with far fewer losses, docs/domain.md 3.14 (Cadence), and a step
down is followed by a session within 7 days: docs/domain.md scenario 6. No clock, no ids, no I/O.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from services.followup import event_handlers
from services.followup.episode import contact
from services.followup.episode.episode_state import EpisodeState, LevelBefore, StateAndEvents
from shared import calendar, loops
from shared.contracts import plans
from shared.contracts.codes import ClearedReason, FollowupLoop, LevelOfCare
from shared.decision import Cause, Decision, derive_id
from shared.errors import Refused, Unknown

Outcome = Literal["kept", "missed", "declined"]

STEP_DOWN_WITHIN: Final = timedelta(days=7)


def booked_id(subject: str) -> str:
    """The loop of the first appointment after discharge."""
    return derive_id("first-appointment", subject)


def _step_down_id(subject: str) -> str:
    return derive_id("step-down-appointment", subject)


# --- after a step down ----------------------------------------------------------------------------------


def level_changed(
    state: EpisodeState, event: plans.LevelOfCareChanged, _cause: Cause
) -> Decision[EpisodeState]:
    """The level that holds; whether a session there has to follow is decided by `refresh`."""
    gone = ("change_recommended", event_handlers.RECOMMENDED)
    before = LevelBefore(
        effective_at=event.effective_at,
        to_level=event.to_level.code,
        level=state.level,
        step_down_at=state.step_down_at,
        changed_at=state.path.get("level_changed"),
    )
    state = event_handlers.on_path(state, gone, level_changed=event.effective_at)
    down = _hours_rank(event.to_level) < _hours_rank(event.from_level)
    return Decision(
        state.replace(
            level=event.to_level.code,
            levels_before=(*state.levels_before, before),
            step_down_at=event.effective_at if down else None,
        )
    )


def level_change_undone(
    state: EpisodeState, event: plans.LevelOfCareChangeUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """The level before holds; one that had not taken effect was only looked for."""
    said = (event.to_level.code, event.effective_at)
    if not state.levels_before or said != state.levels_before[-1].said:
        return Decision(event_handlers.on_path(state, ("change_recommended",)))
    *earlier, last = state.levels_before
    again = {} if last.changed_at is None else {"level_changed": last.changed_at}
    state = event_handlers.on_path(state, ("level_changed",), **again)
    return Decision(
        state.replace(
            level=last.level, levels_before=tuple(earlier), step_down_at=last.step_down_at
        )
    )


def _hours_rank(level: LevelOfCare) -> float:
    """Only to distinguish a less intensive level from a more intensive one of the same edition."""
    return float(level.code.removesuffix("-WM"))


def refresh(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """Open or close the loop of a session after a step down, by the facts alone, in whichever order they arrive."""
    loop_id, since = _step_down_id(cause.subject), state.step_down_at
    loop = state.loop(FollowupLoop.FIRST_APPOINTMENT, loop_id)
    wanted = (
        since is not None
        and state.discharge is None
        and not state.readmitted
        and not any(
            s.status == "attended" and s.starts_at >= since for s in state.sessions.values()
        )
    )
    if not wanted and loop is not None:
        over = state.discharge is not None
        reason = ClearedReason.EPISODE_CLOSED if over else ClearedReason.RESOLVED
        return loops.close_all(state, (loop,), reason)
    if since is None or not wanted:
        return state, ()
    deadline_at = since + STEP_DOWN_WITHIN
    if loop is None or (loop.step == 0 and loop.deadline_at != deadline_at):
        state = loops.open_loop(
            state, FollowupLoop.FIRST_APPOINTMENT, loop_id, cause, deadline_at=deadline_at
        )
    return state, ()


# --- after discharge ------------------------------------------------------------------------------------


def book(state: EpisodeState, at: datetime, cause: Cause) -> EpisodeState:
    """A first appointment is booked, or booked anew: a day after it somebody records whether the person came."""
    return loops.open_loop(
        state,
        FollowupLoop.FIRST_APPOINTMENT,
        booked_id(cause.subject),
        cause,
        since=at,
    )


def report(
    state: EpisodeState, plan_id: str, outcome: Outcome, cause: Cause
) -> Decision[EpisodeState]:
    """Record whether the person came. A missed appointment goes to the next owner at once, until another is booked."""
    contact.reachable(state)
    known = (state.draft, state.aftercare)
    if plan_id not in [one.aftercare_plan_id for one in known if one is not None]:
        raise Unknown("aftercare-plan")
    loop = state.loop(FollowupLoop.FIRST_APPOINTMENT, booked_id(cause.subject))
    agreed = state.agreed
    if loop is None or agreed is None or agreed.first_appointment_at is None:
        raise Refused(
            "no-appointment",
            "No first appointment is waited for.",
            hint="Agree an aftercare plan with a first appointment.",
        )
    if cause.now < agreed.first_appointment_at and outcome != "declined":
        raise Refused(
            "appointment-to-come",
            "The first appointment is still to come.",
            hint="Report it after the appointment, or agree on another time.",
        )
    if outcome == "missed":
        if loop.at_last_owner:
            return Decision(state)
        return loops.escalate(state, loops.DEADLINE + loop.key, cause)
    reason = ClearedReason.RESOLVED if outcome == "kept" else ClearedReason.WITHDRAWN
    state, events = loops.close_all(state, (loop,), reason)
    if outcome == "kept":
        kept_on = calendar.local_day(agreed.first_appointment_at, state.time_zone)
        state = state.replace(agreed=agreed.replace(kept_on=kept_on))
    return Decision(state, events)
