"""What Kafka knows about consumer groups: how far each one has come in which topic, and its commits' metadata."""

from __future__ import annotations

from typing import NamedTuple

from shared.contracts.outlets import is_outlet
from shared.contracts.topics import TOPICS, Topic
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.startup_checks import end_offsets
from shared.runtime.kafka.topics import admin_client


class Committed(NamedTuple):
    """What a group has committed for one partition."""

    offset: int
    metadata: str
    behind: int
    """Messages that follow in the partition. A message that a group has handled and not committed counts."""


async def committed(kafka: KafkaConnection) -> dict[str, dict[tuple[str, int], Committed]]:
    """What every group has committed on the topics of events, by group and partition. Raises `Unavailable`.

    A group that has never committed, or only on other topics or on topics that are gone, is left out.
    """
    async with admin_client(kafka) as admin:
        offsets = {
            group: await admin.list_consumer_group_offsets(group)
            for group in await admin.list_consumer_groups()
        }
        there = [name for name in await admin.list_topics() if name in TOPICS or is_outlet(name)]
    ends = await end_offsets(kafka, map(Topic, there))
    read = {
        group: {
            (place.topic, place.partition): Committed(
                one.offset,
                one.metadata or "",
                max(0, ends[place.topic][place.partition] - one.offset),
            )
            for place, one in found.items()
            if place.partition < len(ends.get(place.topic, ()))
        }
        for group, found in offsets.items()
    }
    return {group: found for group, found in read.items() if found}
