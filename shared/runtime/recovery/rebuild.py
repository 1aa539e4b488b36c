"""A store that was lost, or restored from an older backup, is made anew from its journal, while the service is stopped.

Of every record the newest copy is taken: from the journal, or from the store itself where that is newer. They are
compared with the service's own topic, written to a collection beside the records, and only then put in the records'
place. The offsets of the service go back to the beginning: what it heard after the newest copies is heard again, and
`inbox` knows the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import bson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.contracts.event import TOPICS, EnvelopeError, Topic, read_envelope
from shared.errors import ConfigurationError, SequenceConflict
from shared.runtime.core.record import DEADLINES
from shared.runtime.core.store import Document, MongoStore, in_milliseconds, translated
from shared.runtime.kafka.producer import read_tail, unavailable
from shared.runtime.logs import log
from shared.runtime.recovery.journal import read_journal

SHADOW: Final = "records_rebuilt"
BEFORE: Final = "records_before"
WHOLE_TOPIC: Final = 10**12
WRITES_PER_BULK: Final = 500
FACTS: Final = (
    "state",
    "schema",
    "revision",
    "next_sequence",
    "next_handoff",
    "facility_id",
    "inbox",
    "commands",
)
"""The stored fields that hold what a record knows and has published; not how often it was saved, nor what is queued."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it."""

    records: int
    from_journal: int
    """Records whose newest copy was the journal's."""
    state_hash: str
    blocked: int
    """Records with a line that is still parked."""


def state_hash(documents: Iterable[Mapping[str, Any]]) -> str:
    """One hash over what all records know, whatever their order."""
    total = hashlib.sha256()
    for one in sorted(_hash(document) for document in documents):
        total.update(one)
    return total.hexdigest()


def _hash(document: Mapping[str, Any]) -> bytes:
    facts = {name: document.get(name) for name in FACTS}
    raw = bson.encode({"_id": document["_id"], **_sorted(facts)})
    return hashlib.sha256(raw).digest()


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {key: _sorted(fields[key]) for key in sorted(fields)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in cast("list[Any]", value)]
    return value


async def rebuild(
    store: MongoStore, bootstrap: str, service: str, key: str, heard: Iterable[str]
) -> Rebuilt:
    """Make the records anew from the journal. Repeating it changes nothing more.

    Raises `ConfigurationError` while the service runs or when the journal can't be used, `SequenceConflict` when
    even the journal is behind the service's own topic (the records stay as they are), `Unavailable` while a dependency
    is away.
    """
    await check_stopped(bootstrap, service)
    newest, from_journal = await _newest(store, bootstrap, service, key)
    await check_numbers(bootstrap, TOPICS[f"care.{service}"], newest)
    for document in newest.values():
        _go_on(document)
    await _put_in_place(store, newest)
    await rewind(bootstrap, service, [TOPICS[name] for name in heard])
    blocked = sum(bool(document["blocked"]) for document in newest.values())
    log.warning("records.rebuilt", count=len(newest))
    return Rebuilt(len(newest), from_journal, state_hash(newest.values()), blocked)


async def _newest(
    store: MongoStore, bootstrap: str, service: str, key: str
) -> tuple[dict[str, Document], int]:
    found: dict[str, Document] = {}
    async for document in read_journal(bootstrap, service, key):
        known = found.get(document["_id"])
        if known is None or known["version"] < document["version"]:
            found[document["_id"]] = document
    from_journal = len(found)
    with translated():
        async for document in store.collection("records").find({}):
            known = found.get(document["_id"])
            if known is None or known["version"] <= document["version"]:
                from_journal -= known is not None
                found[document["_id"]] = document
    return found, from_journal


def _go_on(document: Document) -> None:
    """A copy is as it was before its events went out: they go out again, and who heard them knows their numbers.

    A parked deadline is tried again, for its dead letter may be lost; a parked event comes again with its line.
    """
    document["blocked"].pop(DEADLINES, None)
    deadlines = document["state"].get("deadlines")
    if deadlines and "due" not in document:
        document["due"] = in_milliseconds(min(map(datetime.fromisoformat, deadlines.values())))


async def _put_in_place(store: MongoStore, newest: Mapping[str, Document]) -> None:
    """Whole or not at all: readers of `records` never see a half-made store. The old ones are kept until next time."""
    shadow = store.collection(SHADOW)
    with translated():
        await shadow.drop()
        documents = list(newest.values())
        for start in range(0, len(documents), WRITES_PER_BULK):
            await shadow.insert_many(documents[start : start + WRITES_PER_BULK], ordered=False)
        names = set(await store.database.list_collection_names())
        if "records" in names:
            await store.collection(BEFORE).drop()
            await store.collection("records").rename(BEFORE)
        if documents:
            await shadow.rename("records")


async def check_stopped(bootstrap: str, service: str) -> None:
    """Raises `ConfigurationError` while a replica of the service is in its consumer group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        members = await _members(admin, service)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await admin.close()
    if members:
        raise ConfigurationError(
            "service-running",
            f"{members} replicas of {service} are running.",
            hint="Stop them, wait for the session time-out, and repeat.",
        )


async def _members(admin: Any, group: str) -> int:
    """How many members a group has; 0 for one that is not there."""
    try:
        [response] = await admin.describe_consumer_groups([group])
    except KafkaError as error:
        if type(error).__name__ == "GroupCoordinatorNotAvailableError":
            return 0  # the broker has not had a group yet
        raise
    return sum(len(found[5]) for found in response.groups)


async def check_numbers(bootstrap: str, own: Topic, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Nothing on the service's own topic may have a number that these records would give again."""
    _, records = await read_tail(bootstrap, own, WHOLE_TOPIC)
    ahead: set[str] = set()
    for record in records:
        try:
            envelope = read_envelope(record.headers, record.key)
        except EnvelopeError:
            continue
        document = kept.get(envelope.subject)
        next_sequence = 1 if document is None else document["next_sequence"]
        if envelope.source == own.name and envelope.sequence >= next_sequence:
            ahead.add(envelope.subject)
    if ahead:
        raise SequenceConflict(
            "journal-behind",
            f"{own.name} is ahead of the journal for {len(ahead)} subjects. Nothing was changed.",
            hint="The journal was off when they were said. Restore a newer backup of the store, then repeat.",
        )


async def rewind(bootstrap: str, group: str, topics: Iterable[Topic]) -> None:
    """Let a stopped group begin again at the beginning of what it hears."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    )
    try:
        await consumer.start()
        partitions = [TopicPartition(t.name, n) for t in topics for n in range(t.partitions)]
        consumer.assign(partitions)
        beginnings: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        await consumer.commit(beginnings)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
