"""Outlet on a closed bus: it runs with its rules and no others, and a team reads its own outlet and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from shared.contracts import attendance
from shared.contracts.outlets import OUT_SEQUENCE, outlet_topic
from shared.contracts.topics import PARTITIONS, TOPICS, Topic
from shared.devtools.backends import Backend, start
from shared.devtools.backends.kafka_secured import PARTNER
from shared.errors import Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import subscriber_rules
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.grants import grant
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.topics import ensure_topics
from shared.services import OUTLET, SERVICES
from tests.integration.bus import admin_of, headers_of, until
from tests.integration.test_outlet import file_of, outlet

OWN = outlet_topic(PARTNER)
NOT_ITS_OWN = ("care.attendance", outlet_topic("quality"), outlet_topic(f"{PARTNER}-2"))


@pytest.fixture(scope="module")
def closed() -> Iterator[Backend]:
    with start("embedded", quick=True, secured=True) as backend:
        yield backend


@pytest.fixture(scope="module")
async def filled(closed: Backend, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """One event of the team's facility and one of another's, passed on by outlet with its own user."""
    for name in SERVICES:
        await ensure_topics(closed.kafka_of(name), [TOPICS[f"care.{name}"]])
    names = (outlet_topic(PARTNER, 2), *NOT_ITS_OWN[1:])
    await ensure_topics(closed.kafka_of(OUTLET), [Topic(name) for name in names])
    await grant(closed.kafka, subscriber_rules(PARTNER, [OWN]))
    event = attendance.SessionAttended.example()
    publisher = KafkaPublisher(closed.kafka_of("attendance"), TOPICS["care.attendance"])
    for facility in ("harbor-iop", "lakeside-iop"):
        subject = f"episode/{uuid4()}"
        headers = headers_of(event, subject, 1, facilityid=facility)
        entry = {"sequence": 1, "headers": headers, "data": event.data()}
        await publisher.publish({subject: [entry]})
    await publisher.stop()
    folder: Path = tmp_path_factory.mktemp("subscribers")
    (folder / f"{PARTNER}.toml").write_text(file_of(PARTNER))
    with outlet(closed, f"test_{uuid4().hex[:12]}_", folder):

        async def is_there() -> bool:
            async with admin_of(closed.kafka) as admin:
                return any(name.startswith(f"{OWN}.") for name in await admin.list_topics()) and (
                    bool(await _read(closed.kafka, outlet_topic(PARTNER, 3)))
                )

        await until(is_there, what="the outlet", limit_s=60)
    return closed


async def _read(kafka: KafkaConnection, topic: str) -> list[Any]:
    async with admin_of(kafka) as admin:
        if topic not in await admin.list_topics():
            return []
    options: dict[str, Any] = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = AIOKafkaConsumer(**client_options(kafka), **options)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        found = await consumer.getmany(timeout_ms=2_000)
        return [one for batch in found.values() for one in batch]
    finally:
        await consumer.stop()


async def test_the_team_reads_what_its_facility_has_and_no_more(filled: Backend) -> None:
    """The topics that were there already are never used again: this one is the third."""
    [one] = await _read(filled.kafka_of(PARTNER), outlet_topic(PARTNER, 3))
    headers = dict(one.headers)
    assert headers["ce_facilityid"] == b"harbor-iop"
    assert int(headers[OUT_SEQUENCE]) == 1


@pytest.mark.parametrize("topic", NOT_ITS_OWN)
async def test_the_team_sees_nothing_else(filled: Backend, topic: str) -> None:
    async with admin_of(filled.kafka_of(PARTNER)) as admin:
        assert topic not in await admin.list_topics()
        [described] = await admin.describe_topics([topic])
    assert for_code(described["error_code"]) is TopicAuthorizationFailedError


@pytest.mark.parametrize("user", [PARTNER, "intake", "attendance"])
async def test_nobody_but_outlet_writes_an_outlet(filled: Backend, user: str) -> None:
    producer = AIOKafkaProducer(**client_options(filled.kafka_of(user)))
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            async with asyncio.timeout(30):
                await producer.send_and_wait(outlet_topic(PARTNER, 3), b"{}", b"episode/forged")
    finally:
        await producer.stop()
    with pytest.raises(Unavailable):
        await ensure_topics(filled.kafka_of(user), [Topic(outlet_topic("new"))])


@pytest.mark.parametrize("topic", ["care.attendance", "care.intake"])
async def test_outlet_writes_no_topic_of_a_service(filled: Backend, topic: str) -> None:
    producer = AIOKafkaProducer(**client_options(filled.kafka_of(OUTLET)))
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topic, b"{}", b"episode/forged")
    finally:
        await producer.stop()
