"""Who publishes at the same time shares one producer, and none is left open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.contracts.topics import TOPICS
from shared.runtime.kafka import producer as module
from shared.runtime.kafka.producer import KafkaPublisher
from tests.unit.support import settings_for

ENTRIES: dict[str, Any] = {"episode/1": [{"data": b"{}", "headers": {}, "sequence": 1}]}


class Producer:
    """A producer that takes a while to start."""

    def __init__(self) -> None:
        self.open = False
        self.sent = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.open = True

    async def stop(self) -> None:
        self.open = False

    async def send(self, *_message: Any, **_options: Any) -> asyncio.Future[None]:
        self.sent += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def test_two_who_publish_at_once_share_one_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of records and links of the audit go to one journal, by tasks of their own."""
    made: list[Producer] = []

    def new_producer(*_arguments: Any, **_settings: Any) -> Producer:
        made.append(Producer())
        return made[-1]

    monkeypatch.setattr(module, "new_producer", new_producer)
    monkeypatch.setattr(module, "wire_headers", lambda _entry: [])
    publisher = KafkaPublisher(settings_for("plans"), TOPICS["care.plans"])
    await asyncio.gather(*(publisher.publish(ENTRIES) for _ in range(5)))
    assert [one.sent for one in made] == [5]
    await publisher.stop()
    assert not any(one.open for one in made)
