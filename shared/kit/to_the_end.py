"""Reads partitions up to given ends, and gives up when Kafka falls silent before: no question waits for ever.

A partition may end with what is no message (the marker of a transaction, a hole that compaction left), so what counts
is the client's position. It may also end before the end that Kafka named, such as after an unclean election; then the
position never gets there, and nothing else would ever end the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from typing import Any, Final, Protocol, TypeVar

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

T = TypeVar("T")
POLL_MS: Final = 500
SILENT_POLLS: Final = 20
"""After so many polls in a row that move no position, Kafka is silent: ten seconds."""
ANSWERED_WITHIN_SECONDS: Final = 30.0
"""How long one poll may take at most: a client that lost its position waits for a new one without a bound."""


class BrokerSilent(KafkaError):
    """Kafka has sent nothing more of a partition, though its end is not reached."""


class Reader(Protocol):
    """The part of a consumer that is used, with partitions assigned and positions set."""

    async def position(self, partition: TopicPartition, /) -> int: ...

    def pause(self, *partitions: TopicPartition) -> None: ...

    async def getmany(
        self, *, timeout_ms: int, max_records: int | None
    ) -> Mapping[TopicPartition, list[ConsumerRecord[Any, Any]]]: ...


async def read_to(
    reader: Reader, ends: Mapping[TopicPartition, int], *, records_max: int | None = None
) -> AsyncGenerator[tuple[TopicPartition, list[ConsumerRecord[Any, Any]]]]:
    """The messages before these ends, in batches of one partition each. Raises `BrokerSilent`, `KafkaError`.

    A partition that is read to its end is paused.
    """
    left, before, silent = dict(ends), dict[TopicPartition, int](), 0
    while True:
        found = await _in_time(_positions(reader, left), left, before)
        if reached := [place for place, at in found.items() if at >= left[place]]:
            reader.pause(*reached)
        left = {place: end for place, end in left.items() if place not in reached}
        if not left:
            return
        silent = 0 if found != before else silent + 1
        before = {place: found[place] for place in left}
        if silent > SILENT_POLLS:
            raise _silent(left, before)
        poll = reader.getmany(timeout_ms=POLL_MS, max_records=records_max)
        for place, batch in (await _in_time(poll, left, before)).items():
            if wanted := [message for message in batch if message.offset < ends.get(place, 0)]:
                yield place, wanted


async def _positions(
    reader: Reader, places: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    return {place: await reader.position(place) for place in places}


async def _in_time(
    asked: Awaitable[T], left: Mapping[TopicPartition, int], at: Mapping[TopicPartition, int]
) -> T:
    try:
        async with asyncio.timeout(ANSWERED_WITHIN_SECONDS):
            return await asked
    except TimeoutError:
        raise _silent(left, at) from None


def _silent(left: Mapping[TopicPartition, int], at: Mapping[TopicPartition, int]) -> BrokerSilent:
    """Names the first partition that is not read to its end."""
    place = min(left)
    where = f"{place.topic}/{place.partition}"
    known = f"at offset {at[place]}" if place in at else "at a position that is not known"
    return BrokerSilent(f"Kafka fell silent {known} of {where}, which ends at {left[place]}.")
