"""Outlets: the topic of a team that may not read everything. It replaces the services' topics for that team.

The kit judges gaps by the outlet's own count. After a topic has ended, the kit reads the next one, which begins with
the first event that is retained. The kit does not handle again what this inbox has followed on an earlier topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ..contracts.event import EnvelopeError
from ..contracts.outlets import (
    OUT_EARLIER,
    OUT_SEQUENCE,
    SUCCESSOR,
    TOPIC_ENDED,
    is_outlet,
    number_of,
    team_of,
)
from .errors import Refused
from .messages import Headers, Message, Place, from_json

DIGITS_MAX: Final = 18


class Counted(NamedTuple):
    """What an outlet adds to an event, taken off it."""

    headers: Headers
    """As they were published."""
    number: int
    earlier: frozenset[int]
    """Which topics of the team had it before."""


def counted(message: Message) -> Counted:
    """Take off what the outlet has added. Raises `EnvelopeError` when that is not a number."""
    added = {
        name: raw or b"" for name, raw in message.headers if name in (OUT_SEQUENCE, OUT_EARLIER)
    }
    number, earlier = added.get(OUT_SEQUENCE, b""), added.get(OUT_EARLIER, b"")
    numbers = [one for one in earlier.split(b",") if one]
    texts = (number, *numbers)
    if not all(one.isdigit() and len(one) <= DIGITS_MAX and int(one) for one in texts):
        raise EnvelopeError(
            "envelope-invalid", "outsequence is not a positive integer", OUT_SEQUENCE
        )
    headers = [one for one in message.headers if one[0] not in added]
    return Counted(headers, int(number), frozenset(map(int, numbers)))


def followed(topics: Iterable[str], outlet: str) -> frozenset[int]:
    """The numbers of the team's earlier topics among those that an inbox has read."""
    team = team_of(outlet)
    here = number_of(outlet, team)
    return frozenset(n for n in (number_of(topic, team) for topic in topics) if 0 < n < here)


def is_end(message: Message) -> bool:
    """Whether it is the last record of a partition of an outlet."""
    return is_outlet(message.topic) and (
        dict(message.headers).get("ce_type") == TOPIC_ENDED.encode()
    )


def successor_of(message: Message) -> str:
    """The topic that a last record names; empty when it names none that can follow."""
    try:
        found = from_json(message.value or b"").get(SUCCESSOR, "")
    except (ValueError, AttributeError):
        return ""
    team = team_of(message.topic)
    follows = isinstance(found, str) and number_of(found, team) > number_of(message.topic, team)
    return found if follows else ""


class Ends:
    """Which partitions of the outlet have a last record, where it lies, and where it leads."""

    def __init__(self) -> None:
        self._found: dict[Place, tuple[int, str]] = {}

    def take(self, messages: Iterable[Message]) -> list[Message]:
        """Note last records, and give back the rest.

        A last record is never passed: whoever begins again here finds it again. There may be more than one: published
        twice, or first without a topic to go on in; the first says where the end is, and the furthest where it leads.
        """
        rest: list[Message] = []
        for message in messages:
            if is_end(message):
                place, named = (message.topic, message.partition), successor_of(message)
                offset, before = self._found.get(place, (message.offset, ""))
                self._found[place] = min(offset, message.offset), _furthest((before, named))
            else:
                rest.append(message)
        return rest

    def lead_to(self, offsets: Mapping[Place, int]) -> str:
        """The topic to go on in, once every partition held is handled up to its last record; empty before.

        Raises `Refused` when they are, and no topic follows.
        """
        if not offsets or any(
            place not in self._found or at < self._found[place][0] for place, at in offsets.items()
        ):
            return ""
        found = _furthest(self._found[place][1] for place in offsets)
        if not found:
            raise Refused(
                "outlet-ended",
                f"{min(offsets)[0]} has ended, and no topic follows it.",
                "Your access has ended, or you may read the services' own topics now: ask the operators.",
            )
        return found


def _furthest(names: Iterable[str]) -> str:
    return max(names, key=lambda name: number_of(name, team_of(name)))
