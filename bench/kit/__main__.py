"""Run the measurement, and print it as a table or as JSON (`--json`)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

from shared.contracts.attendance import SessionAttended, SessionMissed
from shared.contracts.event import Envelope
from shared.kit.delivery import Delivery
from shared.kit.handlers import Handlers
from shared.kit.history import History
from shared.kit.inboxes.memory import MemoryInbox
from shared.kit.inboxes.protocol import Inbox
from shared.kit.inboxes.sqlite import SQLiteInbox
from shared.kit.messages import Kept

BATCH: Final = 500
BATCHES: Final = 40
SUBJECTS: Final = 250
"""A batch has two events of each: a busy facility."""
MANY: Final = 10_000
"""Subjects of a history of years: each batch has other ones."""
Subscribe = Callable[[Handlers], None]


def plain(handlers: Handlers) -> None:
    """A handler that does nothing."""

    @handlers.on(SessionAttended)
    async def nothing(_event: SessionAttended, _envelope: Envelope) -> None:
        return


def with_tx(handlers: Handlers) -> None:
    """A handler that takes the transaction, and does nothing in it."""

    @handlers.on(SessionAttended)
    async def nothing(
        _event: SessionAttended, _envelope: Envelope, _tx: sqlite3.Connection
    ) -> None:
        return


def messages(
    event: type[SessionAttended | SessionMissed], subject_count: int = SUBJECTS
) -> list[Kept]:
    """Enough for all batches, over many subjects in turn."""
    history, said = History("bench"), event.example()
    subjects = [history.subject("episode", n) for n in range(subject_count)]
    for n in range(BATCH * BATCHES):
        history.say(said, subjects[n % subject_count])
    return history.messages


async def measure(inbox: Inbox, subscribe: Subscribe, said: list[Kept]) -> float:
    """Microseconds of processor time per event, as the median of the batches but the first."""
    handlers = Handlers()
    subscribe(handlers)
    await inbox.open("bench")
    delivery = Delivery(handlers, inbox)
    await delivery.hold({(one.topic, one.partition) for one in said})
    took: list[float] = []
    for at in range(0, len(said), BATCH):
        began = process_time()
        await delivery.take(said[at : at + BATCH])
        took.append((process_time() - began) / BATCH * 1e6)
    await delivery.flush()
    await inbox.close()
    return median(took[1:])


async def main() -> dict[str, float]:
    """Every figure by what it is of."""
    skipped, handled = messages(SessionMissed), messages(SessionAttended)
    many = messages(SessionAttended, MANY)
    with TemporaryDirectory() as directory:

        def file(name: str) -> SQLiteInbox:
            return SQLiteInbox(Path(directory) / name)

        return {
            "skipped, in memory": await measure(MemoryInbox(), plain, skipped),
            "skipped, SQLite": await measure(file("a"), plain, skipped),
            "handled, in memory": await measure(MemoryInbox(), plain, handled),
            "handled, SQLite": await measure(file("b"), plain, handled),
            "handled, SQLite, in its transaction": await measure(file("c"), with_tx, handled),
            "handled, SQLite, of many subjects": await measure(file("d"), plain, many),
        }


if __name__ == "__main__":
    found = asyncio.run(main())
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name, microseconds in found.items():
            print(f"{name:40} {microseconds:6.1f} µs")
