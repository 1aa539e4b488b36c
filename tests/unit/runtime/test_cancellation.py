"""A task that is to end does end, also when a library in its middle suppresses a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiokafka.client import AIOKafkaClient

from shared.runtime import cancellation
from shared.runtime.cancellation import cancel_and_wait


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "CANCEL_AGAIN_SECONDS", 0.0)


async def for_ever(suppressed: int) -> None:
    """Runs on after so many cancellations."""
    for _ in range(suppressed):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


@pytest.mark.parametrize("suppressed", [0, 1, 2, 5])
async def test_it_cancels_until_the_task_has_ended(suppressed: int) -> None:
    task = asyncio.create_task(for_ever(suppressed))
    await asyncio.sleep(0)
    await cancel_and_wait([task])
    assert task.cancelled()


async def test_tasks_that_failed_or_ended_are_no_obstacle() -> None:
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    failing, ended = asyncio.create_task(fails()), asyncio.create_task(asyncio.sleep(0))
    await asyncio.sleep(0)
    await cancel_and_wait([failing, ended])
    assert failing.done()
    assert ended.done()


async def test_a_task_that_closes_a_kafka_client_for_ever_ends() -> None:
    """As the topic watch does: connect, look, close, and again. aiokafka suppresses what arrives while it closes."""
    closing = asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            closing.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            raise

    async def watch() -> None:
        while True:
            client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
            client._sync_task = asyncio.create_task(slow_to_end())  # type: ignore[assignment]
            await asyncio.sleep(0)
            await client.close()

    task = asyncio.create_task(watch())
    await closing.wait()
    await cancel_and_wait([task])
    assert task.done()
