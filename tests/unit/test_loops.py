"""Open loops: owner, deadline, escalation; what is opened closes or ends with its last owner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import ValidationError

from services.attendance.episode.episode_state import EpisodeState as AttendanceEpisode
from services.attendance.groups.groups import GroupState
from services.attendance.groups.sessions import SessionState
from services.followup.episode.episode_state import EpisodeState as FollowupEpisode
from services.intake.episode.episode_state import EpisodeState as IntakeEpisode
from services.plans.episode_state import EpisodeState as PlansEpisode
from shared import loops
from shared.contracts import intake
from shared.contracts.codes import ClearedReason, IntakeLoop, Role
from shared.contracts.event import Event
from shared.loops import LOOP_INDEX, CareState, Loop, LoopEvents, LoopRule
from tests.unit.support import START, cause, fact, uid

HOUR = timedelta(hours=1)
OWNERS = (Role.INTAKE_COORDINATOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
KIND = IntakeLoop.ASSESSMENT
ONE, TWO = uid("one"), uid("two")


class Ward(CareState):
    """A record with a table of its own."""

    LOOPS: ClassVar[Mapping[IntakeLoop, LoopRule]] = {
        KIND: LoopRule(owners=OWNERS, within=4 * HOUR, again=24 * HOUR),
        IntakeLoop.ADMISSION: LoopRule(owners=OWNERS[:2], within=9 * HOUR),
        IntakeLoop.WAITLIST: LoopRule(owners=OWNERS),
    }
    LOOP_EVENTS: ClassVar[LoopEvents[IntakeLoop]] = LoopEvents(
        IntakeLoop, intake.LoopEscalated, intake.EscalationCleared
    )


def opened(
    state: Ward | None = None,
    loop_id: str = ONE,
    *,
    kind: IntakeLoop = KIND,
    hours: int = 4,
    now_hours: int = 0,
    owners: tuple[Role, ...] = OWNERS,
) -> Ward:
    at = cause(START + now_hours * HOUR)
    return loops.open_loop(
        state or Ward(),
        kind,
        loop_id,
        deadline_at=at.now + hours * HOUR,
        owners=owners,
        cause=at,
    )


def missed(
    state: Ward, loop_id: str = ONE, kind: IntakeLoop = KIND
) -> tuple[Ward, intake.LoopEscalated]:
    """As the runtime does it: the deadline is taken out, then its rule runs."""
    name = f"loop:{kind.value}:{loop_id}"
    at = cause(state.deadlines[name])
    state, [event], *nothing = loops.escalate(state.disarm(name), name, at)
    assert isinstance(event, intake.LoopEscalated)
    assert not any(nothing)
    return state, event


def cleared(
    loop_id: str, step: int, reason: ClearedReason = ClearedReason.RESOLVED
) -> intake.EscalationCleared:
    return intake.EscalationCleared(loop=KIND, loop_id=loop_id, step_reached=step, reason=reason)


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
    state, steps = opened(owners=owners), list[tuple[int, Role]]()
    while state.deadlines:
        state, event = missed(state)
        loop = state.loops[f"assessment:{ONE}"]
        assert (event.loop, event.loop_id, event.deadline_at) == (KIND, ONE, loop.deadline_at)
        assert (event.step, event.owner_role) == (loop.step, loop.owner_role)
        steps.append((event.step, event.owner_role))
    last = max(1, len(owners) - 1)
    assert [step for step, _ in steps] == list(range(1, last + 1))
    assert steps[-1][1] is owners[-1]
    assert state.loop(KIND, ONE) is not None, "it stays open with the last owner"


def test_a_loop_that_is_moved_and_missed_for_ever_stays_within_the_contract() -> None:
    state = opened()
    for number in range(30):
        state, _ = missed(state)
        state = opened(state, now_hours=100 * number, hours=1)
    _, events = loops.close(state, KIND, ONE)
    assert events == (cleared(ONE, loops.STEPS_MAX),)


@pytest.mark.parametrize("steps", range(3))
def test_what_was_escalated_is_taken_back(steps: int) -> None:
    state = opened(opened(), TWO)
    for _ in range(steps):
        state, _ = missed(state)
    state, events = loops.close(state, KIND, ONE, ClearedReason.WITHDRAWN)
    assert events == ((cleared(ONE, steps, ClearedReason.WITHDRAWN),) if steps else ())
    assert [*state.loops] == [f"assessment:{TWO}"]
    assert [*state.deadlines] == [f"loop:assessment:{TWO}"]
    assert loops.close(state, KIND, ONE) == (state, ())


def test_some_or_all_are_closed_at_once() -> None:
    state = opened(opened(opened(), TWO), ONE, kind=IntakeLoop.ADMISSION)
    state, _ = missed(state, TWO)
    rest, events = loops.close_all(state, state.loops_of(KIND))
    assert events == (cleared(TWO, 1),)
    assert [*rest.loops] == [f"admission:{ONE}"]
    nothing, events = loops.close_all(state, reason=ClearedReason.EPISODE_CLOSED)
    assert (nothing.loops, nothing.deadlines, nothing.index_entries()) == ({}, {}, {})
    assert events == (cleared(TWO, 1, ClearedReason.EPISODE_CLOSED),)
    assert loops.close_all(nothing) == (nothing, ())
    assert loops.close_all(state, ()) == (state, ())


def test_loops_are_listed_kind_by_kind_and_by_their_opening() -> None:
    state = opened(opened(opened(loop_id=TWO), ONE, kind=IntakeLoop.ADMISSION), ONE)
    found = state.loops_of(IntakeLoop.ADMISSION, KIND)
    assert [loop.key for loop in found] == [
        f"admission:{ONE}",
        f"assessment:{TWO}",
        f"assessment:{ONE}",
    ]


# --- the table ------------------------------------------------------------------------------------------


def test_owners_and_deadline_are_those_of_the_table_unless_the_rule_names_others() -> None:
    at = cause(START)
    first = loops.open_loop(Ward(), KIND, ONE, at).loops[f"assessment:{ONE}"]
    assert (first.owners, first.deadline_at) == (OWNERS, START + 4 * HOUR)
    later = loops.open_loop(Ward(), KIND, ONE, at, since=START + HOUR)
    assert later.loops[f"assessment:{ONE}"].deadline_at == START + 5 * HOUR
    other = loops.open_loop(Ward(), KIND, ONE, at, deadline_at=START, owners=OWNERS[1:])
    assert other.loops[f"assessment:{ONE}"].deadline_at == START
    assert other.loops[f"assessment:{ONE}"].owners == OWNERS[1:]


def test_a_kind_without_a_time_in_the_table_needs_a_deadline() -> None:
    with pytest.raises(ValueError, match="deadline"):
        loops.open_loop(Ward(), IntakeLoop.WAITLIST, ONE, cause())
    state = loops.open_loop(Ward(), IntakeLoop.WAITLIST, ONE, cause(), deadline_at=START + HOUR)
    assert state.loops[f"waitlist:{ONE}"].owners == OWNERS


def test_the_next_deadline_is_the_tables_unless_the_rule_names_another() -> None:
    state, name = opened(), f"loop:assessment:{ONE}"
    assert loops.escalate(state, name, cause()).state.deadlines[name] == START + 24 * HOUR
    sooner = loops.escalate(state, name, cause(), again_after=HOUR)
    assert sooner.state.deadlines[name] == START + HOUR


def test_a_step_may_be_announced_by_an_event_of_the_rules_own() -> None:
    state = opened()
    [loop] = state.loops_of(KIND)
    state, raised = loops.move_to_step(state.disarm("loop:*"), loop, 1, START + HOUR)
    assert (raised.step, raised.owner_role) == (1, OWNERS[1])
    assert state.deadlines == {f"loop:assessment:{ONE}": START + HOUR}
    state, raised = loops.move_to_step(state.disarm("loop:*"), raised, 2, START + HOUR)
    assert (raised.owner_role, state.deadlines) == (OWNERS[2], {}), "the last owner has no deadline"


SERVICES: dict[str, tuple[type[CareState], ...]] = {
    "intake": (IntakeEpisode,),
    "plans": (PlansEpisode,),
    "attendance": (AttendanceEpisode, SessionState, GroupState),
    "followup": (FollowupEpisode,),
}


@pytest.mark.parametrize("service", SERVICES)
def test_each_services_table_and_events_are_of_its_own_kinds(service: str) -> None:
    """A kind that no row covers can't be opened or escalated; `test_every_loop.py` lists the kinds that are opened."""
    for state in SERVICES[service]:
        events = state.LOOP_EVENTS
        assert {type(kind) for kind in state.LOOPS} == {events.kinds}
        for kind, row in state.LOOPS.items():
            assert row.again > timedelta(0)
            assert Role.UNKNOWN not in row.owners
            escalated = events.escalated(
                loop=kind, loop_id=ONE, owner_role=row.owners[0], step=1, deadline_at=START
            )
            cleared = events.cleared(
                loop=kind, loop_id=ONE, step_reached=1, reason=ClearedReason.RESOLVED
            )
            assert escalated.SOURCE == cleared.SOURCE == f"care.{service}"
            assert escalated.SUBJECT == cleared.SUBJECT


def test_a_deadline_of_no_loop_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        loops.escalate(Ward(), f"loop:assessment:{ONE}", cause())


def test_the_most_urgent_loop_is_the_mark() -> None:
    state = opened(opened(hours=9), TWO, hours=3)
    assert state.index_entries() == {LOOP_INDEX: START + 3 * HOUR}
    state, _ = loops.close(state, KIND, TWO)
    assert state.index_entries() == {LOOP_INDEX: START + 9 * HOUR}


# --- the team -------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from([Role.CLINICIAN, Role.NURSE]), st.sampled_from([None, ONE, TWO])),
        max_size=8,
    )
)
def test_the_latest_assignment_of_each_role_counts(said: list[tuple[Role, str | None]]) -> None:
    state = Ward()
    for role, who in said:
        if who is None:
            vacated = fact(intake.CareTeamRoleVacated, role=role)
            state = loops.role_vacated(state, vacated, cause()).state
        else:
            event = fact(intake.CareTeamAssigned, role=role, staff_id=who)
            state = loops.team_assigned(state, event, cause()).state
    latest = {role.value: who for role, who in said}
    assert state.team == {role: who for role, who in latest.items() if who is not None}


def test_the_state_survives_the_store() -> None:
    state, _ = missed(opened(opened(), TWO))
    event = fact(intake.CareTeamAssigned, role=Role.NURSE, staff_id=ONE)
    state = loops.team_assigned(state, event, cause()).state
    assert Ward.model_validate(state.model_dump(mode="json")) == state


# --- whatever happens -----------------------------------------------------------------------------------


class Promise(RuleBasedStateMachine):
    """No loop is without a deadline unless its last owner has it, and no escalation stands for a closed loop."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Ward()
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
        self.state, events = loops.close(self.state, kind, which)
        self.cleared(events)

    @rule()
    def close_all(self) -> None:
        self.state, events = loops.close_all(self.state)
        self.cleared(events)
        assert self.standing == {}

    def cleared(self, events: tuple[Event, ...]) -> None:
        for event in events:
            assert isinstance(event, intake.EscalationCleared)
            assert self.standing.pop(f"{event.loop}:{event.loop_id}") == event.step_reached

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        until = self.now + hours * HOUR
        while self.state.deadlines:
            name, due = min(self.state.deadlines.items(), key=lambda item: (item[1], item[0]))
            if due > until:
                break
            state = self.state.disarm(name)
            self.state, [event], *_ = loops.escalate(state, name, cause(due))
            assert isinstance(event, intake.LoopEscalated)
            key = f"{event.loop}:{event.loop_id}"
            assert event.step == self.standing.get(key, 0) + 1, "one step at a time"
            self.standing[key] = event.step
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
