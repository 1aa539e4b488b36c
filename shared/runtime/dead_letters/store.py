"""Dead letters as operators work with them: grouped, listed and closed, with an audit of what was done.

The reactor and the consumer only add rows (`Store.add_dead_letters`). Everything here is for operators; none of it runs
while events are processed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from shared.runtime.core.dead_letter import OPEN
from shared.runtime.core.paging import make_cursor, next_field, read_cursor
from shared.runtime.core.store import Document, translated

StreamKey = tuple[str, str]
"""A record's subject, and the sender whose line at this record is meant."""
CURSORS: Final = "dead-letters"
WITHOUT_CONTENT: Final = {"data": 0, "key": 0, "item": 0, "edited.data": 0}


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Some dead letters. `next` is the cursor of the page that follows; None when nothing does."""

    rows: list[Document]
    next: str | None

    @property
    def next_field(self) -> dict[str, str]:
        """For an answer over HTTP: `next`, when a page follows."""
        return next_field(self.next)


class DeadLetters(Protocol):
    """Raises `Unavailable` when the store is away."""

    async def groups(self) -> list[Document]:
        """Open rows by fingerprint: how many, over how many lines, since when. The largest first."""
        ...

    async def page(self, wanted: Mapping[str, Any], after: str | None, limit: int) -> RowsPage:
        """Rows whose fields have the given values, by `id`, without their content.

        `after` is `RowsPage.next` of the page before. Raises `Invalid` when it is not.
        """
        ...

    async def one(self, dead_letter_id: str) -> Document | None:
        """A row by its public id, with its content."""
        ...

    async def stream(self, stream: StreamKey, limit: int) -> list[Document]:
        """The open rows of a line, in the order in which they have to be mended."""
        ...

    async def behind(self, row: Mapping[str, Any]) -> int:
        """How many open rows of its line come after this one."""
        ...

    async def streams(self, wanted: Mapping[str, Any], limit: int) -> list[StreamKey]:
        """The lines that have an open row with the given values, the longest waiting first."""
        ...

    async def failed_again(self, dead_letter_id: str, values: Mapping[str, Any]) -> None:
        """One more attempt failed; `values` say how."""
        ...

    async def close(self, dead_letter_id: str, status: str, closed: Mapping[str, Any]) -> None:
        """An open row is done with; `closed` says when, by whom and why."""
        ...

    async def edit(self, dead_letter_id: str, edited: Mapping[str, Any] | None) -> None:
        """Keep corrected data beside the original."""
        ...

    async def write_down(self, entry: Document) -> None:
        """Begin or complete an entry of the audit, by its `_id`."""
        ...

    async def written_down(self, limit: int) -> list[Document]:
        """The latest entries of the audit."""
        ...


class MongoDeadLetters:
    """`DeadLetters` in a service's own database."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._rows: AsyncCollection[Document] = database["dead_letters"]
        self._audit: AsyncCollection[Document] = database["audit"]

    async def start(self) -> None:
        """Make the indexes."""
        with translated():
            await self._rows.create_index([("id", ASCENDING)])
            await self._rows.create_index([("status", ASCENDING), ("fingerprint", ASCENDING)])
            await self._rows.create_index(
                [("subject", ASCENDING), ("stream", ASCENDING), ("sequence", ASCENDING)]
            )
            await self._audit.create_index([("at", DESCENDING)])

    async def groups(self) -> list[Document]:
        stages: list[Document] = [
            {"$match": {"status": OPEN}},
            {
                "$group": {
                    "_id": "$fingerprint",
                    "count": {"$sum": 1},
                    "streams": {"$addToSet": {"subject": "$subject", "stream": "$stream"}},
                    "attempts": {"$max": "$attempts"},
                    "first_seen": {"$min": "$first_seen"},
                    "last_seen": {"$max": "$last_seen"},
                    **{name: {"$first": f"${name}"} for name in SHARED_FIELDS},
                }
            },
        ]
        with translated():
            cursor = await self._rows.aggregate(stages)
            found = await cursor.to_list()
        return sorted((_group(one) for one in found), key=_size)

    async def page(self, wanted: Mapping[str, Any], after: str | None, limit: int) -> RowsPage:
        query: Document = {**wanted, "id": {"$gt": id_before(after)}}
        with translated():
            cursor = self._rows.find(query, WITHOUT_CONTENT).sort("id", ASCENDING).limit(limit + 1)
            return page_of_rows(await cursor.to_list(), limit)

    async def one(self, dead_letter_id: str) -> Document | None:
        with translated():
            return await self._rows.find_one({"id": dead_letter_id})

    async def stream(self, stream: StreamKey, limit: int) -> list[Document]:
        order = [("sequence", ASCENDING), ("first_seen", ASCENDING), ("_id", ASCENDING)]
        with translated():
            return await self._rows.find(_of(stream)).sort(order).limit(limit).to_list()

    async def behind(self, row: Mapping[str, Any]) -> int:
        if row["stream"] is None:
            return 0
        query = _of((row["subject"], row["stream"])) | {"sequence": {"$gt": row["sequence"]}}
        with translated():
            return await self._rows.count_documents(query)

    async def streams(self, wanted: Mapping[str, Any], limit: int) -> list[StreamKey]:
        stages: list[Document] = [
            {"$match": {**wanted, "status": OPEN, "redrivable": True}},
            {
                "$group": {
                    "_id": {"subject": "$subject", "stream": "$stream"},
                    "first_seen": {"$min": "$first_seen"},
                }
            },
            {"$sort": {"first_seen": 1, "_id": 1}},
            {"$limit": limit},
        ]
        with translated():
            cursor = await self._rows.aggregate(stages)
            found = await cursor.to_list()
        return [(one["_id"]["subject"], one["_id"]["stream"]) for one in found]

    async def failed_again(self, dead_letter_id: str, values: Mapping[str, Any]) -> None:
        with translated():
            await self._rows.update_one(
                {"id": dead_letter_id, "status": OPEN},
                {"$set": dict(values), "$inc": {"attempts": 1}},
            )

    async def close(self, dead_letter_id: str, status: str, closed: Mapping[str, Any]) -> None:
        with translated():
            await self._rows.update_one(
                {"id": dead_letter_id, "status": OPEN},
                {"$set": {"status": status, "closed": dict(closed)}},
            )

    async def edit(self, dead_letter_id: str, edited: Mapping[str, Any] | None) -> None:
        with translated():
            await self._rows.update_one(
                {"id": dead_letter_id, "status": OPEN}, {"$set": {"edited": edited}}
            )

    async def write_down(self, entry: Document) -> None:
        with translated():
            await self._audit.update_one({"_id": entry["_id"]}, {"$set": entry}, upsert=True)

    async def written_down(self, limit: int) -> list[Document]:
        with translated():
            return await self._audit.find({}).sort("at", DESCENDING).limit(limit).to_list()


def id_before(after: str | None) -> str:
    """The id behind which a page of rows begins. Raises `Invalid` for what is not the `next` of a page of rows."""
    return "" if after is None else read_cursor(after, CURSORS).decode("ascii", "replace")


def page_of_rows(found: list[Document], limit: int) -> RowsPage:
    """The page of the rows that were found: one more than it holds, when a page follows."""
    shown = found[:limit]
    following = make_cursor(shown[-1]["id"].encode(), CURSORS) if len(found) > limit else None
    return RowsPage(shown, following)


SHARED_FIELDS: Final = ("reason", "type", "exception", "where", "kind", "redrivable")
"""What all rows of one fingerprint have in common."""


def grouped(rows: Sequence[Document]) -> list[Document]:
    """What `DeadLetters.groups` answers, over rows in memory."""
    found: dict[str, Document] = {}
    for row in rows:
        if row["status"] != OPEN:
            continue
        new: Document = {name: row.get(name) for name in SHARED_FIELDS}
        new |= {"_id": row["fingerprint"], "count": 0, "streams": [], "attempts": 0}
        new |= {"first_seen": row["first_seen"], "last_seen": row["last_seen"]}
        one = found.setdefault(row["fingerprint"], new)
        stream = {"subject": row["subject"], "stream": row["stream"]}
        if stream not in one["streams"]:
            one["streams"].append(stream)
        one["count"] += 1
        one["attempts"] = max(one["attempts"], row["attempts"])
        one["first_seen"] = min(one["first_seen"], row["first_seen"])
        one["last_seen"] = max(one["last_seen"], row["last_seen"])
    return sorted((_group(one) for one in found.values()), key=_size)


def _group(found: Mapping[str, Any]) -> Document:
    streams = found["streams"]
    return {
        "fingerprint": found["_id"],
        **{name: found[name] for name in SHARED_FIELDS},
        "count": found["count"],
        "streams": len(streams),
        "attempts": found["attempts"],
        "first_seen": found["first_seen"],
        "last_seen": found["last_seen"],
    }


def _size(group: Mapping[str, Any]) -> tuple[int, datetime, str]:
    return (-group["count"], group["first_seen"], group["fingerprint"])


def _of(stream: StreamKey) -> Document:
    return {"subject": stream[0], "stream": stream[1], "status": OPEN}
