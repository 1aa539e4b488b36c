"""Topics, cluster, group and store that are not what a service has worked with, on a real Kafka."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts import intake
from shared.contracts.topics import TOPICS, Topic
from shared.devtools.backends import Backend
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.topics import repair_settings, setting_differences
from tests.integration.bus import Bus, admin_of, until
from tests.integration.redriven import Rules, admission, episode, running

GROUP = "plans"
INTAKE = TOPICS["care.intake"]


async def _set(backend: Backend, topic: Topic, settings: Mapping[str, str]) -> None:
    async with admin_of(backend.kafka) as admin:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic.name, {**topic.settings(), **settings})]
        )


# --- settings ----------------------------------------------------------------------------------------


async def test_topics_are_made_as_the_catalogue_says(backend: Backend, bus: Bus) -> None:
    assert await setting_differences(backend.kafka, TOPICS.values()) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "3600000"),
        ("retention.bytes", "1048576"),
        ("max.message.bytes", "1000"),
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "true"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.before.max.ms", "3600000"),
    ],
)
async def test_a_setting_that_differs_is_found_and_repaired(
    backend: Backend, bus: Bus, setting: str, value: str
) -> None:
    await _set(backend, INTAKE, {setting: value, "segment.bytes": "104857600"})
    [found] = await setting_differences(backend.kafka, TOPICS.values())
    assert (found.topic, found.setting, found.found) == ("care.intake", setting, value)
    await repair_settings(backend.kafka, [INTAKE])
    assert await setting_differences(backend.kafka, TOPICS.values()) == []
    kept = Topic(INTAKE.name)
    async with admin_of(backend.kafka) as admin:
        wanted = ConfigResource(ConfigResourceType.TOPIC, kept.name, {"segment.bytes": ""})
        [response] = await admin.describe_configs([wanted])
    assert response.resources[0][4][0][1] == "104857600", "what an operator has set beside it stays"


async def test_a_running_service_publishes_nothing_until_its_topics_are_repaired(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with running(backend, prefix, bus, Rules(), topics_check_seconds=0.2) as it:
        await it.admit(1)
        await _set(backend, TOPICS["care.plans"], {"cleanup.policy": "compact"})
        await it.until_reason("topic-config-differs")
        subject = episode()
        tp = await bus.say(admission(), subject, 1)
        await it.heard(tp)
        [document] = await it.documents(subject)
        assert document["outbox"], "its event waits"
        await repair_settings(backend.kafka, TOPICS.values())
        await until(lambda: not it.runtime.not_ready(), what="readiness by itself")

        async def published() -> bool:
            return (await it.documents(subject))[0]["outbox"] == []

        await until(published, what="its event on the topic")


async def test_a_service_starts_once_its_topics_are_repaired(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    await _set(backend, INTAKE, {"retention.ms": "1000"})
    async with running(backend, prefix, bus, Rules(), ready=False) as it:
        await it.until_reason("topic-config-differs")
        await repair_settings(backend.kafka, TOPICS.values())
        await until(lambda: not it.runtime.not_ready(), what="readiness by itself")


# --- identity ----------------------------------------------------------------------------------------


async def test_a_second_environment_on_the_same_topics_is_refused(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """Its service has published nothing, so that no topic could show it."""
    async with running(backend, prefix, bus, Rules()) as it:
        await it.admit(2)
        async with running(backend, f"{prefix}b_", bus, Rules(), ready=False) as other:
            await other.until_reason("store-lost")


async def test_a_lost_store_is_refused_though_its_service_has_published_nothing(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with running(backend, prefix, bus, Rules(publishes=False)) as it:
        await it.admit(2)
        await it.runtime.store.database.client.drop_database(it.runtime.store.database.name)
    async with running(backend, prefix, bus, Rules(publishes=False), ready=False) as it:
        await it.until_reason("store-lost")


async def test_a_store_of_another_cluster_is_refused(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with running(backend, prefix, bus, Rules()) as it:
        await it.admit(1)
        await it.runtime.store.set_metadata("identity", {"cluster_id": "another"})
        await it.until_reason("cluster-differs")


async def test_offsets_that_were_set_forward_skip_nothing(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """As `kafka-consumer-groups --reset-offsets --to-latest` does it, while the service is down."""
    async with running(backend, prefix, bus, Rules()) as it:
        await it.admit(1)
    missed = [episode() for _ in range(3)]
    for subject in missed:
        await bus.say(admission(), subject, 1)
        await bus.say(intake.LevelRecommended.example(), subject, 2)
    await _set_forward(backend)
    async with running(backend, prefix, bus, Rules()) as it:

        async def applied() -> bool:
            return len(await it.documents(*missed)) == len(missed)

        await until(applied, what="what the offsets skip")


async def _set_forward(backend: Backend) -> None:
    partitions = [TopicPartition(INTAKE.name, n) for n in range(INTAKE.partitions)]
    consumer = AIOKafkaConsumer(**client_options(backend.kafka), group_id=GROUP)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.commit(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()
