"""Absences: misses in a row, and silence. Pure, like all rules.

Two unexcused absences in a row call for a review, three for a retention conference, a silent week for a welfare
contact; the person's return ends all of it, at any stage. The numbers stand in the program's terms, pinned at
admission; their defaults are house rules, docs/domain.md 3.9 (Absence). Nobody is ever discharged
by a count.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.attendance.episode.episode_state import EpisodeState, Seen
from shared.contracts import attendance
from shared.contracts.attendance import AttendanceStatus
from shared.decision import Cause, Decision

RECENT: Final = timedelta(days=14)
"""The absences that a threshold counts beside those in a row."""
REMEMBERED: Final = timedelta(days=92)
"""How long before the latest roll single sessions are stored here; the totals of weeks are stored for good."""
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


def record_status(
    state: EpisodeState, session_id: str, at: datetime, status: AttendanceStatus, cause: Cause
) -> tuple[EpisodeState, Thresholds]:
    """Record whether the person was there, by a roll or by its correction.

    Each step of the program's absence policy is published once per run of absences, however late the rolls are called.
    """
    steps = (state.terms.absences_review, state.terms.absences_conference)
    before = state.absences_consecutive
    state = state.replace(seen=_remembered({**state.seen, session_id: Seen(at=at, status=status)}))
    state, silent = watch_silence(state, cause)
    in_a_row = state.absences_consecutive
    if not silent and any(before < step <= in_a_row for step in steps):
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


def _remembered(seen: dict[str, Seen]) -> dict[str, Seen]:
    """The sessions of the last three months, and the last one at which the person was there."""
    since = max(one.at for one in seen.values()) - REMEMBERED
    there = [key for key, one in seen.items() if one.status.is_present]
    last = max(there, key=lambda key: (seen[key].at, key), default=None)
    return {key: one for key, one in seen.items() if one.at >= since or key == last}
