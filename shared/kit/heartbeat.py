"""The heartbeat: the state of a subscriber, in the metadata of its offset commits. Pure.

Kafka keeps a text with every committed offset. Everybody who may describe the consumer group can read it there. No
subscriber needs a right to write, a topic or a port for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .messages import from_json
from .metrics import Metrics

BYTES_MAX: Final = 4096
"""Kafka's own limit (`offset.metadata.max.bytes`) unless an operator has set another."""
_WORD_MAX: Final = 80


class Versions(NamedTuple):
    """What runs there."""

    kit: str
    aiokafka: str
    python: str


def heartbeat(
    inbox_id: str,
    process: str,
    next_offset: int,
    at: float,
    versions: Versions,
    metrics: Metrics,
) -> str:
    """The metadata of one partition's commit, below 4 kB whatever was counted."""
    body: dict[str, Any] = {
        "inbox": inbox_id,
        "process": process,
        "next": next_offset,
        "at": int(at),
        "versions": {name: one[:_WORD_MAX] for name, one in versions._asdict().items()},
        "handled": metrics.handled,
        "duplicates": metrics.duplicates,
        "gaps": metrics.gaps,
        "aside": metrics.aside,
        "set_aside": dict(metrics.set_aside),
        "waits": dict(metrics.waits),
        "lag": metrics.lag,
        "caught_up": metrics.caught_up,
    }
    text = _text(body)
    for name in ("waits", "set_aside"):
        if len(text) >= BYTES_MAX:
            del body[name]
            text = _text(body)
    return text


class Heartbeat(NamedTuple):
    """What a commit's metadata says of one process of a subscriber, since it began."""

    inbox: str
    process: str
    """Which of the processes that share the inbox; another after each start."""
    at: int
    """When it was written, in seconds since 1970."""
    next: int
    """The inbox position: the offset at which it goes on in the partition of this commit."""
    kit: str
    """The version of the wheel."""
    aiokafka: str
    python: str
    handled: int
    gaps: int
    aside: int
    """Messages that are aside now."""
    caught_up: bool


def read_heartbeat(metadata: str) -> Heartbeat | None:
    """What a commit's metadata says; None when no kit wrote it. Whoever may commit may write anything there."""
    try:
        body: Any = from_json(metadata)
        versions: Any = body["versions"]
        found = Heartbeat(
            *(body["inbox"], body["process"], body["at"], body["next"]),
            *(versions["kit"], versions["aiokafka"], versions["python"]),
            *(body["handled"], body["gaps"], body["aside"], body["caught_up"]),
        )
    except (ValueError, TypeError, LookupError):
        return None
    kinds = (str, str, int, int, str, str, str, int, int, int, bool)
    words = (found.kit, found.aiokafka, found.python)
    usable = all(type(one) is kind for one, kind in zip(found, kinds, strict=True)) and all(
        len(word) <= _WORD_MAX and word.isprintable() for word in words
    )
    return found if usable else None


def inbox_of(metadata: str) -> str:
    """Which inbox a commit belongs to; empty when no kit has made it."""
    try:
        body: Any = from_json(metadata)
        found: Any = body["inbox"]
    except (ValueError, TypeError, LookupError):
        return ""
    return found if isinstance(found, str) else ""


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
