"""An episode that ended because of jail: the person is away, and care may be resumed once they are out. Pure.

The end says so by itself, whether somebody recorded the circumstance or not: nobody calls, somebody asks from time to
time whether it lasts, and whoever is out is asked within days whether they come back. No clock, no ids, no I/O.
"""

from __future__ import annotations

from datetime import datetime

from services.followup.episode.episode_state import Circumstance, EpisodeState, StateAndEvents
from services.followup.outreach import reengagement
from shared import calendar
from shared.contracts import followup
from shared.contracts.codes import MistakeReason
from shared.contracts.followup import CircumstanceKind
from shared.contracts.plans import DischargeKind
from shared.decision import Cause, derive_id


def implied(state: EpisodeState, left_at: datetime, cause: Cause) -> StateAndEvents:
    """The episode ended because the person is in jail: that lasts, whether somebody recorded it or not."""
    kinds = (one.kind for one in state.circumstances.values() if one.ended_at is None)
    if CircumstanceKind.INCARCERATED in kinds or state.readmitted:
        return state, ()
    key, kind = _implied_id(cause, left_at), CircumstanceKind.INCARCERATED
    on = calendar.local_day(left_at, state.time_zone)
    known = Circumstance(kind=kind, on=on, recorded_at=cause.now)
    event = followup.CircumstanceRecorded(circumstance_id=key, kind=kind, occurred_on=on)
    return state.replace(circumstances={**state.circumstances, key: known}), (event,)


def not_implied(
    state: EpisodeState, left_at: datetime, reason: MistakeReason, cause: Cause
) -> StateAndEvents:
    """The episode did not end: nobody said that the person is in jail."""
    key = _implied_id(cause, left_at)
    if key not in state.circumstances:
        return state, ()
    left = {other: one for other, one in state.circumstances.items() if other != key}
    state, withdrawn = reengagement.not_released(state.replace(circumstances=left), key, cause)
    return state, (followup.CircumstanceUndone(circumstance_id=key, reason=reason), *withdrawn)


def _implied_id(cause: Cause, left_at: datetime) -> str:
    return derive_id("jailed", cause.subject, left_at.isoformat())


def resumed(state: EpisodeState, circumstance_id: str, cause: Cause) -> StateAndEvents:
    """Who was taken out of treatment by jail, and is out: somebody sees to it soon whether care is resumed."""
    left, kind = state.discharge, state.circumstances[circumstance_id].kind
    jailed = left is not None and left.kind is DischargeKind.INCARCERATED
    if not jailed or kind is not CircumstanceKind.INCARCERATED or state.readmitted:
        return state, ()
    return reengagement.released(state, circumstance_id, cause)
