"""`care topics`: check, repair and migrate topics, say who may do what on them, adopt a store, disown events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from care import acl
from care.show import Json, as_json, entries, fail, failures
from shared.services import PORTS

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from shared.contracts.topics import Topic
    from shared.runtime.core.store import MongoStore
    from shared.runtime.kafka.topics import Difference
    from shared.runtime.service import Service
    from shared.runtime.settings import ServiceSettings

TOPIC_NAMES: Final = tuple(f"care.{name}" for name in PORTS)
app = typer.Typer(
    no_args_is_help=True, help="Check, repair and migrate topics; say who may use them."
)
app.command(
    "acl", epilog="Example: `care topics acl --subscriber reporting --topic care.plans --strimzi`"
)(acl.acl_command)


@app.callback()
def topics() -> None:
    """Check, repair and migrate topics; say who may use them."""


@app.command("check", epilog="Example: `KAFKA_BOOTSTRAP=… care topics check`")
def check_command(*, json: Json = False) -> None:
    """Compare all topics and journals with the catalogue. Exit status 1 when one differs or is missing."""
    import asyncio

    from shared.contracts.topics import TOPICS
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.topics import partition_differences, setting_differences

    async def differences() -> list[Difference]:
        kafka = KafkaFromEnvironment()
        partitions = await partition_differences(kafka, TOPICS.values())
        return [*partitions, *await setting_differences(kafka, _all_topics())]

    with failures():
        found = asyncio.run(differences())
    if json:
        as_json([difference._asdict() for difference in found])
    elif found:
        _show(found)
        typer.echo(
            "A missing topic is created by its service. Other partitions need `care topics migrate`, settings"
            " `care topics repair`."
        )
    else:
        typer.echo("All topics are as the catalogue says.")
    if found:
        raise typer.Exit(1)


@app.command("repair", epilog="Example: `KAFKA_BOOTSTRAP=… care topics repair`")
def repair_command() -> None:
    """Set what differs as the catalogue says. Services that wait for it go on by themselves."""
    import asyncio

    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.topics import repair_settings, setting_differences

    async def repair() -> tuple[list[Difference], list[Difference]]:
        kafka, topics = KafkaFromEnvironment(), _all_topics()
        before = await setting_differences(kafka, topics)
        differing = {difference.topic for difference in before}
        await repair_settings(kafka, [topic for topic in topics if topic.name in differing])
        return before, await setting_differences(kafka, topics)

    with failures():
        before, left = asyncio.run(repair())
    _show(left or before)
    if left:
        fail("Kafka did not take over these settings.")
    typer.echo(f"{len(before)} settings repaired.")


def _all_topics() -> list[Topic]:
    from shared.contracts.topics import TOPICS
    from shared.runtime.recovery.journal import journal_topic

    return [*TOPICS.values(), *(journal_topic(name) for name in PORTS)]


def _show(differences: list[Difference]) -> None:
    """By topic: each setting with what was found and what the catalogue says."""
    by_topic: dict[str, dict[str, str]] = {}
    for topic, setting, wanted, found in differences:
        missing = setting == "partitions" and found == "0"
        text = "the topic is missing" if missing else f"{found or 'not set'}, catalogue {wanted}"
        by_topic.setdefault(topic, {})[setting] = text
    entries(by_topic.items())


@app.command("adopt", epilog="Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… care topics adopt plans`")
def adopt_command(
    service: Annotated[str, typer.Argument(help=f"The service: {', '.join(PORTS)}.")],
) -> None:
    """Have a service's store belong to this Kafka, which you have moved it to. Stop the service first.

    The service reads its topics from the beginning at its next start, and skips what it has applied.
    """
    if service not in PORTS:
        raise typer.BadParameter(f"choose one of {', '.join(PORTS)}", param_hint="SERVICE")
    import asyncio

    from shared.runtime.settings import ServiceSettings

    with failures():
        asyncio.run(_adopt(service, ServiceSettings()))
    typer.echo(f"The store of {service} belongs to this Kafka now. Start the service.")


async def _adopt(name: str, settings: ServiceSettings) -> None:
    from contextlib import AsyncExitStack

    from shared.runtime.recovery.rebuild import begin_anew, check_stopped

    async with AsyncExitStack() as stack:
        store, service = _store(name, settings, stack)
        await check_stopped(settings, name)
        await begin_anew(settings, name, store, service.reactions.topics)


@app.command(
    "migrate", epilog="Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… care topics migrate care.intake`"
)
def migrate_command(
    topic: Annotated[str, typer.Argument(help=f"The topic: {', '.join(TOPIC_NAMES)}.")],
) -> None:
    """Recreate a topic as the catalogue says, with its records in order. Stop and drain all services first."""
    if topic not in TOPIC_NAMES:
        raise typer.BadParameter(f"choose one of {', '.join(TOPIC_NAMES)}", param_hint="TOPIC")
    import asyncio

    from shared.contracts.topics import TOPICS
    from shared.runtime.settings import ServiceSettings

    with failures():
        count = asyncio.run(_migrate(TOPICS[topic], ServiceSettings()))
    typer.echo(f"{topic} has {count} records. Start the services.")


@app.command(
    "disown",
    epilog="Example: `MONGO_URI=… care topics disown care.intake EVENT_ID --why never-ours`",
)
def disown_command(
    topic: Annotated[str, typer.Argument(help=f"The topic: {', '.join(TOPIC_NAMES)}.")],
    event_ids: Annotated[list[str], typer.Argument(help="The ids of the events.")],
    why: Annotated[str, typer.Option("--why", help="A reason code; no free text.")],
) -> None:
    """Name events on a service's topic that it never published, so that it starts and can be rebuilt."""
    if topic not in TOPIC_NAMES:
        raise typer.BadParameter(f"choose one of {', '.join(TOPIC_NAMES)}", param_hint="TOPIC")
    if not re.fullmatch("[a-z0-9-]{3,60}", why):
        raise typer.BadParameter("give a code, such as never-ours", param_hint="--why")
    for event_id in event_ids:
        if not re.fullmatch("[0-9a-f-]{36}", event_id):
            raise typer.BadParameter("give the ids that `topic.ahead` names", param_hint="EVENT_ID")
    import asyncio

    from shared.runtime.settings import ServiceSettings

    with failures():
        asyncio.run(_disown(topic.removeprefix("care."), event_ids, why, ServiceSettings()))
    typer.echo(f"{len(event_ids)} events on {topic} are not its service's. Start it.")


async def _disown(name: str, event_ids: Sequence[str], why: str, settings: ServiceSettings) -> None:
    from contextlib import AsyncExitStack

    from shared.runtime.kafka.own_topic import disown

    async with AsyncExitStack() as stack:
        store, _service = _store(name, settings, stack)
        await disown(store, event_ids, why)


async def _migrate(topic: Topic, settings: ServiceSettings) -> int:
    from contextlib import AsyncExitStack

    from shared.runtime.recovery.migrate import Party, migrate

    async with AsyncExitStack() as stack:
        parties: list[Party] = []
        for name in PORTS:
            store, service = _store(name, settings, stack)
            parties.append(Party(name, store, service.reactions.topics))
        return await migrate(settings, topic, parties, typer.echo)


def _store(
    name: str, settings: ServiceSettings, stack: AsyncExitStack
) -> tuple[MongoStore, Service]:
    """A service's store, closed with the stack, and the service."""
    from importlib import import_module

    from shared.runtime.core.store import MongoStore
    from shared.runtime.core.store_connection import mongo_options

    service: Service = import_module(f"services.{name}.app").SERVICE
    store = MongoStore(
        settings.mongo_uri,
        f"{settings.database_prefix}{name}",
        service.kinds,
        options=mongo_options(settings),
    )
    stack.push_async_callback(store.close)
    return store, service
