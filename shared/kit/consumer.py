"""The Kafka side of a subscriber: it fetches from the position in the inbox, whatever the group's offsets say.

It also commits offsets, after the inbox has been written, to show the group's lag and to carry a heartbeat. From the
committed offsets it reads only which inbox committed them. So a tool, a restarting broker or aiokafka that reports
"nothing was ever committed" neither repeats nor skips an event.
"""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)

from ..contracts.topics import MAX_MESSAGE_BYTES, TOPICS, Topic
from .aiokafka_patch import raising_response_errors
from .batches import patch_fetcher
from .connection import Connection
from .errors import Refused
from .heartbeat import inbox_of
from .messages import Place, name_of
from .to_the_end import read_to

log: Final = logging.getLogger("throughcare_events")
FETCH_WAIT_MS: Final = 500
REBALANCE_MS: Final = 60_000
"""How long the group waits for a member that has an event in hand."""
Record = ConsumerRecord[bytes, bytes]


class Consumer(ConsumerRebalanceListener):
    """A member of the subscriber's group, with topics by the names of the catalogue."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        topics: Collection[str],
        batch: int,
        revoked: Callable[[Collection[Place]], Awaitable[None]],
    ) -> None:
        patch_fetcher()
        self._connection = connection
        self._prefix = connection.prefix
        self._topics = [f"{self._prefix}{topic}" for topic in topics]
        self._batch = batch
        self._revoked = revoked
        self._expected: dict[TopicPartition, int] = {}
        self._sought: dict[TopicPartition, int] = {}
        """Where a hole was fetched again: what is still missing then is not there."""
        self._client = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=f"{self._prefix}{group}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            rebalance_timeout_ms=REBALANCE_MS,
            max_partition_fetch_bytes=2 * MAX_MESSAGE_BYTES,
        )

    async def start(self) -> None:
        """Join the group. Raises `Refused` for what this user may not read, `KafkaError` while Kafka is away."""
        await self.connect()
        self._client.subscribe(self._topics, listener=self)

    async def connect(self) -> None:
        """Reach Kafka without joining the group. Raises as `start` does."""
        await self._client.start()
        coordinator = self._coordinator
        send = cast("Any", GroupCoordinator)._send_req  # noqa: SLF001 - there is no public hook for it
        coordinator._send_req = partial(raising_response_errors(send), coordinator)  # noqa: SLF001
        await self._check_topics()

    @property
    def _coordinator(self) -> Any:
        return cast("Any", self._client)._coordinator  # noqa: SLF001 - `committed` gives no metadata

    async def stop(self) -> None:
        """Leave the group."""
        await self._client.stop()

    @asynccontextmanager
    async def _admin(self) -> AsyncGenerator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connection.client_options())
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def _check_topics(self) -> None:
        async with self._admin() as admin:
            described = await admin.describe_topics(self._topics)
        for found in described:
            name = found["topic"].removeprefix(self._prefix)
            topic = TOPICS.get(name) or Topic(name)
            _check(topic, for_code(found["error_code"]), len(found["partitions"]))

    # --- without the group -----------------------------------------------------------------------

    async def cluster(self) -> str:
        """Kafka's id of the cluster."""
        async with self._admin() as admin:
            return str((await admin.describe_cluster())["cluster_id"])

    async def assign(self, places: Iterable[Place]) -> None:
        """Take these partitions without asking the group."""
        self._client.assign([self._there(place) for place in places])

    async def names(self, offsets: Mapping[Place, int]) -> dict[Place, str]:
        """What names the message at each of these offsets, or the next one where none is there any more; "" at the end.

        Raises `KafkaError`, also when Kafka falls silent.
        """
        waiting = {self._there(place): offset for place, offset in offsets.items()}
        if not waiting:
            return {}
        ends: dict[TopicPartition, int] = await self._client.end_offsets(list(waiting))
        for there, offset in waiting.items():
            self._client.seek(there, offset)
        found = dict.fromkeys(offsets, "")
        self._client.pause(*(self._client.assignment() - waiting.keys()))
        async for there, batch in read_to(self._client, ends):
            if there in waiting:
                del waiting[there]
                found[self._place(there)] = name_of(batch[0])
                self._client.seek(there, ends[there])
        self._client.resume(*self._client.assignment())
        return found

    # --- partitions ------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        await self._revoked([self._place(one) for one in revoked])
        for one in revoked:
            self._expected.pop(one, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        for one in assigned:  # learned before anything of them is taken
            self._expected.pop(one, None)

    def unknown(self) -> list[Place]:
        """Held partitions whose positions have not been set."""
        return [self._place(one) for one in self._client.assignment() if one not in self._expected]

    async def committed_by(self, places: Iterable[Place]) -> set[str]:
        """Which inboxes the group's offsets on these partitions belong to."""
        found = await self._coordinator.fetch_committed_offsets(
            [self._there(one) for one in places]
        )
        return {inbox_of(one.metadata) for one in found.values()} - {""}

    async def bounds(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """The first offset that is still there, and the one that the next message will get."""
        there = [self._there(one) for one in places]
        beginnings = await self._client.beginning_offsets(there)
        ends = await self._client.end_offsets(there)
        return {self._place(one): (beginnings[one], ends[one]) for one in there}

    def forget(self) -> None:
        """The positions are not known any more: they have to be set before anything is taken."""
        self._expected.clear()

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """Fetch from these offsets on, of the partitions that are still held."""
        held = self._client.assignment()
        for place, offset in offsets.items():
            if (there := self._there(place)) in held:
                self._client.seek(there, offset)
                self._expected[there] = offset

    # --- messages --------------------------------------------------------------------------------

    async def fetch(self) -> list[Record]:
        """What comes next, in order, of partitions whose positions are known. Raises `KafkaError`, `Refused`."""
        try:
            found = await self._client.getmany(timeout_ms=FETCH_WAIT_MS, max_records=self._batch)
        except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
            raise Refused(
                "group-not-allowed",
                "Kafka does not let this user read with this group any more.",
                "A group is called as the user, or begins with its name and a dot; ask the operators.",
            ) from error
        return [
            message for there, batch in found.items() for message in self._following(there, batch)
        ]

    def _following(self, there: TopicPartition, batch: Sequence[Record]) -> Sequence[Record]:
        """The batch, if it goes on where the last one ended: aiokafka can drop what it has fetched."""
        expected = self._expected.get(there)
        if expected is None:
            return []
        fresh = [message for message in batch if message.offset >= expected]
        if fresh and fresh[0].offset > expected and self._sought.get(there) != expected:
            self._sought[there] = expected
            self.seek({self._place(there): expected})
            return []
        if fresh:
            self._expected[there] = fresh[-1].offset + 1
            if self._prefix:
                for message in fresh:
                    message.topic = there.topic.removeprefix(self._prefix)
        return fresh

    def behind(self, offsets: Mapping[Place, int]) -> dict[Place, int]:
        """How many messages each partition still has, as far as the last fetch has told."""
        ends = {place: self._client.highwater(self._there(place)) for place in offsets}
        return {place: max(0, (ends[place] or 0) - offset) for place, offset in offsets.items()}

    async def commit(self, offsets: Mapping[Place, int], metadata: Callable[[int], str]) -> None:
        """Commit the next offsets with a text of each. Never raises: a later commit covers this one."""
        held = self._client.assignment()
        wanted = {self._there(place): (at, metadata(at)) for place, at in offsets.items()}
        try:
            await self._client.commit({there: at for there, at in wanted.items() if there in held})
        except (CommitFailedError, IllegalStateError) as error:
            log.info("offsets were not committed: the partitions moved (%s)", type(error).__name__)
        except KafkaError as error:
            log.warning("offsets were not committed: %s", type(error).__name__)

    def _place(self, there: TopicPartition) -> Place:
        return there.topic.removeprefix(self._prefix), there.partition

    def _there(self, place: Place) -> TopicPartition:
        return TopicPartition(f"{self._prefix}{place[0]}", place[1])


def _check(topic: Topic, error: type[KafkaError], partitions: int) -> None:
    """Raises `Refused` for a topic that is not as the contract says, and Kafka's error for one that is not there."""
    if error is TopicAuthorizationFailedError:
        raise Refused(
            "topic-not-readable",
            f"This user may not read {topic.name}.",
            "Ask the operators for `care topics acl --subscriber NAME --topic … --apply`.",
        )
    if error is not NoError:
        raise error(topic.name)
    if partitions != topic.partitions:
        raise Refused(
            "topic-partitions-differ",
            f"{topic.name} has {partitions} partitions; the contract says {topic.partitions}.",
            "The order of events rests on it: use the wheel that belongs to this cluster.",
        )
