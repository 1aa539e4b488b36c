"""The journal: a copy of every record as it was last saved, encrypted, on a compacted topic of the service's own.

A service's state follows from events *and* from the commands of people, so the topics alone can't restore a lost
store. The journal can. The relay writes it before it publishes the events of the same save, so the journal is never
behind the service's own topic. Only the service may read it: it contains what must not be on the bus, so every value is
sealed with AES-256-GCM, bound to its record and version. See decision 9.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, cast

import bson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from bson.codec_options import CodecOptions
from bson.tz_util import utc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.topics import Topic
from shared.decision import join_parts
from shared.errors import ConfigurationError
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Document
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.producer import JOURNAL_MESSAGE_BYTES, KafkaPublisher, unavailable

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
COMPACTION_LAG_MS: Final = 24 * 3600 * 1000
"""A replica that was thought dead may write an older copy after a newer one. Readers take the highest version, so both
have to stay until that replica has had time to notice and to write the newest again."""
_OPTIONS: Final = CodecOptions[Document](tz_aware=True, tzinfo=utc)


class Seal:
    """Seals and opens one service's copies."""

    def __init__(self, key: str, service: str) -> None:
        try:
            raw = base64.b64decode(key, validate=True)
        except binascii.Error:
            raw = b""
        if len(raw) != KEY_BYTES:
            raise ConfigurationError(
                "journal-key-unusable",
                f"CARE_JOURNAL_KEY is not {KEY_BYTES} bytes in base64.",
                hint="Create one with `openssl rand -base64 32`, and store it apart from topics and backups.",
            )
        self._cipher = AESGCM(raw)
        self._service = service

    def seal(self, document: Document) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        plain = zlib.compress(bson.encode(document), level=1)
        return nonce + self._cipher.encrypt(
            nonce, plain, self._bound_to(document["_id"], document["version"])
        )

    def open(self, subject: str, version: int, sealed: bytes) -> Document:
        """Raises `ConfigurationError` when the key is another, or the copy is another record's or version's."""
        try:
            plain = self._cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound_to(subject, version)
            )
        except InvalidTag:
            raise ConfigurationError(
                "journal-unreadable", "A copy in the journal does not open with this key."
            ) from None
        return cast("Any", bson).decode(zlib.decompress(plain), _OPTIONS)

    def _bound_to(self, subject: str, version: int) -> bytes:
        return join_parts(self._service, subject, str(version)).encode()


def journal_topic(service: str) -> Topic:
    """The topic of a service's journal. It is not part of the published language."""
    return Topic(
        f"care.{service}.journal",
        cleanup="compact",
        message_bytes_max=JOURNAL_MESSAGE_BYTES,
        compaction_lag_ms=COMPACTION_LAG_MS,
    )


class KafkaJournal:
    """A `Journal` (see the relay) on Kafka, over the same supervised producer as the events."""

    def __init__(self, kafka: KafkaConnection, service: str, key: str) -> None:
        self._seal = Seal(key, service)
        self._publisher = KafkaPublisher(
            kafka, journal_topic(service), message_bytes_max=JOURNAL_MESSAGE_BYTES
        )

    async def append(self, documents: Iterable[Document]) -> None:
        await self._publisher.publish(
            {document["_id"]: [self._entry(document)] for document in documents}
        )

    def _entry(self, document: Document) -> Mapping[str, Any]:
        return {
            "headers": {"version": str(document["version"])},
            "data": self._seal.seal(document),
        }

    async def stop(self) -> None:
        await self._publisher.stop()


async def read_journal(kafka: KafkaConnection, service: str, key: str) -> AsyncIterator[Document]:
    """Every copy on the journal. A record may have several copies, in any order.

    Raises `Unavailable`, or `ConfigurationError` when a copy can't be opened.
    """
    seal, topic = Seal(key, service), journal_topic(service)
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=JOURNAL_MESSAGE_BYTES,
        fetch_max_bytes=4 * JOURNAL_MESSAGE_BYTES,
    )
    try:
        await consumer.start()
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for message in batch:
                    yield _opened(seal, message)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()


def _opened(seal: Seal, message: ConsumerRecord[bytes, bytes]) -> Document:
    subject = (message.key or b"").decode()
    headers = dict(message.headers)
    return seal.open(subject, int(headers["version"]), message.value or b"")
