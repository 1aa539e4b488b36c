"""A service served over HTTP in one process: the real reactor and the real timers' way, on a store in memory.

Many records, many callers, handoffs between records: what `support.Http`, which has one record, can't show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from httpx2 import ASGITransport, AsyncClient, Response

from shared.contracts.event import CATALOGUE, Event
from shared.contracts.topics import PARTITIONS
from shared.errors import Unavailable
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import OutcomeStatus, StreamPosition, Work
from shared.runtime.http.claims import Actor
from shared.runtime.http.programs import Programs
from shared.runtime.metrics import Metrics
from shared.runtime.service import Service, create_app
from shared.testing.fake_keys import MemoryKeyStore, memory_vault
from shared.testing.fakes import (
    CarefulStore,
    Disk,
    MemoryAudit,
    MemoryDeadLetters,
    MemoryPublisher,
    MemoryTopic,
)
from tests.answers import check_answer
from tests.unit.support import FACILITY, START, settings_for, ticking, uid


class Served:
    """One service. It is its own runtime, clock and authenticator."""

    def __init__(self, service: Service, now: datetime = START) -> None:
        self.service = service
        self.disk = Disk()
        self.topic = MemoryTopic()
        self.metrics = Metrics()
        self.store = CarefulStore(service.kinds, self.disk)
        self.dead_letters = MemoryDeadLetters(self.disk, None, self.store.set_aside)
        self.relay = Relay(self.store, MemoryPublisher(self.topic), self.metrics, 100_000)
        self.audit = AuditWriter(self.store, self.metrics)
        self.audit_log = MemoryAudit(self.disk)
        self.clock: Any = self
        self.reactor = Reactor(
            service.source, self.store, self.relay, self.metrics, service.handoffs
        )
        self.settings = settings_for(service.source)
        self.programs = Programs.load(further=service.registered())
        self.key_store = MemoryKeyStore()
        self.vault = memory_vault(self.key_store)
        self._now = ticking(now)
        self._keys = 0
        self.bodies: list[bytes] = []
        """The bodies of all commands, as they were sent."""
        self._heard: dict[tuple[str, str], int] = {}
        self._actor = Actor(uid("actor"), FACILITY, "clinician")
        app = self.app = create_app(service, self.settings)
        app.state.runtime = self
        app.state.authenticator = self
        self.client = AsyncClient(transport=ASGITransport(app), base_url="http://intake")

    # --- what the application asks of its runtime ----------------------------------------------------

    def ensure_ready(self) -> None: ...

    def ensure_operable(self) -> None:
        raise Unavailable("starting", "This stand-in redrives nothing.")

    def now(self) -> datetime:
        return self._now

    def actor(self, _authorization: str | None) -> Actor:
        return self._actor

    # --- what a test does ----------------------------------------------------------------------------

    def acting_as(self, role: str, who: str = "actor", facility_id: str = FACILITY) -> Self:
        """Call as somebody else from now on. `who` is a name, or an id."""
        self._actor = Actor(who if len(who) == 36 else uid(who), facility_id, role)
        return self

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        traceparent: str | None = None,
        **more: Any,
    ) -> Response:
        self._keys += 1
        headers = {"Idempotency-Key": key or f"key {self._keys}"}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        answer = await self.client.request(method, path, json=body, headers=headers, **more)
        check_answer(self.app, answer)
        self.bodies.append(answer.request.content)
        await self.quiet()
        return answer

    async def get(self, path: str, **more: Any) -> Response:
        answer = await self.client.get(path, **more)
        check_answer(self.app, answer)
        return answer

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Response:
        return await self.send("POST", path, body or {}, **more)

    async def put(self, path: str, body: Mapping[str, Any], **more: Any) -> Response:
        return await self.send("PUT", path, body, **more)

    async def does(self, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """A command that has to succeed; returns its answer."""
        answer = await self.post(path, body, **more)
        assert answer.is_success, answer.text
        return answer.json()

    async def hear(self, subject: str, event: Event, *, facility_id: str = FACILITY) -> None:
        """An event of another service, in that service's order."""
        place = (event.SOURCE, subject)
        number = self._heard[place] = self._heard.get(place, 0) + 1
        reaction = self.service.reactions.find(event.TYPE.rpartition(".v")[0])
        assert reaction is not None, f"{event.TYPE} is not heard here"
        event_id = uid(f"{place} {number}")
        work = Work(
            subject=subject,
            cause_id=event_id,
            correlation_id=event_id,
            facility_id=facility_id,
            now=self._now,
            decide=lambda state, cause: reaction.rule(state, event, cause),
            stream=StreamPosition(event.SOURCE.removeprefix("care."), number, event_id),
        )
        [outcome] = await self.reactor.submit([work])
        assert outcome.status is OutcomeStatus.APPLIED, outcome
        await self.quiet()

    async def after(self, **units: float) -> None:
        """Let time pass: deadlines fire on the way, each at its own instant."""
        await self.at(self._now + timedelta(**units))

    async def at(self, now: datetime) -> None:
        self._now = now = ticking(now)
        for _ in range(50):
            subjects = await self.store.due(now, range(PARTITIONS), 1000)
            if not subjects:
                return
            works = [
                Work(subject=s, cause_id="", correlation_id="", facility_id="", now=now)
                for s in subjects
            ]
            for outcome in await self.reactor.submit(works):
                assert outcome.status is OutcomeStatus.APPLIED, outcome
            await self.quiet()
        raise AssertionError("deadlines do not come to rest")

    async def quiet(self) -> None:
        """Handoffs lead to handoffs: wait for all of them, and publish what waits."""
        while self.reactor.busy:
            await self.reactor.settle()
            await asyncio.sleep(0)
        await self.relay._move_audit()

    def state(self, subject: str) -> Any:
        """The record as the store has it."""
        found = self.store._load([subject])[subject]
        return found.state

    def said(self, subject: str | None = None) -> list[Event]:
        """Everything that waits in outboxes, in the order of each record."""
        return [
            CATALOGUE[entry["headers"]["ce_type"]].parse(entry["data"])
            for document in self.disk.documents()
            if subject in (None, document["_id"])
            for entry in document.get("outbox", [])
        ]

    def names(self, subject: str | None = None) -> list[str]:
        return [event.NAME for event in self.said(subject)]


def refused(answer: Response, status: int, code: str) -> None:
    """It is a problem with this machine code, and says a way out."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
