"""The roll of a session: called once when it has ended, and corrected as often as needed. Pure, like all rules.

It names everybody who is expected, and may add who came without being on the roster. Nobody is sent away from a roll
because of what their record says: whoever was there is on it, and where the record speaks against it somebody puts one
of the two right. Source: docs/domain.md 3.3 (Hours); decision 17.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.attendance.episode.handoffs import (
    Corrected,
    OffRoll,
    RollCalled,
    WalkInAgreed,
    WalkInDoubted,
    to_episodes,
)
from services.attendance.groups import leaders
from services.attendance.groups.session_state import (
    WHOLE_DAY,
    EarlyRoll,
    Entry,
    RollEntry,
    SessionState,
    TookPlace,
    about,
    must_be_scheduled,
)
from services.attendance.groups.sessions import (
    booking_of,
    close_roll_call,
    planned_end,
)
from shared import loops
from shared.contracts.attendance import AttendanceStatus, CorrectionReason
from shared.contracts.codes import AttendanceLoop
from shared.decision import Cause, Decision, Handoff
from shared.errors import Invalid, NotYetKnown, Refused, Unknown


def minutes_of(status: AttendanceStatus, minutes_present: int | None) -> int:
    """The minutes that an entry of a roll means. Raises `Invalid` when they are missing, or given for an absence."""
    if not status.is_present:
        if minutes_present:
            raise Invalid(
                "minutes-of-an-absence",
                "An absent person cannot have minutes present.",
                hint="Leave minutes_present out, or say that the person was there.",
            )
        return 0
    if minutes_present is None and status is not AttendanceStatus.ATTENDED:
        raise Invalid(
            "minutes-missing",
            "minutes_present is missing for a person who came late or left early.",
            hint="Say in minutes_present how long the person was there.",
        )
    return WHOLE_DAY if minutes_present is None else minutes_present


def call_roll(
    state: SessionState,
    entries: Iterable[RollEntry],
    early: EarlyRoll | None,
    cause: Cause,
    *,
    ended_at: datetime | None = None,
) -> Decision[SessionState]:
    """Record for everyone on the roster whether they were there, and how long. Once; later it is a correction."""
    held = _may_be_called(state, early, ended_at, cause.now)
    state = state.replace(minutes_held=held)
    by_episode = {entry.episode_id: entry for entry in entries}
    _names_everyone(state, by_episode.values())
    counted = [
        entry.replace(walk_in=entry.episode_id not in state.expected)
        for episode, entry in sorted(by_episode.items())
        if episode in state.expected or entry.status.is_present
    ]
    roll = {entry.episode_id: _entry(state, entry) for entry in counted}
    handoffs = tuple(_rolled(state, entry, cause) for entry in counted)
    answer = {"entries": len(handoffs)}
    not_named = [episode for episode in state.roster if episode not in roll]
    handoffs += to_episodes(not_named, OffRoll(session_id=cause.subject_id))
    if state.group_id is not None:
        took_place = TookPlace(session_id=cause.subject_id)
        handoffs += (Handoff(f"group/{state.group_id}", took_place),)
    state, cleared = close_roll_call(state.replace(roll_called=True, entries=roll), cause)
    state, over = leaders.is_over(state, cause)
    state = leaders.to_be_signed(state, cause)
    return Decision(state, (*cleared, *over), handoffs, answer)


def _may_be_called(
    state: SessionState, early: EarlyRoll | None, ended_at: datetime | None, now: datetime
) -> int | None:
    """How many minutes it lasted when it ended early, None when it lasted as planned. Raises why it is no time yet."""
    starts_at = must_be_scheduled(state)
    if state.roll_called:
        raise Refused(
            "roll-already-called",
            "The roll of this session has been called.",
            hint="Correct single entries instead.",
        )
    if now < starts_at:
        raise Refused(
            "session-not-begun",
            "The session has not begun.",
            hint="Call the roll when it has ended; cancel it if it does not take place.",
        )
    if now < planned_end(state) and early is None:
        raise Refused(
            "session-not-ended",
            "The session has not ended.",
            hint="Call the roll at its end, or say in `early` why it ended before.",
        )
    if not state.roster_taken:
        raise NotYetKnown("roster")
    if early is not None and ended_at is None and now >= planned_end(state):
        raise Invalid(
            "ended-at-missing",
            "The session ended early, and it is not said when.",
            hint="Say in ended_at when it ended, or leave early out.",
        )
    return _minutes_held(state, ended_at or now, now)


def _minutes_held(state: SessionState, ended_at: datetime, now: datetime) -> int | None:
    """How long the session lasted that ended then; None: as long as planned. Raises `Invalid`."""
    starts_at = must_be_scheduled(state)
    if not starts_at < ended_at <= now:
        raise Invalid(
            "ended-at-invalid",
            "A session ends after its begin, and not in the future.",
            hint="Say when it ended; a session that did not take place is cancelled.",
        )
    if ended_at >= planned_end(state):
        return None
    return int((ended_at - starts_at).total_seconds() // 60)


def _names_everyone(state: SessionState, entries: Iterable[RollEntry]) -> None:
    """Everybody who is expected, and beside them only who came without being on the roster."""
    named = {entry.episode_id for entry in entries}
    walk_ins = {entry.episode_id for entry in entries if entry.walk_in}
    if not set(state.expected) <= named or not named <= {*state.roster, *walk_ins}:
        raise Refused(
            "roll-incomplete",
            "The roll must name everyone on the roster, and nobody else but who walked in.",
            hint="Read the session for its roster; mark who came without being on it as `walk_in`.",
        )
    if any(entry.walk_in and not entry.status.is_present for entry in entries):
        raise Invalid(
            "walk-in-absent",
            "Somebody who walked in was there.",
            hint="Leave out who was neither expected nor there; only who was there walked in.",
        )


def _entry(state: SessionState, entry: RollEntry) -> Entry:
    return Entry(
        status=entry.status,
        minutes_credited=_credited(state, entry.status, entry.minutes_present),
        minutes_present=entry.minutes_present,
        walk_in=entry.walk_in,
    )


def _rolled(state: SessionState, entry: RollEntry, cause: Cause) -> Handoff:
    body = RollCalled(
        session_id=cause.subject_id,
        booked=booking_of(state, cause.subject_id, must_be_scheduled(state)),
        status=entry.status,
        minutes_present=_credited(state, entry.status, entry.minutes_present),
        participation=entry.participation,
        minutes_held=state.minutes_held,
        walk_in=entry.walk_in,
    )
    return Handoff(f"episode/{entry.episode_id}", body)


def correct(
    state: SessionState, entry: RollEntry, reason: CorrectionReason, cause: Cause
) -> Decision[SessionState]:
    """Correct the roll's entry for one person. What was published before stays in the history.

    Whoever was forgotten is added as somebody who walked in; whoever is on it only so, and was not there, is taken off.
    """
    starts_at = must_be_scheduled(state)
    if not state.roll_called:
        raise Refused(
            "roll-not-called", "The roll of this session was not called.", hint="Call the roll."
        )
    episode_id, before = entry.episode_id, state.entries.get(entry.episode_id)
    if before is None:
        return _added(state, entry, cause)
    if before.walk_in and not entry.status.is_present:
        return _taken_off(state, episode_id, reason, cause)
    after = _entry(state, entry.replace(walk_in=before.walk_in))
    if (after.status, after.minutes_credited) == (before.status, before.minutes_credited):
        raise Refused(
            "correction-changes-nothing",
            "The roll says so already.",
            hint="Read the session for its roll as it stands.",
        )
    corrected = _corrected(state, after, starts_at, reason, cause)
    answer = {
        "minutes_before": before.minutes_credited,
        "minutes_after": after.minutes_credited,
    }
    state = state.replace(entries={**state.entries, episode_id: after})
    state = leaders.to_be_signed(state, cause)
    return Decision(state, (), (Handoff(f"episode/{episode_id}", corrected),), answer)


def correct_end(
    state: SessionState, ended_at: datetime, reason: CorrectionReason, cause: Cause
) -> Decision[SessionState]:
    """The session ended at another time than its roll says, for everybody: earlier, or as planned after all."""
    starts_at = must_be_scheduled(state)
    if not state.roll_called:
        raise Refused(
            "roll-not-called", "The roll of this session was not called.", hint="Call the roll."
        )
    held = _minutes_held(state, ended_at, cause.now)
    if held == state.minutes_held:
        raise Refused(
            "correction-changes-nothing",
            "The roll says so already.",
            hint="Read the session for its roll as it stands.",
        )
    state = state.replace(minutes_held=held)
    entries = {
        key: one.replace(minutes_credited=_credited(state, one.status, one.minutes_present))
        for key, one in state.entries.items()
    }
    state = leaders.to_be_signed(state.replace(entries=entries), cause)
    handoffs = tuple(
        Handoff(f"episode/{key}", _corrected(state, one, starts_at, reason, cause))
        for key, one in entries.items()
    )
    return Decision(state, (), handoffs, {"minutes_held": held, "entries": len(entries)})


def _corrected(
    state: SessionState, entry: Entry, starts_at: datetime, reason: CorrectionReason, cause: Cause
) -> Corrected:
    return Corrected(
        session_id=cause.subject_id,
        booked=booking_of(state, cause.subject_id, starts_at),
        status_after=entry.status,
        minutes_after=entry.minutes_credited,
        reason=reason,
        minutes_held=state.minutes_held,
    )


def _added(state: SessionState, entry: RollEntry, cause: Cause) -> Decision[SessionState]:
    """Somebody was there whom the roll does not name."""
    if not entry.walk_in:
        raise Unknown("roll-entry")
    if not entry.status.is_present:
        raise Invalid(
            "walk-in-absent",
            "Somebody who walked in was there.",
            hint="Leave out who was neither expected nor there; only who was there walked in.",
        )
    after = _entry(state, entry)
    state = state.replace(entries={**state.entries, entry.episode_id: after})
    state = leaders.to_be_signed(state, cause)
    answer = {"minutes_before": 0, "minutes_after": after.minutes_credited}
    return Decision(state, (), (_rolled(state, entry, cause),), answer)


def _taken_off(
    state: SessionState, episode_id: str, reason: CorrectionReason, cause: Cause
) -> Decision[SessionState]:
    """Somebody stands on the roll who neither was there nor was expected."""
    before = state.entries[episode_id]
    entries = {key: one for key, one in state.entries.items() if key != episode_id}
    state, cleared = loops.close(
        state.replace(entries=entries), AttendanceLoop.WALK_IN, _walk_in(cause, episode_id)
    )
    state = leaders.to_be_signed(state, cause)
    answer = {"minutes_before": before.minutes_credited, "minutes_after": 0}
    body = OffRoll(session_id=cause.subject_id, reason=reason)
    return Decision(state, cleared, to_episodes((episode_id,), body), answer)


# --- who came against their record ------------------------------------------------------------------------


def walk_in_doubted(
    state: SessionState, body: WalkInDoubted, cause: Cause
) -> Decision[SessionState]:
    """By their record the person should not have been there: somebody finds out which of the two is wrong."""
    if body.episode_id not in state.entries:
        return Decision(state)
    loop_id = _walk_in(cause, body.episode_id)
    return Decision(loops.open_loop(state, AttendanceLoop.WALK_IN, loop_id, cause))


def walk_in_agreed(state: SessionState, body: WalkInAgreed, cause: Cause) -> Decision[SessionState]:
    """The record says now what the roll says."""
    loop_id = _walk_in(cause, body.episode_id)
    state, cleared = loops.close(state, AttendanceLoop.WALK_IN, loop_id)
    return Decision(state, cleared)


def settle_walk_in(state: SessionState, episode_id: str, cause: Cause) -> Decision[SessionState]:
    """Somebody looked at it: the person was there, and their record is right too."""
    loop_id = _walk_in(cause, episode_id)
    if state.loop(AttendanceLoop.WALK_IN, loop_id) is None:
        raise Unknown("walk-in")
    state, cleared = loops.close(state, AttendanceLoop.WALK_IN, loop_id)
    return Decision(state, cleared)


def _walk_in(cause: Cause, episode_id: str) -> str:
    return about("walk-in", cause.subject, episode_id)


def _credited(state: SessionState, status: AttendanceStatus, minutes_present: int) -> int:
    most = state.minutes_planned if state.minutes_held is None else state.minutes_held
    return min(minutes_present, most) if status.is_present else 0
