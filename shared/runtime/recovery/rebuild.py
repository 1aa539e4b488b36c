"""Rebuilds a store that was lost, or restored from an older backup, from its journal while the service is stopped.

The rebuild takes the newest copy of every record: from the journal, or from the store where that is newer. A copy
that can be read is preferred to one that can't. A record without such a copy stays as the store has it, and the
service sets it aside. The rebuild compares the copies with the service's own topic, writes them to a second
collection, and only then replaces `records` with that collection. It sets the offsets of the service back to the
beginning: the service consumes everything again, and the inbox recognises what the copies already contain. The
rebuild also restores the entries of the audit that only the journal has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import bson
from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from shared.contracts.topics import TOPICS, Topic
from shared.errors import ConfigurationError, SequenceConflict
from shared.runtime.audit.keeper import JOURNAL_PREFIX, restore
from shared.runtime.audit.store import MongoAudit
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.documents import Document, rearm
from shared.runtime.core.record import DEADLINES
from shared.runtime.core.store import MongoStore, Store, translated
from shared.runtime.core.work import SEQUENCE_MAX
from shared.runtime.kafka import own_topic
from shared.runtime.kafka.clients import new_consumer
from shared.runtime.kafka.identity import adopt
from shared.runtime.kafka.producer import unavailable
from shared.runtime.kafka.topics import admin_client
from shared.runtime.logs import log
from shared.runtime.recovery.journal import Keyring, read_journal, unreadable_journal
from shared.runtime.set_aside import MISREAD, UNREADABLE

SHADOW: Final = "records_rebuilt"
BEFORE: Final = "records_before"
WHOLE_TOPIC: Final = 10**12
WRITES_PER_BULK: Final = 500
NOTHING_SAID: Final[Mapping[str, Any]] = {"next_sequence": 1}
NOTHING_NEW: Final[Mapping[str, Any]] = {"next_sequence": SEQUENCE_MAX}
NO_COPY: Final = (False, -1)
FACTS: Final = (
    "state",
    "schema",
    "revision",
    "next_sequence",
    "next_handoff",
    "next_audit",
    "facility_id",
    "inbox",
    "commands",
)
"""The stored fields that hold what a record knows and has published; not how often it was saved, nor what is queued."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild."""

    records: int
    from_journal: int
    """Records whose newest copy was the journal's."""
    unreadable: int
    """Messages on the journal that are no copy of this service's, or that no key opens."""
    state_hash: str
    blocked: int
    """Records with a stream that is still blocked."""
    set_aside: tuple[str, ...] = ()
    """The records of which no copy reads. They stay as they are."""


def state_hash(documents: Iterable[Mapping[str, Any]]) -> str:
    """One hash over the facts of all records, in any order."""
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
    store: MongoStore,
    kafka: KafkaConnection,
    service: str,
    keyring: Keyring,
    inputs: Iterable[str],
) -> Rebuilt:
    """Rebuild the records from the journal. `inputs` names the topics that the service subscribes to. Repeatable.

    Raises `ConfigurationError` while the service runs or when the journal can't be used, `SequenceConflict` when
    even the journal is behind the service's own topic (the records stay as they are), `Unavailable` while a dependency
    is away.
    """
    await check_stopped(kafka, service)
    newest, from_journal, unreadable = await _newest(store, kafka, service, keyring)
    damaged = sorted(subject for subject, one in newest.items() if not store.reads(one))
    for subject in damaged:
        log.error("record.set_aside", subject=subject, reason=UNREADABLE)
    sound = {subject: one for subject, one in newest.items() if subject not in damaged}
    if (own := TOPICS.get(f"care.{service}")) is not None:
        # Nothing is published of what is set aside, whatever number it has.
        await check_numbers(kafka, own, store, sound | dict.fromkeys(damaged, NOTHING_NEW))
    for document in sound.values():
        with suppress(*MISREAD):  # of a newer version's record nobody here knows the form
            _prepare(document)
    await _swap_in(store, newest)
    await begin_anew(kafka, service, store, inputs)
    blocked = sum(bool(document.get("blocked")) for document in sound.values())
    log.warning("records.rebuilt", count=len(newest))
    return Rebuilt(
        len(newest),
        from_journal,
        unreadable,
        state_hash(newest.values()),
        blocked,
        tuple(damaged),
    )


async def _newest(
    store: MongoStore, kafka: KafkaConnection, service: str, keyring: Keyring
) -> tuple[dict[str, Document], int, int]:
    found: dict[str, Document] = {}
    ranks: dict[str, tuple[bool, int]] = {}
    audit_log = MongoAudit(store.database)
    unreadable = 0
    async for document in read_journal(kafka, service, keyring):
        if document is None:
            unreadable += 1
            continue
        if document["_id"].startswith(JOURNAL_PREFIX):
            try:
                await restore(audit_log, document)
            except MISREAD:  # a copy of what was damaged already
                unreadable += 1
            continue
        rank = _rank(store, document)
        if ranks.get(document["_id"], NO_COPY) < rank:
            found[document["_id"]], ranks[document["_id"]] = document, rank
    if unreadable and not found:
        raise unreadable_journal()
    from_journal = len(found)
    with translated():
        async for document in store.collection("records").find({}):
            known = found.get(document["_id"])
            if known is None or ranks[document["_id"]] <= _rank(store, document):
                from_journal -= known is not None
                found[document["_id"]] = document
    return found, from_journal, unreadable


def _rank(store: MongoStore, copy: Document) -> tuple[bool, int]:
    """Which of two copies of a record is taken: one that reads before one that does not, and then the newer one."""
    version = copy.get("version")
    return store.reads(copy), max(version, 0) if isinstance(version, int) else 0


def _prepare(document: Document) -> None:
    """Make a copy ready for its service: unblock its deadlines, whose dead letter may be lost, and arm the next one.

    A copy still has the outbox from before its publish. Those events go out again; consumers recognise their numbers.
    A blocked event needs nothing: its message is consumed again.
    """
    document["blocked"].pop(DEADLINES, None)
    if "due" not in document:
        rearm(document)


async def _swap_in(store: MongoStore, newest: Mapping[str, Document]) -> None:
    """Swap all records at once, so that no reader sees a half-built store. The old ones stay until the next rebuild."""
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


async def check_stopped(kafka: KafkaConnection, service: str) -> None:
    """Raises `ConfigurationError` while a replica of the service is in its consumer group."""
    async with admin_client(kafka) as admin:
        members = await _members(admin, service)
    if members:
        raise ConfigurationError(
            "service-running",
            f"{members} replicas of {service} are running.",
            hint="Stop them, wait for the session time-out, and repeat.",
        )


async def _members(admin: Any, group: str) -> int:
    """How many members a group has; 0 for one that does not exist."""
    try:
        [response] = await admin.describe_consumer_groups([group])
    except GroupCoordinatorNotAvailableError:
        return 0  # the broker has not had a group yet
    return sum(len(found[5]) for found in response.groups)


async def check_numbers(
    kafka: KafkaConnection,
    own: Topic,
    store: MongoStore,
    documents: Mapping[str, Mapping[str, Any]],
) -> None:
    """Raises `SequenceConflict` when these records would reuse the number of an event on the service's own topic."""
    found = await own_topic.published(kafka, own, store, WHOLE_TOPIC)
    ahead = [
        event
        for subject, event in found.last.items()
        if event.sequence >= documents.get(subject, NOTHING_SAID)["next_sequence"]
        and store.keeps(subject)
    ]
    if ahead:
        own_topic.log_ahead(own, ahead)
        raise SequenceConflict(
            "journal-behind",
            f"{own.name} is ahead of the journal for {len(ahead)} subjects. Nothing was changed.",
            hint="The journal was off when the service published these events: restore a newer backup of the store, "
            "then repeat. If the service never published them, disown them (care topics disown).",
        )


async def begin_anew(
    kafka: KafkaConnection, group: str, store: Store, inputs: Iterable[str]
) -> None:
    """Have a store belong to this Kafka as a new one, and its stopped group read `inputs` from their beginning.

    Repeatable. What the store has applied is recognised by its numbers. Raises `Unavailable`.
    """
    store_id = await adopt(kafka, store)
    topics = [TOPICS[name] for name in inputs]
    consumer = new_consumer(kafka, group_id=group, enable_auto_commit=False)
    try:
        await consumer.start()
        partitions = [TopicPartition(t.name, n) for t in topics for n in range(t.partitions)]
        consumer.assign(partitions)
        beginnings: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        await consumer.commit(
            {partition: (offset, store_id) for partition, offset in beginnings.items()}
        )
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
