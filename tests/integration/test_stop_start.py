"""Processes that are asked to stop under load, and start again: how long it takes, and that nothing is told twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from time import monotonic
from urllib.request import urlopen

import pytest

from shared.devtools.backends import Backend
from shared.devtools.stack import ServiceProcess
from tests.integration.bus import Bus, until
from tests.integration.redriven import admission, episode
from tests.integration.test_consumer import all_applied, all_said, plans_service, ready, store_of
from tests.integration.told import published, telling

LIVES = 4
STOPPED_WITHIN_SECONDS = 5.0
GENEROUSLY = 15.0
"""What the test insists on, on a machine that does other things too; the figure it prints is to be below five."""


class _Sent:
    """Admissions, one after the other, as long as it takes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.subjects: list[str] = []
        self.enough = asyncio.Event()
        self.last = 1

    async def on(self) -> None:
        while not self.enough.is_set():
            name = episode()
            self.subjects.append(name)
            await self._bus.say(admission(), name, 1)
            await asyncio.sleep(0.005)


def _work(process: ServiceProcess) -> dict[str, int]:
    """What this process has done with events: how many applied, how many known already."""
    with urlopen(f"{process.url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    line = r'^care_work_total\{kind="event",status="(\w+)"\} (\S+)$'
    return {status: int(float(n)) for status, n in re.findall(line, text, re.MULTILINE)}


@pytest.mark.long
async def test_sigterm_under_load_drains_within_seconds_and_nothing_is_told_twice(
    backend: Backend, bus: Bus, prefix: str, record_property: Callable[[str, object], None]
) -> None:
    """Every record is heard by one process and by no other; every event is on the topic once, even counting repeats."""
    sent, stops, starts = _Sent(bus), list[float](), list[float]()
    async with store_of(backend, prefix) as store:
        with plans_service(backend, prefix) as stack:
            process = stack.one("plans")
            await ready(process)
            done = {"applied": 0, "duplicate": 0}

            async def count() -> None:
                for status, number in (await asyncio.to_thread(_work, process)).items():
                    done[status] = done.get(status, 0) + number

            async def some() -> bool:
                return (await asyncio.to_thread(_work, process)).get("applied", 0) > 20

            async with telling(sent.on()):
                for _ in range(LIVES):
                    await until(some, what="work under way", limit_s=60)
                    await count()
                    before = monotonic()
                    await asyncio.to_thread(process.stop)
                    stops.append(monotonic() - before)
                    assert process.ended_well, "it ended by itself"
                    before = monotonic()
                    process.start()
                    await ready(process)
                    starts.append(monotonic() - before)
                sent.enough.set()
            await all_applied(store, sent)  # type: ignore[arg-type] - it asks for subjects alone
            await all_said(backend, sent)  # type: ignore[arg-type] - it asks for subjects alone
            await count()
    said = {name: len(told) for name, told in (await published(backend.kafka)).items()}
    seconds = {"stop": [round(s, 2) for s in stops], "start": [round(s, 2) for s in starts]}
    for name, value in {**seconds, "events": len(sent.subjects)}.items():
        record_property(name, value)
        print(f"{name}: {value}")  # noqa: T201 - `pytest -rP` shows it
    assert done["duplicate"] == 0
    assert set(said.values()) == {1}
    assert max(stops) < GENEROUSLY, f"wanted {STOPPED_WITHIN_SECONDS} s"
