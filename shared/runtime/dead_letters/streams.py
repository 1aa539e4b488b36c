"""Setting a stream back: an operator reverts what a foreign event's number did to the numbering of a stream.

A service can apply an event whose number its publisher did not assign, when the place on the topic allows that number.
It then misses the publisher's own events, one after another, because later numbers were applied. Setting the stream
back to the last correct number makes everything that was applied after it count as discarded. It also lines up the
missed events behind that number, and a redrive applies them in order. The change that the foreign event made to the
state stays: only the rules of the service can take that back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from shared import inbox
from shared.errors import Refused, Unavailable, Unknown
from shared.runtime.core.dead_letter import STREAM_BLOCKED, DeadLetter
from shared.runtime.core.reactor import RACES_MAX, window_of
from shared.runtime.core.record import Record
from shared.runtime.core.store import Document, Store
from shared.runtime.dead_letters.audit import Audit, Who
from shared.runtime.dead_letters.store import DeadLetters, StreamKey
from shared.runtime.dead_letters.view import view_of
from shared.runtime.logs import log

LINED_UP_MAX: Final = 1_000


class Streams:
    """Shows one service's streams, and sets them back."""

    def __init__(self, store: Store, dead_letters: DeadLetters) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._audit = Audit(dead_letters)

    async def preview(self, stream: StreamKey, number: int) -> Document:
        """What setting the stream back to `number` would do. Writes nothing."""
        record, missed = await self._found(stream, number)
        return _view(record, stream, number, missed)

    async def set_back(self, stream: StreamKey, number: int, who: Who) -> Document:
        """Take `number` for the last one that was applied rightly. Repeatable.

        Raises `Refused` when the stream is not beyond that number.
        """
        done = await self.preview(stream, number)
        subject, sender = stream
        what = {"subject": subject, "stream": sender, "number": number}
        record, _ = await self._found(stream, number)
        entry = await self._audit.begin("set-back", who, what, [record.facility_id])
        for _ in range(RACES_MAX):
            record, missed = await self._found(stream, number)
            for one in missed:
                await self._dead_letters.line_up(
                    replace(one, stream=sender, missed_in=None, reason=STREAM_BLOCKED)
                )
            if await self._dead_letters.stream(stream, 1):
                record.blocked.setdefault(sender, STREAM_BLOCKED)
            record.set_back(sender, number, window_of(sender))
            if not await self._store.save([record], datetime.now(UTC)):
                break
        else:
            raise Unavailable("too-busy", "The record is changing too fast.", hint="Retry.")
        log.warning("stream.set_back", subject=subject, reason=who.why)
        await self._audit.end(entry, {name: done[name] for name in ("was", "number", "discarded")})
        return done

    async def _found(self, stream: StreamKey, number: int) -> tuple[Record, list[DeadLetter]]:
        if not self._store.keeps(stream[0]):
            raise Unknown("record")
        record = (await self._store.load([stream[0]]))[stream[0]]
        if record.unusable is not None:
            raise record.unusable
        if record.inbox.get(stream[1], inbox.NOTHING)[0] <= number:
            raise Refused(
                "stream-not-beyond",
                "The service has applied nothing of this stream after this number.",
                hint="Name the last correct number, and the stream as the dead letters name it.",
            )
        return record, await self._dead_letters.missed(stream, number, LINED_UP_MAX)


def _view(record: Record, stream: StreamKey, number: int, missed: Sequence[DeadLetter]) -> Document:
    known = record.inbox[stream[1]]
    return {
        "subject": stream[0],
        "stream": stream[1],
        "was": known[0],
        "number": number,
        "discarded": [one for one in inbox.numbers_applied(known) if one > number],
        "lined_up": [view_of(one) for one in missed],
        "blocked": record.blocked.get(stream[1]),
    }
