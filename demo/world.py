"""Time and the outside world of the demo: the stepped clock, quiescence, and staff who call HTTP.

Time jumps to the next instant at which anybody has something to do, but only when everything that follows from the
last one is done: nothing waits in an outbox, every topic is read to its end, every deadline due has fired. So the
same seed gives the same outcome, whatever crashes meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.event import TOPICS
from shared.decision import derive_id
from shared.devtools.issuer import LocalIssuer
from shared.errors import CareError

TRIES_SECONDS: Final = 90.0
"""How long a command is repeated while a service is away, or has not heard of its subject yet."""
QUIET_WITHIN_SECONDS: Final = 120.0
CLOCK: Final = "/ops/clock"
TOLD_WITHIN: Final = aiohttp.ClientTimeout(total=1)


class DemoError(CareError):
    """The demo can't go on: a service refuses what should be legal, or never becomes quiet."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted command, as the driver's own journal has it: the ledger's first witness.

    `expects` are the facts that must follow, as (type, subject, some of the data).
    """

    service: str
    path: str
    subject: str
    sequence: int
    expects: tuple[tuple[str, str, Mapping[str, Any]], ...]


@dataclass(slots=True)
class Journal:
    """Everything the services accepted."""

    accepted: list[Accepted] = field(default_factory=list[Accepted])
    requests: int = 0
    repeated: int = 0


Expectation = tuple[str, str, Mapping[str, Any]]
Expects = Callable[[Mapping[str, Any]], tuple[Expectation, ...]]


class Staff:
    """People of one facility at work: each call carries a token of their role and a key of its own."""

    def __init__(self, world: World, facility: str) -> None:
        self._world = world
        self.facility = facility
        self._tokens: dict[str, str] = {}

    async def does(
        self,
        role: str,
        service: str,
        path: str,
        body: Mapping[str, Any],
        *,
        who: str,
        expects: Expects | None = None,
        method: str = "POST",
    ) -> dict[str, Any]:
        """Send one command until it is accepted; journal it with the facts that must follow.

        `who` tells apart what would otherwise be the same command at the same instant.
        """
        answer = await self._world.command(method, service, path, body, self._token(role), who)
        self._world.journal.accepted.append(
            Accepted(
                service,
                path,
                answer["subject"],
                answer["sequence"],
                expects(answer) if expects else (),
            )
        )
        return answer

    async def is_refused(
        self,
        role: str,
        service: str,
        path: str,
        body: Mapping[str, Any],
        *,
        who: str,
        method: str = "POST",
    ) -> str:
        """Send one command that must be refused; returns the machine code of the refusal."""
        answer = await self._world.command(
            method, service, path, body, self._token(role), who, accept_problems=True
        )
        if "code" not in answer:
            raise DemoError("accepted", f"{method} {path} should have been refused.")
        return str(answer["code"])

    async def sees(self, role: str, service: str, path: str) -> dict[str, Any]:
        """Ask a question."""
        return await self._world.question(service, path, self._token(role))

    def _token(self, role: str) -> str:
        token = self._tokens.get(role)
        if token is None:
            actor = derive_id("demo", self.facility, role)
            token = self._world.issuer.token(self.facility, role, actor)
            self._tokens[role] = token
        return token


class World:
    """The stepped clock and everything that has to be quiet before it moves."""

    def __init__(
        self, urls: Mapping[str, str], issuer: LocalIssuer, bootstrap: str, seed: int
    ) -> None:
        self.issuer = issuer
        self.journal = Journal()
        self._urls = dict(urls)
        self._seed = seed
        self._bootstrap = bootstrap
        self._client: aiohttp.ClientSession | None = None
        operator = issuer.token("operations", "operator", derive_id("demo", "operator"))
        self._as_operator = {"Authorization": f"Bearer {operator}"}
        self._agenda: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._ties = itertools.count()
        self._awake = 0
        self._all_waiting = asyncio.Event()
        self._failure: BaseException | None = None
        self._kafka: AIOKafkaConsumer | None = None
        self.now: datetime | None = None
        self.steps = 0
        self.looks = 0
        self.records = 0
        self.on_step: Callable[[World], Awaitable[None]] | None = None
        self.tries_seconds = TRIES_SECONDS
        self.quiet_within_seconds = QUIET_WITHIN_SECONDS

    # --- people's own time -----------------------------------------------------------------------

    async def until(self, instant: datetime) -> None:
        """Wait until the domain time is `instant`."""
        if self.now is not None and instant <= self.now:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._agenda, (instant, next(self._ties), future))
        self._rest()
        await future

    def _rest(self) -> None:
        self._awake -= 1
        if self._awake == 0:
            self._all_waiting.set()

    def live(self, path: Awaitable[None]) -> asyncio.Task[None]:
        """Start somebody's path."""
        self._awake += 1
        self._all_waiting.clear()

        async def lived() -> None:
            try:
                await path
            except Exception as error:  # noqa: BLE001 - raised again by whoever steps the clock
                self._failure = self._failure or error
            finally:
                self._rest()

        return asyncio.create_task(lived())

    # --- stepping --------------------------------------------------------------------------------

    async def run(self, begin: datetime) -> None:
        """Step from instant to instant until nobody has anything left to do, and no deadline is near."""
        instant: datetime | None = begin
        next_due: datetime | None = begin
        while instant is not None:
            await self._set_clock(instant)
            if next_due is not None and next_due <= instant:
                next_due = await self.quiet()
            if await self._wake(instant):
                next_due = await self.quiet()
            self.steps += 1
            if self.on_step is not None:
                await self.on_step(self)
            instant = self._next(next_due)

    async def step_to(self, instant: datetime) -> None:
        """Step by hand: through every deadline on the way to `instant`, and until all is quiet there."""
        due = instant if self.now is None else await self.quiet(instant)
        while self.now is None or self.now < instant:
            await self._set_clock(instant if due is None else min(instant, due))
            self.steps += 1
            due = await self.quiet(instant)

    async def _listen(self) -> None:
        if self._kafka is None:
            kafka = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
            await kafka.start()
            self._kafka = kafka

    def _next(self, next_due: datetime | None) -> datetime | None:
        """Deadlines alone keep time moving only while somebody's path goes on."""
        if not self._agenda:
            return None
        planned = self._agenda[0][0]
        return planned if next_due is None else min(planned, next_due)

    async def _wake(self, instant: datetime) -> bool:
        """Let everybody act whose time has come; whether anybody did."""
        acted = False
        while self._agenda and self._agenda[0][0] <= instant:
            _, _, future = heapq.heappop(self._agenda)
            self._awake += 1
            self._all_waiting.clear()
            future.set_result(None)
            acted = True
        if self._awake:
            await self._all_waiting.wait()
        if self._failure is not None:
            raise self._failure
        return acted

    async def _set_clock(self, instant: datetime) -> None:
        self.now = instant.astimezone(UTC)  # two people may name one instant in different zones
        await asyncio.gather(*(self._put_clock(name) for name in self._urls))

    async def _put_clock(self, service: str) -> None:
        assert self.now is not None
        await self._answer(
            "PUT",
            f"{self._urls[service]}{CLOCK}",
            {"now": self.now.isoformat()},
            self._as_operator,
        )

    async def quiet(self, ahead: datetime | None = None) -> datetime | None:
        """Return when nothing is under way anywhere; the earliest deadline up to `ahead`, or to the next plan.

        A service that was idle, and has applied everything that is on its topics *now*, has had nothing to do since
        it was asked: only the others are asked again.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self.quiet_within_seconds
        horizon = self._horizon() if ahead is None else ahead
        flows: dict[str, dict[str, Any]] = {}
        open_names = list(self._urls)
        while open_names:
            self.looks += 1
            answers = await asyncio.gather(*(self._flow(name, horizon) for name in open_names))
            flows |= dict(zip(open_names, answers, strict=True))
            ends = await self.ends()
            self.records = sum(ends.values())
            open_names = [name for name, flow in flows.items() if not self._is_quiet(flow, ends)]
            if open_names and loop.time() > until:
                raise DemoError("never-quiet", f"Still busy: {', '.join(open_names)}.")
            if open_names:
                await asyncio.sleep(0.003)
        dues = [due for flow in flows.values() if (due := flow["next_due"]) is not None]
        return datetime.fromisoformat(min(dues)) if dues else None

    def _horizon(self) -> datetime:
        """The next instant somebody waits for; deadlines beyond it need not be known yet."""
        assert self.now is not None
        return self._agenda[0][0] if self._agenda else self.now

    def _is_quiet(self, flow: Mapping[str, Any], ends: Mapping[str, int]) -> bool:
        assert self.now is not None
        now, ran_until = flow["now"], flow["deadlines_ran_until"]
        if flow["busy"] or "next_due" not in flow or now is None or ran_until is None:
            return False
        due = flow["next_due"]
        return (
            datetime.fromisoformat(now) == datetime.fromisoformat(ran_until) == self.now
            and (due is None or datetime.fromisoformat(due) > self.now)
            and len(flow["positions"]) > 0
            and all(ends[partition] == at for partition, at in flow["positions"].items())
        )

    async def _flow(self, service: str, horizon: datetime) -> dict[str, Any]:
        query = f"wait_seconds=0.2&due_until={quote(horizon.isoformat())}"
        flow = await self._answer(
            "GET",
            f"{self._urls[service]}/ops/flow?{query}",
            None,
            self._as_operator,
        )
        if flow["now"] is None:  # it was restarted, and does not know the time yet
            await self._put_clock(service)
        return flow

    async def ends(self) -> dict[str, int]:
        """How far every partition reaches, by `topic/partition`."""
        await self._listen()
        assert self._kafka is not None
        partitions = [
            TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)
        ]
        ends: dict[TopicPartition, int] = await self._kafka.end_offsets(partitions)
        return {f"{tp.topic}/{tp.partition}": end for tp, end in ends.items()}

    # --- HTTP ------------------------------------------------------------------------------------

    async def command(
        self,
        method: str,
        service: str,
        path: str,
        body: Mapping[str, Any],
        token: str,
        who: str,
        *,
        accept_problems: bool = False,
    ) -> dict[str, Any]:
        """One command with one key, repeated while the service is away or has not heard enough.

        With `accept_problems` a refusal is an answer; otherwise it raises `DemoError`.
        """
        assert self.now is not None
        self.journal.requests += 1
        key = derive_id("demo", str(self._seed), who, method, path, self.now.isoformat())
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        url = f"{self._urls[service]}{path}"
        return await self._answer(method, url, body, headers, accept_problems=accept_problems)

    async def question(self, service: str, path: str, token: str) -> dict[str, Any]:
        """One question, repeated while the service is away."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self._answer("GET", f"{self._urls[service]}{path}", None, headers)

    async def _answer(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        *,
        accept_problems: bool = False,
    ) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.tries_seconds
        tries = 0
        while True:
            tries += 1
            problem = "no answer"
            try:
                async with self._http().request(
                    method, url, json=body, headers=headers
                ) as response:
                    status, problem = response.status, await response.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = type(error).__name__
            else:
                if status < 400:
                    return json.loads(problem)
                if not self._passing(status, problem):
                    if accept_problems:
                        return json.loads(problem)
                    raise DemoError("refused", f"{method} {url}: {status} {problem}")
            if loop.time() > until:
                raise DemoError("gave-up", f"{method} {url}: {problem}")
            self.journal.repeated += 1
            await asyncio.sleep(0.1)
            if not url.endswith(CLOCK) and ("clock-not-set" in problem or tries % 10 == 0):
                await self._tell_time()

    async def _tell_time(self) -> None:
        """Who was started again does not know the time: the service asked, or one that it has to hear from first.

        Told once, to whoever is there now; nobody waits here for those who are away.
        """
        assert self.now is not None
        time = {"now": self.now.isoformat()}

        async def tell(base: str) -> None:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self._http().put(
                    f"{base}{CLOCK}", json=time, headers=self._as_operator, timeout=TOLD_WITHIN
                ):
                    pass

        await asyncio.gather(*(tell(base) for base in self._urls.values()))

    @staticmethod
    def _passing(status: int, problem: str) -> bool:
        away, not_yet = 503, 409
        return status == away or (status == not_yet and "not-yet-known" in problem)

    def _http(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=40)
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._kafka is not None:
            await self._kafka.stop()
