"""Kafka in and out, with real processes that are killed, stopped and started again."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from services.plans.app import SERVICE
from shared.contracts import intake, plans
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.decision import derive_id
from shared.devtools.backends import Backend
from shared.devtools.issuer import LocalIssuer
from shared.devtools.stack import ServiceProcess, Stack, services
from shared.runtime.core.store import MongoStore
from shared.runtime.core.work import OutcomeStatus, StreamPosition, Work
from shared.runtime.kafka.connection import client_options
from shared.runtime.kafka.own_topic import disown
from shared.runtime.kafka.startup_checks import check_numbering
from shared.runtime.recovery.rebuild import check_numbers
from shared.runtime.service import Runtime
from shared.runtime.settings import ServiceSettings
from tests.integration.bus import FACILITY, Bus, admin_of, forget_topics, until

ISSUER = LocalIssuer()
GROUP = "plans"
SETTINGS = {"sweep_after_seconds": "0.5", "session_timeout_ms": "6000", "batch_records": "20"}


@contextmanager
def plans_service(backend: Backend, prefix: str, *, replicas: int = 1) -> Iterator[Stack]:
    settings: dict[str, Any] = SETTINGS | {"database_prefix": prefix}
    with services(backend, names=["plans"], replicas=replicas, issuer=ISSUER, **settings) as stack:
        yield stack


@asynccontextmanager
async def store_of(backend: Backend, prefix: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(backend.mongo_uri, f"{prefix}plans", SERVICE.kinds)
    try:
        yield store
    finally:
        await store.database.client.drop_database(store.database.name)
        await store.close()


def _asked(process: ServiceProcess, path: str) -> tuple[int, dict[str, Any]]:
    token = ISSUER.token("operations", "operator")
    request = Request(f"{process.url}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)
    except (URLError, OSError):
        return 0, {}


async def ask(process: ServiceProcess, path: str) -> tuple[int, dict[str, Any]]:
    return await asyncio.to_thread(_asked, process, path)


async def ready(process: ServiceProcess) -> None:
    async def is_ready() -> bool:
        return (await ask(process, "/readyz"))[0] == 200

    await until(is_ready, what="readiness", limit_s=60)


async def holds(process: ServiceProcess) -> set[str]:
    """The `topic/partition`s that a replica holds and has applied all of."""
    _, flow = await ask(process, "/ops/flow")
    return set(flow.get("positions", ()))


def episodes(count: int) -> list[str]:
    return [f"episode/{uuid4()}" for _ in range(count)]


def admission() -> intake.PatientAdmitted:
    return intake.PatientAdmitted.example().model_copy(update={"admitted_at": datetime.now(UTC)})


class Sent:
    """What was sent to the service, and where it stands on the topics."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.subjects: list[str] = []
        self.at: dict[TopicPartition, list[tuple[int, str, int]]] = defaultdict(list)

    async def admissions(self, count: int) -> None:
        """A first event about `count` episodes: each leads to one event of the service's own."""
        await self._each(episodes(count), admission(), 1)

    async def recommendations(self) -> None:
        """A second event about all of them."""
        await self._each(self.subjects, intake.LevelRecommended.example(), 2)

    async def _each(self, subjects: list[str], event: Any, number: int) -> None:
        for subject in subjects:
            tp = await self._bus.say(event, subject, number)
            self.at[tp].append((self._bus.offset, subject, number))
        if number == 1:
            self.subjects += subjects

    @property
    def last(self) -> int:
        """The highest number that was sent about each subject."""
        return max(number for items in self.at.values() for _, _, number in items)


async def applied(store: MongoStore) -> dict[str, int]:
    documents = await store.collection("records").find({}, {"inbox": 1}).to_list()
    return {d["_id"]: d["inbox"].get("intake", (0, ""))[0] for d in documents}


async def all_applied(store: MongoStore, sent: Sent) -> None:
    async def done() -> bool:
        nonlocal found
        found = await applied(store)
        return all(found.get(subject) == sent.last for subject in sent.subjects)

    found: dict[str, int] = {}
    try:
        await until(done, what="applying everything", limit_s=60)
    except AssertionError as error:
        error.add_note(f"applied so far: {found}; sent up to {sent.last} of {sent.subjects}")
        raise


async def said(backend: Backend) -> dict[str, list[str]]:
    """The first occurrences of the ids on the service's own topic, per subject, in order."""
    topic = TOPICS["care.plans"]
    consumer = AIOKafkaConsumer(**client_options(backend.kafka), enable_auto_commit=False)
    await consumer.start()
    found: dict[str, dict[str, str]] = defaultdict(dict)
    try:
        partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    headers = {name: raw.decode() for name, raw in record.headers}
                    found[(record.key or b"").decode()].setdefault(
                        headers["ce_id"], str(int(headers["ce_sequence"]))
                    )
    finally:
        await consumer.stop()
    return {subject: list(ids.values()) for subject, ids in found.items()}


async def all_said(backend: Backend, sent: Sent) -> None:
    """Every episode's one event is on the topic, numbered 1, and none has a second."""

    async def done() -> bool:
        return len(await said(backend)) == len(sent.subjects)

    await until(done, what="publishing everything", limit_s=60)
    assert set(map(tuple, (await said(backend)).values())) == {("1",)}


async def test_an_offset_is_never_committed_before_its_work_is_saved(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """Looked at all the while, over a kill -9 and a restart; in the end everything was applied once."""
    sent = Sent(bus)
    await sent.admissions(120)
    async with store_of(backend, prefix) as store:
        looks = 0

        async def look() -> None:
            nonlocal looks
            committed = await bus.committed(GROUP)  # first: what is saved may only be more
            found = await applied(store)
            looks += 1
            for tp, items in sent.at.items():
                for offset, subject, number in items:
                    if offset < committed.get(tp, 0):
                        assert found.get(subject, 0) >= number, f"{tp}@{offset}"

        with plans_service(backend, prefix) as stack:
            process = stack.one("plans")

            async def some(count: int) -> bool:
                await look()
                return len(await applied(store)) >= count

            await until(lambda: some(1), what="the first work", limit_s=60)
            process.kill()
            await look()
            await sent.recommendations()
            process.start()

            async def finished() -> bool:
                await look()
                found = await applied(store)
                return all(found.get(subject) == 2 for subject in sent.subjects)

            await until(finished, what="the rest", limit_s=60)
            await all_said(backend, sent)

            async def level() -> bool:
                committed = await bus.committed(GROUP)
                return all(committed.get(tp) == items[-1][0] + 1 for tp, items in sent.at.items())

            await until(level, what="committing everything")
        assert looks > 3
        assert await store.collection("dead_letters").count_documents({}) == 0


async def test_a_graceful_stop_finishes_what_it_has_in_hand(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """What was saved is committed and published when the process ends: the next one has nothing to repair."""
    sent = Sent(bus)
    await sent.admissions(150)
    async with store_of(backend, prefix) as store:
        with plans_service(backend, prefix) as stack:

            async def some() -> bool:
                return bool(await applied(store))

            await until(some, what="the first work", limit_s=60)
            await asyncio.to_thread(stack.one("plans").stop)
            committed = await bus.committed(GROUP)
            found = await applied(store)
            for tp, items in sent.at.items():
                for offset, subject, _ in items:
                    assert (subject in found) == (offset < committed.get(tp, 0)), f"{tp}@{offset}"
            assert await store.stranded(datetime.now(UTC), range(PARTITIONS), 10) == []
            assert set(await said(backend)) == set(found)
            stack.one("plans").start()
            await all_applied(store, sent)
            await all_said(backend, sent)


async def test_two_replicas_share_and_the_living_takes_over_from_the_dead(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    sent = Sent(bus)
    async with store_of(backend, prefix) as store:
        with plans_service(backend, prefix, replicas=2) as stack:
            one, other = stack.processes
            await ready(one)
            await ready(other)

            async def shared() -> bool:
                first, second = await holds(one), await holds(other)
                return len(first) == len(second) == 18 and not first & second

            await until(shared, what="sharing the partitions", limit_s=60)
            partitions = {place.partition("/")[2] for place in await holds(one)}
            assert len(partitions) == 6  # the same numbers of every topic: timers rely on it
            await sent.admissions(40)
            await all_applied(store, sent)
            one.kill()
            await sent.recommendations()
            await all_applied(store, sent)
            await all_said(backend, sent)

            async def all_held() -> bool:
                return len(await holds(other)) == 36

            await until(all_held, what="holding all partitions")
        assert await store.collection("dead_letters").count_documents({}) == 0


async def _plant(store: MongoStore, saved_at: datetime) -> str:
    """A record as a process leaves it that dies between its save and its publish."""
    subject = f"episode/{uuid4()}"
    record = (await store.load([subject]))[subject]
    reaction = SERVICE.reactions.find("care.intake.patient-admitted")
    assert reaction is not None
    event_id = derive_id("planted", subject)
    work = Work(
        subject=subject,
        cause_id=event_id,
        correlation_id=event_id,
        facility_id=FACILITY,
        now=datetime.now(UTC),
        decide=lambda state, cause: reaction.rule(state, admission(), cause),
        stream=StreamPosition("intake", 1, event_id),
    )
    assert record.apply(work, SERVICE.source).status is OutcomeStatus.APPLIED
    assert await store.save([record], saved_at) == set()
    return subject


async def test_what_a_crash_left_is_published_at_the_start_and_by_the_sweep(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with store_of(backend, prefix) as store:
        await store.start()

        async def swept() -> bool:
            return await store.stranded(datetime.now(UTC), range(PARTITIONS), 10) == []

        before = await _plant(store, datetime.now(UTC))
        with plans_service(backend, prefix) as stack:
            await until(swept, what="taking up what was left", limit_s=60)
            await ready(stack.one("plans"))
            later = await _plant(store, datetime.now(UTC) - timedelta(minutes=5))
            await until(swept, what="the sweep", limit_s=60)
            assert await said(backend) == {before: ["1"], later: ["1"]}
        for document in await store.collection("records").find({}).to_list():
            assert document["outbox"] == []
            assert "waiting" not in document


@pytest.mark.parametrize("traffic", [True, False], ids=["with traffic", "without traffic"])
async def test_a_store_that_goes_away_and_comes_back_costs_nothing(
    backend: Backend, bus: Bus, prefix: str, *, traffic: bool
) -> None:
    server = backend.mongo_server
    if server is None:
        pytest.skip("a store whose address was given is not ours to kill")
    sent = Sent(bus)
    await sent.admissions(5)
    with plans_service(backend, prefix) as stack:
        process = stack.one("plans")
        async with store_of(backend, prefix) as store:
            await ready(process)
            await all_applied(store, sent)
            await asyncio.to_thread(server.kill)
            try:
                if traffic:
                    await sent.recommendations()

                async def red() -> bool:
                    status, body = await ask(process, "/readyz")
                    return status == 503 and bool(body["reasons"])

                await until(red, what="red readiness", limit_s=40)
                assert (await ask(process, "/healthz"))[0] == 200
            finally:
                await asyncio.to_thread(server.start)
            await ready(process)
            if not traffic:
                await sent.recommendations()
            await all_applied(store, sent)
            await all_said(backend, sent)
            assert await store.collection("dead_letters").count_documents({}) == 0


# --- refusals at start ---------------------------------------------------------------------------------------


async def _refusal(backend: Backend, prefix: str) -> str:
    settings = ServiceSettings.model_validate(
        {
            **backend.kafka.environment(),
            "MONGO_URI": backend.mongo_uri,
            "database_prefix": prefix,
        }
    )
    runtime = Runtime(SERVICE, settings)
    await runtime.start()
    try:
        await until(
            lambda: runtime.refusal is not None or not runtime.not_ready(), what="a refusal"
        )
        assert runtime.refusal is not None
        assert runtime.not_ready() == [runtime.refusal.code]
        return runtime.refusal.code
    finally:
        await runtime.store.database.client.drop_database(f"{prefix}plans")
        await runtime.stop()


async def test_a_store_behind_its_own_topic_is_refused(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """Publishing would give numbers a second meaning."""
    subject, cause = f"episode/{uuid4()}", str(uuid4())
    ours = derive_id(cause, "care.plans", subject, "3")
    await bus.say(plans.ProgramGraduated.example(), subject, 3, event_id=ours, causationid=cause)
    assert await _refusal(backend, prefix) == "sequence-conflict"
    async with store_of(backend, prefix) as store:
        await disown(store, [ours], "never-ours")
        assert await check_numbering(backend.kafka, TOPICS["care.plans"], store) > 0


async def test_another_publishers_events_on_its_own_topic_do_not_stop_a_service(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    """One of them made every later start refuse, and a rebuild as well."""
    await bus.say(plans.ProgramGraduated.example(), f"episode/{uuid4()}", 1)
    await bus.say(plans.ProgramGraduated.example(), f"episode/{uuid4()}", 10**17)
    await bus.say(plans.ProgramGraduated.example(), f"group/{uuid4()}", 1)
    async with store_of(backend, prefix) as store:
        assert await check_numbering(backend.kafka, TOPICS["care.plans"], store) >= 3
        await check_numbers(backend.kafka, TOPICS["care.plans"], store, {})


async def test_a_topic_with_other_partitions_is_refused(backend: Backend, prefix: str) -> None:
    await forget_topics(backend)
    async with admin_of(backend.kafka) as admin:
        await admin.create_topics([NewTopic("care.intake", 3, 1)])
    try:
        assert await _refusal(backend, prefix) == "topic-partitions-differ"
    finally:
        await forget_topics(backend)


async def test_a_topic_that_was_made_again_is_refused(
    backend: Backend, bus: Bus, prefix: str
) -> None:
    async with store_of(backend, prefix) as store:
        await store.set_metadata("topic:care.intake", {"incarnation": 1, "ends": [7] * 12})
        assert await _refusal(backend, prefix) == "topic-made-again"
