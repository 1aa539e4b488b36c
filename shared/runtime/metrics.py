"""The metrics of a service. Labels are types, reasons and codes; no label names a subject or a person."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self.ready = Gauge("care_ready", "1 when ready for commands.", registry=r)
