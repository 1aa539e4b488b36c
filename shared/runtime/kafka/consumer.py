"""Kafka in: from a batch of records to work for the reactor, and from saved work to committed offsets.

FastStream drives the batch subscriber; acknowledgement is manual, because only this module knows what has been
saved. Nothing raised here reaches FastStream: whatever happens, a record is saved, set aside, or fetched again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from shared.contracts.event import TOPICS, Envelope
from shared.errors import CareError, Refused
from shared.runtime.changes import Changes
from shared.runtime.clock import Clock
from shared.runtime.core.dead_letter import STREAM_BLOCKED
from shared.runtime.core.reactions import Reactions
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record import Work
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import Store
from shared.runtime.kafka.aiokafka_patch import patch_offset_fetch
from shared.runtime.kafka.circuit_breaker import CircuitBreaker
from shared.runtime.kafka.producer import MAX_MESSAGE_BYTES
from shared.runtime.kafka.reading import Raw, Reader
from shared.runtime.logs import log
from shared.runtime.metrics import Metrics
from shared.runtime.retry import Backoff
from shared.runtime.settings import ServiceSettings

WATCHED_SUBJECTS: Final = 5_000
LOOK_AGAIN_MS: Final = 500
"""How long an idle consumer waits before it asks its client again. What arrives meanwhile wakes it at once."""
RESUMABLE: Final = ("dead-letter-limit", "history-removed")
"""Why a consumer may have halted that a command can settle."""


class Consumer(ConsumerRebalanceListener):
    """One replica's share of the topics that its service hears."""

    def __init__(
        self,
        *,
        service: str,
        settings: ServiceSettings,
        reactions: Reactions,
        reactor: Reactor,
        relay: Relay,
        store: Store,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._reactions = reactions
        self._reactor = reactor
        self._relay = relay
        self._store = store
        self.reader: Final = Reader(reactions)
        self._clock = clock
        self._metrics = metrics
        self._busy = asyncio.Lock()
        self._changes = Changes()
        self._backoff = Backoff()
        self._expected: dict[TopicPartition, int] = {}
        self._sought: dict[TopicPartition, int] = {}
        self._target: dict[TopicPartition, int] | None = None
        self._watched: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._settings = settings
        self._group = service
        self._subscriber: Any = None
        self._limit = CircuitBreaker(
            settings.dead_letters_in_a_row_max, settings.dead_letters_in_window_max
        )
        self._removed: dict[TopicPartition, int] = {}
        self.halted: str | None = None
        """Why nothing is heard until an operator decides; None in ordinary times."""
        self.healthy = True

    def attach(self, broker: KafkaBroker) -> None:
        """Register with FastStream. Its own parser is replaced: it raises on a header that is not UTF-8."""
        patch_offset_fetch()
        settings = self._settings
        self._subscriber = broker.subscriber(
            *self._reactions.topics,
            group_id=self._group,
            batch=True,
            max_records=settings.batch_records,
            batch_timeout_ms=LOOK_AGAIN_MS,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            listener=self,
            # Range gives one member the same partition numbers of every topic, which timers rely on.
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=300_000,
            fetch_max_bytes=2 * MAX_MESSAGE_BYTES,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            parser=_as_it_is,
            decoder=_undecoded,
        )
        self._subscriber.get_msg = self._fetched
        self._subscriber(self.on_batch)

    async def _fetched(self, kafka: AIOKafkaConsumer) -> tuple[Raw, ...]:
        """The next batch. Replaces FastStream's own `get_msg`, which sleeps after each empty fetch.

        An idle consumer spends half of its time in that sleep, and an event that arrives then waits for its end.
        """
        batches: Mapping[TopicPartition, list[Raw]] = await kafka.getmany(
            timeout_ms=LOOK_AGAIN_MS, max_records=self._settings.batch_records
        )
        return tuple(chain.from_iterable(batches.values()))

    @property
    def _kafka(self) -> AIOKafkaConsumer:
        kafka = self._joined
        if kafka is None:
            raise IllegalStateError
        return kafka

    @property
    def _joined(self) -> AIOKafkaConsumer | None:
        """The client, once FastStream has started it."""
        return cast("AIOKafkaConsumer | None", self._subscriber.consumer)

    # --- a batch ---------------------------------------------------------------------------------

    async def on_batch(self, records: Sequence[Raw]) -> None:
        """Save what the records lead to, then commit exactly what was saved or set aside."""
        await self._relay.room()
        async with self._alone():
            first = _firsts(records)
            if self.halted is not None:  # partitions that came with a rebalance
                self._rewind(first)
                self._hold()
                return
            try:
                batch = await self._without_gaps(records, first)
                await self._process(batch)
            except asyncio.CancelledError:
                self._rewind(first)
                raise
            except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, fetch it again
                self.healthy = False
                code = error.code if isinstance(error, CareError) else "unexpected"
                log.warning("batch.waiting", error_code=code, exception=type(error).__name__)
                self._rewind(first)
            else:
                self.healthy = True
                self._backoff.reset()
                return
        await self._backoff.pause()

    async def _process(self, batch: Sequence[Raw]) -> None:
        works, dead_letters = self._read(batch)
        await self._store.add_dead_letters(dead_letters)
        fates = [False] * len(dead_letters)
        for outcome in await self._reactor.submit(works) if works else ():
            if outcome.error is not None:
                raise outcome.error
            if outcome.status in ("blocked", "conflicting"):
                self._metrics.dead_letters.labels(outcome.reason).inc()
            if outcome.reason != STREAM_BLOCKED:
                fates.append(outcome.status not in ("blocked", "conflicting"))
        for row in dead_letters:
            self._metrics.dead_letters.labels(row["reason"]).inc()
        await self._account_for(batch)
        if self._limit.reached(fates):
            self.halt("dead-letter-limit")

    async def _account_for(self, batch: Sequence[Raw]) -> None:
        """All of it is saved or set aside: move on."""
        last = {(record.topic, record.partition): record.offset for record in batch}
        ends = {TopicPartition(*place): offset + 1 for place, offset in last.items()}
        self._expected |= ends
        if batch:
            await self._commit(ends)
            self._note_lag(ends, batch[-1].timestamp)

    def _read(self, batch: Sequence[Raw]) -> tuple[list[Work], list[dict[str, Any]]]:
        """What a batch asks to be decided, and what of it can only be set aside."""
        works: list[Work] = []
        dead_letters: list[dict[str, Any]] = []
        now = self._clock.now()
        for record in batch:
            read = self.reader.read(record, now)
            if read.envelope is not None:
                self._watch(read.envelope)
            if read.work is not None:
                works.append(read.work)
            elif read.dead_letter is not None:
                dead_letters.append(read.dead_letter)
            elif read.envelope is not None:
                self._metrics.events_skipped.labels(read.envelope.source).inc()
        return works, dead_letters

    def _watch(self, envelope: Envelope) -> None:
        """Say when a number is missing from a subject's stream. An alarm, never a stop."""
        key = (envelope.source, envelope.subject)
        last = self._watched.get(key)
        if last is not None and envelope.sequence > last + 1:
            self._metrics.sequence_gaps.labels(envelope.source).inc()
            log.error(
                "sequence.gap",
                subject=envelope.subject,
                event_id=envelope.id,
                event_type=envelope.type,
                count=envelope.sequence - last - 1,
            )
        if last is None or envelope.sequence > last:
            self._watched[key] = envelope.sequence
            self._watched.move_to_end(key)
            if len(self._watched) > WATCHED_SUBJECTS:
                self._watched.popitem(last=False)

    # --- offsets ---------------------------------------------------------------------------------

    async def _without_gaps(
        self, records: Sequence[Raw], first: Mapping[TopicPartition, int]
    ) -> Sequence[Raw]:
        """Leave out partitions whose batch does not begin where the last one ended, and fetch them again.

        aiokafka can drop fetched records of healthy partitions when a neighbour's can't be unpacked. A gap that is
        still there after fetching again is real (a transaction marker, a compacted record) and is accepted.
        """
        unknown = [tp for tp in first if tp not in self._expected]
        if unknown:
            await self._learn_starting_points(unknown)
        skipped: set[TopicPartition] = set()
        for tp, offset in first.items():
            expected = self._expected[tp]
            if offset != expected:
                await self._still_the_same(tp, expected)
            if self.halted is not None:
                self._rewind(first)
                return []
            if offset > expected and self._sought.get(tp) != expected:
                self._metrics.offset_gaps.inc()
                log.warning(
                    "offset.gap",
                    topic=tp.topic,
                    partition=tp.partition,
                    offset=offset,
                    offset_expected=expected,
                )
                self._sought[tp] = expected
                self._kafka.seek(tp, expected)
                skipped.add(tp)
            else:
                self._sought.pop(tp, None)
        if not skipped:
            return records
        return [r for r in records if TopicPartition(r.topic, r.partition) not in skipped]

    async def _learn_starting_points(self, partitions: Sequence[TopicPartition]) -> None:
        """Where to begin on partitions just assigned, unless a batch has meanwhile come further."""
        committed = await asyncio.gather(*(self._kafka.committed(tp) for tp in partitions))
        beginnings = await self._kafka.beginning_offsets(list(partitions))
        for tp, offset in zip(partitions, committed, strict=True):
            wanted = 0 if offset is None else offset
            if wanted < beginnings[tp]:
                self._miss(tp, wanted, beginnings[tp])
            self._expected.setdefault(tp, max(wanted, beginnings[tp]))

    async def _still_the_same(self, tp: TopicPartition, expected: int) -> None:
        """A batch that begins elsewhere than it should: fetched again, skipped by the client, or another topic?"""
        beginnings = await self._kafka.beginning_offsets([tp])
        ends = await self._kafka.end_offsets([tp])
        if ends[tp] < expected:
            self.halt("topic-made-again")
        elif expected < beginnings[tp]:
            self._miss(tp, expected, beginnings[tp])

    def _miss(self, tp: TopicPartition, wanted: int, beginning: int) -> None:
        """Retention has removed what we had not heard. Only a person may decide to go on without it."""
        if self._removed.get(tp, 0) >= beginning:
            return  # accepted
        log.critical(
            "history.removed",
            topic=tp.topic,
            partition=tp.partition,
            offset=beginning,
            offset_expected=wanted,
        )
        self._removed[tp] = beginning
        self.halt("history-removed")

    # --- halting ---------------------------------------------------------------------------------

    def halt(self, code: str) -> None:
        """Hear nothing more until an operator says so. Heartbeats go on, and the partitions are kept."""
        if self.halted is None:
            log.critical("consumer.halted", reason=code)
        self.halted = code
        self._metrics.halted.set(1)
        self._hold()

    async def resume(self, accept: str | None = None) -> str | None:
        """Go on; returns why it had halted, None when it had not.

        Raises `Refused` when it may only go on after a migration, or when a loss has to be accepted in so many words.
        """
        was = self.halted
        if was is None:
            return None
        if was == "history-removed" and accept != was:
            raise Refused(
                was,
                "Records that this service had not heard were removed from a topic.",
                hint="Bootstrap it (see the runbook), or resume with accept: history-removed.",
            )
        if was not in RESUMABLE:
            raise Refused(was, "A topic is not what it was.", hint="See the runbook: migrate.")
        self.halted = None
        self._limit.forget()
        self._metrics.halted.set(0)
        log.warning("consumer.resumed", reason=was)
        kafka = self._joined
        if kafka is not None:
            async with self._alone():
                held = kafka.assignment()
                given_up = {tp: at for tp, at in self._removed.items() if tp in held}
                for tp, beginning in given_up.items():
                    self._expected[tp] = max(self._expected.get(tp, 0), beginning)
                    kafka.seek(tp, self._expected[tp])
                if was == "history-removed" and given_up:
                    await self._commit({tp: self._expected[tp] for tp in given_up})
                kafka.resume(*held)
        return was

    def _hold(self) -> None:
        kafka = self._joined
        if kafka is not None:
            kafka.pause(*kafka.assignment())

    def _rewind(self, first: Mapping[TopicPartition, int]) -> None:
        """Have the batch fetched again, from its beginning."""
        for tp, offset in first.items():
            try:
                self._kafka.seek(tp, min(offset, self._expected.get(tp, offset)))
            except (IllegalStateError, AssertionError):
                continue  # the partition has moved on to another replica, which reads it anew

    async def _commit(self, ends: Mapping[TopicPartition, int]) -> None:
        try:
            await self._kafka.commit(dict(ends))
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions moved while we worked: the next owner reads again and finds `inbox`.
            log.info("commit.moved_on", exception=type(error).__name__)
        except KafkaError as error:
            # The work is saved; a later commit covers it.
            log.warning("commit.failed", exception=type(error).__name__)

    def _note_lag(self, ends: Mapping[TopicPartition, int], timestamp_ms: int) -> None:
        behind = 0
        for tp, end in ends.items():
            lag = max(0, (self._kafka.highwater(tp) or end) - end)
            behind += lag
            self._metrics.lag_records.labels(tp.topic, str(tp.partition)).set(lag)
        age = datetime.now(UTC).timestamp() - timestamp_ms / 1000
        self._metrics.lag_seconds.set(max(0.0, age) if behind else 0.0)

    # --- rebalancing -----------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish the batch in hand before the partitions move."""
        del revoked  # all are given up at once: the assignor is an eager one
        async with self._alone():
            self._target = None
            self._expected.clear()
            self._sought.clear()
            self._watched.clear()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Remember how far the topics reach now: deadlines wait until all of it has been heard."""
        self._target = None
        log.info("partitions.assigned", count=len(assigned))
        if any(
            tp.partition >= TOPICS[tp.topic].partitions for tp in assigned if tp.topic in TOPICS
        ):
            self.halt("topic-partitions-differ")
        elif self.halted is not None:
            self._hold()
        self._changes.notify()

    async def caught_up(self) -> bool:
        """Everything that was on the topics when the partitions were assigned has been applied."""
        kafka = self._joined
        assigned: set[TopicPartition] = set() if kafka is None else set(kafka.assignment())
        if kafka is None or not assigned or self.halted is not None:
            return False  # nothing may fire on stale knowledge
        if self._target is None:
            async with self._alone():  # partitions can't be revoked meanwhile
                assigned = set(kafka.assignment())
                ends = await kafka.end_offsets(list(assigned))
                await self._learn_starting_points(
                    [tp for tp in assigned if tp not in self._expected]
                )
                if set(kafka.assignment()) != assigned:
                    return False
                self._target = dict(ends)
        if self.halted is not None:
            return False
        return all(self._expected.get(tp, 0) >= end for tp, end in self._target.items())

    @property
    def buckets(self) -> list[int]:
        """The partition numbers held of *every* topic heard: the records whose deadlines are ours."""
        kafka = self._joined
        if kafka is None:
            return []
        held: dict[int, int] = defaultdict(int)
        for tp in kafka.assignment():
            held[tp.partition] += 1
        return sorted(n for n, topics in held.items() if topics == len(self._reactions.topics))

    @property
    def topics(self) -> Sequence[str]:
        """The topics that the service consumes."""
        return self._reactions.topics

    @property
    def positions(self) -> dict[str, int]:
        """The next offset to be applied, by `topic/partition`, of what this replica holds."""
        kafka = self._joined
        held: set[TopicPartition] = set() if kafka is None else set(kafka.assignment())
        return {
            f"{tp.topic}/{tp.partition}": offset
            for tp, offset in self._expected.items()
            if tp in held
        }

    @property
    def busy(self) -> bool:
        return self._busy.locked()

    def reached(self, positions: Mapping[str, int]) -> bool:
        """No batch is in hand, the position on every partition held is known, and none is before one of these."""
        kafka = self._joined
        known = self.positions
        if self.busy or kafka is None or len(known) != len(kafka.assignment()):
            return False
        return all(
            known.get(partition, wanted) >= wanted for partition, wanted in positions.items()
        )

    async def until_reached(self, positions: Mapping[str, int]) -> None:
        """Return once `reached` holds. The caller bounds the time."""
        await self._changes.until(lambda: self.reached(positions))

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        """Hold the lock under which positions change, and wake those who wait for a position afterwards."""
        try:
            async with self._busy:
                yield
        finally:
            self._changes.notify()


def _firsts(records: Sequence[Raw]) -> dict[TopicPartition, int]:
    first = {(record.topic, record.partition): record.offset for record in reversed(records)}
    return {TopicPartition(*place): offset for place, offset in first.items()}


async def _as_it_is(records: tuple[Raw, ...]) -> KafkaMessage:
    """A FastStream message that touches neither headers nor values, so that it can't fail."""
    last = records[-1]
    return KafkaMessage(
        raw_message=records,  # type: ignore[arg-type] - a batch message carries the tuple
        body=b"",
        headers={},
        message_id=f"{last.topic}-{last.partition}-{last.offset}",
        consumer=None,  # type: ignore[arg-type] - never acknowledged through the message
    )


async def _undecoded(message: KafkaMessage) -> Sequence[Raw]:
    return cast("Sequence[Raw]", message.raw_message)
