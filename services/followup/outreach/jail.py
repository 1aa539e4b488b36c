"""An episode that ended because of jail: the person is away, and care may be resumed once they are out. Pure.

The end says so by itself, whether somebody recorded the circumstance or not: nobody calls, somebody asks from time to
time whether it lasts, and whoever is out is asked within days whether they come back. All of it follows from the facts
that hold, in whichever order they are heard: `refresh` looks at them after every decision. No clock, no ids, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from services.followup.episode.episode_state import (
    Circumstance,
    Discharge,
    EpisodeState,
    StateAndEvents,
)
from services.followup.outreach import reengagement
from shared import calendar
from shared.contracts import followup
from shared.contracts.codes import MistakeReason
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, derive_id
from shared.errors import Refused
from shared.retractions import not_taken_back

JAIL: Final = CircumstanceKind.INCARCERATED


def refresh(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """The circumstance that the end says by itself, and whether somebody sees to it that care is resumed."""
    left = _jailed_at_the_end(state)
    if left is None:
        return state, ()
    events: list[Event] = []
    if not _covering(state, left):
        state, implied = _implied(state, left, cause)
        events += implied
    known = _covering(state, left)
    if any(one.ended_at is None for one in known.values()):
        return state, tuple(events)
    for key, one in known.items():
        if one.resume_by is None:
            state, released = reengagement.released(state, key, cause)
            events += released
    return state, tuple(events)


def _jailed_at_the_end(state: EpisodeState) -> Discharge | None:
    """The end, when it was because of jail and the person has not come back since."""
    left, admission = state.discharge, state.admission
    if left is None or left.kind is not DischargeKind.INCARCERATED or admission is None:
        return None
    if state.readmitted or state.undone or left.discharged_at < admission.admitted_at:
        return None
    return left


def _covering(state: EpisodeState, left: Discharge) -> Mapping[str, Circumstance]:
    """The stays in jail that are known and were not over when the episode ended."""
    return {
        key: one
        for key, one in state.circumstances.items()
        if one.kind is JAIL and (one.ended_at is None or one.ended_at >= left.discharged_at)
    }


def _implied(state: EpisodeState, left: Discharge, cause: Cause) -> StateAndEvents:
    """Nobody recorded it: it lasts since the end, and has just been said."""
    key, at = _implied_id(cause, left.discharged_at), left.discharged_at
    on = calendar.local_day(at, state.time_zone)
    known = Circumstance(kind=JAIL, on=on, recorded_at=at, confirmed_at=cause.now, stated=False)
    state = not_taken_back(state, key, "circumstance")
    event = followup.CircumstanceRecorded(circumstance_id=key, kind=JAIL, occurred_on=on)
    return state.replace(circumstances={**state.circumstances, key: known}), (event,)


def not_implied(
    state: EpisodeState, left_at: datetime, reason: MistakeReason, cause: Cause
) -> StateAndEvents:
    """The episode did not end: nobody came out of jail to resume care, or is there because the end says so."""
    withdrawn: tuple[Event, ...] = ()
    for key in state.circumstances:
        state, asked_no_more = reengagement.not_released(state, key, cause)
        withdrawn += asked_no_more
    key = _implied_id(cause, left_at)
    if key not in state.circumstances or state.circumstances[key].stated:
        return state, withdrawn
    left = {other: one for other, one in state.circumstances.items() if other != key}
    event = followup.CircumstanceUndone(circumstance_id=key, reason=reason)
    return state.replace(circumstances=left), (event, *withdrawn)


def _implied_id(cause: Cause, left_at: datetime) -> str:
    return derive_id("jailed", cause.subject, left_at.isoformat())


def only_implied(state: EpisodeState, kind: CircumstanceKind) -> str | None:
    """The stay in jail that lasts and that only the end has said so far: whoever records it says it too."""
    for key, one in state.circumstances.items():
        if one.kind is kind and one.ended_at is None and not one.stated:
            return key
    return None


def must_be_stated(known: Circumstance) -> None:
    """Refuse to take back what only the end of the episode says: it goes with the end."""
    if not known.stated and known.ended_at is None:
        raise Refused(
            "circumstance-implied",
            "The end of the episode says so, and nobody recorded it.",
            hint="Take the end back in plans, POST /episodes/{id}/discharge/undo; or end this when it is over.",
        )
