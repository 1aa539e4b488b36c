"""An inbox in MongoDB. Needs the extra `mongo` of the wheel.

Where the server has transactions (a replica set), a handler's third argument is the session of the unit: write by
`tx.client[…][…].insert_one(…, session=tx)`. MongoDB takes back a transaction only as a whole, so each such handler has
one of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, ClassVar, Final
from uuid import uuid4

from pymongo import AsyncMongoClient, DeleteOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    InvalidName,
    OperationFailure,
    PyMongoError,
)

from ...inbox import StreamInbox
from ..errors import InboxUnavailable, MovedOn, Refused, address_unusable, unknown_inbox
from ..messages import Aside, Place, Stream
from .protocol import VERSION, Changes

OFFSETS, STREAMS, ASIDE, INBOX = (
    f"throughcare_{name}" for name in ("offsets", "streams", "aside", "inbox")
)
SERVER_WAIT_MS: Final = 5_000
NO_TRANSACTIONS: Final = {20, 263}
"""MongoDB's codes for a server that has none."""
Documents = dict[str, Any]


class MongoInbox:
    """`MongoInbox("mongodb://…", "billing")`: the connection string, and the database."""

    durable: ClassVar[bool] = True
    savepoints: ClassVar[bool] = False

    def __init__(self, uri: str, database: str, *, wait_ms: int = SERVER_WAIT_MS) -> None:
        self.id = ""
        self.transactions = True
        """Whether the server has them; known once the inbox is open."""
        self._uri = uri
        self._wait_ms = wait_ms
        self._database_name = database
        self._connected: AsyncMongoClient[Documents] | None = None
        self._name = ""

    @property
    def _client(self) -> AsyncMongoClient[Documents]:
        if self._connected is None:
            raise RuntimeError("the inbox is not open")
        return self._connected

    @property
    def _database(self) -> AsyncDatabase[Documents]:
        return self._client[self._database_name]

    async def open(self, subscriber: str, *, make: bool = True) -> None:
        self._name = subscriber
        try:
            with _told():
                self._connected = self._client_of_the_address()
                await self._open(make=make)
        except BaseException as error:
            await self.close()
            if isinstance(error, InboxUnavailable):
                raise Refused(error.code, error.detail, error.hint) from error
            raise

    def _client_of_the_address(self) -> AsyncMongoClient[Documents]:
        try:
            client: AsyncMongoClient[Documents] = AsyncMongoClient(
                self._uri, w="majority", journal=True, serverSelectionTimeoutMS=self._wait_ms
            )
            client.get_database(self._database_name)
        except (ConfigurationError, InvalidName, ValueError, TypeError) as error:
            raise address_unusable(
                f"MongoDB's driver refuses it ({type(error).__name__})"
            ) from error
        return client

    async def _open(self, *, make: bool) -> None:
        inboxes = self._database[INBOX]
        if not make and await inboxes.find_one({"_id": self._name}) is None:
            raise unknown_inbox(self._name)
        newest = await inboxes.find_one({"version": {"$gt": VERSION}})
        if newest is not None:
            raise Refused(
                "inbox-newer",
                f"The inbox has version {newest['version']}; this wheel knows {VERSION}.",
                "Install the newer wheel again. The inbox has not been changed.",
            )
        with suppress(DuplicateKeyError):
            await inboxes.insert_one({"_id": self._name, "id": uuid4().hex, "version": VERSION})
        self.id = (await inboxes.find_one({"_id": self._name}) or {})["id"]
        await self._database[STREAMS].create_index([("subscriber", 1), ("key", 1)], unique=True)
        await self._database[ASIDE].create_index([("subscriber", 1)])
        self.transactions = await self._has_transactions()

    async def _has_transactions(self) -> bool:
        """Ask by beginning one, for only that tells."""
        async with self._client.start_session() as session:
            await session.start_transaction()
            try:
                await self._database[INBOX].update_one(
                    {"_id": self._name}, {"$set": {"version": VERSION}}, session=session
                )
            except OperationFailure as error:
                if error.code in NO_TRANSACTIONS:
                    return False
                raise
            finally:
                if session.in_transaction:
                    await session.abort_transaction()
        return True

    async def close(self) -> None:
        if self._connected is not None:
            await self._connected.close()
            self._connected = None

    async def offsets(self) -> dict[Place, int]:
        with _told():
            found = self._database[OFFSETS].find({"subscriber": self._name})
            return {(one["topic"], one["partition"]): one["next"] async for one in found}

    async def streams(self, keys: Iterable[Stream]) -> dict[Stream, StreamInbox]:
        wanted = {_key(*stream): stream for stream in keys}
        with _told():
            found = self._database[STREAMS].find(
                {"subscriber": self._name, "key": {"$in": list(wanted)}}
            )
            return {wanted[one["key"]]: (one["highest"], one["window"], b"") async for one in found}

    async def aside(self) -> list[Aside]:
        with _told():
            found = self._database[ASIDE].find({"subscriber": self._name}).sort("place", 1)
            return [_aside(one) async for one in found]

    @asynccontextmanager
    async def unit(self, expected: Mapping[Place, int]) -> AsyncGenerator[_Unit]:
        with _told():
            await self._make(expected)
            if not self.transactions:
                unit = _Unit(self._database, self._name, expected, None)
                await unit.check()
                yield unit
                return
            async with self._client.start_session() as session, await session.start_transaction():
                unit = _Unit(self._database, self._name, expected, session)
                await unit.check()
                yield unit

    async def _make(self, places: Iterable[Place]) -> None:
        """Make the documents of partitions that are new here: each unit then begins by writing to its own."""
        made = [
            UpdateOne(
                {"_id": _key(self._name, *place)},
                {
                    "$setOnInsert": {
                        "subscriber": self._name,
                        "topic": place[0],
                        "partition": place[1],
                        "next": 0,
                    }
                },
                upsert=True,
            )
            for place in places
        ]
        if made:
            await self._database[OFFSETS].bulk_write(made, ordered=False)


class _Unit:
    def __init__(
        self,
        database: Any,
        name: str,
        expected: Mapping[Place, int],
        session: AsyncClientSession | None,
    ) -> None:
        self.tx = session
        self._database = database
        self._name = name
        self._expected = expected

    async def check(self) -> None:
        """Take hold of the partitions: whoever writes to them meanwhile meets a write conflict."""
        for place, offset in sorted(self._expected.items()):
            held = await self._database[OFFSETS].update_one(
                {"_id": _key(self._name, *place), "next": offset},
                {"$set": {"held": uuid4().hex}},
                session=self.tx,
            )
            if not held.matched_count:
                raise MovedOn("inbox-moved-on", "Another process handles these partitions.")

    @asynccontextmanager
    async def step(self) -> AsyncGenerator[None]:
        yield

    async def save(self, changes: Changes) -> None:
        """Offsets last: without transactions, what is repeated after a crash is then known by its numbers."""
        await self._write(STREAMS, self._streams(changes))
        await self._write(ASIDE, self._asides(changes))
        for place, offset in changes.offsets.items():
            moved = await self._database[OFFSETS].update_one(
                {"_id": _key(self._name, *place), "next": self._expected[place]},
                {"$set": {"next": offset}},
                session=self.tx,
            )
            if not moved.matched_count:
                raise MovedOn("inbox-moved-on", "Another process handles these partitions.")

    async def _write(self, collection: str, operations: Sequence[Any]) -> None:
        if operations:
            await self._database[collection].bulk_write(operations, ordered=False, session=self.tx)

    def _streams(self, changes: Changes) -> list[Any]:
        return [
            ReplaceOne(
                {"_id": _key(self._name, *stream)},
                {
                    "subscriber": self._name,
                    "key": _key(*stream),
                    "highest": known[0],
                    "window": known[1],
                },
                upsert=True,
            )
            for stream, known in changes.streams.items()
        ]

    def _asides(self, changes: Changes) -> list[Any]:
        kept = [
            ReplaceOne(
                {"_id": _key(self._name, *place)},
                {"subscriber": self._name, "place": list(place), **one._asdict()},
                upsert=True,
            )
            for place, one in changes.aside.items()
        ]
        return [*kept, *(DeleteOne({"_id": _key(self._name, *place)}) for place in changes.settled)]


def _key(*parts: object) -> str:
    """No part has a blank: names, topics, numbers, sources and subjects."""
    return " ".join(map(str, parts))


def _aside(found: Mapping[str, Any]) -> Aside:
    return Aside(*(found[name] for name in Aside._fields))


@contextmanager
def _told() -> Generator[None]:
    """Turn the driver's errors into what to do about them."""
    try:
        yield
    except (PyMongoError, BulkWriteError) as error:
        raise InboxUnavailable(
            "inbox-unreachable",
            f"MongoDB does not take it now ({type(error).__name__}).",
            "Look at the server, its disk and this user's rights.",
        ) from error
