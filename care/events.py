"""`care events tail` and `care journey`: read the topics as any subscriber can. They print envelopes, never data."""

from __future__ import annotations

import json as jsonlib
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from care.ids import WHOLE, checked, only
from care.ops import Addresses, Token, local_token, urls_of
from care.show import Json, as_json, entries, fail, failures, table

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

    from shared.contracts.event import Envelope
    from shared.runtime.connections import KafkaConnection

app = typer.Typer(no_args_is_help=True, help="Watch events as they are published.")
Bootstrap = Annotated[
    str, typer.Option("--kafka", envvar="KAFKA_BOOTSTRAP", help="Kafka's bootstrap servers.")
]
T = TypeVar("T")
BLOCKED_MAX = 200
"""How many dead letters of one record are looked at, in each service."""


@app.command(epilog="Example: `care events tail --type screen-failed --kafka 127.0.0.1:9092`")
def tail(
    kafka: Bootstrap,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Only types that contain this.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only subjects that contain this.")] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            help="Follow only this topic, such as care.plans; repeatable. A restricted subscriber may read only its"
            " own topic, care.out.TEAM."
        ),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest events.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Stop after this many events; 0: never.")] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, for machines.")
    ] = False,
) -> None:
    """Follow all topics, or some. Print envelopes (type, subject, sequence and time), never the data of an event."""
    from shared.contracts.outlets import PREFIX, is_outlet
    from shared.contracts.topics import TOPICS

    if unknown := {name for name in topic or () if name not in TOPICS and not is_outlet(name)}:
        raise typer.BadParameter(
            f"{min(unknown)} is not a topic of events; choose from {', '.join(TOPICS)}, {PREFIX}TEAM",
            param_hint="--topic",
        )
    with suppress(KeyboardInterrupt):
        until_answered(kafka, _tail(kafka, event_type, subject, topic, from_beginning, limit, json))


def until_answered(kafka: str, reading_topics: Coroutine[Any, Any, T]) -> T:
    """Run what reads topics; the command ends with one clear sentence where Kafka does not answer.

    So it does where a file can't be used. A pipe that its reader has closed ends it without a word (`… | head`).
    """
    import asyncio

    from aiokafka.errors import KafkaError

    from shared.runtime.network import is_of_network

    try:
        with failures():
            return asyncio.run(reading_topics)
    except KafkaError as error:
        _no_answer(kafka, error)
    except BrokenPipeError:
        raise
    except OSError as error:
        if is_of_network(error):
            _no_answer(kafka, error)
        fail(
            f"{error.filename or 'A file'} can't be used ({type(error).__name__}: {error.strerror}).",
            "Correct the path, grant the permission, or free disk space.",
        )


def _no_answer(kafka: str, error: Exception) -> NoReturn:
    from shared.kit.to_the_end import BrokerSilent

    if isinstance(error, BrokerSilent):
        fail(str(error), "Check that the partition has a leader: `care topics check`.")
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

    from shared.contracts.topics import TOPICS, Topic

    names = topics or list(TOPICS)
    known = {name: TOPICS.get(name) or Topic(name) for name in names}
    partitions = [TopicPartition(t.name, n) for t in known.values() for n in range(t.partitions)]
    shown = 0
    async with reading(kafka, partitions, beginning=beginning) as consumer:
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
    episode: Annotated[str, typer.Argument(help="The episode's id, or the beginning of it.")],
    kafka: Bootstrap,
    url: Addresses = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List every event of one episode from all services, in order, and show where its streams are blocked.

    The command asks the services, as an operator, for blocked streams. It names a service that does not answer.
    """
    prefix = checked(episode.removeprefix("episode/"), "EPISODE")
    found = until_answered(kafka, _journey(kafka, f"episode/{prefix}"))
    if not found:
        fail("The topics have no event of this episode.")
    blocked, silent = _blocked(found[0].subject, urls_of(url or ()), token)
    if json:
        as_json([_with_blocks(envelope, blocked) for envelope in found])
    else:
        table(("time", "after", "service", "#", "event (← its cause)"), _rows(found, blocked))
        shown = {(envelope.source.removeprefix("care."), envelope.sequence) for envelope in found}
        _show_other_blocks(row for row in blocked if (row["stream"], row["sequence"]) not in shown)
    for name in silent:
        typer.echo(f"{name} does not answer: its blocked streams are not known.", err=True)


def _blocked(
    subject: str, urls: Mapping[str, str], token: str | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The open dead letters of a record in all services, each with its service; and who did not answer."""
    from care.http import ServiceError, ask

    signed = token or local_token("operations", "operator")
    blocked: list[dict[str, Any]] = []
    silent: list[str] = []
    for name, url in urls.items():
        asked = {"subject": subject, "limit": str(BLOCKED_MAX)}
        try:
            answer = ask(name, url, signed, "GET", "/ops/dead-letters/rows", query=asked)
        except ServiceError as error:
            if error.code != "no-answer":
                with failures():
                    raise
            silent.append(name)
        else:
            blocked += [{"service": name, **row} for row in answer["rows"] if row.get("stream")]
    return blocked, silent


def _of(envelope: Envelope, blocked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The dead letters that this event has become."""
    sender = envelope.source.removeprefix("care.")
    return [
        row for row in blocked if (row["stream"], row["sequence"]) == (sender, envelope.sequence)
    ]


def _with_blocks(envelope: Envelope, blocked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = [
        {name: row[name] for name in ("service", "id", "reason")} for row in _of(envelope, blocked)
    ]
    return {**_attributes(envelope), **({"blocked_in": found} if found else {})}


def _show_other_blocks(blocked: Iterable[Mapping[str, Any]]) -> None:
    """What is blocked at this record and is no event of it: work within a service, and deadlines."""
    found = [
        (
            row["id"],
            {"service": row["service"], "stream": row["stream"], "reason": row["reason"]},
        )
        for row in blocked
    ]
    if found:
        typer.echo("\nAlso blocked at this record:")
        entries(found)


async def _journey(kafka: str, subject: str) -> list[Envelope]:
    """One subject has one partition number on every topic, so only those are read; of its beginning alone, all."""
    from aiokafka import TopicPartition

    from shared.contracts.topics import TOPICS
    from shared.kit.to_the_end import read_to
    from shared.runtime.core.partitions import partition_of

    whole = len(subject.partition("/")[2]) == WHOLE
    partitions = [
        TopicPartition(t.name, n)
        for t in TOPICS.values()
        for n in ([partition_of(subject, t.partitions)] if whole else range(t.partitions))
    ]
    found: dict[tuple[str, str, int], Envelope] = {}
    async with reading(kafka, partitions, beginning=True) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        async for _, records in read_to(consumer, ends):
            for record in records:
                envelope = _envelope(record)
                if envelope is not None and envelope.subject.startswith(subject):
                    key = (envelope.subject, envelope.source, envelope.sequence)
                    found.setdefault(key, envelope)
    if found:
        subject = only(subject, (one for one, _, _ in found), "episode")
    events = {key[1:]: envelope for key, envelope in found.items() if key[0] == subject}
    order = {envelope.id: place for place, envelope in enumerate(events.values())}
    return sorted(events.values(), key=lambda e: (e.time, _depth(e, events), order[e.id]))


def _depth(envelope: Envelope, found: dict[tuple[str, int], Envelope]) -> int:
    """How many events of this journey led to it, so that at one instant causes stand before effects."""
    by_id = {other.id: other for other in found.values()}
    depth, cause = 0, by_id.get(envelope.causationid)
    while cause is not None and depth < len(found):
        depth, cause = depth + 1, by_id.get(cause.causationid)
    return depth


def _rows(
    found: Sequence[Envelope], blocked: Sequence[Mapping[str, Any]] = ()
) -> Iterator[tuple[Any, ...]]:
    """A line for each event, one for its cause when that is of this journey, and three for each service it stops."""
    from rich.text import Text

    names = {envelope.id: envelope.fact.rpartition(".")[2] for envelope in found}
    before: datetime | None = None
    for envelope in found:
        after = "" if before is None else _delay((envelope.time - before).total_seconds())
        cause = names.get(envelope.causationid, "")
        stops = [
            Text(f"✗ blocked in {row['service']}\n{row['reason']}\n{row['id']}", style="red")
            for row in _of(envelope, blocked)
        ]
        service, _, fact = envelope.fact.removeprefix("care.").partition(".")
        yield (
            envelope.time.strftime("%Y-%m-%d %H:%M"),
            after,
            service,
            str(envelope.sequence),
            Text("\n").join([Text(f"{fact}\n← {cause}" if cause else fact), *stops]),
        )
        before = envelope.time


def _delay(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"+{seconds / size:.0f} {unit}"
    return "" if seconds == 0 else f"+{seconds:.1f} s"


@asynccontextmanager
async def reading(
    kafka: str, partitions: list[TopicPartition], *, beginning: bool
) -> AsyncGenerator[AIOKafkaConsumer]:
    """A consumer of these partitions without a group, at their beginning or end."""
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.clients import new_consumer
    from shared.runtime.kafka.refusals import check_reading

    connection = KafkaFromEnvironment(kafka_bootstrap=kafka)
    topics = {partition.topic for partition in partitions}
    await check_reading(connection, topics)
    await _check_outlets(connection, topics)
    consumer = new_consumer(connection, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        await (consumer.seek_to_beginning() if beginning else consumer.seek_to_end())
        yield consumer
    finally:
        await consumer.stop()


async def _check_outlets(connection: KafkaConnection, topics: Iterable[str]) -> None:
    """End the command for an outlet that there is not: a consumer would wait for it without a word."""
    from shared.contracts.outlets import PREFIX, is_outlet
    from shared.runtime.kafka.topics import topics_with_prefix

    wanted = set(filter(is_outlet, topics))
    existing = await topics_with_prefix(connection, PREFIX) if wanted else set[str]()
    if missing := wanted - set(existing):
        there = ", ".join(sorted(existing)) or "none"
        fail(
            f"There is no topic {min(missing)}.", f"Outlet topics that this user may see: {there}."
        )


def _envelope(record: ConsumerRecord[bytes, bytes]) -> Envelope | None:
    from shared.contracts.event import EnvelopeError, read_envelope

    try:
        return read_envelope(record.headers, record.key)
    except EnvelopeError:
        return None


def _attributes(envelope: Envelope) -> dict[str, Any]:
    return {name.removeprefix("ce_"): value for name, value in envelope.headers().items()}


def _text(envelope: Envelope) -> str:
    """Two lines: side by side they would not fit into 80 columns."""
    time = envelope.time.strftime("%Y-%m-%d %H:%M:%S")
    return f"{time}  {envelope.type}\n{'':19}  {envelope.subject} #{envelope.sequence}"
