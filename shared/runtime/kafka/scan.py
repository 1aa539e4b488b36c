"""Reads a partition once, up to its end, outside any consumer group, to find what a topic holds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_consumer
from shared.runtime.kafka.producer import unavailable

BATCH_RECORDS: Final = 1_000
SILENT_MS: Final = 5_000
"""How long the broker may send nothing. Without a bound, a question to a broker that is gone would never end."""


async def scan(
    kafka: KafkaConnection, place: tuple[str, int], begin: int
) -> AsyncGenerator[list[ConsumerRecord[bytes, bytes]]]:
    """The messages of a partition from an offset up to the end that it has now, in batches.

    An offset that is not retained any more begins at the first that is. Raises `Unavailable`.
    """
    partition = TopicPartition(*place)
    consumer = new_consumer(kafka, enable_auto_commit=False, max_poll_records=BATCH_RECORDS)
    try:
        await consumer.start()
        end = (await consumer.end_offsets([partition]))[partition]
        first = (await consumer.beginning_offsets([partition]))[partition]
        consumer.assign([partition])
        consumer.seek(partition, max(first, min(begin, end)))
        while await consumer.position(partition) < end:
            batches = await consumer.getmany(timeout_ms=SILENT_MS)
            if not batches and await consumer.position(partition) < end:
                raise TimeoutError
            for batch in batches.values():
                if found := [message for message in batch if message.offset < end]:
                    yield found
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
