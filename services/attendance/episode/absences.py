"""Absences: misses in a row, and silence. Pure, like all rules.

Two unexcused absences in a row call for a review, three for a retention conference, a silent week for a welfare
contact; the person's return ends all of it, at any stage. The numbers stand in the program's terms, pinned at
admission; their defaults are house rules, docs/domain.md 3.9 (Absence). Nobody is ever discharged
by a count.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.attendance.episode.episode_state import EpisodeState
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


def consider(
    before: EpisodeState, state: EpisodeState, cause: Cause
) -> tuple[EpisodeState, Thresholds]:
    """What a roll or its correction means, which led from one state to the other.

    Each step of the program's absence policy is published once per run of absences, however late the rolls are called.
    """
    steps = (state.terms.absences_review, state.terms.absences_conference)
    state, undone = taken_back(state)
    state, silent = watch_silence(state, cause)
    were, in_a_row = before.absences_consecutive, state.absences_consecutive
    if not silent and any(were < step <= in_a_row for step in steps):
        state, silent = _announced(state, cause.now)
    return state, (*undone, *silent)


def _announced(state: EpisodeState, now: datetime) -> tuple[EpisodeState, Thresholds]:
    """Publish what adds up at this moment, and remember it for as long as it holds."""
    return state.replace(thresholds=(*state.thresholds, now)), (threshold(state, now),)


def taken_back(state: EpisodeState) -> tuple[EpisodeState, Thresholds]:
    """The thresholds that had not been reached after all, as the rolls now are."""
    kept = tuple(at for at in state.thresholds if _held(state, at))
    undone = tuple(
        attendance.AbsenceThresholdUndone(reached_at=at)
        for at in state.thresholds
        if at not in kept
    )
    return state.replace(thresholds=kept), undone


def _held(state: EpisodeState, at: datetime) -> bool:
    """Whether absences had added up at that moment."""
    there = [s.at for s in state.seen.values() if s.status.is_present and s.at <= at]
    if state.admission is not None:
        there.append(state.admission.admitted_at)
    since = max(there, default=None)
    if since is None:
        return True
    missed = sum(since < moment <= at for moment in state.no_shows)
    if state.away_at(at):
        return missed >= state.terms.absences_review
    ends = [one.until for one in state.away.values() if one.until is not None and one.until <= at]
    unseen_since = max((since, *ends))
    silent = at - unseen_since >= timedelta(days=state.terms.silent_days_conference)
    return silent or missed >= state.terms.absences_review


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
    return _announced(state.disarm(SILENCE), cause.now)


def watched_again(state: EpisodeState) -> EpisodeState:
    """A circumstance was taken back: silence that it held back is published, unless it was before."""
    since = state.silent_since
    if since is None or state.is_away or SILENCE in state.deadlines:
        return state
    at = since + timedelta(days=state.terms.silent_days_conference)
    return state if any(one >= at for one in state.thresholds) else state.arm(SILENCE, at)


def fell_silent(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen the person for as long as the program waits."""
    return Decision(*_announced(state, cause.now))


def threshold(state: EpisodeState, now: datetime) -> attendance.AbsenceThresholdReached:
    """What adds up at this moment."""
    silent = now - (state.silent_since or now)
    return attendance.AbsenceThresholdReached(
        reached_at=now,
        absences_consecutive=state.absences_consecutive,
        absences_last_14_days=sum(now - RECENT < moment <= now for moment in state.no_shows),
        days_silent=max(0, silent.days),
    )
