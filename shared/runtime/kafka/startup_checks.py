"""Startup checks: are the topics and the store the ones that this service worked with before?

The checks run before a service consumes or publishes anything. The checks on topics run again while the service runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.topics import Topic
from shared.errors import SequenceConflict, TopicMismatch, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Store
from shared.runtime.kafka import own_topic
from shared.runtime.kafka.clients import new_consumer
from shared.runtime.kafka.producer import unavailable
from shared.runtime.kafka.topic_ids import identity_of
from shared.runtime.kafka.topics import (
    admin_client,
    check_settings,
    ensure_topics,
    partition_counts,
)

TAIL_MESSAGES: Final = 50
"""How many messages at the end of each partition `check_numbering` reads."""


async def check(
    kafka: KafkaConnection,
    own: Topic | None,
    inputs: Sequence[Topic],
    store: Store,
    replication: int,
) -> int:
    """Create missing topics, and compare all of them and the store with what this service remembers.

    Returns how many messages at the end of its own topic are not the service's. Raises `TopicMismatch`,
    `SequenceConflict`, or `Unavailable` while a dependency is away.
    """
    topics = inputs if own is None else [own, *inputs]
    # The own topic is the first that is created: on a closed bus nobody else may do that.
    await ensure_topics(kafka, topics, replication)
    await check_settings(kafka, topics)
    await check_topics(kafka, topics, store)
    return 0 if own is None else await check_numbering(kafka, own, store)


async def check_partitions(kafka: KafkaConnection, topics: Iterable[Topic]) -> None:
    """Check a running service's topics. Raises `TopicMismatch` when one is missing or has other partitions.

    Unlike at the start, a missing topic is not created: its messages are lost, and an operator has to know.
    """
    named = {topic.name: topic for topic in topics}
    for name, found in (await partition_counts(kafka, named)).items():
        if found != named[name].partitions:
            raise TopicMismatch(
                "topic-partitions-differ" if found else "topic-missing",
                f"{name} has {found} partitions; the catalogue says {named[name].partitions}.",
                hint="See the runbook: drain and migrate.",
            )


async def check_topics(kafka: KafkaConnection, topics: Iterable[Topic], store: Store) -> None:
    """Raises `TopicMismatch` for a topic that was deleted and created again: the committed offsets mean nothing on it.

    Such a topic has another id than it had, is shorter than it was, or has another incarnation in the catalogue.
    """
    named = {topic.name: topic for topic in topics}
    # In this order: another replica may note later ends meanwhile, and a paused one must not compare them with its own.
    before = {name: await store.metadata(f"topic:{name}") for name in named}
    ends, ids = await end_offsets(kafka, named.values()), await topic_ids(kafka, named)
    for name, topic in named.items():
        metadata = before[name]
        if metadata and metadata["incarnation"] != topic.incarnation:
            raise TopicMismatch(
                "topic-incarnation-differs",
                f"The catalogue has incarnation {topic.incarnation} of {name}; this store has worked with "
                f"incarnation {metadata['incarnation']}.",
                hint="See the runbook: drain and migrate.",
            )
        another = metadata.get("topic_id", ids[name]) != ids[name]
        if another or any(
            now < then for now, then in zip(ends[name], metadata.get("ends", ()), strict=False)
        ):
            raise TopicMismatch(
                "topic-made-again",
                f"{name} is not the topic that this service has worked with: it was deleted and created again.",
                hint="See the runbook: drain and migrate.",
            )
    for name in named:  # never back to before what another replica has noted meanwhile
        noted = (await store.metadata(f"topic:{name}")).get("ends", ends[name])
        ends[name] = [max(pair) for pair in zip(ends[name], noted, strict=False)]
    await remember_topics(store, named.values(), ends, ids)


async def remember_topics(
    store: Store,
    topics: Iterable[Topic],
    ends: Mapping[str, Sequence[int]],
    ids: Mapping[str, str],
) -> None:
    """Store which topics these are and how far they reach, for the next check."""
    for topic in topics:
        await store.set_metadata(
            f"topic:{topic.name}",
            {
                "incarnation": topic.incarnation,
                "topic_id": ids[topic.name],
                "ends": list(ends[topic.name]),
            },
        )


async def topic_ids(kafka: KafkaConnection, names: Iterable[str]) -> dict[str, str]:
    """The ids of topics that exist. Raises `Unavailable`."""
    wanted = list(names)
    async with admin_client(kafka) as admin:
        found = (await identity_of(admin, wanted)).topic_ids
    if missing := set(wanted) - set(found):
        raise Unavailable(
            "broker-unavailable",
            f"Kafka can't describe {min(missing)} now.",
            hint="Wait: the service tries again.",
        )
    return found


async def remember_numbers(store: Store, topic: Topic, before: Sequence[int]) -> None:
    """Store how high the numbers were, per partition, before the topic was made again without its messages."""
    await store.set_metadata(f"topic:{topic.name}", {"numbers_before": list(before)})


async def numbers_before(topics: Iterable[Topic], store: Store) -> dict[tuple[str, int], int]:
    """What `remember_numbers` has stored, by topic and partition; nothing for a topic with its whole history."""
    found: dict[tuple[str, int], int] = {}
    for topic in topics:
        metadata = await store.metadata(f"topic:{topic.name}")
        numbers: Sequence[int] = metadata.get("numbers_before", ())
        found |= {(topic.name, n): number for n, number in enumerate(numbers) if number}
    return found


async def end_offsets(kafka: KafkaConnection, topics: Iterable[Topic]) -> dict[str, list[int]]:
    """The end offset of every partition, by topic."""
    wanted = list(topics)
    _, ends = await _bounds(kafka, wanted)
    return {t.name: [ends[TopicPartition(t.name, n)] for n in range(t.partitions)] for t in wanted}


async def first_offsets(
    kafka: KafkaConnection, topics: Iterable[Topic]
) -> dict[TopicPartition, int]:
    """The offset of the first message that is still there, of every partition. Raises `Unavailable`."""
    return (await _bounds(kafka, list(topics)))[0]


async def _bounds(
    kafka: KafkaConnection, topics: Iterable[Topic]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    partitions = [TopicPartition(t.name, n) for t in topics for n in range(t.partitions)]
    if not partitions:
        return {}, {}
    consumer = new_consumer(kafka, enable_auto_commit=False)
    try:
        await consumer.start()
        return (
            await consumer.beginning_offsets(partitions),
            await consumer.end_offsets(partitions),
        )
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        await consumer.stop()


async def check_numbering(kafka: KafkaConnection, own: Topic, store: Store) -> int:
    """Returns how many messages at the end of the service's own topic are not its own; they are ignored.

    A save always comes before its publish, so a topic that is ahead of the store means that the store was lost or
    restored from an older backup. Publishing would give sequence numbers that are taken to other events.

    Raises `SequenceConflict` for that.
    """
    found = await own_topic.published(kafka, own, store, TAIL_MESSAGES)
    last = {subject: event for subject, event in found.last.items() if store.keeps(subject)}
    records = await store.load(last)
    ahead = [
        event
        for subject, event in last.items()
        if records[subject].unusable is None and records[subject].next_sequence <= event.sequence
    ]
    if ahead:
        own_topic.log_ahead(own, ahead)
        raise SequenceConflict(
            "sequence-conflict",
            f"{own.name} is ahead of the store for {len(ahead)} subjects: the store is older than its topic.",
            hint="Restore the latest store, or rebuild it from its journal. See the runbook.",
        )
    return found.foreign + len(found.last) - len(last)
