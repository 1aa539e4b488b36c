"""The reaction table: which event runs which rule, on which record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from shared.contracts.event import Envelope, Event
from shared.decision import Cause, Decision, Foreign, State
from shared.runtime.core.void import Void, guarded

S = TypeVar("S", bound=State)
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Reaction:
    """One row, made by `on`. `target` names the record that decides; by default the event's own subject."""

    event: type[Event]
    rule: Callable[[Any, Any, Cause], Decision[State]]
    """With its guards."""
    target: Callable[[Envelope, Any], str] | None = None
    whole: bool = False
    """The rule takes the message as it lies on its topic (`Foreign`) and not the event in it."""

    def subject(self, envelope: Envelope, event: Event) -> str:
        return envelope.subject if self.target is None else self.target(envelope, event)


def on(
    event: type[E],
    rule: Callable[[S, E, Cause], Decision[S]],
    *,
    target: Callable[[Envelope, E], str] | None = None,
    void: Void = Void.KEEP,
    unless: Callable[[S], bool] | None = None,
) -> Reaction:
    """A row of the table, checked by the type checker: the rule takes this event.

    The rule is not asked about an episode that was entered in error, unless `void` says so, nor where `unless` holds of
    the state.
    """
    return Reaction(event, guarded(rule, void, unless), target)


def pass_on(event: type[Event], rule: Callable[[S, Foreign, Cause], Decision[S]]) -> Reaction:
    """A row for a service that passes events on: what its `Passing` wants of this type, byte for byte."""
    return Reaction(event, rule, whole=True)


class Reactions:
    """The whole table. Exactly one major version of a fact is accepted."""

    def __init__(self, *rows: Reaction) -> None:
        self._by_fact: Final = {row.event.TYPE.rpartition(".v")[0]: row for row in rows}
        if len(self._by_fact) != len(rows):
            raise TypeError("a fact stands twice in the reaction table")

    def __iter__(self) -> Iterator[Reaction]:
        return iter(self._by_fact.values())

    @property
    def rules(self) -> list[tuple[type[Event], Callable[[Any, Any, Cause], Decision[State]]]]:
        """Every kind of event, with the rule that decides it."""
        return [(row.event, row.rule) for row in self]

    def find(self, fact: str) -> Reaction | None:
        return self._by_fact.get(fact)

    def of(self, envelope: Envelope) -> Reaction | None:
        """The row for an event: by its fact, so that another major version of it is noticed."""
        return self.find(envelope.fact)

    @property
    def topics(self) -> list[str]:
        """The topics that have to be heard, in order."""
        return sorted({row.event.SOURCE for row in self})


class EveryMajor(Reactions):
    """A table in which each major version of a fact has a row of its own."""

    def __init__(self, *rows: Reaction) -> None:
        newest = {row.event.TYPE.rpartition(".v")[0]: row for row in rows}
        super().__init__(*newest.values())
        self._by_type: Final = {row.event.TYPE: row for row in rows}

    def __iter__(self) -> Iterator[Reaction]:
        return iter(self._by_type.values())

    def of(self, envelope: Envelope) -> Reaction | None:
        """The row for exactly this type."""
        return self._by_type.get(envelope.type)
