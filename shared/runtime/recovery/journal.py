"""The journal: a copy of every record as it was last saved, encrypted, on a compacted topic of the service's own.

A service's state follows from events *and* from the commands of people, so the topics alone can't restore a lost
store. The journal can. The relay writes a copy before it publishes the events of the same save, so the journal is never
behind the service's own topic. Only the service may read the journal, because the copies contain data that must not be
on the bus. Every value is sealed with AES-256-GCM, bound to its record and version. See decision 9.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, cast

import bson
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from bson.codec_options import CodecOptions
from bson.tz_util import utc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.topics import Topic
from shared.decision import join_parts
from shared.errors import ConfigurationError
from shared.kit.to_the_end import read_to
from shared.runtime.audit.store import AuditLog
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Document, Store
from shared.runtime.kafka.clients import new_consumer
from shared.runtime.kafka.producer import (
    JOURNAL_MESSAGE_BYTES,
    KafkaPublisher,
    read_tail,
    unavailable,
)
from shared.runtime.logs import log

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_ID_CHARACTERS: Final = 16
TAIL_COPIES: Final = 5
"""How many messages at the end of each partition `check_journal` tries to open."""
KEY_NOTE: Final = "journal"
"""The metadata that names the key with which every record has been sealed, or is being sealed."""
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
                setting="CARE_JOURNAL_KEY",
            )
        self._cipher = AESGCM(raw)
        self._service = service
        self.key_id: Final = blake2b(raw, digest_size=8, person=b"journal").hexdigest()
        """Names the key without telling anything of it."""

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
                "journal-unreadable", "This key does not decrypt a copy in the journal."
            ) from None
        return cast("Any", bson).decode(zlib.decompress(plain), _OPTIONS)

    def _bound_to(self, subject: str, version: int) -> bytes:
        return join_parts(self._service, subject, str(version)).encode()


class Keyring:
    """The keys of one service's journal: the present one, which seals, and the one before it, which only opens."""

    def __init__(self, service: str, key: str, key_before: str = "") -> None:
        self.present: Final = Seal(key, service)
        former = [Seal(key_before, service)] if key_before else []
        self._by_id: Final = {seal.key_id: seal for seal in (*former, self.present)}

    def opened(self, message: ConsumerRecord[bytes, bytes]) -> Document | None:
        """The copy in a message; None for what no key of ours opens, or what is no copy at all."""
        headers: dict[str, bytes | None] = dict(message.headers)
        try:
            subject = (message.key or b"").decode()
            seal = self._by_id[(headers.get("key") or b"").decode()]
            return seal.open(subject, int(headers.get("version") or b""), message.value or b"")
        except (KeyError, ValueError, ConfigurationError):
            return None


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

    def __init__(self, kafka: KafkaConnection, service: str, keyring: Keyring) -> None:
        self._seal = keyring.present
        self._publisher = KafkaPublisher(
            kafka, journal_topic(service), message_bytes_max=JOURNAL_MESSAGE_BYTES
        )

    async def append(self, documents: Iterable[Document]) -> None:
        await self._publisher.publish(
            {document["_id"]: [self._entry(document)] for document in documents}
        )

    def _entry(self, document: Document) -> Mapping[str, Any]:
        return {
            "headers": {"version": str(document["version"]), "key": self._seal.key_id},
            "data": self._seal.seal(document),
        }

    async def stop(self) -> None:
        await self._publisher.stop()


async def read_journal(
    kafka: KafkaConnection, service: str, keyring: Keyring
) -> AsyncIterator[Document | None]:
    """Every copy on the journal, and None for every message that can't be opened.

    A record may have several copies, in any order. Raises `Unavailable`.
    """
    topic = journal_topic(service)
    consumer = new_consumer(
        kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=JOURNAL_MESSAGE_BYTES,
        fetch_max_bytes=4 * JOURNAL_MESSAGE_BYTES,
    )
    try:
        await consumer.start()
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        consumer.assign(partitions)
        for place, start in starts.items():
            consumer.seek(place, start)
        async for _, batch in read_to(consumer, ends):
            for message in batch:
                yield keyring.opened(message)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()


async def check_journal(
    kafka: KafkaConnection, service: str, keyring: Keyring, store: Store, audit_log: AuditLog
) -> None:
    """Check that our keys open what was written last, and have everything sealed anew when the key is another.

    Raises `ConfigurationError` when the key is another than before and opens nothing of what was written last, and
    `Unavailable` while a dependency is away. What is no copy at all (a tombstone, another's message) proves nothing.
    """
    _, tail = await read_tail(kafka, journal_topic(service), TAIL_COPIES)
    copies = [message for message in tail if message.value and _names_a_key(message)]
    opens = any(keyring.opened(message) for message in copies)
    present = keyring.present.key_id
    if (await store.metadata(KEY_NOTE)).get("key") != present:
        if copies and not opens:
            raise unreadable_journal()
        await store.copy_all(datetime.now(UTC))
        await audit_log.copy_all()
        await store.set_metadata(KEY_NOTE, {"key": present})
        log.warning("journal.sealing", reason="key-new")


async def forget_journal(store: Store) -> None:
    """The journal is off: what is saved meanwhile is not copied, so that all has to be copied when it is on again."""
    if (await store.metadata(KEY_NOTE)).get("key"):
        await store.set_metadata(KEY_NOTE, {"key": ""})


def unreadable_journal() -> ConfigurationError:
    """There are copies, and no key of ours opens any of them."""
    return ConfigurationError(
        "journal-unreadable",
        "These keys decrypt no copy in the journal.",
        hint="Set CARE_JOURNAL_KEY_BEFORE to the key that the journal was written with.",
        setting="CARE_JOURNAL_KEY",
    )


def _names_a_key(message: ConsumerRecord[bytes, bytes]) -> bool:
    key_id = dict(message.headers).get("key") or b""
    return len(key_id) == KEY_ID_CHARACTERS
