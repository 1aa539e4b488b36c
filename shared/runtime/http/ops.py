"""Routes for operations, the same in every service: health, readiness, metrics, progress, and the stepped clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AwareDatetime, StringConstraints

from shared.contracts.codes import Timestamp
from shared.errors import Refused
from shared.runtime.clock import SteppedClock
from shared.runtime.http import views
from shared.runtime.http.call import Body, Call
from shared.runtime.http.json_answer import JsonAnswer
from shared.runtime.http.operators import OPERATING
from shared.runtime.http.replica import Replica
from shared.runtime.http.shown import shows
from shared.runtime.set_aside import REASONS

router = APIRouter(tags=["operations"])

WAIT_SECONDS_MAX: Final = 1.0
"""How long a long poll may last: a service that is being stopped finishes its requests first."""
POSITIONS_MAX: Final = 200
Position = Annotated[str, StringConstraints(pattern=r"^[a-z.]{1,100}/[0-9]{1,4}:[0-9]{1,15}$")]
"""A place on a topic: `topic/partition:offset`, where the offset is that of the next record."""


class Ran(Protocol):
    """The timers: until which domain time deadlines have run."""

    @property
    def ran_until(self) -> datetime | None: ...


class Positioned(Protocol):
    """The consumer: what it consumes, and how far it has come in each partition."""

    @property
    def topics(self) -> Sequence[str]: ...
    @property
    def positions(self) -> Mapping[str, int]: ...


class Settling(Protocol):
    """What waits until a replica is quiet and has come as far as these positions."""

    async def reached(self, positions: Mapping[str, int], within_seconds: float) -> bool: ...


class WatchedReplica(Replica, Protocol):
    """One replica, as operators and machines see it."""

    @property
    def timers(self) -> Ran: ...
    @property
    def consumer(self) -> Positioned: ...
    @property
    def quiescence(self) -> Settling: ...
    @property
    def busy(self) -> bool: ...

    def not_ready(self) -> list[str]:
        """Why this replica is not ready; empty when it is."""
        ...

    @property
    def rights_missing(self) -> Sequence[str]:
        """What Kafka does not let this service do, such as `read topic care.intake`."""
        ...

    def warnings(self) -> list[str]:
        """What operators should look at, although the replica is ready."""
        ...


def _replica(request: Request) -> WatchedReplica:
    return request.app.state.runtime


class Step(Body):
    """The domain time to step to, RFC 3339."""

    now: AwareDatetime


@router.get("/healthz")
@shows(views.Alive)
async def alive() -> dict[str, str]:
    """The process runs and its event loop turns, whatever else may wait."""
    return {"status": "alive"}


@router.get("/readyz")
@shows(views.Ready)
async def ready(request: Request) -> Response:
    """200 when the service takes commands and consumes events; 503 with the reasons otherwise.

    `warnings` say what operators should look at although work goes on: `logs-failing`, `records-set-aside`,
    `records-of-newer-version`.
    `rights_missing` names what Kafka does not let the service do, with the reason `broker-access-missing`.
    """
    runtime = _replica(request)
    reasons = runtime.not_ready()
    body = {
        "status": "waiting" if reasons else "ready",
        "reasons": reasons,
        "warnings": runtime.warnings(),
        "rights_missing": list(runtime.rights_missing),
    }
    return JsonAnswer(body, status_code=503 if reasons else 200)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus text format."""
    return Response(
        generate_latest(_replica(request).metrics.registry), media_type=CONTENT_TYPE_LATEST
    )


@router.get("/ops/set-aside")
@shows(views.SetAsideView)
async def set_aside(call: Annotated[Call, OPERATING]) -> dict[str, Any]:
    """The records that this replica leaves out of its work, each with the reason. Everything else goes on."""
    call.trail.touched = True
    return {"records": call.runtime.store.set_aside.view(), "means": REASONS}


@router.get("/ops/flow")
@shows(views.FlowView)
async def flow(
    call: Annotated[Call, OPERATING],
    due_until: Timestamp | None = None,
    reached: Annotated[list[Position] | None, Query(max_length=POSITIONS_MAX)] = None,
    wait_seconds: Annotated[float, Query(ge=0, le=WAIT_SECONDS_MAX)] = 0,
) -> dict[str, Any]:
    """How far this replica has come, and with `due_until` the service's earliest deadline up to then.

    A replica is quiet when it is not busy (no batch, command, outbox or handoff in hand) and its deadlines have run up
    to the domain time. Read all services first and the topics' end offsets after them: equal positions then mean that
    nothing is under way.

    With `wait_seconds` this is a long poll: the answer comes at the moment at which the replica is quiet and has
    applied everything before the positions in `reached` (`topic/partition:offset`; partitions that it does not hold
    are left out), or after that time with `busy` as it is by then. `next_due` is there when it is not busy.
    """
    runtime = _replica(call.request)
    clock = runtime.clock
    await runtime.quiescence.reached(_offsets(reached or ()), wait_seconds)
    stepped_unset = isinstance(clock, SteppedClock) and not clock.set
    ran_until = runtime.timers.ran_until
    report: dict[str, Any] = {
        "service": runtime.service.name,
        "ready": not runtime.not_ready(),
        "now": None if stepped_unset else clock.now().isoformat(),
        "busy": runtime.busy,
        "topics": sorted(runtime.consumer.topics),
        "positions": runtime.consumer.positions,
        "deadlines_ran_until": None if ran_until is None else ran_until.isoformat(),
    }
    if due_until is not None and not report["busy"]:
        next_due = await runtime.store.next_due(due_until)
        report["next_due"] = None if next_due is None else next_due.isoformat()
    return report


def _offsets(positions: Iterable[str]) -> dict[str, int]:
    places = (position.rpartition(":") for position in positions)
    return {partition: int(offset) for partition, _, offset in places}


@router.put("/ops/clock")
@shows(views.ClockView)
async def step(call: Annotated[Call, OPERATING], to: Step) -> dict[str, str]:
    """Set the domain time. Only where the service was started with a stepped clock."""
    call.trail.exempt = True  # a driver's, once for each step
    clock = call.runtime.clock
    if not isinstance(clock, SteppedClock):
        raise Refused(
            "clock-is-wall",
            "This service runs on wall time.",
            hint="Start it with CARE_CLOCK=stepped to step its time.",
        )
    clock.step_to(to.now)
    return {"now": to.now.isoformat()}
