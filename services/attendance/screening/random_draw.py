"""The random draw of screens: who is screened today. Pure; the lot is drawn at the edge.

Source: docs/domain.md 3.6 (Screens).
"""

from __future__ import annotations

from typing import Final

from services.attendance.episode.episode_state import EpisodeState, in_care
from services.attendance.episode.values import Draw
from services.attendance.screening import screens
from services.attendance.screening.specimens import every_days, watch_interval
from shared import calendar
from shared.contracts.codes import PanelCode
from shared.decision import Cause, Decision

LOTS: Final = 1_000_000
"""Out of how many lots the edge draws one, for each person and day, with a cryptographic generator."""
SHARE: Final = 2
"""Twice the rate that the longest time between screens asks for: nine in ten are found before it ends. House rule."""


def draw(state: EpisodeState, panel: PanelCode, lot: int, cause: Cause) -> Decision[EpisodeState]:
    """Whether the person is screened today. `lot` comes from the edge, and is one of `LOTS`.

    Each day has the same chance, the day after a screen too, so that nothing can be foreseen; and nothing is decided
    about any other day, so that nothing has to be kept secret. One draw a day; none for who has left, is paused or is
    away.
    """
    admission = in_care(state)
    today = calendar.local_day(cause.now, admission.time_zone)
    days = every_days(state, cause.now)
    drawn = state.draw is not None and state.draw.last_on >= today
    if days is None or drawn or state.pause is not None or state.away_at(cause.now):
        return Decision(state, answer={"drawn": False})
    since = cause.now if state.draw is None else state.draw.since
    state, events = watch_interval(state.replace(draw=Draw(since=since, last_on=today)), cause)
    if lot * days >= SHARE * LOTS:
        return Decision(state, events, answer={"drawn": False})
    ordered = screens.order(state, screens.NewScreen(panel=panel), cause)
    return Decision(
        ordered.state,
        (*events, *ordered.events),
        ordered.handoffs,
        {"drawn": True, **ordered.answer},
    )
