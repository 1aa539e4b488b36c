"""Two replicas of one service share its people, and whatever becomes of one of them, everything is applied once."""

from __future__ import annotations

import asyncio
import re
from itertools import cycle

import httpx2 as httpx
import pytest

from shared.contracts.topics import PARTITIONS
from shared.decision import derive_id
from shared.devtools.backends import Backend
from shared.devtools.stack import ServiceProcess
from tests.flows.scene import EVENING, MORNING, NIGHT, Flow, Patient, flowing, of

PATIENTS = 8
EVENTS_EACH = 3
"""What attendance hears of somebody by then: the admission, the orientation and the plan in force."""


@pytest.mark.timeout(180)
async def test_two_replicas_share_the_work_and_apply_everything_once(
    backend: Backend, prefix: str
) -> None:
    async with flowing(backend, prefix, replicas={"attendance": 2}) as flow:
        names = [name for name in flow.urls if name.startswith("attendance")]
        pair = [process for process in flow.stack.processes if process.name == "attendance"]
        await flow.on(0, MORNING)
        await shared_out(flow, names)
        patients = [await flow.admitted() for _ in range(PATIENTS)]
        await flow.world.quiet()
        shares = [await applied(process) for process in pair]
        assert sum(shares) == EVENTS_EACH * PATIENTS
        assert all(shares), "both have heard of somebody"

        turns = cycle(names)
        await held(flow, patients, 0, turns_of=next(turns))
        await held(flow, patients, 2, turns_of=next(turns))

        pair[0].kill()
        roll = asyncio.create_task(held(flow, patients, 3, turns_of=names[1]))
        await asyncio.to_thread(flow.stack.revive)
        await roll
        await flow.leaves(*patients)
        await shared_out(flow, names)
        await flow.end_of_week()

        ledger = await flow.account()
        assert ledger.clean, ledger.report()
        facts = await flow.facts(*(patient.subject for patient in patients))
        attended = of(facts, "session-attended")
        assert len(attended) == len({f.id for f in attended}) == 3 * PATIENTS
        weeks = [f.data["minutes_credited"] for f in of(facts, "weekly-hours-evaluated")]
        assert weeks == [540] * PATIENTS


async def held(flow: Flow, patients: list[Patient], day: int, *, turns_of: str) -> None:
    """One session for everybody, scheduled and called at one of the replicas."""
    session = await flow.session(*patients, at=flow.when(day, EVENING), service=turns_of)
    await flow.on(day, NIGHT)
    await flow.roll(session, dict.fromkeys(patients, 180), service=turns_of)
    await flow.world.quiet()


async def shared_out(flow: Flow, names: list[str]) -> None:
    """Wait until every partition has exactly one of the replicas, and none has nothing."""
    operator = flow.stack.issuer.token("operations", "operator", derive_id("test", "operator"))
    async with asyncio.timeout(60):
        while True:
            flows = [await flow.world.question(name, "/ops/flow", operator) for name in names]
            shares = [set(one["positions"]) for one in flows]
            topics = {partition.rpartition("/")[0] for share in shares for partition in share}
            whole = sum(map(len, shares)) == len(set().union(*shares)) == PARTITIONS * len(topics)
            if all(shares) and topics and whole:
                return
            await asyncio.sleep(0.05)


async def applied(process: ServiceProcess) -> int:
    """How many events this replica has applied."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{process.url}/metrics")).text
    line = r'^care_work_total\{kind="event",status="applied"\} (\S+)$'
    found = re.findall(line, text, re.MULTILINE)
    return sum(int(float(number)) for number in found)
