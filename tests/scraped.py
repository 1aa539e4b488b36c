"""What a scrape has: every family of metrics, of a replica that holds nothing."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import TopicPartition
from prometheus_client.core import Metric

from shared.runtime.metrics import Census, Metrics, Watched
from shared.runtime.set_aside import SetAside


class Level:
    """A consumer that is level with its topics."""

    behind_seconds = 0.0

    def behind(self) -> Mapping[TopicPartition, int]:
        return {TopicPartition("care.plans", 3): 0}


def watched() -> Watched:
    """A replica that is ready, and counts."""
    return Watched(
        output=None,
        set_aside=SetAside(),
        ready=lambda: True,
        lag=Level(),
        census=Census,
        census_age=lambda: 0.0,
    )


def families() -> list[Metric]:
    """Every metric that a service has, with its labels."""
    metrics = Metrics()
    metrics.watch(watched())
    metrics.begin_at_zero(
        published=["care.plans.x.v1"],
        sources=["care.intake"],
        loops=["discharge"],
        statuses=["applied"],
        reasons=["data-invalid"],
    )
    return list(metrics.registry.collect())
