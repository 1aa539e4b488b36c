"""The ledger on the real stores and topics: clean after a run, and not after somebody tampered with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pymongo import AsyncMongoClient

from demo.ledger import judge
from demo.witnesses import Heard
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.runtime.core.partitions import partition_of
from shared.runtime.kafka.connection import client_options
from tests.flows.scene import EVENING, MORNING, NIGHT, NOON, Flow, Patient, flowing, name

LISTENERS = ("intake", "plans", "followup")
"""Who hears attendance."""


@pytest.fixture
async def played(backend: Backend, prefix: str) -> tuple[Flow, Patient]:
    """A day of one patient; the services have stopped since, so that what is tampered with stays so."""
    async with flowing(backend, prefix) as flow:
        await flow.on(0, MORNING)
        patient = await flow.admitted()
        session = await flow.session(patient, at=flow.when(0, EVENING))
        await flow.on(0, NOON)
        await flow.on(0, NIGHT)
        await flow.roll(session, {patient: 180})
        await flow.leaves(patient)
        await flow.end_of_week()
        ledger = await flow.account()
        assert ledger.clean, ledger.report()
        assert ledger.commands == 16
    return flow, patient


async def test_what_is_tampered_with_is_found(
    played: tuple[Flow, Patient],
) -> None:
    flow, patient = played
    backend = flow.stack.backend
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(backend.mongo_uri)

    async def change(service: str, subject: str, update: Mapping[str, Any]) -> None:
        records = client[f"{flow.prefix}{service}"]["records"]
        assert (await records.update_one({"_id": subject}, update)).modified_count == 1

    async def found() -> dict[str, list[str]]:
        return {k: v for k, v in judge(await flow.evidence()).findings().items() if v}

    try:
        assert await found() == {}
        evidence = await flow.evidence()
        wanted = evidence.kept["plans"].wanted
        last = max(
            (f for f in evidence.heard if f.subject == patient.subject and f.type in wanted),
            key=lambda f: (f.topic == "care.attendance", f.sequence),
        )
        [scheduled] = [fact for fact in evidence.heard if name(fact) == "session-scheduled"]

        await change("plans", patient.subject, {"$unset": {"inbox.attendance": ""}})
        lost = f"{last.type} {patient.subject} #{last.sequence}"
        expected = {"lost": [f"{lost}: plans has applied up to 0"]}
        assert await found() == expected

        await change("intake", patient.subject, {"$push": {"outbox": {"sequence": 99}}})
        expected["stuck"] = [f"intake {patient.subject}: outbox is not empty"]
        assert await found() == expected

        await publish(backend, scheduled, ce_id="00000000-0000-4000-8000-000000000000")
        expected["doubled"] = [
            f"care.attendance.session-scheduled.v1 {scheduled.subject} #1: number taken by two facts"
        ]
        # The services have stopped, so whoever hears attendance is behind by what is published now.
        expected["stuck"] += [f"{service}: 1 records behind" for service in LISTENERS]
        assert await found() == expected

        await change("followup", patient.subject, {"$inc": {"next_sequence": 1}})
        taken = evidence.kept["followup"].records[patient.subject]["next_sequence"]
        expected["lost"].insert(0, f"care.followup {patient.subject} #{taken}: not on the topic")
        assert await found() == expected

        await publish(backend, scheduled)  # the very same once more is what "at least once" means
        expected["stuck"][1:] = [f"{service}: 2 records behind" for service in LISTENERS]
        assert await found() == expected
    finally:
        await client.close()


async def publish(backend: Backend, fact: Heard, **changes: str) -> None:
    """Put a fact on its topic once more."""
    headers = {**fact.headers, **changes}
    producer = AIOKafkaProducer(**client_options(backend.kafka))
    await producer.start()
    try:
        await producer.send_and_wait(
            fact.topic,
            b"{}",
            key=fact.subject.encode(),
            partition=partition_of(fact.subject, TOPICS[fact.topic].partitions),
            headers=[(key, value.encode()) for key, value in headers.items()],
        )
    finally:
        await producer.stop()
