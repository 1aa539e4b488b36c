"""Startup checks: are the topics and the store the ones that this service worked with before?

They run before a service consumes or publishes anything; the checks on topics are repeated while it runs.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

from shared.contracts.event import EnvelopeError, Topic, read_envelope
from shared.errors import SequenceConflict, TopicMismatch, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Store
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.producer import (
    NOT_ALLOWED,
    ensure_topics,
    partition_counts,
    read_tail,
    unavailable,
)

ACCESS_TIMEOUT_MS: Final = 5_000
TAIL_MESSAGES: Final = 50
"""How many messages at the end of each partition `check_numbering` reads."""


async def check(
    kafka: KafkaConnection, own: Topic, inputs: Iterable[Topic], store: Store, replication: int
) -> None:
    """Create missing topics, and compare all of them and the store with what this service remembers.

    Raises `TopicMismatch`, `SequenceConflict`, or `Unavailable` while a dependency is away.
    """
    await check_access(kafka)
    topics = [own, *inputs]
    await ensure_topics(
        kafka, [own], replication
    )  # first: on a closed bus nobody else may create it
    await ensure_topics(kafka, topics, replication)
    await check_topics(kafka, topics, store)
    await check_numbering(kafka, own, store)


async def check_access(settings: KafkaConnection) -> None:
    """Ask the brokers once whether they let this client in, because the clients tell nobody why they are refused.

    Returns when a broker lets it in, or when none can be reached, which is for the clients to find out. Raises
    `Unavailable`: `broker-access-denied` or `broker-certificate-untrusted`.
    """
    if settings.kafka_security == "plaintext":
        return
    options = client_options(settings)
    refused: Unavailable | None = None
    for host, port, _family in collect_hosts(options.pop("bootstrap_servers")):
        try:
            connection = await create_conn(
                host, port, request_timeout_ms=ACCESS_TIMEOUT_MS, **options
            )
        except ssl.SSLCertVerificationError as error:
            refused = Unavailable(
                "broker-certificate-untrusted",
                f"The broker's certificate is not to be trusted ({type(error).__name__}).",
                hint="Check KAFKA_CA_FILE, and that KAFKA_BOOTSTRAP has the name in the certificate.",
            )
        except NOT_ALLOWED as error:
            refused = unavailable(error)
        except (KafkaError, OSError, TimeoutError):
            continue
        else:
            connection.close()
            return
    if refused is not None:
        raise refused


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

    Such a topic is shorter than it was, or has another incarnation in the catalogue.
    """
    named = {topic.name: topic for topic in topics}
    ends = await end_offsets(kafka, named.values())
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
    """Store how far the topics reach, for the next check."""
    for topic in topics:
        await store.set_metadata(
            f"topic:{topic.name}", {"incarnation": topic.incarnation, "ends": ends[topic.name]}
        )


async def end_offsets(kafka: KafkaConnection, topics: Iterable[Topic]) -> dict[str, list[int]]:
    """The end offset of every partition, by topic."""
    wanted = list(topics)
    consumer = AIOKafkaConsumer(**client_options(kafka), enable_auto_commit=False)
    try:
        await consumer.start()
        partitions = [TopicPartition(t.name, n) for t in wanted for n in range(t.partitions)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error
    finally:
        await consumer.stop()
    return {t.name: [ends[TopicPartition(t.name, n)] for n in range(t.partitions)] for t in wanted}


async def check_numbering(kafka: KafkaConnection, own: Topic, store: Store) -> None:
    """Raises `SequenceConflict` when the service's own topic is ahead of its store.

    A save always comes before its publish, so the store was then lost or restored from an older backup. Publishing
    would give sequence numbers that are taken to other events.
    """
    _, messages = await read_tail(kafka, own, TAIL_MESSAGES)
    published: dict[str, int] = {}
    for message in messages:
        try:
            envelope = read_envelope(message.headers, message.key)
        except EnvelopeError:
            continue  # not ours: every event of ours has an envelope
        if envelope.source != own.name:
            continue  # another publisher's, on our topic: consumers set it aside
        published[envelope.subject] = max(published.get(envelope.subject, 0), envelope.sequence)
    records = await store.load(published)
    ahead = [
        subject
        for subject, sequence in published.items()
        if records[subject].next_sequence <= sequence
    ]
    if ahead:
        raise SequenceConflict(
            "sequence-conflict",
            f"{own.name} is ahead of the store for {len(ahead)} subjects: the store is older than its topic.",
            hint="Restore the latest store, or rebuild it from the topics. See the runbook.",
        )
