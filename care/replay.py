"""`care contracts replay`: every retained event, validated against the schemas as they are now."""

from __future__ import annotations

import asyncio
import json as encoder
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer

from care.events import Bootstrap, reading, until_answered
from care.show import Json, as_json, fail, table

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from shared.contracts.event import Event

BATCH = 5_000
INVALID_SHOWN_MAX = 20
"""How many places of invalid data are told one by one; all of them are counted."""


def replay(kafka: Bootstrap, json: Json = False) -> None:
    """Validate every event that the topics hold, headers and data. Exit status 1 when one is not valid.

    What is invalid is told by type, place and keyword, never by its data.
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

    found = Findings()
    partitions = [TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)]
    async with reading(kafka, partitions, beginning=True) as consumer:
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        total = sum(ends[one] - begins[one] for one in partitions)
        progress = asyncio.create_task(_tell(found, total)) if not quiet else None
        try:
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                batches = await consumer.getmany(timeout_ms=500, max_records=BATCH)
                for records in batches.values():
                    for record in records:
                        found.look_at(record)
        finally:
            if progress is not None:
                progress.cancel()
    return found


async def _tell(found: Findings, total: int) -> None:
    """Say every ten seconds how far it is, and how long the rest will take."""
    while True:
        await asyncio.sleep(10)
        rate = found.events / found.seconds
        left = (total - found.events) / rate if rate else 0
        typer.echo(f"{found.events} of {total} events, {rate:.0f}/s, {left:.0f} s left", err=True)
