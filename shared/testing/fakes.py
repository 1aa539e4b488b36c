"""An in-memory store and publisher that behave like MongoDB and Kafka where the runtime depends on it.

Records pass through BSON and through the same updates that MongoDB gets, so that a value which MongoDB would cut
(microseconds, for one) is cut here too. Every call passes a `Seam`, where a test can make it fail before its effect,
after it, or halfway through.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar, cast
from uuid import uuid4

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import UpdateOne
from pymongo.errors import DocumentTooLarge

from shared.contracts.event import event_bytes
from shared.errors import TooLarge, Unavailable
from shared.runtime.audit.chain import Head, followed_by, place_of
from shared.runtime.audit.store import (
    LAST,
    WAITING,
    EntriesPage,
    Wanted,
    is_before,
    last_of,
    page_of,
)
from shared.runtime.core.audit import UNCHAINED
from shared.runtime.core.dead_letter import (
    OPEN,
    Closed,
    DeadLetter,
    DiscardRequest,
    closed_document,
)
from shared.runtime.core.documents import (
    Document,
    from_microseconds,
    guarded_write,
    in_microseconds,
    is_newer,
    readable,
    record_or_stub,
)
from shared.runtime.core.paging import IndexQuery, Page
from shared.runtime.core.record import DEADLINES, Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.relay import Entries
from shared.runtime.core.store import WAITING_SINCE, YOUNG, translated
from shared.runtime.dead_letters.store import (
    NOTHING,
    WITHOUT_CONTENT,
    RowsPage,
    StreamKey,
    grouped,
    id_before,
    lined_up,
    page_of_rows,
    read_row,
    read_rows,
    stream_of,
)
from shared.runtime.dead_letters.view import DeadLetterGroup
from shared.runtime.set_aside import SetAside

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_OPTIONS: Final = CodecOptions[Document](tz_aware=True, tzinfo=UTC)
T = TypeVar("T")


class When(StrEnum):
    """Where in a call it fails."""

    BEFORE = "before"
    HALFWAY = "halfway"
    AFTER = "after"


def away() -> BaseException:
    """The error of a dependency that is away."""
    return Unavailable("store-unavailable", "A test made this call fail.")


@dataclass(slots=True)
class Seam:
    """Counts all calls of one process to the store and the broker, and makes one of them fail.

    The `at`-th call (from 1) raises `error()`. When it is `fatal`, the process is dead from then on: no later call has
    any effect, whatever tasks are still running.
    """

    at: int = 0
    when: When = When.BEFORE
    error: Callable[[], BaseException] = away
    fatal: bool = False
    dead: bool = False
    calls: list[str] = field(default_factory=list[str])
    slow: Mapping[str, int] = field(default_factory=dict[str, int])
    """How often a call of this name yields to other tasks before its effect; once by default."""

    async def call(self, name: str, effects: Sequence[Callable[[], T]]) -> list[T]:
        """Do the effects of one call, unless this is the one that fails."""
        for _ in range(self.slow.get(name, 1)):
            await asyncio.sleep(0)  # a driver suspends here
        if self.dead:
            raise self.error()
        self.calls.append(name)
        hit = len(self.calls) == self.at
        if hit and self.when is When.BEFORE:
            self._fail()
        if hit and self.when is When.HALFWAY:
            for effect in effects[: len(effects) // 2]:
                effect()
            self._fail()
        done = [effect() for effect in effects]
        if hit:
            self._fail()
        return done

    def _fail(self) -> None:
        self.dead = self.fatal
        raise self.error()


@dataclass(slots=True)
class Disk:
    """What survives the end of a process: the documents of one service, as bytes."""

    records: dict[str, bytes] = field(default_factory=dict[str, bytes])
    dead_letters: dict[str, bytes] = field(default_factory=dict[str, bytes])
    metadata: dict[str, bytes] = field(default_factory=dict[str, bytes])
    audit: dict[str, bytes] = field(default_factory=dict[str, bytes])
    operator_acts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    audit_links: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def documents(self) -> list[Document]:
        """The records as MongoDB would give them back."""
        return [decoded(raw) for raw in self.records.values()]

    def dead_letter_documents(self) -> list[Document]:
        return [decoded(raw) for raw in self.dead_letters.values()]


class MemoryStore:
    """`shared.runtime.core.store.Store` over a `Disk`."""

    def __init__(
        self,
        kinds: Mapping[str, RecordKind],
        disk: Disk | None = None,
        seam: Seam | None = None,
        *,
        journaled: bool = False,
    ) -> None:
        self._kinds = kinds
        self._journaled = journaled
        self.set_aside: Final = SetAside()
        self.disk = disk or Disk()
        self.seam = seam or Seam()
        self.replica_id: Final = str(uuid4())

    def keeps(self, subject: str) -> bool:
        return subject.partition("/")[0] in self._kinds

    async def load(self, subjects: Iterable[str], *, commands: bool = True) -> dict[str, Record]:
        wanted = list(subjects)
        [found] = await self.seam.call("load", [lambda: self._load(wanted)])
        if not commands:
            for record in found.values():
                record.commands.clear()
        return found

    async def save(self, records: Sequence[Record], wall: datetime) -> set[str]:
        if not records:
            return set()
        save = ObjectId()
        writes = [
            guarded_write(record, wall, save, journaled=self._journaled) for record in records
        ]
        written = await self.seam.call("save", [_later(self._upsert, write) for write in writes])
        return {record.subject for record, ok in zip(records, written, strict=True) if not ok}

    async def block(self, subject: str, streams: Mapping[str, str]) -> None:
        def block() -> None:
            document = decoded(self.disk.records[subject])
            if isinstance(document.get("blocked"), dict):
                document["blocked"] |= streams
            if DEADLINES in streams:
                document.pop("due", None)
            self.disk.records[subject] = encoded(document)

        await self.seam.call("block", [block])

    async def clear_outboxes(self, published: Mapping[str, int]) -> None:
        await self._clear("outbox", "waiting", "next_sequence", published)

    async def documents(self, subjects: Iterable[str]) -> list[Document]:
        wanted = set(subjects)
        [found] = await self.seam.call("documents", [self.disk.documents])
        return [document for document in found if document["_id"] in wanted]

    async def clear_journaled(self, versions: Mapping[str, int]) -> int:
        def clear(subject: str, version: int) -> int:
            document = decoded(self.disk.records[subject])
            if document["version"] != version:
                return 0
            apply_update(document, {"$set": {"outbox": []}, "$unset": {"waiting": ""}})
            self.disk.records[subject] = encoded(document)
            return 1

        effects = [_later(clear, subject, version) for subject, version in versions.items()]
        return sum(await self.seam.call("clear_journaled", effects)) if effects else 0

    async def copy_all(self, wall: datetime) -> None:
        def wait() -> None:
            for document in self.disk.documents():
                self.disk.records[document["_id"]] = encoded({"waiting": wall} | document)

        await self.seam.call("copy_all", [wait])

    async def clear_handoffs(self, done: Mapping[str, int]) -> None:
        await self._clear("handoffs", "handing", "next_handoff", done)

    async def add_audit_entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        def add(entry: Document) -> None:
            self.disk.audit.setdefault(entry["_id"], encoded(entry))

        if entries:
            marked = [{**entry, UNCHAINED: self.replica_id} for entry in entries]
            await self.seam.call("add_audit_entries", [_later(add, entry) for entry in marked])

    async def clear_audit(self, moved: Mapping[str, int]) -> None:
        await self._clear("audit", "auditing", "next_audit", moved)

    async def stranded(
        self, before: datetime | None, buckets: Sequence[int], limit: int
    ) -> list[Record]:
        bound = None if before is None else _stored(before)
        [found] = await self.seam.call("stranded", [lambda: self._stranded(bound, buckets, limit)])
        return found

    async def wall(self) -> datetime:
        return datetime.now(UTC)

    async def due(self, now: datetime, buckets: Sequence[int], limit: int) -> list[str]:
        [found] = await self.seam.call(
            "due", [lambda: self._due(in_microseconds(now), buckets, limit)]
        )
        return found

    async def next_due(self, until: datetime) -> datetime | None:
        [found] = await self.seam.call("next_due", [lambda: self._next_due(in_microseconds(until))])
        return found

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
        [found] = await self.seam.call("by_index", [lambda: self._by_index(query)])
        return found

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        if dead_letters:
            effects = [_later(self._add_dead_letter, one.document()) for one in dead_letters]
            await self.seam.call("add_dead_letters", effects)

    async def metadata(self, key: str) -> Document:
        [found] = await self.seam.call("metadata", [lambda: self.disk.metadata.get(key)])
        return {} if found is None else decoded(found)

    async def set_metadata(self, key: str, values: Document) -> None:
        def write() -> None:
            stored = self.disk.metadata.get(key)
            before = {"_id": key} if stored is None else decoded(stored)
            self.disk.metadata[key] = encoded(before | values)

        await self.seam.call("set_metadata", [write])

    async def metadata_once(self, key: str, values: Document) -> Document:
        if key not in self.disk.metadata:
            await self.set_metadata(key, values)
        return await self.metadata(key)

    # --- effects -----------------------------------------------------------------------------------

    def _load(self, wanted: Sequence[str]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for subject in wanted:
            raw = self.disk.records.get(subject)
            kind = self._kinds[subject.partition("/")[0]]
            found[subject] = (
                Record(subject, kind, kind.state())
                if raw is None
                else record_or_stub(decoded(raw), self._kinds, self.set_aside)
            )
        return found

    def _upsert(self, write: UpdateOne) -> bool:
        """Do one guarded write; False when its guard was stale."""
        spec = cast("Any", write)
        guard: Document = spec._filter  # noqa: SLF001 - the driver's request has no public attributes
        subject: str = guard["_id"]
        raw = self.disk.records.get(subject)
        if raw is None and not spec._upsert:  # noqa: SLF001
            return False
        document = dict(guard) if raw is None else decoded(raw)
        if any(document.get(name) != value for name, value in guard.items()):
            return False
        apply_update(document, _stored(spec._doc))  # noqa: SLF001
        self.disk.records[subject] = encoded(document)
        return True

    async def _clear(self, name: str, since: str, counter: str, upto: Mapping[str, int]) -> None:
        def clear(subject: str, last: int) -> None:
            raw = self.disk.records.get(subject)
            if raw is None:
                return
            document = decoded(raw)
            if document[counter] == last + 1:
                apply_update(document, {"$set": {name: []}, "$unset": {since: ""}})
                self.disk.records[subject] = encoded(document)

        if upto:
            effects = [_later(clear, subject, last) for subject, last in upto.items()]
            await self.seam.call(f"clear_{name}", effects)

    def _stranded(
        self, before: datetime | None, buckets: Sequence[int], limit: int
    ) -> list[Record]:
        def waits(since: datetime) -> bool:
            return before is None or not before <= since <= before + YOUNG

        found: dict[str, Document] = {}
        for name in WAITING_SINCE:
            stranded = [
                document
                for document in self.disk.documents()
                if document["bucket"] in buckets
                and isinstance(document.get(name), datetime)
                and waits(document[name])
            ]
            found |= {document["_id"]: document for document in stranded[:limit]}
        return readable(found.values(), self._kinds, self.set_aside)

    def _due(self, now: int, buckets: Sequence[int], limit: int) -> list[str]:
        due = [
            (document["due"], document["_id"])
            for document in self.disk.documents()
            if document["bucket"] in buckets and self._is_due(document, now)
        ]
        return [subject for _, subject in sorted(due)[:limit]]

    def _is_due(self, document: Document, until: int) -> bool:
        return (
            "due" in document and document["due"] <= until and not is_newer(document, self._kinds)
        )

    def _next_due(self, until: int) -> datetime | None:
        found = self.disk.documents()
        dues = [document["due"] for document in found if self._is_due(document, until)]
        earliest = min(dues, default=None)
        return None if earliest is None else from_microseconds(earliest)

    def _by_index(self, query: IndexQuery) -> Page:
        found = [document for document in self.disk.documents() if query.has(document)]
        return query.page(
            sorted(found, key=query.place)[: query.limit + 1], self._kinds, self.set_aside
        )

    def _add_dead_letter(self, document: Document) -> None:
        self.disk.dead_letters.setdefault(document["_id"], encoded(document))


class MemoryDeadLetters:
    """`shared.runtime.dead_letters.store.DeadLetters` over a `Disk`."""

    def __init__(
        self, disk: Disk, seam: Seam | None = None, set_aside: SetAside | None = None
    ) -> None:
        self.disk = disk
        self.seam = seam or Seam()
        self._set_aside = SetAside() if set_aside is None else set_aside

    async def groups(self, wanted: Mapping[str, Any]) -> list[DeadLetterGroup]:
        [found] = await self.seam.call("groups", [lambda: self._find(wanted)])
        return grouped(found)

    async def page(
        self,
        wanted: Mapping[str, Any],
        after: str | None,
        limit: int,
        *,
        begins: Mapping[str, str] = NOTHING,
    ) -> RowsPage:
        beyond = id_before(after)
        [found] = await self.seam.call("page", [lambda: self._documents(wanted, content=False)])
        found = [
            one
            for one in found
            if all(str(one.get(name)).startswith(text) for name, text in begins.items())
        ]
        named = (one for one in found if isinstance(one.get("id"), str) and one["id"] > beyond)
        ordered = sorted(named, key=lambda one: one["id"])
        return page_of_rows(ordered[: limit + 1], limit, self._set_aside)

    async def get(self, dead_letter_id: str) -> DeadLetter | None:
        [found] = await self.seam.call("get", [lambda: self._documents({"id": dead_letter_id})])
        return read_row(found[0], self._set_aside) if found else None

    async def stream(self, stream: StreamKey, limit: int) -> list[DeadLetter]:
        wanted = {"subject": stream[0], "stream": stream[1], "status": OPEN}
        [found] = await self.seam.call("stream", [lambda: self._documents(wanted)])
        return _in_order(read_row(one, self._set_aside) for one in found)[:limit]

    async def count_behind(self, dead_letter: DeadLetter) -> int:
        stream, sequence = stream_of(dead_letter), dead_letter.sequence or 0
        if stream is None:
            return 0
        others = await self.stream(stream, len(self.disk.dead_letters))
        return sum((other.sequence or 0) > sequence for other in others)

    async def streams(self, wanted: Mapping[str, Any], limit: int) -> list[StreamKey]:
        given = {**wanted, "status": OPEN, "redrivable": True}
        [found] = await self.seam.call("streams", [lambda: self._find(given)])
        first: dict[StreamKey, datetime] = {}
        for one in found:
            if (stream := stream_of(one)) is not None:
                first[stream] = min(one.first_seen, first.get(stream, one.first_seen))
        return sorted(first, key=lambda stream: (first[stream], stream))[:limit]

    async def save_failure(self, dead_letter: DeadLetter) -> None:
        await self._change("save_failure", dead_letter.id, dead_letter.failure(), attempts=1)

    async def close(self, dead_letter_id: str, status: str, closed: Closed) -> None:
        values = {"status": status, "closed": closed_document(closed)}
        await self._change("close", dead_letter_id, values)

    async def missed(self, stream: StreamKey, number: int, limit: int) -> list[DeadLetter]:
        wanted = {"subject": stream[0], "missed_in": stream[1], "status": OPEN}
        [found] = await self.seam.call("missed", [lambda: self._documents(wanted)])
        rows = [read_row(one, self._set_aside) for one in found]
        return _in_order(one for one in rows if (one.sequence or 0) > number)[:limit]

    async def line_up(self, dead_letter: DeadLetter) -> None:
        await self._change("line_up", dead_letter.id, lined_up(dead_letter))

    async def request_discard(self, dead_letter_id: str, request: DiscardRequest) -> None:
        await self._change("request_discard", dead_letter_id, {"discard": asdict(request)})

    async def pending(self, wanted: Mapping[str, Any], limit: int) -> list[DeadLetter]:
        given = {**wanted, "status": OPEN}
        [found] = await self.seam.call("pending", [lambda: self._find(given, content=False)])
        requested = [(one.discard.until, one) for one in found if one.discard is not None]
        return [one for _, one in sorted(requested, key=lambda pair: pair[0])][:limit]

    async def write_audit(self, entry: Document) -> None:
        def write() -> None:
            stored = self.disk.operator_acts.get(entry["_id"])
            before = {} if stored is None else decoded(stored)
            self.disk.operator_acts[entry["_id"]] = encoded(before | entry)

        await self.seam.call("write_audit", [write])

    async def facilities(self, wanted: Mapping[str, Any]) -> list[str]:
        given = {**wanted, "status": OPEN}
        [found] = await self.seam.call("facilities", [lambda: self._documents(given)])
        return sorted({one["facility_id"] for one in found})

    async def audit(self, facility_id: str | None, limit: int) -> list[Document]:
        entries = [decoded(raw) for raw in self.disk.operator_acts.values()]
        entries = [
            one
            for one in entries
            if facility_id in {None, one.get("facility_id"), *one.get("facilities", ())}
        ]
        return sorted(entries, key=lambda entry: entry["at"], reverse=True)[:limit]

    def _documents(self, wanted: Mapping[str, Any], *, content: bool = True) -> list[Document]:
        hidden = () if content else WITHOUT_CONTENT
        return [
            {name: value for name, value in document.items() if name not in hidden}
            for document in self.disk.dead_letter_documents()
            if all(document.get(name) == value for name, value in wanted.items())
        ]

    def _find(self, wanted: Mapping[str, Any], *, content: bool = True) -> list[DeadLetter]:
        return read_rows(self._documents(wanted, content=content), self._set_aside)

    async def _change(
        self, call: str, dead_letter_id: str, values: Mapping[str, Any], attempts: int = 0
    ) -> None:
        def change() -> None:
            for document in self._documents({"id": dead_letter_id, "status": OPEN}):
                more = {"attempts": document["attempts"] + attempts}
                self.disk.dead_letters[document["_id"]] = encoded(document | dict(values) | more)

        await self.seam.call(call, [change])


class MemoryAudit:
    """`shared.runtime.audit.store.AuditLog` over a `Disk`."""

    def __init__(self, disk: Disk, seam: Seam | None = None) -> None:
        self.disk = disk
        self.seam = seam or Seam()

    async def page(self, wanted: Wanted, after: str | None, limit: int) -> EntriesPage:
        query = wanted.query(after)
        [found] = await self.seam.call("audit_page", [self._entries])
        fitting = [one for one in found if _fits(one, query)]
        latest = sorted(fitting, key=lambda one: (one["at"], one["_id"]), reverse=True)
        return page_of(latest[: limit + 1], wanted, limit)

    async def unchained(
        self, replica_id: str | None, before: datetime, limit: int
    ) -> list[Document]:
        [found] = await self.seam.call("unchained", [self._entries])
        return [
            one
            for one in found
            if UNCHAINED in one
            and (one[UNCHAINED] == replica_id or (replica_id is None and is_before(one, before)))
        ][:limit]

    async def undated(self, limit: int) -> list[str]:
        [found] = await self.seam.call("undated", [self._entries])
        return [
            one["_id"]
            for one in found
            if UNCHAINED in one and not isinstance(one.get("at"), datetime)
        ][:limit]

    async def add_link(self, link: Document, *, waiting: bool) -> bool:
        if link["_id"] in self.disk.audit_links:
            return False

        def add() -> None:
            marked = {**link, LAST: 1, **({WAITING: 1} if waiting else {})}
            self.disk.audit_links[link["_id"]] = encoded(marked)
            self._outdate(link)

        def note() -> None:
            for entry_id in link["ids"]:
                entry = decoded(self.disk.audit[entry_id])
                entry.pop(UNCHAINED, None)
                self.disk.audit[entry_id] = encoded(entry)

        await self.seam.call("add_link", [add, note])
        return True

    async def heads(self) -> dict[str, Head]:
        [found] = await self.seam.call("heads", [self._links])
        return last_of(one for one in found if LAST in one)

    async def links(self) -> AsyncIterator[Document]:
        for link in sorted(self._links(), key=lambda one: place_of(one) or ("", 0)):
            yield link

    async def entries(self, ids: Sequence[str]) -> dict[str, Document]:
        return {one: decoded(self.disk.audit[one]) for one in ids if one in self.disk.audit}

    async def count_unchained(self) -> int:
        return sum(UNCHAINED in entry for entry in self._entries())

    async def waiting_links(self, limit: int) -> list[Document]:
        return [link for link in self._links() if WAITING in link][:limit]

    async def copied(self, ids: Sequence[str]) -> None:
        for link_id in ids:
            link = decoded(self.disk.audit_links[link_id])
            link.pop(WAITING, None)
            self.disk.audit_links[link_id] = encoded(link)

    async def copy_all(self) -> None:
        for link in self._links():
            self.disk.audit_links[link["_id"]] = encoded({**link, WAITING: 1})

    async def restore(self, link: Document, entries: Sequence[Document]) -> None:
        for entry in entries:
            self.disk.audit.setdefault(entry["_id"], encoded(entry))
        self.disk.audit_links.setdefault(link["_id"], encoded({**link, LAST: 1}))
        self._outdate(link)

    def _outdate(self, link: Document) -> None:
        for link_id in followed_by(link):
            if link_id in self.disk.audit_links:
                before = decoded(self.disk.audit_links[link_id])
                before.pop(LAST, None)
                self.disk.audit_links[link_id] = encoded(before)

    def _entries(self) -> list[Document]:
        return [decoded(raw) for raw in self.disk.audit.values()]

    def _links(self) -> list[Document]:
        return [decoded(raw) for raw in self.disk.audit_links.values()]


def _fits(document: Document, query: Mapping[str, Any]) -> bool:
    """Whether a document is what a query of the audit asks for."""
    for name, wanted in query.items():
        if name in {"$and", "$or"}:
            fitting = any if name == "$or" else all
            if not fitting(_fits(document, one) for one in wanted):
                return False
            continue
        value = document.get(name)
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        conditions: dict[str, Any] = (
            cast("dict[str, Any]", wanted) if isinstance(wanted, dict) else {"$in": [wanted]}
        )
        for operator, bound in conditions.items():
            compare: Callable[[Any, Any], bool] = _COMPARE[operator]
            alike = (one for one in values if operator == "$in" or isinstance(one, type(bound)))
            if not any(one is not None and compare(one, bound) for one in alike):
                return False
    return True


_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$in": lambda value, bound: value in bound,
    "$gte": lambda value, bound: value >= bound,
    "$lte": lambda value, bound: value <= bound,
    "$lt": lambda value, bound: value < bound,
}


def _in_order(dead_letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """As they have to be redriven."""
    return sorted(
        dead_letters,
        key=lambda one: (one.sequence or 0, one.first_seen, one.original.document_id),
    )


class CarefulStore(MemoryStore):
    """Finds rules that change a state in place, which is an error: a save writes only fields that were replaced."""

    async def save(self, records: Sequence[Record], wall: datetime) -> set[str]:
        lost = await super().save(records, wall)
        for record in (record for record in records if record.subject not in lost):
            document = decoded(self.disk.records[record.subject])
            whole = _stored(record.state.model_dump(mode="json"))
            if document["version"] == record.version + 1 and document["state"] != whole:
                raise AssertionError(f"not all of the state of {record.subject} was written")
        return lost


@dataclass(slots=True)
class MemoryTopic:
    """A topic: the acknowledged messages, in the order of their arrival."""

    messages: list[tuple[str, dict[str, str], bytes]] = field(
        default_factory=list[tuple[str, dict[str, str], bytes]]
    )

    bytes_max: int = 1024 * 1024
    """What the broker takes as one message."""

    def append(self, subject: str, entry: Mapping[str, Any]) -> None:
        headers = [(name, text.encode()) for name, text in entry["headers"].items()]
        if event_bytes(subject.encode(), headers, len(entry["data"])) > self.bytes_max:
            raise TooLarge("event-too-large", "The broker refuses an event for its size.")
        self.messages.append((subject, dict(entry["headers"]), bytes(entry["data"])))


class MemoryPublisher:
    """`shared.runtime.core.relay.Publisher` into a `MemoryTopic`."""

    def __init__(self, topic: MemoryTopic | None = None, seam: Seam | None = None) -> None:
        self.topic = topic or MemoryTopic()
        self.seam = seam or Seam()

    async def publish(self, waiting: Mapping[str, Entries]) -> None:
        effects = [
            _later(self.topic.append, subject, entry)
            for subject, entries in waiting.items()
            for entry in entries
        ]
        if effects:
            await self.seam.call("publish", effects)


class MemoryJournal:
    """`shared.runtime.core.relay.Journal` in memory, with every copy."""

    def __init__(self, copies: list[bytes] | None = None, seam: Seam | None = None) -> None:
        self.copies: list[bytes] = [] if copies is None else copies
        self.seam = seam or Seam()

    async def append(self, documents: Iterable[Document]) -> None:
        effects = [_later(self.copies.append, encoded(document)) for document in documents]
        if effects:
            await self.seam.call("journal", effects)

    def newest(self) -> dict[str, Document]:
        """The copy with the highest version of each record."""
        found: dict[str, Document] = {}
        for raw in self.copies:
            document = decoded(raw)
            known = found.get(document["_id"])
            if known is None or known["version"] <= document["version"]:
                found[document["_id"]] = document
        return found


def _later(function: Callable[..., T], *arguments: Any) -> Callable[[], T]:
    return lambda: function(*arguments)


def encoded(document: Document) -> bytes:
    """The document as it is stored. Raises `Refused` when MongoDB, or its driver, would refuse it for good."""
    with translated():
        raw = bson.encode(document)
        if len(raw) > MAX_DOCUMENT_BYTES:
            raise DocumentTooLarge("larger than MongoDB takes")
    return raw


def decoded(raw: bytes) -> Document:
    """The document as MongoDB gives it back."""
    return cast("Any", bson).decode(raw, _OPTIONS)


def _stored(value: T) -> T:
    """The value as it comes back: a time with its microseconds cut off, for one."""
    return cast("T", decoded(bson.encode({"value": value}))["value"])


def apply_update(document: Document, change: Mapping[str, Any]) -> None:
    """`$set`, `$unset` and `$push` with `$each` and `$slice`: all that the runtime sends."""
    unknown = set(change) - {"$set", "$unset", "$push"}
    if unknown:
        raise NotImplementedError(f"the fake does not know {', '.join(sorted(unknown))}")
    for path, value in change.get("$set", {}).items():
        holder, name = _holder(document, path)
        holder[name] = value
    for path in change.get("$unset", {}):
        holder, name = _holder(document, path)
        holder.pop(name, None)
    for path, push in change.get("$push", {}).items():
        holder, name = _holder(document, path)
        pushed = [*holder.get(name, []), *push["$each"]]
        keep = push.get("$slice")
        holder[name] = pushed if keep is None else pushed[keep:]


def _holder(document: Document, path: str) -> tuple[Document, str]:
    *parents, name = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    return document, name
