"""What is checked before a service hears or says anything: are these the topics, and is this the store, it knew?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.event import EnvelopeError, Topic, read_envelope
from shared.errors import SequenceConflict, TopicMismatch
from shared.runtime.core.store import Store
from shared.runtime.kafka.producer import ensure_topics, partition_counts, read_tail, unavailable

TAIL_RECORDS: Final = 50


async def check(
    bootstrap: str, own: Topic, heard: Iterable[Topic], store: Store, replication: int
) -> None:
    """Ensure the topics and compare them, and the store, with what this service remembers.

    Raises `TopicMismatch`, `SequenceConflict`, or `Unavailable` while a dependency is away.
    """
    topics = [own, *heard]
    await ensure_topics(bootstrap, topics, replication)
    await check_topics(bootstrap, topics, store)
    await check_numbering(bootstrap, own, store)


async def check_partitions(bootstrap: str, topics: Iterable[Topic]) -> None:
    """In mid-run: a topic that has gone, or has other partitions than the catalogue says, is not made again here.

    Raises `TopicMismatch`.
    """
    named = {topic.name: topic for topic in topics}
    for name, found in (await partition_counts(bootstrap, named)).items():
        if found != named[name].partitions:
            raise TopicMismatch(
                "topic-partitions-differ" if found else "topic-missing",
                f"{name} has {found} partitions; the catalogue says {named[name].partitions}.",
                hint="See the runbook: drain and migrate.",
            )


async def check_topics(bootstrap: str, topics: Iterable[Topic], store: Store) -> None:
    """A topic that is shorter than it was has been made again: positions taken on the old one mean nothing."""
    named = {topic.name: topic for topic in topics}
    ends = await end_offsets(bootstrap, named.values())
    for name, topic in named.items():
        metadata = await store.metadata(f"topic:{name}")
        if metadata and metadata["incarnation"] != topic.incarnation:
            raise TopicMismatch(
                "topic-incarnation-differs",
                f"{name} is incarnation {topic.incarnation}; this store knows {metadata['incarnation']}.",
                hint="See the runbook: drain and migrate.",
            )
        if metadata and any(
            now < then for now, then in zip(ends[name], metadata["ends"], strict=False)
        ):
            raise TopicMismatch(
                "topic-made-again",
                f"{name} is shorter than it was when this service last saw it.",
                hint="See the runbook: drain and migrate.",
            )
    await remember_topics(store, named.values(), ends)


async def remember_topics(
    store: Store, topics: Iterable[Topic], ends: dict[str, list[int]]
) -> None:
    """Remember how far the topics reach."""
    for topic in topics:
        await store.set_metadata(
            f"topic:{topic.name}", {"incarnation": topic.incarnation, "ends": ends[topic.name]}
        )


async def end_offsets(bootstrap: str, topics: Iterable[Topic]) -> dict[str, list[int]]:
    """The end offset of every partition, by topic."""
    wanted = list(topics)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        partitions = [TopicPartition(t.name, n) for t in wanted for n in range(t.partitions)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        await consumer.stop()
    return {t.name: [ends[TopicPartition(t.name, n)] for n in range(t.partitions)] for t in wanted}


async def check_numbering(bootstrap: str, own: Topic, store: Store) -> None:
    """The tail of our own topic may not be ahead of the store: a save always comes before its publish.

    If it is, the store was lost or restored from an older backup, and publishing would give numbers that are
    already taken to other facts.
    """
    _, records = await read_tail(bootstrap, own, TAIL_RECORDS)
    said: dict[str, int] = {}
    for record in records:
        try:
            envelope = read_envelope(record.headers, record.key)
        except EnvelopeError:
            continue  # not ours: every event of ours has an envelope
        if envelope.source != own.name:
            continue  # somebody else's, on our topic: consumers set it aside
        said[envelope.subject] = max(said.get(envelope.subject, 0), envelope.sequence)
    kept = await store.load(said)
    ahead = [subject for subject, number in said.items() if kept[subject].next_sequence <= number]
    if ahead:
        raise SequenceConflict(
            "sequence-conflict",
            f"{own.name} is ahead of the store for {len(ahead)} subjects: the store is older than its topic.",
            hint="Restore the latest store, or rebuild it from the topics. See the runbook.",
        )
