"""Creates every Kafka client of this project: connected as the settings say, with the names of the catalogue.

Callers pass and receive the catalogue's names of topics and groups, whatever these are called on the cluster
(`names.py`). No other module creates a client (`tests/architecture/test_kafka_options.py`), so no other module meets a
name of the cluster.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource
from faststream.kafka import KafkaBroker

from shared.kit.batches import EscapedName, accept_any_name, patch_fetcher
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.names import Names

POLL_RECORDS_MAX: Final = 2_000
"""A small batch can hold a million messages; this many are given out at once, unless a caller says otherwise."""


def new_consumer(kafka: KafkaConnection, **settings: Any) -> NamedConsumer:
    """A consumer, not yet started. Raises `ConfigurationError` for settings that can't be used."""
    options: dict[str, Any] = {"max_poll_records": POLL_RECORDS_MAX} | settings
    return NamedConsumer(names=Names.of(kafka), **client_options(kafka), **options)


def new_producer(kafka: KafkaConnection, **settings: Any) -> NamedProducer:
    """A producer, not yet started. Raises `ConfigurationError` for settings that can't be used."""
    return NamedProducer(names=Names.of(kafka), **client_options(kafka), **settings)


def new_admin(kafka: KafkaConnection, **settings: Any) -> NamedAdmin:
    """An admin client, not yet started. Raises `ConfigurationError` for settings that can't be used."""
    return NamedAdmin(Names.of(kafka), AIOKafkaAdminClient(**client_options(kafka), **settings))


async def name_consumers(broker: KafkaBroker, kafka: KafkaConnection) -> None:
    """Have FastStream's consumers speak our names too. Call it before the broker starts; it connects the broker."""
    await broker.connect()
    config: Any = broker.config.broker_config
    options = {**config.builder.keywords, "names": Names.of(kafka)}
    config.builder = partial(NamedConsumer, **options)


class NamedConsumer(AIOKafkaConsumer):
    """A consumer whose topics, group and messages have our names."""

    def __init__(self, *, names: Names, group_id: str | None = None, **settings: Any) -> None:
        patch_fetcher()  # whoever reads a topic meets whatever lies on it
        self._names = names
        group = None if group_id is None else names.on_cluster(group_id)
        super().__init__(group_id=group, **settings)

    def _there(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        return [self._names.partition_on_cluster(partition) for partition in partitions]

    def _here(self, found: Mapping[TopicPartition, Any]) -> dict[TopicPartition, Any]:
        return {self._names.partition_of_ours(place): value for place, value in found.items()}

    def subscribe(
        self,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        listener: ConsumerRebalanceListener | None = None,
    ) -> None:
        if pattern is not None:
            raise NotImplementedError("a pattern would find topics of other environments")
        named = None if listener is None else _NamedListener(self._names, listener)
        super().subscribe([self._names.on_cluster(topic) for topic in topics], listener=named)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        super().assign(self._there(partitions))

    def assignment(self) -> set[TopicPartition]:
        return {self._names.partition_of_ours(place) for place in super().assignment()}

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        there = self._there(partitions)
        found = await super().getmany(*there, timeout_ms=timeout_ms, max_records=max_records)
        if self._names.prefix:
            for message in (message for batch in found.values() for message in batch):
                message.topic = self._names.of_ours(message.topic)
        return self._here(found)

    async def getone(self, *partitions: TopicPartition) -> ConsumerRecord[bytes, bytes]:
        message = await super().getone(*self._there(partitions))
        message.topic = self._names.of_ours(message.topic)
        return message

    async def commit(
        self, offsets: Mapping[TopicPartition, int | tuple[int, str]] | None = None
    ) -> None:
        if offsets is None:
            raise NotImplementedError("only offsets whose work is saved are committed")
        on_cluster = self._names.partition_on_cluster
        await super().commit({on_cluster(place): value for place, value in offsets.items()})

    async def committed(self, partition: TopicPartition) -> int | None:
        return await super().committed(self._names.partition_on_cluster(partition))

    async def position(self, partition: TopicPartition) -> int:
        return await super().position(self._names.partition_on_cluster(partition))

    def highwater(self, partition: TopicPartition) -> int | None:
        return super().highwater(self._names.partition_on_cluster(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        super().seek(self._names.partition_on_cluster(partition), offset)

    def pause(self, *partitions: TopicPartition) -> None:
        super().pause(*self._there(partitions))

    def resume(self, *partitions: TopicPartition) -> None:
        super().resume(*self._there(partitions))

    async def seek_to_beginning(self, *partitions: TopicPartition) -> bool:
        return await super().seek_to_beginning(*self._there(partitions))

    async def seek_to_end(self, *partitions: TopicPartition) -> bool:
        return await super().seek_to_end(*self._there(partitions))

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._here(await super().end_offsets(self._there(partitions)))

    async def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        return self._here(await super().beginning_offsets(self._there(partitions)))


class _NamedListener(ConsumerRebalanceListener):
    """Tells a listener of partitions under our names."""

    def __init__(self, names: Names, listener: ConsumerRebalanceListener) -> None:
        self._names = names
        self._listener: Any = listener

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._listener.on_partitions_revoked(set(map(self._names.partition_of_ours, revoked)))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._listener.on_partitions_assigned(
            set(map(self._names.partition_of_ours, assigned))
        )


class NamedProducer(AIOKafkaProducer):
    """A producer that sends to topics by our names."""

    def __init__(self, *, names: Names, **settings: Any) -> None:
        self._names = names
        super().__init__(**settings)

    async def send(self, topic: str, *message: Any, **options: Any) -> Any:
        """What `AIOKafkaProducer.send` does, and with it `send_and_wait`."""
        return await super().send(self._names.on_cluster(topic), *message, **options)

    async def send_again(
        self, topic: str, message: ConsumerRecord[bytes, bytes], partition: int
    ) -> None:
        """Send a message as it came, byte for byte, also with header names that are not UTF-8. `flush` waits for it."""
        headers = list(message.headers)
        if not any(isinstance(name, EscapedName) for name, _ in headers):
            stamp = message.timestamp
            await self.send(topic, message.value, message.key, partition, stamp, headers=headers)
            return
        own: Any = self
        batch = accept_any_name(own.create_batch())
        batch.append(
            timestamp=message.timestamp, key=message.key, value=message.value, headers=headers
        )
        await own.send_batch(batch, self._names.on_cluster(topic), partition=partition)


class NamedAdmin:
    """The part of an admin client that we use, under our names."""

    def __init__(self, names: Names, client: AIOKafkaAdminClient) -> None:
        self.names = names
        self._client = client

    async def start(self) -> None:
        await self._client.start()

    async def close(self) -> None:
        await self._client.close()

    async def send(self, request: Any) -> Any:
        """Send a request for which aiokafka has no call; the names in it are the cluster's."""
        return await self._client._send_request(request)  # noqa: SLF001 - the one place for it

    async def create_topics(self, topics: Iterable[NewTopic]) -> Any:
        there = list(map(copy.copy, topics))
        for topic in there:
            topic.name = self.names.on_cluster(topic.name)
        return await self._client.create_topics(there)

    async def delete_topics(self, topics: Iterable[str]) -> Any:
        return await self._client.delete_topics([self.names.on_cluster(name) for name in topics])

    async def list_topics(self) -> list[str]:
        """The topics of this environment; without a prefix, all of the cluster."""
        names = self.names
        return [names.of_ours(n) for n in await self._client.list_topics() if names.ours(n)]

    async def describe_topics(self, topics: Iterable[str]) -> list[dict[str, Any]]:
        there = [self.names.on_cluster(name) for name in topics]
        found: list[dict[str, Any]] = await self._client.describe_topics(there)
        return [{**entry, "topic": self.names.of_ours(entry["topic"])} for entry in found]

    async def describe_configs(self, resources: Iterable[ConfigResource]) -> list[Any]:
        return self._here(await self._client.describe_configs(self._there(resources)))

    async def alter_configs(self, resources: Iterable[ConfigResource]) -> list[Any]:
        return await self._client.alter_configs(self._there(resources))

    def _there(self, resources: Iterable[ConfigResource]) -> list[ConfigResource]:
        there = list(map(copy.copy, resources))
        for resource in there:
            resource.name = self.names.on_cluster(resource.name)
        return there

    def _here(self, responses: Iterable[Any]) -> list[Any]:
        """The answers with our names: each resource is (code, message, type, name, entries)."""
        return [
            SimpleNamespace(
                resources=[
                    (code, text, kind, self.names.of_ours(name), *entries)
                    for code, text, kind, name, *entries in response.resources
                ]
            )
            for response in responses
        ]

    async def find_coordinator(self, group: str) -> int:
        return await self._client.find_coordinator(self.names.on_cluster(group))

    async def list_consumer_groups(self) -> list[str]:
        """The groups of this environment that have committed; without a prefix, all of the cluster."""
        names = self.names
        found = await self._client.list_consumer_groups()
        return sorted(names.of_ours(group) for group, *_ in found if names.ours(group))

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        found = await self._client.list_consumer_group_offsets(self.names.on_cluster(group))
        return {
            self.names.partition_of_ours(place): value
            for place, value in found.items()
            if self.names.ours(place.topic)
        }

    async def describe_consumer_groups(self, groups: Iterable[str]) -> list[Any]:
        there = [self.names.on_cluster(group) for group in groups]
        return await self._client.describe_consumer_groups(there)
