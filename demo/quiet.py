"""Quiescence of the whole stack: whether anything is under way anywhere, found out with as few requests as possible."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.topics import TOPICS
from shared.errors import CareError
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.clients import new_consumer

PAUSE_SECONDS: Final = 0.01
"""Pause before a replica is polled again that answered that it is not quiet."""


class NeverQuiet(CareError):
    """Something goes on for longer than it should."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A replica's answer to `GET /ops/flow`: its progress at one moment."""

    service: str
    quiet_at: datetime | None
    """The domain time at which it was quiet; None when it was busy or its clock was not set."""
    positions: Mapping[str, int]
    topics: frozenset[str]
    next_due: datetime | None
    """The service's earliest deadline, whichever replica holds it."""

    @classmethod
    def read(cls, report: Mapping[str, Any]) -> Self:
        now, ran_until, due = _instants(report, "now", "deadlines_ran_until", "next_due")
        idle = not report["busy"] and "next_due" in report
        quiet = idle and now is not None and ran_until == now and (due is None or due > now)
        return cls(
            report["service"],
            now if quiet else None,
            report["positions"],
            frozenset(report["topics"]),
            due,
        )

    def behind(self, ends: Mapping[str, int]) -> dict[str, int]:
        """The ends of the partitions whose end it has not reached."""
        return {p: ends[p] for p, position in self.positions.items() if position != ends[p]}


def _instants(report: Mapping[str, Any], *names: str) -> list[datetime | None]:
    texts = [report.get(name) for name in names]
    return [None if text is None else datetime.fromisoformat(text) for text in texts]


class Replicas(Protocol):
    """The replicas: `demo.services.Services`."""

    @property
    def names(self) -> Sequence[str]: ...

    async def flow(self, name: str, reached: Mapping[str, int]) -> Flow:
        """Wait, for a bounded time, until the replica is quiet and has applied everything before `reached`."""
        ...


class Ends(Protocol):
    """The end offset of every partition, by `topic/partition`."""

    async def read(self) -> Mapping[str, int]: ...


class TopicEnds:
    """The end offsets of all topics, as the broker has them."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._connection = kafka
        self._kafka: AIOKafkaConsumer | None = None
        self._partitions = [
            TopicPartition(t.name, n) for t in TOPICS.values() for n in range(t.partitions)
        ]

    async def read(self) -> Mapping[str, int]:
        """Raises what the client raises while the broker is away."""
        if self._kafka is None:
            kafka = new_consumer(self._connection, enable_auto_commit=False)
            await kafka.start()
            self._kafka = kafka
        ends: dict[TopicPartition, int] = await self._kafka.end_offsets(self._partitions)
        return {f"{tp.topic}/{tp.partition}": end for tp, end in ends.items()}

    async def close(self) -> None:
        if self._kafka is not None:
            await self._kafka.stop()


class Quiet:
    """Which replicas are known to be quiet, and which have to be polled again.

    A replica that reports at a moment t that it is quiet stays quiet until it is given something to do. There are
    three ways, and each of them is noticed here:

    1. a request: `disturb` drops the report of the replica that it is sent to;
    2. the clock reaches a deadline: `stepped_to` drops the reports of all replicas of the service that owns it;
    3. an event on a partition that the replica holds: that partition then ends after the position in its report.

    `settle` polls the replicas without a report and *then* reads the end of every partition. Claim: when every
    position equals its end, nothing is under way at the moment of that reading. Suppose that a replica has done
    anything since its report. It was quiet then, no request was sent to it and none of its deadlines came (1 and 2,
    for the driver does neither meanwhile), so it began with an event that it had not applied at its report (3). That
    event was on its topic before the ends were read, so its partition ends after the position in the report, and the
    positions are not all equal to their ends. One reading of the ends, after the reports, is therefore enough.

    While a partition moves between replicas of a service, no report may contain it and its events would be missed:
    the reports of a service must cover all partitions of the topics that it consumes.

    A crash changes nothing. A replica dies either with a report, and then it was quiet and leaves nothing behind, or
    without one (or behind an end), and then it is polled until it is back and has caught up. A restarted replica is
    busy until it has taken up what its last life left in the store.
    """

    def __init__(self, replicas: Replicas, ends: Ends, within_seconds: float) -> None:
        self._replicas = replicas
        self._ends = ends
        self._within_seconds = within_seconds
        self._flows: dict[str, Flow] = {}
        self.looks = 0
        """How often the ends were read."""
        self.polls = 0
        self.records = 0
        """Events on all topics when the ends were last read."""

    def disturb(self, *names: str) -> None:
        """Drop the reports of these replicas: a request is sent to them."""
        for name in names:
            self._flows.pop(name, None)

    def stepped_to(self, now: datetime) -> None:
        """Drop the reports of every service that has a deadline by `now`: its clock has been set to that time."""
        due = {f.service for f in self._flows.values() if f.next_due and f.next_due <= now}
        self.disturb(*(name for name, flow in self._flows.items() if flow.service in due))

    @property
    def unsure(self) -> list[str]:
        """The replicas without a report: they may have something to do."""
        return [name for name in self._replicas.names if name not in self._flows]

    @property
    def next_due(self) -> datetime | None:
        """The earliest deadline of all services, as of their last reports."""
        return min((f.next_due for f in self._flows.values() if f.next_due), default=None)

    async def settle(self, now: datetime) -> None:
        """Return when nothing is under way anywhere, at the domain time `now`. Raises `NeverQuiet`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._within_seconds
        wanted: dict[str, dict[str, int]] = {name: {} for name in self.unsure}
        while True:
            again = await self._ask(wanted, now)
            ends = await self._ends.read()
            self.looks += 1
            self.records = sum(ends.values())
            wanted = self._wanted(ends)
            if not wanted:
                return
            if loop.time() > until:
                raise NeverQuiet("never-quiet", f"Still busy: {', '.join(wanted)}.")
            if again:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, wanted: Mapping[str, Mapping[str, int]], now: datetime) -> bool:
        """Poll these replicas, all at once. Returns whether one of them was not quiet."""
        self.polls += len(wanted)
        asked = [self._replicas.flow(name, reached) for name, reached in wanted.items()]
        flows = dict(zip(wanted, await asyncio.gather(*asked), strict=True))
        for name, flow in flows.items():
            if flow.quiet_at == now:
                self._flows[name] = flow
            else:
                self.disturb(name)
        return any(flow.quiet_at != now for flow in flows.values())

    def _wanted(self, ends: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """The replicas to poll next, each with the positions that it has to reach first."""
        wanted: dict[str, dict[str, int]] = {name: {} for name in self.unsure}
        if not wanted:
            wanted = {name: {} for name in self._not_covered()}
        for name, flow in self._flows.items():
            if behind := flow.behind(ends):
                wanted[name] = behind
        return wanted

    def _not_covered(self) -> list[str]:
        """The replicas of services whose reports leave out a partition that they consume."""
        covered: dict[str, set[str]] = defaultdict(set)
        for flow in self._flows.values():
            covered[flow.service].update(flow.positions)
        return [name for name, f in self._flows.items() if not _all(f.topics) <= covered[f.service]]


def _all(topics: frozenset[str]) -> set[str]:
    return {f"{topic}/{n}" for topic in topics for n in range(TOPICS[topic].partitions)}
