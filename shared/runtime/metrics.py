"""The metrics of a service. Labels are types, reasons and codes; no label names a subject or a person."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.runtime.log_output import Output
from shared.runtime.set_aside import REASONS, SetAside

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
        self.lag_records = Gauge(
            "care_lag_records",
            "Messages between the position and the end.",
            ("topic", "partition"),
            registry=r,
        )
        self.lag_seconds = Gauge(
            "care_lag_seconds", "Age of the last message handled, while behind.", registry=r
        )
        self.relay_waiting = Gauge(
            "care_relay_waiting", "Outboxes waiting in the relay.", registry=r
        )
        self.halted = Gauge(
            "care_consumer_halted", "1 while the consumer waits for an operator.", registry=r
        )
        self.records_set_aside = Gauge(
            "care_records_set_aside",
            "Records that this replica leaves out of its work, by reason.",
            ("reason",),
            registry=r,
        )
        self.refused_anonymous = Counter(
            "care_refused_anonymous_total",
            "Requests that were refused because nobody known sent them.",
            ("code",),
            registry=r,
        )
        self.ready = Gauge("care_ready", "1 when ready for commands.", registry=r)

    def watch(self, set_aside: SetAside, output: Output | None) -> None:
        """Compute these at each scrape: the records that are set aside, and what became of the log lines."""
        for reason in REASONS:
            count = partial(_count_of, set_aside, reason)
            self.records_set_aside.labels(reason).set_function(count)
        if output is not None:
            self.registry.register(_LogLines(output))


def _count_of(set_aside: SetAside, reason: str) -> float:
    return set_aside.counts()[reason]


class _LogLines(Collector):
    """What became of the log lines."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "care_log_failures", "Attempts to write log lines that failed.", self._output.failures
        )
        yield CounterMetricFamily(
            "care_log_lines_lost", "Log lines that were dropped.", self._output.lost
        )
