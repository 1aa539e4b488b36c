"""A small service on real servers whose rules can be broken and mended: for what operators do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import httpx2
from aiokafka import TopicPartition
from fastapi import APIRouter

from shared.contracts import intake, plans
from shared.contracts.codes import EpisodeId
from shared.contracts.event import Event
from shared.decision import Cause, Decision, State
from shared.devtools.backends import Backend
from shared.devtools.issuer import LocalIssuer
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.http.call import Body, Call
from shared.runtime.http.roles import require_roles
from shared.runtime.http.subjects import Subjects
from shared.runtime.service import Runtime, Service, create_app
from shared.runtime.settings import ServiceSettings
from tests.integration.bus import FACILITY, Bus, until

ISSUER = LocalIssuer()
GROUP = "plans"
ADMISSION = intake.PatientAdmitted.example()


class Sheet(State):
    admitted: int = 0
    recommended: int = 0
    noted: int = 0


EPISODE = Subjects("episode", Sheet)


class Note(Body):
    episode_id: EpisodeId


@dataclass
class Rules:
    """The deployed code; flip `broken` to deploy another."""

    broken: bool = False
    publishes: bool = True
    routers: list[APIRouter] = field(default_factory=list)

    def admitted(self, state: Sheet, _event: Any, _cause: Cause) -> Decision[Sheet]:
        if self.broken:
            raise ValueError("could not handle Maria-Lopez-1984")
        events = (plans.GoalUpdated.example(),) if self.publishes else ()
        return Decision(state.replace(admitted=state.admitted + 1), events)

    def recommended(self, state: Sheet, _event: Any, _cause: Cause) -> Decision[Sheet]:
        return Decision(
            state.replace(recommended=state.recommended + 1), (plans.GoalUpdated.example(),)
        )

    @property
    def service(self) -> Service:
        reactions = Reactions(
            on(intake.PatientAdmitted, self.admitted),
            on(intake.LevelRecommended, self.recommended),
        )
        kinds = {"episode": RecordKind(Sheet)}
        return Service("plans", "For tests.", kinds, reactions, [_router()])


def _router() -> APIRouter:
    router = APIRouter()

    @router.post("/notes")
    async def note(call: Annotated[Call, require_roles()], body: Note) -> Any:
        """A command that says one event, and one whose change no event tells."""

        def rule(state: Sheet, _cause: Cause) -> Decision[Sheet]:
            said: tuple[Event, ...] = () if state.noted % 2 else (plans.GoalUpdated.example(),)
            return Decision(state.replace(noted=state.noted + 1), said)

        return await call.execute(EPISODE(body.episode_id), rule)

    return router


def episode() -> str:
    return f"episode/{uuid4()}"


def admission() -> intake.PatientAdmitted:
    return ADMISSION.model_copy(update={"admitted_at": datetime.now(UTC)})


class Running:
    """The service, running, as an operator sees it."""

    def __init__(self, runtime: Runtime, client: httpx2.AsyncClient, bus: Bus) -> None:
        self.runtime, self.http, self.bus = runtime, client, bus

    async def admit(self, count: int = 1) -> list[str]:
        """Say admissions, and wait until all were heard."""
        names = [episode() for _ in range(count)]
        for name in names:
            await self.heard(await self.bus.say(admission(), name, 1))
        return names

    async def heard(self, tp: TopicPartition) -> None:
        await self.bus.heard(GROUP, tp)

    async def ask(self, method: str, path: str, role: str = "operator", **how: Any) -> Any:
        token = ISSUER.token(FACILITY, role)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
        return await self.http.request(method, path, headers=headers, **how)

    async def reasons(self) -> list[str]:
        return (await self.http.get("/readyz")).json()["reasons"]

    async def documents(self, *subjects: str) -> list[dict[str, Any]]:
        """The records as they are stored: of these subjects, or all."""
        query = {"_id": {"$in": subjects}} if subjects else {}
        return await self.runtime.store.collection("records").find(query).sort("_id").to_list()

    async def ready(self) -> None:
        await until(lambda: not self.runtime.not_ready(), what="readiness", limit_s=60)
        await until(lambda: len(self.runtime.consumer.buckets) == 12, what="an assignment")

    async def until_reason(self, reason: str) -> None:
        async def red() -> bool:
            return reason in await self.reasons()

        await until(red, what=reason, limit_s=60)


def settings_of(backend: Backend, prefix: str, **more: Any) -> ServiceSettings:
    return ServiceSettings.model_validate(
        {
            **backend.kafka.environment(),
            "MONGO_URI": backend.mongo_uri,
            "jwks": ISSUER.jwks,
            "operating_facility": FACILITY,
            "database_prefix": prefix,
            "sweep_after_seconds": 0.5,
            "session_timeout_ms": 6_000,
            "topics_check_seconds": 0.5,
            **more,
        }
    )


@asynccontextmanager
async def running(
    backend: Backend, prefix: str, bus: Bus, rules: Rules, *, ready: bool = True, **more: Any
) -> AsyncIterator[Running]:
    """The service in this process; with `ready=False`, whatever it says of itself."""
    app = create_app(rules.service, settings_of(backend, prefix, **more))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://plans") as client,
    ):
        it = Running(app.state.runtime, client, bus)
        if ready:
            await it.ready()
        yield it


async def settled(it: Running, condition: Callable[[], Any] | None = None) -> None:
    """Nothing is under way, and nothing waits to be published."""

    async def quiet() -> bool:
        documents = await it.documents()
        waits = any("waiting" in document for document in documents)
        return not it.runtime.busy and not waits and (condition is None or condition())

    await until(quiet, what="quiet")
