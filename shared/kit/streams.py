"""What to do with a number of a stream. Pure: the services decide by the same rules (`inbox.py`)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..inbox import NOTHING, Place, StreamInbox, place_of, with_applied


class Seen(NamedTuple):
    """Where an event stands in its stream, and how many numbers before it never came."""

    place: Place
    missing: int = 0


_NEXT: Final = Seen(Place.NEXT)


def look(known: StreamInbox, number: int, event_id: str) -> Seen:
    """Compare an event with what came before it in its stream.

    Every event of a stream counts here, also one that no handler wants: so a missing number is a missing event.
    """
    missing = number - known[0] - 1
    if missing == 0:
        return _NEXT
    if missing > 0:
        return Seen(Place.NEXT, missing)
    return Seen(place_of(known, number, event_id))


__all__ = ["NOTHING", "Place", "Seen", "StreamInbox", "look", "with_applied"]
