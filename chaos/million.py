"""`python -m chaos.million`: a million events on the topics, validated, written as a snapshot, and loaded from it.

The events are the published examples of all types in turn, about many subjects, numbered as their publishers would. It
fails when `care contracts replay` finds one that is not valid, or needs more than a minute for a million.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import monotonic, process_time
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from chaos.late_join import TEAM, subscriber
from shared.contracts import CATALOGUE
from shared.contracts.publish.examples import example_of
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.devtools.backends import start
from shared.kit.history import partition_of
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_producer
from shared.runtime.kafka.topics import ensure_topics

ROOT: Final = Path(__file__).resolve().parents[1]
MILLION: Final = 1_000_000
REPLAY_SECONDS_MAX: Final = 60.0
"""For a million events."""
EVENTS_OF_A_SUBJECT: Final = 40
BATCH_BYTES: Final = 512 * 1024
ID_BITS: Final = 128
VARIANT: Final = 0x4000_8000_0000_0000_0000
"""What makes a random number an id of version 4."""
IN_FLIGHT_MAX: Final = 64
Headers = list[tuple[str, bytes]]


@dataclass(slots=True)
class Report:
    """What it took."""

    events: int
    types: int = 0
    fill_seconds: float = 0.0
    replay_seconds: float = 0.0
    replay_cpu_seconds: float = 0.0
    """Of all processors together: what a busy machine does not change much."""
    invalid: int = 0
    snapshot_seconds: float = 0.0
    snapshot_cpu_seconds: float = 0.0
    snapshot_bytes: int = 0
    load_seconds: float = 0.0
    load_cpu_seconds: float = 0.0
    handled: int = 0

    @property
    def passed(self) -> bool:
        """Whether all are valid, and a million of them were validated within a minute."""
        fast = self.replay_seconds * MILLION / self.events < REPLAY_SECONDS_MAX
        return fast and not self.invalid


class Template:
    """The example of a type, to be said again and again."""

    def __init__(self, event_type: str) -> None:
        example: Any = example_of(CATALOGUE[event_type])
        self.topic: str = CATALOGUE[event_type].SOURCE
        self.kind: str = CATALOGUE[event_type].SUBJECT
        self.value = json.dumps(example["data"], separators=(",", ":")).encode()
        own = {"ce_id", "ce_subject", "ce_sequence"}
        self.headers: Headers = [
            (name, str(text).encode())
            for name, text in example["headers"].items()
            if name not in own
        ]


def _id(chance: random.Random) -> str:
    number = chance.getrandbits(ID_BITS)
    return str(UUID(int=number & ~(0xF000_C000_0000_0000_0000) | VARIANT))


def told(events: int) -> Iterator[tuple[Template, str, int, bytes, Headers]]:
    """So many events: each with its subject, partition, key and headers."""
    chance = random.Random(1)  # noqa: S311 - a seeded history
    templates = [Template(one) for one in sorted(CATALOGUE)]
    kinds = sorted({one.kind for one in templates})
    people = max(1, events // EVENTS_OF_A_SUBJECT // len(kinds))
    subjects = {kind: [f"{kind}/{_id(chance)}" for _ in range(people)] for kind in kinds}
    partitions = {one: partition_of(one) for some in subjects.values() for one in some}
    numbers: dict[tuple[str, str], int] = {}
    for at in range(events):
        one = templates[at % len(templates)]
        subject = chance.choice(subjects[one.kind])
        number = numbers[one.topic, subject] = numbers.get((one.topic, subject), 0) + 1
        key = subject.encode()
        own = [
            ("ce_id", _id(chance).encode()),
            ("ce_subject", key),
            ("ce_sequence", f"{number:018}".encode()),
        ]
        yield one, subject, partitions[subject], key, [*one.headers, *own]


async def fill(kafka: KafkaConnection, events: int) -> None:
    """Publish so many events, in whole batches."""
    await ensure_topics(kafka, TOPICS.values())
    producer: Any = new_producer(kafka, max_batch_size=BATCH_BYTES, compression_type="gzip")
    await producer.start()
    builders: dict[tuple[str, int], Any] = {}
    sent: set[asyncio.Future[Any]] = set()

    async def send(place: tuple[str, int]) -> None:
        builder = builders.pop(place)
        builder.close()
        sent.add(await producer.send_batch(builder, place[0], partition=place[1]))
        if len(sent) > IN_FLIGHT_MAX:
            await asyncio.gather(*sent)
            sent.clear()

    for one, _, partition, key, headers in told(events):
        place = (one.topic, partition)
        wanted = {"key": key, "value": one.value, "timestamp": None, "headers": headers}
        if place in builders and builders[place].append(**wanted) is None:
            await send(place)
        if place not in builders:
            builders[place] = producer.create_batch()
            builders[place].append(**wanted)
    for place in list(builders):
        await send(place)
    await asyncio.gather(*sent)
    await producer.stop()


def command(kafka: KafkaConnection, *words: str) -> Any:
    """What `care …` prints as JSON, whatever its exit status."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "care.cli", *words, "--json"],
        cwd=ROOT,
        env={**os.environ, **kafka.environment()},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return json.loads(done.stdout)


async def loaded(kafka: KafkaConnection, file: Path, inbox: Path) -> int:
    """Load a snapshot; returns how many events came to the handlers."""
    events = subscriber(kafka, f"{TEAM}.million", inbox)
    async with events:
        await events.load(file)
        events.stop()
    return events.metrics.handled


def _cpu_of_commands() -> float:
    """Seconds of processors that the commands have taken so far, with the processes that they started."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(kafka: KafkaConnection, events: int, directory: Path, *, load: bool) -> Report:
    """Fill, replay, and perhaps write and load a snapshot."""
    report = Report(events)
    began = monotonic()
    asyncio.run(fill(kafka, events))
    report.fill_seconds = round(monotonic() - began, 1)
    cpu = _cpu_of_commands()
    found = command(kafka, "contracts", "replay")
    report.replay_cpu_seconds = round(_cpu_of_commands() - cpu, 1)
    report.types, report.replay_seconds = found["types"], found["seconds"]
    report.invalid = sum(one["events"] for one in found["invalid"]) + abs(events - found["events"])
    if load:
        file = directory / "snapshot.jsonl.gz"
        cpu = _cpu_of_commands()
        made = command(kafka, "events", "snapshot", "--subscriber", TEAM, "--file", str(file))
        report.snapshot_cpu_seconds = round(_cpu_of_commands() - cpu, 1)
        report.snapshot_seconds, report.snapshot_bytes = made["seconds"], made["bytes"]
        began, cpu = monotonic(), process_time()
        report.handled = asyncio.run(loaded(kafka, file, directory / "inbox.db"))
        report.load_seconds = round(monotonic() - began, 1)
        report.load_cpu_seconds = round(process_time() - cpu, 1)
    return report


def main(
    events: Annotated[int, typer.Option(min=PARTITIONS, help="How many.")] = MILLION,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report there.")
    ] = None,
    *,
    load: Annotated[bool, typer.Option(help="Also write a snapshot and load it.")] = True,
) -> None:
    """Measure what many events take. Exit status 1 when replaying them is too slow, or finds one that is not valid."""
    with start("embedded", quick=True) as backend, tempfile.TemporaryDirectory() as directory:
        report = measure(backend.kafka, events, Path(directory), load=load)
    text = json.dumps(asdict(report), indent=2)
    typer.echo(text)
    if json_file is not None:
        json_file.write_text(text, encoding="utf-8")
    if not report.passed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
