"""The three witnesses that the account is made from, and how they are asked.

The driver's own journal of accepted commands, the topics as any subscriber reads them, and a few stored fields that are
published as a contract (docs/architecture.md, "Stored fields"): `next_sequence`, `inbox`, `outbox`, `handoffs`,
`blocked`, `due`, the note `service`, and `cause_id` in the audit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiokafka import TopicPartition
from pymongo import AsyncMongoClient

from demo.journal import Accepted
from shared.contracts.topics import TOPICS
from shared.kit.to_the_end import read_to
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_consumer

Document = dict[str, Any]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Heard:
    """One record of a topic, as a subscriber reads it."""

    topic: str
    partition: int
    offset: int
    headers: Mapping[str, str]
    data: Mapping[str, Any]

    @property
    def type(self) -> str:
        return self.headers["ce_type"]

    @property
    def subject(self) -> str:
        return self.headers["ce_subject"]

    @property
    def sequence(self) -> int:
        return int(self.headers["ce_sequence"])

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.headers["ce_time"])

    @property
    def id(self) -> str:
        return self.headers["ce_id"]


@dataclass(slots=True)
class Kept:
    """What one service's store shows: the published fields of its records."""

    records: dict[str, Document] = field(default_factory=dict[str, Document])
    wanted: frozenset[str] = frozenset()
    dead_letters: int = 0
    """Those that still wait for an operator; one that was redriven or discarded is settled."""
    audited: frozenset[str] | None = None
    """The commands that the audit says were applied, by the cause that their events name; None: it was not asked."""


@dataclass(slots=True)
class Evidence:
    """All that the ledger judges by."""

    accepted: Sequence[Accepted]
    heard: Sequence[Heard]
    kept: Mapping[str, Kept]
    lag: Mapping[str, int]
    """Records not yet committed, by consumer group."""
    now: datetime
    """The domain time at the end."""


async def gather(
    kafka: KafkaConnection,
    mongo_uri: str,
    prefix: str,
    services: Sequence[str],
    accepted: Sequence[Accepted],
    now: datetime,
) -> Evidence:
    """Read the topics from the beginning, and the published fields of every store."""
    heard = await read_topics(kafka)
    kept = {service: await _read_store(mongo_uri, f"{prefix}{service}") for service in services}
    lag = {service: await _lag(kafka, service, kept[service].wanted) for service in services}
    return Evidence(accepted, heard, kept, lag, now)


async def read_topics(kafka: KafkaConnection) -> list[Heard]:
    """Every record of every topic, in order per partition."""
    consumer = new_consumer(kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)
        ]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        left = {tp: end for tp, end in ends.items() if end > 0}
        heard: list[Heard] = []
        if not left:
            return heard
        consumer.assign(list(left))
        await consumer.seek_to_beginning(*left)
        async for _, records in read_to(consumer, left):
            heard += [
                Heard(
                    record.topic,
                    record.partition,
                    record.offset,
                    {name: value.decode() for name, value in record.headers},
                    json.loads(record.value or b"null"),
                )
                for record in records
            ]
        return heard
    finally:
        await consumer.stop()


async def _read_store(uri: str, database: str) -> Kept:
    client: AsyncMongoClient[Document] = AsyncMongoClient(uri, tz_aware=True, tzinfo=UTC)
    try:
        base = client[database]
        fields = (
            "next_sequence",
            "inbox",
            "outbox.sequence",
            "handoffs.number",
            "blocked",
            "due",
        )
        projection = dict.fromkeys(fields, 1)
        kept = Kept()
        async for record in base["records"].find({}, projection):
            if "due" in record:
                record["due"] = EPOCH + timedelta(microseconds=record["due"])
            kept.records[record["_id"]] = record
        metadata = await base["metadata"].find_one({"_id": "service"}) or {}
        kept.wanted = frozenset(metadata.get("wanted", ()))
        open_ones = base["dead_letters"].find({"status": "open"}, {"_id": 1})
        kept.dead_letters = len(await open_ones.to_list())
        applied = {"kind": "command", "outcome": "applied"}
        entries = await base["audit"].find(applied, {"cause_id": 1}).to_list()
        kept.audited = frozenset(entry["cause_id"] for entry in entries)
        return kept
    finally:
        await client.close()


async def _lag(kafka: KafkaConnection, group: str, wanted: frozenset[str]) -> int:
    """Records between what the group has committed and the end, over the topics it hears."""
    topics = {event_type.rsplit(".", 2)[0] for event_type in wanted}
    consumer = new_consumer(kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(name, n) for name in topics for n in range(TOPICS[name].partitions)
        ]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        behind = 0
        for tp in partitions:
            behind += ends[tp] - (await consumer.committed(tp) or 0)
        return behind
    finally:
        await consumer.stop()
