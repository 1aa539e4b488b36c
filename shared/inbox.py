"""The inbox: what is remembered of each stream, so that every item of it has its effect once.

Per stream it keeps the highest number applied, a window with the numbers and ids applied last, and what operators have
discarded. The window tells a repeat from an item that was never applied although its number is not new: either another
item had its number, or an item with a number that was not its own came first.

A stream that was set back has fewer entries than it knew of. Then the window begins with its floor: the number up to
which anything may have been applied that nobody remembers.

Entries are bytes, 16 for each: one append per event, and no object for each entry when a record is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from hashlib import blake2b
from struct import Struct
from typing import Any, Final

WINDOW: Final = 16
"""How many items of a stream from the bus are remembered with their ids."""
DISCARDED_MAX: Final = 64
"""How many discarded items of a stream are remembered; the latest ones."""
_ENTRY: Final = Struct(">Q8s")
_NO_ID: Final = bytes(8)
"""In place of a digest: the entry is the floor."""
_DISCARDED_BYTES: Final = DISCARDED_MAX * _ENTRY.size

StreamInbox = tuple[int, bytes, bytes]
"""The highest number applied, the window and the discarded items: entries of a number (8 bytes) and a digest (8)."""
NOTHING: Final[StreamInbox] = (0, b"", b"")


class Place(Enum):
    """Where an item stands to what was applied of its stream."""

    NEXT = auto()
    """After everything applied: it can be decided."""
    REPEATED = auto()
    """It was applied or discarded before, or so long ago that nobody remembers its id."""
    CONFLICTING = auto()
    """Another item with its number was applied."""
    MISSED = auto()
    """Later items were applied, and this one never was."""


def read(stored: Sequence[Any]) -> StreamInbox:
    """A stream's inbox as it is stored. Raises `TypeError`, `ValueError` or `LookupError` for anything else."""
    applied, window, discarded = stored[0], stored[1], stored[2]
    if not isinstance(applied, int) or not (
        isinstance(window, bytes) and isinstance(discarded, bytes)
    ):
        raise TypeError("inbox")
    if applied < 0 or len(window) % _ENTRY.size or len(discarded) % _ENTRY.size:
        raise ValueError("inbox")
    return applied, window, discarded


def digest(item_id: str) -> bytes:
    """What the inbox remembers of an id."""
    return blake2b(item_id.encode(), digest_size=8).digest()


def place_of(known: StreamInbox, number: int, item_id: str, kept: int = WINDOW) -> Place:
    """Compare an item with what is known of its stream. `kept` is the length of this stream's window.

    A window that is not full, and has no floor, has everything that was ever applied.
    """
    applied, window, discarded = known
    entry = _ENTRY.pack(number, digest(item_id))
    if entry in _split(window) or entry in _split(discarded):
        return Place.REPEATED
    if number > applied:
        return Place.NEXT
    if number in numbers_applied(known):
        return Place.CONFLICTING
    return Place.MISSED if number > _floor(window, kept) else Place.REPEATED


def with_applied(known: StreamInbox, number: int, item_id: str, kept: int = WINDOW) -> StreamInbox:
    """The inbox after an item was applied."""
    window = known[1] + _ENTRY.pack(number, digest(item_id))
    return number, window[-kept * _ENTRY.size :], known[2]


def with_discarded(known: StreamInbox, number: int, item_id: str) -> StreamInbox:
    """The inbox after an operator discarded an item: it is known when it comes again, and what was applied stays."""
    discarded = known[2] + _ENTRY.pack(number, digest(item_id))
    return known[0], known[1], discarded[-_DISCARDED_BYTES:]


def set_back(known: StreamInbox, number: int, kept: int = WINDOW) -> StreamInbox:
    """The inbox when `number` is taken for the last one applied: what was applied after it counts as discarded."""
    floor = min(number, _floor(known[1], kept))
    entries = [one for one in _split(known[1]) if not one.endswith(_NO_ID)]
    stay = b"".join(one for one in entries if _number(one) <= number)
    go = b"".join(one for one in entries if _number(one) > number)
    if floor:
        stay = _ENTRY.pack(floor, _NO_ID) + stay
    return number, stay, (known[2] + go)[-_DISCARDED_BYTES:]


def numbers_applied(known: StreamInbox) -> list[int]:
    """The numbers in the window, in the order in which they were applied."""
    return [_number(one) for one in _split(known[1]) if not one.endswith(_NO_ID)]


def _floor(window: bytes, kept: int) -> int:
    """The number up to which the window does not tell a repeat from what was never applied; 0 when it knows all."""
    entries = list(_split(window))
    if entries and entries[0].endswith(_NO_ID):
        return _number(entries[0])
    return min(map(_number, entries)) if len(entries) >= kept else 0


def _split(entries: bytes) -> Iterator[bytes]:
    return (entries[at : at + _ENTRY.size] for at in range(0, len(entries), _ENTRY.size))


def _number(entry: bytes) -> int:
    return int.from_bytes(entry[:8])
