"""A service's real consumer, reactor and relay on a log and a store in memory, and messages of any kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from chaos.simulation.broker import Group, Log, Member
from shared.contracts.event import CATALOGUE, Event
from shared.contracts.publish.examples import example_of
from shared.contracts.topics import PARTITIONS
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.service import Service
from shared.runtime.settings import ServiceSettings
from tests.unit.served import Served
from tests.unit.support import uid

Headers = Sequence[tuple[str, bytes | None]]


def listening(service: Service) -> tuple[Served, Consumer, Member, Log]:
    """The service's real consumer, on a log in memory."""
    served = Served(service)
    settings = ServiceSettings(dead_letters_in_a_row_max=0, dead_letters_in_window_max=0)
    consumer = Consumer(
        service=service.name,
        settings=settings,
        reactions=service.reactions,
        reactor=served.reactor,
        relay=served.relay,
        store=served.store,
        clock=served,  # type: ignore[arg-type] - all that it asks of a clock is `now`
        metrics=served.metrics,
    )
    log = Log()
    member = Member(log, Group(service.reactions.topics), service.name, _at_once)
    member.listener = consumer
    member.positions = {
        TopicPartition(topic, n): 0 for topic in service.reactions.topics for n in range(PARTITIONS)
    }
    member.generation = member._group.generation
    member._group.members.append(member)
    consumer._subscriber = SimpleNamespace(consumer=member)
    return served, consumer, member, log


async def _at_once(_call: str) -> None: ...


def message(
    tp: TopicPartition, offset: int, key: bytes | None, headers: Headers, value: bytes | None
) -> Any:
    """A message as the client gives it."""
    make: Any = ConsumerRecord
    return make(
        tp.topic, tp.partition, offset, 0, 0, key, value, None, 0, len(value or b""), tuple(headers)
    )


class Hearing:
    """A service that hears what is sent, in partition 0 of each topic, in the order in which it was sent."""

    def __init__(self, service: Service) -> None:
        self.served, self.consumer, self.member, self._log = listening(service)
        self._numbers: dict[tuple[str, str], int] = {}

    def headers(self, event: type[Event], name: str, **changes: str) -> dict[str, bytes]:
        """The headers of the next event about the subject that `name` stands for, some of them changed."""
        subject = f"{event.SUBJECT}/{uid(name)}"
        number = self._numbers.get((event.SOURCE, subject), 0) + 1
        self._numbers[event.SOURCE, subject] = number
        attributes = example_of(event)["headers"] | {
            "ce_subject": subject,
            "ce_sequence": str(number),
            "ce_id": uid(f"{subject} {number}"),
        }
        attributes |= {f"ce_{attribute}": value for attribute, value in changes.items()}
        return {attribute: str(value).encode() for attribute, value in attributes.items()}

    def send(
        self,
        event: type[Event],
        headers: Mapping[str, bytes | None] | Headers,
        *,
        key: bytes | None = None,
        value: bytes | None = None,
    ) -> None:
        """One message; key and value are those of an ordinary one unless they are given."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        tp = TopicPartition(event.SOURCE, 0)
        partition = self._log.partitions[tp]
        if key is None:
            key = dict(pairs).get("ce_subject")
        if value is None:
            value = json.dumps(example_of(event)["data"]).encode()
        partition.append(message(tp, len(partition), key, pairs, value))

    async def hear(self) -> None:
        """Read to the end. Fails when a batch is fetched again, which would go on for ever."""
        while batch := self.member.fetch(100):
            await self.consumer.on_batch(batch)
            assert self.consumer.healthy, "a batch that can't be processed is fetched for ever"
        await self.served.quiet()

    def dead_letters(self) -> list[dict[str, Any]]:
        return self.served.disk.dead_letter_documents()

    async def published(self) -> list[tuple[dict[str, str], bytes]]:
        """Everything that the relay has put on the topic, after it has had its turn."""
        relay = asyncio.create_task(self.served.relay.run())
        await self.served.relay.flushed()
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        return [(headers, data) for _, headers, data in self.served.topic.messages]


def types_of(service: Service) -> list[str]:
    """The event types on the topics that a service consumes."""
    return sorted(t for t, e in CATALOGUE.items() if e.SOURCE in service.reactions.topics)
