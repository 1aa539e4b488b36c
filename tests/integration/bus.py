"""What the tests on real servers share: topics made afresh, records sent by hand, and waiting without sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from shared.contracts.event import Envelope, Event
from shared.decision import derive_id
from shared.devtools.backends import Backend
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.partitions import partition_of
from shared.runtime.kafka.connection import client_options

FACILITY = "harbor-iop"
LOOK_AGAIN_S = 0.02


async def until(condition: Callable[[], Any], *, what: str = "it", limit_s: float = 30.0) -> Any:
    """Wait until `condition()` (or what it awaits) is true, and give that back."""
    deadline = monotonic() + limit_s
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        if monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {limit_s} s")
        await asyncio.sleep(LOOK_AGAIN_S)


@asynccontextmanager
async def admin_of(kafka: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def forget_topics(backend: Backend) -> None:
    """Delete every topic of the catalogue, and with them the offsets that groups have committed on them."""
    async with admin_of(backend.kafka) as admin:

        async def ours() -> list[str]:
            return [name for name in await admin.list_topics() if name.startswith("care.")]

        if names := await ours():
            await admin.delete_topics(names)

        async def gone() -> bool:
            return not await ours()

        await until(gone, what="deleting the topics")


def headers_of(
    event: Event, subject: str, sequence: int, *, event_id: str | None = None, **changes: str
) -> dict[str, str]:
    """The headers of a well-formed event, some of them changed."""
    name = event_id or derive_id(event.TYPE, subject, str(sequence))
    now = datetime.now(UTC)
    envelope = Envelope(
        id=name,
        source=event.SOURCE,
        type=event.TYPE,
        subject=subject,
        sequence=sequence,
        time=now,
        correlationid=name,
        causationid=name,
        facilityid=FACILITY,
        actorrole="system",
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
    )
    return envelope.headers() | {f"ce_{key}": value for key, value in changes.items()}


class Bus:
    """Sends records as any publisher could, well-formed or not, and asks how far a group has come."""

    def __init__(self, producer: AIOKafkaProducer, admin: AIOKafkaAdminClient) -> None:
        self._producer = producer
        self._admin = admin

    async def send(
        self,
        topic: str,
        headers: Mapping[str, str | bytes],
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = 0,
    ) -> TopicPartition:
        raw = [(n, v if isinstance(v, bytes) else v.encode()) for n, v in headers.items()]
        sent = await self._producer.send_and_wait(
            topic, value, key=key, partition=partition, headers=raw
        )
        self.offset: int = sent.offset
        return TopicPartition(sent.topic, sent.partition)

    async def say(
        self,
        event: Event,
        subject: str,
        sequence: int,
        *,
        value: bytes | None = b"",
        event_id: str | None = None,
        **changes: str,
    ) -> TopicPartition:
        """Send an event to where it belongs; `value` and headers may be spoilt."""
        data = event.data() if value == b"" else value
        headers = headers_of(event, subject, sequence, event_id=event_id, **changes)
        partition = partition_of(subject, 12)
        return await self.send(
            event.SOURCE, headers, data, key=subject.encode(), partition=partition
        )

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        try:
            found = await self._admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:  # the broker has not had a group yet
            return {}
        return {tp: meta.offset for tp, meta in found.items()}

    async def heard(self, group: str, tp: TopicPartition) -> None:
        """Wait until the group has committed past what was sent last."""
        wanted = self.offset

        async def past() -> bool:
            return (await self.committed(group)).get(tp, 0) > wanted

        await until(past, what=f"{group} hearing {tp.topic}/{tp.partition}@{wanted}")


@asynccontextmanager
async def bus_to(kafka: KafkaConnection) -> AsyncIterator[Bus]:
    producer = AIOKafkaProducer(**client_options(kafka), max_request_size=1024 * 1024)
    await producer.start()
    try:
        async with admin_of(kafka) as admin:
            yield Bus(producer, admin)
    finally:
        await producer.stop()
