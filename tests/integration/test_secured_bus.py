"""A closed bus: what is not allowed is refused, by our client and by Kafka's own tools; what is allowed works.

Starts a secured broker of its own. Whoever is refused is told so plainly.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)

from shared.contracts import plans
from shared.contracts.topics import TOPICS, Topic
from shared.devtools.backends import Backend, start
from shared.devtools.backends.certificates import Authority
from shared.devtools.backends.java import find_java
from shared.devtools.backends.kafka_jars import kafka_home
from shared.devtools.backends.kafka_secured import PARTNER
from shared.errors import Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import Rule, subscriber_rules
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.grants import grant
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.reach import check_broker_reachable
from shared.runtime.kafka.topics import ensure_topics
from shared.runtime.recovery.journal import journal_topic
from shared.services import SERVICES
from tests.integration.bus import admin_of, headers_of

PLANS = TOPICS["care.plans"]
FOREIGN = {
    "plans": "care.intake.journal",
    "attendance": "care.followup.journal",
    "intake": "care.plans.journal",
}
"""For some services a topic that is no business of theirs."""


@pytest.fixture(scope="module")
def closed() -> Iterator[Backend]:
    with start("embedded", quick=True, secured=True) as backend:
        yield backend


@pytest.fixture(scope="module")
async def ready(closed: Backend) -> Backend:
    """With all topics, one event on `care.plans`, and a partner who may read that."""
    for name in SERVICES:
        await ensure_topics(closed.kafka_of(name), [TOPICS[f"care.{name}"]])
        await ensure_topics(closed.kafka_of(name), [journal_topic(name)])
    await grant(closed.kafka, subscriber_rules(PARTNER, [PLANS.name]))
    await _publish(closed.kafka_of("plans"))
    return closed


async def _publish(kafka: KafkaConnection) -> None:
    event, subject = plans.GoalUpdated.example(), f"episode/{uuid4()}"
    entry = {"sequence": 1, "headers": headers_of(event, subject, 1), "data": event.data()}
    publisher = KafkaPublisher(kafka, PLANS)
    try:
        await publisher.publish({subject: [entry]})
    finally:
        await publisher.stop()


@asynccontextmanager
async def _consumer(kafka: KafkaConnection, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _read(kafka: KafkaConnection, topic: str, group: str | None = None) -> int:
    """How many messages are read of a topic before there is one. Raises what the client raises."""
    async with _consumer(kafka, group) as consumer:
        if group:
            consumer.subscribe([topic])
        else:
            consumer.assign([TopicPartition(topic, n) for n in range(12)])
        async with asyncio.timeout(20):
            while not (batches := await consumer.getmany(timeout_ms=500)):
                pass
        return sum(map(len, batches.values()))


# --- our own client ----------------------------------------------------------------------------------


async def test_each_does_what_it_has_to(ready: Backend) -> None:
    assert await _read(ready.kafka_of("plans"), PLANS.name) >= 1, "the tail of its own topic"
    assert await _read(ready.kafka_of("intake"), PLANS.name, group="intake") >= 1
    partner = ready.kafka_of(PARTNER)
    assert await _read(partner, PLANS.name, group=f"{PARTNER}.reports") >= 1


@pytest.mark.parametrize("user", [PARTNER, "intake", "attendance"])
async def test_nobody_else_publishes_on_a_topic(ready: Backend, user: str) -> None:
    producer = AIOKafkaProducer(**client_options(ready.kafka_of(user)))
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(PLANS.name, b"{}", b"episode/forged")
    finally:
        await producer.stop()
    if user != PARTNER:
        with pytest.raises(Unavailable) as refused:
            await _publish(ready.kafka_of(user))
        assert refused.value.code == "broker-access-denied"


@pytest.mark.parametrize(("user", "topic"), [*FOREIGN.items(), (PARTNER, "care.intake")])
async def test_a_foreign_topic_is_not_read(ready: Backend, user: str, topic: str) -> None:
    """aiokafka's consumer waits for partitions that it is never shown; Kafka's own answer is the code."""
    async with admin_of(ready.kafka_of(user)) as admin:
        assert topic not in await admin.list_topics()
        [described] = await admin.describe_topics([topic])
    assert for_code(described["error_code"]) is TopicAuthorizationFailedError
    assert not described["partitions"]
    with pytest.raises(Unavailable) as refused:
        await ensure_topics(ready.kafka_of(user), [Topic(topic)])
    assert refused.value.code == "topic-not-there-yet"


@pytest.mark.parametrize("user", [PARTNER, "intake"])
async def test_nobody_joins_the_group_of_another(ready: Backend, user: str) -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await _read(ready.kafka_of(user), PLANS.name, group="attendance")


@pytest.mark.parametrize("user", [PARTNER, "intake"])
async def test_nobody_but_the_administrator_gives_rights(ready: Backend, user: str) -> None:
    rules: list[Rule] = subscriber_rules("intruder", [PLANS.name])
    with pytest.raises(Unavailable) as refused:
        await grant(ready.kafka_of(user), rules)
    assert refused.value.code == "broker-access-denied"


async def test_an_anonymous_client_is_not_let_in(ready: Backend) -> None:
    with pytest.raises(KafkaError):
        await _read(KafkaConnection(kafka_bootstrap=ready.kafka_bootstrap), PLANS.name)


async def test_no_listener_of_the_broker_is_open(ready: Backend) -> None:
    """Also those that brokers and controllers use among themselves."""
    ca = Path(ready.kafka.kafka_ca_file)
    properties = (ca.parents[1] / "kafka.properties").read_text()
    [listeners] = [it for it in properties.splitlines() if it.startswith("listeners=")]
    addresses = [one.rpartition("//")[2] for one in listeners.split(",")]
    assert len(addresses) == 3
    own = Authority(ca.parents[1] / "another").issue("broker")
    for address in addresses:
        for settings in (
            {"kafka_security": "plaintext"},
            {
                "kafka_security": "ssl",
                "kafka_ca_file": str(ca),
                "kafka_certificate_file": str(own.certificate),
                "kafka_key_file": str(own.key),
            },
        ):
            with pytest.raises((KafkaConnectionError, TimeoutError)):
                await _read(KafkaConnection(kafka_bootstrap=address, **settings), PLANS.name)  # type: ignore[arg-type]


# --- Kafka's own tools -------------------------------------------------------------------------------


async def _tool(name: str, *arguments: str, text: str = "") -> str:
    """What a console tool prints, on either stream."""
    home = await asyncio.to_thread(kafka_home, print, lambda _what, _done: None)
    process = await asyncio.create_subprocess_exec(
        *(find_java().path, "-cp", home.classpath, name, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(text.encode()), 60)
    return out.decode()


def _tool_settings(kafka: KafkaConnection, path: Path) -> str:
    password = Path(kafka.kafka_password_file).read_text()
    path.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required"
        f' username="{kafka.kafka_username}" password="{password}";\n'
        f"ssl.truststore.type=PEM\nssl.truststore.location={kafka.kafka_ca_file}\n"
    )
    return str(path)


CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
PRODUCER = "org.apache.kafka.tools.ConsoleProducer"


async def test_kafkas_own_tools_are_held_to_the_same_rules(ready: Backend, tmp_path: Path) -> None:
    at = ("--bootstrap-server", ready.kafka_bootstrap)
    partner = _tool_settings(ready.kafka_of(PARTNER), tmp_path / "partner")
    intake = _tool_settings(ready.kafka_of("intake"), tmp_path / "intake")
    reading = ("--from-beginning", "--max-messages", "1", "--timeout-ms")
    as_partner = ("--consumer.config", partner, "--group", f"{PARTNER}.console")
    heard, written, foreign, anonymous = await asyncio.gather(
        _tool(CONSUMER, *at, "--topic", PLANS.name, *as_partner, *reading, "45000"),
        _tool(
            PRODUCER,
            *(*at, "--topic", PLANS.name, "--producer.config", partner),
            *("--producer-property", "enable.idempotence=false"),
            text="forged\n",
        ),
        _tool(
            CONSUMER,
            *(*at, "--topic", "care.plans.journal", "--consumer.config", intake),
            *("--group", "intake", *reading, "10000"),
        ),
        _tool(CONSUMER, *at, "--topic", PLANS.name, *reading, "10000"),
    )
    assert "Processed a total of 1 messages" in heard
    assert "TopicAuthorizationException" in written
    assert "TopicAuthorizationException" in foreign
    assert "Processed a total of 0 messages" in anonymous


# --- said plainly ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"kafka_username": "nobody"}, "broker-access-denied"),
        ({"kafka_password_file": "wrong"}, "broker-access-denied"),
        ({"kafka_ca_file": "foreign/ca.pem"}, "broker-certificate-untrusted"),
    ],
)
async def test_why_a_client_is_not_let_in_is_said_plainly(
    ready: Backend, tmp_path: Path, changed: dict[str, str], code: str
) -> None:
    (tmp_path / "wrong").write_text("another password")
    Authority(tmp_path / "foreign")
    files = {k: str(tmp_path / v) if k.endswith("_file") else v for k, v in changed.items()}
    await check_broker_reachable(ready.kafka_of("plans"))
    with pytest.raises(Unavailable) as refused:
        await check_broker_reachable(ready.kafka_of("plans").model_copy(update=files))
    assert refused.value.code == code
    assert refused.value.hint


async def test_a_client_without_tls_is_told_that_it_needs_it(ready: Backend) -> None:
    with pytest.raises(Unavailable, match="requires TLS") as refused:
        await check_broker_reachable(KafkaConnection(kafka_bootstrap=ready.kafka_bootstrap))
    assert refused.value.code == "broker-tls-differs"


async def test_a_service_with_a_wrong_password_says_so_in_its_log(
    ready: Backend, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another password")
    connection = ready.kafka_of("plans").model_copy(update={"kafka_password_file": str(wrong)})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.plans.app"),
        env={
            **os.environ,
            **connection.environment(),
            "MONGO_URI": ready.mongo_uri,
            "CARE_PORT": "0",
        },
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            async for line in process.stdout:
                entry = json.loads(line)
                if entry["event"] == "start.waiting":
                    assert entry["error_code"] == "broker-access-denied"
                    return
        pytest.fail("it said nothing")
    finally:
        process.kill()
        await process.wait()
