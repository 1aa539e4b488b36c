"""The subscriber kit on a real Kafka: each event once, whatever is killed, and what can't go on is refused."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetFetchRequest

from care.observed import observed
from shared.contracts.attendance import SessionAttended
from shared.contracts.event import Envelope, Event
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend
from shared.kit import (
    CaughtUp,
    Connection,
    MemoryInbox,
    NotNow,
    Refused,
    SetAside,
    SQLiteInbox,
    Subscriber,
)
from shared.kit.heartbeat import BYTES_MAX, inbox_of
from shared.kit.history import partition_of
from shared.kit.inboxes.protocol import Inbox
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.groups import committed
from shared.runtime.kafka.topics import ensure_topics
from tests.integration.bus import Bus, admin_of, forget_topics, until

ATTENDED = SessionAttended.example()
LOADING = 14
"""Kafka's code for a coordinator that is loading."""
ROOT = Path(__file__).resolve().parents[2]


def _subject() -> str:
    return f"episode/{uuid4()}"


class Heard:
    """A running subscriber, and what it was given."""

    def __init__(self, backend: Backend, inbox: Inbox, **settings: Any) -> None:
        kafka = Connection(bootstrap=backend.kafka_bootstrap)
        self.events = Subscriber("billing", inbox, kafka=kafka, **settings)
        self.taken: list[tuple[str, int]] = []
        self.told: list[CaughtUp] = []
        self.fails: dict[str, Exception] = {}

        @self.events.on(SessionAttended)
        async def take(_event: Event, envelope: Envelope) -> None:
            if envelope.subject in self.fails:
                raise self.fails[envelope.subject]
            self.taken.append((envelope.subject, envelope.sequence))

        @self.events.on(CaughtUp)
        async def told(notice: CaughtUp) -> None:
            self.told.append(notice)

    async def has(self, count: int) -> None:
        await until(lambda: len(self.taken) >= count, what=f"{count} events")


@asynccontextmanager
async def running(backend: Backend, inbox: Inbox, **settings: Any) -> AsyncIterator[Heard]:
    heard = Heard(backend, inbox, **settings)
    async with heard.events:
        task = asyncio.create_task(heard.events.run())
        try:
            yield heard
        finally:
            heard.events.stop()
            await task


async def _say(bus: Bus, subjects: list[str], numbers: range) -> None:
    for number in numbers:
        for subject in subjects:
            await bus.say(ATTENDED, subject, number)


async def test_it_hears_all_catches_up_and_goes_on_where_it_stopped(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    subjects = [_subject() for _ in range(5)]
    await _say(bus, subjects, range(1, 4))
    inbox = SQLiteInbox(tmp_path / "inbox.db")
    async with running(backend, inbox) as first:
        await first.has(15)
        await until(lambda: first.told, what="having caught up")
        assert first.told[0].handled == 15
        await _say(bus, subjects, range(4, 5))
        await first.has(20)
        await until(lambda: first.events.metrics.lag == 0, what="no lag")
    await _say(bus, subjects, range(5, 6))
    async with running(backend, inbox) as second:
        await second.has(5)
        await until(lambda: second.told, what="having caught up")
    assert Counter(second.taken) == Counter((subject, 5) for subject in subjects)
    assert len(first.told) == 1


async def test_its_commits_say_how_it_is(backend: Backend, bus: Bus, tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "inbox.db")
    await _say(bus, [_subject()], range(1, 4))
    async with running(backend, inbox) as heard:
        await heard.has(3)
    async with admin_of(backend.kafka) as admin:
        found = await admin.list_consumer_group_offsets("billing")
    assert sum(one.offset for one in found.values()) == 3
    for one in found.values():
        assert len(one.metadata) < BYTES_MAX
        assert inbox_of(one.metadata) == inbox.id
    told = json.loads(next(one.metadata for one in found.values() if one.offset))
    assert {"versions", "gaps", "next", "handled", "aside", "lag"} <= set(told)
    assert told["handled"] == 3
    [row] = [one for one in observed(await committed(backend.kafka), ()) if one.group == "billing"]
    assert (row.who, row.behind, row.handled, row.gaps, row.aside) == ("no file", 0, 3, 0, 0)
    assert row.seen_at is not None
    assert row.kit


@pytest.mark.parametrize("moved_to", [0, 5], ids=["gone", "forward"])
async def test_what_the_group_has_committed_is_never_believed(
    backend: Backend, bus: Bus, tmp_path: Path, moved_to: int
) -> None:
    """Offsets that are gone (or read as gone), or set forward by a tool, neither repeat nor skip an event."""
    inbox = SQLiteInbox(tmp_path / "inbox.db")
    subject = _subject()
    await _say(bus, [subject], range(1, 4))
    async with running(backend, inbox) as first:
        await first.has(3)
    await _say(bus, [subject], range(4, 6))
    place = TopicPartition(ATTENDED.SOURCE, partition_of(subject))
    await _move(backend, place, moved_to)
    async with running(backend, inbox) as second:
        await second.has(2)
        await until(lambda: second.told, what="having caught up")
    assert second.taken == [(subject, 4), (subject, 5)]


async def _move(backend: Backend, place: TopicPartition, offset: int) -> None:
    """Set the group's offset, as Kafka's own tools do."""
    tool = AIOKafkaConsumer(
        **client_options(backend.kafka), group_id="billing", enable_auto_commit=False
    )
    await tool.start()
    try:
        tool.assign([place])
        await tool.commit({place: offset})
    finally:
        await tool.stop()


async def test_loading_is_not_taken_for_nothing_committed(
    backend: Backend, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read so, the offsets of a lost inbox would be nobody's, and everything would be handled again."""
    await _say(bus, [_subject()], range(1, 4))
    async with running(backend, SQLiteInbox(tmp_path / "inbox.db")) as first:
        await first.has(3)
    send: Any = GroupCoordinator._send_req
    answers = iter(["loading"] * 20)

    async def loading(coordinator: Any, request: Any) -> Any:
        if isinstance(request, OffsetFetchRequest) and next(answers, ""):
            return SimpleNamespace(error_code=LOADING, topics=[])
        return await send(coordinator, request)

    monkeypatch.setattr(GroupCoordinator, "_send_req", loading)
    other = Heard(backend, SQLiteInbox(tmp_path / "other.db"))
    with pytest.raises(Refused, match="inbox-differs"):
        async with other.events:
            pass
    assert next(answers, "all given") == "all given"
    assert other.taken == []


async def test_a_failing_handler_and_one_that_waits(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    """The one holds its stream, the other everything; nothing is lost, and both go on by themselves."""
    bad, good = _subject(), _subject()
    async with running(backend, SQLiteInbox(tmp_path / "inbox.db")) as heard:
        heard.fails[bad] = RuntimeError()
        await _say(bus, [bad, good], range(1, 3))
        await heard.has(2)
        assert {subject for subject, _ in heard.taken} == {good}
        await until(lambda: len(heard.events.aside) == 2, what="both aside")
        heard.fails.clear()
        await heard.has(4)
        await until(lambda: not heard.events.aside, what="nothing aside")
        heard.fails[good] = NotNow("the bank is closed")
        await _say(bus, [good], range(3, 5))
        await until(lambda: heard.events.problem == "handler-waits", what="waiting")
        heard.fails.clear()
        await heard.has(6)
        await until(lambda: not heard.events.problem, what="being well")
    assert [number for subject, number in heard.taken if subject == good] == [1, 2, 3, 4]


async def test_a_handler_of_notices_may_discard_what_it_is_told_of(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    """It is called by the round that holds the inbox, and does not wait for it."""
    bad, good = _subject(), _subject()
    async with running(backend, SQLiteInbox(tmp_path / "inbox.db")) as heard:
        heard.fails[bad] = RuntimeError()

        @heard.events.on(SetAside)
        async def discard(notice: SetAside) -> None:
            await heard.events.discard(notice.place)

        await _say(bus, [bad, good], range(1, 2))
        await heard.has(1)
        await until(lambda: heard.events.metrics.set_aside and not heard.events.aside, what="none")
        await _say(bus, [good], range(2, 3))
        await heard.has(2)
    assert heard.taken == [(good, 1), (good, 2)]


async def test_a_lost_inbox_is_refused_and_only_taken_over_on_purpose(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    await _say(bus, [_subject()], range(1, 4))
    async with running(backend, SQLiteInbox(tmp_path / "inbox.db")) as first:
        await first.has(3)
    other = SQLiteInbox(tmp_path / "other.db")
    with pytest.raises(Refused, match="inbox-differs"):
        async with Heard(backend, other).events:
            pass
    async with running(backend, other, take_over=True) as again:
        await again.has(3)


async def test_a_topic_that_begins_after_the_inbox_is_refused(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    subject = _subject()
    inbox = SQLiteInbox(tmp_path / "inbox.db")
    place = await bus.say(ATTENDED, subject, 1)
    async with running(backend, inbox) as first:
        await first.has(1)
    await _say(bus, [subject], range(2, 5))
    async with admin_of(backend.kafka) as admin:
        await admin.delete_records({place: RecordsToDelete(before_offset=3)})
    with pytest.raises(Refused, match="history-removed"):
        async with Heard(backend, inbox).events:
            pass
    async with running(backend, inbox, accept_removed=True) as heard:
        await heard.has(1)
    assert heard.taken == [(subject, 4)]
    assert heard.events.metrics.gaps == 1


async def test_a_topic_that_was_made_again_is_refused(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    inbox = SQLiteInbox(tmp_path / "inbox.db")
    await _say(bus, [_subject()], range(1, 4))
    async with running(backend, inbox) as first:
        await first.has(3)
    await forget_topics(backend)
    await ensure_topics(backend.kafka, TOPICS.values())
    with pytest.raises(Refused, match="topic-made-again"):
        async with Heard(backend, inbox).events:
            pass


async def test_partitions_move_between_processes_without_repeating(
    backend: Backend, bus: Bus, tmp_path: Path
) -> None:
    subjects = [_subject() for _ in range(12)]
    path = tmp_path / "inbox.db"
    async with running(backend, SQLiteInbox(path)) as one:
        await _say(bus, subjects, range(1, 3))
        await one.has(24)
        async with running(backend, SQLiteInbox(path)) as two:
            await until(lambda: two.events.metrics.behind, what="a share of the partitions")
            await _say(bus, subjects, range(3, 5))
            await until(lambda: len(one.taken) + len(two.taken) >= 48, what="48 events")
            assert two.taken
        await _say(bus, subjects, range(5, 6))
        await until(lambda: len(one.taken) + len(two.taken) >= 60, what="60 events")
    wanted = Counter((subject, number) for subject in subjects for number in range(1, 6))
    assert Counter(one.taken + two.taken) == wanted


# --- killed under load -------------------------------------------------------------------------------


@pytest.fixture
def child(backend: Backend, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    begun: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {"KAFKA_BOOTSTRAP": backend.kafka_bootstrap}

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.integration.kit_child", str(tmp_path / "inbox.db")]
        begun.append(subprocess.Popen(command, cwd=ROOT, env=environment))
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()
        one.wait()


def _credits(path: Path) -> list[tuple[str, int]]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path)) as inbox:
        return inbox.execute("SELECT subject, number FROM credits ORDER BY rowid").fetchall()
    return []


async def test_killed_under_load_each_event_is_handled_once_and_in_order(
    backend: Backend, bus: Bus, tmp_path: Path, child: Callable[[], subprocess.Popen[bytes]]
) -> None:
    path, subjects, numbers = tmp_path / "inbox.db", [_subject() for _ in range(20)], range(1, 101)
    saying = asyncio.create_task(_say(bus, subjects, numbers))
    for kills in range(1, 4):
        process = child()
        await until(
            lambda goal=kills * 300: len(_credits(path)) >= goal, what="credits", limit_s=60
        )
        process.kill()
        process.wait()
    await saying
    last = child()
    await until(lambda: len(_credits(path)) >= 2000, what="all credits", limit_s=60)
    last.terminate()
    assert await asyncio.to_thread(last.wait, 20) == 0
    found = _credits(path)
    assert Counter(found) == Counter((s, n) for s in subjects for n in numbers)
    for subject in subjects:
        assert [n for s, n in found if s == subject] == list(numbers)


async def test_without_an_inbox_it_begins_at_the_beginning(backend: Backend, bus: Bus) -> None:
    await _say(bus, [_subject()], range(1, 3))
    for _ in range(2):
        async with running(backend, MemoryInbox()) as heard:
            await heard.has(2)


# --- without the demo --------------------------------------------------------------------------------


async def test_a_scenario_is_published_in_seconds_and_heard_without_a_gap(
    backend: Backend, bus: Bus
) -> None:
    del bus
    command = [sys.executable, "-m", "care.cli", "events", "scenario", "graduation"]
    options = ["--people", "3", "--kafka", backend.kafka_bootstrap]
    environment = os.environ | {"CARE_MODE": "development"}
    process = await asyncio.create_subprocess_exec(*command, *options, cwd=ROOT, env=environment)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    async with running(backend, MemoryInbox()) as heard:
        await until(lambda: heard.told, what="having caught up")
    assert len(heard.taken) == 3 * 12
    assert heard.events.metrics.gaps == 0
    assert heard.events.aside == []
