"""Queries and changes the dead letters for operators, with an audit of every change.

The reactor and the consumer only add dead letters (`Store.add_dead_letters`). Everything here serves operators; no part
of it runs while the service processes events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from shared.errors import DeadLetterUnreadable
from shared.runtime.core.dead_letter import (
    OPEN,
    Closed,
    DeadLetter,
    DiscardRequest,
    closed_document,
)
from shared.runtime.core.documents import EPOCH
from shared.runtime.core.paging import make_cursor, next_field, read_cursor
from shared.runtime.core.store import Document, translated
from shared.runtime.dead_letters.view import DeadLetterGroup
from shared.runtime.set_aside import SetAside

StreamKey = tuple[str, str]
"""A record's subject, and the sender whose stream at this record is meant."""
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
LAST: Final = "\U0010ffff"
"""The character after which no other comes: what begins with a text stands before the text and this."""
COLLECTION: Final = "dead_letters"
DATES: Final = {"$gt": EPOCH}
"""Matches dates alone: MongoDB compares values of one type only."""
CURSORS: Final = "dead-letters"
IN_ORDER: Final = [("sequence", ASCENDING), ("first_seen", ASCENDING), ("_id", ASCENDING)]
WITHOUT_CONTENT: Final = {"data": 0, "key": 0, "item": 0}


@dataclass(frozen=True, slots=True)
class RowsPage:
    """Some dead letters. `next` is the cursor of the page that follows; None when nothing does."""

    rows: list[DeadLetter]
    next: str | None

    @property
    def next_field(self) -> dict[str, str]:
        """For an answer over HTTP: `next`, when a page follows."""
        return next_field(self.next)


class DeadLetters(Protocol):
    """Raises `Unavailable` when the store is away. `wanted` maps stored fields to the values they must have.

    A damaged document is named among what is set aside. Lists leave it out; what needs it, or the order of its stream,
    raises `DeadLetterUnreadable`.
    """

    async def groups(self, wanted: Mapping[str, Any]) -> list[DeadLetterGroup]:
        """The open dead letters with the given values, by fingerprint, the largest group first."""
        ...

    async def page(
        self,
        wanted: Mapping[str, Any],
        after: str | None,
        limit: int,
        *,
        begins: Mapping[str, str] = NOTHING,
    ) -> RowsPage:
        """Dead letters with the given values, in the order of their `id` and without their content.

        `begins` maps stored fields to what their values begin with.

        `after` is `RowsPage.next` of the page before. Raises `Invalid` when it is not.
        """
        ...

    async def get(self, dead_letter_id: str) -> DeadLetter | None:
        """A dead letter by its `id`, with its content; None when there is none."""
        ...

    async def stream(self, stream: StreamKey, limit: int) -> list[DeadLetter]:
        """The open dead letters of a stream, in the order in which they have to be redriven."""
        ...

    async def count_behind(self, dead_letter: DeadLetter) -> int:
        """How many open dead letters of its stream come after this one."""
        ...

    async def streams(self, wanted: Mapping[str, Any], limit: int) -> list[StreamKey]:
        """The streams that have an open dead letter with the given values, the longest waiting first."""
        ...

    async def save_failure(self, dead_letter: DeadLetter) -> None:
        """Store the latest failure of an open dead letter, and count the attempt."""
        ...

    async def close(self, dead_letter_id: str, status: str, closed: Closed) -> None:
        """Close an open dead letter. One that is closed already stays as it is."""
        ...

    async def missed(self, stream: StreamKey, number: int, limit: int) -> list[DeadLetter]:
        """The open dead letters of items that were missed in a stream after a number, in their order."""
        ...

    async def line_up(self, dead_letter: DeadLetter) -> None:
        """Store that an open dead letter that was missed in its stream now waits in it, for the reason that it has."""
        ...

    async def request_discard(self, dead_letter_id: str, request: DiscardRequest) -> None:
        """Store that it was requested to discard an open dead letter."""
        ...

    async def pending(self, wanted: Mapping[str, Any], limit: int) -> list[DeadLetter]:
        """The open dead letters with the given values whose discard was requested, the earliest deadline first."""
        ...

    async def facilities(self, wanted: Mapping[str, Any]) -> list[str]:
        """Whose the open dead letters with the given values are; empty for those that are nobody's."""
        ...

    async def write_audit(self, entry: Document) -> None:
        """Begin or complete an entry of the audit, by its `_id`."""
        ...

    async def audit(self, facility_id: str | None, limit: int) -> list[Document]:
        """The latest entries of the audit, the latest first: all, or those by or about this facility."""
        ...


BY_STATUS: Final = [("status", ASCENDING), ("fingerprint", ASCENDING)]


class MongoDeadLetters:
    """`DeadLetters` in a service's own database."""

    def __init__(self, database: AsyncDatabase[Document], set_aside: SetAside) -> None:
        self._set_aside = set_aside
        self._dead_letters: AsyncCollection[Document] = database[COLLECTION]
        self._audit: AsyncCollection[Document] = database["operator_acts"]

    async def start(self) -> None:
        """Make the indexes."""
        with translated():
            await self._dead_letters.create_index([("id", ASCENDING)])
            await self._dead_letters.create_index(BY_STATUS)
            await self._dead_letters.create_index(
                [("subject", ASCENDING), ("stream", ASCENDING), ("sequence", ASCENDING)]
            )
            await self._audit.create_index([("at", DESCENDING)])

    async def groups(self, wanted: Mapping[str, Any]) -> list[DeadLetterGroup]:
        stages: list[Document] = [
            # A damaged row would spoil the least and the greatest of its group.
            {"$match": {**wanted, "status": OPEN, "first_seen": DATES, "last_seen": DATES}},
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
            cursor = await self._dead_letters.aggregate(stages)
            found = await cursor.to_list()
        return sorted(
            (_group(one) for one in found if isinstance(one["_id"], str)), key=_largest_first
        )

    async def page(
        self,
        wanted: Mapping[str, Any],
        after: str | None,
        limit: int,
        *,
        begins: Mapping[str, str] = NOTHING,
    ) -> RowsPage:
        query: Document = {**wanted}
        for name, text in begins.items():
            query[name] = {"$gte": text, "$lt": text + LAST}
        query["id"] = query.get("id", {}) | {"$gt": id_before(after)}
        with translated():
            cursor = self._dead_letters.find(query, WITHOUT_CONTENT).sort("id", ASCENDING)
            documents = await cursor.limit(limit + 1).to_list()
        return page_of_rows(documents, limit, self._set_aside)

    async def get(self, dead_letter_id: str) -> DeadLetter | None:
        with translated():
            document = await self._dead_letters.find_one({"id": dead_letter_id})
        return None if document is None else read_row(document, self._set_aside)

    async def stream(self, stream: StreamKey, limit: int) -> list[DeadLetter]:
        with translated():
            cursor = self._dead_letters.find(_open(stream)).sort(IN_ORDER).limit(limit)
            return [read_row(one, self._set_aside) for one in await cursor.to_list()]

    async def count_behind(self, dead_letter: DeadLetter) -> int:
        stream = stream_of(dead_letter)
        if stream is None:
            return 0
        query = _open(stream) | {"sequence": {"$gt": dead_letter.sequence}}
        with translated():
            return await self._dead_letters.count_documents(query)

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
            cursor = await self._dead_letters.aggregate(stages)
            found = await cursor.to_list()
        return [(one["_id"]["subject"], one["_id"]["stream"]) for one in found]

    async def save_failure(self, dead_letter: DeadLetter) -> None:
        with translated():
            await self._dead_letters.update_one(
                {"id": dead_letter.id, "status": OPEN},
                {"$set": dead_letter.failure(), "$inc": {"attempts": 1}},
            )

    async def close(self, dead_letter_id: str, status: str, closed: Closed) -> None:
        with translated():
            await self._dead_letters.update_one(
                {"id": dead_letter_id, "status": OPEN},
                {"$set": {"status": status, "closed": closed_document(closed)}},
            )

    async def missed(self, stream: StreamKey, number: int, limit: int) -> list[DeadLetter]:
        subject, sender = stream
        query = {"subject": subject, "missed_in": sender, "status": OPEN}
        with translated():
            cursor = self._dead_letters.find(query | {"sequence": {"$gt": number}}).sort(IN_ORDER)
            found = await cursor.limit(limit).to_list()
        return [read_row(one, self._set_aside) for one in found]

    async def line_up(self, dead_letter: DeadLetter) -> None:
        with translated():
            await self._dead_letters.update_one(
                {"id": dead_letter.id, "status": OPEN}, {"$set": lined_up(dead_letter)}
            )

    async def request_discard(self, dead_letter_id: str, request: DiscardRequest) -> None:
        with translated():
            await self._dead_letters.update_one(
                {"id": dead_letter_id, "status": OPEN}, {"$set": {"discard": asdict(request)}}
            )

    async def pending(self, wanted: Mapping[str, Any], limit: int) -> list[DeadLetter]:
        query = {**wanted, "status": OPEN, "discard": {"$exists": True}}
        with translated():
            cursor = self._dead_letters.find(query, WITHOUT_CONTENT)
            # Closed dead letters stay for good: only the open ones are looked at.
            cursor = cursor.hint(BY_STATUS).sort("discard.until", ASCENDING).limit(limit)
            found = await cursor.to_list()
        return read_rows(found, self._set_aside)

    async def facilities(self, wanted: Mapping[str, Any]) -> list[str]:
        with translated():
            found = await self._dead_letters.distinct("facility_id", {**wanted, "status": OPEN})
        return sorted(one for one in found if isinstance(one, str))

    async def write_audit(self, entry: Document) -> None:
        with translated():
            await self._audit.update_one({"_id": entry["_id"]}, {"$set": entry}, upsert=True)

    async def audit(self, facility_id: str | None, limit: int) -> list[Document]:
        whose = [{"facility_id": facility_id}, {"facilities": facility_id}]
        wanted = {} if facility_id is None else {"$or": whose}
        with translated():
            return await self._audit.find(wanted).sort("at", DESCENDING).limit(limit).to_list()


def id_before(after: str | None) -> str:
    """The id behind which a page of rows begins. Raises `Invalid` for what is not the `next` of a page of rows."""
    return "" if after is None else read_cursor(after, CURSORS).decode("ascii", "replace")


def page_of_rows(found: Sequence[Document], limit: int, set_aside: SetAside) -> RowsPage:
    """The page of the rows that were found: one more than it holds, when a page follows."""
    shown = found[:limit]
    following = make_cursor(shown[-1]["id"].encode(), CURSORS) if len(found) > limit else None
    return RowsPage(read_rows(shown, set_aside), following)


def read_row(document: Document, set_aside: SetAside) -> DeadLetter:
    """A stored dead letter. Raises `DeadLetterUnreadable` for a damaged one, which is named."""
    try:
        found = DeadLetter.from_document(document)
    except DeadLetterUnreadable:
        set_aside.add_document(COLLECTION, document["_id"])
        raise
    set_aside.document_readable(COLLECTION, document["_id"])
    return found


def read_rows(documents: Iterable[Document], set_aside: SetAside) -> list[DeadLetter]:
    """The stored dead letters that read; the others are left out and named."""
    found: list[DeadLetter] = []
    for document in documents:
        with suppress(DeadLetterUnreadable):
            found.append(read_row(document, set_aside))
    return found


SHARED_FIELDS: Final = ("reason", "type", "exception", "where", "field", "kind", "redrivable")
"""The stored fields that all dead letters of one fingerprint have in common."""


def _group(found: Mapping[str, Any]) -> DeadLetterGroup:
    return DeadLetterGroup(
        fingerprint=found["_id"],
        **{name: found[name] for name in SHARED_FIELDS},
        count=found["count"],
        streams=len(found["streams"]),
        attempts=found["attempts"],
        first_seen=found["first_seen"],
        last_seen=found["last_seen"],
    )


def grouped(dead_letters: Iterable[DeadLetter]) -> list[DeadLetterGroup]:
    """What `DeadLetters.groups` answers, for dead letters in memory."""
    by_fingerprint: dict[str, list[DeadLetter]] = defaultdict(list)
    for dead_letter in dead_letters:
        if dead_letter.status == OPEN:
            by_fingerprint[dead_letter.fingerprint].append(dead_letter)
    groups = (
        DeadLetterGroup(
            fingerprint=fingerprint,
            reason=alike[0].reason,
            type=alike[0].type,
            exception=alike[0].exception,
            where=alike[0].where,
            field=alike[0].field,
            kind=alike[0].kind,
            redrivable=alike[0].redrivable,
            count=len(alike),
            streams=len({(one.subject, one.stream) for one in alike}),
            attempts=max(one.attempts for one in alike),
            first_seen=min(one.first_seen for one in alike),
            last_seen=max(one.last_seen for one in alike),
        )
        for fingerprint, alike in by_fingerprint.items()
    )
    return sorted(groups, key=_largest_first)


def _largest_first(group: DeadLetterGroup) -> tuple[int, datetime, str]:
    return (-group.count, group.first_seen, group.fingerprint)


def stream_of(dead_letter: DeadLetter) -> StreamKey | None:
    """The blocked stream of a dead letter; None when it could not be put in order."""
    if dead_letter.subject is None or dead_letter.stream is None:
        return None
    return dead_letter.subject, dead_letter.stream


def lined_up(dead_letter: DeadLetter) -> Document:
    """The stored fields of a dead letter that waits in its stream after all."""
    return {
        "stream": dead_letter.stream,
        "redrivable": dead_letter.redrivable,
        "missed_in": None,
        **dead_letter.failure(),
    }


def _open(stream: StreamKey) -> Document:
    return {"subject": stream[0], "stream": stream[1], "status": OPEN}
