"""An episode that was entered in error or merged by mistake: what it was is put aside, and comes back whole. Pure.

While an episode is void, the guard of the tables (`shared/runtime/core/void.py`) keeps whatever arrives for it. When
the mistake is taken back, the state of then is restored, and what came since is decided in its order and at its time,
with the deadlines between. A deadline that is past after that fires at once. No clock, no ids, no I/O.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from shared import endings
from shared.contracts.event import Event
from shared.decision import Cause, Decision
from shared.endings import LateFacts
from shared.loops import CareState, Late, Voided

C = TypeVar("C", bound=CareState)


def put_aside(before: C, void: C, by: type[Event], cause: Cause) -> C:
    """The void state, with the whole state before it. A second mistake keeps what the first one put aside."""
    if before.void:
        return void.replace(voided=before.voided)
    was = before.model_dump(mode="json")
    return void.replace(void=True, voided=Voided(by=by.NAME, at=cause.now, state=was))


def kept(state: C, item: BaseModel, cause: Cause) -> C:
    """The void state, with what has just arrived; without anything put aside there is nothing to keep it for."""
    if state.voided is None:
        return state
    data = item.model_dump(mode="json")
    late = Late(name=endings.name_of(type(item)), data=data, cause_id=cause.id, at=cause.now)
    return state.replace(voided=state.voided.replace(late=(*state.voided.late, late)))


def was_voided_by(state: CareState, by: type[Event]) -> bool:
    """Whether this kind of mistake is what made the episode void, so that it can be taken back."""
    return state.void and state.voided is not None and state.voided.by == by.NAME


def before(state: C) -> C:
    """The state as it was. Raises `ValueError` when nothing was put aside."""
    if state.voided is None:
        raise ValueError("nothing was put aside")
    return type(state).model_validate(state.voided.state)


def go_on(state: C, void: C, meanwhile: LateFacts[C], cause: Cause) -> Decision[C]:
    """Decide in a restored state what came while the episode was void. Publishes anew how far its loops had gone."""
    again = endings.announced(state, state.loops.values())
    late = () if void.voided is None else void.voided.late
    decision = meanwhile.replay(state, late, cause)
    return decision._replace(events=(*again, *decision.events))
