"""Outlet on real servers: what a restricted subscriber gets, over kill -9, and when its file changes."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from httpx2 import AsyncClient, Response
from jsonschema import Draft202012Validator

from services.outlet.app import SERVICE
from shared.contracts import attendance, intake, plans
from shared.contracts.event import CATALOGUE, Envelope, Event
from shared.contracts.outlets import OUT_SEQUENCE, TOPIC_ENDED
from shared.contracts.publish.asyncapi import received_by
from shared.contracts.publish.subscribers import parse
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.devtools.backends import Backend
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import Stack, services
from shared.kit import Connection, Gap, SQLiteInbox, Subscriber
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.store import MongoStore
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.producer import read_tail
from tests.integration.bus import FACILITY, Bus, until

ISSUER = LocalIssuer()
SETTINGS = {"sweep_after_seconds": "0.5", "session_timeout_ms": "6000", "batch_records": "20"}
HEARD = (attendance.SessionAttended, intake.PatientAdmitted, plans.ProgramGraduated)
NOT_HEARD = (attendance.SessionMissed,)
Record = ConsumerRecord[bytes, bytes]
Streams = dict[tuple[str, str], list[tuple[int, str]]]
FIRST, SECOND = "care.out.billing", "care.out.billing.2"
BOTH = f'["{FACILITY}", "lakeside-iop"]'
LIMIT_S = 60
KILLS = 3


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
    with services(
        backend,
        names=["outlet"],
        replicas=replicas,
        issuer=ISSUER,
        log_dir=folder.parent / "logs",
        **settings,
    ) as stack:
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

    @property
    def subject_names(self) -> list[str]:
        return list(self._facilities)

    def of(self, *facilities: str) -> Streams:
        """By source and subject: numbers and types, in order."""
        found: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for name, events in self.wanted.items():
            facility, subject = name.split()
            if facility in facilities:
                for source, number, event_type in events:
                    found[source, subject].append((number, event_type))
        return dict(found)


REFUSED_HISTORY = {
    "subscriber:reporting": "no-outlet",
    "subscriber:nobody": "no-outlet",
    "operator": "role-not-allowed",
    "privacy_officer": "role-not-allowed",
}
"""Who may not ask outlet for a history, and what it is told."""


async def asked(client: AsyncClient, team: str, subject: str, **query: str | int) -> Response:
    token = ISSUER.token(FACILITY, f"subscriber:{team}")
    return await client.get(
        f"/history/{subject}", params=query, headers={"Authorization": f"Bearer {token}"}
    )


async def history(
    client: AsyncClient, team: str, subject: str, limit: int = 100
) -> list[dict[str, Any]]:
    """All pages of what a team got about a subject."""
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        answer = await asked(client, team, subject, limit=limit, **more)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["events"]) <= limit
        found += page["events"]
        if "next" not in page:
            return found
        more = {"after": page["next"]}


def header(record: Record, name: str) -> str:
    return dict(record.headers)[name].decode()


def ended(messages: list[Record]) -> set[int]:
    """The partitions that have come to their end."""
    return {one.partition for one in messages if header(one, "ce_type") == TOPIC_ENDED}


DOCUMENT: Final[dict[str, Any]] = received_by(parse(file_of("billing"), "billing.toml"), "1.0.0")


def check_documented(record: Record) -> None:
    """Whether a record is as the subscriber's AsyncAPI document says."""
    headers = {name: value.decode() for name, value in record.headers}
    message = DOCUMENT["components"]["messages"][headers["ce_type"]]
    said = {**message["headers"], "components": DOCUMENT["components"]}
    Draft202012Validator(said).validate(headers)  # pyright: ignore[reportUnknownMemberType]
    key = message["bindings"]["kafka"]["key"]["pattern"]
    assert re.fullmatch(key, (record.key or b"").decode())


def named(messages: list[Record]) -> set[int]:
    """The partitions whose end names the second topic."""
    return {
        one.partition
        for one in messages
        if header(one, "ce_type") == TOPIC_ENDED
        and json.loads(one.value or b"") == {"successor": SECOND}
    }


def passed(messages: list[Record]) -> Streams:
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


class Reading:
    """Follows topics from their beginnings, and keeps what it has read."""

    def __init__(self, client: AIOKafkaConsumer) -> None:
        self._client = client
        self.messages: dict[str, list[Record]] = defaultdict(list)

    async def until(self, topic: str, holds: Callable[[list[Record]], object]) -> None:
        deadline = monotonic() + LIMIT_S
        while not holds(self.messages[topic]) and monotonic() < deadline:
            self._follow(topic)
            for there, found in (await self._client.getmany(timeout_ms=200)).items():
                self.messages[there.topic] += found
        assert holds(self.messages[topic]), f"{topic}: {passed(self.messages[topic])}"

    async def shows(self, topic: str, wanted: Streams) -> None:
        await self.until(topic, lambda messages: passed(messages) == wanted)

    def _follow(self, topic: str) -> None:
        wanted = {TopicPartition(topic, number) for number in range(PARTITIONS)}
        if not wanted <= self._client.assignment():
            self._client.assign([*self._client.assignment(), *wanted])


@pytest.fixture
async def reading(backend: Backend) -> AsyncIterator[Reading]:
    client = AIOKafkaConsumer(
        **client_options(backend.kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=500,
    )
    await client.start()
    yield Reading(client)
    await client.stop()


async def test_each_event_is_passed_on_as_it_came_and_counted(
    backend: Backend, bus: Bus, folder: Path, prefix: str, reading: Reading
) -> None:
    said = Said(bus, 1)
    said.subjects(6)
    await said.say(40)
    with outlet(backend, prefix, folder):
        await reading.shows(FIRST, said.of(FACILITY))
    sources: dict[str, Record] = {}
    for topic in TOPICS.values():
        _, messages = await read_tail(backend.kafka, topic, 1_000)
        sources |= {header(one, "ce_id"): one for one in messages}
    for one in reading.messages[FIRST]:
        check_documented(one)
        source = sources[header(one, "ce_id")]
        assert list(one.headers) == [*source.headers, (OUT_SEQUENCE, one.headers[-1][1])]
        assert (one.key, one.value) == (source.key, source.value)


async def test_nothing_is_lost_doubled_or_out_of_order_over_kill_9(
    backend: Backend, bus: Bus, folder: Path, prefix: str, reading: Reading
) -> None:
    said = Said(bus, 2)
    said.subjects(12)
    with outlet(backend, prefix, folder) as stack:
        [process] = stack.processes
        for _ in range(KILLS):
            await said.say(60)
            before = len(reading.messages[FIRST])
            await reading.until(FIRST, lambda found, n=before: len(found) > n)
            process.kill()
            await said.say(20)
            process.start()
        await reading.shows(FIRST, said.of(FACILITY))


async def test_a_team_asks_for_the_history_of_a_subject_and_gets_what_was_passed_on(
    backend: Backend, bus: Bus, folder: Path, prefix: str, reading: Reading
) -> None:
    said = Said(bus, 6)
    said.subjects(5)
    await said.say(80)
    streams = said.of(FACILITY)
    (folder / "quality.toml").write_text(file_of("quality", facilities='["lakeside-iop"]'))
    with outlet(backend, prefix, folder) as stack:
        await reading.shows(FIRST, streams)
        async with AsyncClient(base_url=stack.urls["outlet"], timeout=30) as client:
            for subject in said.subject_names:
                found = await history(client, "billing", subject, limit=2)
                wanted = {
                    source: events for (source, name), events in streams.items() if name == subject
                }
                of_source: dict[str, list[tuple[int, str]]] = defaultdict(list)
                for number, event in enumerate(found, 1):
                    of_source[event["source"]].append((int(event["sequence"]), event["type"]))
                    assert int(event["outsequence"]) == len(of_source[event["source"]]), number
                    assert CATALOGUE[event["type"]].model_validate(event["data"])
                assert of_source == wanted
            others = said.of("lakeside-iop")
            for source, subject in others:
                found = await history(client, "quality", subject)
                assert [
                    (int(one["sequence"]), one["type"]) for one in found if one["source"] == source
                ] == others[source, subject]
                assert await history(client, "billing", subject) == []
            for role, code in REFUSED_HISTORY.items():
                answer = await client.get(
                    f"/history/{said.subject_names[0]}",
                    headers={"Authorization": f"Bearer {ISSUER.token(FACILITY, role)}"},
                )
                assert (answer.status_code, answer.json()["code"]) == (403, code), role
            for after in ("x", "1", "2-0", "1-", "1-" + "9" * 30, "1--1", "01-1"):
                answer = await asked(client, "billing", said.subject_names[0], after=after)
                assert (answer.status_code, answer.json()["code"]) == (422, "cursor-invalid"), after


async def test_a_changed_file_makes_the_next_topic_and_the_old_one_names_it(
    backend: Backend, bus: Bus, folder: Path, prefix: str, reading: Reading
) -> None:
    said = Said(bus, 3)
    said.subjects(8)
    await said.say(60)
    first = said.of(FACILITY)
    with outlet(backend, prefix, folder):
        await reading.shows(FIRST, first)
    (folder / "billing.toml").write_text(file_of("billing", facilities=BOTH))
    (folder / "quality.toml").write_text(file_of("quality", facilities='["lakeside-iop"]'))
    with outlet(backend, prefix, folder) as stack:
        await reading.until(SECOND, bool)
        stack.processes[0].kill()
        await said.say(60)
        stack.processes[0].start()
        await reading.shows(SECOND, said.of(FACILITY, "lakeside-iop"))
        await reading.shows("care.out.quality", said.of("lakeside-iop"))
        await reading.until(FIRST, lambda found: len(ended(found)) == PARTITIONS)
    for one in reading.messages[SECOND]:
        check_documented(one)
    old = reading.messages[FIRST]
    assert passed(old) == first
    for one in old:
        check_documented(one)
        if header(one, "ce_type") == TOPIC_ENDED:
            assert json.loads(one.value or b"") == {"successor": SECOND}
            assert one.offset == max(m.offset for m in old if m.partition == one.partition)


async def test_without_a_restricted_subscriber_it_is_ready_and_ends_what_there_was(
    backend: Backend, bus: Bus, folder: Path, prefix: str, reading: Reading
) -> None:
    """As it ships, no team is restricted; when the last one goes, its topic ends and names none until it comes back."""
    text = (folder / "billing.toml").read_text()
    direct = text.replace(f'["{FACILITY}"]', '"all"')
    (folder / "billing.toml").write_text(direct)
    with outlet(backend, prefix, folder):
        pass  # it was ready
    (folder / "billing.toml").write_text(text)
    said = Said(bus, 5)
    said.subjects(3)
    await said.say(10)
    with outlet(backend, prefix, folder):
        await reading.shows(FIRST, said.of(FACILITY))
    (folder / "billing.toml").write_text(direct)
    with outlet(backend, prefix, folder):
        await reading.until(FIRST, lambda found: len(ended(found)) == PARTITIONS)
    last = [one for one in reading.messages[FIRST] if header(one, "ce_type") == TOPIC_ENDED]
    assert {one.value for one in last} == {b"{}"}
    (folder / "billing.toml").write_text(text)
    with outlet(backend, prefix, folder):
        await reading.shows(SECOND, said.of(FACILITY))
        await reading.until(FIRST, lambda found: len(named(found)) == PARTITIONS)


async def test_two_replicas_with_other_files_leave_nothing_out(
    backend: Backend, bus: Bus, folder: Path, prefix: str, reading: Reading
) -> None:
    """A rolling update: the replica of before goes on while the new one fills the next topic."""
    said = Said(bus, 4)
    said.subjects(8)
    with outlet(backend, prefix, folder) as before:
        await said.say(40)
        await reading.shows(FIRST, said.of(FACILITY))
        (folder / "billing.toml").write_text(file_of("billing", facilities=BOTH))
        with outlet(backend, prefix, folder):
            await said.say(40)
            await reading.until(SECOND, bool)
            await said.say(40)
            before.processes[0].stop()
            await reading.shows(SECOND, said.of(FACILITY, "lakeside-iop"))


async def test_a_subscriber_goes_on_in_the_next_topic_and_handles_nothing_twice(
    backend: Backend, bus: Bus, folder: Path, prefix: str, tmp_path: Path
) -> None:
    said = Said(bus, 5)
    said.subjects(8)
    handled: Counter[tuple[str, str, int]] = Counter()
    gaps: list[Gap] = []
    events = Subscriber(
        "billing",
        SQLiteInbox(tmp_path / "inbox.db"),
        kafka=Connection(bootstrap=backend.kafka_bootstrap),
        outlet=FIRST,
    )

    @events.on(*HEARD)
    async def take(_event: Event, envelope: Envelope) -> None:
        handled[envelope.source, envelope.subject, envelope.sequence] += 1

    @events.on(Gap)
    async def tell(gap: Gap) -> None:
        gaps.append(gap)

    def wanted(*facilities: str) -> set[tuple[str, str, int]]:
        return {(*k, n) for k, found in said.of(*facilities).items() for n, _ in found}

    await said.say(60)
    async with events:
        with outlet(backend, prefix, folder):
            running = asyncio.create_task(events.run())
            await until(lambda: set(handled) == wanted(FACILITY), limit_s=LIMIT_S)
        (folder / "billing.toml").write_text(file_of("billing", facilities=BOTH))
        await said.say(30)
        with outlet(backend, prefix, folder):
            both = wanted(FACILITY, "lakeside-iop")
            await until(lambda: set(handled) == both, limit_s=LIMIT_S)
        events.stop()
        await running
    assert set(handled.values()) == {1}
    assert gaps == []
