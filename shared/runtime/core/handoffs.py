"""The handoff table: which rule takes the work that one record leaves for another record of the same service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from shared.decision import Cause, Decision, HandoffBody, State
from shared.runtime.core.void import Void, guarded

S = TypeVar("S", bound=State)
B = TypeVar("B", bound=HandoffBody)


@dataclass(frozen=True, slots=True)
class HandoffRule:
    """One row, made by `handles`."""

    body: type[HandoffBody]
    rule: Callable[[Any, Any, Cause], Decision[State]]
    """With its guard."""


def handles(
    body: type[B], rule: Callable[[S, B, Cause], Decision[S]], *, void: Void = Void.KEEP
) -> HandoffRule:
    """A row of the table, checked by the type checker: the rule takes this body.

    The rule is not asked about an episode that was entered in error, unless `void` says so.
    """
    return HandoffRule(body, guarded(rule, void, None))


class HandoffRules:
    """The whole table, by body class."""

    def __init__(self, *rows: HandoffRule) -> None:
        self._by_name: Final = {row.body.__name__: row for row in rows}
        if len(self._by_name) != len(rows):
            raise TypeError("a body stands twice in the handoff table")

    @property
    def rules(
        self,
    ) -> list[tuple[type[HandoffBody], Callable[[Any, Any, Cause], Decision[State]]]]:
        """Every kind of body, with the rule that takes it."""
        return [(row.body, row.rule) for row in self._by_name.values()]

    def find(self, name: str) -> HandoffRule:
        """The row for a body class by its name. Raises `KeyError`."""
        return self._by_name[name]


_TEXTS: Final = (
    "subject",
    "body_type",
    "cause_id",
    "correlation_id",
    "facility_id",
    "actor_id",
    "actor_role",
    "now",
)


def check_item(item: Mapping[str, Any]) -> None:
    """Raises what a stored handoff lets `Reactor.handoff_work` stumble over. Its body is judged by its rule."""
    if not isinstance(item["number"], int):
        raise TypeError("number")
    if not all(isinstance(item[name], str) for name in _TEXTS):
        raise TypeError("handoff")
    if not isinstance(item.get("traceparent", ""), str):
        raise TypeError("traceparent")
    if datetime.fromisoformat(item["now"]).tzinfo is None:
        raise ValueError("now")
    item["body"]  # there has to be one
