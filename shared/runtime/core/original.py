"""Originals: the copy of an item that its dead letter stores, so that a redrive decides exactly the same work again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a message lies on Kafka; its timestamp in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What the data was before it was cut: its SHA-256 in hexadecimal digits, and its length."""

    sha256: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOriginal:
    """A Kafka message, byte for byte, with what is known of its identity.

    Of a message that is larger than an event may be, only the beginnings of its parts are kept.
    """

    document_id: str
    type: str | None
    """The event type; None when the headers can't be read."""
    position: Position
    event_id: str | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    data: bytes | None
    digest: Digest | None = None
    """Of the whole data, when `data` is only its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffOriginal:
    """An item that one record left for another, as its `handoffs` held it."""

    document_id: str
    type: str | None
    """The class name of the handoff's body."""
    from_subject: str
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineOriginal:
    """A deadline. Its record is all that a redrive needs."""

    document_id: str
    type: str | None
    """`deadline:` and the deadline's kind."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationOriginal:
    """An event of this service that the broker refuses for its size. It stays in its record's outbox."""

    document_id: str
    type: str | None
    event_id: str


Original = MessageOriginal | HandoffOriginal | DeadlineOriginal | PublicationOriginal
KINDS: Final = {
    MessageOriginal: "event",
    HandoffOriginal: "handoff",
    DeadlineOriginal: "deadline",
    PublicationOriginal: "publication",
}
"""The name of each sort of original, as it is stored."""
