"""Time and the outside world of the demo: the stepped clock, and staff who call HTTP.

Time jumps to the next instant at which anybody has something to do, but only when everything that follows from the
last one is done: nothing waits in an outbox, every topic is read to its end, every deadline due has fired. So the
same seed gives the same outcome, whatever crashes meanwhile.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from demo.journal import Accepted, Expects, Journal
from demo.quiet import Quiet, TopicEnds
from demo.services import DemoError, Services
from shared.decision import derive_id
from shared.devtools.issuer import LocalIssuer

TRIES_SECONDS: Final = 90.0
"""How long a command is repeated while a service is away, or has not heard of its subject yet."""
QUIET_WITHIN_SECONDS: Final = 120.0
PAGE: Final = 500


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

    async def lists(self, role: str, service: str, path: str, name: str) -> set[str]:
        """The episodes on a list that staff work through, page by page. `name` is its field of the answer."""
        found: set[str] = set()
        after = ""
        while True:
            page = await self.sees(role, service, f"{path}limit={PAGE}{after}")
            found.update(row["episode_id"] for row in page[name])
            if "next" not in page:
                return found
            after = f"&after={page['next']}"

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
        self,
        urls: Mapping[str, str],
        issuer: LocalIssuer,
        ends: TopicEnds,
        seed: int,
        *,
        patience_seconds: float | None = None,
    ) -> None:
        self.issuer = issuer
        self.journal = Journal()
        self._seed = seed
        self._services = Services(urls, issuer, self.journal, patience_seconds or TRIES_SECONDS)
        self._ends = ends
        self._quiet = Quiet(self._services, ends, patience_seconds or QUIET_WITHIN_SECONDS)
        self._stepping = asyncio.Lock()
        self._agenda: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._ties = itertools.count()
        self._awake = 0
        self._all_waiting = asyncio.Event()
        self._failure: BaseException | None = None
        self.now: datetime | None = None
        self.steps = 0
        self.on_step: Callable[[World], Awaitable[None]] | None = None

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
        """Step from instant to instant until nobody has anything left to do, and no deadline is near.

        The services' clocks are set only when something happens at an instant: a deadline, or a request.
        """
        instant: datetime | None = begin
        while instant is not None:
            self._go_to(instant)
            if self._is_due(instant):
                await self._settle()
            await self._wake(instant)
            if self._quiet.unsure:
                await self._settle()
            self.steps += 1
            if self.on_step is not None:
                await self.on_step(self)
            instant = self._next()

    async def step_to(self, instant: datetime) -> None:
        """Step by hand: through every deadline on the way to `instant`, and until all is quiet there."""
        if self.now is not None:
            await self.quiet()
        while self.now is None or self.now < instant:
            due = self._quiet.next_due
            self._go_to(instant if due is None else min(instant, due))
            self.steps += 1
            await self._settle()

    async def quiet(self) -> None:
        """Return when nothing is under way anywhere, even if others than this driver have called the services."""
        self._quiet.disturb(*self._services.names)
        await self._settle()

    def _go_to(self, instant: datetime) -> None:
        self.now = instant.astimezone(UTC)  # two people may name one instant in different zones

    def _is_due(self, instant: datetime) -> bool:
        """Whether a service may have something to do at this instant before anybody sends a request."""
        due = self._quiet.next_due
        return bool(self._quiet.unsure) or (due is not None and due <= instant)

    async def _settle(self) -> None:
        assert self.now is not None
        await self._set_clock()
        await self._quiet.settle(self.now)

    async def _set_clock(self) -> None:
        """Set the services' clocks to this instant, once."""
        assert self.now is not None
        async with self._stepping:
            if self._services.clock != self.now:
                await self._services.step_to(self.now)
                self._quiet.stepped_to(self.now)

    def _next(self) -> datetime | None:
        """Deadlines alone keep time moving only while somebody's path goes on."""
        if not self._agenda:
            return None
        planned, due = self._agenda[0][0], self._quiet.next_due
        return planned if due is None else min(planned, due)

    async def _wake(self, instant: datetime) -> None:
        """Let everybody act whose time has come."""
        while self._agenda and self._agenda[0][0] <= instant:
            _, _, future = heapq.heappop(self._agenda)
            self._awake += 1
            self._all_waiting.clear()
            future.set_result(None)
        if self._awake:
            await self._all_waiting.wait()
        if self._failure is not None:
            raise self._failure

    async def ends(self) -> Mapping[str, int]:
        """How far every partition reaches, by `topic/partition`."""
        return await self._ends.read()

    @property
    def looks(self) -> int:
        """How often the ends of all topics were read."""
        return self._quiet.looks

    @property
    def polls(self) -> int:
        """How often a replica was polled until it was quiet."""
        return self._quiet.polls

    @property
    def records(self) -> int:
        """Events on all topics, as of the last look."""
        return self._quiet.records

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
        """One command with one key, repeated while the service is away or lacks an event that the command needs.

        With `accept_problems` a refusal is an answer; otherwise it raises `DemoError`.
        """
        assert self.now is not None
        self.journal.requests += 1
        key = derive_id("demo", str(self._seed), who, method, path, self.now.isoformat())
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        await self._set_clock()
        self._quiet.disturb(service)
        return await self._services.call(
            method, service, path, headers, body, accept_problems=accept_problems
        )

    async def question(self, service: str, path: str, token: str) -> dict[str, Any]:
        """One question, repeated while the service is away. A read of personal data is logged, so it disturbs too."""
        await self._set_clock()
        self._quiet.disturb(service)
        headers = {"Authorization": f"Bearer {token}"}
        return await self._services.call("GET", service, path, headers)

    async def close(self) -> None:
        await self._services.close()
        await self._ends.close()
