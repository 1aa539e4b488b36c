"""Clients that are not ours read the bus: Kafka's own console consumer shows the CloudEvents headers."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

from shared.contracts import attendance
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.devtools.backends.java import find_java
from shared.devtools.backends.kafka_jars import kafka_home
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.topics import ensure_topics
from tests.integration.bus import headers_of

PRINTED = ("print.headers=true", "print.key=true", "headers.separator=;", "key.separator=|")


async def test_kafkas_console_consumer_shows_the_headers(backend: Backend) -> None:
    event = attendance.SessionAttended.example()
    subject = f"episode/{uuid4()}"
    topic = TOPICS[event.SOURCE]
    await ensure_topics(backend.kafka, [topic])
    publisher = KafkaPublisher(backend.kafka, topic)
    headers = headers_of(event, subject, 1)
    await publisher.publish({subject: [{"sequence": 1, "headers": headers, "data": event.data()}]})
    await publisher.stop()

    shown = [line for line in await _console(backend, topic.name) if subject in line]

    assert len(shown) == 1
    told, key, data = shown[0].split("|", 2)
    assert dict(pair.split(":", 1) for pair in told.split(";")) == headers
    assert key == subject
    assert json.loads(data) == json.loads(event.data())


async def _console(backend: Backend, topic: str) -> list[str]:
    """What the console consumer prints of a topic, until nothing comes for a while."""
    home = await asyncio.to_thread(kafka_home, print, lambda _what, _done: None)
    process = await asyncio.create_subprocess_exec(
        find_java().path,
        "-cp",
        home.classpath,
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", backend.kafka_bootstrap, "--topic", topic),
        *("--from-beginning", "--timeout-ms", "5000"),
        *(argument for name in PRINTED for argument in ("--property", name)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out.decode().splitlines()
