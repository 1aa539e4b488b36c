"""Pauses: some programs let nobody into groups for a while who misses too often. Pure, like all rules.

Supported, and never a default: only terms that name both numbers lead to one: docs/domain.md 3.9 (Absence).
It ends by its day, by a decision, or when an absence turns out to be none. Care is not withheld: individual sessions,
medication and case management go on. The seat stays taken, the days ask for no hours, and from the first day somebody
owns the person's return.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.attendance.episode import absences, weeks
from services.attendance.episode.episode_state import (
    EpisodeState,
    Pause,
    StateAndEvents,
    in_care,
    is_paused,
    not_expected,
)
from shared import loops
from shared.contracts import attendance
from shared.contracts.attendance import PauseEnd
from shared.contracts.codes import AttendanceLoop, ClearedReason
from shared.decision import Cause, Decision, Events, Handoffs, derive_id
from shared.errors import Refused

OVER: Final = "pause-over"


def consider(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Events, Handoffs]:
    """What the absences that are known now mean: a pause, the end of one that was a mistake, or a return."""
    limit, days = state.terms.pause_after_absences, state.terms.pause_days
    if limit is None or days is None or state.left_at is not None or state.void:
        return state, (), ()
    missed = _missed(state)
    if state.pause is None and missed >= limit:
        return _begin(state, missed, cause.now + timedelta(days=days), cause)
    if state.pause is not None and missed < limit:
        state, events = _end(state, PauseEnd.CORRECTED, cause)
        return state, events, ()
    state, events = _returned(state, cause)
    return state, events, ()


def _missed(state: EpisodeState) -> int:
    """Unexcused absences since the last pause that held, of the three months that are remembered."""
    since = max((one.at for one in state.seen.values()), default=None)
    if since is None:
        return 0
    spent = [p.until for p in state.pauses if p.ended not in (None, PauseEnd.CORRECTED)]
    recent = [at for at in state.no_shows if at >= since - absences.REMEMBERED]
    return sum(not spent or at > spent[-1] for at in recent)


def _begin(
    state: EpisodeState, missed: int, until: datetime, cause: Cause
) -> tuple[EpisodeState, Events, Handoffs]:
    state = state.replace(pauses=(*state.pauses, Pause(since=cause.now, until=until)))
    kept_from = tuple(
        key
        for key, booking in state.bookings.items()
        if booking.open and is_paused(state, booking.starts_at, booking.modality)
    )
    state = _expect_back(state.arm(OVER, until), until, cause)
    state, events = weeks.reconsider(state, cause)
    paused = attendance.ParticipationPaused(
        absences_unexcused=missed, paused_at=cause.now, resumes_at=until
    )
    return state, (paused, *events), not_expected(cause.subject_id, kept_from)


def _end(state: EpisodeState, how: PauseEnd, cause: Cause) -> StateAndEvents:
    *before, pause = state.pauses
    ended = pause.replace(ended=how, until=min(pause.until, cause.now))
    state = state.replace(pauses=(*before, ended)).disarm(OVER)
    resumed = attendance.ParticipationResumed(resumed_at=cause.now, reason=how)
    state, events = weeks.reconsider(state, cause)
    if how is not PauseEnd.CORRECTED:
        return _expect_back(state, cause.now, cause), (resumed, *events)
    loop = AttendanceLoop.RETURN_AFTER_PAUSE
    state, cleared = loops.close(state, loop, _loop_id(state, cause), ClearedReason.SUPERSEDED)
    return state, (resumed, *events, *cleared)


def _expect_back(state: EpisodeState, from_at: datetime, cause: Cause) -> EpisodeState:
    """Somebody sees to it that the person comes back when they may."""
    loop_id = _loop_id(state, cause)
    return loops.open_loop(state, AttendanceLoop.RETURN_AFTER_PAUSE, loop_id, cause, since=from_at)


def _returned(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """The first session after the pause is the return, whenever its roll is called."""
    if state.pause is not None or not state.pauses:
        return state, ()
    until = state.pauses[-1].until
    if not any(s.status.is_present and s.at >= until for s in state.seen.values()):
        return state, ()
    return loops.close(state, AttendanceLoop.RETURN_AFTER_PAUSE, _loop_id(state, cause))


def over(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The pause has lasted its days."""
    if state.pause is None or state.left_at is not None:
        return Decision(state)
    return Decision(*_end(state, PauseEnd.OVER, cause))


def lift(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Somebody decides that the person may come again before that."""
    in_care(state)
    if state.pause is None:
        raise Refused(
            "not-paused",
            "The person is not paused.",
            hint="Read the episode: the pause is over, or there was none.",
        )
    return Decision(*_end(state, PauseEnd.LIFTED, cause))


def _loop_id(state: EpisodeState, cause: Cause) -> str:
    """The return of each pause is a loop of its own."""
    return derive_id("pause", cause.subject, state.pauses[-1].since.isoformat())
