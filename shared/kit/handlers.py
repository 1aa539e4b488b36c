"""Which handler takes which event: the table that `events.on(…)` fills."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

from ..contracts.event import CATALOGUE, Event
from .notices import Notice

Function = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=Function)
_WITH_TX: Final = 3


class Handler(NamedTuple):
    """One function for one event type."""

    event: type[Event]
    function: Function
    takes_tx: bool
    """It has a third parameter, and writes in the inbox's own transaction."""


class Handlers:
    """At most one function for each event class; any number for each kind of notice."""

    def __init__(self) -> None:
        self.by_type: dict[str, Handler] = {}
        self.followed: frozenset[int] = frozenset()
        """The earlier outlets of the team that the inbox has read, by their numbers: what they had is handled."""
        self._facts: set[str] = set()
        self._notices: dict[type[Notice], list[Function]] = {}

    @property
    def topics(self) -> list[str]:
        """The topics that have to be read."""
        return sorted({handler.event.SOURCE for handler in self.by_type.values()})

    @property
    def take_tx(self) -> bool:
        """Whether any handler writes in the inbox's transaction."""
        return any(handler.takes_tx for handler in self.by_type.values())

    def on(self, *kinds: type[Event | Notice]) -> Callable[[F], F]:
        """Register the decorated function for these events or notices.

        A handler takes `(event, envelope)`, or `(event, envelope, tx)` to write in the inbox's own transaction. A
        notice's takes the notice. Raises `TypeError` for anything else.
        """

        def register(function: F) -> F:
            if not inspect.iscoroutinefunction(function):
                raise TypeError(f"{function.__name__} is not an `async def`")
            for kind in kinds:
                self._register(kind, function)
            return function

        return register

    def _register(self, kind: type[Event | Notice], function: Function) -> None:
        count = _parameters(function)
        if issubclass(kind, Notice):
            if count != 1:
                raise TypeError(f"{function.__name__} has to take (notice)")
            self._notices.setdefault(kind, []).append(function)
            return
        if CATALOGUE.get(getattr(kind, "TYPE", "")) is not kind:
            raise TypeError(f"{kind.__name__} is no event of the catalogue")
        if count not in (2, _WITH_TX):
            raise TypeError(
                f"{function.__name__} has to take (event, envelope) or (event, envelope, tx)"
            )
        if kind.TYPE in self.by_type:
            raise TypeError(f"{kind.__name__} has a handler already: call both from one")
        self.by_type[kind.TYPE] = Handler(kind, function, count == _WITH_TX)
        self._facts.add(kind.TYPE.rpartition(".v")[0])

    def why_not(self, event_type: str) -> str:
        """Why a type is skipped."""
        if event_type in CATALOGUE:
            return "not-subscribed"
        return "major-unknown" if event_type.rpartition(".v")[0] in self._facts else "type-unknown"

    def of(self, notice: Notice) -> list[Function]:
        """The functions that want this notice."""
        return self._notices.get(type(notice), [])


def _parameters(function: Any) -> int:
    """How many arguments a function has to be given."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = inspect.signature(function).parameters.values()
    return sum(one.kind in kinds and one.default is one.empty for one in found)
