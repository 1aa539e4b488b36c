"""What every retraction checks, whatever it takes back: the fact exists, it holds, and why it is taken back. Pure.

A retraction is a fact of its own type, with the id of what it takes back and a reason (`MistakeReason`). Who records
a fact may not always take it back: `ANSWERING` names who answers for a program. No clock, no ids, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from shared.errors import Refused, Unknown
from shared.loops import RetractingState

T = TypeVar("T")
C = TypeVar("C", bound=RetractingState)

ANSWERING: Final = ("clinical_supervisor", "program_director", "privacy_officer")
"""The roles that answer for a program: they take back what ends, begins or moves an episode."""


def holding(state: RetractingState, facts: Mapping[str, T], fact_id: str, what: str) -> T:
    """The fact of this id. Raises `Unknown` for one that never was, and `Refused` for one that was taken back."""
    fact = facts.get(fact_id)
    if fact is not None:
        return fact
    if f"{what}:{fact_id}" in state.taken_back:
        raise Refused(
            "already-undone",
            "This was taken back before.",
            hint="Record it anew if it was right after all.",
        )
    raise Unknown(what)


def taken_back(state: C, fact_id: str, what: str) -> C:
    """The state that remembers that this fact was taken back: a second time is refused, and says so."""
    known = not_taken_back(state, fact_id, what).taken_back
    return state.replace(taken_back=(*known, f"{what}:{fact_id}"))


def not_taken_back(state: C, fact_id: str, what: str) -> C:
    """The state in which this fact holds again, and may be taken back."""
    known = tuple(one for one in state.taken_back if one != f"{what}:{fact_id}")
    return state if known == state.taken_back else state.replace(taken_back=known)
