"""Outlet on real servers: what a restricted subscriber gets, over kill -9, and when its file changes."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from services.outlet.app import SERVICE
from shared.contracts import attendance, intake, plans
from shared.contracts.outlets import OUT_SEQUENCE, TOPIC_ENDED
from shared.contracts.topics import PARTITIONS, TOPICS, Topic
from shared.devtools.backends import Backend
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import Stack, services
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.producer import read_tail
from shared.runtime.kafka.topics import topics_with_prefix
from tests.integration.bus import FACILITY, Bus, until

ISSUER = LocalIssuer()
SETTINGS = {"sweep_after_seconds": "0.5", "session_timeout_ms": "6000", "batch_records": "20"}
HEARD = (attendance.SessionAttended, intake.PatientAdmitted, plans.ProgramGraduated)
NOT_HEARD = (attendance.SessionMissed,)
Record = ConsumerRecord[bytes, bytes]


def file_of(team: str, *, facilities: str = f'["{FACILITY}"]', more: str = "") -> str:
    reads = "\n".join(f'"{event.TYPE}" = []' for event in HEARD)
    return f"""
name = "{team}"
owner = "A team"
contact = "{team}@throughcare.example"
agreement = "same-entity"
group_prefix = "{team}"
facilities = {facilities}
sensitivity = "part2"
[reads]
{reads}
{more}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "billing.toml").write_text(file_of("billing"))
    return tmp_path


@pytest.fixture
def prefix(backend: Backend) -> Iterator[str]:
    made = f"test_{uuid4().hex[:12]}_"
    yield made

    async def drop() -> None:
        store = MongoStore(backend.mongo_uri, f"{made}outlet", SERVICE.kinds)
        await store.database.client.drop_database(store.database.name)
        await store.close()

    asyncio.run(drop())


@contextmanager
def outlet(backend: Backend, prefix: str, folder: Path, *, replicas: int = 1) -> Iterator[Stack]:
    settings: dict[str, Any] = {**SETTINGS, "database_prefix": prefix, "subscribers": str(folder)}
    with services(backend, names=["outlet"], replicas=replicas, issuer=ISSUER, log_dir=folder.parent / "logs", **settings) as stack:
        yield stack


class Said:
    """Events on the services' topics, and what of them a team of one facility may read."""

    def __init__(self, bus: Bus, seed: int) -> None:
        self._bus = bus
        self._random = random.Random(seed)
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._facilities: dict[str, str] = {}
        self.wanted: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
        """By facility and subject: source, number and type of what is heard there, in order of each source."""

    def subjects(self, count: int) -> None:
        for _ in range(count):
            self._facilities[f"episode/{uuid4()}"] = self._random.choice((FACILITY, "lakeside-iop"))

    async def say(self, count: int) -> None:
        for _ in range(count):
            subject = self._random.choice(list(self._facilities))
            event = self._random.choice((*HEARD, *NOT_HEARD)).example()
            number = self._numbers[event.SOURCE, subject] = self._numbers[event.SOURCE, subject] + 1
            facility = self._facilities[subject]
            await self._bus.say(event, subject, number, facilityid=facility)
            if isinstance(event, HEARD):
                self.wanted[f"{facility} {subject}"].append((event.SOURCE, number, event.TYPE))

    def of(self, *facilities: str) -> dict[tuple[str, str], list[tuple[int, str]]]:
        """By source and subject: numbers and types, in order."""
        found: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for name, events in self.wanted.items():
            facility, subject = name.split()
            if facility in facilities:
                for source, number, event_type in events:
                    found[source, subject].append((number, event_type))
        return dict(found)


async def records(backend: Backend, topic: str) -> list[Record]:
    if topic not in await topics_with_prefix(backend.kafka, topic):
        return []
    _, messages = await read_tail(backend.kafka, Topic(topic), 1_000_000)
    return sorted(messages, key=lambda one: (one.partition, one.offset))


def header(record: Record, name: str) -> str:
    return dict(record.headers)[name].decode()


def ends_of(messages: list[Record]) -> list[Record]:
    return [one for one in messages if header(one, "ce_type") == TOPIC_ENDED]


def passed(messages: list[Record]) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """What a topic has, each number once in order of first appearance; the topic's own count goes 1, 2, 3."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    seen: dict[tuple[str, str, int], str] = {}
    for one in messages:
        if header(one, "ce_type") == TOPIC_ENDED:
            continue
        stream = (header(one, "ce_source"), header(one, "ce_subject"))
        count = int(header(one, OUT_SEQUENCE))
        event_id = header(one, "ce_id")
        assert one.key == stream[1].encode()
        assert one.partition == partition_of(stream[1], PARTITIONS)
        if (*stream, count) in seen:  # published again after a crash: the same event
            assert seen[*stream, count] == event_id
            continue
        seen[*stream, count] = event_id
        found[stream].append((int(header(one, "ce_sequence")), header(one, "ce_type")))
        assert count == len(found[stream])
    return dict(found)


async def shows(backend: Backend, topic: str, wanted: dict[Any, Any]) -> None:
    async def is_there() -> bool:
        return passed(await records(backend, topic)) == wanted

    with suppress(AssertionError):
        await until(is_there, limit_s=60)
    assert passed(await records(backend, topic)) == wanted


async def test_each_event_is_passed_on_as_it_came_and_counted(
    backend: Backend, bus: Bus, folder: Path, prefix: str
) -> None:
    said = Said(bus, 1)
    said.subjects(6)
    await said.say(40)
    with outlet(backend, prefix, folder):
        await shows(backend, "care.out.billing", said.of(FACILITY))
    sources: dict[str, Record] = {}
    for topic in TOPICS.values():
        _, messages = await read_tail(backend.kafka, topic, 1_000)
        sources |= {header(one, "ce_id"): one for one in messages}
    for one in await records(backend, "care.out.billing"):
        source = sources[header(one, "ce_id")]
        assert list(one.headers) == [*source.headers, (OUT_SEQUENCE, one.headers[-1][1])]
        assert (one.key, one.value) == (source.key, source.value)


async def test_nothing_is_lost_doubled_or_out_of_order_over_kill_9(
    backend: Backend, bus: Bus, folder: Path, prefix: str
) -> None:
    said = Said(bus, 2)
    said.subjects(12)
    with outlet(backend, prefix, folder) as stack:
        [process] = stack.processes
        for _ in range(6):
            await said.say(60)
            before = len(await records(backend, "care.out.billing"))

            async def is_at_work(before: int = before) -> bool:
                return len(await records(backend, "care.out.billing")) > before

            await until(is_at_work, limit_s=60)
            process.kill()
            await said.say(20)
            process.start()
        await shows(backend, "care.out.billing", said.of(FACILITY))


async def test_a_changed_file_makes_the_next_topic_and_the_old_one_names_it(
    backend: Backend, bus: Bus, folder: Path, prefix: str
) -> None:
    said = Said(bus, 3)
    said.subjects(8)
    await said.say(60)
    first = said.of(FACILITY)
    with outlet(backend, prefix, folder):
        await shows(backend, "care.out.billing", first)
    wider = file_of("billing", facilities=f'["{FACILITY}", "lakeside-iop"]')
    (folder / "billing.toml").write_text(wider)
    (folder / "quality.toml").write_text(file_of("quality", facilities='["lakeside-iop"]'))
    with outlet(backend, prefix, folder) as stack:

        async def begun() -> bool:
            return bool(await records(backend, "care.out.billing.2"))

        await until(begun, limit_s=60)
        stack.processes[0].kill()
        await said.say(60)
        stack.processes[0].start()
        both = said.of(FACILITY, "lakeside-iop")
        await shows(backend, "care.out.billing.2", both)
        await shows(backend, "care.out.quality", said.of("lakeside-iop"))

        async def has_ended() -> bool:
            ends = ends_of(await records(backend, "care.out.billing"))
            return {one.partition for one in ends} == set(range(PARTITIONS))

        await until(has_ended, limit_s=60)
    old = await records(backend, "care.out.billing")
    assert passed(old) == first
    for one in ends_of(old):
        assert json.loads(one.value or b"") == {"successor": "care.out.billing.2"}
        assert one.offset == max(m.offset for m in old if m.partition == one.partition)


async def test_two_replicas_with_other_files_leave_nothing_out(
    backend: Backend, bus: Bus, folder: Path, prefix: str
) -> None:
    """A rolling update: the replica of before goes on while the new one fills the next topic."""
    said = Said(bus, 4)
    said.subjects(8)
    with outlet(backend, prefix, folder) as before:
        await said.say(40)
        await shows(backend, "care.out.billing", said.of(FACILITY))
        (folder / "billing.toml").write_text(
            file_of("billing", facilities=f'["{FACILITY}", "lakeside-iop"]')
        )
        with outlet(backend, prefix, folder):
            await said.say(40)

            async def begun() -> bool:
                return bool(await records(backend, "care.out.billing.2"))

            await until(begun, limit_s=60)
            await said.say(40)
            before.processes[0].stop()
            await shows(backend, "care.out.billing.2", said.of(FACILITY, "lakeside-iop"))
