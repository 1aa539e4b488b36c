"""Open loops: owner, deadline, escalation; what is opened closes or ends with its last owner."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import ValidationError

from shared import loops
from shared.contracts import intake
from shared.contracts.codes import ClearedReason, IntakeLoop, Role
from shared.loops import LOOP_INDEX, CareState, Loop
from tests.unit.support import START, cause, fact, uid

HOUR = timedelta(hours=1)
OWNERS = (Role.INTAKE_COORDINATOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
KIND = IntakeLoop.ASSESSMENT
ONE, TWO = uid("one"), uid("two")


def opened(
    state: CareState | None = None,
    loop_id: str = ONE,
    *,
    kind: IntakeLoop = KIND,
    hours: int = 4,
    now_hours: int = 0,
    owners: tuple[Role, ...] = OWNERS,
) -> CareState:
    at = cause(START + now_hours * HOUR)
    return loops.open_loop(
        state or CareState(),
        kind,
        loop_id,
        deadline_at=at.now + hours * HOUR,
        owners=owners,
        cause=at,
    )


def missed(state: CareState, loop_id: str = ONE, kind: IntakeLoop = KIND) -> tuple[CareState, Loop]:
    """As the record tells it: the deadline is taken out, then its rule is asked."""
    name = f"loop:{kind.value}:{loop_id}"
    at = cause(state.deadlines[name])
    return loops.miss(state.disarm(name), name, again_after=24 * HOUR, cause=at)


# --- the type -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["owners", "deadline_at", "opened_at", "kind", "id"])
def test_no_loop_without_owner_deadline_and_age(missing: str) -> None:
    whole: dict[str, Any] = {
        "kind": "assessment",
        "id": ONE,
        "opened_at": START,
        "deadline_at": START,
        "owners": OWNERS,
    }
    Loop.model_validate(whole)
    with pytest.raises(ValidationError):
        Loop.model_validate({name: value for name, value in whole.items() if name != missing})
    with pytest.raises(ValidationError):
        Loop.model_validate({**whole, "owners": ()})


@pytest.mark.parametrize("owners", [OWNERS[:1], OWNERS[:2], OWNERS])
@pytest.mark.parametrize("step", range(5))
def test_the_last_owner_keeps_it(owners: tuple[Role, ...], step: int) -> None:
    loop = Loop(kind="x", id=ONE, opened_at=START, deadline_at=START, owners=owners, step=step)
    assert loop.owner_role is owners[min(step, len(owners) - 1)]
    assert loop.at_last_owner is (step >= len(owners) - 1)


# --- opened, moved, missed, closed ----------------------------------------------------------------------


def test_a_loop_that_is_opened_is_found_and_has_its_deadline() -> None:
    state = opened()
    loop = state.loop(KIND, ONE)
    assert loop is not None
    assert (loop.owner_role, loop.opened_at, loop.deadline_at) == (
        OWNERS[0],
        START,
        START + 4 * HOUR,
    )
    assert state.deadlines == {f"loop:assessment:{ONE}": START + 4 * HOUR}
    assert state.index_entries() == {LOOP_INDEX: START + 4 * HOUR}
    assert state.loops_of(KIND) == (loop,)
    assert state.loops_of(IntakeLoop.ADMISSION) == ()
    assert state.loop(KIND, TWO) is None


def test_a_loop_that_is_moved_keeps_its_age_and_its_step() -> None:
    state, _ = missed(opened())
    state = opened(state, now_hours=9, hours=1)
    loop = state.loop(KIND, ONE)
    assert loop is not None
    assert (loop.opened_at, loop.step, loop.deadline_at) == (START, 1, START + 10 * HOUR)
    assert state.deadlines == {f"loop:assessment:{ONE}": START + 10 * HOUR}


@pytest.mark.parametrize("owners", [OWNERS[:1], OWNERS[:2], OWNERS, (*OWNERS, *OWNERS)])
def test_every_missed_deadline_has_a_next_owner_until_the_last(owners: tuple[Role, ...]) -> None:
    state, told = opened(owners=owners), list[tuple[int, Role]]()
    while state.deadlines:
        state, loop = missed(state)
        told.append((loop.step, loop.owner_role))
        intake.LoopEscalated(loop=KIND, **loop.escalation())
    last = max(1, len(owners) - 1)
    assert [step for step, _ in told] == list(range(1, last + 1))
    assert told[-1][1] is owners[-1]
    assert state.loop(KIND, ONE) is not None, "it stays open with the last owner"


def test_a_loop_that_is_moved_and_missed_for_ever_stays_within_the_contract() -> None:
    state = opened()
    for number in range(30):
        state, loop = missed(state)
        intake.LoopEscalated(loop=KIND, **loop.escalation())
        state = opened(state, now_hours=100 * number, hours=1)
    _, gone = loops.close_loop(state, KIND, ONE)
    assert gone is not None
    said = intake.EscalationCleared(loop=KIND, **gone.clearance(ClearedReason.RESOLVED))
    assert said.step_reached == loops.STEPS_MAX


@pytest.mark.parametrize("steps", range(3))
def test_what_was_escalated_is_taken_back(steps: int) -> None:
    state = opened(opened(), TWO)
    for _ in range(steps):
        state, _ = missed(state)
    state, gone = loops.close_loop(state, KIND, ONE)
    assert (gone is not None) is (steps > 0)
    if gone is not None:
        said = intake.EscalationCleared(loop=KIND, **gone.clearance(ClearedReason.RESOLVED))
        assert (said.loop_id, said.step_reached) == (ONE, steps)
    assert [*state.loops] == [f"assessment:{TWO}"]
    assert [*state.deadlines] == [f"loop:assessment:{TWO}"]
    again, nothing = loops.close_loop(state, KIND, ONE)
    assert again is state
    assert nothing is None


def test_some_or_all_are_closed_at_once() -> None:
    state = opened(opened(opened(), TWO), ONE, kind=IntakeLoop.ADMISSION)
    state, _ = missed(state, TWO)
    rest, gone = loops.close_loops(state, state.loops_of(KIND))
    assert [loop.id for loop in gone] == [TWO]
    assert [*rest.loops] == [f"admission:{ONE}"]
    nothing, gone = loops.close_loops(state)
    assert (nothing.loops, nothing.deadlines, nothing.index_entries()) == ({}, {}, {})
    assert [loop.id for loop in gone] == [TWO]
    assert loops.close_loops(nothing) == (nothing, ())


def test_a_deadline_of_no_loop_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        loops.miss(CareState(), f"loop:assessment:{ONE}", again_after=HOUR, cause=cause())


def test_the_most_urgent_loop_is_the_mark() -> None:
    state = opened(opened(hours=9), TWO, hours=3)
    assert state.index_entries() == {LOOP_INDEX: START + 3 * HOUR}
    state, _ = loops.close_loop(state, KIND, TWO)
    assert state.index_entries() == {LOOP_INDEX: START + 9 * HOUR}


# --- the team -------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from([Role.CLINICIAN, Role.NURSE]), st.sampled_from([None, ONE, TWO])),
        max_size=8,
    )
)
def test_the_latest_assignment_of_each_role_counts(said: list[tuple[Role, str | None]]) -> None:
    state = CareState()
    for role, who in said:
        event = fact(intake.CareTeamAssigned, role=role, staff_id=who)
        state = loops.team_assigned(state, event, cause()).state
    latest = {role.value: who for role, who in said}
    assert state.team == {role: who for role, who in latest.items() if who is not None}


def test_the_state_survives_the_store() -> None:
    state, _ = missed(opened(opened(), TWO))
    event = fact(intake.CareTeamAssigned, role=Role.NURSE, staff_id=ONE)
    state = loops.team_assigned(state, event, cause()).state
    assert CareState.model_validate(state.model_dump(mode="json")) == state


# --- whatever happens -----------------------------------------------------------------------------------


class Promise(RuleBasedStateMachine):
    """No loop is without a deadline unless its last owner has it, and no escalation stands for a closed loop."""

    def __init__(self) -> None:
        super().__init__()
        self.state = CareState()
        self.now = START
        self.standing: dict[str, int] = {}

    @rule(kind=st.sampled_from([KIND, IntakeLoop.ADMISSION]), which=st.sampled_from([ONE, TWO]))
    def open(self, kind: IntakeLoop, which: str) -> None:
        self.state = loops.open_loop(
            self.state,
            kind,
            which,
            deadline_at=self.now + 4 * HOUR,
            owners=OWNERS,
            cause=cause(self.now),
        )

    @rule(kind=st.sampled_from([KIND, IntakeLoop.ADMISSION]), which=st.sampled_from([ONE, TWO]))
    def close(self, kind: IntakeLoop, which: str) -> None:
        self.state, gone = loops.close_loop(self.state, kind, which)
        if gone is not None:
            assert self.standing.pop(gone.key) == gone.step

    @rule()
    def close_all(self) -> None:
        self.state, gone = loops.close_loops(self.state)
        for loop in gone:
            assert self.standing.pop(loop.key) == loop.step
        assert self.standing == {}

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        until = self.now + hours * HOUR
        while self.state.deadlines:
            name, due = min(self.state.deadlines.items(), key=lambda item: (item[1], item[0]))
            if due > until:
                break
            state = self.state.disarm(name)
            self.state, loop = loops.miss(state, name, again_after=24 * HOUR, cause=cause(due))
            assert loop.step == self.standing.get(loop.key, 0) + 1, "one step at a time"
            self.standing[loop.key] = loop.step
        self.now = until

    @invariant()
    def every_loop_is_somebodys_and_has_an_end(self) -> None:
        for loop in self.state.loops.values():
            armed = self.state.deadlines.get(loops.DEADLINE + loop.key)
            assert armed == loop.deadline_at or (armed is None and loop.at_last_owner)
        assert {name.removeprefix(loops.DEADLINE) for name in self.state.deadlines} <= set(
            self.state.loops
        )

    @invariant()
    def no_escalation_stands_for_a_closed_loop(self) -> None:
        escalated = {key: loop.step for key, loop in self.state.loops.items() if loop.step}
        assert escalated == self.standing


TestPromise = Promise.TestCase
