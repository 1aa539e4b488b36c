"""The driver never goes on while anything is under way, and asks nobody who can have nothing to do.

A model of the services stands in for them: replicas hear topics, hold partitions, and answer events with events after
a while. Chance decides who gets on when; whatever it decides, nothing may be left when `settle` returns.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.quiet import Flow, NeverQuiet, Quiet
from shared.contracts.topics import PARTITIONS

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
HEARS: Mapping[str, Sequence[str]] = {
    "intake": ("care.plans", "care.followup"),
    "plans": ("care.intake", "care.attendance"),
    "attendance": ("care.intake", "care.plans"),
    "followup": ("care.intake", "care.plans", "care.attendance"),
}
TOPICS = [f"care.{service}" for service in HEARS]


@dataclass
class Replica:
    """One process of a service: what it has in hand, and how far it has come."""

    service: str
    holds: set[int]
    clock: datetime = NOW
    in_hand: list[int] = field(default_factory=list[int])
    """For each thing in hand, how many generations of events may follow from it."""
    positions: dict[str, int] = field(default_factory=dict[str, int])


class Model:
    """All replicas, the topics, and chance."""

    def __init__(self, seed: int, replicas: Mapping[str, int]) -> None:
        self.chance = Random(seed)
        self.topics: dict[str, list[int]] = {
            f"{topic}/{n}": [] for topic in TOPICS for n in range(PARTITIONS)
        }
        self.replicas: dict[str, Replica] = {}
        for service, count in replicas.items():
            for n in range(count):
                name = service if n == 0 else f"{service}-{n}"
                self.replicas[name] = Replica(service, set(range(n, PARTITIONS, count)))
        for replica in self.replicas.values():
            replica.positions = dict.fromkeys(self._held(replica), 0)
        self.due: dict[str, datetime] = {}
        self.asked: list[str] = []
        self.reached: list[Mapping[str, int]] = []

    def _held(self, replica: Replica) -> list[str]:
        return [f"{topic}/{n}" for topic in HEARS[replica.service] for n in sorted(replica.holds)]

    # --- what goes on ---

    def command(self, name: str, generations: int) -> None:
        self.replicas[name].in_hand.append(generations)

    def step(self) -> bool:
        """Somebody who has something to do gets on with it. Whether there was anybody."""
        able = [r for r in self.replicas.values() if r.in_hand or self._unread(r) or self._due(r)]
        if not able:
            return False
        replica = self.chance.choice(able)
        if replica.in_hand:
            self._finish(replica, replica.in_hand.pop(0))
        elif self._due(replica):
            del self.due[replica.service]
            replica.in_hand.append(2)
        else:
            partition = self.chance.choice(self._unread(replica))
            replica.in_hand.append(self.topics[partition][replica.positions[partition]] - 1)
            replica.positions[partition] += 1
        return True

    def _finish(self, replica: Replica, generations: int) -> None:
        if generations > 0:
            for _ in range(self.chance.choice([1, 1, 2])):
                n = self.chance.randrange(PARTITIONS)
                self.topics[f"care.{replica.service}/{n}"].append(generations)

    def _unread(self, replica: Replica) -> list[str]:
        return [p for p, at in replica.positions.items() if at < len(self.topics[p])]

    def _due(self, replica: Replica) -> bool:
        due = self.due.get(replica.service)
        return due is not None and due <= replica.clock and 0 in replica.holds

    # --- as the driver sees it ---

    @property
    def names(self) -> Sequence[str]:
        return list(self.replicas)

    async def flow(self, name: str, reached: Mapping[str, int]) -> Flow:
        """A long poll: now and then its time is over before the replica is quiet."""
        self.asked.append(name)
        self.reached.append(reached)
        replica = self.replicas[name]
        patience = self.chance.choice([2, 20, 200])
        while patience and not self._quiet(replica, reached):
            patience -= 1
            await asyncio.sleep(0)
            self.step()
        flow = Flow.read(self._report(replica))
        for _ in range(self.chance.choice([0, 0, 1, 5])):  # meanwhile, others go on
            self.step()
        return flow

    def _quiet(self, replica: Replica, reached: Mapping[str, int]) -> bool:
        behind = any(replica.positions.get(p, at) < at for p, at in reached.items())
        return not (replica.in_hand or behind or self._due(replica))

    def _report(self, replica: Replica) -> dict[str, Any]:
        report: dict[str, Any] = {
            "service": replica.service,
            "now": replica.clock.isoformat(),
            "deadlines_ran_until": replica.clock.isoformat(),
            "busy": not self._quiet(replica, {}),
            "topics": HEARS[replica.service],
            "positions": dict(replica.positions),
        }
        due = self.due.get(replica.service)
        if not report["busy"]:
            report["next_due"] = None if due is None else due.isoformat()
        return report

    async def read(self) -> Mapping[str, int]:
        for _ in range(self.chance.choice([0, 0, 1, 5])):
            self.step()
        return {partition: len(records) for partition, records in self.topics.items()}

    # --- what is true ---

    @property
    def under_way(self) -> list[str]:
        return [
            name
            for name, replica in self.replicas.items()
            if replica.in_hand or self._unread(replica) or self._due(replica)
        ]


def quiet_of(model: Model, within_seconds: float = 60) -> Quiet:
    return Quiet(model, model, within_seconds)


ONE_EACH = dict.fromkeys(HEARS, 1)
TWO_OF_SOME = {**ONE_EACH, "plans": 2, "attendance": 2}
Acts = st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=4), max_size=4)


@given(st.integers(0, 2**32), st.sampled_from([ONE_EACH, TWO_OF_SOME]), Acts, st.data())
@settings(max_examples=150, deadline=None)
async def test_nothing_is_under_way_when_it_goes_on(
    seed: int, replicas: Mapping[str, int], instants: list[list[tuple[int, int]]], data: Any
) -> None:
    """Commands, deadlines, and partitions that change hands; at each instant everything comes to rest."""
    model = Model(seed, replicas)
    quiet = quiet_of(model)
    now = NOW
    await quiet.settle(now)
    for commands in instants:
        now += timedelta(hours=1)
        if data.draw(st.booleans()):
            service = data.draw(st.sampled_from(sorted(HEARS)))
            model.due[service] = now
            quiet.disturb(*(n for n, r in model.replicas.items() if r.service == service))
            await quiet.settle(now - timedelta(hours=1))
            assert quiet.next_due == now
        for replica in model.replicas.values():
            replica.clock = now
        quiet.stepped_to(now)
        for which, generations in commands:
            name = model.names[which % len(model.names)]
            quiet.disturb(name)
            model.command(name, generations)
        await quiet.settle(now)
        assert model.under_way == []
        assert quiet.records == sum(map(len, model.topics.values()))


async def settled(model: Model) -> Quiet:
    quiet = quiet_of(model)
    await quiet.settle(NOW)
    model.asked.clear()
    model.reached.clear()
    quiet.looks = 0
    return quiet


async def test_a_command_that_leads_to_nothing_costs_one_question_and_one_look() -> None:
    model = Model(1, ONE_EACH)
    quiet = await settled(model)
    quiet.disturb("plans")
    await quiet.settle(NOW)
    assert model.asked == ["plans"]
    assert quiet.looks == 1


async def test_when_nobody_was_disturbed_nobody_is_asked() -> None:
    model = Model(1, ONE_EACH)
    quiet = await settled(model)
    assert quiet.unsure == []
    await quiet.settle(NOW)
    assert model.asked == []


async def test_who_is_behind_is_asked_to_reach_the_ends() -> None:
    model = Model(1, ONE_EACH)
    quiet = await settled(model)
    model.topics["care.attendance/3"] += [0, 0]
    await quiet.settle(NOW)
    assert sorted(model.asked[:2]) == ["followup", "plans"]
    assert model.reached[:2] == [{"care.attendance/3": 2}] * 2
    assert "intake" not in model.asked
    assert "attendance" not in model.asked
    assert model.under_way == []


@pytest.mark.parametrize(("hours", "asked"), [(0, set[str]()), (1, {"plans", "plans-1"})])
async def test_a_deadline_that_comes_is_asked_of_every_replica_of_its_service(
    hours: int, asked: set[str]
) -> None:
    """The replica that knows of it may not be the one that holds it."""
    model = Model(1, TWO_OF_SOME)
    quiet = await settled(model)
    quiet.disturb("plans")
    model.due["plans"] = NOW + timedelta(hours=1)
    await quiet.settle(NOW)
    assert quiet.next_due == NOW + timedelta(hours=1)
    quiet.stepped_to(NOW + timedelta(hours=hours))
    assert set(quiet.unsure) == asked


async def test_a_partition_that_nobody_holds_is_waited_for() -> None:
    """It is being moved to another replica: what comes on it meanwhile is nobody's, and is not seen as behind."""
    model = Model(1, TWO_OF_SOME)
    first, second = model.replicas["plans"], model.replicas["plans-1"]
    second.holds, second.positions = set(), {}
    model.topics["care.intake/1"].append(0)
    quiet = quiet_of(model)
    waiting = asyncio.create_task(quiet.settle(NOW))
    for _ in range(200):
        await asyncio.sleep(0)
    assert not waiting.done()
    first.holds = set(range(PARTITIONS))
    first.positions = {f"{t}/{n}": 0 for t in HEARS["plans"] for n in range(PARTITIONS)}
    await waiting
    assert first.positions["care.intake/1"] == 1


async def test_what_never_ends_is_said() -> None:
    model = Model(1, ONE_EACH)
    model.due["intake"] = NOW
    model.replicas["intake"].holds = set()  # nobody fires it
    with pytest.raises(NeverQuiet, match="intake"):
        await quiet_of(model, within_seconds=0).settle(NOW)


@pytest.mark.parametrize(
    ("change", "quiet"),
    [
        ({}, True),
        ({"busy": True}, False),
        ({"now": None}, False),
        ({"deadlines_ran_until": None}, False),
        ({"deadlines_ran_until": (NOW - timedelta(hours=1)).isoformat()}, False),
        ({"next_due": NOW.isoformat()}, False),
        ({"next_due": (NOW + timedelta(seconds=1)).isoformat()}, True),
    ],
)
def test_quiet_is_idle_with_all_deadlines_run(change: Mapping[str, Any], quiet: bool) -> None:
    report: dict[str, Any] = {
        "service": "plans",
        "now": NOW.isoformat(),
        "deadlines_ran_until": NOW.isoformat(),
        "busy": False,
        "topics": ["care.intake"],
        "positions": {},
        "next_due": None,
    }
    assert (Flow.read({**report, **change}).quiet_at == NOW) is quiet


def test_an_answer_without_a_next_deadline_is_not_quiet() -> None:
    report: dict[str, Any] = defaultdict(list, service="plans", busy=False, now=NOW.isoformat())
    report["deadlines_ran_until"] = NOW.isoformat()
    assert Flow.read(report).quiet_at is None
