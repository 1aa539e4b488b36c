"""A subscriber as a process of its own, to be killed: `python -m tests.integration.kit_child INBOX`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

from shared.contracts.attendance import SessionAttended
from shared.contracts.event import Envelope
from shared.kit import SQLiteInbox, Subscriber

TABLE = "CREATE TABLE IF NOT EXISTS credits (subject TEXT, number INTEGER)"


async def main(path: str) -> None:
    async with Subscriber("billing", inbox=SQLiteInbox(path), batch=50) as events:

        @events.on(SessionAttended)
        async def credit(
            _event: SessionAttended, envelope: Envelope, tx: sqlite3.Connection
        ) -> None:
            tx.execute(TABLE)
            tx.execute("INSERT INTO credits VALUES (?, ?)", (envelope.subject, envelope.sequence))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
