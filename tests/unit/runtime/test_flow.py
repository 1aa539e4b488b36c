"""`GET /ops/flow` as a long poll: for operators, bounded in time, answered at once when the replica is quiet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.plans.app import SERVICE
from shared.devtools.issuer import LocalIssuer
from shared.runtime.clock import SteppedClock
from shared.runtime.service import create_app
from shared.runtime.settings import ServiceSettings

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
DUE = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
ISSUER = LocalIssuer()
EVER = "9999-01-01T00:00:00+00:00"


class Runtime:
    """What the endpoint looks at."""

    def __init__(self, *, busy: bool = False) -> None:
        self.service = SERVICE
        self.settings = ServiceSettings()
        self.clock = SteppedClock()
        self.clock.step_to(NOW)
        self.busy = busy
        self.timers = SimpleNamespace(ran_until=NOW)
        self.consumer = SimpleNamespace(
            positions={"care.intake/3": 7}, topics=SERVICE.reactions.topics
        )
        self.quiescence = self.store = self.audit = self
        self.waited_for: list[tuple[Mapping[str, int], float]] = []

    async def write(self, entries: Any) -> None: ...

    def count_anonymous(self, code: str) -> None: ...

    def not_ready(self) -> list[str]:
        return []

    async def reached(self, positions: Mapping[str, int], within_seconds: float) -> bool:
        self.waited_for.append((positions, within_seconds))
        return not self.busy

    async def next_due(self, _until: datetime) -> datetime:
        return DUE


def asked(runtime: Runtime, query: str, role: str = "operator") -> tuple[int, dict[str, Any]]:
    app = create_app(SERVICE, ServiceSettings.model_validate({"jwks": ISSUER.jwks}))
    app.state.runtime = runtime
    token = ISSUER.token("operations", role)
    client = TestClient(app)  # never entered, so that nothing is started
    answer = client.get(f"/ops/flow?{query}", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


def test_it_waits_for_the_positions_that_it_is_asked_to_reach() -> None:
    runtime = Runtime()
    query = f"wait_seconds=0.5&reached=care.intake/3:7&reached=care.followup/11:0&due_until={EVER}"
    status, told = asked(runtime, query.replace("+", "%2B"))
    assert status == 200
    assert runtime.waited_for == [({"care.intake/3": 7, "care.followup/11": 0}, 0.5)]
    assert told == {
        "service": "plans",
        "ready": True,
        "now": NOW.isoformat(),
        "busy": False,
        "topics": sorted(SERVICE.reactions.topics),
        "positions": {"care.intake/3": 7},
        "deadlines_ran_until": NOW.isoformat(),
        "next_due": DUE.isoformat(),
    }


def test_without_a_time_it_does_not_wait() -> None:
    runtime = Runtime()
    assert asked(runtime, "")[0] == 200
    assert runtime.waited_for == [({}, 0)]


def test_who_is_still_busy_says_so_and_names_no_deadline() -> None:
    told = asked(Runtime(busy=True), f"due_until={EVER}".replace("+", "%2B"))[1]
    assert told["busy"]
    assert "next_due" not in told


@pytest.mark.parametrize(
    "query",
    [
        "wait_seconds=1.01",
        "wait_seconds=-1",
        "wait_seconds=nan",
        "reached=care.intake:7",
        "reached=care.intake/3",
        "reached=care.intake/3:-1",
        "reached=care.intake/3:1e3",
        "reached=",
        "&".join(["reached=care.intake/3:7"] * 201),
    ],
)
def test_a_wait_without_bounds_and_a_place_that_is_none_are_refused(query: str) -> None:
    runtime = Runtime()
    assert asked(runtime, query)[0] == 422
    assert runtime.waited_for == []


@pytest.mark.parametrize("role", ["counselor", "clinician", "case_manager"])
def test_only_operators_may_ask(role: str) -> None:
    assert asked(Runtime(), "", role)[0] == 403
