"""`care contracts replay`: validates every retained event against the current schemas."""

from __future__ import annotations

import asyncio
import json as encoder
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer

from care.events import Bootstrap, reading, until_answered
from care.show import Json, as_json, fail, table

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from shared.contracts.event import Event

BATCH = 5_000
ALONE_MAX = 50_000
"""With more events than this, processes share the work."""
WORKERS_MAX = 8
INVALID_SHOWN_MAX = 20
"""How many places of invalid data are told one by one; all of them are counted."""

Place = tuple[str, int]
Counts = tuple[int, Counter[str], Counter[tuple[str, str]]]
_counters: list[Any] = []
"""Of this process: how much all of them have looked at."""


def replay(kafka: Bootstrap, json: Json = False) -> None:
    """Validate every event that the topics hold, headers and data. Exit status 1 when one is not valid.

    The command reports what is invalid by type, place and keyword, and never prints data.
    """
    found = until_answered(kafka, _replay(kafka, quiet=json))
    if json:
        as_json(found.as_data())
    else:
        found.show()
    if found.invalid:
        raise typer.Exit(1)


class Findings:
    """What was read, and what of it is not valid."""

    def __init__(self) -> None:
        self.events = 0
        self.types: Counter[str] = Counter()
        self.invalid: Counter[tuple[str, str]] = Counter()
        self._validators = {event.TYPE: _validator(event) for event in _catalogue()}
        self._began = monotonic()

    def look_at(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Validate one record: its envelope, then its data by the schema of its type."""
        from shared.contracts.event import EnvelopeError, read_envelope

        self.events += 1
        try:
            envelope = read_envelope(record.headers, record.key)
        except EnvelopeError as error:
            self.invalid[record.topic, f"{error.attribute or 'headers'}: {error.code}"] += 1
            return
        self.types[envelope.type] += 1
        validator = self._validators.get(envelope.type)
        if validator is None:
            self.invalid[envelope.type, "type: not in the contract"] += 1
            return
        try:
            data = encoder.loads(record.value or b"")
        except ValueError:
            self.invalid[envelope.type, "data: not JSON"] += 1
            return
        if not validator.is_valid(data):
            for error in validator.iter_errors(data):
                self.invalid[envelope.type, _place(error)] += 1

    @property
    def counts(self) -> Counts:
        """What another process needs to know."""
        return self.events, self.types, self.invalid

    def add(self, counts: Counts) -> None:
        """Count what another process has found."""
        self.events += counts[0]
        self.types += counts[1]
        self.invalid += counts[2]

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return monotonic() - self._began

    def as_data(self) -> dict[str, Any]:
        """For machines."""
        return {
            "events": self.events,
            "types": len(self.types),
            "seconds": round(self.seconds, 1),
            "invalid": [
                {"type": event_type, "what": what, "events": count}
                for (event_type, what), count in self.invalid.most_common()
            ],
        }

    def show(self) -> None:
        """For people."""
        typer.echo(
            f"{self.events} events of {len(self.types)} types in {self.seconds:.1f} s:"
            f" {self.invalid.total()} findings"
        )
        if self.invalid:
            rows = self.invalid.most_common(INVALID_SHOWN_MAX)
            table(("type", "what", "events"), ((kind, what, count) for (kind, what), count in rows))
            if len(self.invalid) > len(rows):
                typer.echo(f"{len(self.invalid) - len(rows)} more kinds: --json shows all")


def _catalogue() -> list[type[Event]]:
    from shared.contracts import CATALOGUE

    return list(CATALOGUE.values())


def _validator(event: type[Event]) -> Any:
    try:
        import jsonschema_rs
    except ImportError:
        fail("This command needs the package jsonschema-rs.", "`make setup` installs it.")

    from shared.contracts.publish.schemas import schema_of

    return jsonschema_rs.Draft202012Validator(schema_of(event), validate_formats=True)


def _place(error: Any) -> str:
    """Where and by which keyword: list positions are left out, so that a mistake in each item is one finding."""
    path = ".".join(str(step) for step in error.instance_path if not isinstance(step, int))
    keyword = next((str(s) for s in reversed(error.schema_path) if not isinstance(s, int)), "")
    return f"{path or 'data'}: {keyword}"


async def _replay(kafka: str, *, quiet: bool) -> Findings:
    from aiokafka import TopicPartition

    from shared.contracts.topics import TOPICS

    partitions = [TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)]
    async with reading(kafka, partitions, beginning=True) as consumer:
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
    sizes = {(one.topic, one.partition): ends[one] - begins[one] for one in partitions}
    watermarks = {(one.topic, one.partition): ends[one] for one in partitions}
    total = sum(sizes.values())
    count = min(os.cpu_count() or 1, WORKERS_MAX) if total > ALONE_MAX else 1
    shares = [{place: watermarks[place] for place in share} for share in dealt(sizes, count)]
    context = get_context("spawn")
    counter = context.Value("q", 0)
    found = Findings()
    progress = asyncio.create_task(_tell(counter, total)) if not quiet else None
    try:
        if count == 1:
            _counting(counter)
            await _look(kafka, shares[0], found)
        else:
            with ProcessPoolExecutor(count, context, _counting, (counter,)) as pool:
                loop = asyncio.get_running_loop()
                work = (loop.run_in_executor(pool, _share, kafka, share) for share in shares)
                for counts in await asyncio.gather(*work):
                    found.add(counts)
    finally:
        if progress is not None:
            progress.cancel()
    return found


def dealt(sizes: Mapping[Place, int], count: int) -> list[list[Place]]:
    """The partitions dealt out, so that each share has about as much to do."""
    shares: list[list[Place]] = [[] for _ in range(count)]
    load = [0] * count
    for place in sorted(sizes, key=lambda one: (-sizes[one], one)):
        least = load.index(min(load))
        shares[least].append(place)
        load[least] += sizes[place]
    return shares


def _counting(counter: Any) -> None:
    """In each worker: where it counts what it has looked at."""
    _counters[:] = [counter]


def _share(kafka: str, watermarks: Mapping[Place, int]) -> Counts:
    """A worker's share of the work, in a process of its own."""
    found = Findings()
    until_answered(kafka, _look(kafka, watermarks, found))
    return found.counts


async def _look(kafka: str, watermarks: Mapping[Place, int], found: Findings) -> None:
    """Look at every record of these partitions before their watermarks."""
    from aiokafka import TopicPartition

    from shared.kit.to_the_end import read_to

    ends = {TopicPartition(*place): end for place, end in watermarks.items()}
    [counter] = _counters
    async with reading(kafka, list(ends), beginning=True) as consumer:
        async for _, records in read_to(consumer, ends, records_max=BATCH):
            for record in records:
                found.look_at(record)
            with counter.get_lock():
                counter.value += len(records)


async def _tell(counter: Any, total: int) -> None:
    """Say every ten seconds how far it is, and how long the rest will take."""
    began = monotonic()
    while True:
        await asyncio.sleep(10)
        rate = counter.value / (monotonic() - began)
        left = (total - counter.value) / rate if rate else 0
        typer.echo(f"{counter.value} of {total} events, {rate:.0f}/s, {left:.0f} s left", err=True)
