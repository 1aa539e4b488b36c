"""The void guard: no event, handoff or deadline changes an episode that was entered in error.

The row of the table that names a rule also declares its guard, so that no rule has to check. Commands are refused
instead (`shared.loops.must_stand`), because the person who gives a command must learn why nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from shared.decision import Cause, Decision, State
from shared.loops import CareState

S = TypeVar("S", bound=State)
T = TypeVar("T")


class Void(Enum):
    """What a row does about an episode that was entered in error."""

    IGNORE = "ignore"
    """The rule is not asked, and the state stays as it is."""
    RUN = "run"
    """The rule is asked: what it does concerns an episode in error as well."""


def is_void(state: State) -> bool:
    """Whether the record is an episode that was entered in error."""
    return isinstance(state, CareState) and state.void


def guarded(
    rule: Callable[[S, T, Cause], Decision[S]],
    void: Void,
    unless: Callable[[S], bool] | None,
) -> Callable[[Any, T, Cause], Decision[State]]:
    """A rule that leaves the state as it is where the record is void, or where `unless` holds of it."""
    if void is Void.RUN and unless is None:
        return rule

    def decide(state: S, item: T, cause: Cause) -> Decision[S]:
        if void is Void.IGNORE and is_void(state):
            return Decision(state)
        if unless is not None and unless(state):
            return Decision(state)
        return rule(state, item, cause)

    return decide
