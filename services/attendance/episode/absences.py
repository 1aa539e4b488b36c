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
SILENCE: Final = "silence"

Thresholds = tuple[attendance.AbsenceThresholdReached, ...]


def start(state: EpisodeState) -> EpisodeState:
    """From the admission on, silence counts."""
    since = state.last_contact_at
    if since is None or state.left_at is not None:
        return state
    return state.arm(SILENCE, since + timedelta(days=state.terms.silent_days_conference))


def go_on(state: EpisodeState, ended_at: datetime) -> EpisodeState:
    """An end is taken back: silence counts again, unless it had been published before that end."""
    since = state.last_contact_at
    if since is None:
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
    state, silent = watch_silence(state, cause)
    were, in_a_row = before.absences_consecutive, state.absences_consecutive
    if not silent and any(were < step <= in_a_row for step in steps):
        return state, (threshold(state, cause.now),)
    return state, silent


def watch_silence(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Thresholds]:
    """Set the deadline of silence, which counts from the last contact.

    When a correction removes the last contact, silence may have lasted too long already; then it is published now.
    """
    since = state.last_contact_at
    if since is None or state.left_at is not None or state.void:
        return state.disarm(SILENCE), ()
    at = since + timedelta(days=state.terms.silent_days_conference)
    if at > cause.now:
        return state.arm(SILENCE, at), ()
    if SILENCE not in state.deadlines:
        return state, ()  # it was published when it was reached
    return state.disarm(SILENCE), (threshold(state, cause.now),)


def fell_silent(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen the person for as long as the program waits."""
    return Decision(state, (threshold(state, cause.now),))


def threshold(state: EpisodeState, now: datetime) -> attendance.AbsenceThresholdReached:
    """What adds up at this moment."""
    silent = now - (state.last_contact_at or now)
    return attendance.AbsenceThresholdReached(
        absences_consecutive=state.absences_consecutive,
        absences_last_14_days=sum(now - RECENT < moment <= now for moment in state.no_shows),
        days_silent=max(0, silent.days),
    )
