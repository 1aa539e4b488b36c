"""Open loops: what somebody still has to do about a person. Pure; no clock, no ids, no I/O.

The product's promise is kept by one type: a loop can't be opened without an owner, a deadline and an escalation. A
service's state inherits `CareState` and names its table of loops (`LOOPS`) and its two events about them
(`LOOP_EVENTS`); its rules open, close and escalate loops through `open_loop`, `close`, `close_all` and `escalate`, and
nothing else. Each loop's deadline is the record's deadline `loop:<kind>:<id>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from pydantic import AwareDatetime, Field

from shared.contracts import intake
from shared.contracts.codes import ClearedReason, Role, Value
from shared.contracts.event import Event, OpenEnum
from shared.decision import Cause, Decision, State
from shared.errors import Refused

DEADLINE: Final = "loop:"
"""Prefix of the record deadlines that belong to loops."""
STEPS_MAX: Final = 20
"""The highest step that is counted: the contract allows no more, however often a loop is moved and missed."""
KEPT_BACK: Final = ("deadlines", "voided", "aside", "ending")
"""Fields of a record that no answer shows: deadlines, and what comes back when a mistake or an end is taken back."""
LOOP_INDEX: Final = "loop"
"""The index of records with an open loop."""


class LoopRule(Value):
    """One row of a service's table of loops: who owns a kind of loop, and how long each owner has."""

    owners: tuple[Role, ...] = Field(min_length=1)
    """The owner from the beginning, then the owner after each missed deadline; the last one stays the owner."""
    within: timedelta | None = None
    """From opening to the first deadline; None when the rule that opens the loop works the deadline out."""
    again: timedelta = timedelta(days=1)
    """From a missed deadline to the next one."""

    def deadline(self, since: datetime) -> datetime:
        """The first deadline of a loop whose time counts from here. Raises `ValueError` when the table has none."""
        if self.within is None:
            raise ValueError("this kind of loop has no deadline of its own")
        return since + self.within


class Loop(Value):
    """One open loop: what has to be done, who owns it, by when, and who owns it after that.

    `owners` is the escalation: the owner from the beginning, then the owner after each missed deadline; the last one
    stays the owner.
    """

    kind: str
    id: str
    opened_at: AwareDatetime
    deadline_at: AwareDatetime
    owners: tuple[Role, ...] = Field(min_length=1)
    step: int = 0
    """How many deadlines were missed."""
    hidden: bool = False
    """Nobody has to do it now, and it is on no list: something holds it back, and it may go on."""

    @property
    def key(self) -> str:
        """The loop's name within its record."""
        return f"{self.kind}:{self.id}"

    @property
    def shown(self) -> Loop:
        """The loop as it is when nothing holds it back."""
        return self.replace(hidden=False) if self.hidden else self

    @property
    def owner_role(self) -> Role:
        """The role that owns the loop now."""
        return self.owners[min(self.step, len(self.owners) - 1)]

    @property
    def at_last_owner(self) -> bool:
        """Nobody comes after the present owner."""
        return self.step >= len(self.owners) - 1


class Late(Value):
    """A fact that came after the end of an episode, as it was heard."""

    name: str
    data: dict[str, Any]
    cause_id: str
    at: AwareDatetime


class Aside(Value):
    """What the end of an episode closed, and what came after it: for the case that the end is taken back."""

    loops: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    deadlines: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])
    late: tuple[Late, ...] = ()


class Voided(Value):
    """What an episode was before it was entered in error or merged, for the case that this is taken back."""

    by: str
    """The name of the event that says so."""
    at: AwareDatetime
    state: dict[str, Any]
    """The whole state of then, as JSON."""
    late: tuple[Late, ...] = ()
    """What came since, in its order."""


K = TypeVar("K", bound=OpenEnum)
K_contra = TypeVar("K_contra", bound=OpenEnum, contravariant=True)


class LoopEscalated(Protocol[K_contra]):
    """The constructor of a service's event for a loop that missed a deadline."""

    def __call__(
        self, *, loop: K_contra, loop_id: str, owner_role: Role, step: int, deadline_at: datetime
    ) -> Event: ...


class EscalationCleared(Protocol[K_contra]):
    """The constructor of a service's event for a loop that was closed after it had been escalated."""

    def __call__(
        self, *, loop: K_contra, loop_id: str, step_reached: int, reason: ClearedReason
    ) -> Event: ...


@dataclass(frozen=True, slots=True)
class LoopEvents(Generic[K]):
    """What a kind of record publishes about its loops. The type checker compares both events with the kinds."""

    kinds: type[K]
    escalated: LoopEscalated[K]
    cleared: EscalationCleared[K]


class RetractingState(State):
    """What a record stores of facts that were taken back."""

    taken_back: tuple[str, ...] = ()
    """The facts that were taken back, as `kind:id` (`shared/retractions.py`)."""


class CareState(RetractingState):
    """What every service stores of a record with open loops, beside its own facts."""

    INDEXES: ClassVar[tuple[str, ...]] = (LOOP_INDEX,)
    LOOPS: ClassVar[Mapping[Any, LoopRule]] = MappingProxyType({})
    """The service's table of loops, by kind."""
    LOOP_EVENTS: ClassVar[LoopEvents[Any]]
    """The events of this kind of record about its loops."""
    loops: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    """Open loops by `kind:id`."""
    team: dict[str, str] = Field(default_factory=dict[str, str])
    """Who holds which role for this episode: role to staff id."""
    void: bool = False
    """Entered in error: nothing more is done about it."""
    voided: Voided | None = None
    """What was put aside when the episode was entered in error or merged (`shared/voiding.py`)."""
    aside: Aside | None = None
    """What the end of the episode put aside (`shared/endings.py`); None while it runs."""

    def index_entries(self) -> Mapping[str, datetime]:
        """A record with open loops is found by the earliest of their deadlines."""
        deadlines = [loop.deadline_at for loop in self.loops.values() if not loop.hidden]
        return {LOOP_INDEX: min(deadlines)} if deadlines else {}

    def loops_of(self, *kinds: OpenEnum) -> tuple[Loop, ...]:
        """The open loops of these kinds, kind by kind, each in the order of their opening."""
        return tuple(
            loop for kind in kinds for loop in self.loops.values() if loop.kind == kind.value
        )

    def told_of(self, _subject: str, _loop: Loop) -> Mapping[str, Any]:
        """What a list shows of a loop beside its owner and deadline, where the record alone does not say it."""
        return {}

    def loop(self, kind: OpenEnum, loop_id: str) -> Loop | None:
        """An open loop; None when it is not open."""
        return self.loops.get(f"{kind.value}:{loop_id}")


C = TypeVar("C", bound=CareState)


def must_stand(state: CareState, *, hint: str = "Work with the person's other episode.") -> None:
    """Raise `Refused` when the episode was entered in error or merged: nothing more is done about it."""
    if state.void:
        raise Refused(
            "entered-in-error",
            "This episode was entered in error, or merged into another one.",
            hint=hint,
        )


def open_loop(
    state: C,
    kind: OpenEnum,
    loop_id: str,
    cause: Cause,
    *,
    since: datetime | None = None,
    deadline_at: datetime | None = None,
    owners: tuple[Role, ...] | None = None,
) -> C:
    """Give somebody this to do in time. A loop that is open already gets the new deadline and keeps its step.

    Deadline and owners are those of the service's table unless the caller names others; the table's time counts from
    `since`, or from now. Publishes nothing: the event that leads to the loop is published anyway. Raises `ValueError`
    when neither table nor caller gives a deadline.
    """
    if deadline_at is None:
        deadline_at = state.LOOPS[kind].deadline(since or cause.now)
    if owners is None:
        owners = state.LOOPS[kind].owners
    before = state.loop(kind, loop_id)
    loop = Loop(
        kind=kind.value,
        id=loop_id,
        opened_at=cause.now if before is None else before.opened_at,
        deadline_at=deadline_at,
        owners=owners,
        step=0 if before is None else before.step,
    )
    return _with(state, loop).arm(DEADLINE + loop.key, deadline_at)


def close(
    state: C, kind: OpenEnum, loop_id: str, reason: ClearedReason = ClearedReason.RESOLVED
) -> tuple[C, tuple[Event, ...]]:
    """Close one loop; one that is not open is no mistake. Returns `EscalationCleared` when it had been escalated."""
    loop = state.loop(kind, loop_id)
    return (state, ()) if loop is None else close_all(state, (loop,), reason)


def close_all(
    state: C,
    which: Iterable[Loop] | None = None,
    reason: ClearedReason = ClearedReason.RESOLVED,
) -> tuple[C, tuple[Event, ...]]:
    """Close these open loops, or every loop. Returns `EscalationCleared` for each that had been escalated."""
    closed = tuple(state.loops.values() if which is None else which)
    if not closed:
        return state, ()
    keys = {loop.key for loop in closed}
    loops = {key: loop for key, loop in state.loops.items() if key not in keys}
    after = state.replace(loops=loops).disarm(*(DEADLINE + key for key in keys))
    return after, tuple(_cleared(state, loop, reason) for loop in closed if loop.step)


def escalate(
    state: C, name: str, cause: Cause, *, again_after: timedelta | None = None
) -> Decision[C]:
    """The deadline `name` of a loop was missed: the next role owns the loop, until another deadline.

    The next deadline follows `again_after`, or the time in the service's table. The last owner stays the owner and has
    no further deadline. Raises `KeyError` when the loop is not open.
    """
    loop = state.loops[name.removeprefix(DEADLINE)]
    events = state.LOOP_EVENTS
    kind = events.kinds(loop.kind)
    if again_after is None:
        again_after = state.LOOPS[kind].again
    step = min(loop.step + 1, STEPS_MAX)
    state, loop = move_to_step(state, loop, step, cause.now + again_after)
    event = events.escalated(
        loop=kind,
        loop_id=loop.id,
        owner_role=loop.owner_role,
        step=loop.step,
        deadline_at=loop.deadline_at,
    )
    return Decision(state, (event,))


def move_to_step(state: C, loop: Loop, step: int, deadline_at: datetime) -> tuple[C, Loop]:
    """Give a loop to the owner of this step, until a deadline unless that owner is the last one.

    Publishes nothing: for a rule that announces the step by an event of its own.
    """
    loop = loop.replace(step=step, deadline_at=deadline_at)
    state = _with(state, loop)
    return (state if loop.at_last_owner else state.arm(DEADLINE + loop.key, deadline_at)), loop


def _with(state: C, loop: Loop) -> C:
    return state.replace(loops={**state.loops, loop.key: loop})


def _cleared(state: CareState, loop: Loop, reason: ClearedReason) -> Event:
    events = state.LOOP_EVENTS
    return events.cleared(
        loop=events.kinds(loop.kind), loop_id=loop.id, step_reached=loop.step, reason=reason
    )


# --- the care team ---------------------------------------------------------------------------------------


def team_assigned(state: C, event: intake.CareTeamAssigned, _cause: Cause) -> Decision[C]:
    """Someone takes a role over."""
    return Decision(state.replace(team={**state.team, event.role.value: event.staff_id}))


def role_vacated(state: C, event: intake.CareTeamRoleVacated, _cause: Cause) -> Decision[C]:
    """Nobody in person has a role any more."""
    if event.role.value not in state.team:
        return Decision(state)
    team = {role: who for role, who in state.team.items() if role != event.role.value}
    return Decision(state.replace(team=team))
