"""How a service keeps one kind of subject: the type of its state, its deadlines, and how to read old states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from shared.decision import Cause, Decision, State
from shared.runtime.core.deadlines import Deadlines

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
NO_UPCASTERS: Final[Mapping[int, Upcaster]] = MappingProxyType({})
AfterEach = Callable[[Any, Decision[Any], Cause], Decision[State]]
S = TypeVar("S", bound=State)


class RecordKind:
    """How one kind of subject is kept: its state, its deadlines, and how old states are read.

    The type checker holds that the rules are for this state.
    """

    def __init__(
        self,
        state: type[S],
        deadlines: Deadlines[S] | None = None,
        *,
        owns_ids: bool = False,
        serves_all: bool = False,
        upcasters: Mapping[int, Upcaster] = NO_UPCASTERS,
        after_each: Callable[[S, Decision[S], Cause], Decision[S]] | None = None,
    ) -> None:
        self.state: Final[type[State]] = state
        self.deadlines: Final[Deadlines[Any] | None] = deadlines
        self.owns_ids: Final = owns_ids
        """This service makes the ids, so that an unknown one is a mistake and not news that has not arrived."""
        self.serves_all: Final = serves_all
        """Records of every facility may leave work for such a record, and what it leaves for others is theirs. It
        belongs to whoever commands it first, and work that is left for it never changes whose it is."""
        self.upcasters: Final = upcasters
        self.after_each: Final[AfterEach | None] = after_each
        """Completes every decision on such a record, whatever led to it, from the state before and the decision."""
