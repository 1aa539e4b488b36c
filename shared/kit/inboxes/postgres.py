"""An inbox in PostgreSQL. Needs the extra `postgres` of the wheel.

A handler's third argument is the `psycopg.AsyncConnection` of the unit: `await tx.execute(…)`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any, ClassVar, Final
from uuid import uuid4

from ...inbox import StreamInbox
from ..errors import InboxUnavailable, MovedOn, Refused, driver_missing, unknown_inbox
from ..messages import Aside, Place, Stream
from .protocol import VERSION, Changes

LOCK_SECONDS: Final = 5
_ALONE: Final = 7_304_151_220_113
"""Names the lock under which tables are made: an arbitrary number."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS throughcare_inbox (
    subscriber text PRIMARY KEY, id text NOT NULL, version integer NOT NULL);
CREATE TABLE IF NOT EXISTS throughcare_offsets (
    subscriber text, topic text, partition integer, next bigint NOT NULL, PRIMARY KEY (subscriber, topic, partition));
CREATE TABLE IF NOT EXISTS throughcare_streams (
    subscriber text, source text, subject text, highest bigint NOT NULL, applied bytea NOT NULL,
    PRIMARY KEY (subscriber, source, subject));
CREATE TABLE IF NOT EXISTS throughcare_aside (
    subscriber text, topic text, partition integer, "offset" bigint, source text NOT NULL, subject text NOT NULL,
    reason text NOT NULL, error text NOT NULL, tries integer NOT NULL, next_at double precision NOT NULL,
    message bytea NOT NULL, PRIMARY KEY (subscriber, topic, partition, "offset"))
"""
_HOLD: Final = """
SELECT next FROM throughcare_offsets WHERE subscriber = %s AND topic = %s AND partition = %s FOR UPDATE
"""
_MAKE: Final = """
INSERT INTO throughcare_offsets SELECT %s, topic, partition, 0
    FROM unnest(%s::text[], %s::integer[]) AS wanted(topic, partition) ON CONFLICT DO NOTHING
"""
_STREAMS: Final = """
SELECT source, subject, highest, applied FROM throughcare_streams
    JOIN unnest(%s::text[], %s::text[]) AS wanted(source, subject) USING (source, subject) WHERE subscriber = %s
"""
_SAVE_STREAMS: Final = """
INSERT INTO throughcare_streams SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bytea[])
    ON CONFLICT (subscriber, source, subject) DO UPDATE SET highest = excluded.highest, applied = excluded.applied
"""
_SAVE_ASIDE: Final = """
INSERT INTO throughcare_aside VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (subscriber, topic, partition, "offset") DO UPDATE
    SET reason = excluded.reason, error = excluded.error, tries = excluded.tries, next_at = excluded.next_at
"""


class PostgresInbox:
    """`PostgresInbox("postgresql://…")`. Its tables begin with `throughcare_`; yours may stand beside them."""

    durable: ClassVar[bool] = True
    savepoints: ClassVar[bool] = True

    def __init__(self, conninfo: str) -> None:
        self.id = ""
        self.transactions = True
        self._conninfo = conninfo
        self._name = ""
        try:
            self._driver: Any = import_module("psycopg")
        except ImportError as error:
            raise driver_missing("postgres", error) from error
        self._connection: Any = None

    async def open(self, subscriber: str, *, make: bool = True) -> None:
        self._name = subscriber
        try:
            async with self._told() as connection, connection.transaction():
                if not make:
                    await self._check_there(connection)
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ALONE,))
                for statement in _TABLES.split(";"):
                    await connection.execute(statement)
                await self._register(connection)
        except InboxUnavailable as error:
            await self.close()
            raise Refused(error.code, error.detail, error.hint) from error
        except BaseException:
            await self.close()
            raise

    async def _check_there(self, connection: Any) -> None:
        there = await connection.execute("SELECT to_regclass('throughcare_inbox') IS NOT NULL")
        [(found,)] = await there.fetchall()
        if found:
            named = await connection.execute(
                "SELECT 1 FROM throughcare_inbox WHERE subscriber = %s", (self._name,)
            )
            if await named.fetchone():
                return
        raise unknown_inbox(self._name)

    async def _register(self, connection: Any) -> None:
        newest = await connection.execute("SELECT max(version) FROM throughcare_inbox")
        [(found,)] = await newest.fetchall()
        if found is not None and found > VERSION:
            raise Refused(
                "inbox-newer",
                f"The inbox has version {found}; this wheel knows {VERSION}.",
                "Install the newer wheel again. The inbox has not been changed.",
            )
        await connection.execute(
            "INSERT INTO throughcare_inbox VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (self._name, uuid4().hex, VERSION),
        )
        named = await connection.execute(
            "SELECT id FROM throughcare_inbox WHERE subscriber = %s", (self._name,)
        )
        [(self.id,)] = await named.fetchall()

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    @asynccontextmanager
    async def _told(self) -> AsyncGenerator[Any]:
        """The connection, made anew when it was lost. Turns the driver's errors into what to do about them."""
        with self._errors():
            if self._connection is None or self._connection.closed:
                self._connection = await self._driver.AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    connect_timeout=5,
                    options=f"-c lock_timeout={LOCK_SECONDS}s",
                )
            yield self._connection

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except self._driver.Error as error:
            code = "inbox-unreachable"
            if isinstance(error, self._driver.errors.LockNotAvailable):
                code = "inbox-locked"
            elif isinstance(error, self._driver.errors.DiskFull):
                code = "inbox-full"
            raise InboxUnavailable(
                code,
                f"PostgreSQL does not take it now ({type(error).__name__}).",
                "Look at the server, its locks, its disk and this user's rights.",
            ) from error

    async def offsets(self) -> dict[Place, int]:
        found = await self._rows(
            "SELECT topic, partition, next FROM throughcare_offsets WHERE subscriber = %s",
            self._name,
        )
        return {(topic, partition): offset for topic, partition, offset in found}

    async def streams(self, keys: Iterable[Stream]) -> dict[Stream, StreamInbox]:
        wanted = list(keys)
        sources, subjects = [one for one, _ in wanted], [one for _, one in wanted]
        found = await self._rows(_STREAMS, sources, subjects, self._name)
        return {
            (source, subject): (highest, bytes(applied), b"")
            for source, subject, highest, applied in found
        }

    async def aside(self) -> list[Aside]:
        found = await self._rows(
            'SELECT topic, partition, "offset", source, subject, reason, error, tries, next_at, message'
            ' FROM throughcare_aside WHERE subscriber = %s ORDER BY topic, partition, "offset"',
            self._name,
        )
        return [Aside._make((*row[:-1], bytes(row[-1]))) for row in found]

    async def _rows(self, query: str, *values: Any) -> list[Any]:
        async with self._told() as connection:
            found = await connection.execute(query, values)
            rows: list[Any] = await found.fetchall()
            return rows

    @asynccontextmanager
    async def unit(self, expected: Mapping[Place, int]) -> AsyncGenerator[_Unit]:
        async with self._told() as connection, connection.transaction():
            topics, partitions = [one for one, _ in expected], [one for _, one in expected]
            await connection.execute(_MAKE, (self._name, topics, partitions))
            for place, offset in sorted(expected.items()):
                held = await connection.execute(_HOLD, (self._name, *place))
                [(found,)] = await held.fetchall()
                if found != offset:
                    raise MovedOn("inbox-moved-on", "Another process handles these partitions.")
            yield _Unit(connection, self._name)


class _Unit:
    def __init__(self, connection: Any, name: str) -> None:
        self.tx = connection
        self._name = name

    @asynccontextmanager
    async def step(self) -> AsyncGenerator[None]:
        try:
            async with self.tx.transaction():
                yield
        except BaseException as error:
            if self.tx.closed:
                raise InboxUnavailable(
                    "inbox-unreachable", f"PostgreSQL was lost meanwhile ({type(error).__name__})."
                ) from error
            raise

    async def save(self, changes: Changes) -> None:
        name, run = self._name, self.tx.execute
        for place, offset in changes.offsets.items():
            await run(
                "UPDATE throughcare_offsets SET next = %s"
                " WHERE subscriber = %s AND topic = %s AND partition = %s",
                (offset, name, *place),
            )
        if changes.streams:
            rows = [(*stream, known[0], known[1]) for stream, known in changes.streams.items()]
            await run(_SAVE_STREAMS, (name, *map(list, zip(*rows, strict=True))))
        for one in changes.aside.values():
            await run(_SAVE_ASIDE, (name, *one))
        for place in changes.settled:
            await run(
                "DELETE FROM throughcare_aside"
                ' WHERE subscriber = %s AND topic = %s AND partition = %s AND "offset" = %s',
                (name, *place),
            )
