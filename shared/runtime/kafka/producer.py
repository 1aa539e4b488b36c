"""The supervised Kafka producer, and a reader of the last messages of a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaStorageError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    SecurityDisabled,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from shared.contracts.topics import MAX_MESSAGE_BYTES, PARTITIONS, Topic
from shared.errors import TooLarge, Unavailable
from shared.kit.to_the_end import BrokerSilent, read_to
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.outbox import wire_headers
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.relay import Entries
from shared.runtime.kafka.clients import new_consumer, new_producer

JOURNAL_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""A whole record with its outbox, compressed, has to fit."""
ACKNOWLEDGED_WITHIN_SECONDS: Final = 30.0


NOT_ALLOWED: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
"""The broker answered: it does not know this user, or does not let it do this. Waiting does not help."""


def unavailable(error: Exception) -> Unavailable:
    """Kafka's own error as one of ours, with its type and without its message."""
    if isinstance(error, NOT_ALLOWED):
        return Unavailable(
            "broker-access-denied",
            f"Kafka does not allow this user this operation ({type(error).__name__}).",
            hint="Check KAFKA_USERNAME and its password; `care topics acl` prints the rules that a user needs.",
        )
    if isinstance(error, SecurityDisabled):
        return Unavailable(
            "broker-without-authorizer",
            "This Kafka has no authorizer: everybody may do everything on it, and it stores no access rules.",
            hint="Configure an authorizer on the brokers (docker-compose.yml has one), or omit the rules.",
        )
    if isinstance(error, KafkaStorageError):
        return Unavailable(
            "broker-disk-failing",
            "Kafka can't write to its disk: most likely it is full.",
            hint="Free disk space on the broker. Nothing is lost: events wait in their outboxes.",
        )
    if isinstance(error, BrokerSilent):
        return Unavailable(
            "broker-silent",
            str(error),
            hint="Check that the partition has a leader (`care topics check`); then retry.",
        )
    return Unavailable(
        "broker-unavailable",
        f"Kafka did not answer ({type(error).__name__}).",
        hint="Nothing has changed; retry.",
    )


async def read_tail(
    kafka: KafkaConnection, topic: Topic, per_partition: int
) -> tuple[dict[int, int], list[ConsumerRecord[bytes, bytes]]]:
    """The end offsets of a topic and the last `per_partition` messages of each partition. Raises `Unavailable`."""
    consumer = new_consumer(kafka, enable_auto_commit=False, fetch_max_bytes=8 * MAX_MESSAGE_BYTES)
    try:
        await consumer.start()
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        messages: list[ConsumerRecord[bytes, bytes]] = []
        if left := {tp: end for tp, end in ends.items() if end > starts[tp]}:
            consumer.assign(list(left))
            for tp, end in left.items():
                consumer.seek(tp, max(starts[tp], end - per_partition))
            async for _, batch in read_to(consumer, left):
                messages += batch
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
    return {tp.partition: end for tp, end in ends.items()}, messages


class KafkaPublisher:
    """An idempotent producer that is replaced when it can no longer be trusted.

    aiokafka's idempotent batches never expire, so the wait is bounded here. A batch that failed for good leaves a gap
    in the producer's sequence numbers; after that only a new producer can publish.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        topic: Topic | None,
        *,
        message_bytes_max: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._kafka = kafka
        self._topic = "" if topic is None else topic.name
        """Where an entry goes that names no topic; empty for a service that only passes events on."""
        self._message_bytes_max = message_bytes_max
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        """Several may publish at once, such as copies of records and links of the audit: they share one producer."""

    async def publish(self, waiting: Mapping[str, Entries]) -> None:
        """Send every entry, in order per subject, and wait until all are acknowledged.

        Raises `TooLarge` when Kafka, or the client before it, refuses one for its size; the others may be published.
        """
        if not waiting:
            return
        try:
            producer = await self._started()
            acknowledgements = await self._send(producer, waiting)
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_SECONDS):
                await asyncio.gather(*acknowledgements)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            await self._discard()
            raise TooLarge(
                "event-too-large",
                "Kafka refuses an event because of its size.",
                hint="Set max.message.bytes of the topic to the value in the contract.",
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard()
            raise unavailable(error) from error
        except asyncio.CancelledError:
            await self._discard()
            raise

    async def _send(
        self, producer: AIOKafkaProducer, waiting: Mapping[str, Entries]
    ) -> Sequence[asyncio.Future[Any]]:
        acknowledgements: list[asyncio.Future[Any]] = []
        async with asyncio.timeout(ACKNOWLEDGED_WITHIN_SECONDS):
            for subject, entries in waiting.items():
                partition = partition_of(subject, PARTITIONS)  # the same for every topic
                for entry in entries:
                    headers: Any = wire_headers(entry)  # a header without a value is legal
                    acknowledgements.append(
                        await producer.send(
                            entry.get("topic", self._topic),
                            bytes(entry["data"]),
                            subject.encode(),
                            partition,
                            headers=headers,
                        )
                    )
        return acknowledgements

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._new()
            return self._producer

    async def _new(self) -> AIOKafkaProducer:
        producer = new_producer(
            self._kafka,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            max_batch_size=256 * 1024,
            max_request_size=self._message_bytes_max,
            request_timeout_ms=10_000,
        )
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_SECONDS):
                await producer.start()
        except BaseException:
            with suppress(Exception):
                await producer.stop()
            raise
        return producer

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):
                async with asyncio.timeout(5):
                    await producer.stop()

    async def stop(self) -> None:
        await self._discard()
