"""Joining late: by a snapshot that is made and loaded under load, and what is refused instead."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from care.cli import app
from chaos import late_join
from shared.contracts.attendance import SessionAttended
from shared.contracts.event import Envelope, Event
from shared.contracts.plans import TreatmentPlanReviewed
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.kit import Connection, KitError, NotNow, Refused, SQLiteInbox, Subscriber
from shared.kit.messages import Kept
from shared.kit.snapshot import verified
from shared.runtime.kafka.topics import ensure_topics
from tests.integration.bus import forget_topics

pytestmark = [pytest.mark.usefixtures("fresh_topics"), pytest.mark.timeout(300)]


@pytest.fixture
async def topics(backend: Backend, fresh_topics: None) -> list[Kept]:
    """Topics with a short history."""
    await ensure_topics(backend.kafka, TOPICS.values())
    said = late_join.said(2, seed=3)
    await late_join.publish(backend.kafka, said)
    return said


async def _command(backend: Backend, file: Path, team: str = late_join.TEAM) -> Any:
    words = ["events", "snapshot", "--subscriber", team, "--file", str(file)]
    return await asyncio.to_thread(
        CliRunner().invoke, app, [*words, "--kafka", backend.kafka_bootstrap]
    )


@pytest.fixture
async def file(backend: Backend, topics: list[Kept], tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.jsonl.gz"
    done = await _command(backend, path)
    assert done.exit_code == 0, done.output
    assert f"{len(topics)} messages" in done.output
    return path


async def test_who_joins_under_load_ends_as_who_was_there_from_the_first(
    backend: Backend, tmp_path: Path
) -> None:
    report = await late_join.late_join(backend.kafka, tmp_path, episodes=4)
    assert report.first == report.late
    assert report.heard > 50
    assert report.aside >= 2
    assert report.messages // 4 <= report.in_snapshot < report.messages


async def _load(backend: Backend, inbox: Path, file: Path) -> None:
    events = late_join.subscriber(backend.kafka, "reporting.new", inbox)
    async with events:
        await events.load(file)
        events.stop()


def _rows(inbox: Path) -> list[int]:
    tables = ("offsets", "streams", "aside")
    with closing(sqlite3.connect(inbox)) as own:
        return [
            own.execute(f"SELECT count(*) FROM throughcare_{one}").fetchone()[0] for one in tables
        ]


async def test_a_snapshot_of_topics_that_were_made_again_changes_nothing(
    backend: Backend, file: Path, tmp_path: Path
) -> None:
    await forget_topics(backend)
    await ensure_topics(backend.kafka, TOPICS.values())
    await late_join.publish(backend.kafka, late_join.said(4, seed=9))
    with pytest.raises(Refused, match="snapshot-of-another-history"):
        await _load(backend, tmp_path / "inbox.db", file)
    assert _rows(tmp_path / "inbox.db") == [0, 0, 0]


def _change(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def _lines(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes())


async def test_a_snapshot_that_is_cut_off_changes_nothing(
    backend: Backend, file: Path, tmp_path: Path
) -> None:
    _change(file, lambda text: text[:-20])
    with pytest.raises(Refused, match="snapshot-damaged"):
        await _load(backend, tmp_path / "inbox.db", file)
    assert _rows(tmp_path / "inbox.db") == [0, 0, 0]


async def test_it_is_loaded_once_and_by_one(backend: Backend, file: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox.db"
    await _load(backend, inbox, file)
    state = late_join.state_hash(inbox)
    await _load(backend, inbox, file)
    assert late_join.state_hash(inbox) == state
    with pytest.raises(Refused, match="inbox-differs"):
        await _load(backend, tmp_path / "other.db", file)


async def test_a_handler_that_waits_is_waited_for(
    backend: Backend, file: Path, tmp_path: Path
) -> None:
    kafka = Connection(bootstrap=backend.kafka_bootstrap)
    events = Subscriber("reporting.new", SQLiteInbox(tmp_path / "inbox.db"), kafka=kafka, batch=7)
    taken, refusals = list[tuple[str, int]](), iter([NotNow("closed")] * 2)

    @events.on(SessionAttended)
    async def take(_event: Event, envelope: Envelope) -> None:
        if not_now := next(refusals, None):
            raise not_now
        taken.append((envelope.subject, envelope.sequence))

    async with events:
        await events.load(file)
        events.stop()
    assert events.metrics.waits == {"handler-waits": 2}
    assert len(taken) == len(set(taken)) == events.metrics.handled > 0


async def test_it_goes_on_with_what_it_has_written(
    backend: Backend, topics: list[Kept], file: Path, tmp_path: Path
) -> None:
    text = _lines(file)
    half = text.index(b"\n", len(text) // 2) + 1
    torn = gzip.compress(text[:half]) + gzip.compress(text[half:])[:-30]
    for name, begun in (("again.jsonl.gz", torn), ("plain.jsonl", text[: half + 9])):
        path, part = tmp_path / name, tmp_path / f"{name}.part"
        part.write_bytes(begun)
        done = await _command(backend, path)
        assert done.exit_code == 0, done.output
        assert ", resumed" in done.output
        assert not part.exists()
        found = list(verified(path).messages())
        assert len({one[:3] for one in found}) == len(found) == len(topics)


async def test_what_is_refused(backend: Backend, file: Path, tmp_path: Path) -> None:
    again = await _command(backend, file)
    assert again.exit_code == 1
    assert "exists" in again.output
    unknown = await _command(backend, tmp_path / "it.jsonl", team="nobody")
    assert unknown.exit_code == 2
    other = tmp_path / "other.jsonl"
    part = tmp_path / "other.jsonl.part"
    for text in (
        b"hello\n",
        _lines(file).replace(b'"reporting"', b'"billing"', 1),
    ):
        part.write_bytes(text)
        done = await _command(backend, other)
        assert (done.exit_code, part.read_bytes()) == (1, text)
        assert "another snapshot" in done.output


async def test_the_handlers_of_another_team_are_refused(
    backend: Backend, file: Path, tmp_path: Path
) -> None:
    kafka = Connection(bootstrap=backend.kafka_bootstrap)
    events = Subscriber("reporting.new", SQLiteInbox(tmp_path / "inbox.db"), kafka=kafka)

    @events.on(TreatmentPlanReviewed)
    async def take(_event: Event, _envelope: Envelope) -> None: ...

    with pytest.raises(KitError, match="snapshot-lacks-types"):
        async with events:
            await events.load(file)
