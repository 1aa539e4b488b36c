"""Drain and migrate: bring a topic, and the offsets of every service that subscribes to it, back to the catalogue.

Use it for a topic whose number of partitions was changed, or that was deleted and created again. First all services
consume everything on the topic, and then they are stopped. The migration copies the messages to a second topic, creates
the topic again, copies the messages back in the order of each key, and sets the services' offsets to its end. It stores
every finished phase, so that an interrupted migration can be repeated.

A service does not believe a number that is higher than its place on the topic allows (see `Reader.sequence_max`). Where
a topic was created again without its messages, every service that subscribes to it notes how high the numbers were by
then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pymongo import UpdateOne

from shared import inbox
from shared.contracts.event import event_bytes
from shared.contracts.topics import MAX_MESSAGE_BYTES, PARTITIONS, Topic
from shared.errors import ConfigurationError, Unavailable
from shared.kit.to_the_end import read_to
from shared.kit.unpacking import Packed
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.documents import Document
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.store import MongoStore, translated
from shared.runtime.kafka.clients import new_consumer, new_producer
from shared.runtime.kafka.identity import kept_by
from shared.runtime.kafka.positions import NOTED_POSITIONS, positions_to_note
from shared.runtime.kafka.producer import unavailable
from shared.runtime.kafka.startup_checks import (
    end_offsets,
    numbers_before,
    remember_numbers,
    remember_topics,
    topic_ids,
)
from shared.runtime.kafka.topics import (
    admin_client,
    ensure_topics,
    partition_counts,
    replication_of,
)
from shared.runtime.logs import log
from shared.runtime.recovery.rebuild import check_stopped
from shared.runtime.retry import Backoff
from shared.runtime.set_aside import MISREAD, UNREADABLE

ASIDE: Final = ".aside"
LOOKS_MAX: Final = 100
BULK: Final = 500
BATCH_OVERHEAD_BYTES: Final = 16 * 1024
"""Room for what a batch adds to a message: a length with each header, and the batch's own head."""


@dataclass(frozen=True, slots=True)
class Party:
    """A service that may have offsets on the topic."""

    name: str
    store: MongoStore
    inputs: Sequence[str]
    """The topics that it subscribes to."""


async def migrate(
    kafka: KafkaConnection,
    topic: Topic,
    parties: Sequence[Party],
    report: Callable[[str], None],
    replication: int = 1,
) -> int:
    """Migrate a topic; `report` gets each phase. Returns how many messages are on the topic afterwards.

    The new topic has as many replicas as the old one; `replication` is for a topic that is not there at all. A message
    that is larger than a topic takes, and so no event, is left out and reported.

    Raises `ConfigurationError` when a service runs or has not consumed everything, `Unavailable` while a dependency is
    away.
    """
    owner = next(party for party in parties if f"care.{party.name}" == topic.name)
    for party in parties:
        await check_stopped(kafka, party.name)
    key = f"migration:{topic.name}"
    metadata = await owner.store.metadata(key)
    phase, whole = metadata.get("phase"), metadata.get("whole", False)
    replicas = metadata.get("replicas") or await replication_of(kafka, topic.name) or replication
    if phase is None:
        whole = False
        found = (await partition_counts(kafka, [topic.name]))[topic.name]
        await _check_drained(kafka, replace(topic, partitions=found), owner, parties)
        if found != topic.partitions and found:
            report(f"copying {topic.name} aside")
            await _recreate(kafka, _aside(topic), replicas)
            old = replace(topic, partitions=found)
            left_out = await _copy(kafka, old, _aside(topic), report)
            phase, whole = "aside", not left_out and await _is_whole(kafka, old, parties)
            note = {"phase": phase, "whole": whole, "replicas": replicas}
            await owner.store.set_metadata(key, note)
    if phase == "aside":
        report(f"creating {topic.name} with {topic.partitions} partitions")
        await _recreate(kafka, topic, replicas)
        await _copy(kafka, _aside(topic), topic, report)
        await owner.store.set_metadata(key, {"phase": "back"})
    await ensure_topics(kafka, [topic], replicas)
    report("setting offsets to the end")
    for party in parties:
        if topic.name in party.inputs:
            before = [0] * topic.partitions if whole else await _numbers_given(owner, party, topic)
            await remember_numbers(party.store, topic, before)
        await _set_to_end(kafka, topic, party)
    await owner.store.set_metadata(key, {"phase": None, "replicas": None})
    await _delete(kafka, topic.name + ASIDE)
    ends = (await end_offsets(kafka, [topic]))[topic.name]
    log.warning("topic.migrated", topic=topic.name, count=sum(ends))
    return sum(ends)


def _aside(topic: Topic) -> Topic:
    return Topic(topic.name + ASIDE, topic.partitions)


async def _check_drained(
    kafka: KafkaConnection, topic: Topic, owner: Party, parties: Sequence[Party]
) -> None:
    """Raises `ConfigurationError` unless every subscriber has consumed all of it and no event waits to be published."""
    with translated():
        waiting = await owner.store.collection("records").count_documents(
            {"waiting": {"$exists": True}, "outbox": {"$ne": []}}
        )
    if waiting:
        raise _undrained(f"{waiting} records of {owner.name} wait to be published")
    if not topic.partitions:
        return
    ends = (await end_offsets(kafka, [topic]))[topic.name]
    for party in parties:
        if topic.name not in party.inputs:
            continue
        behind = await _not_consumed(kafka, topic, party, ends)
        if behind is not None:
            raise _undrained(f"{party.name} has not consumed all of {topic.name}/{behind}")


async def _not_consumed(
    kafka: KafkaConnection, topic: Topic, party: Party, ends: Sequence[int]
) -> int | None:
    """A partition with a message that a subscriber has not consumed; None when there is none.

    A partition may end with what no subscriber is ever given: a transaction's marker.
    """
    async with _reading(kafka, party.name) as consumer:
        wanted = {TopicPartition(topic.name, number): end for number, end in enumerate(ends)}
        committed = {place: await consumer.committed(place) or 0 for place in wanted}
        left = {place: end for place, end in wanted.items() if committed[place] < end}
        if not left:
            return None
        beginnings = await consumer.beginning_offsets(list(left))
        consumer.assign(list(left))
        for place in left:
            if committed[place] < beginnings[place]:
                return place.partition
            consumer.seek(place, committed[place])
        async with aclosing(read_to(consumer, left)) as batches:
            async for place, _ in batches:
                return place.partition
    return None


async def _is_whole(kafka: KafkaConnection, topic: Topic, parties: Sequence[Party]) -> bool:
    """Whether the topic has every event since the first one, so that its offsets bound its numbers."""
    for party in parties:
        if any((await numbers_before([topic], party.store)).values()):
            return False
    async with _reading(kafka) as consumer:
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        beginnings: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    return not any(beginnings.values())


async def _numbers_given(owner: Party, reader: Party, topic: Topic) -> list[int]:
    """The highest number of each partition: what the owner has given, and what the reader has applied."""
    highest = [0] * topic.partitions

    def note(subject: str, number: int) -> None:
        partition = partition_of(subject, topic.partitions)
        highest[partition] = max(highest[partition], number)

    with translated():
        async for document in owner.store.collection("records").find({}, {"next_sequence": 1}):
            with _set_aside(document):
                note(document["_id"], document["next_sequence"] - 1)
        async for document in reader.store.collection("records").find({}, {"inbox": 1}):
            with _set_aside(document):
                for stream, known in document["inbox"].items():
                    publisher, _, subject = stream.partition("|")
                    if publisher == owner.name:
                        note(subject or document["_id"], inbox.read(known)[0])
    return highest


@contextmanager
def _set_aside(document: Document) -> Generator[None]:
    """Go on without a record that can't be read: what the other side of the topic knows of its numbers still counts."""
    try:
        yield
    except MISREAD:
        log.error("record.set_aside", subject=str(document["_id"]), reason=UNREADABLE)


def _undrained(what: str) -> ConfigurationError:
    return ConfigurationError(
        "not-drained",
        f"{what}.",
        hint="Start the services with the catalogue that fits the topic, let them finish, stop them, and repeat.",
    )


async def _recreate(kafka: KafkaConnection, topic: Topic, replicas: int) -> None:
    await _delete(kafka, topic.name)
    backoff = Backoff()
    for _ in range(LOOKS_MAX):
        with suppress(Unavailable):  # the broker is still removing the old one
            await ensure_topics(kafka, [topic], replicas)
            if sum((await end_offsets(kafka, [topic]))[topic.name]) == 0:
                return
        await backoff.pause()
    raise Unavailable(
        "broker-unavailable",
        f"{topic.name} could not be created again.",
        hint="Run the same command again: it resumes where it stopped.",
    )


async def _delete(kafka: KafkaConnection, name: str) -> None:
    async with admin_client(kafka) as admin:
        if name in await admin.list_topics():
            await admin.delete_topics([name])
        backoff = Backoff()
        for _ in range(LOOKS_MAX):
            if name not in await admin.list_topics():
                return
            await backoff.pause()


async def _copy(
    kafka: KafkaConnection, source: Topic, target: Topic, report: Callable[[str], None]
) -> int:
    """Copy every message that can be an event, in the order of each key. Returns how many were left out.

    Raises `Unavailable` unless all others arrived.
    """
    producer = new_producer(
        kafka,
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_MESSAGE_BYTES,
    )
    copied = left_out = 0
    try:
        await producer.start()
        async for message in _messages(kafka, source):
            if _too_large(message):
                report(_left_out(message))
                left_out += 1
                continue
            key = message.key or b""
            partition = partition_of(key.decode(errors="replace"), target.partitions)
            await producer.send_again(target.name, message, partition)
            copied += 1
        await producer.flush()
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await producer.stop()
    arrived = sum((await end_offsets(kafka, [target]))[target.name])
    if arrived != copied:
        raise Unavailable(
            "copy-incomplete",
            f"{arrived} of {copied} messages arrived.",
            hint="Run the same command again: it copies the messages again.",
        )
    return left_out


def _too_large(message: ConsumerRecord[bytes, bytes]) -> bool:
    """No topic takes it as it is: it was packed when it came."""
    size = event_bytes(message.key, message.headers, len(message.value or b""))
    return isinstance(message.value, Packed) or size > MAX_MESSAGE_BYTES - BATCH_OVERHEAD_BYTES


def _left_out(message: ConsumerRecord[bytes, bytes]) -> str:
    """A line on a message that is not copied: where it was, and what would be known again."""
    value = message.value or b""
    if isinstance(value, Packed):
        length, digest = value.length, value.sha256
    else:
        length, digest = len(value), sha256(value).hexdigest()
    place = f"{message.topic}/{message.partition}/{message.offset}"
    return (
        f"left out, because it is too large for an event: {place}, {length} bytes, SHA-256 {digest}"
    )


async def _messages(
    kafka: KafkaConnection, topic: Topic
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    async with _reading(kafka) as consumer:
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        consumer.assign(partitions)
        for place, start in starts.items():
            consumer.seek(place, start)
        async for _, batch in read_to(consumer, ends):
            for message in batch:
                yield message


async def _set_to_end(kafka: KafkaConnection, topic: Topic, party: Party) -> None:
    """Set a service's offsets to the end, store how far the topic reaches, and assign its records to buckets again."""
    ends, ids = await end_offsets(kafka, [topic]), await topic_ids(kafka, [topic.name])
    store_id = (await kept_by(party.store)).store_id
    if topic.name in party.inputs:
        async with _reading(kafka, party.name) as consumer:
            places = {TopicPartition(topic.name, n): end for n, end in enumerate(ends[topic.name])}
            consumer.assign(list(places))
            await consumer.commit({place: (end, store_id) for place, end in places.items()})
        await party.store.set_metadata(NOTED_POSITIONS, positions_to_note(places))
    if topic.name in party.inputs or topic.name == f"care.{party.name}":
        await remember_topics(party.store, [topic], ends, ids)
    with translated():
        records, writes = party.store.collection("records"), list[UpdateOne]()
        async for document in records.find({}, {"bucket": 1}):
            bucket = partition_of(document["_id"], PARTITIONS)
            if document["bucket"] != bucket:
                writes.append(UpdateOne({"_id": document["_id"]}, {"$set": {"bucket": bucket}}))
        for start in range(0, len(writes), BULK):
            await records.bulk_write(writes[start : start + BULK], ordered=False)


@asynccontextmanager
async def _reading(
    kafka: KafkaConnection, group: str | None = None
) -> AsyncGenerator[AIOKafkaConsumer]:
    settings: dict[str, Any] = {} if group is None else {"group_id": group}
    consumer = new_consumer(
        kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * MAX_MESSAGE_BYTES,
        **settings,
    )
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        with suppress(Exception):
            await consumer.stop()
