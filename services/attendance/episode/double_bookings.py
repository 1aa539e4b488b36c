"""Double bookings: one person in two sessions at once. Pure, like all rules.

Each session is another record's, so both bookings are kept: nothing that was accepted disappears. The time that both
cover is credited once, to the one that began first, and somebody settles it: it ends when one of them is cancelled or
moved, or when a roll says that the person was at one only. Source: house rule; docs/decisions/0017-who-owns-what.md.
"""

from __future__ import annotations

from services.attendance.episode import hours
from services.attendance.episode.episode_state import (
    EpisodeState,
    StateAndEvents,
    booked_sessions,
    double_booking_id,
)
from shared import loops
from shared.contracts.codes import AttendanceLoop, ClearedReason
from shared.decision import Cause


def watch(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """A loop for each pair of sessions at the same time, as long as there is one. After the end nobody settles it."""
    known = state.loops_of(AttendanceLoop.DOUBLE_BOOKING)
    if state.left_at is not None or state.void:
        return loops.close_all(state, known, ClearedReason.EPISODE_CLOSED)
    pairs = hours.overlapping(booked_sessions(state))
    wanted = {double_booking_id(cause.subject, pair) for pair in pairs}
    state, events = loops.close_all(state, [loop for loop in known if loop.id not in wanted])
    for loop_id in sorted(wanted - {loop.id for loop in known}):
        state = loops.open_loop(state, AttendanceLoop.DOUBLE_BOOKING, loop_id, cause)
    return state, events
