"""A background task that meets what nobody foresaw: said, red, and begun again with what it had in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from services.plans.app import SERVICE
from shared.runtime import retry
from shared.runtime.core.relay import Relay
from shared.runtime.service import Runtime
from shared.runtime.settings import ServiceSettings
from shared.testing.fakes import MemoryPublisher, MemoryStore

SUBJECT = "episode/0b5e5d4e-6a57-4d3c-8a53-6d9e6c1f1a11"
ENTRY = {"sequence": 1, "headers": {"ce_type": "care.plans.goal-updated.v1"}, "data": b"{}"}


@pytest.fixture
async def runtime(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)
    it = Runtime(SERVICE, ServiceSettings())
    yield it
    await it.store.close()


class _Buggy(MemoryPublisher):
    """Fails as no publisher may, the first few times."""

    left = 3

    async def publish(self, waiting: Mapping[str, Any]) -> None:
        if self.left:
            self.left -= 1
            raise RuntimeError("a bug")
        await super().publish(waiting)


async def test_a_relay_that_fails_is_red_is_begun_again_and_has_lost_nothing(
    runtime: Runtime,
) -> None:
    publisher = _Buggy()
    relay = Relay(MemoryStore(SERVICE.kinds), publisher, runtime.metrics, 10)
    relay.enqueue(SUBJECT, [ENTRY])
    task = asyncio.create_task(runtime._for_ever("relay", relay.run))
    red = False
    while not relay.idle:
        red = red or "relay-failing" in runtime.not_ready()
        await asyncio.sleep(0)
    assert red
    assert "relay-failing" not in runtime.not_ready()
    assert len(publisher.topic.messages) == 1
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _connects(runtime: Runtime, failures: list[BaseException]) -> bool:
    """A start that meets these, one after another, and then succeeds."""

    async def connect() -> bool:
        if failures:
            raise failures.pop(0)
        return True

    return await runtime._supervised("start", connect)


@pytest.mark.parametrize("met", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_a_start_is_begun_again_whatever_it_met(runtime: Runtime, met: BaseException) -> None:
    """A client that awaits a cancelled task of its own raises `CancelledError` in a task that nobody has cancelled."""
    assert await _connects(runtime, [met, met])
    assert "start-failing" not in runtime.not_ready()


async def test_who_is_asked_to_end_ends(runtime: Runtime) -> None:
    task = asyncio.create_task(runtime._supervised("start", asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
