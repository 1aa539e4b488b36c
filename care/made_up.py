"""`care events scenario` and `care events publish-examples`: publish made-up events on a development Kafka."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from care.events import Bootstrap
from care.show import Json, failures, said

if TYPE_CHECKING:
    from shared.kit.messages import Kept
    from shared.runtime.connections import KafkaConnection

BATCH = 200
"""So many messages are under way at once."""


def scenario(
    name: Annotated[str, typer.Argument(help="graduation, relapse or wrong-discharge.")],
    kafka: Bootstrap,
    people: Annotated[
        int, typer.Option(min=1, max=1000, help="The number of people, one after another.")
    ] = 1,
    which: Annotated[
        str,
        typer.Option(
            help="Any word. Another word makes another person; the same word repeats the same events."
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Publish every event of a made-up person's whole path, numbered and in order, within seconds.

    The command needs `CARE_MODE=development` and a Kafka without services. It creates missing topics.
    """
    from shared.kit.history import History
    from shared.kit.scenarios import SCENARIOS, play

    if name not in SCENARIOS:
        raise typer.BadParameter(f"choose from {', '.join(SCENARIOS)}", param_hint="NAME")
    history = History()
    for person in range(people):
        play(name, history, f"{which}/{person}")
    _publish(kafka, history.messages, json=json)


def publish_examples(kafka: Bootstrap, json: Json = False) -> None:
    """Publish one event of each type, the published example of its class.

    The command needs `CARE_MODE=development` and a Kafka without services. It creates missing topics.
    """
    from shared.kit.history import History
    from shared.kit.scenarios import every_example

    _publish(kafka, every_example(History("examples")), json=json)


def _publish(kafka: str, messages: Sequence[Kept], *, json: bool) -> None:
    from shared.errors import Refused
    from shared.runtime.development import DEVELOPMENT

    with failures():
        if os.environ.get("CARE_MODE") != DEVELOPMENT:
            raise Refused(
                "development-only",
                "Made-up events must not be published among events about real people.",
                hint="Set CARE_MODE=development, on a Kafka without real data only.",
            )
        asyncio.run(_send(kafka, messages))
    answer = {"published": len(messages), "topics": sorted({one.topic for one in messages})}
    said(answer, f"published {len(messages)} events", json=json)


async def _send(kafka: str, messages: Sequence[Kept]) -> None:
    from aiokafka.errors import KafkaError

    from shared.contracts.topics import TOPICS
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.producer import unavailable
    from shared.runtime.kafka.topics import ensure_topics

    connection = KafkaFromEnvironment(kafka_bootstrap=kafka)
    await ensure_topics(connection, TOPICS.values())
    try:
        await publish(connection, messages)
    except (KafkaError, OSError) as error:
        raise unavailable(error) from error


async def publish(kafka: KafkaConnection, messages: Sequence[Kept]) -> None:
    """Send messages in their order. Raises what the client raises while Kafka is away."""
    from shared.runtime.kafka.clients import new_producer

    producer = new_producer(kafka, enable_idempotence=True, linger_ms=5)
    try:
        await producer.start()
        for at in range(0, len(messages), BATCH):
            sent = [
                await producer.send(
                    one.topic,
                    one.value,
                    key=one.key,
                    partition=one.partition,
                    headers=[(name, value or b"") for name, value in one.headers],
                )
                for one in messages[at : at + BATCH]
            ]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()
