"""What the breath tests of today mean for groups: whoever was positive is in none. Pure, like all rules.

Source: docs/domain.md 3.7 (Breath tests).
"""

from __future__ import annotations

from datetime import datetime

from services.attendance.episode.episode_state import EpisodeState
from shared import calendar
from shared.contracts.attendance import BreathOutcome
from shared.contracts.codes import AttendanceLoop


def is_decided(state: EpisodeState, test_id: str) -> bool:
    """Whether a test stands by itself: it was not to be repeated, or was, or its repetition is no longer expected."""
    return state.loop(AttendanceLoop.SCREEN_RETEST, test_id) is None


def no_group_today(state: EpisodeState, now: datetime) -> bool:
    """A person who was positive today, or whose deciding test is due, is in no group today."""
    if state.admission is None:
        return False
    today = calendar.local_day(now, state.time_zone)
    return any(
        test.outcome is BreathOutcome.POSITIVE
        or (test.outcome is BreathOutcome.RETEST and not is_decided(state, key))
        for key, test in state.breath_tests.items()
        if calendar.local_day(test.tested_at, state.time_zone) == today
    )
