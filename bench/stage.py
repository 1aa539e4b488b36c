"""Telling and watching: the recording goes to the input topic, and effects are waited for on the output topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.field import BenchError
from bench.recording import ATTENDANCE, Sent, effects_of
from shared.contracts.topics import PARTITIONS
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.connection import client_options

OUTPUT: Final = "care.plans"
BATCH_BYTES: Final = 512 * 1024
TICK_SECONDS: Final = 0.002
SILENCE_SECONDS: Final = 30.0
"""A contestant that has no effect for so long does not do its work."""


class Stage:
    """One producer of the input and one reader of the output, for one contestant's turn."""

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._producer = cast("Any", producer)  # batches made by hand are not in our stubs
        self._consumer = consumer
        self._waiting: set[tuple[str, str]] = set()
        self._sent_at: dict[str, float] = {}
        self._done = asyncio.Event()
        self._heard_at = 0.0
        self.repeats = 0
        self.latencies: list[float] = []

    async def watch(self) -> None:
        """Take note of every effect as it becomes visible."""
        while True:
            batches = await self._consumer.getmany(timeout_ms=1_000)
            now = perf_counter()
            for batch in batches.values():
                for record in batch:
                    self._see(dict(record.headers), now)

    def _see(self, headers: dict[str, bytes], now: float) -> None:
        cause = headers["ce_causationid"].decode()
        effect = (cause, headers["ce_type"].decode())
        if effect not in self._waiting:
            self.repeats += 1
            return
        self._waiting.discard(effect)
        self._heard_at = now
        if cause in self._sent_at:
            self.latencies.append(now - self._sent_at[cause])
        if not self._waiting:
            self._done.set()

    async def all_seen(self) -> float:
        """Wait for all effects; returns when the last one was seen. Raises when nothing moves any more."""
        self._heard_at = max(self._heard_at, perf_counter())
        while not self._done.is_set():
            try:
                await asyncio.wait_for(self._done.wait(), 1.0)
            except TimeoutError:
                if perf_counter() - self._heard_at > SILENCE_SECONDS:
                    raise BenchError(
                        "effects-missing", f"{len(self._waiting)} effects did not come."
                    ) from None
        return self._heard_at

    def _expect(self, records: Sequence[Sent]) -> None:
        self._waiting = effects_of(records)
        self._sent_at, self.latencies = {}, []
        self._done.clear()

    async def at_once(self, records: Sequence[Sent]) -> float:
        """Publish all of it as fast as it goes, from batches made before; returns when it began."""
        self._expect(records)
        batches = [(p, batch) for p, batch in self._batches(records)]
        began = perf_counter()
        sent = [await self._producer.send_batch(b, ATTENDANCE, partition=p) for p, b in batches]
        await asyncio.gather(*sent)
        return began

    def _batches(self, records: Sequence[Sent]) -> Iterator[tuple[int, Any]]:
        builders: dict[int, Any] = {p: self._producer.create_batch() for p in range(PARTITIONS)}
        for sent in records:
            builder = builders[sent.partition]
            key, at = sent.subject.encode(), None
            if (
                builder.append(key=key, value=sent.value, timestamp=at, headers=sent.headers)
                is None
            ):
                builder.close()
                yield sent.partition, builder
                builder = builders[sent.partition] = self._producer.create_batch()
                builder.append(key=key, value=sent.value, timestamp=at, headers=sent.headers)
        for partition, builder in builders.items():
            if builder.record_count():
                builder.close()
                yield partition, builder

    async def paced(self, records: Sequence[Sent], per_second: float) -> None:
        """Publish so many a second, and note when each that has an effect was sent."""
        self._expect(records)
        began, at = perf_counter(), 0
        while at < len(records):
            due = min(len(records), int((perf_counter() - began) * per_second) + 1)
            for sent in records[at:due]:
                if sent.effects:
                    self._sent_at[sent.id] = perf_counter()
                await self._producer.send(
                    ATTENDANCE,
                    sent.value,
                    sent.subject.encode(),
                    sent.partition,
                    headers=sent.headers,
                )
            at = due
            await asyncio.sleep(TICK_SECONDS)
        await self._producer.flush()


@asynccontextmanager
async def stage(kafka: KafkaConnection) -> AsyncGenerator[Stage]:
    """A stage for one turn."""
    producer = AIOKafkaProducer(
        **client_options(kafka), acks="all", linger_ms=0, max_batch_size=BATCH_BYTES
    )
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # what is not committed is no effect
    )
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(OUTPUT, n) for n in range(PARTITIONS)])
    on = Stage(producer, consumer)
    watching = asyncio.create_task(on.watch())
    try:
        yield on
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await producer.stop()
        await consumer.stop()
