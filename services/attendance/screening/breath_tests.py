"""Breath tests: a second test before a positive one is published, and a safe way home. Pure, like all rules.

The value and the device stay here; what travels is negative, to be repeated, or positive. A first positive is only
ever a reason to repeat the test after fifteen minutes, since alcohol in the mouth passes. A confirmed one sets the next
reward back to its base, by the same rule as an unexpected positive of a screen. Source:
docs/domain.md 3.7 (Breath tests): observed for 15 minutes, negative below 0.010 g/210 L; 0.020 and 0.040 are marks of
transport rules.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from services.attendance.episode.breath import is_decided
from services.attendance.episode.episode_state import EpisodeState, in_care, known
from services.attendance.episode.values import BreathTest, Transport, WithdrawalSigns
from services.attendance.screening.specimens import reset, row_of
from shared import loops
from shared.contracts import attendance
from shared.contracts.attendance import BreathOutcome
from shared.contracts.codes import AttendanceLoop, ClearedReason, MistakeReason, Value
from shared.decision import Cause, Decision, Events
from shared.errors import Invalid, Refused, Unknown
from shared.retractions import holding, taken_back

OBSERVED_MINUTES: Final = 15
"""A person is watched this long before a test: nothing in the mouth, nothing brought up."""
RETEST_AFTER: Final = timedelta(minutes=15)
RETEST_WITHIN: Final = timedelta(minutes=45)
"""From a first positive to the test that decides. House rule."""
MARKS_MG: Final = (40, 20)
"""The marks of transport rules, 0.040 and 0.020 g/210 L, the higher one first."""


class Reading(Value):
    """What a device showed, and how the person was watched before."""

    mg_per_210l: int
    device_id: str
    observed_minutes: int
    retest_of: str | None = None


def record(state: EpisodeState, reading: Reading, cause: Cause) -> Decision[EpisodeState]:
    """A breath test was done: negative, to be repeated, or, when the repetition confirms it, positive.

    One that comes again within the time for which a person is watched, as by a second click, is the one on file.
    """
    in_care(state)
    if reading.observed_minutes < OBSERVED_MINUTES:
        raise Invalid(
            "observation-too-short",
            "A person is watched for 15 minutes before a breath test.",
            hint="Watch the person for 15 minutes and test then.",
        )
    known = _recorded_before(state, reading, cause.now)
    if known is not None:
        return Decision(state, answer=_answer(known, state.breath_tests[known]))
    first = _repeated(state, reading, cause.now)
    over = reading.mg_per_210l >= state.terms.breath_positive_mg_per_210l
    outcome = BreathOutcome.NEGATIVE
    if over:
        outcome = BreathOutcome.RETEST if first is None else BreathOutcome.POSITIVE
    test_id = cause.derive_id("breath-test")
    test = BreathTest(
        tested_at=cause.now,
        mg_per_210l=reading.mg_per_210l,
        device_id=reading.device_id,
        outcome=outcome,
        retest_of=reading.retest_of,
    )
    before = row_of(state)
    state = _with(state, test_id, test)
    state, handoffs = reset(state, before, cause)
    events: Events = (
        attendance.BreathTestRecorded(
            screen_id=test_id,
            tested_at=cause.now,
            outcome=outcome,
            retest_of_screen_id=reading.retest_of,
        ),
    )
    if reading.retest_of is not None:
        state, cleared = loops.close(state, AttendanceLoop.SCREEN_RETEST, reading.retest_of)
        events += cleared
    if outcome is BreathOutcome.RETEST:
        state = loops.open_loop(
            state,
            AttendanceLoop.SCREEN_RETEST,
            test_id,
            cause,
            deadline_at=cause.now + RETEST_WITHIN,
        )
    if outcome is BreathOutcome.POSITIVE:
        state = loops.open_loop(state, AttendanceLoop.SAFE_DEPARTURE, test_id, cause)
    return Decision(state, events, handoffs, _answer(test_id, test))


def _recorded_before(state: EpisodeState, reading: Reading, now: datetime) -> str | None:
    """The test that this is once more: nobody can have been watched for another one since."""
    said = (reading.mg_per_210l, reading.device_id, reading.retest_of)
    watched_since = now - timedelta(minutes=OBSERVED_MINUTES)
    for test_id, test in state.breath_tests.items():
        same = (test.mg_per_210l, test.device_id, test.retest_of) == said
        if same and test.tested_at > watched_since:
            return test_id
    return None


def _answer(test_id: str, test: BreathTest) -> dict[str, Any]:
    return {"screen_id": test_id, "outcome": test.outcome, "mark": mark(test.mg_per_210l)}


def _repeated(state: EpisodeState, reading: Reading, now: datetime) -> BreathTest | None:
    """The first positive that this test repeats; None for a first test."""
    if reading.retest_of is None:
        if any(not is_decided(state, key) for key in state.breath_tests):
            raise Refused(
                "retest-awaited",
                "A positive test waits to be repeated.",
                hint="Name the test that this one repeats in `retest_of`.",
            )
        return None
    first = state.breath_tests.get(reading.retest_of)
    if first is None:
        raise Unknown("screen")
    if first.outcome is not BreathOutcome.RETEST or is_decided(state, reading.retest_of):
        raise Refused(
            "nothing-to-retest",
            "This test does not wait to be repeated.",
            hint="Leave retest_of out: this is a first test.",
        )
    if now < first.tested_at + RETEST_AFTER:
        raise Refused(
            "retest-too-early",
            "A positive test is repeated after 15 minutes.",
            hint="Wait until 15 minutes have passed.",
        )
    return first


def undo(
    state: EpisodeState, test_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The test was recorded by mistake: what it asked for is not asked for, and what it decided is to be decided."""
    known(state)
    test = holding(state, state.breath_tests, test_id, "screen")
    if any(other.retest_of == test_id for other in state.breath_tests.values()):
        raise Refused(
            "retest-recorded",
            "Another test repeats this one.",
            hint="Take the repetition back first.",
        )
    before = row_of(state)
    left = {key: other for key, other in state.breath_tests.items() if key != test_id}
    state = taken_back(state.replace(breath_tests=left), test_id, "screen")
    events: Events = (
        attendance.BreathTestUndone(
            screen_id=test_id, retest_of_screen_id=test.retest_of, reason=reason
        ),
    )
    for kind in (AttendanceLoop.SCREEN_RETEST, AttendanceLoop.SAFE_DEPARTURE):
        state, cleared = loops.close(state, kind, test_id, ClearedReason.ENTERED_IN_ERROR)
        events += cleared
    first = None if test.retest_of is None else left.get(test.retest_of)
    if first is not None and test.retest_of is not None and state.left_at is None:
        state = loops.open_loop(
            state,
            AttendanceLoop.SCREEN_RETEST,
            test.retest_of,
            cause,
            deadline_at=first.tested_at + RETEST_WITHIN,
        )
    state, handoffs = reset(state, before, cause)
    return Decision(state, events, handoffs)


def departed(
    state: EpisodeState,
    test_id: str,
    transport: Transport,
    signs: WithdrawalSigns,
    _cause: Cause,
) -> Decision[EpisodeState]:
    """The person is on a safe way home, and was looked at for withdrawal."""
    known(state)
    test = state.breath_tests.get(test_id)
    if test is None:
        raise Unknown("screen")
    if test.outcome is not BreathOutcome.POSITIVE:
        raise Refused(
            "breath-test-not-positive",
            "This test does not require a safe departure.",
            hint="Nothing is left to do: only a confirmed positive test needs a safe way home.",
        )
    if test.transport is not None:
        raise Refused(
            "departure-recorded",
            "The way home was recorded before.",
            hint="Nothing is left to do.",
        )
    seen = test.replace(transport=transport, withdrawal_signs=signs)
    state, cleared = loops.close(
        _with(state, test_id, seen), AttendanceLoop.SAFE_DEPARTURE, test_id
    )
    return Decision(state, cleared)


def mark(mg_per_210l: int) -> str | None:
    """The mark of transport rules that a value reaches, in g/210 L; None below them."""
    return next((f"0.{reached:03}" for reached in MARKS_MG if mg_per_210l >= reached), None)


def _with(state: EpisodeState, test_id: str, test: BreathTest) -> EpisodeState:
    return state.replace(breath_tests={**state.breath_tests, test_id: test})
