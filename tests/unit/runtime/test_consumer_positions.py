"""How far a consumer has come, and who waits for it: woken by each batch, and never before all positions are known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from faststream.kafka import KafkaBroker

from services.plans.app import SERVICE
from shared.runtime.clock import Clock
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.kafka.reading import Message
from shared.runtime.metrics import Metrics
from shared.runtime.settings import ServiceSettings
from shared.testing.fakes import MemoryPublisher, MemoryStore

TURNS = 50
HERE, THERE = TopicPartition("care.intake", 0), TopicPartition("care.intake", 1)


class Kafka:
    """A client that holds two partitions, with three records before what was committed on each."""

    def __init__(self) -> None:
        self.held = {HERE, THERE}
        self.at = {HERE: 3, THERE: 3}
        self.ends = {HERE: 5, THERE: 3}
        self.fetched: list[Mapping[TopicPartition, list[Message]]] = []

    def assignment(self) -> set[TopicPartition]:
        return self.held

    async def committed(self, _tp: TopicPartition) -> int:
        return 3

    async def position(self, tp: TopicPartition) -> int:
        return self.at[tp] if tp in self.held else 0

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.ends[tp] for tp in tps}

    async def commit(self, _offsets: Mapping[TopicPartition, int]) -> None: ...

    def highwater(self, tp: TopicPartition) -> int:
        return self.ends[tp]

    async def getmany(self, **_how: Any) -> Mapping[TopicPartition, list[Message]]:
        return self.fetched.pop(0)


def record(tp: TopicPartition, offset: int) -> Any:
    """Nothing that anybody could read; it is set aside, and the position moves on."""
    return ConsumerRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=b"",
        value=b"",
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )


class Hearing:
    """A consumer on the fakes, whose batches are handed to it."""

    def __init__(self) -> None:
        self.kafka = Kafka()
        self.store = MemoryStore(SERVICE.kinds)
        metrics = Metrics()
        relay = Relay(self.store, MemoryPublisher(), metrics, 100)
        self.consumer = Consumer(
            service="plans",
            settings=ServiceSettings(),
            reactions=SERVICE.reactions,
            reactor=Reactor(SERVICE.source, self.store, relay, metrics, SERVICE.handoffs),
            relay=relay,
            store=self.store,
            clock=Clock(),
            metrics=metrics,
        )
        inner: Any = self.consumer
        inner._subscriber = SimpleNamespace(consumer=self.kafka)

    def waiting(self, **positions: int) -> asyncio.Task[None]:
        wanted = {f"care.intake/{name[-1]}": at for name, at in positions.items()}
        return asyncio.create_task(self.consumer.until_reached(wanted))


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.fixture
def hearing() -> Hearing:
    return Hearing()


async def test_nothing_is_reached_before_all_positions_are_known(hearing: Hearing) -> None:
    """After an assignment, one batch of one partition says nothing of the others."""
    waiting = hearing.waiting()
    await hearing.consumer.on_batch([record(HERE, 3)])
    await turns()
    assert hearing.consumer.positions == {"care.intake/0": 4}
    assert not waiting.done()
    await hearing.consumer.caught_up()
    await turns()
    assert hearing.consumer.positions == {"care.intake/0": 4, "care.intake/1": 3}
    assert waiting.done()


async def test_who_waits_for_a_position_is_woken_by_the_batch_that_reaches_it(
    hearing: Hearing,
) -> None:
    await hearing.consumer.caught_up()
    waiting = hearing.waiting(p0=5, p1=3)
    for offset in (3, 4):
        await turns()
        assert not waiting.done()
        await hearing.consumer.on_batch([record(HERE, offset)])
    await turns()
    assert waiting.done()


async def test_a_batch_in_hand_is_waited_for_although_its_position_is_reached(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position moves before the offsets are committed; until then it is not done with."""
    committing, go_on = asyncio.Event(), asyncio.Event()

    async def commit(_offsets: Any) -> None:
        committing.set()
        await go_on.wait()

    await hearing.consumer.caught_up()
    monkeypatch.setattr(hearing.kafka, "commit", commit)
    batch = asyncio.create_task(hearing.consumer.on_batch([record(HERE, 3)]))
    await committing.wait()
    waiting = hearing.waiting(p0=4)
    await turns()
    assert hearing.consumer.positions["care.intake/0"] == 4
    assert not waiting.done()
    go_on.set()
    await batch
    await turns()
    assert waiting.done()


async def test_what_another_replica_holds_is_not_waited_for(hearing: Hearing) -> None:
    await hearing.consumer.caught_up()
    waiting = hearing.waiting(p0=3, p7=1_000)
    await turns()
    assert waiting.done()


async def test_partitions_that_are_given_up_free_who_waits_for_them(hearing: Hearing) -> None:
    await hearing.consumer.caught_up()
    waiting = hearing.waiting(p0=1_000)
    await turns()
    assert not waiting.done()
    await hearing.consumer.on_partitions_revoked([HERE, THERE])
    hearing.kafka.held = {THERE}
    await hearing.consumer.on_partitions_assigned([THERE])
    await turns()
    assert not waiting.done(), "the position on what it holds now is not known yet"
    await hearing.consumer.caught_up()
    await turns()
    assert waiting.done()


async def test_an_idle_consumer_asks_its_client_again_at_once(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastStream's own subscriber sleeps after an empty fetch, deaf to what arrives meanwhile."""

    async def sleeps(_seconds: float) -> None:
        raise AssertionError("deaf")

    monkeypatch.setattr(anyio, "sleep", sleeps)
    hearing.consumer.attach(KafkaBroker())
    inner: Any = hearing.consumer
    hearing.kafka.fetched = [{}, {HERE: [record(HERE, 3)], THERE: [record(THERE, 3)]}]
    assert await inner._subscriber.get_msg(hearing.kafka) == ()
    batch = await inner._subscriber.get_msg(hearing.kafka)
    assert [(r.partition, r.offset) for r in batch] == [(0, 3), (1, 3)]


async def test_a_consumer_does_not_wait_for_partitions_that_have_moved_away(
    hearing: Hearing,
) -> None:
    """It stayed `consumer-waiting`, although another replica went on with them."""
    hearing.consumer.healthy = False
    await hearing.consumer.on_partitions_revoked([HERE, THERE])
    assert hearing.consumer.healthy


async def test_a_marker_at_the_end_is_neither_behind_nor_waited_for(hearing: Hearing) -> None:
    """A transaction's marker has an offset, and no application ever sees it: the lag grew for ever."""
    consumer, kafka = hearing.consumer, hearing.kafka
    inner: Any = consumer
    await consumer.caught_up()
    waiting = hearing.waiting(at_0=5)
    kafka.fetched = [{HERE: [record(HERE, 3)]}, {}, {}]
    batch = await inner._fetched(kafka)
    kafka.at[HERE] = 5  # the message, and the marker behind it
    assert consumer.behind()[HERE] == 2
    await inner._pass_over(kafka)
    assert consumer.behind()[HERE] == 2, "what is in hand is not applied yet"
    await consumer.on_batch(batch)
    await turns()
    assert (consumer.behind()[HERE], waiting.done()) == (1, False)
    await inner._fetched(kafka)
    await turns()
    assert (consumer.behind()[HERE], waiting.done()) == (0, True)
    assert inner._positions.saved[HERE] == 4, "what is noted and committed is what was applied"
    kafka.ends[HERE] = 7
    assert consumer.behind()[HERE] == 2


async def test_what_the_client_dropped_is_behind_again_once_it_is_found(hearing: Hearing) -> None:
    consumer, kafka = hearing.consumer, hearing.kafka
    inner: Any = consumer
    await consumer.caught_up()
    kafka.at[HERE], kafka.fetched = 5, [{}]
    await inner._fetched(kafka)
    assert consumer.behind()[HERE] == 0
    kafka.ends[HERE] = 6
    sought: list[int] = []
    kafka.seek = lambda _tp, offset: sought.append(offset)  # type: ignore[attr-defined]
    await consumer.on_batch([record(HERE, 5)])
    assert sought == [3]
    assert consumer.behind()[HERE] == 3


async def test_nothing_is_decided_on_a_clock_that_is_wrong(hearing: Hearing) -> None:
    """A replica with a backlog asked for the store's time only once it had caught up."""
    consumer, kafka = hearing.consumer, hearing.kafka
    inner: Any = consumer
    await consumer.caught_up()
    inner._wall_clock = wall = SimpleNamespace(differs=True)
    sought: list[tuple[TopicPartition, int]] = []
    kafka.seek = lambda *place: sought.append(place)  # type: ignore[attr-defined]
    inner._backoff = SimpleNamespace(pause=turns, reset=lambda: None)
    await consumer.on_batch([record(HERE, 3)])
    assert sought == [(HERE, 3)]
    assert (consumer.positions["care.intake/0"], consumer.healthy) == (3, False)
    wall.differs = False
    await consumer.on_batch([record(HERE, 3)])
    assert (consumer.positions["care.intake/0"], consumer.healthy) == (4, True)
