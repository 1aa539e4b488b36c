"""Names a record together with the type of its state.

A route names a record as `EPISODE(episode_id)`. The type checker then verifies that the rule or the query takes the
state of that kind of record, and no other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.decision import State
from shared.runtime.core.record import Record

S = TypeVar("S", bound=State)


@dataclass(frozen=True, slots=True)
class Subject(Generic[S]):
    """One record: its name (`kind/id`) and its class of state."""

    name: str
    state: type[S]


@dataclass(frozen=True, slots=True)
class Subjects(Generic[S]):
    """One kind of record of a service. `SERVICE.kinds` says the same; a test compares them."""

    kind: str
    state: type[S]

    def __call__(self, subject_id: str) -> Subject[S]:
        return Subject(f"{self.kind}/{subject_id}", self.state)


def state_of(record: Record, state: type[S]) -> S:
    """The record's state as what it is.

    Raises `RecordIsNewer` or `RecordUnreadable` for a record that can't be worked with, and `TypeError` for a record of
    another kind: a mistake in a route.
    """
    if record.unusable is not None:
        raise record.unusable
    if not isinstance(record.state, state):
        raise TypeError(
            f"a record of the kind {record.subject.partition('/')[0]} is not made of {state.__name__}"
        )
    return record.state
