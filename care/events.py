"""`care events tail` and `care journey`: read the topics as any subscriber can. Prints envelopes, never data."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from care.show import Json, as_json, fail, failures, table

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

    from shared.contracts.event import Envelope

app = typer.Typer(no_args_is_help=True, help="Watch events as they are published.")
Bootstrap = Annotated[
    str, typer.Option("--kafka", envvar="KAFKA_BOOTSTRAP", help="Kafka's bootstrap servers.")
]
T = TypeVar("T")


@app.command(epilog="Example: `care events tail --type screen-failed --kafka 127.0.0.1:9092`")
def tail(
    kafka: Bootstrap,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Only types that contain this.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only subjects that contain this.")] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Only this topic, for a subscriber who reads no others; repeatable."),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest events.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Stop after this many events; 0: never.")] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, for machines.")
    ] = False,
) -> None:
    """Follow all topics, or some. Prints envelopes: type, subject, sequence and time, never the data of an event."""
    from shared.contracts.topics import TOPICS

    if unknown := set(topic or ()) - set(TOPICS):
        raise typer.BadParameter(
            f"{min(unknown)} is none; choose from {', '.join(TOPICS)}", param_hint="--topic"
        )
    with suppress(KeyboardInterrupt):
        _read(kafka, _tail(kafka, event_type, subject, topic, from_beginning, limit, json))


def _read(kafka: str, reading: Coroutine[Any, Any, T]) -> T:
    import asyncio

    from aiokafka.errors import KafkaError

    try:
        with failures():
            return asyncio.run(reading)
    except (KafkaError, OSError) as error:
        _no_answer(kafka, error)


def _no_answer(kafka: str, error: Exception) -> NoReturn:
    fail(
        f"Kafka at {kafka} does not answer ({type(error).__name__}).",
        "Check the address in --kafka or KAFKA_BOOTSTRAP.",
    )


async def _tail(
    kafka: str,
    event_type: str | None,
    subject: str | None,
    topics: Sequence[str] | None,
    beginning: bool,
    limit: int,
    json: bool,
) -> None:
    from aiokafka import TopicPartition

    from shared.contracts.topics import TOPICS

    names = topics or list(TOPICS)
    partitions = [TopicPartition(name, n) for name in names for n in range(TOPICS[name].partitions)]
    shown = 0
    async with _reading(kafka, partitions, beginning=beginning) as consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    envelope = _envelope(record)
                    if envelope is None or not _wanted(envelope, event_type, subject):
                        continue
                    typer.echo(jsonlib.dumps(_attributes(envelope)) if json else _text(envelope))
                    shown += 1
                    if shown == limit:
                        return


def _wanted(envelope: Envelope, event_type: str | None, subject: str | None) -> bool:
    return (event_type or "") in envelope.type and (subject or "") in envelope.subject


def journey(
    episode: Annotated[str, typer.Argument(help="The episode's id.")],
    kafka: Bootstrap,
    json: Json = False,
) -> None:
    """List every event of one episode over all services, in order, with the time between them."""
    from shared.contracts.codes import UUID_PATTERN

    episode = episode.removeprefix("episode/")
    if not re.fullmatch(UUID_PATTERN, episode):
        raise typer.BadParameter("an episode id is a lower-case UUID", param_hint="EPISODE")
    found = _read(kafka, _journey(kafka, f"episode/{episode}"))
    if json:
        as_json([_attributes(envelope) for envelope in found])
    elif found:
        table(("time", "after", "service", "#", "event (← its cause)"), _rows(found))
    if not found:
        fail("The topics have no event of this episode.")


async def _journey(kafka: str, subject: str) -> list[Envelope]:
    """One subject has one partition number on every topic, so only those are read."""
    from aiokafka import TopicPartition

    from shared.contracts.topics import TOPICS
    from shared.runtime.core.partitions import partition_of

    partitions = [
        TopicPartition(t.name, partition_of(subject, t.partitions)) for t in TOPICS.values()
    ]
    found: dict[tuple[str, int], Envelope] = {}
    async with _reading(kafka, partitions, beginning=True) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    envelope = _envelope(record)
                    if envelope is not None and envelope.subject == subject:
                        found.setdefault((envelope.source, envelope.sequence), envelope)
    order = {envelope.id: place for place, envelope in enumerate(found.values())}
    return sorted(found.values(), key=lambda e: (e.time, _depth(e, found), order[e.id]))


def _depth(envelope: Envelope, found: dict[tuple[str, int], Envelope]) -> int:
    """How many events of this journey led to it, so that at one instant causes stand before effects."""
    by_id = {other.id: other for other in found.values()}
    depth, cause = 0, by_id.get(envelope.causationid)
    while cause is not None and depth < len(found):
        depth, cause = depth + 1, by_id.get(cause.causationid)
    return depth


def _rows(found: Sequence[Envelope]) -> Iterator[tuple[str, ...]]:
    """A line for each event, and one more for its cause when that is an event of this journey."""
    names = {envelope.id: envelope.fact.rpartition(".")[2] for envelope in found}
    before: datetime | None = None
    for envelope in found:
        after = "" if before is None else _delay((envelope.time - before).total_seconds())
        cause = names.get(envelope.causationid, "")
        service, _, fact = envelope.fact.removeprefix("care.").partition(".")
        yield (
            envelope.time.strftime("%Y-%m-%d %H:%M"),
            after,
            service,
            str(envelope.sequence),
            f"{fact}\n← {cause}" if cause else fact,
        )
        before = envelope.time


def _delay(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"+{seconds / size:.0f} {unit}"
    return "" if seconds == 0 else f"+{seconds:.1f} s"


@asynccontextmanager
async def _reading(
    kafka: str, partitions: list[TopicPartition], *, beginning: bool
) -> AsyncGenerator[AIOKafkaConsumer]:
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.clients import new_consumer
    from shared.runtime.kafka.refusals import check_reading

    connection = KafkaFromEnvironment(kafka_bootstrap=kafka)
    await check_reading(connection, {partition.topic for partition in partitions})
    consumer = new_consumer(connection, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        await (consumer.seek_to_beginning() if beginning else consumer.seek_to_end())
        yield consumer
    finally:
        await consumer.stop()


def _envelope(record: ConsumerRecord[bytes, bytes]) -> Envelope | None:
    from shared.contracts.event import EnvelopeError, read_envelope

    try:
        return read_envelope(record.headers, record.key)
    except EnvelopeError:
        return None


def _attributes(envelope: Envelope) -> dict[str, Any]:
    return {name.removeprefix("ce_"): value for name, value in envelope.headers().items()}


def _text(envelope: Envelope) -> str:
    time = envelope.time.strftime("%Y-%m-%d %H:%M:%S")
    return f"{time}  {envelope.subject}  #{envelope.sequence:<4} {envelope.type}"
