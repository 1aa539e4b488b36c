"""Positions: how far a consumer is in each partition, and whether the messages that it receives follow on from there.

This module only keeps the positions and asks the few questions that `Client` answers. It does not seek, pause, commit
or log. The consumer acts on the answers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import TopicPartition

from shared.runtime.kafka.reading import Message

STALLED_SECONDS: Final = 30.0
"""How long catching up may stand still before readiness says so."""


class Client(Protocol):
    """What positions ask of a Kafka client; aiokafka's consumer answers all of it. Raises `KafkaError`."""

    def assignment(self) -> Collection[TopicPartition]:
        """The partitions that this member holds."""
        ...

    async def committed(self, partition: TopicPartition, /) -> int | None:
        """The offset that the group has committed; None when it never has."""
        ...

    async def position(self, partition: TopicPartition, /) -> int:
        """The offset that this client fetches next. It goes past what no application sees: transaction markers."""
        ...

    async def beginning_offsets(
        self, partitions: list[TopicPartition], /
    ) -> Mapping[TopicPartition, int]:
        """The first offset that retention has left."""
        ...

    async def end_offsets(
        self, partitions: list[TopicPartition], /
    ) -> Mapping[TopicPartition, int]:
        """The offset that the next message will get."""
        ...


Noted = Callable[[], Awaitable[Mapping[str, int]]]
"""Asks the store up to which offset, by `topic/partition`, it certainly holds everything. The answer may be old."""


NOTED_POSITIONS: Final = "positions"
"""The metadata in which the store keeps its own note of the positions."""


def positions_to_note(offsets: Mapping[TopicPartition, int]) -> dict[str, int]:
    """Next offsets in the form of the store's note. A dot in a field's name would be a path there."""
    return {place(partition).replace(".", ":"): offset for partition, offset in offsets.items()}


def noted_positions(metadata: Mapping[str, Any]) -> dict[str, int]:
    """The store's note, by `topic/partition`."""
    return {name.replace(":", "."): at for name, at in metadata.items() if name != "_id"}


class Gap(NamedTuple):
    """A partition that went on at `found` where `expected` should have come."""

    partition: TopicPartition
    expected: int
    found: int


class PositionLost(Exception):
    """A topic no longer holds what should come next. Only an operator may decide to go on.

    `code` is `history-removed` (retention removed messages that were not applied yet; `gaps` says where) or
    `topic-made-again` (the topic is shorter than what was applied of it).
    """

    def __init__(self, code: str, gaps: Sequence[Gap] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.gaps = gaps


class Positions:
    """For every partition held: the next offset expected, and what is known of gaps before it."""

    def __init__(self, topics: Collection[str], noted: Noted) -> None:
        self._topics = topics
        self._noted = noted
        self._expected: dict[TopicPartition, int] = {}
        self._sought: dict[TopicPartition, int] = {}
        """Where a gap was fetched again: when it is still there, it is real."""
        self._removed: dict[TopicPartition, int] = {}
        """Up to which offset retention has removed messages that were not applied; known, or accepted, once."""
        self._behind: dict[TopicPartition, int] = {}
        """Where to fetch from, where the group's committed offset is ahead of what the store has saved."""
        self._taken: dict[TopicPartition, int] = {}
        """The offset after the last message that the client has given out, whether it has been applied or not."""
        self._passed: dict[TopicPartition, int] = {}
        """How far the client has come where all that it gave out is applied: past what no application sees."""
        self._target: dict[TopicPartition, int] | None = None
        """The ends of the topics at assignment; None until they are asked for."""

    # --- a batch ---------------------------------------------------------------------------------

    async def without_gaps(
        self, client: Client, messages: Sequence[Message]
    ) -> tuple[Sequence[Message], list[Gap]]:
        """The messages of the partitions that go on where the last batch ended, and the gaps of the others.

        The caller has to seek each gap's `expected` and fetch again: aiokafka can drop fetched messages of healthy
        partitions when a neighbour's can't be unpacked. A gap that is still there after that is real (a transaction
        marker, a compacted message), and its messages pass.

        Raises `PositionLost`.
        """
        first = first_offsets(messages)
        await self.learn(client, first)
        gaps: list[Gap] = []
        for partition, offset in first.items():
            if partition in self._behind:
                continue
            expected = self._expected[partition]
            if offset != expected:
                await self._verify(client, partition, expected)
            if offset > expected and self._sought.get(partition) != expected:
                self._sought[partition] = expected
                self._passed.pop(partition, None)
                gaps.append(Gap(partition, expected, offset))
            else:
                self._sought.pop(partition, None)
        skipped = {gap.partition for gap in gaps} | self._behind.keys()
        if not skipped:
            return messages, gaps
        return [m for m in messages if TopicPartition(m.topic, m.partition) not in skipped], gaps

    async def learn(self, client: Client, partitions: Iterable[TopicPartition]) -> None:
        """Ask where to begin on the partitions that are new here. Raises `PositionLost`.

        The lower of the group's committed offset and the store's own note counts: a tool, or anybody on the bus, can
        move a committed offset past messages that were never applied. A position that a batch has reached meanwhile
        stays.
        """
        unknown = [partition for partition in partitions if partition not in self._expected]
        if not unknown:
            return
        committed = await asyncio.gather(*(client.committed(partition) for partition in unknown))
        beginnings = await client.beginning_offsets(unknown)
        noted = await self._noted()
        gaps: list[Gap] = []
        for partition, offset in zip(unknown, committed, strict=True):
            wanted = min(offset or 0, noted.get(place(partition), offset or 0))
            beginning = beginnings[partition]
            gaps += self._note_removed(partition, wanted, beginning)
            self._expected.setdefault(partition, max(wanted, beginning))
            if wanted < (offset or 0):
                self._behind[partition] = self._expected[partition]
        if gaps:
            raise PositionLost("history-removed", gaps)

    async def _verify(self, client: Client, partition: TopicPartition, expected: int) -> None:
        """Check that the topic still begins before and ends behind what is expected. Raises `PositionLost`."""
        beginnings = await client.beginning_offsets([partition])
        ends = await client.end_offsets([partition])
        if ends[partition] < expected:
            raise PositionLost("topic-made-again")
        gaps = self._note_removed(partition, expected, beginnings[partition])
        if gaps:
            raise PositionLost("history-removed", gaps)

    def _note_removed(self, partition: TopicPartition, expected: int, beginning: int) -> list[Gap]:
        """The gap that retention has left before `beginning`; none when it was noted, and so accepted, before."""
        if expected >= beginning or self._removed.get(partition, 0) >= beginning:
            return []
        self._removed[partition] = beginning
        return [Gap(partition, expected, beginning)]

    def advance(self, ends: Mapping[TopicPartition, int]) -> None:
        """Everything before these offsets is saved or dead-lettered."""
        self._expected |= ends

    def rewound(self, first: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Where to fetch a batch again that began at `first`: never behind what should come next."""
        for partition in first:
            self._passed.pop(partition, None)
        return {
            partition: min(offset, self._expected.get(partition, offset))
            for partition, offset in first.items()
        }

    def take_behind(self) -> dict[TopicPartition, int]:
        """Where the client has to seek, once: the group's committed offset skips what was never saved."""
        behind, self._behind = self._behind, {}
        return behind

    def give_up_removed(self, client: Client) -> dict[TopicPartition, int]:
        """Go on behind what retention has removed; returns where, for the partitions held."""
        assigned = client.assignment()
        accepted = {
            partition: max(self._expected.get(partition, 0), beginning)
            for partition, beginning in self._removed.items()
            if partition in assigned
        }
        self._expected |= accepted
        return accepted

    # --- rebalancing -----------------------------------------------------------------------------

    def forget(self) -> None:
        """The partitions are revoked. What was accepted as removed stays accepted."""
        self._target = None
        self._expected.clear()
        self._sought.clear()
        self._behind.clear()
        self._taken.clear()
        self._passed.clear()

    def assigned(self) -> None:
        """The assignment is new: its ends have to be asked for."""
        self._target = None

    @property
    def has_target(self) -> bool:
        """The ends of the topics at assignment are known."""
        return self._target is not None

    async def take_target(self, client: Client) -> None:
        """Remember how far the topics reach now, unless the assignment changes meanwhile. Raises `PositionLost`."""
        assigned = set(client.assignment())
        ends = await client.end_offsets(list(assigned))
        await self.learn(client, assigned)
        if set(client.assignment()) == assigned:
            self._target = dict(ends)

    def take(self, messages: Sequence[Message]) -> None:
        """Note messages as soon as the client has given them out: they are not applied yet, and it has passed them."""
        self._taken |= end_offsets(messages)

    async def caught_up(
        self, client: Client, apart: Collection[TopicPartition] = frozenset()
    ) -> bool:
        """Everything that was on the topics at assignment has been applied, but for the partitions `apart`.

        Where a partition ends with what no application sees, the last message lies before its end: then the client has
        come to the end, and all that it has given out is applied.
        """
        target = self._target
        if target is None:
            return False
        for partition, end in target.items():
            expected = self._expected.get(partition, 0)
            if partition in apart:
                continue
            if expected < end and (
                partition in self._behind
                or expected < self._taken.get(partition, 0)
                or await client.position(partition) < end
            ):
                return False
        return target is self._target

    async def pass_over(self, client: Client, partitions: Iterable[TopicPartition]) -> bool:
        """Note how far the client has come on partitions of which nothing is in hand. Returns whether it has moved.

        A message that it has dropped lies before that as well: `without_gaps` finds it, when the next one comes.
        """
        moved = False
        for partition in partitions:
            expected = self._expected.get(partition)
            if expected is None or partition in self._behind:
                continue
            if expected >= self._taken.get(partition, 0):
                position = await client.position(partition)
                moved |= position > max(expected, self._passed.get(partition, 0))
                if self._expected.get(partition) == expected:  # no rebalance meanwhile
                    self._passed[partition] = position
        return moved

    @property
    def progress(self) -> int:
        """A number that grows with every message applied of the partitions held."""
        return sum(self._expected.values())

    # --- what is held ----------------------------------------------------------------------------

    def buckets(self, assigned: Iterable[TopicPartition]) -> list[int]:
        """The partition numbers held of *every* topic: this replica runs the deadlines of their records."""
        held = Counter(partition.partition for partition in assigned)
        return sorted(number for number, topics in held.items() if topics == len(self._topics))

    @property
    def saved(self) -> Mapping[TopicPartition, int]:
        """The next offset of every partition since the last rebalance: all before it is saved, for the store's note."""
        return self._expected

    def next_offsets(self, assigned: Collection[TopicPartition]) -> dict[str, int]:
        """The next offset to be applied, by `topic/partition`, of the partitions held: past what nobody can apply."""
        return {
            place(partition): max(offset, self._passed.get(partition, 0))
            for partition, offset in self._expected.items()
            if partition in assigned
        }


def place(partition: TopicPartition) -> str:
    """A partition as one text, `topic/partition`."""
    return f"{partition.topic}/{partition.partition}"


class Stall:
    """Whether catching up stands still: no progress for a while, and not done."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._progress = -1
        self._since: float | None = None

    def look(self, progress: int, *, done: bool) -> None:
        """Note how far it has come."""
        if done:
            self._since = None
        elif self._since is None or progress != self._progress:
            self._since = self._now()
        self._progress = progress

    @property
    def stalled(self) -> bool:
        return self._since is not None and self._now() - self._since > STALLED_SECONDS


def first_offsets(messages: Sequence[Message]) -> dict[TopicPartition, int]:
    """The first offset of each partition in a batch."""
    first = {(message.topic, message.partition): message.offset for message in reversed(messages)}
    return {TopicPartition(*place): offset for place, offset in first.items()}


def end_offsets(messages: Sequence[Message]) -> dict[TopicPartition, int]:
    """The offset after the last message of each partition in a batch: the next one, as Kafka wants it committed."""
    last = {(message.topic, message.partition): message.offset for message in messages}
    return {TopicPartition(*place): offset + 1 for place, offset in last.items()}
