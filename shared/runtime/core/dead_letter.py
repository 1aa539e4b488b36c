"""Dead letters: items that the service could not read, decide or publish, with a reason from a closed set.

An item is stored whole, up to the size that an event may have. Of a larger item, only the beginnings and a digest are
stored.

A dead letter is open until an operator redrives or discards it, and it is never deleted. `subject` and `stream` name
the blocked stream that it belongs to: the record whose `blocked` field has an entry, and the sender within it. Dead
letters of one stream are redriven in the order of their `sequence`. A dead letter without a stream could not be put in
order; operators can only discard it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

from aiokafka import ConsumerRecord

from shared.contracts.event import (
    HEADERS_BYTES_MAX,
    HEADERS_MAX,
    MAX_EVENT_BYTES,
    Envelope,
    Headers,
    event_bytes,
    headers_bytes,
)
from shared.decision import derive_id, join_parts
from shared.errors import DeadLetterUnreadable
from shared.kit.unpacking import Packed
from shared.runtime.core.handoffs import check_item
from shared.runtime.core.original import (
    KINDS,
    DeadlineOriginal,
    Digest,
    HandoffOriginal,
    MessageOriginal,
    Original,
    Position,
    PublicationOriginal,
)
from shared.runtime.core.outbox import header_of
from shared.runtime.core.record import DEADLINES, Record
from shared.runtime.core.work import DecidedOn, Outcome, OutcomeStatus, Work
from shared.runtime.set_aside import MISREAD, UNREADABLE

OPEN: Final = "open"
REDRIVEN: Final = "redriven"
DISCARDED: Final = "discarded"
ALREADY_APPLIED: Final = "already-applied"
NOT_WANTED: Final = "not-wanted"
STATUSES: Final = {
    OPEN: "It waits for an operator.",
    REDRIVEN: "The present rules took it.",
    DISCARDED: "An operator gave it no effect; its stream goes on.",
    ALREADY_APPLIED: "It had been applied before: a repeat, or the dead letter of a save that lost a race.",
    NOT_WANTED: "The present version of the service does not subscribe to this type any more.",
}
"""How far an operator has come with a dead letter."""

STREAM_BLOCKED: Final = "stream-blocked"
BATCH_TOO_LARGE: Final = "batch-too-large"
REASONS: Final = {
    "headers-too-large": "There are more or longer headers than an event may have.",
    "headers-undecodable": "A header is not UTF-8, so the publisher and the subject are unknown.",
    "headers-repeated": "A CloudEvents attribute came twice, with no way to choose between the two.",
    "envelope-incomplete": "A required CloudEvents attribute is missing.",
    "envelope-invalid": "A CloudEvents attribute has no legal value.",
    "subject-mismatch": "The message key is not the subject, so its order can't be trusted.",
    "source-mismatch": "The source is not the publisher that owns this topic.",
    "subject-kind-wrong": "Events of this type are never about such a subject.",
    "data-invalid": "The data does not match the type's schema.",
    "major-unsupported": "The event came in a major version that this service does not read.",
    BATCH_TOO_LARGE: "Its batch unpacks to more than is read; length and digest are the packed batch's.",
    "too-large": "It is larger than an event may be, or than the broker takes.",
    UNREADABLE: "The stored record that it is for can't be read.",
    "decision-raised": "The service's own rule failed on it.",
    "decision-refused": "The service's rule refused it.",
    "sequence-conflict": "The same number came before with another id: two histories of one subject.",
    "sequence-impossible": "Its number is higher than its place on the topic allows: it is not its publisher's.",
    "sequence-missed": "Later items of its stream were applied and this one never was: one of them took its number.",
    "other-facility": "Its facility is not the one that the record belongs to.",
    STREAM_BLOCKED: "An earlier item of the same stream is blocked; this one waits behind it.",
}
"""Why an item became a dead letter. The first eight and `sequence-missed` have no place in an order; the others block
their stream."""

KEPT_BYTES: Final = 1_024
"""How much of the key, and of the data, is kept of a message that is larger than an event may be."""
HEADER_KEPT_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class Closed:
    """When an operator closed a dead letter, who it was, and why (a code)."""

    at: datetime
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class DiscardRequest:
    """When an operator requested that it be discarded, who, why (a code), and until when another may approve it."""

    at: datetime
    by: str
    why: str
    until: datetime
    taken_back_by: str | None = None
    """The dead letter right behind it that takes it back, and is discarded with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One item that could not be read or decided, and what operators have done about it."""

    original: Original
    subject: str | None
    """The record that the item is for; None when its envelope could not be read."""
    stream: str | None
    """The blocked stream at that record; None when the item could not be put in order."""
    sequence: int | None
    """The item's number in its stream; 0 for a deadline."""
    reason: str
    first_seen: datetime
    last_seen: datetime
    status: str = OPEN
    exception: str | None = None
    """The type of the rule's error, or its code."""
    where: str | None = None
    """The places in the code that the error came through."""
    field: str | None = None
    """The place in the data, or the header, that is not as its schema says, in the schema's words."""
    attempts: int = 1
    """How often a rule has failed on it; 0 while it only waits behind another."""
    missed_in: str | None = None
    """The stream in which it was missed; None for all others, and when it has been lined up there after all."""
    facility_id: str = ""
    """Whose it is: the facility of its record. Empty when the record has none yet, or the item names no record."""
    discard: DiscardRequest | None = None
    """That it be discarded was requested: the latest request."""
    closed: Closed | None = None

    @property
    def id(self) -> str:
        """The public name, as operators use it. It follows from the original, so a repeat has the same."""
        return derive_id("dead-letter", self.original.document_id)

    @property
    def kind(self) -> str:
        """`event`, `handoff`, `deadline` or `publication`."""
        return KINDS[type(self.original)]

    @property
    def type(self) -> str | None:
        return self.original.type

    @property
    def redrivable(self) -> bool:
        """It has a place in a stream, so the rules can be run on it again."""
        return self.stream is not None

    @property
    def fingerprint(self) -> str:
        """Groups like failures: the same reason, type, exception, place in the code and field."""
        known = (self.reason, self.type, self.exception, self.where, self.field)
        parts = join_parts(*(part or "" for part in known))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def failed_again(self, outcome: Outcome, wall: datetime) -> DeadLetter:
        """This dead letter with the latest failure. The store counts the attempt as it saves this."""
        return replace(
            self,
            reason=outcome.reason or self.reason,
            exception=outcome.exception,
            where=outcome.where,
            field=outcome.field,
            last_seen=wall,
        )

    # --- the stored document ---------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """The stored form. `id`, `fingerprint` and `redrivable` stand in it so that the store can search by them."""
        document: dict[str, Any] = {
            "_id": self.original.document_id,
            "id": self.id,
            "kind": self.kind,
            "type": self.type,
            "status": self.status,
            "subject": self.subject,
            "facility_id": self.facility_id,
            "stream": self.stream,
            "sequence": self.sequence,
            "redrivable": self.redrivable,
            "attempts": self.attempts,
            "first_seen": self.first_seen,
            **self.failure(),
            **_original_fields(self.original),
        }
        if self.missed_in is not None:
            document["missed_in"] = self.missed_in
        if self.discard is not None:
            document["discard"] = asdict(self.discard)
        if self.closed is not None:
            document["closed"] = closed_document(self.closed)
        return document

    def failure(self) -> dict[str, Any]:
        """The stored fields that describe the latest failure."""
        return {
            "reason": self.reason,
            "exception": self.exception,
            "where": self.where,
            "field": self.field,
            "fingerprint": self.fingerprint,
            "last_seen": self.last_seen,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DeadLetter:
        """The dead letter in a stored document. Content that the query left out (`data`, `key`, `item`) is empty.

        Fields that this version does not know are ignored. Raises `DeadLetterUnreadable` for a damaged document.
        """
        try:
            return cls._read(document)
        except MISREAD as error:
            raise DeadLetterUnreadable from error

    @classmethod
    def _read(cls, document: Mapping[str, Any]) -> DeadLetter:
        for name, types in _TYPES.items():
            if not isinstance(document[name], types):
                raise TypeError(name)
        if not isinstance(document.get("missed_in", ""), str | None):
            raise TypeError("missed_in")
        closed, discard = document.get("closed"), document.get("discard")
        return cls(
            original=_original(document),
            subject=document["subject"],
            stream=document["stream"],
            sequence=document["sequence"],
            reason=document["reason"],
            first_seen=document["first_seen"],
            last_seen=document["last_seen"],
            status=document["status"],
            exception=document["exception"],
            where=document["where"],
            field=document["field"],
            attempts=document["attempts"],
            missed_in=document.get("missed_in"),
            facility_id=document["facility_id"],
            discard=None if discard is None else _made(DiscardRequest, discard),
            closed=None if closed is None else _made(Closed, closed),
        )


def closed_document(closed: Closed) -> dict[str, Any]:
    """The stored form of a closing."""
    return {"at": closed.at, "by": closed.by, "why": closed.why}


def _original_fields(original: Original) -> dict[str, Any]:
    match original:
        case MessageOriginal(position=position, digest=digest):
            return {
                **({} if digest is None else {"digest": asdict(digest)}),
                "event_id": original.event_id,
                "position": {
                    "topic": position.topic,
                    "partition": position.partition,
                    "offset": position.offset,
                    "timestamp_ms": position.timestamp_ms,
                },
                "key": original.key,
                "headers": [[name, value] for name, value in original.headers],
                "data": original.data,
            }
        case HandoffOriginal():
            return {"from_subject": original.from_subject, "item": dict(original.item)}
        case DeadlineOriginal():
            return {"deadline": original.name}
        case PublicationOriginal():
            return {"event_id": original.event_id}


def _original(document: Mapping[str, Any]) -> Original:
    document_id, item_type = document["_id"], document["type"]
    match document["kind"]:
        case "handoff":
            return HandoffOriginal(
                document_id=document_id,
                type=item_type,
                from_subject=document["from_subject"],
                item=_item(document),
            )
        case "deadline":
            return DeadlineOriginal(
                document_id=document_id, type=item_type, name=document["deadline"]
            )
        case "publication":
            return PublicationOriginal(
                document_id=document_id, type=item_type, event_id=document["event_id"]
            )
        case _:
            return MessageOriginal(
                document_id=document_id,
                type=item_type,
                position=_made(Position, document["position"]),
                event_id=document["event_id"],
                key=_bytes(document.get("key")),
                headers=tuple((name, _bytes(value)) for name, value in document["headers"]),
                data=_bytes(document.get("data")),
                digest=_made(Digest, document["digest"]) if "digest" in document else None,
            )


def _item(document: Mapping[str, Any]) -> Mapping[str, Any]:
    item = document.get("item")
    if item is None:
        return {}
    check_item(item)
    return item


def _bytes(value: Any) -> bytes | None:
    if not isinstance(value, bytes | None):
        raise TypeError("bytes")
    return value


_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("_id", "kind", "reason", "status", "facility_id"), str),
    **dict.fromkeys(("type", "subject", "stream", "exception", "where", "field"), str | None),
    "sequence": int | None,
    "attempts": int,
    "first_seen": datetime,
    "last_seen": datetime,
}
"""The stored fields that every dead letter has."""
_PART_TYPES: Final[Mapping[str, Any]] = {
    "str": str,
    "int": int,
    "datetime": datetime,
    "str | None": str | None,
}
"""By the annotation of a part's field."""
P = TypeVar("P", Closed, DiscardRequest, Position, Digest)


def _made(part: type[P], stored: Mapping[str, Any]) -> P:
    """A part of a dead letter, from its stored fields; what a newer version added is left out."""
    known = {one.name: stored[one.name] for one in fields(part) if one.name in stored}
    for one in fields(part):
        if one.name in known and not isinstance(known[one.name], _PART_TYPES[str(one.type)]):
            raise TypeError(one.name)
    return part(**known)


# --- from an item to its original, and back ------------------------------------------------------


def message_original(
    message: ConsumerRecord[bytes, bytes], envelope: Envelope | None, epoch: int | None = None
) -> MessageOriginal:
    """What a dead letter stores of a Kafka message: bytes, headers, position, and what is known of its identity.

    A service that hears events once more under another epoch may fail on one again: that is another dead letter.
    """
    data = message.value
    whole = size_of(message) <= MAX_EVENT_BYTES and not isinstance(data, Packed)
    return MessageOriginal(
        document_id=f"{message.topic}/{message.partition}/{message.offset}"
        + ("" if epoch is None else f"@{epoch}"),
        type=None if envelope is None else envelope.type,
        position=Position(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp,
        ),
        event_id=None if envelope is None else envelope.id,
        key=None if message.key is None else message.key[:KEPT_BYTES],
        headers=_kept(message.headers),
        data=data if whole or data is None else data[:KEPT_BYTES],
        digest=None if whole or data is None else _digest(data),
    )


def size_of(message: ConsumerRecord[bytes, bytes]) -> int:
    """The size of a whole message, as it came from the broker, also when a dead letter has kept only a part."""
    data_bytes = max(len(message.value or b""), message.serialized_value_size)
    return event_bytes(message.key, message.headers, data_bytes)


def _digest(data: bytes) -> Digest:
    if isinstance(data, Packed):
        return Digest(sha256=data.sha256, length=data.length)
    return Digest(sha256=hashlib.sha256(data).hexdigest(), length=len(data))


def _kept(headers: Headers) -> tuple[tuple[str, bytes | None], ...]:
    """The headers; of more or longer ones than an event may have, the beginnings of the first."""
    if len(headers) <= HEADERS_MAX and headers_bytes(headers) <= HEADERS_BYTES_MAX:
        return tuple(headers)
    return tuple(
        (name[:HEADER_KEPT_BYTES], None if raw is None else raw[:HEADER_KEPT_BYTES])
        for name, raw in islice(headers, HEADERS_MAX)
    )


def message_of(original: MessageOriginal) -> ConsumerRecord[bytes, bytes]:
    """The message as it lay on its topic.

    One that was cut still has the size that it had, so that nobody takes its beginning for the whole.
    """
    position, digest = original.position, original.digest
    return ConsumerRecord(
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        timestamp=position.timestamp_ms,
        timestamp_type=0,
        key=original.key,
        value=original.data,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1 if digest is None else digest.length,
        headers=original.headers,  # type: ignore[arg-type] - a header without a value is legal on the wire
    )


def handoff_original(source_subject: str, item: Mapping[str, Any]) -> HandoffOriginal:
    """What a dead letter stores of an item that one record left for another."""
    return HandoffOriginal(
        document_id=join_parts("handoff", source_subject, str(item["number"])),
        type=item["body_type"],
        from_subject=source_subject,
        item=item,
    )


def deadline_original(record: DecidedOn) -> DeadlineOriginal:
    """What a dead letter stores of the record's next deadline."""
    name = record.next_deadline or ""
    return DeadlineOriginal(
        # With the version: the same deadline, fixed and armed again, may fail again.
        document_id=join_parts(DEADLINES, record.subject, str(record.version)),
        type=f"deadline:{name.rpartition(':')[0] or name}",
        name=name,
    )


def publication_original(subject: str, entry: Mapping[str, Any]) -> PublicationOriginal:
    """What a dead letter stores of an entry of an outbox."""
    return PublicationOriginal(
        document_id=join_parts("publication", subject, str(entry["sequence"])),
        type=header_of(entry, "ce_type"),
        event_id=header_of(entry, "ce_id"),
    )


# --- what becomes a dead letter ------------------------------------------------------------------


def unreadable(
    message: ConsumerRecord[bytes, bytes],
    envelope: Envelope | None,
    reason: str,
    wall: datetime,
    field: str | None = None,
) -> DeadLetter:
    """The dead letter of a message that can't be put in order. It can't be redriven."""
    return DeadLetter(
        original=message_original(message, envelope),
        subject=None if envelope is None else envelope.subject,
        stream=None,
        sequence=None if envelope is None else envelope.sequence,
        reason=reason,
        field=field,
        first_seen=wall,
        last_seen=wall,
    )


def unpublished(subject: str, entry: Mapping[str, Any], wall: datetime) -> DeadLetter:
    """The dead letter of an event that the broker refuses for its size. It can't be redriven."""
    return DeadLetter(
        original=publication_original(subject, entry),
        subject=subject,
        facility_id=header_of(entry, "ce_facilityid"),
        stream=None,
        sequence=entry["sequence"],
        reason="too-large",
        first_seen=wall,
        last_seen=wall,
    )


def unapplied(work: Work, outcome: Outcome, record: Record, wall: datetime) -> DeadLetter:
    """The dead letter of work that could not be applied.

    It blocks its stream, or waits behind other work that does; or it comes too late to have a place in the stream.
    """
    assert work.original is not None
    reason = outcome.reason or "decision-raised"
    stream = DEADLINES if work.stream is None else work.stream.name
    missed = outcome.status is OutcomeStatus.MISSED
    original = work.original(record)
    # Of a record that is nobody's yet, only a handoff of this very service is trusted to say whose it will be.
    sent = work.facility_id if isinstance(original, HandoffOriginal) else ""
    return DeadLetter(
        original=original,
        subject=work.subject,
        facility_id=record.facility_id or sent,
        stream=None if missed else stream,
        missed_in=stream if missed else None,
        sequence=0 if work.stream is None else work.stream.sequence,
        reason=reason,
        exception=outcome.exception,
        where=outcome.where,
        field=outcome.field,
        attempts=0 if reason == STREAM_BLOCKED else 1,
        first_seen=wall,
        last_seen=wall,
    )
