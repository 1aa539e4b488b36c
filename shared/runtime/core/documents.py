"""Records as MongoDB keeps them: the document of a record, and the guarded write that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import Int64, ObjectId
from pymongo import UpdateOne

from shared.contracts.topics import PARTITIONS
from shared.errors import Unavailable
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.record import COMMANDS_KEPT, Record, RecordKind

Document = dict[str, Any]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def record_of(document: Document, kinds: Mapping[str, RecordKind]) -> Record:
    """A stored record as it is worked with. Raises `Unavailable` when a newer version of the service wrote it."""
    kind = kinds[document["_id"].partition("/")[0]]
    schema: int = document["schema"]
    if schema > kind.state.SCHEMA:
        raise Unavailable(
            "record-is-newer", "A newer version of this service has written this record."
        )
    fields = document["state"]
    for version in range(schema, kind.state.SCHEMA):
        fields = kind.upcasters[version](fields)
    state = kind.state.model_validate(fields)
    return Record(
        subject=document["_id"],
        kind=kind,
        state=state,
        stored=state if schema == kind.state.SCHEMA else None,
        version=document["version"],
        revision=document["revision"],
        next_sequence=document["next_sequence"],
        next_handoff=document["next_handoff"],
        facility_id=document["facility_id"],
        waiting=document.get("waiting"),
        handing=document.get("handing"),
        inbox={stream: (one[0], one[1], one[2]) for stream, one in document["inbox"].items()},
        blocked=document["blocked"],
        commands={command["key"]: command for command in document.get("commands", ())},
        outbox=document.get("outbox", []),
        handoffs=document.get("handoffs", []),
    )


def is_newer(document: Document, kinds: Mapping[str, RecordKind]) -> bool:
    """Whether a newer version of the service wrote it."""
    return document["schema"] > kinds[document["_id"].partition("/")[0]].state.SCHEMA


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
        "facility_id": record.facility_id,
        "bucket": partition_of(record.subject, PARTITIONS),
        "blocked": record.blocked,
        "index": {name: in_microseconds(at) for name, at in record.state.index_entries().items()},
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
    if record.new_commands:
        pushed["commands"] = {"$each": record.new_commands, "$slice": -COMMANDS_KEPT}
    if pushed:
        change["$push"] = pushed
    guard = {"_id": record.subject, "version": record.version}
    return UpdateOne(guard, change, upsert=record.version == 0)


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
