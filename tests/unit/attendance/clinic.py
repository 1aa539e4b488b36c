"""A whole attendance in memory: every record, the reactor with its handoffs, deadlines, and HTTP, without a broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from httpx2 import ASGITransport, AsyncClient, Response

from services.attendance.app import SERVICE
from shared.contracts import intake
from shared.contracts.event import CATALOGUE, Event
from shared.contracts.topics import PARTITIONS
from shared.decision import Cause, Decision, State
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.clock import SteppedClock
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record import Record
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import CommandKey, OutcomeStatus, StreamPosition, Work
from shared.runtime.http.programs import Programs
from shared.runtime.metrics import Metrics
from shared.runtime.service import create_app
from shared.runtime.settings import ServiceSettings
from shared.runtime.timers import look_at
from shared.testing.fakes import CarefulStore, MemoryPublisher
from tests.unit.attendance.world import ZONE, admission
from tests.unit.support import FACILITY, START, Caller, fact, ticking, uid

PROGRAM = "community-step-down"
PROGRAMS = Programs.load()
ALL = tuple(range(PARTITIONS))
ROUNDS_MAX = 50


def code(answer: Response) -> tuple[int, str]:
    """How an answer refuses."""
    return answer.status_code, answer.json()["code"]


class Clinic:
    """One facility's attendance service."""

    def __init__(self, now: datetime = START) -> None:
        self.store = CarefulStore(SERVICE.kinds)
        self.clock = SteppedClock()
        self.clock.step_to(ticking(now))
        metrics = Metrics()
        relay = Relay(self.store, MemoryPublisher(), metrics, 10_000)
        self.reactor = Reactor(SERVICE.source, self.store, relay, metrics, SERVICE.handoffs)
        self.app = create_app(SERVICE, ServiceSettings())
        self.app.state.runtime = SimpleNamespace(
            ensure_ready=lambda: None,
            clock=self.clock,
            reactor=self.reactor,
            store=self.store,
            metrics=metrics,
            audit=AuditWriter(self.store, metrics),
            settings=SimpleNamespace(handoff_wait_seconds=5),
            programs=PROGRAMS,
        )
        transport = ASGITransport(app=self.app, raise_app_exceptions=False)
        self.client = AsyncClient(transport=transport, base_url="http://attendance")
        self._heard: Counter[tuple[str, str]] = Counter()
        self._keys = 0
        self.acting_as("counselor")

    def acting_as(self, role: str, facility_id: str = FACILITY) -> None:
        self.app.state.authenticator = Caller(role, facility_id)

    # --- what is told and asked ---------------------------------------------------------------------

    async def hear(self, episode_id: str, event: Event) -> None:
        subject = f"episode/{episode_id}"
        self._heard[subject, event.SOURCE] += 1
        number = self._heard[subject, event.SOURCE]
        reaction = SERVICE.reactions.find(event.TYPE.rpartition(".v")[0])
        assert reaction is not None, f"{event.TYPE} is not heard here"
        event_id = uid(f"{subject}/{event.SOURCE}/{number}")
        work = Work(
            subject=subject,
            cause_id=event_id,
            correlation_id=event_id,
            facility_id=FACILITY,
            now=self.clock.now(),
            decide=lambda state, cause: reaction.rule(state, event, cause),
            stream=StreamPosition(event.SOURCE.removeprefix("care."), number, event_id),
        )
        [outcome] = await self.reactor.submit([work])
        assert outcome.status is OutcomeStatus.APPLIED, outcome
        await self.reactor.settle()

    async def admit(self, name: str, *, oriented: bool = True, **changes: Any) -> str:
        """Admit somebody, oriented unless told otherwise. Says their episode's id."""
        episode_id = uid(name)
        await self.hear(episode_id, admission(self.clock.now(), **{"time_zone": ZONE, **changes}))
        if oriented:
            await self.hear(
                episode_id, fact(intake.OrientationCompleted, completed_at=self.clock.now())
            )
        return episode_id

    async def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> Response:
        self._keys += 1
        headers = {"Idempotency-Key": key or f"key {self._keys}"}
        answer = await self.client.post(path, json=dict(body or {}), headers=headers)
        await self.reactor.settle()
        return answer

    async def command(
        self, subject: str, name: str, rule: Callable[[Any, Cause], Decision[State]]
    ) -> None:
        """Give one record a command past HTTP, as it comes when something else happened a moment ago."""
        work = Work(
            subject=subject,
            cause_id=uid(name),
            correlation_id=uid(name),
            facility_id=FACILITY,
            now=self.clock.now(),
            decide=rule,
            command=CommandKey(uid(name), "hash"),
        )
        outcome = await self.reactor.execute(work)
        assert outcome.status is OutcomeStatus.APPLIED, outcome
        await self.reactor.settle()

    async def get(self, path: str) -> Response:
        return await self.client.get(path)

    async def at(self, now: datetime) -> None:
        """Let time pass: every deadline fires at its own instant, in order."""
        now = ticking(now)
        for _ in range(ROUNDS_MAX):
            due = await self.store.next_due(now)
            if due is None:
                self.clock.step_to(now)
                return
            self.clock.step_to(max(due, self.clock.now()))
            subjects = await self.store.due(self.clock.now(), ALL, 1_000)
            for outcome in await self.reactor.submit([look_at(s, due) for s in subjects]):
                assert outcome.status is OutcomeStatus.APPLIED, outcome
            await self.reactor.settle()
        raise AssertionError("deadlines do not come to rest")

    async def after(self, **units: float) -> None:
        await self.at(self.clock.now() + timedelta(**units))

    # --- what is known and said ---------------------------------------------------------------------

    async def record(self, subject: str) -> Record:
        return (await self.store.load([subject]))[subject]

    async def state(self, subject: str) -> Any:
        return (await self.record(subject)).state

    async def said(self, subject: str) -> list[Event]:
        record = await self.record(subject)
        return [
            CATALOGUE[entry["headers"]["ce_type"]].parse(entry["data"]) for entry in record.outbox
        ]

    async def names(self, subject: str) -> list[str]:
        return [event.NAME for event in await self.said(subject)]

    # --- groups ---------------------------------------------------------------------------------------

    async def group(self, **changes: Any) -> str:
        """Open a group; says its id."""
        body = {"program": PROGRAM, "track": "evening-adult", "time_zone": ZONE, **changes}
        answer = await self.post("/groups", body)
        assert answer.status_code == 201, answer.text
        return answer.json()["group_id"]

    async def reserve(self, group_id: str, episode_id: str, **more: Any) -> Response:
        return await self.post(f"/groups/{group_id}/seats", {"episode_id": episode_id, **more})

    async def seated(self, *episodes: str, **changes: Any) -> str:
        """A group in which these people have a seat of their own; says its id."""
        group_id = await self.group(**changes)
        for episode_id in episodes:
            await self.takes_a_seat(group_id, episode_id)
        return group_id

    async def takes_a_seat(self, group_id: str, episode_id: str) -> None:
        """Held first; an admitted person's is confirmed at once."""
        answer = await self.reserve(group_id, episode_id)
        assert answer.status_code == 201, answer.text

    async def meets(self, group_id: str, *, hours: float, minutes: int = 180, **more: Any) -> str:
        """A session of the group in so many hours; says its id."""
        body = {
            "modality": "group",
            "group_id": group_id,
            "starts_at": (self.clock.now() + timedelta(hours=hours)).isoformat(),
            "minutes_planned": minutes,
            **more,
        }
        answer = await self.post("/sessions", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["session_id"])

    async def race(self, group_id: str, *episodes: str) -> list[Response]:
        """Everyone asks at the same moment."""
        return list(await asyncio.gather(*(self.reserve(group_id, e) for e in episodes)))
