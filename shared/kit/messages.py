"""A message that the kit reads from Kafka and may set aside: its content, its place on a topic, and why it waits."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

Place = tuple[str, int]
"""A partition: its topic, by the name of the catalogue, and its number."""
Stream = tuple[str, str]
"""All events of one source about one subject: they are numbered 1, 2, 3 … and handled in that order."""
Headers = Sequence[tuple[str, bytes | None]]


class Message(Protocol):
    """A Kafka message, as aiokafka gives it or as it was kept."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Kept(NamedTuple):
    """A message that was kept byte by byte."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Reason(StrEnum):
    """Why a message is set aside."""

    HANDLER_FAILED = "handler-failed"
    """The handler raised. It is tried again, later and later."""
    DATA_INVALID = "data-invalid"
    """The data is not what the event's class takes. It is tried again: a newer wheel may read it."""
    WAITING = "waiting"
    """An earlier event of its stream is aside, and nothing of a stream overtakes."""
    CONFLICT = "conflict"
    """Another event with its number was handled. The stream waits for a person."""
    MISSED = "missed"
    """Later events of its stream were handled before it came. The stream goes on."""
    RELEASED = "released"
    """A person has asked for it to be handled. The stream waits for that."""
    UNREADABLE = "unreadable"
    """Its envelope can't be trusted, so that it belongs to no stream."""


RETRIED: Final = frozenset(
    {Reason.HANDLER_FAILED, Reason.DATA_INVALID, Reason.WAITING, Reason.RELEASED}
)
"""What the kit tries again by itself; a person decides about the others."""
BLOCKING: Final = RETRIED | {Reason.CONFLICT}
"""Behind what the later events of the stream wait."""


class Aside(NamedTuple):
    """A message that was set aside, and what is known of it."""

    topic: str
    partition: int
    offset: int
    source: str
    """With `subject`, its stream; both are empty when the envelope is unreadable."""
    subject: str
    reason: str
    error: str
    """The type of what was raised; never its words, for they may repeat the data."""
    tries: int
    next_at: float
    """When it is tried again, in seconds since 1970. What only a person decides about is never tried."""
    message: bytes
    """The message as it came, by `packed`."""

    @property
    def stream(self) -> Stream:
        """The stream that it belongs to."""
        return self.source, self.subject

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition and offset: what names it in every command."""
        return self.topic, self.partition, self.offset


def packed(message: Message) -> bytes:
    """The message in a form that every store can keep."""
    headers = [(name, _text(value)) for name, value in message.headers]
    return json.dumps([_text(message.key), _text(message.value), headers]).encode()


def unpacked(aside: Aside) -> Kept:
    """The message that was set aside."""
    return kept(aside.place, aside.message)


def kept(place: tuple[str, int, int], message: bytes) -> Kept:
    """The message of that place, from its packed form."""
    key, value, headers = from_json(message)
    return Kept(*place, _raw(key), _raw(value), [(name, _raw(one)) for name, one in headers])


def from_json(text: str | bytes, **how: Any) -> Any:
    """What a JSON text says. Raises `ValueError`, also for what is nested too deeply to be read."""
    try:
        return json.loads(text, **how)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def name_of(message: Message) -> str:
    """What tells one message from any other: the id of an event, or a hash of anything else."""
    given = dict(message.headers).get("ce_id")
    return (given or b"").decode("utf-8", "replace") or sha256(message.value or b"").hexdigest()


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()


def _raw(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
