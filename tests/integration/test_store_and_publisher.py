"""The store and the publisher on real servers keep what the suites ask; the fakes keep the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.topics import Topic as KafkaTopic
from shared.devtools.backends import Backend
from shared.errors import Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Document, MongoStore, Store
from shared.runtime.dead_letters.store import MongoDeadLetters
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.topics import ensure_topics
from shared.testing.dead_letter_suite import DeadLettersSuite
from shared.testing.paging_suite import PagingSuite
from shared.testing.suites import (
    KINDS,
    WALL,
    PublisherSuite,
    StoreSuite,
    publish_one,
    subject,
)


class TestMongoStore(StoreSuite):
    @pytest.fixture
    async def store(self, backend: Backend, prefix: str) -> AsyncIterator[MongoStore]:
        store = MongoStore(backend.mongo_uri, f"{prefix}suite", KINDS)
        await store.start()
        yield store
        await store.database.client.drop_database(store.database.name)
        await store.close()

    async def dead_letters(self, store: Store) -> list[Document]:
        assert isinstance(store, MongoStore)
        return await store.collection("dead_letters").find({}).to_list()

    async def test_a_save_that_the_server_refuses_is_not_a_lost_race(
        self, store: MongoStore
    ) -> None:
        """A duplicate key on another index than `_id` must not be mistaken for a race."""
        await store.collection("records").create_index("facility_id", unique=True)
        records = list((await store.load([subject(1), subject(2)])).values())
        for record in records:
            record.facility_id = "the-same"
            publish_one(record)
        with pytest.raises(Unavailable) as refused:
            await store.save(records, WALL)
        assert refused.value.code == "store-refused"


class TestMongoPages(PagingSuite):
    @pytest.fixture
    async def store(self, backend: Backend, prefix: str) -> AsyncIterator[MongoStore]:
        store = MongoStore(backend.mongo_uri, f"{prefix}suite", KINDS)
        await store.start()
        yield store
        await store.database.client.drop_database(store.database.name)
        await store.close()


class TestMongoLetters(DeadLettersSuite):
    @pytest.fixture
    async def store(self, backend: Backend, prefix: str) -> AsyncIterator[MongoStore]:
        store = MongoStore(backend.mongo_uri, f"{prefix}suite", KINDS)
        await store.start()
        yield store
        await store.database.client.drop_database(store.database.name)
        await store.close()

    @pytest.fixture
    async def dead_letters(self, store: MongoStore) -> MongoDeadLetters:
        dead_letters = MongoDeadLetters(store.database, store.set_aside)
        await dead_letters.start()
        return dead_letters


class Reader:
    """Reads a whole Kafka topic from its beginning."""

    def __init__(self, kafka: KafkaConnection, topic: KafkaTopic) -> None:
        self._kafka = kafka
        self.topic = topic

    async def published(self) -> Sequence[tuple[str, Mapping[str, str], bytes]]:
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(self.topic.name, n) for n in range(self.topic.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            records = []
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records += batch
        finally:
            await consumer.stop()
        homes: dict[bytes, set[int]] = defaultdict(set)
        for record in records:
            homes[record.key].add(record.partition)
        assert all(len(found) == 1 for found in homes.values())
        return [
            (r.key.decode(), {name: raw.decode() for name, raw in r.headers}, r.value)
            for r in records
        ]


class TestKafkaPublisher(PublisherSuite):
    @pytest.fixture
    async def topic(self, backend: Backend) -> Reader:
        topic = KafkaTopic(f"suite.{uuid4().hex[:8]}")
        await ensure_topics(backend.kafka, [topic])
        return Reader(backend.kafka, topic)

    @pytest.fixture
    async def publisher(self, backend: Backend, topic: Reader) -> AsyncIterator[KafkaPublisher]:
        publisher = KafkaPublisher(backend.kafka, topic.topic)
        yield publisher
        await publisher.stop()
