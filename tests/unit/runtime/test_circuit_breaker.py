"""The dead-letter limit, and a consumer that halts, keeps its partitions, and goes on when it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.topics import PARTITIONS
from shared.errors import Refused
from shared.runtime.clock import Clock
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.kafka.circuit_breaker import CircuitBreaker
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.metrics import Metrics
from shared.runtime.settings import ServiceSettings
from shared.testing.fakes import MemoryPublisher, MemoryStore
from tests.unit.runtime.redriving import FEED, Noted, Rules, Topics, subject

# --- the count --------------------------------------------------------------------------------------------


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8))
def test_so_many_in_a_row_are_the_limit(fates: list[bool], most: int) -> None:
    limit = CircuitBreaker(most, 0, 1.0, lambda: 0.0)
    runs = "".join("x" if not well else "." for well in fates)
    assert limit.trips(fates) == ("x" * most in runs)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=60), st.integers(1, 8))
def test_so_many_within_the_window_are_the_limit(
    fates: list[tuple[bool, float]], most: int
) -> None:
    now, bad, expected, reached = 0.0, [], False, False
    limit = CircuitBreaker(0, most, 10.0, lambda: now)
    for well, after in fates:
        now += after
        if not well:
            bad.append(now)
            expected |= len([at for at in bad if now - at <= 10.0]) >= most
        reached |= limit.trips([well])
    assert reached == expected


@given(st.lists(st.booleans(), max_size=200))
def test_nought_is_no_limit(fates: list[bool]) -> None:
    assert not CircuitBreaker(0, 0, 60.0, lambda: 0.0).trips(fates)


def test_what_was_counted_can_be_forgotten() -> None:
    limit = CircuitBreaker(3, 3, 60.0, lambda: 0.0)
    assert not limit.trips([False, False])
    limit.reset()
    assert not limit.trips([False, False])
    assert limit.trips([False])


# --- the consumer -----------------------------------------------------------------------------------------


class Kafka:
    """One member that holds everything, over lists of records; what it fetches, it fetches from its position."""

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {
            TopicPartition(FEED, n): [] for n in range(PARTITIONS)
        }
        self.removed: dict[TopicPartition, int] = dict.fromkeys(self.logs, 0)
        self.positions: dict[TopicPartition, int] = dict.fromkeys(self.logs, 0)
        self.paused: set[TopicPartition] = set()
        self.commits: dict[TopicPartition, int] = {}

    def assignment(self) -> set[TopicPartition]:
        return set(self.logs)

    async def committed(self, tp: TopicPartition) -> int | None:
        return self.commits.get(tp)

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp]

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.removed[tp] for tp in tps}

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.logs[tp]) for tp in tps}

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        self.commits |= {tp: offset for tp, (offset, _) in offsets.items()}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp] = offset

    def highwater(self, tp: TopicPartition) -> int:
        return len(self.logs[tp])

    def pause(self, *tps: TopicPartition) -> None:
        self.paused |= set(tps)

    def resume(self, *tps: TopicPartition) -> None:
        self.paused -= set(tps)

    def append(self, record: ConsumerRecord[bytes, bytes]) -> None:
        self.logs[TopicPartition(record.topic, record.partition)].append(record)

    def fetch(self, most: int) -> list[ConsumerRecord[bytes, bytes]]:
        """As aiokafka does: a position that is no longer there becomes the earliest that is."""
        found: list[ConsumerRecord[bytes, bytes]] = []
        for tp, log in self.logs.items():
            if tp in self.paused:
                continue
            start = self.positions[tp]
            if not self.removed[tp] <= start <= len(log):
                start = self.removed[tp]
            found += log[start : start + most]
            self.positions[tp] = min(start + most, len(log))
        return found


class Running:
    """A consumer on that member, with the real reactor."""

    def __init__(self, rules: Rules, **settings: Any) -> None:
        self.kafka, self.metrics = Kafka(), Metrics()
        self.store = MemoryStore(rules.kinds)
        relay = Relay(self.store, MemoryPublisher(), self.metrics, 100)
        clock = Clock()
        self.consumer = Consumer(
            service="mended",
            settings=ServiceSettings.model_validate(settings),
            reactions=rules.reactions,
            reactor=Reactor("care.mended", self.store, relay, self.metrics, rules.handoffs),
            relay=relay,
            store=self.store,
            clock=clock,
            metrics=self.metrics,
        )
        inner = cast("Any", self.consumer)
        inner._subscriber = SimpleNamespace(consumer=self.kafka)  # FastStream's place
        self.topics = Topics()

    def say(self, count: int, amount: int) -> None:
        for n in range(count):
            event = Noted(amount=amount)
            self.kafka.append(self.topics.say(event, subject(f"{amount} {n}")))

    async def hear(self, most: int = 2) -> int:
        """Fetch until nothing comes any more; returns how many batches there were."""
        batches = 0
        while records := self.kafka.fetch(most):
            await self.consumer.on_batch(records)
            batches += 1
            assert batches < 500
        return batches

    @property
    def accounted(self) -> int:
        """Records that are applied or set aside."""
        applied = sum(d["inbox"].get("feed", [0])[0] for d in self.store.disk.documents())
        return applied + len(self.store.disk.dead_letters)

    @property
    def committed(self) -> int:
        return sum(self.kafka.commits.values())

    @property
    def halted(self) -> float | None:
        return self.metrics.registry.get_sample_value("care_consumer_halted")


BAD = Rules(broken=frozenset({3}))
LIMITS = {"CARE_DEAD_LETTERS_IN_A_ROW_MAX": "20", "CARE_DEAD_LETTERS_IN_WINDOW_MAX": "0"}


async def test_too_many_dead_letters_halt_the_consumer_and_nothing_is_committed_unaccounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    it = Running(BAD)
    it.say(100, amount=3)
    await it.hear()
    assert it.consumer.halted == "dead-letter-limit"
    assert it.halted == 1
    assert it.kafka.paused == it.kafka.assignment()
    assert 20 <= len(it.store.disk.dead_letters) < 100
    assert it.committed == it.accounted
    assert await it.consumer.caught_up() is False, "nothing may fire on stale knowledge"
    before = len(it.store.disk.dead_letters)
    assert await it.hear() == 0
    assert await it.consumer.resume() == "dead-letter-limit"
    await it.hear()
    assert before + 20 <= len(it.store.disk.dead_letters), "it counts anew"
    while await it.consumer.resume() is not None:
        await it.hear()
    assert it.accounted == it.committed == 100


async def test_partitions_that_come_with_a_rebalance_are_not_heard_while_halted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    it = Running(BAD)
    it.say(60, amount=3)
    await it.hear()
    before = it.accounted
    it.kafka.paused.clear()  # a new assignment begins unpaused
    await it.consumer.on_partitions_assigned(list(it.kafka.assignment()))
    assert it.kafka.paused == it.kafka.assignment()
    it.kafka.paused.clear()  # and what was fetched already comes all the same
    await it.hear()
    assert it.accounted == before == it.committed
    while await it.consumer.resume() is not None:
        await it.hear()
    assert it.accounted == 60


async def test_what_only_waits_behind_a_parked_line_is_no_new_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    it = Running(BAD)
    about = subject("busy")
    for amount in (3, *[1] * 50):
        it.kafka.append(it.topics.say(Noted(amount=amount), about))
    await it.hear()
    assert it.consumer.halted is None
    assert len(it.store.disk.dead_letters) == 51


async def test_good_news_between_the_bad_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    it = Running(BAD)
    for n in range(100):
        it.kafka.append(it.topics.say(Noted(amount=3 if n % 10 else 1), subject(n)))
    await it.hear(1_000)
    assert it.accounted == it.committed == 100


# --- a topic that is not what it was -------------------------------------------------------------------------


async def _halfway() -> tuple[Running, TopicPartition]:
    it = Running(Rules())
    about = subject("one")
    for _ in range(5):
        it.kafka.append(it.topics.say(Noted(amount=1), about))
    await it.hear()
    [tp] = [tp for tp, log in it.kafka.logs.items() if log]
    for _ in range(5):
        it.kafka.append(it.topics.say(Noted(amount=1), about))
    return it, tp


async def test_what_retention_removed_unheard_halts_until_someone_gives_it_up() -> None:
    it, tp = await _halfway()
    it.kafka.removed[tp] = 8
    await it.hear()
    assert it.consumer.halted == "history-removed"
    assert it.kafka.commits[tp] == 5
    with pytest.raises(Refused) as refused:
        await it.consumer.resume()
    assert refused.value.code == "history-removed"
    assert await it.consumer.resume("history-removed") == "history-removed"
    assert it.kafka.commits[tp] == 8, "given up, so that the next start does not ask again"
    await it.hear()
    assert it.consumer.halted is None
    assert it.kafka.commits[tp] == 10
    assert it.metrics.registry.get_sample_value("care_sequence_gaps_total", {"source": FEED}) == 1


async def test_what_retention_removed_before_the_start_halts_too() -> None:
    it, tp = await _halfway()
    it.kafka.removed[tp] = 8
    await it.consumer.on_partitions_revoked([tp])
    it.kafka.positions[tp] = 8
    await it.hear()
    assert it.consumer.halted == "history-removed"
    assert it.kafka.commits[tp] == 5


async def test_what_retention_removed_after_it_was_heard_is_no_matter() -> None:
    it, tp = await _halfway()
    it.kafka.removed[tp] = 5
    await it.hear()
    assert it.consumer.halted is None
    assert it.kafka.commits[tp] == 10


async def test_a_topic_made_again_in_mid_run_halts_and_no_command_settles_it() -> None:
    it, tp = await _halfway()
    await it.hear()
    del it.kafka.logs[tp][3:]
    await it.hear()
    assert it.consumer.halted == "topic-made-again"
    assert it.kafka.commits[tp] == 10
    with pytest.raises(Refused):
        await it.consumer.resume()
    with pytest.raises(Refused):
        await it.consumer.resume("history-removed")


async def test_an_offset_that_was_never_there_is_skipped_once_it_is_certain() -> None:
    """A transaction's marker, a compacted record: the topic still begins before it and ends behind it."""
    it, tp = await _halfway()
    log = it.kafka.logs[tp]
    fetch = it.kafka.fetch

    def without_five(most: int) -> list[ConsumerRecord[bytes, bytes]]:
        return [record for record in fetch(most) if record.offset != 5]

    it.kafka.fetch = without_five  # type: ignore[method-assign]
    await it.hear(10)
    assert it.consumer.halted is None
    assert it.kafka.commits[tp] == len(log)
