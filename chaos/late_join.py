"""`python -m chaos.late_join`: who joins under load by a snapshot ends as one that was there from the first event.

Both hear the same topics with the same handlers. While events are published, the snapshot is written, then loaded (cut
off once, and taken up again), and then the topics are followed. What the handlers have written, every position and what
is aside have to be the same at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer

from care.made_up import publish
from shared.contracts import CATALOGUE
from shared.contracts.event import Envelope, Event
from shared.contracts.publish.subscribers import load
from shared.contracts.topics import TOPICS
from shared.devtools.backends import start
from shared.kit import Connection, SQLiteInbox, Subscriber
from shared.kit.history import History
from shared.kit.messages import Kept
from shared.kit.scenarios import SCENARIOS, play
from shared.kit.testing import spoilt
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.topics import ensure_topics

ROOT: Final = Path(__file__).resolve().parents[1]
TEAM: Final = "reporting"
PATIENCE_SECONDS: Final = 120.0
LOOK_AGAIN_SECONDS: Final = 0.05
TABLE: Final = """
CREATE TABLE IF NOT EXISTS heard (subject, source, number, type, data, PRIMARY KEY (subject, source, number))
"""
STATE: Final = (
    "SELECT subject, source, number, type, data FROM heard ORDER BY subject, source, number, type",
    "SELECT source, subject, highest, hex(window) FROM throughcare_streams ORDER BY 1, 2",
    'SELECT topic, "partition", next FROM throughcare_offsets WHERE next > 0 ORDER BY 1, 2',
    'SELECT topic, "partition", "offset", source, subject, reason, message FROM throughcare_aside ORDER BY 1, 2, 3',
)
"""All that two subscribers have to agree on. When something aside is tried next is each one's own."""


@dataclass(slots=True)
class Report:
    """What was seen."""

    episodes: int = 0
    messages: int = 0
    in_snapshot: int = 0
    snapshot_seconds: float = 0.0
    load_seconds: float = 0.0
    heard: int = 0
    aside: int = 0
    first: str = ""
    """The hash of the state of the one that was there from the first event."""
    late: str = ""


def said(episodes: int, seed: int) -> list[Kept]:
    """Paths of so many people, mixed and now and then published twice, with two messages that can't be read."""
    history, chance = History(), random.Random(seed)  # noqa: S311 - a seeded mixture
    names = sorted(SCENARIOS)
    for number in range(episodes):
        play(names[number % len(names)], history, str(number))
    mixed = spoilt(history.messages, set(CATALOGUE), chance)
    wanted = sorted(load(ROOT)[TEAM].reads)
    at = next(n for n, one in enumerate(mixed) if _type(one) in wanted)
    mixed[at] = mixed[at]._replace(value=b'{"not":"what it says"}')
    mixed[-1] = mixed[-1]._replace(key=None)
    return mixed


def _type(message: Kept) -> str:
    return (dict(message.headers)["ce_type"] or b"").decode()


def subscriber(kafka: KafkaConnection, group: str, file: Path) -> Subscriber:
    """One that writes down everything that its team may read."""
    connection = Connection(bootstrap=kafka.kafka_bootstrap)
    events = Subscriber(group, SQLiteInbox(file), kafka=connection)

    @events.on(*(CATALOGUE[one] for one in load(ROOT)[TEAM].reads))
    async def hear(event: Event, envelope: Envelope, tx: sqlite3.Connection) -> None:
        tx.execute(TABLE)
        row = (envelope.subject, envelope.source, envelope.sequence, envelope.type)
        tx.execute("INSERT INTO heard VALUES (?, ?, ?, ?, ?)", (*row, event.data()))

    return events


def state_hash(file: Path) -> str:
    """A hash of what the handlers have written and of the inbox."""
    with closing(sqlite3.connect(file)) as own:
        rows = [own.execute(query).fetchall() for query in STATE]
    return sha256(repr(rows).encode()).hexdigest()


def _count(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as own:
        return int(own.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a table of ours


async def write_snapshot(kafka: KafkaConnection, file: Path) -> dict[str, int]:
    """Run the command."""
    command = ("events", "snapshot", "--subscriber", TEAM, "--file", str(file), "--json")
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "care.cli", *command),
        cwd=ROOT,
        env={**os.environ, **kafka.environment()},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await done.communicate()
    if done.returncode:
        raise RuntimeError("`care events snapshot` failed")
    return json.loads(output)


@asynccontextmanager
async def following(events: Subscriber) -> AsyncGenerator[asyncio.Task[None]]:
    """The subscriber runs, with its inbox open, until the block ends."""
    async with events:
        running = asyncio.create_task(events.run())
        try:
            yield running
        finally:
            events.stop()
            await running


async def _until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        if monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _loaded(kafka: KafkaConnection, inbox: Path, file: Path, report: Report) -> None:
    """Load, cut off when half of it has been passed, and then by another subscriber to the end."""
    cut = subscriber(kafka, f"{TEAM}.late", inbox)
    async with cut:
        loading = asyncio.create_task(cut.load(file))
        half = report.in_snapshot // 2
        await _until(lambda: loading.done() or _passed(cut) > half, "half of the snapshot")
        cut.stop()
        await loading
    began = monotonic()
    again = subscriber(kafka, f"{TEAM}.late", inbox)
    async with again:
        await again.load(file)
        again.stop()
    report.load_seconds = round(monotonic() - began, 1)


def _passed(events: Subscriber) -> int:
    return events.metrics.handled + events.metrics.skipped.total()


async def late_join(
    kafka: KafkaConnection, directory: Path, episodes: int, seed: int = 1
) -> Report:
    """Play it all; the report's two hashes tell."""
    messages = said(episodes, seed)
    report = Report(episodes, len(messages))
    first, late = directory / "first.db", directory / "late.db"
    file = directory / "snapshot.jsonl.gz"
    quarter = len(messages) // 4
    parts = [messages[at * quarter : (at + 1) * quarter] for at in range(3)]
    parts.append(messages[3 * quarter :])
    await ensure_topics(kafka, TOPICS.values())
    early = subscriber(kafka, f"{TEAM}.first", first)
    async with following(early):
        await publish(kafka, parts[0])
        began = monotonic()
        told, _ = await asyncio.gather(write_snapshot(kafka, file), publish(kafka, parts[1]))
        report.in_snapshot = told["messages"]
        report.snapshot_seconds = round(monotonic() - began, 1)
        await asyncio.gather(_loaded(kafka, late, file, report), publish(kafka, parts[2]))
        joined = subscriber(kafka, f"{TEAM}.late", late)
        async with following(joined):
            await publish(kafka, parts[3])
            for one in (early, joined):
                await _until(lambda one=one: _offsets(one) == len(messages), "hearing all")
    report.first, report.late = state_hash(first), state_hash(late)
    report.heard, report.aside = _count(late, "heard"), _count(late, "throughcare_aside")
    return report


def _offsets(events: Subscriber) -> int:
    """How many messages it has come past, of all topics that are its own from the first."""
    return sum(events.positions.values())


def main(
    episodes: Annotated[int, typer.Option(help="How many paths of people.")] = 100,
    seed: Annotated[int, typer.Option(help="Another one is another mixture.")] = 1,
    report_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report there.")
    ] = None,
) -> None:
    """Join late under load. Exit status 1 when the late one ends otherwise."""
    with start("embedded", quick=True) as backend, tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(late_join(backend.kafka, Path(directory), episodes, seed))
    text = json.dumps(asdict(report), indent=2)
    typer.echo(text)
    if report_file is not None:
        report_file.write_text(text, encoding="utf-8")
    if report.first != report.late:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
