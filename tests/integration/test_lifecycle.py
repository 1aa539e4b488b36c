"""A topic brought back to what it must be, a stop that leaves nothing to do again, and a cold start that is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import NewPartitions

from shared.contracts import intake
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.errors import ConfigurationError
from shared.kit.batches import EscapedName
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.clients import new_producer
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.scan import scan
from shared.runtime.recovery.migrate import ASIDE, Party, migrate
from shared.runtime.recovery.rebuild import check_stopped
from shared.runtime.service import Runtime
from tests.integration.bus import Bus, admin_of, headers_of, until
from tests.integration.redriven import Rules, Running, episode, running, settings_of, settled

INTAKE = TOPICS["care.intake"]


@pytest.fixture
async def parties(backend: Backend, prefix: str) -> AsyncIterator[list[Party]]:
    kinds = Rules().service.kinds
    stores = {n: MongoStore(backend.mongo_uri, f"{prefix}{n}", kinds) for n in ("intake", "plans")}
    yield [Party("intake", stores["intake"], []), Party("plans", stores["plans"], ["care.intake"])]
    for store in stores.values():
        await store.database.client.drop_database(store.database.name)
        await store.close()


async def _gone(backend: Backend) -> None:
    async def empty() -> bool:
        try:
            await check_stopped(backend.kafka, "plans")
        except ConfigurationError:
            return False
        return True

    await until(empty, what="an empty group")


async def _states(it: Running) -> dict[str, Any]:
    return {d["_id"]: (d["state"], d["inbox"], d["next_sequence"]) for d in await it.documents()}


@pytest.mark.parametrize("interrupted", [None, "aside", "back"])
async def test_a_topic_with_added_partitions_is_migrated_and_everything_goes_on(
    backend: Backend,
    bus: Bus,
    prefix: str,
    parties: list[Party],
    interrupted: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        names = await it.admit(8)
        for name in names:
            await it.heard(await bus.say(intake.LevelRecommended.example(), name, 2))
        await settled(it)
        before = await _states(it)
        with pytest.raises(ConfigurationError) as still:
            await migrate(backend.kafka, INTAKE, parties, lambda _line: None)
        assert still.value.code == "service-running"
    async with admin_of(backend.kafka) as admin:
        await admin.create_partitions({"care.intake": NewPartitions(16)})
    runtime = Runtime(Rules().service, settings_of(backend, prefix))
    await runtime.start()
    await until(lambda: runtime.refusal is not None, what="a refusal")
    await runtime.stop()
    await _gone(backend)
    if interrupted is not None:
        metadata = parties[0].store.set_metadata

        async def broken(key: str, values: dict[str, Any]) -> None:
            await metadata(key, values)
            if values.get("phase") == interrupted:
                raise OSError("power cut")

        monkeypatch.setattr(parties[0].store, "set_metadata", broken)
        with pytest.raises(OSError, match="power cut"):
            await migrate(backend.kafka, INTAKE, parties, lambda _line: None)
        monkeypatch.undo()
    count = await migrate(backend.kafka, INTAKE, parties, lambda _line: None)
    assert count == 2 * len(names)
    async with running(backend, prefix, bus, Rules()) as it:
        assert await _states(it) == before
        for name in names:
            await it.heard(await bus.say(intake.LevelRecommended.example(), name, 3))
        await settled(it)
        after = await _states(it)
        assert [s[0]["recommended"] for s in after.values()] == [2] * len(names)
        duplicates = it.runtime.metrics.registry.get_sample_value(
            "care_work_total", {"kind": "event", "status": "duplicate"}
        )
        assert not duplicates, "positions are where they were"
    async with admin_of(backend.kafka) as admin:
        assert f"care.intake{ASIDE}" not in await admin.list_topics()


async def test_what_was_not_heard_is_not_migrated_away(
    backend: Backend, bus: Bus, prefix: str, parties: list[Party]
) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        await it.admit(2)
        await settled(it)
    await bus.say(intake.LevelRecommended.example(), episode(), 1)
    await _gone(backend)
    async with admin_of(backend.kafka) as admin:
        await admin.create_partitions({"care.intake": NewPartitions(16)})
    with pytest.raises(ConfigurationError) as undrained:
        await migrate(backend.kafka, INTAKE, parties, lambda _line: None)
    assert undrained.value.code == "not-drained"


async def _said_in_a_transaction(backend: Backend, prefix: str, name: str) -> None:
    """Kafka puts a marker behind the event, which has an offset and which no client is given."""
    event = intake.PatientAdmitted.example()
    producer: Any = AIOKafkaProducer(**client_options(backend.kafka), transactional_id=prefix)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(
                "care.intake",
                event.data(),
                name.encode(),
                partition_of(name, 12),
                headers=[(n, text.encode()) for n, text in headers_of(event, name, 1).items()],
            )
    finally:
        await producer.stop()


async def test_what_lies_on_a_topic_beside_events_is_migrated_as_well(
    backend: Backend, bus: Bus, prefix: str, parties: list[Party]
) -> None:
    """A marker at the end, names of headers that are not UTF-8, and what is too large to be copied at all."""
    name = episode()
    place = partition_of(name, 12)
    spoilt = EscapedName("escaped")
    spoilt.raw = b"\xff\xfe"
    packing = new_producer(
        backend.kafka, compression_type="zstd", max_request_size=2**25, max_batch_size=2**25
    )
    async with running(backend, prefix, bus, Rules()) as it:
        await packing.start()
        for size in (2_000_000, 20_000_000):
            await packing.send_and_wait("care.intake", b" " * size, name.encode(), place)
        make: Any = ConsumerRecord
        foreign = make(
            "care.intake", place, 0, 1, 0, b"key", b"value", None, 3, 5, [(spoilt, b"x")]
        )
        await packing.send_again("care.intake", foreign, place)
        await packing.stop()
        await _said_in_a_transaction(backend, prefix, name)

        async def applied() -> bool:
            return bool(await it.documents(name))

        await until(applied, what="the event behind it all")
        reasons = {
            row["reason"] async for row in it.runtime.store.collection("dead_letters").find()
        }
        assert "batch-too-large" in reasons
        await settled(it)
        before = await _states(it)
    await _gone(backend)
    async with admin_of(backend.kafka) as admin:
        await admin.create_partitions({"care.intake": NewPartitions(16)})
    told: list[str] = []
    assert await migrate(backend.kafka, INTAKE, parties, told.append) == 2
    assert [line.split(",")[0] for line in told].count("left out") == 2
    names = [
        header
        async for batch in scan(backend.kafka, ("care.intake", partition_of("key", 12)), 0)
        for message in batch
        for header, _ in message.headers
    ]
    assert [one.raw for one in names if isinstance(one, EscapedName)] == [spoilt.raw]
    async with running(backend, prefix, bus, Rules()) as it:
        await it.heard(await bus.say(intake.LevelRecommended.example(), name, 2))
        assert (await _states(it)).keys() == before.keys()


async def test_a_topic_that_was_made_again_is_taken_as_it_is(
    backend: Backend, bus: Bus, prefix: str, parties: list[Party]
) -> None:
    async with running(backend, prefix, bus, Rules(), topics_check_seconds=0.2) as it:
        names = await it.admit(4)

        async def noted() -> bool:
            return sum((await it.runtime.store.metadata("topic:care.intake")).get("ends", ())) == 4

        await until(noted, what="a note")
    await _gone(backend)
    async with admin_of(backend.kafka) as admin:
        await admin.delete_topics(["care.intake"])
    assert await migrate(backend.kafka, INTAKE, parties, lambda _line: None) == 0
    async with running(backend, prefix, bus, Rules()) as it:
        for name in names:
            await it.heard(await bus.say(intake.LevelRecommended.example(), name, 2))
        await settled(it)
        assert {d["state"]["recommended"] for d in await it.documents()} == {1}


async def test_a_transactions_marker_at_the_end_of_a_partition_stops_no_deadline(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """Kafka counts the marker in the partition's end, and no client is ever given it."""
    del bus
    name = episode()
    await _said_in_a_transaction(backend, prefix, name)
    runtime = Runtime(Rules().service, settings_of(backend, prefix))
    await runtime.start()
    try:
        await until(lambda: runtime.timers.ran_until is not None, what="deadlines", limit_s=30)
        assert not runtime.consumer.stalled
        [record] = (await runtime.store.load([name])).values()
        assert record.inbox["intake"][0] == 1
    finally:
        await runtime.store.database.client.drop_database(f"{prefix}plans")
        await runtime.stop()


async def test_a_clean_stop_under_load_leaves_nothing_to_be_told_again(
    backend: Backend, bus: Bus, prefix: str, record_property: Callable[[str, object], None]
) -> None:
    """Not one record is heard twice, by count; how long stops and cold starts took is recorded, not judged."""
    loop = asyncio.get_running_loop()
    rules, subjects = Rules(), [episode() for _ in range(300)]
    telling = asyncio.create_task(_tell(bus, subjects))
    took: list[float] = []
    duplicates = applied = 0.0
    try:
        for _ in range(4):
            began = loop.time()
            async with running(backend, prefix, bus, rules, batch_records=7) as it:
                took.append(loop.time() - began)
                had = it.runtime.metrics
                known = len(await it.documents())
                await until(lambda: it.runtime.consumer.busy or telling.done(), what="a batch")
                began = loop.time()
            took.append(loop.time() - began)
            value = had.registry.get_sample_value
            duplicates += value("care_work_total", {"kind": "event", "status": "duplicate"}) or 0.0
            applied += value("care_work_total", {"kind": "event", "status": "applied"}) or 0.0
            assert known <= len(subjects)
    finally:
        await telling
    async with running(backend, prefix, bus, rules) as it:

        async def all_heard() -> bool:
            return len(await it.documents()) == len(subjects)

        await until(all_heard, what="hearing the rest", limit_s=60)
        value = it.runtime.metrics.registry.get_sample_value
        duplicates += value("care_work_total", {"kind": "event", "status": "duplicate"}) or 0.0
        applied += value("care_work_total", {"kind": "event", "status": "applied"}) or 0.0
    record_property("seconds_of_starts_and_stops", [round(seconds, 2) for seconds in took])
    assert duplicates == 0
    assert applied == len(subjects)


async def _tell(bus: Bus, subjects: list[str]) -> None:
    for name in subjects:
        await bus.say(intake.PatientAdmitted.example(), name, 1)
        await asyncio.sleep(0.02)
