"""Open loops: what somebody still has to do about a person. Pure; no clock, no ids, no I/O.

The product's promise is kept by one type: a loop can't be opened without an owner, a deadline and an escalation. A
service's state inherits `CareState`; its rules open, close and escalate loops through the functions here, and say with
its own `LoopEscalated` and `EscalationCleared` what changed. Each loop's deadline is the record's deadline
`loop:<kind>:<id>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, TypeVar

from pydantic import AwareDatetime, Field

from shared.contracts import intake
from shared.contracts.codes import ClearedReason, Role, Value
from shared.contracts.event import OpenEnum
from shared.decision import Cause, Decision, State
from shared.errors import Refused

DEADLINE: Final = "loop:"
"""The deadlines of a record that belong to loops begin so."""
STEPS_MAX: Final = 20
"""How far an escalation is counted: a loop that is moved again and again stays within the contract."""
LOOP_INDEX: Final = "loop"
"""The mark of records with an open loop."""


class Loop(Value):
    """Something that is waited for: whose it is, until when, and whose it is after that.

    `owners` is the escalation: the owner from the beginning, then the owner after each missed deadline; the last one
    keeps it.
    """

    kind: str
    id: str
    opened_at: AwareDatetime
    deadline_at: AwareDatetime
    owners: tuple[Role, ...] = Field(min_length=1)
    step: int = 0
    """How many deadlines were missed."""

    @property
    def key(self) -> str:
        """The loop's name within its record."""
        return f"{self.kind}:{self.id}"

    @property
    def owner_role(self) -> Role:
        """The role that owns the loop now."""
        return self.owners[min(self.step, len(self.owners) - 1)]

    @property
    def at_last_owner(self) -> bool:
        """Nobody comes after the present owner."""
        return self.step >= len(self.owners) - 1

    def escalation(self) -> dict[str, Any]:
        """The fields of the service's `LoopEscalated` beside `loop`."""
        return {
            "loop_id": self.id,
            "owner_role": self.owner_role,
            "step": self.step,
            "deadline_at": self.deadline_at,
        }

    def clearance(self, reason: ClearedReason) -> dict[str, Any]:
        """The fields of the service's `EscalationCleared` beside `loop`."""
        return {"loop_id": self.id, "step_reached": self.step, "reason": reason}


class CareState(State):
    """What every service keeps of an episode beside its own facts."""

    INDEXES: ClassVar[tuple[str, ...]] = (LOOP_INDEX,)
    loops: dict[str, Loop] = Field(default_factory=dict[str, Loop])
    """Open loops by `kind:id`."""
    team: dict[str, str] = Field(default_factory=dict[str, str])
    """Who holds which role for this episode: role to staff id."""
    void: bool = False
    """Entered in error: nothing more is done about it."""

    def index_entries(self) -> Mapping[str, datetime]:
        """A record with open loops is found by the earliest of their deadlines."""
        if not self.loops:
            return {}
        return {LOOP_INDEX: min(loop.deadline_at for loop in self.loops.values())}

    def loops_of(self, kind: OpenEnum) -> tuple[Loop, ...]:
        """The open loops of one kind, in the order of their opening."""
        return tuple(loop for loop in self.loops.values() if loop.kind == kind.value)

    def loop(self, kind: OpenEnum, loop_id: str) -> Loop | None:
        """An open loop; None when it is not open."""
        return self.loops.get(f"{kind.value}:{loop_id}")


C = TypeVar("C", bound=CareState)


def must_stand(state: CareState, *, hint: str = "Work with the person's other episode.") -> None:
    """Raise `Refused` when the episode was entered in error: nothing more is done about it."""
    if state.void:
        raise Refused("entered-in-error", "This episode was entered in error.", hint=hint)


def open_loop(
    state: C,
    kind: OpenEnum,
    loop_id: str,
    *,
    deadline_at: datetime,
    owners: tuple[Role, ...],
    cause: Cause,
) -> C:
    """Somebody has to do this in time. A loop that is open already is moved to the new deadline, and keeps its step."""
    before = state.loop(kind, loop_id)
    loop = Loop(
        kind=kind.value,
        id=loop_id,
        opened_at=cause.now if before is None else before.opened_at,
        deadline_at=deadline_at,
        owners=owners,
        step=0 if before is None else before.step,
    )
    return _keep(state, loop).arm(DEADLINE + loop.key, deadline_at)


def close_loop(state: C, kind: OpenEnum, loop_id: str) -> tuple[C, Loop | None]:
    """It is done, or no longer waited for. Returns the loop when its escalation has to be taken back."""
    loop = state.loop(kind, loop_id)
    if loop is None:
        return state, None
    loops = {key: kept for key, kept in state.loops.items() if key != loop.key}
    return state.replace(loops=loops).disarm(DEADLINE + loop.key), loop if loop.step else None


def close_loops(state: C, which: Iterable[Loop] | None = None) -> tuple[C, tuple[Loop, ...]]:
    """Close some loops, or all of them. Returns those whose escalation has to be taken back."""
    gone = tuple(state.loops.values() if which is None else which)
    keys = {loop.key for loop in gone}
    loops = {key: kept for key, kept in state.loops.items() if key not in keys}
    state = state.replace(loops=loops).disarm(*(DEADLINE + key for key in keys))
    return state, tuple(loop for loop in gone if loop.step)


def miss(state: C, name: str, *, again_after: timedelta, cause: Cause) -> tuple[C, Loop]:
    """The deadline `name` of a loop has come: the next owner has it, until the next deadline. The last owner keeps it.

    Returns the loop as it is now, one step further.
    """
    loop = state.loops[name.removeprefix(DEADLINE)]
    step = min(loop.step + 1, STEPS_MAX)
    loop = loop.replace(step=step, deadline_at=cause.now + again_after)
    state = _keep(state, loop)
    return (state if loop.at_last_owner else state.arm(DEADLINE + loop.key, loop.deadline_at)), loop


def _keep(state: C, loop: Loop) -> C:
    return state.replace(loops={**state.loops, loop.key: loop})


# --- what every service does about who owns what ---------------------------------------------------------


def team_assigned(state: C, event: intake.CareTeamAssigned, _cause: Cause) -> Decision[C]:
    """Someone takes a role over, or leaves it."""
    team = {role: who for role, who in state.team.items() if role != event.role.value}
    if event.staff_id is not None:
        team[event.role.value] = event.staff_id
    return Decision(state.replace(team=team))
