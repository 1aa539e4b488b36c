"""Absences: misses in a row, and silence. Pure, like all rules.

Two unexcused absences in a row call for a review, three for a retention conference, a silent week for a welfare
contact; the person's return ends all of it, at any stage. The numbers stand in the program's terms, pinned at
admission; their defaults are house rules, docs/domain.md 3.9 (Absence). Nobody is ever discharged
by a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from services.attendance.episode.episode_state import Away, EpisodeState, Threshold
from shared import calendar
from shared.contracts import attendance
from shared.decision import Cause, Decision

RECENT: Final = timedelta(days=14)
"""The absences that a threshold counts beside those in a row."""
REMEMBERED: Final = timedelta(days=92)
"""How long before the latest roll absences count for a pause."""
SILENCE: Final = "silence"

Thresholds = tuple[attendance.AbsenceThresholdReached | attendance.AbsenceThresholdUndone, ...]


def watched(state: EpisodeState) -> EpisodeState:
    """Set the deadline of silence, which counts from the last contact, unless that silence is published.

    One that has come already, because what held it back was none, is in the past: its rule is asked at once.
    """
    due = _silence_due(state)
    if due is None or _is_said(state, due):
        return state.disarm(SILENCE)
    return state.arm(SILENCE, due)


def _silence_due(state: EpisodeState) -> datetime | None:
    """When silence has lasted too long; None while nobody waits for the person."""
    since = state.silent_since
    if since is None or state.left_at is not None or state.void or state.is_away:
        return None
    return since + _silent_days(state)


def _silent_days(state: EpisodeState) -> timedelta:
    return timedelta(days=state.terms.silent_days_conference)


def _is_said(state: EpisodeState, due: datetime) -> bool:
    return any(one.silent and one.at >= due for one in state.thresholds)


def consider(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Thresholds]:
    """What the rolls as they are now mean.

    Each step of the program's absence policy is published once per run of absences, however late the rolls are called;
    one that was not reached after all is taken back, and what is reached instead is published.
    """
    state, undone = taken_back(state)
    state, step = _said_step(watched(state), cause)
    return state, (*undone, *step)


def _said_step(state: EpisodeState, cause: Cause) -> tuple[EpisodeState, Thresholds]:
    """Publish a step that is reached; silence that has lasted too long by now is published along with it."""
    step, due = _unsaid_step(state), state.deadlines.get(SILENCE)
    if not step:
        return state, ()
    if due is not None and due <= cause.now:
        return _silent(state.disarm(SILENCE), cause.now)
    return _announced(state, Threshold(at=cause.now, absences=step))


def _unsaid_step(state: EpisodeState) -> int:
    """The highest step that the present run of absences has reached, unless it is published; 0 for none."""
    in_a_row, since = state.absences_consecutive, state.last_contact_at
    reached = max((step for step in _steps(state) if step <= in_a_row), default=0)
    said = (one.absences for one in state.thresholds if since is None or one.at > since)
    return reached if reached > max(said, default=0) else 0


def _steps(state: EpisodeState) -> tuple[int, ...]:
    return tuple(sorted({state.terms.absences_review, state.terms.absences_conference}))


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
    seen_at, unseen_since = _contact_by(state, one.at)
    if seen_at is None or unseen_since is None:
        return True
    if one.absences and _missed(state, seen_at, one.at) >= one.absences:
        return True
    return one.silent and not state.away_at(one.at) and one.at - unseen_since >= _silent_days(state)


def _contact_by(state: EpisodeState, at: datetime) -> tuple[datetime | None, datetime | None]:
    """When the person was last there by a moment, and since when somebody could have seen them and nobody had."""
    there = [seen.at for seen in state.seen.values() if seen.status.is_present and seen.at <= at]
    if state.admission is not None:
        there.append(state.admission.admitted_at)
    if not there:
        return None, None
    ends = (one.until for one in state.away.values() if one.until is not None and one.until <= at)
    return max(there), max((*there, *ends))


def _missed(state: EpisodeState, since: datetime | None, at: datetime) -> int:
    return sum((since is None or since < moment) and moment <= at for moment in state.no_shows)


def passed(state: EpisodeState, was: Away) -> tuple[EpisodeState, Thresholds]:
    """A circumstance never was: what had added up in its time is published, although the person came back since.

    Nobody was told then, or what they were told was taken back, so somebody looks at it now. What still adds up is
    published by `consider`.
    """
    admission = state.admission
    if admission is None:
        return state, ()
    there = (seen.at for seen in state.seen.values() if seen.status.is_present)
    contacts = sorted({admission.admitted_at, *there})
    began_at = calendar.midnight(was.on, state.time_zone)
    unsaid = tuple(
        one
        for begin, end in pairwise(contacts)
        if end >= began_at and (was.until is None or begin <= was.until)
        for one in _of_run(state, begin, end)
        if not any(_covers(said, one) for said in state.thresholds if begin < said.at <= end)
    )
    kept = tuple(sorted((*state.thresholds, *unsaid), key=lambda one: one.at))
    return state.replace(thresholds=kept), tuple(threshold(state, one.at) for one in unsaid)


def _of_run(state: EpisodeState, begin: datetime, end: datetime) -> Iterator[Threshold]:
    """What added up between two contacts that follow on each other."""
    missed = [moment for moment in state.no_shows if begin < moment < end]
    for step in _steps(state):
        if step <= len(missed):
            yield Threshold(at=missed[step - 1], absences=step)
    ends = (one.until for one in state.away.values() if one.until is not None and one.until < end)
    due = max((begin, *ends)) + _silent_days(state)
    if due < end and not state.away_at(due):
        yield Threshold(at=due, silent=True)


def _covers(said: Threshold, one: Threshold) -> bool:
    return said.silent if one.silent else said.absences >= one.absences


def fell_silent(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Nobody has seen the person for as long as the program waits."""
    return Decision(*_silent(state, cause.now))


def threshold(state: EpisodeState, at: datetime) -> attendance.AbsenceThresholdReached:
    """What had added up by this moment."""
    seen_at, unseen_since = _contact_by(state, at)
    return attendance.AbsenceThresholdReached(
        reached_at=at,
        absences_consecutive=_missed(state, seen_at, at),
        absences_last_14_days=sum(at - RECENT < moment <= at for moment in state.no_shows),
        days_silent=max(0, (at - (unseen_since or at)).days),
    )
