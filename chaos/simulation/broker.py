"""A broker as the consumer sees it: topics, a group with eager rebalancing, offsets, members that fall silent."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from shared.contracts.topics import PARTITIONS
from shared.runtime.core.partitions import partition_of

SESSION_SECONDS: Final = 10.0
REBALANCE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.5

Wire = Callable[[str], Awaitable[None]]
Raw = ConsumerRecord[bytes, bytes]


class Dead(BaseException):
    """The process that this task belonged to is no more."""


@dataclass(slots=True)
class Log:
    """Every topic's partitions: what was acknowledged, in the order in which it arrived."""

    partitions: dict[TopicPartition, list[Raw]] = field(
        default_factory=lambda: defaultdict[TopicPartition, list[Raw]](list)
    )

    def append(self, topic: str, subject: str, headers: Mapping[str, str], data: bytes) -> None:
        """One record at the end of its subject's partition, with the virtual time in milliseconds."""
        tp = TopicPartition(topic, partition_of(subject, PARTITIONS))
        log = self.partitions[tp]
        pairs = tuple((name, text.encode()) for name, text in headers.items())
        make: Any = ConsumerRecord
        record: Raw = make(
            topic,
            tp.partition,
            len(log),
            round(asyncio.get_running_loop().time() * 1000),
            0,
            subject.encode(),
            data,
            None,
            0,
            len(data),
            pairs,
        )
        log.append(record)

    def end(self, tp: TopicPartition) -> int:
        """The next offset."""
        return len(self.partitions[tp])

    def records(self, topic: str) -> list[Raw]:
        """A whole topic, partition after partition."""
        return [
            record
            for tp, log in sorted(self.partitions.items())
            if tp.topic == topic
            for record in log
        ]


class Member:
    """One replica's client: what `Consumer` asks of aiokafka's."""

    def __init__(self, log: Log, group: Group, name: str, wire: Wire) -> None:
        self.name = name
        self.listener: Any = None
        self.silent = False
        """Paused or dead: it neither heartbeats nor answers the coordinator."""
        self.generation = -1
        self.positions: dict[TopicPartition, int] = {}
        self._log = log
        self._group = group
        self._wire = wire

    def assignment(self) -> set[TopicPartition]:
        return set(self.positions)

    async def committed(self, tp: TopicPartition) -> int | None:
        await self._wire("committed")
        return self._group.committed.get(tp)

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp]

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self._wire("beginning")
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self._wire("ends")
        return {tp: self._log.end(tp) for tp in tps}

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        await self._wire("commit")
        if self.generation != self._group.generation or self not in self._group.members:
            raise CommitFailedError("the group has moved on")
        self._group.committed |= {tp: offset for tp, (offset, _) in offsets.items()}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        if tp not in self.positions:
            raise IllegalStateError("not assigned")
        self.positions[tp] = offset

    def highwater(self, tp: TopicPartition) -> int:
        return self._log.end(tp)

    def fetch(self, most: int) -> list[Raw]:
        """The next records of what is assigned; the positions move on."""
        found: list[Raw] = []
        for tp in sorted(self.positions):
            begin = self.positions[tp]
            batch = self._log.partitions[tp][begin : begin + most - len(found)]
            self.positions[tp] = begin + len(batch)
            found += batch
        return found


@dataclass(slots=True)
class Group:
    """The coordinator: who is in, who has fallen silent, and who holds which partition."""

    topics: Sequence[str]
    committed: dict[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    members: list[Member] = field(default_factory=list[Member])
    generation: int = 0
    rebalances: int = 0
    _changed: bool = False
    _silent_since: dict[str, float] = field(default_factory=dict[str, float])

    def join(self, member: Member) -> None:
        """A member asks in; the next look gives it its share."""
        self.members.append(member)
        self._changed = True

    def leave(self, member: Member) -> None:
        """A member says goodbye."""
        if member in self.members:
            self.members.remove(member)
            self._changed = True

    async def run(self) -> None:
        """Watch for ever. A member that is silent for the session time-out is out, whatever it may still believe."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for member in list(self.members):
                if not member.silent:
                    self._silent_since.pop(member.name, None)
                elif loop.time() - self._silent_since.setdefault(member.name, loop.time()) > (
                    SESSION_SECONDS
                ):
                    self.leave(member)
            if self._changed:
                self._changed = False
                await self._rebalance()

    async def _rebalance(self) -> None:
        self.rebalances += 1
        await asyncio.gather(*(self._revoke(member) for member in list(self.members)))
        self.generation += 1
        for number, member in enumerate(self.members):
            member.generation = self.generation
            member.positions = {
                TopicPartition(topic, n): self.committed.get(TopicPartition(topic, n), 0)
                for topic in self.topics
                for n in range(PARTITIONS)
                if n % len(self.members) == number
            }
        for member in list(self.members):
            await member.listener.on_partitions_assigned(sorted(member.positions))

    async def _revoke(self, member: Member) -> None:
        """Let a member finish its batch; one that does not within the time-out, or dies meanwhile, is put out."""
        try:
            async with asyncio.timeout(REBALANCE_SECONDS):
                await member.listener.on_partitions_revoked(sorted(member.positions))
        except (TimeoutError, Dead):
            self.leave(member)
