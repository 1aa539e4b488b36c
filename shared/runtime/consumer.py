"""Kafka in: from a batch of records to work for the reactor, and from saved work to committed offsets.

FastStream drives the batch subscriber; acknowledgement is manual, because only this module knows what has been
saved. Nothing raised here reaches FastStream: whatever happens, a record is saved, set aside, or fetched again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage
from pydantic import ValidationError

from shared.contracts.event import MAX_EVENT_BYTES, Envelope, EnvelopeError, Event, read_envelope
from shared.decision import Cause, Decision, State
from shared.errors import CareError
from shared.runtime.clock import Clock
from shared.runtime.deadletters import letter
from shared.runtime.kafka import MAX_MESSAGE_BYTES
from shared.runtime.logs import log
from shared.runtime.metrics import Metrics
from shared.runtime.reactions import Reaction, Reactions
from shared.runtime.reactor import Reactor
from shared.runtime.record import Line, Work
from shared.runtime.relay import Relay
from shared.runtime.retry import Backoff
from shared.runtime.settings import ServiceSettings
from shared.runtime.store import Store

Raw = ConsumerRecord[bytes, bytes]
WATCHED_SUBJECTS: Final = 50_000


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
        self._clock = clock
        self._metrics = metrics
        self._busy = asyncio.Lock()
        self._backoff = Backoff()
        self._expected: dict[TopicPartition, int] = {}
        self._sought: dict[TopicPartition, int] = {}
        self._target: dict[TopicPartition, int] | None = None
        self._watched: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._settings = settings
        self._group = service
        self._subscriber: Any = None
        self.healthy = True

    def attach(self, broker: KafkaBroker) -> None:
        """Register with FastStream. Its own parser is replaced: it raises on a header that is not UTF-8."""
        settings = self._settings
        self._subscriber = broker.subscriber(
            *self._reactions.topics,
            group_id=self._group,
            batch=True,
            max_records=settings.batch_records,
            batch_timeout_ms=settings.batch_timeout_ms,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            listener=self,
            # Range gives one member the same partition numbers of every topic, which timers rely on.
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=300_000,
            fetch_max_bytes=8 * MAX_MESSAGE_BYTES,
            max_partition_fetch_bytes=2 * MAX_MESSAGE_BYTES,
            parser=_as_it_is,
            decoder=_undecoded,
        )
        self._subscriber(self.on_batch)

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
        async with self._busy:
            first = _firsts(records)
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
        works: list[Work] = []
        letters: list[dict[str, Any]] = []
        for record in batch:
            work, unreadable = self._read(record)
            if work is not None:
                works.append(work)
            elif unreadable is not None:
                letters.append(unreadable)
        await self._store.add_letters(letters)
        for outcome in await self._reactor.submit(works) if works else ():
            if outcome.error is not None:
                raise outcome.error
            if outcome.status in ("parked", "forked"):
                self._metrics.dead_letters.labels(outcome.reason).inc()
        for row in letters:
            self._metrics.dead_letters.labels(row["reason"]).inc()
        ends: dict[TopicPartition, int] = {}
        for record in batch:
            ends[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self._expected |= ends
        if batch:
            await self._commit(ends)
            self._note_lag(ends, batch[-1].timestamp)

    def _read(self, record: Raw) -> tuple[Work | None, dict[str, Any] | None]:
        """Work for the reactor, or a dead letter, or neither for what nobody here wants."""
        try:
            envelope = _envelope(record)
        except EnvelopeError as error:
            return None, _set_aside(record, None, error.code)
        self._watch(envelope)
        reaction = self._reactions.find(envelope.fact)
        if reaction is None:
            self._metrics.events_skipped.labels(envelope.source).inc()
            return None, None
        if not envelope.subject.startswith(f"{reaction.event.SUBJECT}/"):
            return None, _set_aside(record, envelope, "subject-kind-wrong")
        return self._work(record, envelope, reaction), None

    def _work(self, record: Raw, envelope: Envelope, reaction: Reaction) -> Work:
        subject, event, unreadable = envelope.subject, None, None
        value = record.value
        if envelope.major != reaction.event.MAJOR:
            unreadable = "major-unsupported"
        elif value is None or len(value) > MAX_EVENT_BYTES:
            unreadable = "data-invalid" if value is None else "too-large"
        else:
            try:
                event = reaction.event.parse(value)
                subject = reaction.subject(envelope, event)
            except (ValidationError, ValueError, RecursionError):
                unreadable = "data-invalid"
        line = envelope.source.removeprefix("care.")
        if subject != envelope.subject:
            line = f"{line}|{envelope.subject}"
        return Work(
            subject=subject,
            cause_id=envelope.id,
            correlation_id=envelope.correlationid,
            facility_id=envelope.facilityid,
            now=self._clock.now(),
            decide=_decide(reaction, event),
            line=Line(line, envelope.sequence, envelope.id),
            traceparent=envelope.traceparent,
            letter=lambda: letter(record, envelope, line),
            unreadable=unreadable,
        )

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
            start = beginnings[tp] if offset is None else max(offset, beginnings[tp])
            self._expected.setdefault(tp, start)

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
            # The partitions moved while we worked: the next owner reads again and finds `applied`.
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
        async with self._busy:
            self._target = None
            self._expected.clear()
            self._sought.clear()
            self._watched.clear()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Remember how far the topics reach now: deadlines wait until all of it has been heard."""
        self._target = None
        log.info("partitions.assigned", count=len(assigned))

    async def caught_up(self) -> bool:
        """Everything that was on the topics when the partitions were assigned has been applied."""
        kafka = self._joined
        assigned: set[TopicPartition] = set() if kafka is None else set(kafka.assignment())
        if kafka is None or not assigned:
            return False
        if self._target is None:
            async with self._busy:  # partitions can't be revoked meanwhile
                assigned = set(kafka.assignment())
                ends = await kafka.end_offsets(list(assigned))
                await self._learn_starting_points(
                    [tp for tp in assigned if tp not in self._expected]
                )
                if set(kafka.assignment()) != assigned:
                    return False
                self._target = dict(ends)
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


def _set_aside(record: Raw, envelope: Envelope | None, reason: str) -> dict[str, Any]:
    """A dead letter for what can't be put in order, and a line in the log."""
    log.error(
        "record.unreadable",
        reason=reason,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )
    return letter(record, envelope) | {"reason": reason, "exception": None}


def _envelope(record: Raw) -> Envelope:
    envelope = read_envelope(record.headers, record.key)
    if envelope.source != record.topic or not envelope.type.startswith(f"{record.topic}."):
        raise EnvelopeError("source-mismatch", "not this topic's publisher")
    return envelope


def _decide(reaction: Reaction, event: Event | None) -> Any:
    def decide(state: State, cause: Cause) -> Decision[State]:
        return reaction.rule(state, event, cause)

    return decide


def _firsts(records: Sequence[Raw]) -> dict[TopicPartition, int]:
    first: dict[TopicPartition, int] = {}
    for record in records:
        first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    return first


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
