"""The metrics of a service. Labels are types, reasons and codes; no label names a subject or a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Protocol

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.runtime.log_output import Output
from shared.runtime.set_aside import REASONS, SetAside

WORK_KINDS: Final = ("event", "command", "handoff", "deadline")
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """One service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.outcomes = Counter(
            "care_work_total", "Work by kind and outcome.", ("kind", "status"), registry=r
        )
        self.events_decided = Counter(
            "care_events_decided_total", "Events saved with a state.", ("type",), registry=r
        )
        self.events_published = Counter(
            "care_events_published_total", "Events acknowledged by Kafka.", ("type",), registry=r
        )
        self.events_skipped = Counter(
            "care_events_skipped_total",
            "Events of types that no rule subscribes to.",
            ("source",),
            registry=r,
        )
        self.dead_letters = Counter(
            "care_dead_letters_total",
            "Items that became dead letters, by reason.",
            ("reason",),
            registry=r,
        )
        self.sequence_gaps = Counter(
            "care_sequence_gaps_total",
            "Numbers missing from a subject's stream.",
            ("source",),
            registry=r,
        )
        self.foreign_messages = Counter(
            "care_foreign_messages_total",
            "Messages at the end of the service's own topic that it did not publish, as found at a start.",
            registry=r,
        )
        self.offset_gaps = Counter(
            "care_offset_gaps_total",
            "Offsets that the client skipped and had to fetch again.",
            registry=r,
        )
        self.races_lost = Counter(
            "care_races_lost_total", "Saves that were decided again after a race.", registry=r
        )
        self.swept = Counter(
            "care_swept_total", "Records whose outbox or handoffs the sweep resumed.", registry=r
        )
        self.save_seconds = Histogram(
            "care_save_seconds", "Load, decide and save of one batch.", buckets=_SECONDS, registry=r
        )
        self.command_seconds = Histogram(
            "care_command_seconds", "A command, by route.", ("route",), buckets=_SECONDS, registry=r
        )
        self.relay_waiting = Gauge(
            "care_relay_waiting", "Outboxes waiting in the relay.", registry=r
        )
        self.halted = Gauge(
            "care_consumer_halted", "1 while the consumer waits for an operator.", registry=r
        )
        self.refused_anonymous = Counter(
            "care_refused_anonymous_total",
            "Requests that were refused because nobody known sent them.",
            ("code",),
            registry=r,
        )
        self._loop_kinds: list[str] = []

    def watch(self, watched: Watched) -> None:
        """Compute the rest at each scrape. Nothing is asked of the store or of Kafka for that."""
        self.registry.register(_State(watched))
        self.registry.register(_Waiting(watched, lambda: self._loop_kinds))

    def begin_at_zero(
        self,
        *,
        published: Iterable[str],
        sources: Iterable[str],
        loops: Iterable[str],
        statuses: Iterable[str],
        reasons: Iterable[str],
    ) -> None:
        """Have every counter there from the start: one that appears with its first count shows no increase."""
        self._loop_kinds = sorted(loops)
        for kind, status in product(WORK_KINDS, statuses):
            self.outcomes.labels(kind, status)
        for reason in reasons:
            self.dead_letters.labels(reason)
        for event_type in published:
            self.events_decided.labels(event_type)
            self.events_published.labels(event_type)
        for source in sources:
            self.events_skipped.labels(source)
            self.sequence_gaps.labels(source)


@dataclass(frozen=True, slots=True)
class Census:
    """What waits in a service's store. Ages are in seconds; 0 when nothing waits."""

    dead_letters_open: int = 0
    dead_letter_age_seconds: float = 0.0
    """How long the oldest open dead letter has waited for somebody."""
    streams_blocked: int = 0
    loops_open: Mapping[str, int] = field(default_factory=dict[str, int])
    """By kind."""
    loops_overdue: Mapping[str, int] = field(default_factory=dict[str, int])
    """By kind: those that are open and have missed a deadline."""
    outbox_age_seconds: float = 0.0
    """How long the oldest event that is saved has not been published."""
    handoff_age_seconds: float = 0.0
    audit_age_seconds: float = 0.0
    """How long the oldest entry of the audit that is saved with its record has not been moved."""
    deadline_age_seconds: float = 0.0
    """How long the earliest deadline has been due, in the time of the domain."""


class LagSource(Protocol):
    """The consumer: how far it is behind."""

    def behind(self) -> Mapping[TopicPartition, int]:
        """Messages between the position and the end, of each partition held."""
        ...

    @property
    def behind_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What a scrape looks at: all of it in memory."""

    output: Output | None
    set_aside: SetAside
    ready: Callable[[], bool]
    lag: LagSource
    census: Callable[[], Census | None]
    census_age: Callable[[], float | None] = lambda: None
    """For how long no census was complete; None while another replica counts."""


class _State(Collector):
    """The state of this replica."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        watched = self._watched
        yield GaugeMetricFamily(
            "care_ready", "1 when ready for commands, as of this scrape.", float(watched.ready())
        )
        records = GaugeMetricFamily(
            "care_lag_records",
            "Messages between the position and the end.",
            labels=("topic", "partition"),
        )
        for partition, messages in watched.lag.behind().items():
            records.add_metric((partition.topic, str(partition.partition)), messages)
        yield records
        yield GaugeMetricFamily(
            "care_lag_seconds",
            "For how long this replica has not been level with its topics; grows while nothing moves.",
            watched.lag.behind_seconds,
        )
        aside = GaugeMetricFamily(
            "care_records_set_aside",
            "Records that this replica leaves out of its work, by reason.",
            labels=("reason",),
        )
        counts = watched.set_aside.counts()
        for reason in REASONS:
            aside.add_metric((reason,), counts[reason])
        yield aside
        failures, lost = (
            (0, 0) if watched.output is None else (watched.output.failures, watched.output.lost)
        )
        yield CounterMetricFamily(
            "care_log_failures", "Attempts to write log lines that failed.", failures
        )
        yield CounterMetricFamily("care_log_lines_lost", "Log lines that were dropped.", lost)


class _Waiting(Collector):
    """What waits in the service's store, by the last census; only on the replica that takes it."""

    def __init__(self, watched: Watched, kinds: Callable[[], Sequence[str]]) -> None:
        self._watched = watched
        self._kinds = kinds

    def collect(self) -> Iterator[Metric]:
        age = self._watched.census_age()
        if age is not None:
            yield GaugeMetricFamily(
                "care_census_age_seconds",
                "For how long what waits in the store has not been counted completely.",
                age,
            )
        census = self._watched.census()
        if census is None:
            return
        single = {
            "care_dead_letters_open": ("Open dead letters.", census.dead_letters_open),
            "care_dead_letter_age_seconds": (
                "How long the oldest open dead letter has waited.",
                census.dead_letter_age_seconds,
            ),
            "care_streams_blocked": ("Streams that wait for an operator.", census.streams_blocked),
            "care_outbox_age_seconds": (
                "How long the oldest saved event has not been published.",
                census.outbox_age_seconds,
            ),
            "care_handoff_age_seconds": (
                "How long the oldest handoff has waited.",
                census.handoff_age_seconds,
            ),
            "care_audit_age_seconds": (
                "How long the oldest entry of the audit has waited to be moved to it.",
                census.audit_age_seconds,
            ),
            "care_deadline_age_seconds": (
                "How long the earliest deadline has been due, on wall time.",
                census.deadline_age_seconds,
            ),
        }
        for name, (meaning, value) in single.items():
            yield GaugeMetricFamily(name, meaning, value)
        for name, meaning, counts in (
            ("care_loops_open", "Open loops, by kind.", census.loops_open),
            (
                "care_loops_overdue",
                "Open loops that have missed a deadline, by kind.",
                census.loops_overdue,
            ),
        ):
            family = GaugeMetricFamily(name, meaning, labels=("kind",))
            for kind in self._kinds():
                family.add_metric((kind,), counts.get(kind, 0))
            yield family
