"""Absences: misses in a row, and silence. Pure, like all rules.

Two unexcused absences in a row call for a review, three for a retention conference, a silent week for a welfare
contact; the person's return ends all of it, at any stage. The numbers stand in the program's terms, pinned at
admission; their defaults are house rules, docs/domain.md 3.9 (Absence). Nobody is ever discharged
by a count.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.attendance.episode.episode_state import EpisodeState, Threshold
from shared.contracts import attendance
from shared.decision import Cause, Decision

RECENT: Final = timedelta(days=14)
"""The absences that a threshold counts beside those in a row."""
REMEMBERED: Final = timedelta(days=92)
"""How long before the latest roll absences count for a pause."""
SILENCE: Final = "silence"

Thresholds = tuple[attendance.AbsenceThresholdReached | attendance.AbsenceThresholdUndone, ...]


def start(state: EpisodeState) -> EpisodeState:
    """From the admission on, silence counts."""
    since = state.silent_since
    if since is None or state.left_at is not None or state.is_away:
        return state
    return state.arm(SILENCE, since + timedelta(days=state.terms.silent_days_conference))


def go_on(state: EpisodeState, ended_at: datetime) -> EpisodeState:
    """An end is taken back: silence counts again, unless it had been published before that end."""
    since = state.silent_since
    if since is None or state.is_away:
        return state
    at = since + timedelta(days=state.terms.silent_days_conference)
    if SILENCE not in state.deadlines and at <= ended_at:
        return state
    return state.arm(SILENCE, at)


def consider(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Thresholds]:
    """What the rolls as they are now mean.

    Each step of the program's absence policy is published once per run of absences, however late the rolls are called;
    one that was not reached after all is taken back, and what is reached instead is published.
    """
    state, undone = taken_back(state)
    state, silent = watch_silence(state, cause)
    step = _unsaid_step(state)
    if step and not silent:
        state, silent = _announced(state, Threshold(at=cause.now, absences=step))
    return state, (*undone, *silent)


def _unsaid_step(state: EpisodeState) -> int:
    """The highest step that the present run of absences has reached, unless it is published; 0 for none."""
    in_a_row, since = state.absences_consecutive, state.last_contact_at
    steps = (state.terms.absences_review, state.terms.absences_conference)
    reached = max((step for step in steps if step <= in_a_row), default=0)
    said = (one.absences for one in state.thresholds if since is None or one.at > since)
    return reached if reached > max(said, default=0) else 0


def _announced(state: EpisodeState, one: Threshold) -> tuple[EpisodeState, Thresholds]:
    """Publish what adds up at this moment, and remember it for as long as it holds."""
    return state.replace(thresholds=(*state.thresholds, one)), (threshold(state, one.at),)


def _silent(state: EpisodeState, now: datetime) -> tuple[EpisodeState, Thresholds]:
    """Silence has lasted too long; a step that is reached at the same time is published along with it."""
    return _announced(state, Threshold(at=now, absences=_unsaid_step(state), silent=True))


def taken_back(state: EpisodeState) -> tuple[EpisodeState, Thresholds]:
    """The thresholds that had not been reached after all, as the rolls now are."""
    kept = tuple(one for one in state.thresholds if _held(state, one))
    undone = tuple(
        attendance.AbsenceThresholdUndone(reached_at=one.at)
        for one in state.thresholds
        if one not in kept
    )
    return state.replace(thresholds=kept), undone


def _held(state: EpisodeState, one: Threshold) -> bool:
    """Whether what was published of a moment had added up at it."""
    there = [s.at for s in state.seen.values() if s.status.is_present and s.at <= one.at]
    if state.admission is not None:
        there.append(state.admission.admitted_at)
    since = max(there, default=None)
    if since is None:
        return True
    missed = sum(since < moment <= one.at for moment in state.no_shows)
    if one.absences and missed >= one.absences:
        return True
    if not one.silent or state.away_at(one.at):
        return False
    ends = [away.until for away in state.away.values() if away.until is not None]
    unseen_since = max((since, *(end for end in ends if end <= one.at)))
    return one.at - unseen_since >= timedelta(days=state.terms.silent_days_conference)


def watch_silence(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Thresholds]:
    """Set the deadline of silence, which counts from the last contact.

    When a correction removes the last contact, silence may have lasted too long already; then it is published now.
    """
    since = state.silent_since
    if since is None or state.left_at is not None or state.void or state.is_away:
        return state.disarm(SILENCE), ()
    at = since + timedelta(days=state.terms.silent_days_conference)
    if at > cause.now:
        return state.arm(SILENCE, at), ()
    if SILENCE not in state.deadlines:
        return state, ()  # it was published when it was reached
    return _silent(state.disarm(SILENCE), cause.now)


def watched_again(state: EpisodeState) -> EpisodeState:
    """A circumstance was taken back: silence that it held back is published, unless it was before."""
    since = state.silent_since
    if since is None or state.is_away or SILENCE in state.deadlines:
        return state
    at = since + timedelta(days=state.terms.silent_days_conference)
    return state if any(one.at >= at for one in state.thresholds) else state.arm(SILENCE, at)


def fell_silent(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen the person for as long as the program waits."""
    return Decision(*_silent(state, cause.now))


def threshold(state: EpisodeState, now: datetime) -> attendance.AbsenceThresholdReached:
    """What adds up at this moment."""
    silent = now - (state.silent_since or now)
    return attendance.AbsenceThresholdReached(
        reached_at=now,
        absences_consecutive=state.absences_consecutive,
        absences_last_14_days=sum(now - RECENT < moment <= now for moment in state.no_shows),
        days_silent=max(0, silent.days),
    )
