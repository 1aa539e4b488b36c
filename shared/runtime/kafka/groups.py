"""What Kafka knows about consumer groups: how far each one has come in which topic, and its commits' metadata."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.outlets import is_outlet
from shared.contracts.topics import TOPICS
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_consumer
from shared.runtime.kafka.producer import unavailable
from shared.runtime.kafka.topics import admin_client


class Committed(NamedTuple):
    """What a group has committed for one partition."""

    offset: int
    metadata: str
    behind: int
    """Messages that follow in the partition. A message that a group has handled and not committed counts."""


async def committed(kafka: KafkaConnection) -> dict[str, dict[tuple[str, int], Committed]]:
    """What every group has committed on the topics of events, by group and partition. Raises `Unavailable`.

    A group that has never committed, or only elsewhere, is left out.
    """
    async with admin_client(kafka) as admin:
        offsets = {
            group: await admin.list_consumer_group_offsets(group)
            for group in await admin.list_consumer_groups()
        }
    read = {
        group: {place: one for place, one in found.items() if _has_events(place.topic)}
        for group, found in offsets.items()
    }
    ends = await _ends(kafka, {place for found in read.values() for place in found})
    return {
        group: {
            (place.topic, place.partition): Committed(
                one.offset, one.metadata or "", max(0, ends.get(place, one.offset) - one.offset)
            )
            for place, one in found.items()
        }
        for group, found in read.items()
        if found
    }


def _has_events(topic: str) -> bool:
    return topic in TOPICS or is_outlet(topic)


async def _ends(
    kafka: KafkaConnection, places: set[TopicPartition]
) -> Mapping[TopicPartition, int]:
    """Where these partitions end; one whose topic is gone is left out."""
    async with admin_client(kafka) as admin:
        there = set(await admin.list_topics())
    wanted = sorted(place for place in places if place.topic in there)
    if not wanted:
        return {}
    consumer = new_consumer(kafka, enable_auto_commit=False)
    try:
        await consumer.start()
        return await consumer.end_offsets(wanted)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
