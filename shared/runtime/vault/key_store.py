"""The key database: one document per person, with their wrapped key and blind index, and one per facility.

Neither the journal nor an ordinary backup contains it. When a person is erased, key and index are removed at once.
Their document stays: it records the time, and prevents the creation of another key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, ReturnDocument, UpdateOne, WriteConcern

from shared.runtime.core.documents import Document
from shared.runtime.core.store import translated
from shared.runtime.core.store_connection import new_client

TOKENS_MAX: Final = 256
"""How many tokens of a person the index keeps, the latest first: those of the last 64 corrections."""
REWRAPPED_AT_ONCE: Final = 500
PEOPLE: Final = "people"
FACILITIES: Final = "facilities"


class WrappedKey(NamedTuple):
    """A key as it is stored: which key-encryption key wraps it."""

    key_id: str
    wrapped: bytes


class KeyRow(NamedTuple):
    """What is known of one person's key: the key, or since when it is destroyed."""

    key: WrappedKey | None
    erased_at: datetime | None


class KeyStore(Protocol):
    """What the vault asks of its database. Every method raises `Unavailable` when it is away."""

    async def start(self) -> None:
        """Make what is needed for quick answers."""
        ...

    async def people(self, person_ids: Sequence[str]) -> dict[str, KeyRow]:
        """The keys of these people, in one query; who has none is left out."""
        ...

    async def people_once(self, person_id: str, facility_id: str, key: WrappedKey) -> KeyRow:
        """Store a person's first key unless there is one, or was one; returns what holds now."""
        ...

    async def facility_once(self, facility_id: str, key: WrappedKey | None) -> WrappedKey | None:
        """The key of a facility's index; where there is none, `key` becomes it."""
        ...

    async def add_tokens(self, person_id: str, tokens: Sequence[bytes]) -> bool:
        """Add to a person's blind index; False when the person is erased or unknown."""
        ...

    async def by_tokens(self, facility_id: str, tokens: Sequence[bytes], limit: int) -> list[str]:
        """The people of a facility whose index has all of these, in the order of their ids."""
        ...

    async def destroy(self, person_id: str, facility_id: str, at: datetime) -> datetime:
        """Remove key and index of a person for good; returns when that was first done."""
        ...

    async def foreign(self, key_ids: Sequence[str]) -> bool:
        """Whether some key is wrapped by another key-encryption key than these."""
        ...

    async def wrapped_otherwise(self, key_id: str) -> list[tuple[str, str, WrappedKey]]:
        """Some keys that another key-encryption key wraps: collection, owner and key."""
        ...

    async def rewrap(self, changes: Iterable[tuple[str, str, WrappedKey, WrappedKey]]) -> None:
        """Replace keys by the same keys wrapped otherwise: collection, owner, before, after."""
        ...

    async def close(self) -> None: ...


class MongoKeyStore:
    """`KeyStore` in a MongoDB database of its own."""

    def __init__(
        self, uri: str, database: str, options: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._client = new_client(uri, options)
        codec: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self.database: Final = self._client.get_database(
            database, codec_options=codec, write_concern=WriteConcern(w="majority", j=True)
        )
        self._people = self.database[PEOPLE]
        self._facilities = self.database[FACILITIES]

    async def start(self) -> None:
        with translated():
            await self._people.create_index([("tokens", ASCENDING)], sparse=True)

    async def people(self, person_ids: Sequence[str]) -> dict[str, KeyRow]:
        with translated():
            found = await self._people.find(
                {"_id": {"$in": list(person_ids)}}, {"tokens": 0}
            ).to_list()
        return {document["_id"]: _row(document) for document in found}

    async def people_once(self, person_id: str, facility_id: str, key: WrappedKey) -> KeyRow:
        made: Document = {"facility_id": facility_id, "key": _stored(key), "tokens": []}
        with translated():
            await self._people.update_one({"_id": person_id}, {"$setOnInsert": made}, upsert=True)
        return (await self.people([person_id]))[person_id]

    async def facility_once(self, facility_id: str, key: WrappedKey | None) -> WrappedKey | None:
        wanted = {"_id": facility_id}
        with translated():
            if key is not None:
                made = {"$setOnInsert": {"key": _stored(key)}}
                await self._facilities.update_one(wanted, made, upsert=True)
            found = await self._facilities.find_one(wanted)
        return None if found is None else _key(found["key"])

    async def add_tokens(self, person_id: str, tokens: Sequence[bytes]) -> bool:
        push = {"tokens": {"$each": list(tokens), "$slice": -TOKENS_MAX}}
        with translated():
            done = await self._people.update_one(
                {"_id": person_id, "key": {"$exists": True}}, {"$push": push}
            )
        return done.matched_count == 1

    async def by_tokens(self, facility_id: str, tokens: Sequence[bytes], limit: int) -> list[str]:
        wanted = {"tokens": {"$all": list(tokens)}, "facility_id": facility_id}
        with translated():
            cursor = self._people.find(wanted, {"_id": 1}).sort("_id", ASCENDING).limit(limit)
            return [document["_id"] for document in await cursor.to_list()]

    async def destroy(self, person_id: str, facility_id: str, at: datetime) -> datetime:
        change = {
            "$setOnInsert": {"facility_id": facility_id},
            "$min": {"erased_at": at},
            "$unset": {"key": "", "tokens": ""},
        }
        with translated():
            found = await self._people.find_one_and_update(
                {"_id": person_id}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
        document: Document = {} if found is None else found
        return document["erased_at"]

    async def foreign(self, key_ids: Sequence[str]) -> bool:
        wanted = {"key.id": {"$exists": True, "$nin": list(key_ids)}}
        with translated():
            for collection in (self._people, self._facilities):
                if await collection.find_one(wanted, {"_id": 1}) is not None:
                    return True
        return False

    async def wrapped_otherwise(self, key_id: str) -> list[tuple[str, str, WrappedKey]]:
        wanted = {"key.id": {"$exists": True, "$ne": key_id}}
        with translated():
            return [
                (name, document["_id"], _key(document["key"]))
                for name in (PEOPLE, FACILITIES)
                for document in await self.database[name]
                .find(wanted, {"key": 1})
                .limit(REWRAPPED_AT_ONCE)
                .to_list()
            ]

    async def rewrap(self, changes: Iterable[tuple[str, str, WrappedKey, WrappedKey]]) -> None:
        writes: dict[str, list[UpdateOne]] = {}
        for name, owner, before, after in changes:
            guard = {"_id": owner, "key.id": before.key_id}
            writes.setdefault(name, []).append(UpdateOne(guard, {"$set": {"key": _stored(after)}}))
        with translated():
            for name, some in writes.items():
                await self.database[name].bulk_write(some, ordered=False)

    async def close(self) -> None:
        await self._client.close()


def _stored(key: WrappedKey) -> Document:
    return {"id": key.key_id, "wrapped": key.wrapped}


def _key(document: Mapping[str, Any]) -> WrappedKey:
    return WrappedKey(document["id"], bytes(document["wrapped"]))


def _row(document: Mapping[str, Any]) -> KeyRow:
    key = document.get("key")
    return KeyRow(None if key is None else _key(key), document.get("erased_at"))
