"""An inbox in a file: SQLite, of the standard library. One file may also hold the subscriber's own tables.

What can wait for a lock or for the disk (begin, commit) runs in a thread; reads and writes in between are memory.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from uuid import uuid4

from ...inbox import StreamInbox
from ..errors import InboxUnavailable, KitError, MovedOn, Refused, unknown_inbox
from ..messages import Aside, Place, Stream
from .protocol import VERSION, Changes

T = TypeVar("T")
LOCK_SECONDS: Final = 5.0
"""How long a lock of another process is waited for before it counts as locked."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS throughcare_inbox (
    subscriber TEXT PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS throughcare_offsets (
    subscriber TEXT, topic TEXT, "partition" INTEGER, next INTEGER NOT NULL,
    PRIMARY KEY (subscriber, topic, "partition")) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS throughcare_streams (
    subscriber TEXT, source TEXT, subject TEXT, highest INTEGER NOT NULL, window BLOB NOT NULL,
    PRIMARY KEY (subscriber, source, subject)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS throughcare_aside (
    subscriber TEXT, topic TEXT, "partition" INTEGER, "offset" INTEGER, source TEXT NOT NULL, subject TEXT NOT NULL,
    reason TEXT NOT NULL, error TEXT NOT NULL, tries INTEGER NOT NULL, next_at REAL NOT NULL, message BLOB NOT NULL,
    PRIMARY KEY (subscriber, topic, "partition", "offset"));
"""
_STREAMS: Final = """
SELECT source, subject, highest, window FROM json_each(?) AS wanted CROSS JOIN throughcare_streams
    ON subscriber = ? AND source = wanted.value ->> 0 AND subject = wanted.value ->> 1
"""
"""By CROSS JOIN, SQLite looks up each that is wanted; else it reads all streams, and the list for each of them."""


class SQLiteInbox:
    """`SQLiteInbox("inbox.db")`. A handler's third argument is the `sqlite3.Connection`; it must not commit."""

    durable: ClassVar[bool] = True
    savepoints: ClassVar[bool] = True

    def __init__(self, path: str | Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.id = ""
        self.transactions = True
        self._path = Path(path)
        self._lock_seconds = lock_seconds
        self._name = ""
        self._connection: sqlite3.Connection | None = None

    async def open(self, subscriber: str, *, make: bool = True) -> None:
        self._name = subscriber
        try:
            with _told(self._path):
                await asyncio.to_thread(self._open, make)
        except BaseException as error:
            await self.close()
            if isinstance(error, InboxUnavailable):
                raise Refused(error.code, error.detail, error.hint) from error
            raise

    def _open(self, make: bool) -> None:  # noqa: FBT001 - named by `open`
        if not make:
            self._check_there()
        self._connection = connection = sqlite3.connect(
            self._path, timeout=self._lock_seconds, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        self._check_version(connection)
        for statement in _TABLES.split(";")[:-1]:
            connection.execute(statement)
        connection.execute(
            "INSERT OR IGNORE INTO throughcare_inbox VALUES (?, ?, ?)",
            (self._name, uuid4().hex, VERSION),
        )
        [(self.id,)] = connection.execute(
            "SELECT id FROM throughcare_inbox WHERE subscriber = ?", (self._name,)
        )
        connection.execute("COMMIT")

    def _check_there(self) -> None:
        if self._path.is_file():
            with closing(sqlite3.connect(self._path, timeout=self._lock_seconds)) as connection:
                there = "SELECT 1 FROM sqlite_schema WHERE name = 'throughcare_inbox'"
                named = "SELECT 1 FROM throughcare_inbox WHERE subscriber = ?"
                if (
                    connection.execute(there).fetchone()
                    and connection.execute(named, (self._name,)).fetchone()
                ):
                    return
        raise unknown_inbox(self._name)

    def _check_version(self, connection: sqlite3.Connection) -> None:
        if not connection.execute(
            "SELECT 1 FROM sqlite_schema WHERE name = 'throughcare_inbox'"
        ).fetchone():
            return
        [(found,)] = connection.execute("SELECT max(version) FROM throughcare_inbox")
        if found is not None and found > VERSION:
            raise Refused(
                "inbox-newer",
                f"{self._path.name} has version {found}; this wheel knows {VERSION}.",
                "Install the newer wheel again. The inbox has not been changed.",
            )

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await asyncio.to_thread(connection.close)

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the inbox is not open")
        return self._connection

    async def offsets(self) -> dict[Place, int]:
        found = await self._rows(
            'SELECT topic, "partition", next FROM throughcare_offsets WHERE subscriber = ?',
            self._name,
        )
        return {(topic, partition): offset for topic, partition, offset in found}

    async def streams(self, keys: Iterable[Stream]) -> dict[Stream, StreamInbox]:
        found = await self._rows(_STREAMS, json.dumps(list(keys)), self._name)
        return {
            (source, subject): (highest, window, b"") for source, subject, highest, window in found
        }

    async def aside(self) -> list[Aside]:
        found = await self._rows(
            'SELECT topic, "partition", "offset", source, subject, reason, error, tries, next_at, message'
            ' FROM throughcare_aside WHERE subscriber = ? ORDER BY topic, "partition", "offset"',
            self._name,
        )
        return [Aside(*row) for row in found]

    async def _rows(self, query: str, *values: Any) -> list[Any]:
        connection = self._open_connection

        def read() -> list[Any]:
            return connection.execute(query, values).fetchall()

        return await self._in_thread(read)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with _told(self._path):
            return await asyncio.to_thread(work)

    @asynccontextmanager
    async def unit(self, expected: Mapping[Place, int]) -> AsyncGenerator[_Unit]:
        connection = self._open_connection
        await self._in_thread(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            with _told(self._path):
                self._check(connection, expected)
            yield _Unit(connection, self._name, self._path)
            await self._in_thread(lambda: connection.execute("COMMIT"))
        except BaseException:
            if connection.in_transaction:  # SQLite has already rolled back when its disk is full
                connection.execute("ROLLBACK")
            raise

    def _check(self, connection: sqlite3.Connection, expected: Mapping[Place, int]) -> None:
        for (topic, partition), offset in expected.items():
            found = connection.execute(
                "SELECT next FROM throughcare_offsets"
                ' WHERE subscriber = ? AND topic = ? AND "partition" = ?',
                (self._name, topic, partition),
            ).fetchone()
            if (found[0] if found else 0) != offset:
                raise MovedOn("inbox-moved-on", "Another process handles these partitions.")


class _Unit:
    def __init__(self, connection: sqlite3.Connection, name: str, path: Path) -> None:
        self.tx = connection
        self._name = name
        self._path = path

    def step(self) -> _Unit:
        return self  # a context manager of one's own: a generator's takes longer than the savepoint

    async def __aenter__(self) -> None:
        self._check_begun()
        self.tx.execute("SAVEPOINT throughcare")

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self._check_begun()
        if kind is not None:
            self.tx.execute("ROLLBACK TO throughcare")
        self.tx.execute("RELEASE throughcare")

    def _check_begun(self) -> None:
        """SQLite gives up a transaction for which there is no room; a savepoint would then be one of its own."""
        if not self.tx.in_transaction:
            raise InboxUnavailable(
                "inbox-transaction-gone",
                f"{self._path.name}: the transaction has ended before the unit.",
                "Make room on its disk; and a handler must not commit.",
            )

    async def save(self, changes: Changes) -> None:
        with _told(self._path):
            self._save(changes)

    def _save(self, changes: Changes) -> None:
        self._check_begun()
        name, write = self._name, self.tx.executemany
        write(
            "INSERT OR REPLACE INTO throughcare_offsets VALUES (?, ?, ?, ?)",
            [(name, *place, offset) for place, offset in changes.offsets.items()],
        )
        write(
            "INSERT OR REPLACE INTO throughcare_streams VALUES (?, ?, ?, ?, ?)",
            [(name, *key, known[0], known[1]) for key, known in changes.streams.items()],
        )
        write(
            "INSERT OR REPLACE INTO throughcare_aside VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(name, *one) for one in changes.aside.values()],
        )
        write(
            "DELETE FROM throughcare_aside"
            ' WHERE subscriber = ? AND topic = ? AND "partition" = ? AND "offset" = ?',
            [(name, *place) for place in changes.settled],
        )


_PASSING: Final = {
    "database is locked": ("inbox-locked", "Another process holds it.", "End that process."),
    "database or disk is full": ("inbox-full", "Its disk is full.", "Make room."),
    "disk I/O error": ("inbox-unwritable", "Its disk fails.", "Look at the disk."),
    "attempt to write a readonly database": (
        "inbox-read-only",
        "It can't be written.",
        "Give the subscriber the right to write its file and directory.",
    ),
    "unable to open database file": (
        "inbox-unreachable",
        "Its file can't be opened.",
        "Make its directory, and give the subscriber the right to write in it.",
    ),
}


@contextmanager
def _told(path: Path) -> Generator[None]:
    """Turn SQLite's errors into what to do about them."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _error(path, error) from error


def _error(path: Path, error: sqlite3.DatabaseError) -> KitError:
    for words, (code, detail, hint) in _PASSING.items():
        if words in str(error):
            return InboxUnavailable(code, f"{path.name}: {detail}", hint)
    return Refused(
        "inbox-unreadable",
        f"{path.name} is no inbox of this kit, or is damaged ({type(error).__name__}).",
        "Restore it from a backup; with an empty one everything is handled again from the beginning.",
    )
