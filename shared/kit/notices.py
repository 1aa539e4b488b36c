"""Notices: what the kit reports besides the events.

Subscribe to a notice with `events.on(CaughtUp)`, as to an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the subscription itself. `ADVICE` says what to do."""

    ADVICE: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class CaughtUp(Notice):
    """Everything that was on the topics when this process began is handled or set aside. Said once."""

    ADVICE: ClassVar[str] = (
        "Answers and reports that need the whole history are right from here on."
    )
    handled: int
    """Events handled by this process until now."""


@dataclass(frozen=True, slots=True)
class Gap(Notice):
    """Numbers of a stream are missing on the topic. What came after them has been handled."""

    ADVICE: ClassVar[str] = (
        "The publisher never leaves a gap: events were removed from the topic, or somebody wrote to it. Tell its"
        " operators the source, the subject and the numbers; take nothing that you derived from this subject for"
        " complete until they have answered. Events that come again are set aside as `missed` while their numbers are"
        " among the last 16 of the stream; older ones count as repeated, and a new inbox handles them."
    )
    source: str
    subject: str
    first: int
    """The first number that is missing."""
    last: int
    """The last number that is missing."""


@dataclass(frozen=True, slots=True)
class Conflict(Notice):
    """An event has the number of another one that was handled. It is set aside, and its stream waits."""

    ADVICE: ClassVar[str] = (
        "Two different events claim one place in the history, so one of them is not the publisher's. Ask its operators"
        " which one holds. Then release what is aside (it is handled next), or discard it (the stream goes on)."
    )
    source: str
    subject: str
    number: int
    event_id: str


@dataclass(frozen=True, slots=True)
class SetAside(Notice):
    """An event was set aside. Unless it is `missed` or `unreadable`, later events of its stream wait behind it."""

    ADVICE: ClassVar[str] = (
        "`handler-failed`, `data-invalid` and `waiting` are tried again by themselves, after 1 s and later and later,"
        " up to 10 minutes. `conflict`, `missed` and `unreadable` are for a person: release or discard them."
    )
    topic: str
    partition: int
    offset: int
    source: str
    subject: str
    reason: str
    error: str

    @property
    def place(self) -> tuple[str, int, int]:
        """What `release` and `discard` take."""
        return self.topic, self.partition, self.offset
