"""What is open of a screen, as the screen stands: its loops, the longest time between two, and what it does to rewards.

Nothing here depends on steps: which loops are open follows from the screen, so that results may come twice and in
any order and lead to the same. Source: docs/domain.md 3.6 (Screens); times and owners are house rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from services.attendance.episode import reward_ladder
from services.attendance.episode.episode_state import EpisodeState, StateAndEvents
from services.attendance.episode.values import WentBack
from services.attendance.laboratory import interpretation
from services.attendance.laboratory.interpretation import Screen
from services.attendance.loop_table import LOOPS
from shared import calendar, loops
from shared.contracts.attendance import (
    BreathOutcome,
    NotProvidedKind,
    ScreenClass,
    SpecimenValidity,
)
from shared.contracts.codes import AttendanceLoop
from shared.contracts.terms import IncentiveTerms
from shared.decision import Cause, Decision, Events, Handoff, Handoffs, derive_id

DEFINITIVE_WITHIN: Final = timedelta(days=5)
"""From asking for a definitive test to its result. House rule."""

OF_A_SCREEN: Final = (
    AttendanceLoop.SPECIMEN,
    AttendanceLoop.SCREEN_RESULT,
    AttendanceLoop.SCREEN_INTERPRETATION,
    AttendanceLoop.SCREEN_RETEST,
)
"""The loops that may be open about one screen."""

_JUDGED_AGAIN: Final = frozenset({SpecimenValidity.DILUTE, SpecimenValidity.INVALID})
"""What asks for another specimen; a substituted or adulterated one asks for a clinical review instead."""

Row = tuple[tuple[str, bool], ...]


def settle(
    state: EpisodeState, screen_id: str, screen: Screen, cause: Cause
) -> tuple[EpisodeState, Events, Handoffs]:
    """Store a screen as it now stands, and update every loop and the ladder of rewards that follow from it."""
    before = row_of(state)
    state = with_screen(state, screen_id, screen)
    state, events = _watch(state, screen_id, cause)
    if screen.retest_of is not None:
        state, more = _watch(state, screen.retest_of, cause)
        events += more
    state, more = watch_interval(state, cause)
    state, ledger = reset(state, before, cause)
    return state, (*events, *more), ledger


def _watch(state: EpisodeState, screen_id: str, cause: Cause) -> StateAndEvents:
    """Open and close the loops of a screen as the screen stands. Nothing is opened for who has left."""
    wanted = _wanted(state, screen_id, cause.now)
    events: Events = ()
    for kind in OF_A_SCREEN:
        deadline = wanted.get(kind)
        if deadline is None:
            state, cleared = loops.close(state, kind, screen_id)
            events += cleared
        elif state.loop(kind, screen_id) is None and state.left_at is None:
            state = loops.open_loop(state, kind, screen_id, cause, deadline_at=deadline)
    return state, events


def go_on(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """An end is taken back: what is open of every screen follows from the screen as it stands."""
    events: Events = ()
    for screen_id in state.screens:
        state, cleared = _watch(state, screen_id, cause)
        events += cleared
    state, cleared = watch_interval(state, cause)
    return state, (*events, *cleared)


def _wanted(
    state: EpisodeState, screen_id: str, now: datetime
) -> Mapping[AttendanceLoop, datetime]:
    """The loops that a screen as it stands needs, and their deadlines."""
    screen = state.screens[screen_id]
    if screen.not_provided is not None:
        return {}
    if screen.collected_at is None:
        ends_at = screen.window_ends_at
        if state.is_away or state.away_at(ends_at):  # nobody expects the person
            return {}
        back = [one.until for one in state.away.values() if one.until is not None]
        again = [at + calendar.DAY for at in back if at > ends_at]
        return {AttendanceLoop.SPECIMEN: max([ends_at, *again])}
    wanted: dict[AttendanceLoop, datetime] = {}
    result = screen.result
    if result is None:
        wanted[AttendanceLoop.SCREEN_RESULT] = LOOPS[AttendanceLoop.SCREEN_RESULT].deadline(now)
    elif screen.awaits_definitive:
        wanted[AttendanceLoop.SCREEN_RESULT] = now + DEFINITIVE_WITHIN
    elif not screen.is_interpreted:
        wanted[AttendanceLoop.SCREEN_INTERPRETATION] = calendar.next_working_day(
            now, state.time_zone
        )
    if result is not None and result.validity in _JUDGED_AGAIN and not _retested(state, screen_id):
        wanted[AttendanceLoop.SCREEN_RETEST] = LOOPS[AttendanceLoop.SCREEN_RETEST].deadline(now)
    return wanted


def _retested(state: EpisodeState, screen_id: str) -> bool:
    """Another specimen was given, or refused, which is looked at in its own right."""
    return any(
        other.collected_at is not None or other.not_provided is NotProvidedKind.REFUSED
        for other in state.screens.values()
        if other.retest_of == screen_id
    )


def row_of(state: EpisodeState) -> Row:
    """What counts for or against the next reward. A confirmed positive breath test counts as an unexpected positive."""
    positive = [
        (test.tested_at, key)
        for key, test in state.breath_tests.items()
        if test.outcome is BreathOutcome.POSITIVE
    ]
    return interpretation.row(state.screens, positive)


def reset(state: EpisodeState, before: Row, cause: Cause) -> tuple[EpisodeState, Handoffs]:
    """Tell the ledger of a person with rewards what sets the next one back, and what does so no more."""
    row, admission = row_of(state), state.admission
    if admission is None:
        return state, ()
    against = {key for key, good in row if not good}
    lifted = tuple(key for key in state.resets if key not in against)
    terms = state.terms.incentives or IncentiveTerms()
    worth = reward_ladder.worth_next(row, terms)
    falls = worth < reward_ladder.worth_next(before, terms)
    wanted = bool(state.paid) and falls and state.left_at is None
    new = tuple(against - {key for key, good in before if not good}) if wanted else ()
    kept = tuple(key for key in state.resets if key in against)
    state = state.replace(resets=tuple(sorted({*kept, *new})))
    year = calendar.local_day(cause.now, state.time_zone).year
    bodies = (
        WentBack(
            episode_id=cause.subject_id,
            screen_id=key,
            undone=key in lifted,
            next_cents=worth,
            cap_cents=terms.cap_cents,
            year=year,
        )
        for key in (*lifted, *new)
    )
    return state, tuple(Handoff(f"person/{admission.person_id}", body) for body in bodies)


# --- the longest time between screens ----------------------------------------------------------------------

DUE: Final = "screen-due"
"""The deadline of the longest time between screens. It reveals nothing about the next screen."""


def every_days(state: EpisodeState, now: datetime) -> int | None:
    """The longest time between screens: weekly in the first month and monthly when stable, by the program's terms.

    Not stable is whose last unexpected positive is younger than the program's days without one. A court's program
    that asks for two a week sets it in its terms. None: no screens are asked for.
    """
    terms, admission = state.terms, state.admission
    if admission is None or terms.screen_every_days is None:
        return None
    early = now < admission.admitted_at + timedelta(days=terms.screen_early_days)
    if early or terms.screen_every_days_stable is None:
        return terms.screen_every_days
    since = now - timedelta(days=terms.days_without_unexpected_positive)
    unexpected = any(
        made.classification is ScreenClass.UNEXPECTED_POSITIVE and screen.collected_at >= since
        for screen in state.screens.values()
        if (made := screen.interpreted) is not None and screen.collected_at is not None
    )
    return terms.screen_every_days if unexpected else terms.screen_every_days_stable


def watch_interval(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """Set the deadline of the longest time between screens for a person in the draw; a screen closes the loop."""
    days = every_days(state, cause.now)
    if state.draw is None or days is None or state.left_at is not None:
        return state, ()
    loop_id = derive_id(DUE, cause.subject)
    due_at = _back_by(state, max(_screened_at(state), state.draw.since) + timedelta(days=days))
    if due_at is None:
        state, cleared = loops.close(state, AttendanceLoop.SCREEN_DUE, loop_id)
        return state.disarm(DUE), cleared
    if due_at <= cause.now:  # its deadline has come, and what it opened stays open
        is_open = state.loop(AttendanceLoop.SCREEN_DUE, loop_id) is not None
        return (state if is_open or DUE in state.deadlines else state.arm(DUE, due_at)), ()
    state, cleared = loops.close(state, AttendanceLoop.SCREEN_DUE, loop_id)
    return state.arm(DUE, due_at), cleared


def _back_by(state: EpisodeState, due_at: datetime) -> datetime | None:
    """When a screen that is due is waited for: once the person is back. None: nobody knows when that is."""
    ends = [one.until for one in state.away.values()]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return None
    return max([due_at, *(end + timedelta(minutes=1) for end in known if end >= due_at)])


def _screened_at(state: EpisodeState) -> datetime:
    """When the person last gave a specimen, or refused one, which is looked at in its own right."""
    moments = [s.collected_at for s in state.screens.values() if s.collected_at is not None]
    moments += [
        s.not_provided_at
        for s in state.screens.values()
        if s.not_provided is NotProvidedKind.REFUSED and s.not_provided_at is not None
    ]
    return max(moments, default=datetime.min.replace(tzinfo=UTC))


def came_due(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """No draw has found the person for the longest time: a nurse orders a screen, at a moment of their own."""
    if state.left_at is not None or state.void:
        return Decision(state)
    if state.pause is not None:  # the person is away by the program's own doing
        return Decision(state.arm(DUE, max(state.pause.until, cause.now + timedelta(minutes=1))))
    state = loops.open_loop(state, AttendanceLoop.SCREEN_DUE, derive_id(DUE, cause.subject), cause)
    return Decision(state)


# --- what every rule about a screen begins with ------------------------------------------------------------


def with_screen(state: EpisodeState, screen_id: str, screen: Screen) -> EpisodeState:
    """The state with this screen as it now stands."""
    return state.replace(screens={**state.screens, screen_id: screen})
