"""The deadline table of a kind of record: which rule runs when a deadline comes.

A deadline's name is `kind`, or `kind:detail` where a record has several of a kind (a week, a check-in). The type
checker checks each row: its rule takes this record's state, and the detail as the row reads it. The deadlines of open
loops, `loop:<kind>:<id>`, have a separate table for the service's loop enum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload

from shared.contracts.event import OpenEnum
from shared.decision import Cause, Decision, State
from shared.loops import DEADLINE as LOOP
from shared.runtime.core.void import is_void

S = TypeVar("S", bound=State)
D = TypeVar("D")
L = TypeVar("L", bound=OpenEnum)


@dataclass(frozen=True, slots=True)
class Deadline(Generic[S]):
    """One row: a kind, and the rule that is asked with the detail of its name."""

    kind: str
    rule: Callable[[S, str, Cause], Decision[S]]


def due(kind: str, rule: Callable[[S, Cause], Decision[S]]) -> Deadline[S]:
    """A row for the one deadline of a kind that a record has."""
    return Deadline(kind, lambda state, _detail, cause: rule(state, cause))


@overload
def due_for(kind: str, rule: Callable[[S, str, Cause], Decision[S]]) -> Deadline[S]: ...


@overload
def due_for(
    kind: str, rule: Callable[[S, D, Cause], Decision[S]], read: Callable[[str], D]
) -> Deadline[S]: ...


def due_for(
    kind: str,
    rule: Callable[[S, Any, Cause], Decision[S]],
    read: Callable[[str], Any] = str,
) -> Deadline[S]:
    """A row for each deadline of a kind: the rule gets what stands behind the colon, as `read` reads it."""
    return Deadline(kind, lambda state, detail, cause: rule(state, read(detail), cause))


class LoopDeadlines(Generic[S]):
    """Which rule is asked when the deadline of an open loop comes, with the deadline's whole name."""

    def __init__(
        self,
        kinds: type[L],
        rules: Mapping[L, Callable[[S, str, Cause], Decision[S]]] | None = None,
        *,
        default: Callable[[S, str, Cause], Decision[S]] | None = None,
    ) -> None:
        """`default` is for the kinds that `rules` leaves out. Raises `TypeError`: a kind has no rule at all."""
        self._rules: Final[dict[str, Callable[[S, str, Cause], Decision[S]]]] = {}
        for kind in kinds:
            rule = default if rules is None else rules.get(kind, default)
            if kind.name == "UNKNOWN":
                continue
            if rule is None:
                raise TypeError(f"no rule for the deadline of the loop {kind.value}")
            self._rules[kind.value] = rule

    def find(self, kind: str) -> Callable[[S, str, Cause], Decision[S]] | None:
        return self._rules.get(kind)


class Deadlines(Generic[S]):
    """All deadlines of one kind of record."""

    def __init__(self, *rows: Deadline[S], loops: LoopDeadlines[S] | None = None) -> None:
        self._rules: Final = {row.kind: row.rule for row in rows}
        self._loops: Final = loops
        if len(self._rules) != len(rows):
            raise TypeError("a kind stands twice in the deadline table")

    def decide(self, state: S, name: str, cause: Cause) -> Decision[S]:
        """Ask the rule of the deadline `name`. Of a void record nothing is asked.

        Raises `ValueError` for a kind without a rule, and whatever the rule raises.
        """
        if is_void(state):
            return Decision(state)
        if name.startswith(LOOP):
            loop = name.removeprefix(LOOP).partition(":")[0]
            asked, detail = None if self._loops is None else self._loops.find(loop), name
        else:
            kind, _, detail = name.partition(":")
            asked = self._rules.get(kind)
        if asked is None:
            # The kind, and never the detail: it may be an id.
            raise ValueError(f"unknown deadline {name.partition(':')[0]}")
        return asked(state, detail, cause)
