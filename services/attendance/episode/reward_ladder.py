"""What the next reward is worth: up with each screen as wanted, back to the base after one that was not, and restored.

A pure fold over the row of screens in the order of their specimens, so that a result that comes late, or is read
again, leads to the same worth as if it had come in time. Source: docs/domain.md 3.11 (Incentives);
the amounts are house rules of the program's terms.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.codes import Value
from shared.contracts.terms import IncentiveTerms


class Rung(Value):
    """Where a person stands."""

    step: int = 0
    """How many steps above the base the next reward is."""
    in_row: int = 0
    """How many as wanted since the last reset."""
    reached: int = 0
    """The highest step before the last reset."""


def climb(rung: Rung, *, good: bool, terms: IncentiveTerms) -> Rung:
    """One screen more: a step up or down to the base; after enough in a row, up to where the person was before."""
    if not good:
        return Rung(reached=max(rung.step, rung.reached))
    step, in_row = rung.step + 1, rung.in_row + 1
    if in_row >= terms.restored_after_behaviors:
        return Rung(step=max(step, rung.reached), in_row=in_row)
    return Rung(step=step, in_row=in_row, reached=rung.reached)


def worth_cents(rung: Rung, terms: IncentiveTerms) -> int:
    """What the next reward is worth."""
    return min(terms.base_cents + rung.step * terms.step_cents, terms.most_cents)


def worth_of(screen_id: str, row: Iterable[tuple[str, bool]], terms: IncentiveTerms) -> int | None:
    """What one screen in the row was worth; None when it is not one to reward."""
    rung = Rung()
    for found, good in row:
        if found == screen_id:
            return worth_cents(rung, terms) if good else None
        rung = climb(rung, good=good, terms=terms)
    return None


def worth_next(row: Iterable[tuple[str, bool]], terms: IncentiveTerms) -> int:
    """What the next screen as wanted is going to be worth."""
    rung = Rung()
    for _, good in row:
        rung = climb(rung, good=good, terms=terms)
    return worth_cents(rung, terms)
