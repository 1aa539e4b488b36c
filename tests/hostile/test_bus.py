"""Rows 1 and 2 on a real broker: what is small on the wire and large in memory, and what the broker itself refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts.event import MAX_EVENT_BYTES
from shared.contracts.intake import PatientAdmitted
from shared.contracts.publish.examples import example_of
from shared.contracts.topics import PARTITIONS, Topic
from shared.decision import derive_id
from shared.devtools.backends import Backend
from shared.devtools.stack import services
from shared.errors import TooLarge
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.topics import ensure_topics
from shared.testing.suites import entry
from tests.integration.bus import Bus, bus_to, forget_topics, headers_of

DATA = json.dumps(example_of(PatientAdmitted)["data"]).encode()
TWENTY_MEGABYTES = DATA + b" " * 20_000_000


@pytest.fixture(scope="module")
async def bus(backend: Backend) -> AsyncIterator[Bus]:
    await forget_topics(backend)
    async with bus_to(backend.kafka) as it:
        yield it


async def test_what_unpacks_to_twenty_megabytes_is_set_aside_and_the_others_go_on(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    with services(backend, names=["plans"], database_prefix=prefix) as stack:
        ordinary = f"episode/{derive_id('ordinary')}"
        partition = partition_of(ordinary, PARTITIONS)
        codecs = ["gzip", "snappy", "lz4", "zstd"]
        for codec in codecs:
            producer = AIOKafkaProducer(
                **client_options(backend.kafka),
                compression_type=codec,
                max_request_size=32 * 1024 * 1024,
            )
            await producer.start()
            subject = f"episode/{derive_id('bomb', codec)}"
            headers: Any = [
                (name, value.encode())
                for name, value in headers_of(PatientAdmitted.example(), subject, 1).items()
            ]
            await producer.send_and_wait(
                "care.intake", TWENTY_MEGABYTES, subject.encode(), partition, headers=headers
            )
            await producer.stop()
        tp = await bus.say(PatientAdmitted.example(), ordinary, 1)
        await bus.heard("plans", tp)
        store = MongoStore(backend.mongo_uri, f"{prefix}plans", {})
        rows = await store.collection("dead_letters").find({}).to_list()
        assert [row["reason"] for row in rows] == ["batch-too-large"] * len(codecs)
        assert all(0 < row["digest"]["length"] < len(TWENTY_MEGABYTES) for row in rows), (
            "as it came"
        )
        assert await store.collection("records").find_one({"_id": ordinary})
        assert stack.one("plans").alive
        await store.close()


async def test_what_the_broker_refuses_for_its_size_is_not_taken_for_a_broker_that_is_away(
    backend: Backend, prefix: str
) -> None:
    topic = Topic(f"care.{prefix.replace('_', '')}")
    await ensure_topics(backend.kafka, [topic])
    publisher = KafkaPublisher(backend.kafka, topic)
    subject = f"episode/{derive_id('refused')}"
    try:
        with pytest.raises(TooLarge):
            await publisher.publish({subject: [entry(subject, 1, b"x" * (3 * MAX_EVENT_BYTES))]})
        await publisher.publish({subject: [entry(subject, 1)]})
    finally:
        await publisher.stop()
