"""A store that is lost, or older than it should be, is refused, and made anew with the same state."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import AsyncMongoClient

from shared.contracts import intake
from shared.devtools.backends import Backend
from shared.errors import ConfigurationError, SequenceConflict
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.connection import client_options
from shared.runtime.recovery.journal import Keyring
from shared.runtime.recovery.rebuild import check_stopped, rebuild, state_hash
from shared.runtime.service import Runtime
from tests.integration.bus import Bus, admin_of, until
from tests.integration.redriven import (
    Rules,
    Running,
    admission,
    episode,
    running,
    settings_of,
    settled,
)

KEY = base64.b64encode(bytes(range(32))).decode()
NEW_KEY = base64.b64encode(bytes(range(1, 33))).decode()


@pytest.fixture
async def store(backend: Backend, prefix: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(backend.mongo_uri, f"{prefix}plans", Rules().service.kinds)
    yield store
    await store.database.client.drop_database(store.database.name)
    await store.close()


async def _live_a_little(it: Running) -> list[str]:
    """Events, commands that say something, and commands that no event tells of."""
    names = await it.admit(6)
    for name in names[:3]:
        await it.heard(await it.bus.say(intake.LevelRecommended.example(), name, 2))
    for name in names[2:]:
        for _ in range(2):
            answer = await it.ask("POST", "/notes", json={"episode_id": name[8:]})
            assert answer.status_code == 200, answer.text
    await settled(it)
    return names


async def _gone(backend: Backend) -> None:
    """Wait until the group has no members."""

    async def empty() -> bool:
        try:
            await check_stopped(backend.kafka, "plans")
        except ConfigurationError:
            return False
        return True

    await until(empty, what="an empty group")


async def _rebuild(backend: Backend, store: MongoStore) -> Any:
    return await rebuild(store, backend.kafka, "plans", Keyring("plans", KEY), ["care.intake"])


async def _documents(store: MongoStore) -> list[dict[str, Any]]:
    return await store.collection("records").find({}).to_list()


async def _refusal(backend: Backend, prefix: str, journal_key: str = KEY) -> str:
    runtime = Runtime(Rules().service, settings_of(backend, prefix, journal_key=journal_key))
    await runtime.start()
    try:
        await until(lambda: runtime.refusal is not None, what="a refusal")
        assert runtime.refusal is not None
        return runtime.refusal.code
    finally:
        await runtime.stop()


@pytest.mark.parametrize(
    ("restored", "code"),
    [([], "store-lost"), (["records", "metadata"], "sequence-conflict")],
    ids=["lost", "an older backup"],
)
async def test_a_store_that_is_lost_or_older_is_refused_and_rebuilt_with_the_same_state(
    backend: Backend, bus: Bus, prefix: str, store: MongoStore, restored: list[str], code: str
) -> None:
    rules = Rules()
    async with running(backend, prefix, bus, rules, journal_key=KEY) as it:
        early = await _live_a_little(it)
        backup = {
            name: await store.collection(name).find({}).to_list()
            for name in ("records", "metadata")
        }
        names = [*early, *await _live_a_little(it)]
        answer = await it.ask("POST", "/notes", json={"episode_id": early[0][8:]})
        assert answer.status_code == 200
        await settled(it)
        before = await it.documents()
    async with AsyncMongoClient(backend.mongo_uri) as client:
        await client.drop_database(f"{prefix}plans")
    for name in restored:
        await store.collection(name).insert_many(backup[name])
    assert await _refusal(backend, prefix) == code
    await _gone(backend)
    done = await _rebuild(backend, store)
    assert done.records == len(names)
    assert done.state_hash == state_hash(before) == state_hash(await _documents(store))
    again = await _rebuild(backend, store)  # repeating it changes nothing more
    assert again.state_hash == done.state_hash
    async with running(backend, prefix, bus, rules, journal_key=KEY) as it:
        await it.admit()  # from the beginning to the end of the topic
        assert state_hash(d for d in await it.documents() if d["_id"] in names) == done.state_hash
        for name in names[:2]:
            answer = await it.ask("POST", "/notes", json={"episode_id": name[8:]})
            assert answer.status_code == 200, "numbers go on where they were"
        await settled(it)


async def test_a_damaged_copy_stops_nothing_and_a_sound_one_wins(
    backend: Backend, bus: Bus, prefix: str, store: MongoStore
) -> None:
    rules = Rules()
    async with running(backend, prefix, bus, rules, journal_key=KEY) as it:
        names = await _live_a_little(it)
        await settled(it)
        before = await it.documents()
    records = store.collection("records")
    for name, damage in zip(names, ({"state": "gone"}, {"blocked": "feed"}), strict=False):
        await records.update_one({"_id": name}, {"$set": damage})
    lost, far = "episode/00000000-0000-4000-8000-000000000000", "stranger/1"
    await records.insert_many([{"_id": lost, "state": 7}, {"_id": far, "version": "x"}])
    await _gone(backend)
    done = await _rebuild(backend, store)
    assert done.set_aside == (lost, far)
    after = await _documents(store)
    assert state_hash(d for d in after if d["_id"] in names) == state_hash(before)
    assert {d["_id"]: d for d in after}[lost] == {"_id": lost, "state": 7}


async def test_while_it_runs_or_without_a_journal_nothing_is_touched(
    backend: Backend, bus: Bus, prefix: str, store: MongoStore
) -> None:
    async with running(backend, prefix, bus, Rules(), journal_key=KEY) as it:
        await it.admit(2)
        await settled(it)
        with pytest.raises(ConfigurationError) as running_still:
            await _rebuild(backend, store)
        assert running_still.value.code == "service-running"
    await _gone(backend)
    async with running(backend, prefix, bus, Rules()) as it:  # the journal is off for a while
        await it.admit(2)
        await settled(it)
        before = await it.documents()
    await _gone(backend)
    done = await _rebuild(backend, store)  # what the journal lacks, the store still has
    assert done.state_hash == state_hash(before)
    await store.collection("records").drop()
    with pytest.raises(SequenceConflict) as behind:
        await _rebuild(backend, store)
    assert behind.value.code == "journal-behind"
    assert await _documents(store) == []


async def test_a_parked_line_is_parked_again_with_its_rows(
    backend: Backend, bus: Bus, prefix: str, store: MongoStore
) -> None:
    rules, subject = Rules(broken=True), episode()
    async with running(backend, prefix, bus, rules, journal_key=KEY) as it:
        await it.heard(await bus.say(admission(), subject, 1))
        await it.heard(await bus.say(intake.LevelRecommended.example(), subject, 2))
        await settled(it)
    async with AsyncMongoClient(backend.mongo_uri) as client:
        await client.drop_database(f"{prefix}plans")
    await _gone(backend)
    assert (await _rebuild(backend, store)).blocked == 1
    rules.broken = False
    async with running(backend, prefix, bus, rules, journal_key=KEY) as it:
        await it.admit()

        async def back() -> bool:
            return (await it.ask("GET", "/ops/dead-letters")).json()["open"] == 2

        await until(back, what="the rows of the blocked stream")
        body = {"why": "rule-fixed", "everything": True}
        done = await it.ask("POST", "/ops/dead-letters/redrive", json=body)
        assert done.json()["redriven"] == 2
        [document] = [d for d in await it.documents() if d["_id"] == subject]
        assert (document["state"]["admitted"], document["state"]["recommended"]) == (1, 1)


async def test_a_changed_key_seals_everything_anew_and_the_old_one_is_needed_no_more(
    backend: Backend, bus: Bus, prefix: str, store: MongoStore
) -> None:
    """From the change on neither key opened the journal, and nothing said so."""
    async with running(backend, prefix, bus, Rules(), journal_key=KEY) as it:
        names = await it.admit(4)
        await settled(it)
        before = await it.documents()
    await _gone(backend)
    assert await _refusal(backend, prefix, journal_key=NEW_KEY) == "journal-unreadable"
    async with running(
        backend, prefix, bus, Rules(), journal_key=NEW_KEY, journal_key_before=KEY
    ) as it:
        await settled(it)
    await _gone(backend)
    junk: list[tuple[bytes, bytes | None, dict[str, str | bytes]]] = [
        (b"episode/x", None, {}),
        (b"\xff", b"garbage", {"version": "1"}),
        (b"episode/y", b"garbage", {"version": "99", "key": "0" * 16}),
    ]
    for key, value, headers in junk:
        await bus.send("care.plans.journal", headers, value, key=key)
    await store.collection("records").drop()
    done = await rebuild(store, backend.kafka, "plans", Keyring("plans", NEW_KEY), ["care.intake"])
    assert (done.records, done.state_hash) == (len(names), state_hash(before))
    assert done.unreadable >= 3


async def test_the_journal_holds_nothing_that_can_be_read(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with running(backend, prefix, bus, Rules(), journal_key=KEY) as it:
        names = await it.admit(3)
        await settled(it)
        consumer = AIOKafkaConsumer(
            **client_options(backend.kafka),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition("care.plans.journal", n) for n in range(12)])
            found: dict[str, bytes] = {}
            async with asyncio.timeout(30):
                while len(found) < len(names):
                    for batch in (await consumer.getmany(timeout_ms=200)).values():
                        found |= {r.key.decode(): r.value for r in batch if r.key and r.value}
        finally:
            await consumer.stop()
    assert set(found) == set(names)
    assert not any(b"admitted" in value or b"harbor" in value for value in found.values())
    async with admin_of(backend.kafka) as admin:
        assert "care.plans.journal" in await admin.list_topics()
