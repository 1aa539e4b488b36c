"""Records as MongoDB stores them: the document of a record, and the guarded write that saves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import Int64, ObjectId
from pymongo import UpdateOne

from shared import inbox
from shared.contracts.topics import PARTITIONS
from shared.errors import RecordIsNewer, RecordUnreadable
from shared.runtime.core import audit
from shared.runtime.core.handoffs import check_item
from shared.runtime.core.outbox import header_of, wire_headers
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.record import COMMANDS_KEPT, Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.set_aside import MISREAD, UNREADABLE, SetAside

Document = dict[str, Any]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


_TYPES: Final = {
    "schema": int,
    "version": int,
    "revision": int,
    "next_sequence": int,
    "next_handoff": int,
    "next_audit": int,
    "facility_id": str,
    "inbox": Mapping,
    "blocked": dict,
    "state": Mapping,
}
_OPTIONAL_TYPES: Final = {
    "waiting": datetime,
    "handing": datetime,
    "auditing": datetime,
    "audit": list,
    "outbox": list,
    "handoffs": list,
    "commands": list,
}


def record_of(document: Document, kinds: Mapping[str, RecordKind]) -> Record:
    """A stored record as it is worked with.

    Raises `RecordIsNewer` when a newer version of the service wrote it, and `RecordUnreadable` for a damaged one.
    """
    try:
        if is_newer(document, kinds):
            raise RecordIsNewer
        return _record_of(document, kinds)
    except MISREAD as error:
        raise RecordUnreadable from error


def _record_of(document: Document, kinds: Mapping[str, RecordKind]) -> Record:
    for name, kind_of_value in _TYPES.items():
        if not isinstance(document[name], kind_of_value):
            raise TypeError(name)
    for name, kind_of_value in _OPTIONAL_TYPES.items():
        if name in document and not isinstance(document[name], kind_of_value):
            raise TypeError(name)
    kind = kinds[document["_id"].partition("/")[0]]
    schema: int = document["schema"]
    fields = document["state"]
    for version in range(schema, kind.state.SCHEMA):
        fields = kind.upcasters[version](fields)
    state = kind.state.model_validate(fields)
    outbox = document.get("outbox", [])
    handoffs = document.get("handoffs", [])
    for entry in outbox:
        check_entry(entry)
    for item in handoffs:
        check_item(item)
        if item["subject"].partition("/")[0] not in kinds:
            raise ValueError("subject")
    entries = document.get("audit", [])
    for entry in entries:
        audit.check(entry)
    return Record(
        subject=document["_id"],
        kind=kind,
        state=state,
        stored=state if schema == kind.state.SCHEMA else None,
        version=document["version"],
        revision=document["revision"],
        next_sequence=document["next_sequence"],
        next_handoff=document["next_handoff"],
        next_audit=document["next_audit"],
        facility_id=document["facility_id"],
        waiting=document.get("waiting"),
        handing=document.get("handing"),
        auditing=document.get("auditing"),
        inbox={stream: inbox.read(one) for stream, one in document["inbox"].items()},
        blocked=document["blocked"],
        commands={command["key"]: command for command in document.get("commands", ())},
        outbox=outbox,
        handoffs=handoffs,
        audit=entries,
    )


def check_entry(entry: Mapping[str, Any]) -> None:
    """Raises what a stored outbox entry lets the relay stumble over."""
    if not isinstance(entry["sequence"], int):
        raise TypeError("sequence")
    memoryview(entry["data"])
    memoryview(b"".join(raw or b"" for _, raw in wire_headers(entry)))
    if not header_of(entry, "ce_type") or not isinstance(entry.get("topic", ""), str):
        raise TypeError("headers")


def record_or_stub(
    document: Document, kinds: Mapping[str, RecordKind], set_aside: SetAside
) -> Record:
    """The stored record, or one that refuses every work because it can't be read here."""
    subject: str = document["_id"]
    try:
        record = record_of(document, kinds)
    except (RecordIsNewer, RecordUnreadable) as error:
        if isinstance(error, RecordUnreadable):
            set_aside.add(subject, UNREADABLE)
        kind = kinds[subject.partition("/")[0]]
        version, facility_id = document.get("version"), document.get("facility_id")
        return Record(
            subject,
            kind,
            kind.state(),
            version=version if isinstance(version, int) else 1,
            facility_id=facility_id if isinstance(facility_id, str) else "",
            unusable=error,
        )
    set_aside.readable(subject)
    record.unpublished = set_aside.unpublished(subject)
    return record


def readable(
    documents: Iterable[Document], kinds: Mapping[str, RecordKind], set_aside: SetAside
) -> list[Record]:
    """The stored records that this version of the service can work with; the damaged ones among the rest are named."""
    found: list[Record] = []
    for document in documents:
        try:
            found.append(record_of(document, kinds))
        except RecordIsNewer:
            continue
        except RecordUnreadable:
            set_aside.add(document["_id"], UNREADABLE)
    return found


def is_newer(document: Document, kinds: Mapping[str, RecordKind]) -> bool:
    """Whether a newer version of the service wrote it."""
    kind, schema = kinds.get(document["_id"].partition("/")[0]), document.get("schema")
    return kind is not None and isinstance(schema, int) and schema > kind.state.SCHEMA


def not_newer(kinds: Mapping[str, RecordKind]) -> Document:
    """`is_newer`, as MongoDB is asked for all others."""
    # "0" is the character after "/": a range of _id is that of one kind.
    return {
        "$nor": [
            {"_id": {"$gte": f"{name}/", "$lt": f"{name}0"}, "schema": {"$gt": kind.state.SCHEMA}}
            for name, kind in kinds.items()
        ]
    }


def guarded_write(
    record: Record, wall: datetime, save: ObjectId, *, journaled: bool = False
) -> UpdateOne:
    """The guarded change of one record: `$set` of what has changed, `$push` of what it adds.

    Only a record that is not there yet is inserted: what is left of one whose store was lost meanwhile would be torn.
    With a journal, every save has to be copied: the record waits, whether it says something or not.
    """
    due = record.due
    values: Document = {
        "version": record.version + 1,
        "save": save,
        "revision": record.revision,
        "schema": record.kind.state.SCHEMA,
        **record.changed_state(),
        "next_sequence": record.next_sequence,
        "next_handoff": record.next_handoff,
        "next_audit": record.next_audit,
        "facility_id": record.facility_id,
        "bucket": partition_of(record.subject, PARTITIONS),
        "blocked": record.blocked,
        "index": {name: in_microseconds(at) for name, at in record.state.index_entries().items()},
        **_parts(record),
    }
    change: Document = {"$set": values}
    if record.version == 0:
        values["inbox"] = record.inbox
    else:
        for stream in record.new_streams:
            values[f"inbox.{stream}"] = record.inbox[stream]
    if due is not None:
        values["due"] = in_microseconds(due)
    else:
        change["$unset"] = {"due": ""}
    # Set again even when it was set already: a relay may clear it between this load and this write.
    pushed: Document = {}
    if record.new_events:
        pushed["outbox"] = {"$each": record.new_events}
    if record.new_events or journaled:
        values["waiting"] = record.waiting or wall
    if record.new_handoffs:
        pushed["handoffs"] = {"$each": record.new_handoffs}
        values["handing"] = record.handing or wall
    if record.new_audit:
        pushed["audit"] = {"$each": record.new_audit}
        values["auditing"] = record.auditing or wall
    if record.new_commands:
        pushed["commands"] = {"$each": record.new_commands, "$slice": -COMMANDS_KEPT}
    if pushed:
        change["$push"] = pushed
    guard = {"_id": record.subject, "version": record.version}
    return UpdateOne(guard, change, upsert=record.version == 0)


def _parts(record: Record) -> Document:
    """In which parts of divided indexes the record is, under its facility. The whole is the part without a name."""
    divided = record.kind.state.DIVIDED
    if not divided:
        return {}
    named, entries = record.state.index_parts(), record.state.index_entries()
    return {
        "parts": {
            name: [
                part_of(record.facility_id, part)
                for part in ("", *sorted(set(named.get(name, ()))))
            ]
            for name in divided
            if name in entries
        }
    }


def part_of(facility_id: str, part: str) -> str:
    """A part of a divided index, as it is stored."""
    return f"{facility_id}/{part}"


def rearm(document: Document) -> None:
    """Have a stored record found by its earliest deadline again, as a save would."""
    deadlines: Mapping[str, str] = document["state"].get("deadlines") or {}
    if deadlines:
        document["due"] = in_microseconds(min(map(datetime.fromisoformat, deadlines.values())))


def in_microseconds(instant: datetime) -> Int64:
    """An instant of the domain's time as it is stored and compared: microseconds since 1970.

    MongoDB's own dates have milliseconds: deadlines would fire late or be found too early, and an index would not
    know the order of its records. Every instant has its number, at either end of the calendar and whatever its offset.
    """
    return Int64((instant - EPOCH) // MICROSECOND)


def from_microseconds(number: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + number * MICROSECOND
