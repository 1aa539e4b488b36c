"""Creates topics on the broker as the catalogue describes them, compares them with it, and repairs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from shared.contracts.topics import Topic
from shared.errors import TopicMismatch, TopicSettingsDiffer, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import NamedAdmin, new_admin
from shared.runtime.kafka.producer import unavailable
from shared.runtime.logs import log

DESCRIBE_ATTEMPTS: Final = 100
SET_ON_TOPIC: Final = 1
"""Kafka's number for a value that was set on the topic itself, and not by a default."""


class Difference(NamedTuple):
    """A setting of a topic that is not what the catalogue says. Values are Kafka's own texts."""

    topic: str
    setting: str
    wanted: str
    found: str


class Found(NamedTuple):
    """A topic as the broker describes it."""

    partitions: int
    replicas: int


@asynccontextmanager
async def admin_client(kafka: KafkaConnection) -> AsyncGenerator[NamedAdmin]:
    """A started admin client. Raises `Unavailable` for whatever goes wrong while it is used."""
    admin = new_admin(kafka, request_timeout_ms=10_000)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await admin.close()


# --- creating ----------------------------------------------------------------------------------------


async def ensure_topics(
    kafka: KafkaConnection, topics: Iterable[Topic], replication: int = 1
) -> None:
    """Create the missing topics, in the order given, and check that all have the right number of partitions.

    `replication` is for new topics; an existing topic stays as it is. Raises `TopicMismatch` for a topic that differs,
    `Unavailable` while Kafka is away.
    """
    wanted = {topic.name: topic for topic in topics}
    async with admin_client(kafka) as admin:
        present = set(await admin.list_topics())
        for topic in wanted.values():
            if topic.name not in present:
                await _create(admin, topic, replication)
        found = await _described(admin, wanted)
    for name, one in found.items():
        if one.partitions != wanted[name].partitions:
            raise TopicMismatch(
                "topic-partitions-differ",
                f"{name} has {one.partitions} partitions; the catalogue says {wanted[name].partitions}.",
                hint="See the runbook: drain and migrate.",
            )


async def _create(admin: NamedAdmin, topic: Topic, replication: int) -> None:
    new = NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=replication,
        topic_configs=topic.settings(replication),
    )
    response: Any = await admin.create_topics([new])
    for _name, code, *_rest in response.topic_errors:
        error = for_code(code)
        if error is NoError:
            log.info("topic.created", topic=topic.name, partitions=topic.partitions)
        elif error is TopicAuthorizationFailedError:
            raise Unavailable(
                "topic-not-there-yet",
                f"{topic.name} does not exist or may not be read, and this user may not create it.",
                hint="Start the service that publishes on it: it creates its topic. Otherwise see `care topics acl`.",
            )
        elif error is not TopicAlreadyExistsError:
            raise error()


async def _described(admin: NamedAdmin, names: Iterable[str]) -> dict[str, Found]:
    """Topics as they are, as soon as the broker knows all of them."""
    for _ in range(DESCRIBE_ATTEMPTS):
        described: list[dict[str, Any]] = await admin.describe_topics(list(names))
        if all(entry["error_code"] == 0 and entry["partitions"] for entry in described):
            return {entry["topic"]: _found(entry) for entry in described}
        if any(
            for_code(entry["error_code"]) is TopicAuthorizationFailedError for entry in described
        ):
            raise TopicAuthorizationFailedError
        await asyncio.sleep(0.1)
    raise KafkaError("topics were created but are not described")


def _found(entry: Mapping[str, Any]) -> Found:
    partitions: list[Mapping[str, Any]] = entry["partitions"]
    return Found(len(partitions), min(len(partition["replicas"]) for partition in partitions))


async def topics_with_prefix(kafka: KafkaConnection, prefix: str) -> set[str]:
    """The topics whose names begin like this, as far as this user may see them. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        return {name for name in await admin.list_topics() if name.startswith(prefix)}


async def partition_counts(kafka: KafkaConnection, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has; 0 for one that does not exist. Raises `Unavailable`."""
    wanted = sorted(names)
    async with admin_client(kafka) as admin:
        present = set(await admin.list_topics())
        described: list[dict[str, Any]] = await admin.describe_topics(
            [name for name in wanted if name in present]
        )
    found = {entry["topic"]: entry for entry in described}
    if any(entry["error_code"] for entry in described):  # a broker or a leader is starting
        raise Unavailable(
            "broker-unavailable",
            "Kafka can't describe a topic now.",
            hint="Wait; a service tries again by itself.",
        )
    return {name: len(found[name]["partitions"]) if name in found else 0 for name in wanted}


# --- settings ----------------------------------------------------------------------------------------


async def check_settings(kafka: KafkaConnection, topics: Iterable[Topic]) -> None:
    """Raises `TopicSettingsDiffer` when a topic is set to lose, refuse or shorten what the catalogue wants kept."""
    differences = await setting_differences(kafka, topics)
    if differences:
        first = differences[0]
        raise TopicSettingsDiffer(
            "topic-config-differs",
            f"{first.topic} has {first.setting}={first.found}; the catalogue says {first.wanted}.",
            hint="`care topics check` lists all differences, and `care topics repair` corrects them.",
        )


async def setting_differences(kafka: KafkaConnection, topics: Iterable[Topic]) -> list[Difference]:
    """Where the settings of existing topics are not the catalogue's. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        found = await _settings(admin, topics)
    return [
        Difference(topic.name, setting, value, settings.get(setting, ""))
        for topic, replicas, settings in found
        for setting, value in topic.settings(replicas).items()
        if settings.get(setting, "") != value
    ]


async def partition_differences(
    kafka: KafkaConnection, topics: Iterable[Topic]
) -> list[Difference]:
    """Where topics have other partitions than the catalogue says: 0 for a missing one. Raises `Unavailable`."""
    wanted = {topic.name: topic.partitions for topic in topics}
    return [
        Difference(name, "partitions", str(wanted[name]), str(found))
        for name, found in (await partition_counts(kafka, wanted)).items()
        if found != wanted[name]
    ]


async def replication_differences(
    kafka: KafkaConnection, topics: Iterable[Topic], least: int = 1
) -> list[Difference]:
    """Topics with fewer replicas than `least`, or than another of these topics has. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        found = {topic.name: replicas for topic, replicas, _ in await _settings(admin, topics)}
    wanted = max(least, *found.values(), 0)
    return [
        Difference(name, "replication", str(wanted), str(replicas))
        for name, replicas in found.items()
        if replicas < wanted
    ]


async def replication_of(kafka: KafkaConnection, name: str) -> int | None:
    """How many replicas each partition of a topic has; None for a topic that is not there. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        if name not in await admin.list_topics():
            return None
        return (await _described(admin, [name]))[name].replicas


async def repair_settings(kafka: KafkaConnection, topics: Iterable[Topic]) -> None:
    """Set what differs as the catalogue says. What an operator set beside that stays. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        resources = [
            ConfigResource(
                ConfigResourceType.TOPIC,
                topic.name,
                await _set_on(admin, topic) | topic.settings(replicas),
            )
            for topic, replicas, _settings_found in await _settings(admin, topics)
        ]
        for response in await admin.alter_configs(resources):
            for code, *_rest in response.resources:
                error = for_code(code)
                if error is not NoError:
                    raise error()


async def _settings(
    admin: NamedAdmin, topics: Iterable[Topic]
) -> list[tuple[Topic, int, dict[str, str]]]:
    """For each topic that exists: its number of replicas and the settings that the catalogue names."""
    present = set(await admin.list_topics())
    wanted = [topic for topic in topics if topic.name in present]
    if not wanted:
        return []
    described = await _described(admin, [topic.name for topic in wanted])
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, dict.fromkeys(topic.settings(), ""))
        for topic in wanted
    ]
    values = {name: _texts(entries) for name, entries in await _configs(admin, resources)}
    return [(topic, described[topic.name].replicas, values[topic.name]) for topic in wanted]


async def _set_on(admin: NamedAdmin, topic: Topic) -> dict[str, str]:
    """All that is set on the topic itself: altering its settings replaces the whole list."""
    [(_, entries)] = await _configs(admin, [ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    return _texts(entry for entry in entries if entry[3] == SET_ON_TOPIC)


async def _configs(
    admin: NamedAdmin, resources: list[ConfigResource]
) -> list[tuple[str, list[tuple[Any, ...]]]]:
    found: list[tuple[str, list[tuple[Any, ...]]]] = []
    for response in await admin.describe_configs(resources):
        for code, _message, _type, name, entries in response.resources:
            error = for_code(code)
            if error is not NoError:
                raise error()
            found.append((name, entries))
    return found


def _texts(entries: Iterable[tuple[Any, ...]]) -> dict[str, str]:
    return {entry[0]: entry[1] for entry in entries}
