"""The topic watch: checks every few seconds that topics, cluster and consumer group are still the service's own.

At the same interval, it notes in the store how far the service has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from shared.contracts.topics import Topic
from shared.errors import AccessMissing, ConfigurationError, TopicSettingsDiffer, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import Store
from shared.runtime.kafka import identity, refusals, startup_checks
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.kafka.reach import AWAY, check_broker_reachable
from shared.runtime.kafka.topics import check_settings
from shared.runtime.logs import log, said
from shared.runtime.retry import Backoff


class TopicWatch:
    """Runs beside the consumer of one replica."""

    def __init__(
        self,
        kafka: KafkaConnection,
        group: str,
        topics: Sequence[Topic],
        store: Store,
        relay: Relay,
        consumer: Consumer,
        every_seconds: float,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = list(topics)
        """All topics that the service writes or reads; a journal has settings, and nothing is consumed from it."""
        self._consumed = [topic for topic in topics if topic.cleanup == "delete"]
        self._store = store
        self._relay = relay
        self._consumer = consumer
        self._every_seconds = every_seconds
        self._reached = True
        self._differs: TopicSettingsDiffer | None = None
        self.rights_missing: Sequence[str] = ()
        """What Kafka does not let this service do any more, such as `read topic care.intake`."""

    def watch(self, topics: Sequence[Topic]) -> None:
        """Watch these as well, which became known at the start."""
        new = [topic for topic in topics if topic not in self._topics]
        self._topics += new
        self._consumed += new

    def reasons(self) -> list[str]:
        """Why the replica is not ready, as far as this watch knows."""
        reasons = [] if self._reached else ["topics-waiting"]
        if self.rights_missing:
            reasons = ["broker-access-missing"]
        return reasons if self._differs is None else [*reasons, self._differs.code]

    def note_rights(self, error: Unavailable | None) -> None:
        """Remember which rights an answer of Kafka's has shown to be missing; None: it has given all of them."""
        if isinstance(error, AccessMissing):
            self.rights_missing = error.rights
        elif error is None and self.rights_missing:
            log.warning("access.given_back")
            self.rights_missing = ()

    async def run(self, refuse: Callable[[ConfigurationError], None]) -> None:
        """Look until something has changed for good; `refuse` then stops the replica."""
        backoff = Backoff()
        while True:
            if self._reached:
                await asyncio.sleep(self._every_seconds)
            else:
                await backoff.pause()
            try:
                await self._look()
            except Unavailable as error:
                # Without events to publish, no other part would notice that Kafka is away.
                self._reached = False
                self.note_rights(error)
                log.warning("topics.waiting", **said(await self._plainer(error)))
            except ConfigurationError as error:
                refuse(error)
                return
            else:
                self._reached = True
                self.note_rights(None)
                backoff.reset()

    async def _plainer(self, error: Unavailable) -> Unavailable:
        """Why Kafka does not answer, in words, when that can be seen from here."""
        if error.code == AWAY:
            try:
                await check_broker_reachable(self._kafka)
            except Unavailable as plainer:
                return plainer
        return error

    async def _look(self) -> None:
        names = [topic.name for topic in self._topics]
        await refusals.check_service(self._kafka, self._group, names)
        await startup_checks.check_partitions(self._kafka, self._consumed)
        await startup_checks.check_topics(self._kafka, self._consumed, self._store)
        await identity.verify(self._kafka, self._group, self._store)
        await self._compare_settings()
        await self._consumer.note_positions()

    async def _compare_settings(self) -> None:
        """Publish nothing while a topic may lose it: events wait in their outboxes until an operator repairs it."""
        try:
            await check_settings(self._kafka, self._topics)
        except TopicSettingsDiffer as differs:
            if self._differs is None:
                log.critical("topics.settings_differ", **said(differs))
                self._relay.pause()
            self._differs = differs
        else:
            if self._differs is not None:
                log.warning("topics.settings_repaired")
                self._relay.resume()
            self._differs = None
