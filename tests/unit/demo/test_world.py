"""How the driver steps: who is told what time it is, and when; and what becomes of a request meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from demo import services
from demo.client import Answer, Client, NoAnswer
from demo.quiet import TopicEnds
from demo.services import DemoError
from demo.world import Staff, World
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.devtools.issuer import LocalIssuer

BEGIN = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
NAMES = ("intake", "plans", "attendance", "followup")
ISSUER = LocalIssuer()
HOUR = timedelta(hours=1)
TURNS = 20
"""How long an answer takes, in turns of the event loop."""


class Stand(Client):
    """Stands in for four services that are always quiet, and writes down what each is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.clocks: dict[str, str] = {}
        self.due: dict[str, datetime] = {}
        self.answers: list[Answer | NoAnswer] = []
        """What the next commands are answered; then they are accepted."""
        self.within = self.most = 0

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        within_seconds: float = 0,
    ) -> Answer:
        del headers, within_seconds
        name, _, path = url.removeprefix("http://").partition("/")
        self.sent.append((method, name, path.partition("?")[0]))
        self.within += 1
        self.most = max(self.most, self.within)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        self.within -= 1
        if path == "ops/clock":
            assert body is not None
            self.clocks[name] = body["now"]
            if self.due.get(name, BEGIN) > BEGIN and self.now(name) >= self.due[name]:
                del self.due[name]
            return Answer(200, "{}")
        if path.startswith("ops/flow"):
            return Answer(200, self._flow(name))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, NoAnswer):
                raise answer
            return answer
        return Answer(200, '{"subject": "episode/1", "sequence": 1}')

    def now(self, name: str) -> datetime:
        return datetime.fromisoformat(self.clocks[name])

    def _flow(self, name: str) -> str:
        now = self.clocks.get(name)
        told: dict[str, Any] = {
            "service": name,
            "now": now,
            "deadlines_ran_until": now,
            "busy": False,
            "topics": ["care.intake"],
            "positions": {f"care.intake/{n}": 0 for n in range(PARTITIONS)},
            "next_due": self.due[name].isoformat() if name in self.due else None,
        }
        return json.dumps(told)

    async def close(self) -> None: ...

    def of(self, *paths: str) -> list[str]:
        """Who was sent requests to these paths, in order."""
        return [name for _, name, path in self.sent if path in paths]


class NoEvents:
    async def read(self) -> Mapping[str, int]:
        return {f"{t}/{n}": 0 for t in TOPICS for n in range(PARTITIONS)}

    async def close(self) -> None: ...


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand()
    monkeypatch.setattr(services, "Client", lambda: stand)
    monkeypatch.setattr(services, "REPEAT_AFTER_SECONDS", 0.0)
    return stand


@pytest.fixture
def world(stand: Stand) -> World:
    urls = {name: f"http://{name}" for name in NAMES}
    return World(urls, ISSUER, cast("TopicEnds", NoEvents()), seed=1, patience_seconds=5)


async def play(world: World, *paths: Callable[[], Awaitable[None]]) -> None:
    lives = [world.live(path()) for path in paths]
    await asyncio.sleep(0)
    await world.run(BEGIN)
    await asyncio.gather(*lives)


async def test_an_instant_at_which_nobody_acts_is_told_to_nobody(
    world: World, stand: Stand
) -> None:
    async def waits() -> None:
        for hours in range(1, 6):
            await world.until(BEGIN + hours * HOUR)

    await play(world, waits)
    assert world.steps == 6
    assert stand.of("ops/clock") == list(NAMES), "the first instant alone"
    assert stand.of("ops/flow") == list(NAMES)


async def test_commands_of_one_instant_go_out_together_when_all_know_the_time(
    world: World, stand: Stand
) -> None:
    staff = Staff(world, "harbor-iop")

    async def acts(who: str) -> None:
        await world.until(BEGIN + HOUR)
        stand.most = 0
        await staff.does("counselor", "plans", "/plans", {}, who=who)

    await play(world, *(lambda who=who: acts(who) for who in "abcdef"))
    assert stand.of("plans") == ["plans"] * 6
    first = stand.sent.index(("POST", "plans", "plans"))
    told = [name for method, name, path in stand.sent[:first] if path == "ops/clock"]
    assert sorted(told) == sorted(NAMES * 2), "once for each instant"
    assert stand.most == 6
    assert stand.of("ops/flow") == [*NAMES, "plans"], "only who was sent something is asked again"


async def test_a_deadline_is_stepped_to_and_only_its_service_is_asked(
    world: World, stand: Stand
) -> None:
    stand.due["attendance"] = BEGIN + HOUR
    seen: list[tuple[datetime | None, int]] = []

    async def step(now: World) -> None:
        seen.append((now.now, len(stand.of("ops/flow"))))

    world.on_step = step

    async def waits() -> None:
        await world.until(BEGIN + 2 * HOUR)

    await play(world, waits)
    assert seen == [(BEGIN, 4), (BEGIN + HOUR, 5), (BEGIN + 2 * HOUR, 5)]
    assert stand.of("ops/flow")[-1] == "attendance"
    assert all(stand.now(name) == BEGIN + HOUR for name in NAMES)


async def test_stepping_by_hand_goes_through_every_deadline_on_the_way(
    world: World, stand: Stand
) -> None:
    await world.step_to(BEGIN)
    stand.due["plans"] = BEGIN + HOUR
    await world.step_to(BEGIN + 3 * HOUR)
    assert world.steps == 3
    assert world.now == BEGIN + 3 * HOUR
    assert all(stand.now(name) == world.now for name in NAMES)


async def test_who_asks_whether_all_is_quiet_has_everybody_asked(
    world: World, stand: Stand
) -> None:
    """A test may have called the services by itself."""
    await world.step_to(BEGIN)
    stand.sent.clear()
    await world.quiet()
    assert stand.of("ops/flow") == list(NAMES)


@pytest.mark.parametrize(
    "passing",
    [
        NoAnswer("ConnectionRefusedError"),
        Answer(503, '{"code": "starting"}'),
        Answer(409, '{"code": "not-yet-known"}'),
    ],
)
async def test_what_passes_by_itself_is_repeated(
    world: World, stand: Stand, passing: Answer | NoAnswer
) -> None:
    await world.step_to(BEGIN)
    stand.answers = [passing, passing]
    answer = await Staff(world, "harbor-iop").does("counselor", "plans", "/plans", {}, who="a")
    assert answer["sequence"] == 1
    assert world.journal.repeated == 2
    assert world.journal.requests == 1
    assert len(world.journal.accepted) == 1


async def test_who_was_started_again_is_told_the_time(world: World, stand: Stand) -> None:
    await world.step_to(BEGIN)
    stand.clocks.clear()
    stand.answers = [Answer(503, '{"code": "clock-not-set"}')]
    await Staff(world, "harbor-iop").does("counselor", "plans", "/plans", {}, who="a")
    assert all(stand.now(name) == BEGIN for name in NAMES)


async def test_a_refusal_ends_the_run_unless_it_is_what_is_asked_for(
    world: World, stand: Stand
) -> None:
    await world.step_to(BEGIN)
    staff = Staff(world, "harbor-iop")
    refusal = Answer(409, '{"code": "group-full"}')
    stand.answers = [refusal]
    with pytest.raises(DemoError, match="group-full"):
        await staff.does("counselor", "plans", "/plans", {}, who="a")
    stand.answers = [refusal]
    assert await staff.is_refused("counselor", "plans", "/plans", {}, who="a") == "group-full"


async def test_a_failure_on_somebodys_path_ends_the_run(world: World, stand: Stand) -> None:
    stand.answers = [Answer(422, '{"code": "invalid"}')]

    async def acts() -> None:
        await world.until(BEGIN)
        await Staff(world, "harbor-iop").does("counselor", "plans", "/plans", {}, who="a")

    with pytest.raises(DemoError, match="invalid"):
        await play(world, acts)
