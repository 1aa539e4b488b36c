"""From end to end over three services: an interpreted screen, the review that it asks for, and who is shown it.

A clinician interprets a result at attendance (HTTP); attendance says that the screen is an unexpected positive; plans
opens a clinical review and says so; followup shows it as open. Measured from just before the command to the moment at
which followup's record has the review, with so many commands a second.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

from httpx2 import AsyncClient, Limits
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from bench.field import PREFIX, BenchError, clear, cpu_seconds, seed
from bench.people import FACILITY, followed, in_treatment, screen_of, screened
from services.attendance.app import SERVICE as ATTENDANCE
from services.followup.app import SERVICE as FOLLOWUP
from services.plans.app import SERVICE as PLANS
from shared.contracts.codes import Role
from shared.decision import derive_id
from shared.devtools.backends import Backend
from shared.devtools.stack import services
from shared.runtime.core.record import Record
from shared.runtime.core.store import MongoStore
from shared.runtime.service import Service

PER_SECOND: Final = 300
SLOWER: Final = (30, 100)
SECONDS: Final = 8
WARM_SECONDS: Final = 3
LOOK_SECONDS: Final = 0.01
LOOK_AT: Final = 50
"""Of those that wait, the first: looking at all of a long queue would slow down what it waits for."""
PATIENCE_SECONDS: Final = 60.0
ALONE_ROUNDS: Final = 100
ALONE_TOGETHER: Final = 10
SERVICES: Final = (ATTENDANCE, PLANS, FOLLOWUP)

Row = dict[str, Any]


async def chain(backend: Backend) -> dict[str, Any]:
    """Measure it at the rate that is the target and at lower ones, and what the store could do of it by itself.

    Raises `BenchError` when a review does not come.
    """
    found = await _at(backend, PER_SECOND)
    found["slower"] = [await _at(backend, per_second) for per_second in SLOWER]
    found["store_alone_per_second"] = await _store_alone(backend)
    return found


async def _at(backend: Backend, per_second: int) -> dict[str, Any]:
    warm = per_second * WARM_SECONDS
    kept = await _seeded(backend, warm + per_second * SECONDS)
    screens = {record.subject: screen_of(record) for record in kept["attendance"]}
    people = list(screens)
    client: AsyncMongoClient[Row] = AsyncMongoClient(backend.mongo_uri)
    names = [service.name for service in SERVICES]
    with services(backend, names=names, database_prefix=PREFIX) as stack:
        token = stack.issuer.token(FACILITY, Role.CLINICIAN.value)
        headers = {"Authorization": f"Bearer {token}"}
        async with client, AsyncClient(headers=headers, limits=Limits(), timeout=30.0) as http:
            run = _Run(http, stack.urls["attendance"], client[f"{PREFIX}followup"]["records"])
            for url in stack.urls.values():
                await run.ready(url)
            await run.told({s: screens[s] for s in people[:warm]}, per_second)
            servers = {"broker": backend.kafka_server, "store": backend.mongo_server}
            pids: dict[str, list[int | None]] = {
                "services": [process.pid for process in stack.processes],
                **{name: [None if s is None else s.pid] for name, s in servers.items()},
                "driver": [os.getpid()],
            }
            before, began = _used(pids), perf_counter()
            found = sorted(await run.told({s: screens[s] for s in people[warm:]}, per_second))
            took, after = perf_counter() - began, _used(pids)
    return {
        "events_per_second": per_second,
        "samples": len(found),
        "p50": round(statistics.median(found), 4),
        "p99": round(found[int(0.99 * len(found))], 4),
        "p999": round(found[int(0.999 * len(found))], 4),
        "looked_every_seconds": LOOK_SECONDS,
        "cores_used": {name: round((after[name] - before[name]) / took, 2) for name in before},
        "seconds": round(took, 1),
    }


async def _seeded(backend: Backend, count: int) -> dict[str, list[Record]]:
    """So many people whose screens wait for an interpretation, as each service keeps them."""
    await clear(backend)
    now = datetime.now(UTC)
    at = now - timedelta(hours=1)  # so that no deadline comes meanwhile
    people = [f"episode/{derive_id('bench', 'chain', str(n))}" for n in range(count)]
    kept = {
        "attendance": [screened(subject, at, now) for subject in people],
        "plans": [in_treatment(subject, at, now) for subject in people],
        "followup": [followed(subject, at, now) for subject in people],
    }
    for service in SERVICES:
        await seed(backend, service, kept[service.name])
    return kept


async def _store_alone(backend: Backend) -> float:
    """How many commands a second the store could take if it had nothing to do but their writes.

    Each is three saves and two emptied outboxes; here, as many of them at once as the services write at this rate.
    """
    kept = await _seeded(backend, ALONE_ROUNDS * ALONE_TOGETHER)

    async def write(service: Service) -> None:
        store = MongoStore(backend.mongo_uri, f"{PREFIX}{service.name}", service.kinds)
        for at in range(0, len(kept[service.name]), ALONE_TOGETHER):
            records = kept[service.name][at : at + ALONE_TOGETHER]
            for record in records:
                record.version, record.stored = 1, record.state
                record.new_events = [] if service is FOLLOWUP else [_entry(record.next_sequence)]
                record.next_sequence += len(record.new_events)
            lost = await store.save(records, datetime.now(UTC))
            if lost:
                raise BenchError("race-lost", "Somebody else writes to the bench's store.")
            if service is not FOLLOWUP:
                await store.clear_outboxes({r.subject: r.next_sequence - 1 for r in records})
        await store.close()

    began = perf_counter()
    await asyncio.gather(*(write(service) for service in SERVICES))
    return round(ALONE_ROUNDS * ALONE_TOGETHER / (perf_counter() - began), 1)


def _entry(sequence: int) -> Row:
    """As large as an outbox entry is."""
    return {"sequence": sequence, "headers": {f"ce_{n}": "x" * 36 for n in range(13)}, "data": b"x"}


def _used(pids: Mapping[str, Sequence[int | None]]) -> dict[str, float]:
    """CPU seconds so far, of those that run here."""
    return {
        name: sum(cpu_seconds(pid) for pid in of if pid is not None) for name, of in pids.items()
    }


class _Run:
    """Commands at a steady pace, and a look at followup's records for what has arrived."""

    def __init__(self, http: AsyncClient, url: str, records: AsyncCollection[Row]) -> None:
        self._http = http
        self._url = url
        self._records = records
        self._sent: dict[str, float] = {}
        self._took: list[float] = []

    async def ready(self, url: str) -> None:
        """Wait until a service takes commands."""
        until = perf_counter() + PATIENCE_SECONDS
        while perf_counter() < until:
            if (await self._http.get(f"{url}/readyz")).is_success:
                return
            await asyncio.sleep(0.1)
        raise BenchError("not-ready", "A service does not become ready.")

    async def told(self, screens: Mapping[str, str], per_second: float) -> Sequence[float]:
        """Interpret these screens; returns how long each review took to be shown."""
        self._took = []
        looking = asyncio.create_task(self._look(len(screens)))
        began = perf_counter()
        commands: list[asyncio.Task[None]] = []
        for number, (subject, screen_id) in enumerate(screens.items()):
            await asyncio.sleep(max(0.0, began + number / per_second - perf_counter()))
            commands.append(asyncio.create_task(self._interpret(subject, screen_id)))
        await asyncio.gather(*commands)
        await looking
        return self._took

    async def _interpret(self, subject: str, screen_id: str) -> None:
        self._sent[subject] = perf_counter()
        body = {"episode_id": subject.partition("/")[2]}
        url = f"{self._url}/screens/{screen_id}/interpret"
        answer = await self._http.post(url, json=body, headers={"Idempotency-Key": screen_id})
        if answer.is_error:
            raise BenchError("refused", f"{answer.status_code} {answer.text}")

    async def _look(self, count: int) -> None:
        until = perf_counter() + PATIENCE_SECONDS
        while len(self._took) < count:
            asked = list(self._sent)[:LOOK_AT]
            shown: Row = {"_id": {"$in": asked}, "state.reviews": {"$ne": {}}}
            if asked:
                found = await self._records.find(shown, {"_id": 1}).to_list()
                now = perf_counter()
                self._took += [now - self._sent.pop(row["_id"]) for row in found]
            if perf_counter() > until:
                raise BenchError("effects-missing", f"{len(self._sent)} reviews are not shown.")
            await asyncio.sleep(LOOK_SECONDS)
