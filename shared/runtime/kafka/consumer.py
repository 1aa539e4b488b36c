"""The consumer: from a batch of Kafka messages to work for the reactor, and from saved work to committed offsets.

FastStream drives the batch subscriber. Acknowledgement is manual, because only this module knows what has been saved.
No exception reaches FastStream: whatever happens, a message is saved, dead-lettered, or fetched again.

`positions.py` tracks the position in each partition, `offset_commits.py` commits, `sequence_gaps.py` raises the alarm
for lost events, and `circuit_breaker.py` counts failures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from time import monotonic
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from shared.contracts.topics import MAX_MESSAGE_BYTES, TOPICS
from shared.errors import CareError, RecordIsNewer, Refused, Unavailable
from shared.kit.aiokafka_patch import patch_offset_fetch
from shared.runtime.changes import Changes
from shared.runtime.clock import Clock
from shared.runtime.core.dead_letter import STREAM_BLOCKED, DeadLetter
from shared.runtime.core.passing import Passing
from shared.runtime.core.reactions import Reactions
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import Store
from shared.runtime.core.work import Outcome, Work
from shared.runtime.kafka.circuit_breaker import CircuitBreaker
from shared.runtime.kafka.lag import Lag
from shared.runtime.kafka.offset_commits import commit_offsets
from shared.runtime.kafka.positions import (
    NOTED_POSITIONS,
    Gap,
    PositionLost,
    Positions,
    Stall,
    end_offsets,
    first_offsets,
    noted_positions,
    place,
    positions_to_note,
)
from shared.runtime.kafka.reading import Message, Reader
from shared.runtime.kafka.sequence_gaps import SequenceGaps
from shared.runtime.logs import log, said
from shared.runtime.metrics import Metrics
from shared.runtime.retry import Backoff
from shared.runtime.settings import ServiceSettings
from shared.runtime.wall_clock import WallClock

LOOK_AGAIN_MS: Final = 500
"""How long an idle consumer waits before it polls again. A message that arrives meanwhile wakes it at once."""
NEWER_AGAIN_SECONDS: Final = 5.0
"""How often a partition that waits for a newer version of the service is tried again."""
RESUMABLE: Final = ("dead-letter-limit", "history-removed")
"""The codes of a halt that an operator's command can end."""


class Consumer(ConsumerRebalanceListener):
    """One replica's share of the topics that its service subscribes to."""

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
        passing: Passing | None = None,
        wall_clock: WallClock | None = None,
    ) -> None:
        """While `wall_clock` differs from the store's no batch is decided; None where the clock is stepped."""
        self._reactions = reactions
        self._reactor = reactor
        self._relay = relay
        self._store = store
        self.reader: Final = Reader(reactions, passing)
        self._clock = clock
        self._wall_clock = wall_clock
        self._metrics = metrics
        self._busy = asyncio.Lock()
        self._changes = Changes()
        self._backoff = Backoff()
        self._positions = Positions(reactions.topics, self._noted_positions)
        self._sequence_gaps = SequenceGaps(metrics)
        self._settings = settings
        self._group = service
        self._subscriber: Any = None
        self._stall = Stall()
        self._lag = Lag()
        self._circuit_breaker = CircuitBreaker(
            settings.dead_letters_in_a_row_max, settings.dead_letters_in_window_max
        )
        self._newer: set[TopicPartition] = set()
        """The partitions that wait for a newer version of the service."""
        self._newer_again_at = 0.0
        self.halted: str | None = None
        """The code of the halt that waits for an operator; None while the consumer runs."""
        self.healthy = True
        self.positions_note = NOTED_POSITIONS
        """Under which name the store notes the positions; the service learns it before it consumes."""
        self.store_id = ""
        """The identity that commits of offsets carry; the service learns it before it consumes."""

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
            parser=_unparsed,
            decoder=_undecoded,
        )
        self._subscriber.get_msg = self._fetched
        self._subscriber(self.on_batch)

    async def _fetched(self, kafka: AIOKafkaConsumer) -> tuple[Message, ...]:
        """The next batch. Replaces FastStream's own `get_msg`, which sleeps after each empty fetch.

        An idle consumer spends half of its time in that sleep, and an event that arrives then waits for its end.
        """
        self._try_newer_again(kafka)
        batches: Mapping[TopicPartition, list[Message]] = await kafka.getmany(
            timeout_ms=LOOK_AGAIN_MS, max_records=self._settings.batch_records
        )
        messages = tuple(chain.from_iterable(batches.values()))
        self._positions.take(messages)
        await self._pass_over(kafka)
        if not messages:
            self._lag.look(self.behind())
        return messages

    async def _pass_over(self, kafka: AIOKafkaConsumer) -> None:
        """See where nothing but a transaction's marker is left: it is neither behind nor waited for."""
        behind = [partition for partition, count in self.behind().items() if count]
        with suppress(KafkaError):  # the partitions have moved
            if behind and await self._positions.pass_over(kafka, behind):
                self._changes.notify()

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

    async def on_batch(self, messages: Sequence[Message]) -> None:
        """Save what the messages lead to, then commit exactly what was saved or dead-lettered."""
        self._positions.take(messages)
        await self._relay.wait_for_capacity()
        async with self._alone():
            first = first_offsets(messages)
            if self.halted is not None:  # partitions that came with a rebalance
                self._rewind(first)
                self._pause()
                return
            try:
                self._check_clock()
                await self._process(await self._without_gaps(messages))
            except asyncio.CancelledError:
                self._rewind(first)
                raise
            except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, fetch it again
                self.healthy = False
                code = error.code if isinstance(error, CareError) else "unexpected"
                cause = said(error) if isinstance(error, Unavailable) else {}
                entry = {"error_code": code, "exception": type(error).__name__} | cause
                log.warning("batch.waiting", **entry)
                self._rewind(first)
            else:
                self.healthy = True
                self._backoff.reset()
                return
        await self._backoff.pause()

    def _check_clock(self) -> None:
        """Raises `Unavailable` while this replica's clock is wrong: rules would decide by it."""
        if self._wall_clock is not None and self._wall_clock.differs:
            raise Unavailable(
                "clock-differs",
                "This replica's clock is wrong.",
                hint="Correct it; the batch is fetched again.",
            )

    async def _without_gaps(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Leave out partitions whose batch does not begin where the last one ended, and fetch them again."""
        continuous: Sequence[Message] = []
        gaps: list[Gap] = []
        try:
            continuous, gaps = await self._positions.without_gaps(self._kafka, messages)
        except PositionLost as lost:
            self._halt_on(lost)
        if self.halted is not None:  # here, or meanwhile because a topic has changed
            self._rewind(first_offsets(messages))
            return []
        self._seek_behind()
        for gap in gaps:
            self._metrics.offset_gaps.inc()
            self._log_gap(log.warning, "offset.gap", gap)
            self._kafka.seek(gap.partition, gap.expected)
        return continuous

    async def _process(self, batch: Sequence[Message]) -> None:
        read, dead_letters = self._read(batch)
        await self._store.add_dead_letters(dead_letters)
        successes = [False] * len(dead_letters)
        works = [work for work, _ in read]
        outcomes = await self._reactor.submit(works) if works else ()
        newer = _of_newer_records(zip(outcomes, (message for _, message in read), strict=True))
        for outcome in outcomes:
            if isinstance(outcome.error, RecordIsNewer):
                continue
            if outcome.error is not None:
                raise outcome.error
            failed = outcome.status.is_failure
            if failed:
                self._metrics.dead_letters.labels(outcome.reason).inc()
            if outcome.reason != STREAM_BLOCKED:
                successes.append(not failed)
        for dead_letter in dead_letters:
            self._metrics.dead_letters.labels(dead_letter.reason).inc()
        await self._complete(_before(newer, batch))
        self._leave_to_newer(newer, batch)
        if self._circuit_breaker.trips(successes):
            self.halt("dead-letter-limit")

    async def _complete(self, batch: Sequence[Message]) -> None:
        """Move on: every message of the batch is saved or dead-lettered."""
        if not batch:
            return
        ends = end_offsets(batch)
        self._positions.advance(ends)
        await commit_offsets(self._kafka, ends, self.store_id)
        handled = {TopicPartition(m.topic, m.partition): m.timestamp / 1000 for m in batch}
        self._lag.look(self.behind(), handled)

    def _leave_to_newer(
        self, newer: Mapping[TopicPartition, int], batch: Sequence[Message]
    ) -> None:
        """Pause the partitions at whose place a newer version's record is in the way; all others go on.

        What comes behind in such a partition is fetched again; what of it is saved already, the inbox recognises.
        """
        for partition in first_offsets(batch).keys() - newer.keys():
            self._newer.discard(partition)
        for partition, offset in newer.items():
            if partition not in self._newer:
                log.warning(
                    "partition.left_to_newer",
                    topic=partition.topic,
                    partition=partition.partition,
                    offset=offset,
                )
            self._newer.add(partition)
            self._rewind({partition: offset})
            self._kafka.pause(partition)
            self._newer_again_at = monotonic() + NEWER_AGAIN_SECONDS

    def _try_newer_again(self, kafka: AIOKafkaConsumer) -> None:
        """Fetch again, now and then, what waits for the newer version: it may have been taken back."""
        if self._newer and self.halted is None and monotonic() >= self._newer_again_at:
            self._newer_again_at = monotonic() + NEWER_AGAIN_SECONDS
            kafka.resume(*self._newer & kafka.assignment())

    @property
    def left_to_newer(self) -> bool:
        """Partitions wait for a newer version of the service, which wrote a record that their next event is about."""
        return bool(self._newer)

    def _read(
        self, batch: Sequence[Message]
    ) -> tuple[list[tuple[Work, Message]], list[DeadLetter]]:
        """The work in a batch, each with its message, and the dead letters of what can't be put in order."""
        works: list[tuple[Work, Message]] = []
        dead_letters: list[DeadLetter] = []
        now = self._clock.now()
        for message in batch:
            read = self.reader.read(message, now)
            if read.envelope is not None:
                self._sequence_gaps.check(read.envelope, self.reader.sequence_max(message))
            if read.work is not None:
                works.append((read.work, message))
            elif read.dead_letter is not None:
                dead_letters.append(read.dead_letter)
            elif read.envelope is not None:
                self._metrics.events_skipped.labels(read.envelope.source).inc()
        return works, dead_letters

    def _seek_behind(self) -> None:
        """Fetch from the store's note where the group's committed offset is ahead of it."""
        for partition, offset in self._positions.take_behind().items():
            log.info(
                "offset.ahead_of_store",
                topic=partition.topic,
                partition=partition.partition,
                offset=offset,
            )
            self._kafka.seek(partition, offset)

    async def _noted_positions(self) -> Mapping[str, int]:
        return noted_positions(await self._store.metadata(self.positions_note))

    async def note_positions(self) -> None:
        """Note in the store how far it certainly is. A later start begins there if the group's offsets are further.

        Raises `Unavailable`; the note before then stays, which is only older.
        """
        saved = positions_to_note(self._positions.saved)
        if saved:
            await self._store.set_metadata(self.positions_note, saved)

    def _rewind(self, first: Mapping[TopicPartition, int]) -> None:
        """Have a batch that began at `first` fetched again."""
        for partition, offset in self._positions.rewound(first).items():
            try:
                self._kafka.seek(partition, offset)
            except (IllegalStateError, AssertionError):
                continue  # the partition has moved to another replica, which reads it from the start

    # --- halt and resume -------------------------------------------------------------------------

    def halt(self, code: str) -> None:
        """Stop consuming until an operator resumes. Heartbeats go on, and the partitions stay assigned here."""
        if self.halted is None:
            log.critical("consumer.halted", reason=code)
        self.halted = code
        self._metrics.halted.set(1)
        self._pause()

    def _halt_on(self, lost: PositionLost) -> None:
        for gap in lost.gaps:
            self._log_gap(log.critical, "history.removed", gap)
        self.halt(lost.code)

    def _log_gap(self, write: Callable[..., None], event: str, gap: Gap) -> None:
        write(
            event,
            topic=gap.partition.topic,
            partition=gap.partition.partition,
            offset=gap.found,
            offset_expected=gap.expected,
        )

    async def resume(self, accept: str | None = None) -> str | None:
        """Consume again. Returns why the consumer had halted; None when it had not.

        Raises `Refused` when only a migration helps, and when `accept` does not name the loss that has to be accepted.
        """
        was = self.halted
        if was is None:
            return None
        if was == "history-removed" and accept != was:
            raise Refused(
                was,
                "Messages that this service had not applied were removed from a topic.",
                hint="Bootstrap the service (see the runbook), or resume with accept: history-removed.",
            )
        if was not in RESUMABLE:
            raise Refused(
                was, "A topic was changed or created again.", hint="See the runbook: migrate."
            )
        self.halted = None
        self._circuit_breaker.reset()
        self._metrics.halted.set(0)
        log.warning("consumer.resumed", reason=was)
        kafka = self._joined
        if kafka is not None:
            async with self._alone():
                accepted = self._positions.give_up_removed(kafka)
                for partition, offset in accepted.items():
                    kafka.seek(partition, offset)
                if was == "history-removed" and accepted:
                    await commit_offsets(kafka, accepted, self.store_id)
                    with suppress(Unavailable):  # the loss would have to be accepted again
                        await self.note_positions()
                kafka.resume(*kafka.assignment())
        return was

    def _pause(self) -> None:
        kafka = self._joined
        if kafka is not None:
            kafka.pause(*kafka.assignment())

    # --- rebalancing -----------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish the batch in hand before the partitions move."""
        del revoked  # the assignor is an eager one: it revokes all of them at once
        async with self._alone():
            with suppress(Unavailable):  # the next owner reads a little more
                await self.note_positions()
            self._positions.forget()
            self._newer.clear()
            self._sequence_gaps.forget()
            self._lag.assigned(())
            self.healthy = True  # what it waited to save, another replica saves now

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Ask anew how far the topics reach: deadlines wait until all of that has been applied."""
        async with self._alone():
            # A batch that was fetched before they were revoked may have been processed since.
            self._positions.forget()
            self._positions.assigned()
            self._sequence_gaps.forget()
        self._lag.assigned(assigned)
        log.info("partitions.assigned", count=len(assigned))
        if any(
            tp.partition >= TOPICS[tp.topic].partitions for tp in assigned if tp.topic in TOPICS
        ):
            self.halt("topic-partitions-differ")
        elif self.halted is not None:
            self._pause()
        self._changes.notify()

    async def caught_up(self) -> bool:
        """Everything that was on the topics when the partitions were assigned has been applied."""
        kafka = self._joined
        if kafka is None or not kafka.assignment() or self.halted is not None:
            self._stall.look(0, done=True)
            return False  # no deadline may fire on outdated state
        if not self._positions.has_target:
            async with self._alone():  # partitions can't be revoked meanwhile
                try:
                    await self._positions.take_target(kafka)
                except PositionLost as lost:
                    self._halt_on(lost)
                else:
                    self._seek_behind()
        caught_up = self.halted is None and await self._positions.caught_up(kafka, self._newer)
        self._stall.look(self._positions.progress, done=caught_up)
        return caught_up

    @property
    def stalled(self) -> bool:
        """It has not caught up, and nothing has been applied for a while: no deadline fires here."""
        return self._stall.stalled

    @property
    def buckets(self) -> list[int]:
        """The partition numbers held of *every* topic: this replica runs the deadlines of their records."""
        kafka = self._joined
        return [] if kafka is None else self._positions.buckets(kafka.assignment())

    @property
    def firing_buckets(self) -> list[int]:
        """Those of `buckets` whose deadlines may fire: not where a partition waits for a newer version."""
        waiting = {partition.partition for partition in self._newer}
        return [bucket for bucket in self.buckets if bucket not in waiting]

    @property
    def topics(self) -> Sequence[str]:
        """The topics that the service consumes."""
        return self._reactions.topics

    @property
    def positions(self) -> dict[str, int]:
        """The next offset to be applied, by `topic/partition`, of the partitions held."""
        kafka = self._joined
        return {} if kafka is None else self._positions.next_offsets(kafka.assignment())

    def behind(self) -> dict[TopicPartition, int]:
        """Messages between the position and the end, of each partition held, as far as both are known."""
        kafka = self._joined
        if kafka is None:
            return {}
        positions = self._positions.next_offsets(kafka.assignment())
        found: dict[TopicPartition, int] = {}
        for partition in kafka.assignment():
            position, end = positions.get(place(partition)), kafka.highwater(partition)
            if position is not None and end is not None:
                found[partition] = max(0, end - position)
        return found

    @property
    def behind_seconds(self) -> float:
        """For how long this replica has not been level with the end of a partition that it holds."""
        return self._lag.seconds(self.behind(), halted=self.halted is not None)

    @property
    def busy(self) -> bool:
        """A batch is being processed."""
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


def _of_newer_records(
    decided: Iterable[tuple[Outcome, Message]],
) -> dict[TopicPartition, int]:
    """By partition: the first offset whose event is about a record that a newer version of the service wrote."""
    found: dict[TopicPartition, int] = {}
    for outcome, message in decided:
        if isinstance(outcome.error, RecordIsNewer):
            found.setdefault(TopicPartition(message.topic, message.partition), message.offset)
    return found


def _before(stops: Mapping[TopicPartition, int], batch: Sequence[Message]) -> Sequence[Message]:
    """The messages of a batch that lie before these offsets, and all of the other partitions."""
    if not stops:
        return batch
    return [
        message
        for message in batch
        if (stop := stops.get(TopicPartition(message.topic, message.partition))) is None
        or message.offset < stop
    ]


async def _unparsed(messages: tuple[Message, ...]) -> KafkaMessage:
    """A FastStream message that touches neither headers nor values, so that it can't fail."""
    last = messages[-1]
    return KafkaMessage(
        raw_message=messages,  # type: ignore[arg-type] - a batch message carries the tuple
        body=b"",
        headers={},
        message_id=f"{last.topic}-{last.partition}-{last.offset}",
        consumer=None,  # type: ignore[arg-type] - never acknowledged through the message
    )


async def _undecoded(message: KafkaMessage) -> Sequence[Message]:
    return cast("Sequence[Message]", message.raw_message)
