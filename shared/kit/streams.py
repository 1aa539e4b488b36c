"""Decides what to do with a number of a stream. Pure: the services decide by the same rules (`inbox.py`)."""

from __future__ import annotations

from ..inbox import NOTHING, Place, StreamInbox, place_of, with_applied


def look(known: StreamInbox, number: int, event_id: str) -> Place:
    """Where an event stands to what came before it in its stream.

    Every event of a stream counts here, also one that no handler wants: so a missing number is a missing event.
    """
    return Place.NEXT if number > known[0] else place_of(known, number, event_id)


__all__ = ["NOTHING", "Place", "StreamInbox", "look", "with_applied"]
