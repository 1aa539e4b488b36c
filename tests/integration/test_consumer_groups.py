"""Consumer groups on Apache Kafka: members that join, leave, die or fall behind, in the middle of their work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.plans.app import SERVICE
from shared.contracts import intake
from shared.devtools.backends import Backend
from shared.devtools.stack import ServiceProcess
from shared.runtime.core.store import MongoStore
from tests.integration.bus import Bus, until
from tests.integration.redriven import Rules, Running, admission, episode, running
from tests.integration.test_consumer import all_said, ask, holds, plans_service
from tests.integration.told import counted, once, telling

GROUP = "plans"


@pytest.mark.parametrize("drains", [True, False], ids=["drains", "believes in its partitions"])
async def test_a_rebalance_in_mid_batch(
    backend: Backend, bus: Bus, prefix: str, monkeypatch: pytest.MonkeyPatch, *, drains: bool
) -> None:
    """Partitions move only when the batch is saved, and then nobody reads it again.

    A member that was put out while it believed in its partitions saves too, commits nothing, and nothing is doubled.
    """
    async with running(backend, prefix, bus, Rules(), sweep_after_seconds=30.0) as one:
        saves, gate = asyncio.Event(), asyncio.Event()
        save = one.runtime.store.save

        async def held(records: Any, wall: Any) -> set[str]:
            if records and records[0].subject in names:
                saves.set()
                await gate.wait()
            return await save(records, wall)

        async def at_once(_revoked: Any) -> None:
            """Lets go of its partitions without a look at what it has in hand."""

        monkeypatch.setattr(one.runtime.store, "save", held)
        if not drains:
            monkeypatch.setattr(one.runtime.consumer, "on_partitions_revoked", at_once)
        names = [episode() for _ in range(30)]
        for name in names:
            await bus.say(admission(), name, 1)
        await asyncio.wait_for(saves.wait(), 30)
        before = await bus.committed(GROUP)
        async with running(backend, prefix, bus, Rules(), ready=False) as other:
            try:
                await (_waits_its_turn if drains else _takes_over)(one, other)
                if drains:
                    assert await bus.committed(GROUP) == before, (
                        "nothing is saved, nothing committed"
                    )
            finally:
                gate.set()
            for it in (one, other):
                await until(lambda it=it: len(it.runtime.consumer.buckets) == 6, what="sharing")
            documents = await once(backend.kafka, [one, other], names)
            assert [documents[name]["state"]["admitted"] for name in names] == [1] * len(names)
            applied = counted(one, "applied") + counted(other, "applied")
            again = counted(one, "duplicate") + counted(other, "duplicate")
            assert applied == len(names)
            assert (again == 0) == drains


async def _waits_its_turn(one: Running, other: Running) -> None:
    """The second member joins, and gets nothing while the first waits for its batch before it gives up partitions."""
    await until(lambda: other.runtime.consumer._joined is not None, what="a member")
    lock = one.runtime.consumer._busy
    await until(lambda: lock.locked() and bool(lock._waiters), what="a member that has to wait")
    assert other.runtime.consumer.buckets == []
    assert await one.documents() == []


async def _takes_over(_one: Running, other: Running) -> None:
    """The second member gets its share, and works on it while the first still believes in its partitions."""
    await until(lambda: len(other.runtime.consumer.buckets) == 6, what="a share")

    async def working() -> bool:
        return len(await other.documents()) > 0

    await until(working, what="the new owner's work")


@pytest.mark.long
async def test_replicas_join_leave_and_die_under_load(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """Of three replicas one leaves, one dies, both come back: everything is heard once, by whoever it is."""
    sent = _Sent(bus)
    store = MongoStore(backend.mongo_uri, f"{prefix}plans", SERVICE.kinds)
    with plans_service(backend, prefix, replicas=3) as stack:
        first, second, third = stack.processes
        for process in stack.processes:
            await _shares(process)
        async with telling(sent.on()) as [told]:
            await asyncio.to_thread(second.stop)
            first.kill()
            await _shares(third, of=1)
            for process in (second, first):
                process.start()
                await _shares(process)
            sent.enough.set()
            await told

            async def all_heard() -> bool:
                fields = {"inbox": 1}
                documents = await store.collection("records").find({}, fields).to_list()
                heard = {d["_id"]: d["inbox"].get("intake", (0,))[0] for d in documents}
                return len(heard) == len(sent.subjects) and set(heard.values()) == {2}

            await until(all_heard, what="hearing everything", limit_s=60)
            await all_said(backend, sent)  # type: ignore[arg-type] - it asks for the subjects alone
        assert await store.collection("dead_letters").count_documents({}) == 0
    await store.database.client.drop_database(store.database.name)
    await store.close()


class _Sent:
    """Admissions, each followed by a recommendation, as long as it takes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.subjects: list[str] = []
        self.enough = asyncio.Event()

    async def on(self) -> None:
        while not self.enough.is_set():
            name = episode()
            self.subjects.append(name)
            await self._bus.say(admission(), name, 1)
            await self._bus.say(intake.LevelRecommended.example(), name, 2)
            await asyncio.sleep(0.02)


async def _shares(process: ServiceProcess, *, of: int | None = None) -> None:
    """Wait until a replica holds and has heard a share of the partitions; all of them, `of` one."""

    async def shares() -> bool:
        if (await ask(process, "/readyz"))[0] != 200:
            return False
        partitions = {place.partition("/")[2] for place in await holds(process)}
        return len(partitions) == 12 if of == 1 else bool(partitions)

    await until(shares, what="a share of the partitions", limit_s=60)
