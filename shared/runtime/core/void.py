"""The void guard: no event, handoff or deadline changes an episode that was entered in error.

The row of the table that names a rule also declares its guard, so that no rule has to check. What arrives is kept, for
the case that the mistake is taken back (`shared/voiding.py`). Commands are refused instead (`shared.loops.must_stand`),
because the person who gives a command must learn why nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

from shared import voiding
from shared.decision import Cause, Decision, State
from shared.loops import CareState

T = TypeVar("T", bound=BaseModel)


class Void(Enum):
    """What a row does about an episode that was entered in error."""

    KEEP = "keep"
    """The rule is not asked: what arrived is kept, and decided if the mistake is taken back."""
    RUN = "run"
    """The rule is asked: what it does concerns an episode in error as well. It is not asked again."""
    BOTH = "both"
    """The rule is asked, and what arrived is kept too: it says something about the episode that comes back."""


def is_void(state: State) -> bool:
    """Whether the record is an episode that was entered in error."""
    return isinstance(state, CareState) and state.void


def guarded(
    rule: Callable[[Any, T, Cause], Decision[Any]],
    void: Void,
    unless: Callable[[Any], bool] | None,
) -> Callable[[Any, T, Cause], Decision[Any]]:
    """A rule that is not asked where the record is void, but as its row says, or where `unless` holds of it."""

    def decide(state: Any, item: T, cause: Cause) -> Decision[Any]:
        if void is Void.RUN or not is_void(state):
            if unless is not None and unless(state):
                return Decision(state)
            return rule(state, item, cause)
        if void is Void.KEEP:
            return Decision(voiding.kept(state, item, cause))
        decision = rule(state, item, cause)
        return decision._replace(state=voiding.kept(decision.state, item, cause))

    return decide
