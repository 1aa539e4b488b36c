"""An end that can be taken back: what it closes is put aside, and what comes after it is decided again. Pure.

A deadline that came meanwhile is in the past when it is taken up, and the runtime asks its rule with the time it was
due. So an end that is taken back after two years leads to the state of one that was taken back at once. No clock, no
ids, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from shared.contracts.event import Event, OpenEnum
from shared.decision import Cause, Decision, Events, Handoffs, derive_id
from shared.loops import DEADLINE, Aside, CareState, Late, Loop

C = TypeVar("C", bound=CareState)
T = TypeVar("T", bound=BaseModel)


def put_aside(before: C, after: C, *kinds: OpenEnum) -> C:
    """The state after an end, with what the end took away: open loops and deadlines. What was aside stays there.

    With `kinds`, only loops of these kinds, and their deadlines.
    """
    known = after.aside or Aside()
    was = before.loops_of(*kinds) if kinds else before.loops.values()
    loops = {loop.key: loop.shown for loop in was if loop.key not in after.loops}
    names = {DEADLINE + key for key in loops} if kinds else before.deadlines.keys()
    deadlines = {
        name: at
        for name, at in before.deadlines.items()
        if name in names and name not in after.deadlines
    }
    aside = known.replace(
        loops={**known.loops, **loops}, deadlines={**known.deadlines, **deadlines}
    )
    return after.replace(aside=aside)


def take_up(state: C) -> tuple[C, Events]:
    """What was put aside, open again with its owner and deadline. Publishes anew how far each loop had gone."""
    aside = state.aside
    if aside is None:
        return state, ()
    again = {key: loop for key, loop in aside.loops.items() if key not in state.loops}
    state = state.replace(
        loops={**state.loops, **again},
        deadlines={**aside.deadlines, **state.deadlines},
        aside=None,
    )
    return state, announced(state, again.values())


def reopened(state: C, again: Iterable[Loop]) -> tuple[C, Events]:
    """Loops that were closed, open again as they were. Publishes anew how far each had gone."""
    known = tuple(again)
    state = state.replace(loops={**state.loops, **{loop.key: loop for loop in known}})
    for loop in known:
        if not loop.at_last_owner:
            state = state.arm(DEADLINE + loop.key, loop.deadline_at)
    return state, announced(state, known)


def without(aside: Aside, *keys: str) -> Aside:
    """What was put aside, but for these loops."""
    names = {DEADLINE + key for key in keys}
    return aside.replace(
        loops={key: loop for key, loop in aside.loops.items() if key not in keys},
        deadlines={name: at for name, at in aside.deadlines.items() if name not in names},
    )


def announced(state: CareState, again: Iterable[Loop]) -> Events:
    """How far loops had gone that are open again: their escalation had been taken back."""
    said = state.LOOP_EVENTS
    return tuple(
        said.escalated(
            loop=said.kinds(loop.kind),
            loop_id=loop.id,
            owner_role=loop.owner_role,
            step=loop.step,
            deadline_at=loop.deadline_at,
        )
        for loop in again
        if loop.step
    )


class LateFacts(Generic[C]):
    """The facts and handoffs whose rules ask whether the episode has ended: after an end they are kept."""

    def __init__(self) -> None:
        self._deadline: Callable[[C, str, Cause], Decision[C]] | None = None
        self._rules: Final[dict[str, tuple[type[BaseModel], Callable[..., Decision[Any]]]]] = {}

    def rule(
        self, kind: type[T], rule: Callable[[C, T, Cause], Decision[C]], *, if_ignored: bool = False
    ) -> Callable[[C, T, Cause], Decision[C]]:
        """The rule for the table: it decides, and keeps the fact while an end stands.

        With `if_ignored` it keeps only what it did nothing about, for a rule that must not decide anything twice.
        """
        name = name_of(kind)
        self._rules[name] = (kind, rule)

        def decide(state: C, said: T, cause: Cause) -> Decision[C]:
            decision = rule(state, said, cause)
            after = decision.state
            if after.aside is None or (if_ignored and after is not state):
                return decision
            data = said.model_dump(mode="json")
            late = Late(name=name, data=data, cause_id=cause.id, at=cause.now)
            kept = after.replace(aside=after.aside.replace(late=(*after.aside.late, late)))
            return decision._replace(state=kept)

        return decide

    def with_rows(
        self, rows: Iterable[tuple[type[BaseModel], Callable[[Any, Any, Cause], Decision[Any]]]]
    ) -> None:
        """The rules of a whole table, as they stand: for what was kept by its guard, and not by `rule`."""
        self._rules.update((name_of(kind), (kind, rule)) for kind, rule in rows)

    def with_deadlines(self, rule: Callable[[C, str, Cause], Decision[C]]) -> None:
        """The rule of the record's deadlines, which came between the facts. Name it once, beside their table."""
        self._deadline = rule

    def replay(self, state: C, late: tuple[Late, ...], cause: Cause) -> Decision[C]:
        """Decide these again, in the order and at the time in which they came, and before each what was due by then."""
        events: Events = ()
        handoffs: Handoffs = ()
        for one in late:
            kind, rule = self._rules[one.name]
            then = cause._replace(id=one.cause_id, now=one.at)
            due = self._due_by(state, then)
            decision = rule(due.state, kind.model_validate(one.data), then)
            state, events = decision.state, (*events, *due.events, *decision.events)
            handoffs += (*due.handoffs, *decision.handoffs)
        return Decision(state, events, handoffs)

    def _due_by(self, state: C, cause: Cause) -> Decision[C]:
        """Ask the rule of each deadline that came up to now, earliest first, each at its own time."""
        events: Events = ()
        handoffs: Handoffs = ()
        while self._deadline is not None and state.due is not None and state.due <= cause.now:
            at, name = min((at, name) for name, at in state.running.items())
            then = cause._replace(id=derive_id("late", cause.id, name, at.isoformat()), now=at)
            decision = self._deadline(state.disarm(name), name, then)
            state, events = decision.state, (*events, *decision.events)
            handoffs += decision.handoffs
            if name in state.deadlines and state.deadlines[name] <= at:
                raise RuntimeError(f"deadline {name.partition(':')[0]} does not advance")
        return Decision(state, events, handoffs)


def name_of(kind: type[BaseModel]) -> str:
    """By what a fact or a handoff that is kept is found again."""
    return kind.NAME if issubclass(kind, Event) else kind.__name__
