"""Keys of people on a real store: the key database, and intake with a journal, erased, lost and rebuilt."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import AsyncMongoClient

from services.intake.app import SERVICE
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.devtools.stack import Stack, services
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.connection import client_options
from shared.runtime.recovery.journal import Keyring, journal_topic
from shared.runtime.recovery.rebuild import rebuild, state_hash
from shared.runtime.vault.key_store import MongoKeyStore
from shared.testing.key_store_suite import KeyStoreSuite
from tests.integration.bus import until

KEY = base64.b64encode(bytes(range(32))).decode()
FACILITY = "harbor-iop"
NAMES = {"given_name": "Zephyrine", "family_name": "Quillfeather", "born_on": "1987-04-19"}
CONTACTS = [{"channel": "letter", "value": "17 Canary Row, Harborton"}]
SECRETS = (b"ephyrine", b"uillfeather", b"1987-04-19", b"Canary Row")


class TestMongoKeyStore(KeyStoreSuite):
    @pytest.fixture
    async def keys(self, backend: Backend, prefix: str) -> AsyncIterator[MongoKeyStore]:
        store = MongoKeyStore(backend.mongo_uri, f"{prefix}keys")
        yield store
        await store.database.client.drop_database(store.database.name)
        await store.close()


class Desk:
    """Whoever works with intake over HTTP."""

    def __init__(self, stack: Stack, http: httpx2.AsyncClient) -> None:
        self._stack = stack
        self._http = http

    async def ask(self, role: str, method: str, path: str, **more: Any) -> Any:
        token = self._stack.issuer.token(FACILITY, role)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
        answer = await self._http.request(method, path, headers=headers, **more)
        assert answer.is_success, answer.text
        return answer.json()

    async def ready(self) -> None:
        async def answers() -> bool:
            return (await self._http.get("/readyz")).status_code == 200

        await until(answers, what="a ready intake")

    async def known(self) -> str:
        """A person with an identity."""
        referral = {"source_kind": "self", "urgency": "routine"}
        told = await self.ask("intake_coordinator", "POST", "/referrals", json=referral)
        path = f"/people/{told['person_id']}/identity"
        body = {**NAMES, "contacts": CONTACTS}
        await self.ask("intake_coordinator", "PUT", path, json=body)
        return told["person_id"]

    async def read(self, person_id: str) -> Any:
        path = f"/people/{person_id}/identity?purpose=contact"
        return await self.ask("intake_coordinator", "GET", path)

    async def found(self) -> list[str]:
        told = await self.ask("intake_coordinator", "POST", "/people/matches", json=NAMES)
        return told["person_ids"]


async def _on_topics(backend: Backend) -> bytes:
    """All bytes of intake's topic and journal."""
    consumer = AIOKafkaConsumer(**client_options(backend.kafka), auto_offset_reset="earliest")
    await consumer.start()
    try:
        topics = (TOPICS["care.intake"], journal_topic("intake"))
        partitions = [TopicPartition(t.name, n) for t in topics for n in range(t.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[bytes] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += [part for one in batch for part in (one.key, one.value) if part]
                found += [value for one in batch for _, value in one.headers]
        return b"\n".join(found)
    finally:
        await consumer.stop()


async def _in_databases(backend: Backend, prefix: str) -> str:
    """All documents of all databases of this environment."""
    async with AsyncMongoClient[dict[str, Any]](backend.mongo_uri) as client:
        names = [name for name in await client.list_database_names() if name.startswith(prefix)]
        assert {f"{prefix}intake", f"{prefix}keys"} <= set(names)
        return repr(
            [
                await client[name][collection].find({}).to_list()
                for name in names
                for collection in await client[name].list_collection_names()
            ]
        )


@pytest.mark.usefixtures("bus")
async def test_after_an_erasure_a_rebuild_is_equal_and_gives_no_name_back(
    backend: Backend, prefix: str
) -> None:
    """The rebuilt store has what the lost one had: who was erased is erased, who was not is there."""

    def intake() -> AbstractContextManager[Stack]:
        return services(backend, names=["intake"], database_prefix=prefix, journal_key=KEY)

    async with IntakesStore(backend, prefix) as store:
        with intake() as stack:
            async with httpx2.AsyncClient(base_url=stack.one("intake").url) as http:
                desk = Desk(stack, http)
                await desk.ready()
                erased, kept = await desk.known(), await desk.known()
                assert sorted(await desk.found()) == sorted([erased, kept])
                body = {"confirm_person_id": erased, "why": "retention-over"}
                path = f"/people/{erased}/erasure"
                told = await desk.ask("privacy_officer", "POST", path, json=body)
                assert (await desk.read(erased))["status"] == "erased"
                assert await desk.found() == [kept]
        on_disk = (await _in_databases(backend, prefix)).encode() + await _on_topics(backend)
        assert not [secret for secret in SECRETS if secret in on_disk], "sealed, wherever it is"
        before = state_hash(await store.collection("records").find({}).to_list())
        await store.database.client.drop_database(store.database.name)
        await store.start()
        topics = SERVICE.reactions.topics
        done = await rebuild(store, backend.kafka, "intake", Keyring("intake", KEY), topics)
        assert done.state_hash == before
        with intake() as stack:
            async with httpx2.AsyncClient(base_url=stack.one("intake").url) as http:
                desk = Desk(stack, http)
                await desk.ready()
                shown = await desk.read(erased)
                assert shown == {"status": "erased", "erased_at": told["erased_at"]}
                assert (await desk.read(kept))["given_name"] == "Zephyrine"
                assert await desk.found() == [kept]


class IntakesStore:
    """Intake's store of this environment, dropped at the end with its keys."""

    def __init__(self, backend: Backend, prefix: str) -> None:
        self._prefix = prefix
        self._store = MongoStore(backend.mongo_uri, f"{prefix}intake", SERVICE.kinds)

    async def __aenter__(self) -> MongoStore:
        return self._store

    async def __aexit__(self, *_: object) -> None:
        for name in ("intake", "keys"):
            await self._store.database.client.drop_database(f"{self._prefix}{name}")
        await self._store.close()
