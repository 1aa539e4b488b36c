"""What a scrape says of a real replica: counted apart, from the start, at an address of its own; and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from pymongo import AsyncMongoClient

from shared.contracts import CATALOGUE
from shared.devtools.backends import Backend
from shared.devtools.backends.process import free_port
from shared.devtools.stack import services
from shared.runtime import census
from shared.runtime.census import CensusTaker
from shared.runtime.clock import Clock
from shared.runtime.core.documents import in_microseconds
from tests.integration.bus import until

NOW = datetime.now(UTC)


class Held:
    """A consumer that holds these partitions of every topic."""

    def __init__(self, *buckets: int) -> None:
        self.buckets = list(buckets)


@asynccontextmanager
async def _database(backend: Backend, prefix: str) -> AsyncIterator[Any]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(backend.mongo_uri, tz_aware=True)
    try:
        yield client[f"{prefix}plans"]
    finally:
        await client.drop_database(f"{prefix}plans")
        await client.close()


def _record(number: int, loops: dict[str, int], **more: Any) -> dict[str, Any]:
    index = {"loop": in_microseconds(NOW)} if loops else {}
    state = {
        "loops": {f"{k}:{n}": {"kind": k, "step": s} for n, (k, s) in enumerate(loops.items())}
    }
    return {"_id": f"episode/{number}", "index": index, "state": state, **more}


def _dead(number: int, **more: Any) -> dict[str, Any]:
    row = {"status": "open", "subject": "episode/1", "stream": "intake", "first_seen": NOW}
    return {"_id": f"t/0/{number}", **row, **more}


async def test_the_census_counts_what_waits(backend: Backend, prefix: str) -> None:
    hour = timedelta(hours=1)
    async with _database(backend, prefix) as database:
        taker = CensusTaker(database, Held(0), Clock(), 1)  # type: ignore[arg-type] - all that it asks
        empty = await taker.take()
        assert (empty.dead_letters_open, empty.streams_blocked, empty.loops_open) == (0, 0, {})
        assert empty.outbox_age_seconds == empty.deadline_age_seconds == 0
        await database["records"].insert_many(
            [
                _record(1, {"discharge": 0, "plan_review": 2}),
                _record(2, {"discharge": 1}, waiting=NOW - hour),
                _record(3, {}, handing=NOW - 2 * hour, due=in_microseconds(NOW - 3 * hour)),
                _record(4, {}, due=in_microseconds(NOW + hour), auditing=NOW - 5 * hour),
            ]
        )
        await database["dead_letters"].insert_many(
            [
                _dead(1, first_seen=NOW - 4 * hour),
                _dead(2),
                _dead(3, stream="followup"),
                _dead(4, subject=None, stream=None),
                _dead(5, status="redriven", subject="episode/9"),
            ]
        )
        found = await taker.take()
    assert found.loops_open == {"discharge": 2, "plan_review": 1}
    assert found.loops_overdue == {"discharge": 1, "plan_review": 1}
    assert (found.dead_letters_open, found.streams_blocked) == (4, 2)
    ages = (
        found.outbox_age_seconds,
        found.handoff_age_seconds,
        found.deadline_age_seconds,
        found.dead_letter_age_seconds,
        found.audit_age_seconds,
    )
    assert [int(age // 3600) for age in ages] == [1, 2, 3, 4, 5]


ODD: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"the loops are {loops!r}": (
            "records",
            _record(9, {"discharge": 0}) | {"state": {"loops": loops}},
        )
        for loops in ([], ["x"], "many", 7, None, {"x": 7}, {"x": None}, {"x": {"kind": 7}})
    },
    "the state is a text": ("records", _record(9, {"discharge": 0}) | {"state": "gone"}),
    "events wait since no time": ("records", _record(9, {}, waiting="ever")),
    "the deadline is a text": ("records", _record(9, {}, due="soon")),
    "the deadline is no time": ("records", _record(9, {}, due=-1e300)),
    "a dead letter has no time": ("dead_letters", _dead(9, first_seen="ever", subject="x/1")),
    "a dead letter's stream is a list": ("dead_letters", _dead(9, stream=["x"])),
}


@pytest.mark.parametrize("name", ODD)
async def test_one_damaged_document_stops_no_count(
    backend: Backend, prefix: str, name: str
) -> None:
    collection, document = ODD[name]
    async with _database(backend, prefix) as database:
        await database["records"].insert_one(_record(1, {"discharge": 1}, waiting=NOW))
        await database["dead_letters"].insert_one(_dead(1))
        await database[collection].insert_one(document)
        found = await CensusTaker(database, Held(0), Clock(), 1).take()  # type: ignore[arg-type]
    assert (found.loops_open, found.loops_overdue) == ({"discharge": 1}, {"discharge": 1})
    assert found.dead_letters_open >= 1
    assert found.outbox_age_seconds > 0


async def test_a_part_that_fails_keeps_its_number_and_the_age_tells(
    backend: Backend, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(census, "monotonic", lambda: now[0])
    async with _database(backend, prefix) as database:
        taker = CensusTaker(database, Held(0), Clock(), 1)  # type: ignore[arg-type]
        await database["records"].insert_one(_record(1, {"discharge": 0}))
        taker.latest = await taker.take()
        now[0] += 60
        await database["records"].insert_one(_record(2, {"discharge": 0}))
        await database["dead_letters"].insert_one(_dead(1))
        monkeypatch.setattr(census, "EARLIEST", object())  # nothing that can be asked for
        with structlog.testing.capture_logs() as logged:
            taker.latest = await taker.take()
    assert (taker.latest.loops_open, taker.latest.dead_letters_open) == ({"discharge": 1}, 1)
    assert [(one["event"], one["reason"]) for one in logged] == [("census.failed", "loops")]
    assert taker.age_seconds == 60


async def test_it_never_counts_further_than_its_bound(
    backend: Backend, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "COUNTED_MAX", 5)
    async with _database(backend, prefix) as database:
        await database["records"].insert_many([_record(n, {"discharge": 0}) for n in range(20)])
        await database["dead_letters"].insert_many([_dead(n) for n in range(20)])
        found = await CensusTaker(database, Held(0), Clock(), 1).take()  # type: ignore[arg-type]
    assert found.loops_open == {"discharge": 5}
    assert found.dead_letters_open == 5


async def test_one_replica_counts_for_all(backend: Backend, prefix: str) -> None:
    async with _database(backend, prefix) as database:
        held = Held(0)
        taker = CensusTaker(database, held, Clock(), 0.01)  # type: ignore[arg-type]
        task = asyncio.create_task(taker.run())
        try:

            async def counted() -> bool:
                return taker.latest is not None

            async def left() -> bool:
                return taker.latest is None

            await until(counted, what="a census")
            held.buckets = [1, 2]  # partition 0 has moved to another replica, which counts now
            await until(left, what="no census")
        finally:
            task.cancel()


def _scraped(url: str) -> dict[str, list[Any]]:
    with urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def _status(url: str) -> int:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        error.close()
        return error.code


@pytest.mark.usefixtures("fresh_topics")
async def test_a_replica_is_scraped_at_an_address_of_its_own(backend: Backend, prefix: str) -> None:
    port = free_port()
    with services(
        backend,
        names=["plans"],
        database_prefix=prefix,
        metrics_port=str(port),
        census_seconds="0.2",
    ) as stack:
        public, own = stack.one("plans").url, f"http://127.0.0.1:{port}"

        async def counts() -> bool:
            found = _scraped(own)
            return found["care_ready"][0].value == 1 and "care_loops_open" in found

        await until(counts, what="a replica that is ready and counts")
        found = _scraped(own)
        assert _status(f"{public}/metrics") == 404
        assert _status(f"{public}/readyz") == _status(f"{own}/readyz") == 200
        assert _status(f"{own}/healthz") == 200
        for path in ("/loops", "/ops/flow", "/docs", "/openapi.json", "/"):
            assert _status(f"{own}{path}") == 404, path
    for name in ("care_work", "care_events_published", "care_dead_letters", "care_sequence_gaps"):
        samples = [one for one in found[name] if one.name.endswith("_total")]
        assert samples, f"{name} is not there from the start"
        assert any(one.value == 0 for one in samples)  # others of this broker may have been read
    ours = {event.TYPE for event in CATALOGUE.values() if event.SOURCE == "care.plans"}
    assert {s.labels["type"] for s in found["care_events_published"] if "type" in s.labels} == ours
    assert {sample.labels["kind"] for sample in found["care_loops_open"]} >= {
        "discharge",
        "transfer",
    }
    assert found["care_lag_seconds"][0].value == 0


@pytest.mark.usefixtures("fresh_topics")
async def test_a_scrape_asks_neither_the_store_nor_kafka(backend: Backend, prefix: str) -> None:
    """With both away for good it answers as fast, and says that the replica is not ready."""
    with services(backend, names=["plans"], database_prefix=prefix) as stack:
        process = stack.one("plans")
        process.stop()
        process._env = {
            **process._env,
            "MONGO_URI": "mongodb://127.0.0.1:1",
            "KAFKA_BOOTSTRAP": "127.0.0.1:1",
            "KAFKA_SECURITY": "plaintext",
            "KAFKA_USERNAME": "",
            "KAFKA_CA_FILE": "",
        }
        process.start()

        async def answers() -> bool:
            return process.answers()

        await until(answers, what="a process that answers")
        found = _scraped(process.url)
        assert found["care_ready"][0].value == 0
        assert "care_loops_open" not in found, "nobody has counted"
