"""Pages of a list: the order of the list, and the opaque cursor that marks where a page ended.

An index orders its records by their instants, to the microsecond, and then by subject, so that no two records have the
same place. A page that begins after a place therefore neither repeats a record nor omits one, whatever was added or
removed before it. Only stores create and read cursors; all other code passes them on unchanged.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple, Self

from bson import Int64

from shared.decision import join_parts
from shared.errors import Invalid
from shared.runtime.core.documents import Document, in_microseconds, part_of, readable
from shared.runtime.core.record import Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.set_aside import SetAside

VERSION: Final = b"\x01"
CHECK_BYTES: Final = 6
INSTANT_BYTES: Final = 8
CURSOR_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of an index, in its order. `next` is the cursor of the page that follows; None when nothing does.

    There may be fewer records than asked for, even none, and a next page still: what can't be read, or was written by a
    newer version of the service, is left out.
    """

    records: list[Record]
    next: str | None

    @property
    def next_field(self) -> dict[str, str]:
        """For an answer over HTTP: `next`, when a page follows."""
        return next_field(self.next)


def next_field(cursor: str | None) -> dict[str, str]:
    """The field of an answer that says where the next page begins; no field when there is none."""
    return {} if cursor is None else {"next": cursor}


class Place(NamedTuple):
    """Where a record stands in an index: its instant in microseconds since 1970, and its subject."""

    at: int
    subject: str


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What a page is taken from: one facility's records in an index, behind a place, between two instants.

    Of a divided index it is one part; the whole is the part without a name. None: the index has no parts.
    """

    name: str
    facility_id: str
    after: Place | None
    limit: int
    since: Int64 | None
    until: Int64 | None
    part: str | None = None

    @classmethod
    def read(
        cls,
        name: str,
        facility_id: str,
        after: str | None,
        limit: int,
        since: datetime | None,
        until: datetime | None,
        part: str | None = None,
    ) -> Self:
        """Raises `Invalid` when `after` is not a cursor of this index, part and facility."""
        scope = _scope(name, part, facility_id)
        return cls(
            name,
            facility_id,
            None if after is None else _place(read_cursor(after, *scope)),
            limit,
            None if since is None else in_microseconds(since),
            None if until is None else in_microseconds(until),
            part,
        )

    @property
    def path(self) -> str:
        """The field of a stored record that the index is over."""
        return f"index.{self.name}"

    def filters(self) -> list[Document]:
        """The records, as MongoDB is asked for them: one range of the index after the other, for `$or` is none."""
        ours: Document = {self.path: {"$exists": True}, "facility_id": self.facility_id}
        if self.part is not None:
            ours = {f"parts.{self.name}": part_of(self.facility_id, self.part)}
        # Not `$lte`: over an index with further fields some servers leave out the bound itself.
        until: Document = {} if self.until is None else {"$lt": Int64(self.until + 1)}
        since: Document = {} if self.since is None else {"$gte": self.since}
        if self.after is None or (self.since is not None and self.after.at < self.since):
            return [ours | ({self.path: since | until} if since or until else {})]
        at, subject = Int64(self.after.at), self.after.subject
        later = ours | {self.path: {"$gt": at} | until}
        if not self._within(at):
            return [later]
        return [ours | {self.path: at, "_id": {"$gt": subject}}, later]

    def _within(self, at: int) -> bool:
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def place(self, document: Document) -> Place:
        """Where a stored record stands in the index."""
        return Place(document["index"][self.name], document["_id"])

    def has(self, document: Document) -> bool:
        """Whether a stored record is asked for: what `filter` says, for records in memory."""
        if self.name not in document["index"] or document["facility_id"] != self.facility_id:
            return False
        if self.part is not None:
            wanted = part_of(self.facility_id, self.part)
            if wanted not in document.get("parts", {}).get(self.name, ()):
                return False
        place = self.place(document)
        return self._within(place.at) and (self.after is None or place > self.after)

    def page(
        self, documents: Sequence[Document], kinds: Mapping[str, RecordKind], set_aside: SetAside
    ) -> Page:
        """The page of the stored records that were found: one more than it holds, when a page follows."""
        shown = documents[: self.limit]
        records = readable(shown, kinds, set_aside)
        return Page(records, self._cursor(shown[-1]) if len(documents) > self.limit else None)

    def _cursor(self, document: Document) -> str:
        at, subject = self.place(document)
        content = at.to_bytes(INSTANT_BYTES, signed=True) + subject.encode()
        return make_cursor(content, *_scope(self.name, self.part, self.facility_id))


def _scope(name: str, part: str | None, facility_id: str) -> tuple[str, ...]:
    """Which list a cursor is of."""
    return ("index", name, facility_id) if part is None else ("index", name, facility_id, part)


def _place(content: bytes) -> Place:
    at, subject = content[:INSTANT_BYTES], content[INSTANT_BYTES:]
    return Place(int.from_bytes(at, signed=True), subject.decode("ascii", "replace"))


# --- cursors ------------------------------------------------------------------------------------------


def make_cursor(content: bytes, *scope: str) -> str:
    """A cursor of the list that `scope` names. It has only letters, digits, `-` and `_`: it needs no escaping in a URL.

    It holds what was shown already and grants nothing: whoever makes one up sees what they may see without it.
    """
    cursor = VERSION + _check(content, scope) + content
    return urlsafe_b64encode(cursor).rstrip(b"=").decode()


def read_cursor(text: str, *scope: str) -> bytes:
    """The content of a cursor of this list. Raises `Invalid` for any other text, a cursor of another list included."""
    if len(text) > CURSOR_LENGTH_MAX:
        raise _wrong()
    try:
        cursor = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise _wrong() from None
    content = cursor[len(VERSION) + CHECK_BYTES :]
    # One place has one text: base64 would take others for the same bytes.
    if text != make_cursor(content, *scope):
        raise _wrong()
    return content


def _check(content: bytes, scope: Sequence[str]) -> bytes:
    """Tells a mistyped cursor, or one of another list, from one of this list."""
    return sha256(join_parts(*scope).encode() + content).digest()[:CHECK_BYTES]


def _wrong() -> Invalid:
    return Invalid(
        "after-invalid",
        "`after` must be the `next` of a page of this list.",
        hint="Send `next` unchanged. Without `after`, the list starts from the beginning.",
    )
