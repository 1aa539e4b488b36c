"""What was recorded wrongly of a screen is taken back: order, specimen, result, interpretation, and that there is none.

What follows from the screen as it stands then is opened and closed by `specimens.py`. Pure: no clock, no ids, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from services.attendance.episode.episode_state import EpisodeState, known
from services.attendance.laboratory.interpretation import Screen
from services.attendance.screening.screens import of
from services.attendance.screening.specimens import OF_A_SCREEN, settle
from shared import loops
from shared.contracts import attendance
from shared.contracts.attendance import ScreenStage
from shared.contracts.codes import ClearedReason, MistakeReason
from shared.decision import Cause, Decision, Events
from shared.errors import Refused
from shared.retractions import holding, taken_back


def undo_order(
    state: EpisodeState, screen_id: str, reason: MistakeReason, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody should have been notified of this screen. What came of it has to be taken back before."""
    known(state)
    screen = holding(state, state.screens, screen_id, "screen")
    if screen.collected_at is not None:
        raise Refused(
            "specimen-already-collected",
            "There is a specimen.",
            hint="If it is none of this person's, take it back first: POST /screens/{id}/collect/undo.",
        )
    if screen.not_provided is not None:
        raise Refused(
            "screen-closed",
            "Why there is no specimen is on record.",
            hint="If that was a mistake too, take it back first: POST /screens/{id}/not-provided/undo.",
        )
    if any(one.retest_of == screen_id for one in state.screens.values()):
        raise Refused(
            "retest-recorded",
            "Another screen repeats this one.",
            hint="Take back the order of that one first.",
        )
    left = {key: one for key, one in state.screens.items() if key != screen_id}
    waiting = [loop for loop in state.loops_of(*OF_A_SCREEN) if loop.id == screen_id]
    state, cleared = loops.close_all(
        state.replace(screens=left), waiting, ClearedReason.ENTERED_IN_ERROR
    )
    event = attendance.ScreenOrderUndone(screen_id=screen_id, reason=reason)
    return Decision(taken_back(state, screen_id, "screen"), (event, *cleared))


def undo_specimen(
    state: EpisodeState, screen_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The specimen was another person's, or of another screen: with it go its chain and all that was found in it.

    It is waited for again, as if it had not been taken; an order that was a mistake itself is taken back after that.
    """
    screen = _with(state, screen_id, "specimen", lambda one: one.collected_at is not None)
    if screen.collected_at is None:
        raise ValueError("it was looked up as collected")
    waited_for = Screen(
        matrix=screen.matrix,
        panel=screen.panel,
        reason=screen.reason,
        retest_of=screen.retest_of,
        window_ends_at=screen.window_ends_at,
    )
    event = attendance.SpecimenUndone(
        screen_id=screen_id,
        collected_at=screen.collected_at,
        window_ends_at=screen.window_ends_at,
        reason=reason,
    )
    found = tuple(
        attendance.ResultUndone(screen_id=screen_id, stage=stage, reason=reason)
        for stage in ScreenStage
        if stage.value in screen.results
    )
    read = () if screen.interpreted is None else (_not_read(screen_id, reason),)
    state, events, handoffs = settle(state, screen_id, waited_for, cause)
    state = taken_back(state, screen_id, "specimen")
    return Decision(state, (*found, *read, event, *events), handoffs)


def undo_result(
    state: EpisodeState, screen_id: str, stage: ScreenStage, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """The result is of another specimen. What was made of it is taken back too; what another stage said holds."""
    known(state)
    of(state, screen_id)
    fact_id = f"{screen_id}/{stage.value}"
    filed = {f"{key}/{name}": one for key, one in state.screens.items() for name in one.results}
    screen = holding(state, filed, fact_id, "result")
    before, made = screen.stage, screen.interpreted
    results = {name: one for name, one in screen.results.items() if name != stage.value}
    left = screen.replace(results=results)
    events: Events = (attendance.ResultUndone(screen_id=screen_id, stage=stage, reason=reason),)
    if made is not None and made.stage is stage:
        left = left.replace(interpreted=None)
        events = (*events, _not_read(screen_id, reason))
    now = left.result
    if now is not None and left.stage is not None and left.stage is not before:
        again = attendance.ScreenResulted(
            screen_id=screen_id, stage=left.stage, validity=now.validity, panel=left.panel
        )
        events = (*events, again)
    state, more, handoffs = settle(state, screen_id, left, cause)
    return Decision(taken_back(state, fact_id, "result"), (*events, *more), handoffs)


def _with(state: EpisodeState, screen_id: str, fact: str, has: Callable[[Screen], bool]) -> Screen:
    """The screen, which has this fact. Raises `Refused` when it has not, or has it no more."""
    known(state)
    of(state, screen_id)
    screens = {key: one for key, one in state.screens.items() if has(one)}
    return holding(state, screens, screen_id, fact)


def _not_read(screen_id: str, reason: MistakeReason) -> attendance.InterpretationUndone:
    return attendance.InterpretationUndone(screen_id=screen_id, reason=reason)


def undo_interpretation(
    state: EpisodeState, screen_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """What was made of the result was a mistake: it waits to be interpreted again."""
    screen = _with(state, screen_id, "interpretation", lambda one: one.interpreted is not None)
    without = screen.replace(interpreted=None)
    event = attendance.InterpretationUndone(screen_id=screen_id, reason=reason)
    state, events, handoffs = settle(state, screen_id, without, cause)
    return Decision(taken_back(state, screen_id, "interpretation"), (event, *events), handoffs)


def undo_not_provided(
    state: EpisodeState, screen_id: str, reason: MistakeReason, cause: Cause
) -> Decision[EpisodeState]:
    """That there is no specimen was a mistake: it is waited for again."""
    screen = _with(state, screen_id, "not-provided", lambda one: one.not_provided is not None)
    kind = screen.not_provided
    if kind is None:
        raise ValueError("it was looked up as not provided")
    waited_for = screen.replace(not_provided=None, not_provided_at=None, unable_reason=None)
    event = attendance.ScreenNotProvidedUndone(screen_id=screen_id, kind=kind, reason=reason)
    state, events, handoffs = settle(state, screen_id, waited_for, cause)
    return Decision(taken_back(state, screen_id, "not-provided"), (event, *events), handoffs)
