"""Records what one unit of work changes, and which messages are set aside. It does no I/O."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from .inboxes.protocol import Changes
from .messages import BLOCKING, Aside, Place, Reason, Stream, packed
from .notices import Gap, Notice
from .reading import Read
from .streams import StreamInbox, with_applied


class Turn:
    """What one unit changes, over what was known before; it begins with what was passed over and is not saved yet."""

    def __init__(
        self, streams: Mapping[Stream, StreamInbox], blocked: Container[Stream], passed: Changes
    ) -> None:
        self._streams = streams
        self._blocked = blocked
        self._newly_blocked: set[Stream] = set()
        self.changes = Changes(dict(passed.offsets), dict(passed.streams))
        self.notices: list[Notice] = []

    def known(self, stream: Stream) -> StreamInbox:
        """The position in a stream, as of this unit."""
        changed = self.changes.streams.get(stream)
        return self._streams[stream] if changed is None else changed

    def is_blocked(self, stream: Stream) -> bool:
        """Whether a message of this stream is aside that later ones wait behind."""
        return stream in self._newly_blocked or stream in self._blocked

    def skip(self, item: Read) -> bool:
        """Pass over an event that no handler wants, if it is the next of its stream: most events are of this kind."""
        if item.stream is None or item.number <= self.known(item.stream)[0]:
            return False
        self.advance(item)
        return True

    def advance(self, item: Read) -> None:
        """The event is the last one of its stream now, whether it was handled, skipped or set aside."""
        if item.stream is not None:
            known = self.known(item.stream)
            if item.number > known[0] + 1:
                self.notices.append(Gap(*item.stream, known[0] + 1, item.number - 1))
            self.changes.streams[item.stream] = with_applied(known, item.number, item.event_id)
        self.pass_by(item)

    def pass_by(self, item: Read) -> None:
        """The message is done with, one way or another."""
        message = item.message
        self.changes.offsets[message.topic, message.partition] = message.offset + 1

    def set_aside(self, item: Read, reason: Reason, error: str, next_at: float) -> None:
        """Keep the message, to be handled later or never."""
        message, stream = item.message, item.stream or ("", "")
        place = (message.topic, message.partition, message.offset)
        one = Aside(*place, *stream, reason, error, 1, next_at, packed(message))
        self.changes.aside[place] = one
        if reason in BLOCKING:
            self._newly_blocked.add(stream)


class Shelf:
    """What is aside on the partitions that are held, as the inbox has it."""

    def __init__(self) -> None:
        self._aside: dict[tuple[str, int, int], Aside] = {}
        self.blocked: dict[Stream, int] = {}
        """How many messages of a stream are aside that later ones wait behind."""

    @property
    def all(self) -> list[Aside]:
        """In the order of the topics."""
        return [self._aside[place] for place in sorted(self._aside)]

    def at(self, place: tuple[str, int, int]) -> Aside | None:
        """What is aside from this place."""
        return self._aside.get(place)

    def keep(self, aside: Iterable[Aside], held: Container[Place]) -> None:
        """Forget everything but these, on held partitions."""
        kept = [one for one in aside if one.place[:2] in held]
        self._aside, self.blocked = {one.place: one for one in kept}, {}
        for one in kept:
            self._count(one, 1)

    def change(self, changes: Changes) -> Iterator[Aside]:
        """Note what a saved unit has changed; yields what is new here, or aside for another reason than before."""
        for place in changes.settled:
            gone = self._aside.pop(place, None)
            if gone is not None:
                self._count(gone, -1)
        for place, one in changes.aside.items():
            before = self._aside.get(place)
            self._aside[place] = one
            if before is None:
                self._count(one, 1)
            if before is None or before.reason != one.reason:
                yield one

    def by_stream(self) -> dict[Stream, list[Aside]]:
        """What waits in each blocked stream, in its order."""
        found: dict[Stream, list[Aside]] = {}
        for one in self.all:
            if one.reason in BLOCKING:
                found.setdefault(one.stream, []).append(one)
        return found

    def _count(self, one: Aside, change: int) -> None:
        if one.reason in BLOCKING:
            self.blocked[one.stream] = self.blocked.get(one.stream, 0) + change
            if self.blocked[one.stream] == 0:
                del self.blocked[one.stream]
