"""Reads a partition once, up to its end, outside any consumer group, to find what a topic holds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.kit.to_the_end import read_to
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_consumer
from shared.runtime.kafka.producer import unavailable

BATCH_RECORDS: Final = 1_000


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
        async for _, batch in read_to(consumer, {partition: end}):
            yield batch
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
