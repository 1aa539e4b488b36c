"""A partition is read up to its end, and a broker that falls silent ends the question."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.errors import Unavailable
from shared.runtime.kafka import scan as module
from shared.runtime.kafka.scan import scan
from tests.unit.support import settings_for

PLACE = TopicPartition("care.out.billing", 3)


class Consumer:
    """A broker's partition: each answer is how many messages come at once; `marker` ends it without one."""

    def __init__(self, answers: list[int], end: int, *, marker: bool = False) -> None:
        self.answers = answers
        self.end = end
        self.marker = marker
        self.at = 0
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    async def end_offsets(self, _places: object) -> Mapping[TopicPartition, int]:
        return {PLACE: self.end}

    async def beginning_offsets(self, _places: object) -> Mapping[TopicPartition, int]:
        return {PLACE: 0}

    def assign(self, _places: object) -> None: ...

    def seek(self, _place: object, offset: int) -> None:
        self.at = offset

    def pause(self, *_places: object) -> None: ...

    async def position(self, _place: object) -> int:
        return self.at

    async def getmany(self, **_how: object) -> Mapping[TopicPartition, list[Any]]:
        count = self.answers.pop(0) if self.answers else 0
        found = [SimpleNamespace(offset=self.at + n) for n in range(count)]
        self.at += count
        if not count and self.marker:
            self.at = self.end
        return {PLACE: found} if found else {}


async def read(consumer: Consumer, monkeypatch: pytest.MonkeyPatch, begin: int = 0) -> list[int]:
    monkeypatch.setattr(module, "new_consumer", lambda *_a, **_k: consumer)
    place = (PLACE.topic, PLACE.partition)
    return [m.offset async for batch in scan(settings_for("outlet"), place, begin) for m in batch]


async def test_it_ends_where_the_partition_ended_at_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer([2, 9], end=5)
    assert await read(consumer, monkeypatch, begin=1) == [1, 2, 3, 4]
    assert consumer.stopped


async def test_a_marker_at_the_end_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read(Consumer([2], end=3, marker=True), monkeypatch) == [0, 1]


async def test_a_broker_that_falls_silent_ends_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer([2], end=5)
    with pytest.raises(Unavailable):
        await read(consumer, monkeypatch)
    assert consumer.stopped
