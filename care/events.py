"""`care events tail` and `care journey`: look at the flows as any subscriber sees them. Envelopes, never data."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from shared.contracts.event import TOPICS, Envelope, EnvelopeError, read_envelope
from shared.runtime.core.partitions import partition_of

app = typer.Typer(no_args_is_help=True, help="Watch events as they are published.")
console = Console()
Raw = ConsumerRecord[bytes, bytes]
Bootstrap = Annotated[
    str, typer.Option("--kafka", envvar="KAFKA_BOOTSTRAP", help="Kafka's bootstrap address.")
]
_EPISODE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@app.command(epilog="Example: `care events tail --type screen-failed --kafka 127.0.0.1:9092`")
def tail(
    kafka: Bootstrap,
    event_type: Annotated[str | None, typer.Option("--type", help="Part of the type.")] = None,
    subject: Annotated[str | None, typer.Option(help="Part of the subject.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many; 0 goes on.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow all topics. Shows envelopes only: what was said about whom, not the details."""
    try:
        asyncio.run(_tail(kafka, event_type, subject, from_beginning, limit, as_json))
    except KeyboardInterrupt:
        return
    except (KafkaError, OSError) as error:
        typer.echo(f"Kafka at {kafka} does not answer ({type(error).__name__}).", err=True)
        raise typer.Exit(1) from None


async def _tail(
    kafka: str,
    event_type: str | None,
    subject: str | None,
    beginning: bool,
    limit: int,
    as_json: bool,
) -> None:
    partitions = [TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)]
    shown = 0
    async with _reading(kafka, partitions, beginning=beginning) as consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    envelope = _envelope(record)
                    if envelope is None or not _wanted(envelope, event_type, subject):
                        continue
                    typer.echo(json.dumps(_line(envelope)) if as_json else _text(envelope))
                    shown += 1
                    if shown == limit:
                        return


def _wanted(envelope: Envelope, event_type: str | None, subject: str | None) -> bool:
    return (event_type or "") in envelope.type and (subject or "") in envelope.subject


def journey(
    episode: Annotated[str, typer.Argument(help="The episode's id.")],
    kafka: Bootstrap,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Every event of one episode over all services, in order, with the time between them.

    Example: `care journey 1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44 --kafka 127.0.0.1:9092`
    """
    episode = episode.removeprefix("episode/")
    if not _EPISODE.fullmatch(episode):
        raise typer.BadParameter("an episode id is a lower-case UUID", param_hint="EPISODE")
    try:
        found = asyncio.run(_journey(kafka, f"episode/{episode}"))
    except (KafkaError, OSError) as error:
        typer.echo(f"Kafka at {kafka} does not answer ({type(error).__name__}).", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps([_line(envelope) for envelope in found], indent=2))
    elif found:
        console.print(_table(found))
    if not found:
        typer.echo("No event of this episode is on the topics.", err=True)
        raise typer.Exit(1)


async def _journey(kafka: str, subject: str) -> list[Envelope]:
    """One subject has one partition number on every topic, so only those are read."""
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


def _table(found: Sequence[Envelope]) -> Table:
    table = Table("time", "after", "service", "#", "fact", "because of")
    names = {envelope.id: envelope.fact.rpartition(".")[2] for envelope in found}
    before: datetime | None = None
    for envelope in found:
        after = "" if before is None else _delay((envelope.time - before).total_seconds())
        cause = names.get(envelope.causationid, "")
        service, _, fact = envelope.fact.removeprefix("care.").partition(".")
        table.add_row(
            envelope.time.strftime("%Y-%m-%d %H:%M"),
            after,
            service,
            str(envelope.sequence),
            fact,
            cause,
        )
        before = envelope.time
    return table


def _delay(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"+{seconds / size:.0f} {unit}"
    return "" if seconds == 0 else f"+{seconds:.1f} s"


@asynccontextmanager
async def _reading(
    kafka: str, partitions: list[TopicPartition], *, beginning: bool
) -> AsyncGenerator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        await (consumer.seek_to_beginning() if beginning else consumer.seek_to_end())
        yield consumer
    finally:
        await consumer.stop()


def _envelope(record: Raw) -> Envelope | None:
    try:
        return read_envelope(record.headers, record.key)
    except EnvelopeError:
        return None


def _line(envelope: Envelope) -> dict[str, Any]:
    return {name.removeprefix("ce_"): value for name, value in envelope.headers().items()}


def _text(envelope: Envelope) -> str:
    time = envelope.time.strftime("%Y-%m-%d %H:%M:%S")
    return f"{time}  {envelope.subject}  #{envelope.sequence:<4} {envelope.type}"
