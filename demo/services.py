"""HTTP to the services: every request is repeated while a service is away, and all services share one stepped clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from demo.client import Answer, Client, NoAnswer
from demo.journal import Journal
from demo.quiet import Flow
from shared.decision import derive_id
from shared.devtools.issuer import LocalIssuer
from shared.errors import CareError

CLOCK: Final = "/ops/clock"
FLOW: Final = "/ops/flow"
REPEAT_AFTER_SECONDS: Final = 0.1
CLOCK_WITHIN_SECONDS: Final = 1.0
POLL_SECONDS: Final = 1.0
"""How long one long poll lasts at most."""
EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


class DemoError(CareError):
    """The demo can't go on: a service refuses what should be legal, or never becomes quiet."""


class Services:
    """All replicas of all services, by name. A request is repeated for at most `patience_seconds`."""

    def __init__(
        self,
        urls: Mapping[str, str],
        issuer: LocalIssuer,
        journal: Journal,
        patience_seconds: float,
    ) -> None:
        self.names = tuple(urls)
        self.clock: datetime | None = None
        """The domain time that every service was last set to; None before the first."""
        self._urls = dict(urls)
        self._journal = journal
        self._patience_seconds = patience_seconds
        self._client = Client()
        operator = issuer.token("operations", "operator", derive_id("demo", "operator"))
        self._as_operator = {"Authorization": f"Bearer {operator}"}

    async def call(
        self,
        method: str,
        name: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        accept_problems: bool = False,
    ) -> dict[str, Any]:
        """Send one request, and repeat it while the service is away or has not yet applied what the request refers to.

        With `accept_problems` a refusal is returned as an answer; otherwise it raises `DemoError`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_seconds
        url = f"{self._urls[name]}{path}"
        tries = 0
        while True:
            tries += 1
            try:
                answer = await self._client.send(method, url, headers, body)
            except NoAnswer as error:
                problem = str(error)
            else:
                problem = answer.text
                if answer.status < 400 or (accept_problems and not _passing(answer)):
                    return json.loads(answer.text)
                if not _passing(answer):
                    raise DemoError("refused", f"{method} {url}: {answer.status} {problem}")
            if loop.time() > until:
                raise DemoError("gave-up", f"{method} {url}: {problem}")
            self._journal.repeated += 1
            await asyncio.sleep(REPEAT_AFTER_SECONDS)
            if path != CLOCK and ("clock-not-set" in problem or tries % 10 == 0):
                await self._set_clock_once()

    # --- the clock -------------------------------------------------------------------------------

    async def step_to(self, now: datetime) -> None:
        """Set the clock of every service, and return when all have it."""
        self.clock = now
        await asyncio.gather(*(self._set_clock(name) for name in self.names))

    async def _set_clock(self, name: str) -> None:
        await self.call("PUT", name, CLOCK, self._as_operator, self._time)

    @property
    def _time(self) -> Mapping[str, str]:
        assert self.clock is not None
        return {"now": self.clock.isoformat()}

    async def _set_clock_once(self) -> None:
        """Try to set every clock: a restarted service has none, and the one that was called may wait for its events.

        A service that does not answer is left out; its clock is set at the next try.
        """
        if self.clock is None:
            return

        async def try_to_set(base: str) -> None:
            with suppress(NoAnswer):
                await self._client.send(
                    "PUT",
                    f"{base}{CLOCK}",
                    self._as_operator,
                    self._time,
                    within_seconds=CLOCK_WITHIN_SECONDS,
                )

        await asyncio.gather(*(try_to_set(base) for base in self._urls.values()))

    # --- quiescence ------------------------------------------------------------------------------

    async def flow(self, name: str, reached: Mapping[str, int]) -> Flow:
        """Long-poll one replica until it is quiet and has applied everything before `reached`; see `POLL_SECONDS`."""
        query = [f"wait_seconds={POLL_SECONDS}", f"due_until={quote(EVER.isoformat())}"]
        query += [f"reached={quote(f'{partition}:{at}')}" for partition, at in reached.items()]
        report = await self.call("GET", name, f"{FLOW}?{'&'.join(query)}", self._as_operator)
        if report["now"] is None:  # it was restarted: its clock is not set
            await self._set_clock(name)
        return Flow.read(report)

    async def close(self) -> None:
        await self._client.close()


def _passing(answer: Answer) -> bool:
    """Whether a refusal is temporary: the service is away, or an event about the subject has not reached it yet."""
    away, not_yet = 503, 409
    return answer.status == away or (answer.status == not_yet and "not-yet-known" in answer.text)
