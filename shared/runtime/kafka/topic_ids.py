"""Reads the id of the cluster and the ids of topics, which change when a topic is deleted and created again.

The same response tells what the asking user may do with each topic.

aiokafka 0.14 requests metadata in a version without topic ids (KIP-516), so this module defines the request itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.runtime.kafka.clients import NamedAdmin

NO_TOPIC_ID: Final = UUID(int=0)


class Uuid(AbstractType[UUID]):
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


_TAGS: Final = ("tags", TaggedFields)
_NUMBERS: Final = CompactArray(Int32)


class MetadataResponse10(Response):
    """Metadata, version 10."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                _TAGS,
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _NUMBERS),
                        ("isr", _NUMBERS),
                        ("offline_replicas", _NUMBERS),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        ("authorized_operations", Int32),
        _TAGS,
    )


class MetadataRequest10(RequestStruct):
    """The first version that names topics by id in its response."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Uuid), ("topic", CompactString("utf-8")), _TAGS),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class MetadataRequest(Request[MetadataRequest10]):
    """Asks about topics by name."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str], *, operations: bool = False) -> None:
        self._topics = list(topics)
        self._operations = operations

    def build(self, request_struct_class: type[MetadataRequest10]) -> MetadataRequest10:
        topics = [(NO_TOPIC_ID, name, dict[int, bytes]()) for name in self._topics]
        return request_struct_class(topics, False, False, self._operations, {})


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this Kafka, and the topics on it, from any other."""

    cluster_id: str
    topic_ids: dict[str, str]
    """By topic name, as hexadecimal text; a topic that does not exist is missing."""


async def identity_of(admin: NamedAdmin, topics: Iterable[str]) -> Identity:
    """Ask a started admin client. Raises `KafkaError`."""
    response = await _metadata(admin, topics)
    return Identity(
        response.cluster_id,
        {
            admin.names.of_ours(topic): topic_id.hex
            for error, topic, topic_id, *_ in response.topics
            if not error
        },
    )


async def operations_on(admin: NamedAdmin, topics: Iterable[str]) -> dict[str, frozenset[int]]:
    """What this user may do with each topic that exists, by Kafka's numbers; nothing with one that it may not see.

    Raises `KafkaError`.
    """
    response = await _metadata(admin, topics, operations=True)
    found: dict[str, frozenset[int]] = {}
    for error, topic, _id, _internal, _partitions, bits, _tags in response.topics:
        if error == TopicAuthorizationFailedError.errno:
            found[admin.names.of_ours(topic)] = frozenset()
        elif not error:
            allowed = (n for n in range(bits.bit_length()) if bits >> n & 1)
            found[admin.names.of_ours(topic)] = frozenset(allowed)
    return found


async def in_sync_of(admin: NamedAdmin, topics: Iterable[str]) -> dict[str, int]:
    """How many replicas of each topic are in sync, in its worst partition; 0 of one that can't be described.

    Raises `KafkaError`.
    """
    response = await _metadata(admin, topics)
    return {
        admin.names.of_ours(topic): 0
        if error
        else min(len(partition[5]) for partition in partitions)
        for error, topic, _id, _internal, partitions, *_ in response.topics
    }


async def _metadata(admin: NamedAdmin, topics: Iterable[str], *, operations: bool = False) -> Any:
    """The answer about topics of ours; it names them as the cluster does."""
    there = map(admin.names.on_cluster, topics)
    return await admin.send(MetadataRequest(there, operations=operations))
