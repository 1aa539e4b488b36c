"""The history of a subject as a team got it: what its topic holds, page by page. Pure.

A page begins at an offset of the one partition that has the subject. Its cursor names the number of the topic too: in
the topic that follows, the same offset is another place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from shared.contracts.event import CONTENT_TYPE, EnvelopeError, Headers, read_envelope
from shared.contracts.outlets import TOPIC_ENDED, number_of, team_of
from shared.errors import Invalid

SCANNED_MAX: Final = 20_000
"""How many messages of a partition a page may take: one of a rare subject may come without events, and go on."""
_ATTRIBUTE: Final = re.compile("[a-z0-9]+")
"""What the specification of CloudEvents allows as the name of an attribute."""
_CURSOR: Final = re.compile(r"([1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})")


class Kept(Protocol):
    """A message as Kafka has it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(slots=True)
class HistoryPage:
    """A page while it is read."""

    topic: str
    subject: str
    limit: int
    offset: int
    """Where to go on."""
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    scanned: int = 0

    @property
    def full(self) -> bool:
        """Whether the rest is for the next page."""
        return len(self.events) >= self.limit or self.scanned >= SCANNED_MAX

    def take(self, messages: Sequence[Kept]) -> None:
        """Take what is about the subject of the messages that follow, until the page is full."""
        key = self.subject.encode()
        for message in messages:
            if self.full:
                return
            self.offset = message.offset + 1
            self.scanned += 1
            if message.key == key and (event := _event(message)):
                self.events.append(event)

    def cursor(self) -> str:
        """Where the next page begins."""
        return f"{number_of(self.topic, team_of(self.topic))}-{self.offset}"


def first_offset(topic: str, after: str | None) -> int:
    """The offset that a cursor names; 0 without one. Raises `Invalid` for a cursor that is none of this topic."""
    if after is None:
        return 0
    found = _CURSOR.fullmatch(after)
    if found is None or int(found[1]) != number_of(topic, team_of(topic)):
        raise Invalid(
            "cursor-invalid",
            "`after` is not the `next` of a page of this topic.",
            hint="Send `next` as it came, or begin again without `after`: the topic may have been followed by another.",
        )
    return int(found[2])


def _event(message: Kept) -> dict[str, Any] | None:
    """An event as a structured CloudEvent; None for the end of a topic, and for what is no event."""
    try:
        envelope = read_envelope(message.headers, message.key)
        data: Mapping[str, Any] = json.loads(message.value or b"")
    except (EnvelopeError, ValueError, RecursionError):
        return None
    if envelope.type == TOPIC_ENDED:
        return None
    others = {n: text for n, text in envelope.extensions.items() if _ATTRIBUTE.fullmatch(n)}
    attributes = {
        name.removeprefix("ce_"): text
        for name, text in envelope.headers().items()
        if name.startswith("ce_")
    }
    return {**others, **attributes, "datacontenttype": CONTENT_TYPE, "data": data}
