"""Offset commits: the one place where the consumer commits its offsets to Kafka.

The consumer commits offsets after the work is saved and never before. After a crash in between, some messages only
arrive again, and the inbox of their records recognises them. For the same reason a failed commit does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from shared.runtime.logs import log


class Committer(Protocol):
    """The part of a Kafka client that commits; raises `KafkaError`."""

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]], /) -> None:
        """Store the next offset of each partition, and a text beside it, for the group."""
        ...


async def commit_offsets(
    client: Committer, ends: Mapping[TopicPartition, int], store_id: str
) -> None:
    """Commit the next offset of each partition. Everything before them is saved or dead-lettered. Never raises.

    `store_id` says whose offsets they are: see `identity.py`.
    """
    try:
        await client.commit({partition: (offset, store_id) for partition, offset in ends.items()})
    except (CommitFailedError, IllegalStateError) as error:
        # The partitions moved meanwhile: their next owner reads again, and the inbox recognises what was applied.
        log.info("commit.moved_on", exception=type(error).__name__)
    except KafkaError as error:
        # A later commit covers this one.
        log.warning("commit.failed", exception=type(error).__name__)
