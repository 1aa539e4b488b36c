"""The store: a collection each for records, dead letters and metadata. It hides MongoDB behind a small protocol.

Optimistic locking: a save is one unordered bulk of single-document writes, each guarded by the `version` that its
record was loaded with. A new record that another writer saved first collides on `_id` (E11000). When fewer records
matched than were written, a query for this save's id finds the ones that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from types import MappingProxyType
from typing import Any, Final, Protocol, cast
from uuid import uuid4

from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from pymongo import ASCENDING, UpdateOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from shared.errors import (
    CareError,
    NotStorable,
    RecordIsNewer,
    RecordUnreadable,
    Refused,
    TooLarge,
    Unavailable,
)
from shared.runtime.core.audit import UNCHAINED
from shared.runtime.core.dead_letter import DeadLetter
from shared.runtime.core.documents import (
    EPOCH,
    Document,
    from_microseconds,
    guarded_write,
    in_microseconds,
    not_newer,
    readable,
    record_of,
    record_or_stub,
)
from shared.runtime.core.paging import IndexQuery, Page
from shared.runtime.core.record import DEADLINES, Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.store_connection import new_client
from shared.runtime.set_aside import SetAside

AGAIN: Final = "Send it again, with the same Idempotency-Key."
DUPLICATE_KEY: Final = 11000
SET_ASIDE_SHARE: Final = 5
WAITING_SINCE: Final = ("waiting", "handing", "auditing")
"""Since when something of a record waits: events, handoffs, and entries of the audit."""
TOO_LARGE: Final = frozenset({10334, 17280, 17419, 17420})
"""MongoDB's codes for a document, or an index entry, that is larger than it takes."""
NOT_ALLOWED: Final = (13, 18)
"""MongoDB's codes for "not authorised" and "authentication failed": waiting does not help, a person has to."""
DISK_FULL: Final = frozenset({14031})
"""MongoDB's code for a disk without room."""
YOUNG: Final = timedelta(minutes=1)
"""How far after the bound of a sweep a record may have begun to wait: what is later was written by a wrong clock."""


class Store(Protocol):
    """What the runtime asks of a store. Every method raises `Unavailable` when the store is away."""

    def keeps(self, subject: str) -> bool:
        """Whether the service has records about such a kind of subject."""
        ...

    @property
    def set_aside(self) -> SetAside:
        """The records that this replica leaves out, because they can't be read or published."""
        ...

    async def load(self, subjects: Iterable[str], *, commands: bool = True) -> dict[str, Record]:
        """The records of these subjects; an unknown subject gives an empty record.

        One that can't be read gives a record that is `unusable`.

        `commands=False` leaves the answered commands out: only another command needs them.
        """
        ...

    async def save(self, records: Sequence[Record], wall: datetime) -> set[str]:
        """Write what changed, each record guarded by its version. Returns the subjects that lost their race.

        Raises `Refused` when the store will never take one of them, for its size or a value. The others may be saved.
        """
        ...

    async def block(self, subject: str, streams: Mapping[str, str]) -> None:
        """Mark streams of a record that can't be read as blocked, each with its reason. Nothing else of it changes."""
        ...

    async def clear_outboxes(self, published: Mapping[str, int]) -> None:
        """Remove events up to the given sequence, per subject. Neither version nor revision moves."""
        ...

    async def documents(self, subjects: Iterable[str]) -> list[Document]:
        """Records as they are stored, for the journal."""
        ...

    async def clear_journaled(self, versions: Mapping[str, int]) -> int:
        """Clear the outbox and `waiting` of the records that are still at the given version. Returns how many."""
        ...

    async def copy_all(self, wall: datetime) -> None:
        """Have every record copied to the journal: those that do not wait already wait from now on."""
        ...

    async def clear_handoffs(self, done: Mapping[str, int]) -> None:
        """Remove handoffs up to the given number, per subject."""
        ...

    async def add_audit_entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Insert entries into the audit. One that is there already (same `_id`) stays as it is."""
        ...

    async def clear_audit(self, moved: Mapping[str, int]) -> None:
        """Remove entries of the audit up to the given number from their records."""
        ...

    async def stranded(
        self, before: datetime | None, buckets: Sequence[int], limit: int
    ) -> list[Record]:
        """Records whose outbox, audit entries or handoffs wait since before `before` (wall time); None: all that wait.

        A time more than `YOUNG` after `before` was written by a clock that was wrong: such a record is found too.
        """
        ...

    async def wall(self) -> datetime:
        """The store's own wall time."""
        ...

    async def due(self, now: datetime, buckets: Sequence[int], limit: int) -> list[str]:
        """Subjects with a deadline at or before `now`, earliest first."""
        ...

    async def next_due(self, until: datetime) -> datetime | None:
        """The earliest deadline at or before `until`."""
        ...

    async def by_index(
        self,
        name: str,
        facility_id: str,
        after: str | None,
        limit: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        part: str | None = None,
    ) -> Page:
        """One page of a facility's records in an index, by instant and subject; both bounds belong to the list.

        Of a divided index `part` names one part, or with an empty name the whole. `after` is `Page.next` of the page
        before. Raises `Invalid` when it is not, whatever else it is.
        """
        ...

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Insert dead letters; one that is stored already (same original) stays as it is."""
        ...

    async def metadata(self, key: str) -> Document:
        """The service's own notes under a key, such as what it knows of a topic; empty when there are none."""
        ...

    async def set_metadata(self, key: str, values: Document) -> None:
        """Merge values into the notes under a key."""
        ...

    async def metadata_once(self, key: str, values: Document) -> Document:
        """Store notes under a key unless it has some, and return those that it has now."""
        ...


class MongoStore:
    """`Store` on MongoDB through PyMongo's own asyncio client."""

    def __init__(
        self,
        uri: str,
        database: str,
        kinds: Mapping[str, RecordKind],
        *,
        journaled: bool = False,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._client = new_client(uri, options)
        self._kinds = kinds
        self._journaled = journaled
        self.set_aside: Final = SetAside()
        codec: CodecOptions[Document] = CodecOptions(
            tz_aware=True,
            tzinfo=UTC,
            # What can't be decoded comes as something else, so that it is one record's trouble and not the query's.
            unicode_decode_error_handler="replace",
            datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        )
        base = self._client.get_database(
            database, codec_options=codec, write_concern=WriteConcern(w="majority", j=True)
        )
        self.database: Final = base
        self._records = base["records"]
        self._dead_letters = base["dead_letters"]
        self._metadata = base["metadata"]
        self._audit = base["audit"]
        self.replica_id: Final = str(uuid4())
        """Names this process in the audit: the chain that its entries are linked in."""

    async def start(self) -> None:
        """Make the indexes. Raises `Unavailable` while MongoDB is away."""
        with translated():
            for mark in WAITING_SINCE:
                await self._records.create_index(_by(mark), sparse=True)
            await self._records.create_index(_by("due"), sparse=True)
            states = [kind.state for kind in self._kinds.values()]
            divided = {name for state in states for name in state.DIVIDED}
            for name in sorted({name for state in states for name in state.INDEXES} - divided):
                await self._records.create_index(_by(f"index.{name}"), sparse=True)
            for name in sorted(divided):
                order = (f"parts.{name}", f"index.{name}", "_id")
                await self._records.create_index([(path, ASCENDING) for path in order])

    async def close(self) -> None:
        await self._client.close()

    def keeps(self, subject: str) -> bool:
        return subject.partition("/")[0] in self._kinds

    def reads(self, document: Document) -> bool:
        """Whether a stored record is sound, as far as this version can tell: a newer version's is."""
        try:
            record_of(document, self._kinds)
        except RecordIsNewer:
            return True
        except RecordUnreadable:
            return False
        return True

    async def load(self, subjects: Iterable[str], *, commands: bool = True) -> dict[str, Record]:
        wanted = list(subjects)
        fields = None if commands else {"commands": 0}
        found: dict[str, Record] = {}
        with translated():
            if len(wanted) == 1:
                document = await self._records.find_one({"_id": wanted[0]}, fields)
                documents = [] if document is None else [document]
            else:
                documents = await self._records.find({"_id": {"$in": wanted}}, fields).to_list()
        for document in documents:
            found[document["_id"]] = record_or_stub(document, self._kinds, self.set_aside)
        for subject in wanted:
            if subject not in found:
                kind = self._kinds[subject.partition("/")[0]]
                found[subject] = Record(subject, kind, kind.state())
        return found

    async def save(self, records: Sequence[Record], wall: datetime) -> set[str]:
        save = ObjectId()
        writes = [
            guarded_write(record, wall, save, journaled=self._journaled) for record in records
        ]
        if not writes:
            return set()
        lost: set[str] = set()
        with translated():
            try:
                written = (await self._records.bulk_write(writes, ordered=False)).matched_count
            except BulkWriteError as error:
                lost = _lost_births(error, records)
                written = int((error.details or {})["nMatched"])
            except DuplicateKeyError:
                return {record.subject for record in records}
            guarded = [record for record in records if record.version]
            if written != len(guarded):
                lost |= await self._overtaken(guarded, save)
        return lost

    async def _overtaken(self, records: Sequence[Record], save: ObjectId) -> set[str]:
        """Which of these do not carry this save's id.

        That includes one that was saved and written again since, which looks the same: deciding again finds the work
        in its inbox.
        """
        subjects = [record.subject for record in records]
        ours = self._records.find({"_id": {"$in": subjects}, "save": save}, {"_id": 1})
        return set(subjects) - {row["_id"] for row in await ours.to_list()}

    async def block(self, subject: str, streams: Mapping[str, str]) -> None:
        # Where `blocked` itself is damaged, it stays so: to make it anew would let go what was blocked before.
        marks = {f"blocked.{name}": reason for name, reason in streams.items()}
        with translated():
            await self._records.update_one(
                {"_id": subject, "blocked": {"$type": "object"}}, {"$set": marks}
            )
            if DEADLINES in streams:
                await self._records.update_one({"_id": subject}, {"$unset": {"due": ""}})

    async def clear_outboxes(self, published: Mapping[str, int]) -> None:
        # Skips a record that was saved again meanwhile: the relay of that save clears both.
        await self._bulk(
            UpdateOne(
                {"_id": subject, "next_sequence": last + 1},
                {"$set": {"outbox": []}, "$unset": {"waiting": ""}},
            )
            for subject, last in published.items()
        )

    async def documents(self, subjects: Iterable[str]) -> list[Document]:
        with translated():
            return await self._records.find({"_id": {"$in": list(subjects)}}).to_list()

    async def clear_journaled(self, versions: Mapping[str, int]) -> int:
        writes = [
            UpdateOne(
                {"_id": subject, "version": version},
                {"$set": {"outbox": []}, "$unset": {"waiting": ""}},
            )
            for subject, version in versions.items()
        ]
        if not writes:
            return 0
        with translated():
            return (await self._records.bulk_write(writes, ordered=False)).matched_count

    async def copy_all(self, wall: datetime) -> None:
        with translated():
            await self._records.update_many(
                {"waiting": {"$exists": False}}, {"$set": {"waiting": wall}}
            )

    async def clear_handoffs(self, done: Mapping[str, int]) -> None:
        await self._bulk(
            UpdateOne(
                {"_id": subject, "next_handoff": last + 1},
                {"$set": {"handoffs": []}, "$unset": {"handing": ""}},
            )
            for subject, last in done.items()
        )

    async def add_audit_entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if not entries:
            return
        with translated():
            try:
                await self._audit.insert_many(
                    [{**entry, UNCHAINED: self.replica_id} for entry in entries], ordered=False
                )
            except BulkWriteError as error:
                check_repeats(error)

    async def clear_audit(self, moved: Mapping[str, int]) -> None:
        await self._bulk(
            UpdateOne(
                {"_id": subject, "next_audit": last + 1},
                {"$set": {"audit": []}, "$unset": {"auditing": ""}},
            )
            for subject, last in moved.items()
        )

    async def _bulk(self, writes: Iterable[UpdateOne]) -> None:
        batch = list(writes)
        if batch:
            with translated():
                await self._records.bulk_write(batch, ordered=False)

    async def stranded(
        self, before: datetime | None, buckets: Sequence[int], limit: int
    ) -> list[Record]:
        others = not_newer(self._kinds) | {"bucket": {"$in": list(buckets)}}
        if len(self.set_aside) > limit // SET_ASIDE_SHARE:  # they would fill up the limit
            others["_id"] = {"$nin": list(self.set_aside)}
        found: dict[str, Document] = {}
        with translated():
            for name, bounds in product(WAITING_SINCE, _waiting(before)):
                cursor = self._records.find({name: bounds} | others).hint(_by(name))
                found |= {one["_id"]: one for one in await cursor.limit(limit).to_list()}
        return readable(list(found.values())[:limit], self._kinds, self.set_aside)

    async def wall(self) -> datetime:
        with translated():
            found = await self.database.command("hello", codec_options=self.database.codec_options)
        return found["localTime"]

    async def due(self, now: datetime, buckets: Sequence[int], limit: int) -> list[str]:
        found = await self._due(now, limit, {"bucket": {"$in": list(buckets)}})
        return [document["_id"] for document in found]

    async def next_due(self, until: datetime) -> datetime | None:
        found = await self._due(until, 1, {})
        return from_microseconds(found[0]["due"]) if found else None

    async def _due(self, until: datetime, limit: int, others: Document) -> list[Document]:
        wanted: Document = {"due": {"$lte": in_microseconds(until)}}
        wanted |= not_newer(self._kinds) | others
        with translated():
            cursor = self._records.find(wanted, {"due": 1}).hint(_by("due"))
            return await cursor.sort("due", ASCENDING).limit(limit).to_list()

    async def by_index(
        self,
        name: str,
        facility_id: str,
        after: str | None,
        limit: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        part: str | None = None,
    ) -> Page:
        query = IndexQuery.read(name, facility_id, after, limit, since, until, part)
        order = [(query.path, ASCENDING), ("_id", ASCENDING)]
        found: dict[str, Document] = {}
        with translated():
            for asked in query.filters():
                if len(found) <= limit:
                    # One more than asked for tells whether a page follows.
                    cursor = self._records.find(asked).sort(order).limit(limit + 1)
                    found |= {one["_id"]: one async for one in cursor}
        return query.page(list(found.values()), self._kinds, self.set_aside)

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        writes = [
            UpdateOne({"_id": document["_id"]}, {"$setOnInsert": document}, upsert=True)
            for document in (dead_letter.document() for dead_letter in dead_letters)
        ]
        if writes:
            with translated():
                await self._dead_letters.bulk_write(writes, ordered=False)

    async def metadata(self, key: str) -> Document:
        with translated():
            return await self._metadata.find_one({"_id": key}) or {}

    async def set_metadata(self, key: str, values: Document) -> None:
        with translated():
            await self._metadata.update_one({"_id": key}, {"$set": values}, upsert=True)

    async def metadata_once(self, key: str, values: Document) -> Document:
        with translated():
            await self._metadata.update_one({"_id": key}, {"$setOnInsert": values}, upsert=True)
        return await self.metadata(key)

    def collection(self, name: str) -> AsyncCollection[Document]:
        return self.database[name]


def _waiting(before: datetime | None) -> list[Document]:
    """The ranges of one index in which something waits: one question for each, for `$or` is no range."""
    return [{"$gt": EPOCH}] if before is None else [{"$lt": before}, {"$gt": before + YOUNG}]


def _by(path: str) -> list[tuple[str, int]]:
    """The index over a path, named in the question: some servers take none when there are further conditions."""
    return [(path, ASCENDING)]


def _lost_births(error: BulkWriteError, records: Sequence[Record]) -> set[str]:
    """The new records that somebody else wrote first.

    Raises `TooLarge` when one is larger than MongoDB takes, and `Unavailable` for any other failure.
    """
    details = cast("Mapping[str, Any]", error.details or {})
    failures = cast("Sequence[Mapping[str, Any]]", details.get("writeErrors", ()))
    lost: set[str] = set()
    for failure in failures:
        pattern = cast("Mapping[str, Any]", failure.get("keyPattern") or {"_id": 1})
        if failure.get("code") in TOO_LARGE:
            raise _too_large() from None
        if failure.get("code") in DISK_FULL:
            raise _disk_full() from None
        if failure.get("code") != DUPLICATE_KEY or "_id" not in pattern:
            raise _store_refused() from None
        lost.add(records[int(failure["index"])].subject)
    if details.get("writeConcernErrors"):
        raise Unavailable(
            "store-unsure", "The store could not confirm a write.", hint=AGAIN
        ) from None
    return lost


def _store_refused() -> Unavailable:
    return Unavailable("store-refused", "The store refused a write.", hint=AGAIN)


def _disk_full() -> Unavailable:
    return Unavailable(
        "store-disk-full",
        "The disk of the store is full.",
        hint="Free disk space. No write is incomplete, and everything refused is tried again.",
    )


def check_repeats(error: BulkWriteError) -> None:
    """Return when nothing failed but documents that are there already. Raises `Unavailable` otherwise."""
    details = cast("Mapping[str, Any]", error.details or {})
    failures = cast("Sequence[Mapping[str, Any]]", details.get("writeErrors", ()))
    if any(one.get("code") != DUPLICATE_KEY for one in failures) or details.get(
        "writeConcernErrors"
    ):
        raise _store_refused() from None


def _too_large() -> TooLarge:
    return TooLarge(
        "record-too-large",
        "The record would exceed the store's size limit.",
        hint="Send less in one command. If the command is small, tell the operators.",
    )


def _refusal(error: BaseException | None) -> Refused | None:
    """What the store, or the driver before it, refuses for good; None for any other error."""
    if isinstance(error, DocumentTooLarge) or (
        isinstance(error, OperationFailure) and error.code in TOO_LARGE
    ):
        return _too_large()
    if isinstance(error, BSONError | OverflowError | UnicodeEncodeError):
        return NotStorable(
            "record-not-storable",
            "The store can't save a value of the record.",
            hint="Send no control characters, and no number of more than 64 bits.",
        )
    return None


class translated:  # noqa: N801 - reads as a phrase: `with translated():`
    """Turn driver errors into `Unavailable`, or `Refused` where trying again can't help.

    The driver's message stays inside: it may quote data.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OperationFailure) and error.code in NOT_ALLOWED:
            raise Unavailable(
                "store-access-denied",
                "The store rejects this user, or does not allow this operation.",
                hint="Check the user and password in MONGO_URI or MONGO_PASSWORD_FILE, and the user's roles.",
            ) from error
        refusal = _refusal(error)
        if refusal is not None:
            raise refusal from error
        if isinstance(error, OperationFailure) and error.code in DISK_FULL:
            raise _disk_full() from error
        if isinstance(error, PyMongoError) and not isinstance(error, CareError):
            raise Unavailable(
                "store-unavailable",
                f"The store did not answer ({type(error).__name__}).",
                hint="Nothing has changed; retry.",
            ) from error
