"""Screens: from order to interpretation. Results stay in this service; what they mean is said.

A prescribed substance is expected; a dilute specimen is no result; a refusal is never use. Only an unexpected
positive is said as `screen-failed`. Source: domain reference, section 3 ("Screens").
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from services.attendance.domain import EpisodeState, Screen
from shared.contracts import attendance, plans
from shared.contracts.attendance import (
    Matrix,
    NotProvidedKind,
    ScreenClass,
    ScreenReason,
    ScreenStage,
    SpecimenValidity,
)
from shared.contracts.codes import PanelCode
from shared.decision import Cause, Decision
from shared.errors import NotYetKnown, Refused, Unknown

WINDOW: Final = timedelta(hours=4)
"""From notification to specimen. House rule."""


def order(
    state: EpisodeState, matrix: Matrix, panel: PanelCode, reason: ScreenReason, cause: Cause
) -> Decision[EpisodeState]:
    """Notify the person of a screen. The order is published only now: the schedule ahead stays secret."""
    if state.admission is None:
        raise NotYetKnown("episode")
    if state.discharged_at is not None:
        raise Refused("episode-closed", "The episode has ended.")
    screen_id = cause.derive_id("screen")
    ends_at = cause.now + WINDOW
    screen = Screen(matrix=matrix, panel=panel, window_ends_at=ends_at)
    event = attendance.ScreenOrdered(
        screen_id=screen_id, matrix=matrix, panel=panel, reason=reason, window_ends_at=ends_at
    )
    state = _with(state, screen_id, screen).arm(f"screen:{screen_id}", ends_at)
    return Decision(state, (event,), answer={"screen_id": screen_id})


def collect(
    state: EpisodeState,
    screen_id: str,
    *,
    observed: bool,
    temperature_in_range: bool | None,
    cause: Cause,
) -> Decision[EpisodeState]:
    """A specimen was taken and sealed."""
    screen = _open(state, screen_id)
    if screen.collected_at is not None:
        raise Refused("specimen-already-collected", "The specimen was collected before.")
    event = attendance.SpecimenCollected(
        screen_id=screen_id,
        collected_at=cause.now,
        observed=observed,
        temperature_in_range=temperature_in_range,
        custody_sequence=1,
    )
    state = _with(state, screen_id, screen.model_copy(update={"collected_at": cause.now}))
    return Decision(state.disarm(f"screen:{screen_id}"), (event,))


def not_provided(
    state: EpisodeState, screen_id: str, kind: NotProvidedKind, _cause: Cause
) -> Decision[EpisodeState]:
    """There is no specimen, for a reason that is said. Never recorded as use."""
    screen = _open(state, screen_id)
    event = attendance.ScreenNotProvided(screen_id=screen_id, kind=kind)
    state = _with(state, screen_id, screen.model_copy(update={"closed": True}))
    return Decision(state.disarm(f"screen:{screen_id}"), (event,))


def record_result(
    state: EpisodeState,
    screen_id: str,
    *,
    stage: ScreenStage,
    validity: SpecimenValidity,
    positives: tuple[str, ...],
) -> Decision[EpisodeState]:
    """A result came back. The analytes stay here; a later result of the same screen replaces an earlier one."""
    screen = _open(state, screen_id)
    if screen.collected_at is None:
        raise Refused("specimen-not-collected", "There is no specimen to have a result of.")
    event = attendance.ScreenResulted(
        screen_id=screen_id, stage=stage, validity=validity, panel=screen.panel
    )
    resulted = screen.model_copy(update={"validity": validity, "positives": positives})
    return Decision(_with(state, screen_id, resulted), (event,))


def interpret(state: EpisodeState, screen_id: str, cause: Cause) -> Decision[EpisodeState]:
    """Say what the result means, and say an unexpected positive in a fact of its own."""
    screen = _open(state, screen_id)
    if screen.validity is None or screen.collected_at is None:
        raise Refused("screen-not-resulted", "There is no result to interpret.")
    meaning = classify(screen, state.expected, screen.collected_at)
    interpreted = attendance.ScreenInterpreted(
        screen_id=screen_id, classification=meaning, reviewer_id=cause.actor_id
    )
    state = _with(state, screen_id, screen.model_copy(update={"closed": True}))
    answer = {"classification": meaning}
    if meaning is not ScreenClass.UNEXPECTED_POSITIVE:
        return Decision(state, (interpreted,), answer=answer)
    failed = attendance.ScreenFailed(
        screen_id=screen_id, matrix=screen.matrix, reviewer_id=cause.actor_id
    )
    return Decision(state, (interpreted, failed), answer=answer)


def classify(
    screen: Screen, expected: tuple[plans.ExpectedAnalyte, ...], collected_at: datetime
) -> ScreenClass:
    """What a result means, per analyte, against what is prescribed and verified on the day of collection."""
    if screen.validity is not SpecimenValidity.VALID:
        return ScreenClass.INVALID
    day = collected_at.date()
    prescribed = {a.code for a in expected if a.verified and _on(a, day)}
    found = set(screen.positives)
    if found - prescribed:
        return ScreenClass.UNEXPECTED_POSITIVE
    if prescribed - found:
        return ScreenClass.EXPECTED_ABSENT
    return ScreenClass.EXPECTED_POSITIVE if found else ScreenClass.NEGATIVE


def _on(analyte: plans.ExpectedAnalyte, day: date) -> bool:
    return analyte.from_on <= day and (analyte.until_on is None or day <= analyte.until_on)


def _open(state: EpisodeState, screen_id: str) -> Screen:
    screen = state.screens.get(screen_id)
    if screen is None:
        raise Unknown("screen")
    if screen.closed:
        raise Refused("screen-closed", "This screen is closed.")
    return screen


def _with(state: EpisodeState, screen_id: str, screen: Screen) -> EpisodeState:
    return state.but(screens={**state.screens, screen_id: screen})
