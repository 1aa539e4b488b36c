"""A month of an evening group of twelve: a late joiner, a walk-in, a substitute, a snow day, a holiday and a move."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

import pytest

from shared.decision import derive_id
from tests.flows.scene import FACILITY, ZONE, Flow, Patient, of

pytestmark = pytest.mark.timeout(500)
EVENING, NIGHT, NOON = time(18), time(21), time(12)
EVENINGS = (0, 2, 3)
"""Monday, Wednesday, Thursday."""
WEEKS = 4
HOLIDAY, SNOW = 7, 16
"""The second Monday, entered ahead; the third Wednesday, on the day."""
JOINS, VISIT, MOVES = 2, 9, 14
"""When somebody takes a seat, comes as a guest because their own group does not meet, and moves."""
STANDS_IN = 17
"""When the counselor is away, and a clinician leads the group."""


def member(role: str) -> str:
    """The one of this role who acts here."""
    return derive_id("demo", FACILITY, role)


class Month:
    """One group's month, and what its people should have at its end."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.first = flow.monday
        self.groups: list[str] = []
        self.sessions: dict[tuple[int, int], str] = {}
        """By group and day."""
        self.minutes: dict[str, list[int]] = {}
        """Credited minutes of each person, by week."""

    def when(self, day: int, hour: time) -> Any:
        return self.flow.when(day, hour)

    async def opens(self) -> int:
        told = await self.flow.does(
            "counselor",
            "attendance",
            "/groups",
            f"group {len(self.groups)}",
            program="iop-evening",
            track="evening",
            time_zone=ZONE,
        )
        self.groups.append(told["group_id"])
        return len(self.groups) - 1

    async def takes_a_seat(self, group: int, one: Patient, **more: str) -> None:
        seats, body = f"/groups/{self.groups[group]}/seats", {"episode_id": one.episode_id, **more}
        await self.flow.does("counselor", "attendance", seats, one.label, **body)
        self.minutes.setdefault(one.label, [0] * WEEKS)

    async def plans(self, group: int, days: Sequence[int]) -> None:
        for day in days:
            told = await self.flow.does(
                "counselor",
                "attendance",
                "/sessions",
                f"{group}/{day}",
                modality="group",
                group_id=self.groups[group],
                starts_at=self.when(day, EVENING).isoformat(),
                minutes_planned=180,
            )
            self.sessions[group, day] = told["session_id"]

    async def moves(self, one: Patient, group: int, other: int) -> None:
        await self.takes_a_seat(other, one, from_group_id=self.groups[group])

    async def is_closed_on(self, day: int, reason: str) -> None:
        on = (self.first + timedelta(days=day)).isoformat()
        closed = {"from_on": on, "until_on": on, "reason": reason}
        await self.flow.does("program_director", "attendance", "/closures", reason, **closed)

    async def is_led_by(self, group: int, day: int, role: str, part: str = "leader") -> None:
        session = self.sessions[group, day]
        leader = {"staff_id": member(role), "part": part, "credential": "social_worker"}
        path = f"/sessions/{session}/leaders"
        await self.flow.does("clinical_supervisor", "attendance", path, part, leaders=[leader])

    async def counselor_is_away(self, day: int) -> None:
        await self.flow.does(
            "clinical_supervisor",
            "intake",
            f"/staff/{member('counselor')}/absences",
            from_at=self.when(day, NOON).isoformat(),
            until_at=self.when(day + 1, NOON).isoformat(),
            deputy_id=member("clinician"),
        )
        await self.flow.world.quiet()

    async def waits_for_a_leader(self) -> set[str]:
        path = "/loops?kind=leader"
        seen = await self.flow.staff.sees("clinical_supervisor", "attendance", path)
        return {one["subject"].partition("/")[2] for one in seen["loops"]}

    async def is_signed(self, group: int, day: int, role: str) -> None:
        path = f"/sessions/{self.sessions[group, day]}/sign-off"
        await self.flow.does(role, "attendance", path)

    async def rolls(
        self, group: int, day: int, there: Sequence[Patient], walk_ins: Sequence[Patient] = ()
    ) -> None:
        session = self.sessions[group, day]
        entries = [
            {"episode_id": one.episode_id, "status": "attended", "walk_in": one in walk_ins}
            for one in (*there, *walk_ins)
        ]
        path = f"/sessions/{session}/attendance"
        await self.flow.does("counselor", "attendance", path, session, entries=entries)
        for one in (*there, *walk_ins):
            self.minutes[one.label][day // 7] += 180

    async def weeks_of(self, one: Patient) -> list[dict[str, Any]]:
        facts = of(await self.flow.facts(one.subject), "weekly-hours-evaluated")
        latest = {fact.data["week_starts_on"]: dict(fact.data) for fact in facts}
        return [latest[(self.first + timedelta(weeks=n)).isoformat()] for n in range(WEEKS)]

    async def roster(self, group: int, day: int) -> set[str]:
        at = self.when(day, EVENING).isoformat()
        path = f"/sessions?from={at}&to={at}&group={self.groups[group]}".replace("+", "%2B")
        [row] = (await self.flow.staff.sees("counselor", "attendance", path))["sessions"]
        return set(row["roster"])


@pytest.mark.fault("F24")
async def test_a_month_of_a_group(flow: Flow) -> None:
    await flow.on(0, NOON)
    month = Month(flow)
    group, other = [await month.opens() for _ in range(2)]
    twelve = [await flow.admitted() for _ in range(12)]
    await flow.world.quiet()
    *nine, late, moves, walks_in = twelve
    for one in (*nine, moves):
        await month.takes_a_seat(group, one)
    await month.takes_a_seat(other, walks_in)
    await month.is_closed_on(HOLIDAY, "holiday")
    days = [7 * week + day for week in range(WEEKS) for day in EVENINGS if (week, day) != (1, 0)]
    await month.plans(group, days)
    await month.plans(other, [day for day in days if day != VISIT])
    await flow.world.quiet()

    for day in days:
        await month.is_led_by(group, day, "counselor")
    await month.counselor_is_away(STANDS_IN)
    assert await month.waits_for_a_leader() == {month.sessions[group, STANDS_IN]}
    members, others = [*nine, moves], [walks_in]
    for day in days:
        await flow.on(day, NOON)
        if day == JOINS:  # everything is scheduled by then
            await month.takes_a_seat(group, late)
            members.append(late)
        if day == MOVES:
            await month.moves(moves, group, other)
            members.remove(moves)
            others.append(moves)
        if day == SNOW:
            await month.is_closed_on(SNOW, "weather")
            continue
        if day == STANDS_IN:
            await month.is_led_by(group, day, "clinician", "substitute")
            await flow.world.quiet()
            assert await month.waits_for_a_leader() == set()
        await flow.on(day, NIGHT)
        assert await month.roster(group, day) == {one.episode_id for one in members}, day
        await month.rolls(group, day, members, walk_ins=[walks_in] if day == VISIT else [])
        await month.is_signed(group, day, "clinician" if day == STANDS_IN else "counselor")
        if day != VISIT:
            await month.rolls(other, day, others)
    await flow.on(7 * WEEKS, time(23))

    for one in twelve:
        weeks = await month.weeks_of(one)
        assert [week["minutes_credited"] for week in weeks] == month.minutes[one.label], one.label
        assert all(week["met"] for week in weeks), (one.label, weeks)
        asked = [week["minutes_threshold"] for week in weeks]
        first = 360 if one is late else 540
        assert asked == [first, 360, 360, 540], "a holiday, a snow day, a day before the seat"
        facts = await flow.facts(one.subject)
        assert of(facts, "session-missed") == of(facts, "absence-threshold-reached") == []
    await flow.leaves(*twelve)
    ledger = await flow.account()
    assert ledger.clean, ledger.findings()
