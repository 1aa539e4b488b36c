"""Stores the audit: entries in the collection `audit`, the links of the chains in `audit_links`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from shared.runtime.audit.chain import Head, followed_by, stored_head
from shared.runtime.core.audit import EVERYWHERE, UNCHAINED, Document
from shared.runtime.core.paging import make_cursor, next_field, read_cursor
from shared.runtime.core.store import translated

CURSOR: Final = "audit"
WAITING: Final = "waiting"
"""The stored field of a link that has to be copied to the journal."""
LAST: Final = "last"
"""The stored field of a link that no other one follows yet, so that a start need not read all of them."""
_INSTANT_BYTES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for: of a facility, and about a record, by an actor, within a time, where given."""

    facility_id: str
    subject: str | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None

    def query(self, after: str | None) -> Document:
        """The entries that follow the cursor, the latest first. Raises `Invalid` for another cursor."""
        bounds: list[Document] = [
            {"facilities": {"$in": [self.facility_id, EVERYWHERE]}},
            {"at": {"$gte": _EPOCH}},  # of a damaged entry nobody knows where it belongs
        ]
        for name, value in (
            ("subjects", self.subject),
            ("actor_id", self.actor_id),
            ("kind", self.kind),
        ):
            if value is not None:
                bounds.append({name: value})
        if self.since is not None:
            bounds.append({"at": {"$gte": self.since}})
        if self.until is not None:
            bounds.append({"at": {"$lte": self.until}})
        if after is not None:
            at, entry_id = _place(read_cursor(after, CURSOR, self.facility_id))
            bounds.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": entry_id}}]})
        return {"$and": bounds}


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """Some entries, the latest first. `next` is the cursor of the page that follows; None when nothing does."""

    entries: list[Document]
    next: str | None

    @property
    def next_field(self) -> dict[str, str]:
        return next_field(self.next)


def page_of(found: Sequence[Document], wanted: Wanted, limit: int) -> EntriesPage:
    """The page of the entries that were found: one more than it holds, when a page follows."""
    shown = list(found[:limit])
    following = None
    if len(found) > limit:
        last = shown[-1]
        at = (last["at"] - _EPOCH) // _MILLISECOND
        content = at.to_bytes(_INSTANT_BYTES, signed=True) + last["_id"].encode()
        following = make_cursor(content, CURSOR, wanted.facility_id)
    return EntriesPage(shown, following)


def is_before(entry: Mapping[str, Any], before: datetime) -> bool:
    """Whether an entry has a time that reads, and was stored before another."""
    at = entry.get("at")
    return isinstance(at, datetime) and at < before


def _place(content: bytes) -> tuple[datetime, str]:
    at = int.from_bytes(content[:_INSTANT_BYTES], signed=True)
    return _EPOCH + at * _MILLISECOND, content[_INSTANT_BYTES:].decode("ascii", "replace")


def last_of(links: Iterable[Mapping[str, Any]]) -> dict[str, Head]:
    """The last link of each chain, of those that are marked as `LAST`: a crash may leave the one before it marked."""
    found: dict[str, Head] = {}
    for link in links:
        head = stored_head(link)
        if head is not None and found.get(head.chain, Head("")).number < head.number:
            found[head.chain] = head
    return found


class AuditLog(Protocol):
    """The audit of one service. Every method raises `Unavailable` when the store is away."""

    async def page(self, wanted: Wanted, after: str | None, limit: int) -> EntriesPage:
        """Entries, the latest first. `after` is `next` of the page before; raises `Invalid` when it is not."""
        ...

    async def unchained(
        self, replica_id: str | None, before: datetime, limit: int
    ) -> list[Document]:
        """Entries without a link: those of this replica, or with None those of any that were stored before a time."""
        ...

    async def undated(self, limit: int) -> list[str]:
        """The ids of entries without a link and without a readable time, so that nobody knows whether they wait."""
        ...

    async def add_link(self, link: Document, *, waiting: bool) -> bool:
        """Store a link, and note in its entries that they have one. False when another link has its number already.

        `waiting`: it has to be copied to the journal.
        """
        ...

    async def heads(self) -> dict[str, Head]:
        """The last link of every chain that no later chain names, by chain."""
        ...

    def links(self) -> AsyncIterator[Document]:
        """Every link, chain by chain in their order."""
        ...

    async def entries(self, ids: Sequence[str]) -> dict[str, Document]:
        """Entries by id; what is not there is left out."""
        ...

    async def count_unchained(self) -> int:
        """How many entries have no link yet."""
        ...

    async def waiting_links(self, limit: int) -> list[Document]:
        """Links that have to be copied to the journal."""
        ...

    async def copied(self, ids: Sequence[str]) -> None:
        """Note that these links are on the journal."""
        ...

    async def copy_all(self) -> None:
        """Have every link copied to the journal."""
        ...

    async def restore(self, link: Document, entries: Sequence[Document]) -> None:
        """Put back a link and its entries, where they are not there."""
        ...


class MongoAudit:
    """`AuditLog` in a service's own database."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._entries: AsyncCollection[Document] = database["audit"]
        self._links: AsyncCollection[Document] = database["audit_links"]

    async def start(self) -> None:
        """Make the indexes."""
        with translated():
            for name in ("facilities", "subjects", "actor_id"):
                await self._entries.create_index([(name, ASCENDING), ("at", DESCENDING)])
            await self._entries.create_index([(UNCHAINED, ASCENDING)], sparse=True)
            await self._links.create_index([("chain", ASCENDING), ("number", ASCENDING)])
            for mark in (WAITING, LAST):
                await self._links.create_index([(mark, ASCENDING)], sparse=True)

    async def page(self, wanted: Wanted, after: str | None, limit: int) -> EntriesPage:
        query = wanted.query(after)
        with translated():
            cursor = self._entries.find(query).sort([("at", DESCENDING), ("_id", DESCENDING)])
            found = await cursor.limit(limit + 1).to_list()
        return page_of(found, wanted, limit)

    async def unchained(
        self, replica_id: str | None, before: datetime, limit: int
    ) -> list[Document]:
        whose = {"$gt": ""} if replica_id is None else replica_id
        with translated():
            found = await self._entries.find({UNCHAINED: whose}).limit(limit).to_list()
        return [one for one in found if replica_id is not None or is_before(one, before)]

    async def undated(self, limit: int) -> list[str]:
        with translated():
            found = self._entries.find({UNCHAINED: {"$gt": ""}}, {"at": 1})
            entries = await found.limit(limit).to_list()
        return [str(one["_id"]) for one in entries if not isinstance(one.get("at"), datetime)]

    async def add_link(self, link: Document, *, waiting: bool) -> bool:
        with translated():
            try:
                await self._links.insert_one({**link, LAST: 1, **({WAITING: 1} if waiting else {})})
            except DuplicateKeyError:
                return False
            await self._links.update_many(
                {"_id": {"$in": followed_by(link)}}, {"$unset": {LAST: ""}}
            )
            await self._entries.update_many(
                {"_id": {"$in": link["ids"]}}, {"$unset": {UNCHAINED: ""}}
            )
        return True

    async def heads(self) -> dict[str, Head]:
        shown = {"chain": 1, "number": 1, "hash": 1}
        with translated():
            return last_of(await self._links.find({LAST: 1}, shown).to_list())

    async def links(self) -> AsyncIterator[Document]:
        with translated():
            async for link in self._links.find({}).sort([("chain", 1), ("number", 1)]):
                yield link

    async def entries(self, ids: Sequence[str]) -> dict[str, Document]:
        with translated():
            found = await self._entries.find({"_id": {"$in": list(ids)}}).to_list()
        return {entry["_id"]: entry for entry in found}

    async def count_unchained(self) -> int:
        with translated():
            return await self._entries.count_documents({UNCHAINED: {"$gt": ""}})

    async def waiting_links(self, limit: int) -> list[Document]:
        with translated():
            return await self._links.find({WAITING: 1}).limit(limit).to_list()

    async def copied(self, ids: Sequence[str]) -> None:
        with translated():
            await self._links.update_many({"_id": {"$in": list(ids)}}, {"$unset": {WAITING: ""}})

    async def copy_all(self) -> None:
        with translated():
            await self._links.update_many({}, {"$set": {WAITING: 1}})

    async def restore(self, link: Document, entries: Sequence[Document]) -> None:
        with translated():
            if entries:
                await self._entries.bulk_write(
                    [_unless_there(one) for one in entries], ordered=False
                )
            await self._links.bulk_write([_unless_there({**link, LAST: 1})])
            await self._links.update_many(
                {"_id": {"$in": followed_by(link)}}, {"$unset": {LAST: ""}}
            )


def _unless_there(document: Mapping[str, Any]) -> UpdateOne:
    return UpdateOne({"_id": document["_id"]}, {"$setOnInsert": dict(document)}, upsert=True)
