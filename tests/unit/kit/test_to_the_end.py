"""Partitions are read up to their ends, and a Kafka that falls silent ends the question, whatever it did before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from hypothesis import given
from hypothesis import strategies as st

from shared.kit import to_the_end
from shared.kit.to_the_end import SILENT_POLLS, BrokerSilent, read_to

ONE = TopicPartition("care.intake", 1)
TWO = TopicPartition("care.intake", 2)
MARKER = 0
"""In what a poll brings: an offset that holds no message."""


class Client:
    """Brings, with each poll, what stands next for it: how many messages of a partition; `MARKER` passes one offset.

    Afterwards it is silent.
    """

    def __init__(self, polls: Sequence[Mapping[TopicPartition, int]]) -> None:
        self.polls = list(polls)
        self.at: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.asked = 0

    async def position(self, place: TopicPartition) -> int:
        return self.at.get(place, 0)

    def pause(self, *places: TopicPartition) -> None:
        self.paused |= set(places)

    async def getmany(self, **_how: object) -> Mapping[TopicPartition, list[Any]]:
        self.asked += 1
        found: dict[TopicPartition, list[Any]] = {}
        for place, count in (self.polls.pop(0) if self.polls else {}).items():
            at = self.at.get(place, 0)
            self.at[place] = at + (count or 1)
            if count:
                found[place] = [SimpleNamespace(offset=at + n) for n in range(count)]
        return found


async def offsets(client: Any, ends: Mapping[TopicPartition, int]) -> list[tuple[int, int]]:
    return [
        (place.partition, message.offset)
        async for place, batch in read_to(client, ends)
        for message in batch
    ]


ENDED = {
    "nothing is there": ([], {ONE: 0}, []),
    "more comes than was there": ([{ONE: 5}], {ONE: 3}, [(1, 0), (1, 1), (1, 2)]),
    "a marker at its end": ([{ONE: 1}, {ONE: MARKER}], {ONE: 2}, [(1, 0)]),
    "markers only": ([{ONE: MARKER}] * 4, {ONE: 4}, []),
    "one is longer": ([{TWO: 1}, {ONE: 2}], {ONE: 2, TWO: 1}, [(2, 0), (1, 0), (1, 1)]),
    "a long pause, and then the rest": ([{}] * SILENT_POLLS + [{ONE: 1}], {ONE: 1}, [(1, 0)]),
    "pauses between all": (
        [{}, {ONE: 1}, {}, {ONE: MARKER}, {}, {ONE: 1}],
        {ONE: 3},
        [(1, 0), (1, 2)],
    ),
}


@pytest.mark.parametrize(("polls", "ends", "wanted"), ENDED.values(), ids=ENDED)
async def test_it_ends_where_the_partitions_ended(
    polls: Any, ends: Mapping[TopicPartition, int], wanted: list[tuple[int, int]]
) -> None:
    client = Client(polls)
    assert await offsets(client, ends) == wanted
    assert client.paused == ends.keys()


SILENT = {
    "from the beginning": ([], {ONE: 1}, "at offset 0 of care.intake/1, which ends at 1"),
    "in the middle": ([{ONE: 2}], {ONE: 5}, "at offset 2 of care.intake/1, which ends at 5"),
    "after markers only": ([{ONE: MARKER}] * 3, {ONE: 9}, "at offset 3 of care.intake/1"),
    "short of the end": ([{ONE: 8}], {ONE: 9}, "at offset 8 of care.intake/1, which ends at 9"),
    "one partition of two": (
        [{ONE: 2}, {TWO: 1}],
        {ONE: 2, TWO: 7},
        "at offset 1 of care.intake/2",
    ),
    "while others' messages come": (
        [{ONE: 1}] + [{TWO: 1}] * 2,
        {ONE: 4, TWO: 2},
        "at offset 1 of care.intake/1",
    ),
}


@pytest.mark.parametrize(("polls", "ends", "words"), SILENT.values(), ids=SILENT)
async def test_silence_ends_it_and_says_where(
    polls: Any, ends: Mapping[TopicPartition, int], words: str
) -> None:
    client = Client(polls)
    with pytest.raises(BrokerSilent, match=words):
        await offsets(client, ends)
    assert client.asked <= len(polls) + SILENT_POLLS + 1


async def test_a_client_that_waits_for_a_position_for_ever_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So does aiokafka where the offset is gone and the leader does not answer."""
    monkeypatch.setattr(to_the_end, "ANSWERED_WITHIN_SECONDS", 0.01)
    client = Client([])

    async def waits(place: TopicPartition) -> int:
        await asyncio.Event().wait()
        raise AssertionError(place)

    client.position = waits
    with pytest.raises(BrokerSilent, match="at a position that is not known"):
        await offsets(client, {ONE: 1})


async def test_what_the_client_raises_is_passed_on() -> None:
    client = Client([])

    async def raises(**_how: object) -> Mapping[TopicPartition, list[Any]]:
        raise KafkaConnectionError

    client.getmany = raises
    with pytest.raises(KafkaConnectionError):
        await offsets(client, {ONE: 1})


@given(
    st.lists(st.dictionaries(st.sampled_from([ONE, TWO]), st.integers(0, 3)), max_size=30),
    st.dictionaries(st.sampled_from([ONE, TWO]), st.integers(0, 9), min_size=1),
)
async def test_it_always_ends(polls: Any, ends: Mapping[TopicPartition, int]) -> None:
    """Either everything before the ends was given once and in order, or it says that Kafka fell silent."""
    client, seen = Client(polls), list[tuple[int, int]]()
    try:
        seen = await offsets(client, ends)
    except KafkaError:
        assert any(client.at.get(place, 0) < end for place, end in ends.items())
    else:
        assert all(client.at.get(place, 0) >= end for place, end in ends.items())
    assert client.asked <= len(polls) + SILENT_POLLS + 1
    assert all(offset < ends[TopicPartition("care.intake", n)] for n, offset in seen)
    assert len(seen) == len(set(seen))
