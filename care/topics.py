"""`care topics`: checks, repairs and migrates topics, and prints who may do what on them.

It also binds a moved store to this Kafka (`adopt`), and marks events that a service never published (`disown`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from care import acl
from care.ids import WHOLE, checked, only
from care.show import Json, as_json, entries, fail, failures, said
from shared.services import PORTS, PROCESSES, SERVICES

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from shared.contracts.topics import Topic
    from shared.runtime.connections import KafkaConnection
    from shared.runtime.core.store import MongoStore
    from shared.runtime.kafka.topics import Difference
    from shared.runtime.service import Service
    from shared.runtime.settings import ServiceSettings

TOPIC_NAMES: Final = tuple(f"care.{name}" for name in SERVICES)
app = typer.Typer(
    no_args_is_help=True, help="Check, repair and migrate topics; print who may use them."
)
app.command(
    "acl", epilog="Example: `care topics acl --subscriber reporting --topic care.plans --strimzi`"
)(acl.acl_command)


@app.callback()
def topics() -> None:
    """Check, repair and migrate topics; print who may use them."""


@app.command("check", epilog="Example: `KAFKA_BOOTSTRAP=… care topics check`")
def check_command(*, json: Json = False) -> None:
    """Compare all topics, journals and outlets with the catalogue. Exit status 1 when one differs or is missing."""
    import asyncio

    from shared.contracts.outlets import is_outlet
    from shared.contracts.topics import TOPICS
    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.topics import (
        partition_differences,
        replication_differences,
        setting_differences,
    )
    from shared.runtime.settings import ServiceSettings

    async def differences() -> list[Difference]:
        kafka = KafkaFromEnvironment()
        least = ServiceSettings().kafka_replication
        topics = await _all_topics(kafka)
        wanted = [*TOPICS.values(), *(topic for topic in topics if is_outlet(topic.name))]
        partitions = await partition_differences(kafka, wanted)
        replication = await replication_differences(kafka, topics, least)
        return [*partitions, *replication, *await setting_differences(kafka, topics)]

    with failures():
        found = asyncio.run(differences())
    if json:
        as_json(_as_dicts(found))
    elif found:
        _show(found)
        typer.echo(
            "A service creates its missing topic when it starts. If the number of partitions differs, run `care topics"
            " migrate`. If settings differ, run `care topics repair`. Add replicas with Kafka's own tools."
        )
    else:
        typer.echo("All topics agree with the catalogue.")
    if found:
        raise typer.Exit(1)


@app.command("repair", epilog="Example: `KAFKA_BOOTSTRAP=… care topics repair`")
def repair_command(*, json: Json = False) -> None:
    """Set each setting that differs to the catalogue's value. Services that wait for this continue by themselves."""
    import asyncio

    from shared.runtime.connections import KafkaFromEnvironment
    from shared.runtime.kafka.topics import repair_settings, setting_differences

    async def repair() -> tuple[list[Difference], list[Difference]]:
        kafka = KafkaFromEnvironment()
        topics = await _all_topics(kafka)
        before = await setting_differences(kafka, topics)
        differing = {difference.topic for difference in before}
        await repair_settings(kafka, [topic for topic in topics if topic.name in differing])
        return before, await setting_differences(kafka, topics)

    with failures():
        before, left = asyncio.run(repair())
    if json:
        as_json({"repaired": _as_dicts(before), "left": _as_dicts(left)})
    else:
        _show(left or before)
    if left:
        fail("Kafka did not apply these settings.")
    if not json:
        typer.echo(f"{len(before)} settings repaired.")


def _as_dicts(differences: list[Difference]) -> list[dict[str, str]]:
    return [difference._asdict() for difference in differences]


async def _all_topics(kafka: KafkaConnection) -> list[Topic]:
    """The topics of the catalogue, the journals, and the outlets that there are."""
    from shared.contracts.outlets import PREFIX
    from shared.contracts.topics import TOPICS, Topic
    from shared.runtime.kafka.topics import topics_with_prefix
    from shared.runtime.recovery.journal import journal_topic

    outlets = [Topic(name) for name in sorted(await topics_with_prefix(kafka, PREFIX))]
    return [*TOPICS.values(), *(journal_topic(name) for name in PORTS), *outlets]


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
    json: Json = False,
) -> None:
    """Bind a service's store to this Kafka, after you have moved the store to it. Stop the service first.

    The service reads its topics from the beginning at its next start, and skips what it has applied.
    """
    if service not in PORTS:
        raise typer.BadParameter(f"choose one of {', '.join(PORTS)}", param_hint="SERVICE")
    import asyncio

    from shared.runtime.settings import ServiceSettings

    with failures():
        asyncio.run(_adopt(service, ServiceSettings()))
    said(
        {"adopted": service},
        f"The store of {service} is bound to this Kafka now. Start the service.",
        json=json,
    )


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
    json: Json = False,
) -> None:
    """Recreate a topic as the catalogue describes it, with its messages in order. Drain and stop all services first."""
    if topic not in TOPIC_NAMES:
        raise typer.BadParameter(f"choose one of {', '.join(TOPIC_NAMES)}", param_hint="TOPIC")
    import asyncio

    from shared.contracts.topics import TOPICS
    from shared.runtime.settings import ServiceSettings

    with failures():
        count = asyncio.run(_migrate(TOPICS[topic], ServiceSettings()))
    said(
        {"migrated": topic, "messages": count},
        f"{topic} has {count} messages. Start the services.",
        json=json,
    )


@app.command(
    "disown",
    epilog="Example: `MONGO_URI=… care topics disown care.intake EVENT_ID --why never-ours`",
)
def disown_command(
    topic: Annotated[str, typer.Argument(help=f"The topic: {', '.join(TOPIC_NAMES)}.")],
    event_ids: Annotated[
        list[str], typer.Argument(help="The ids of the events, or their beginnings.")
    ],
    why: Annotated[str, typer.Option("--why", help="A reason code; no free text.")],
    json: Json = False,
) -> None:
    """Mark events on a service's topic that the service never published.

    The service then ignores them, so that it can start and its store can be rebuilt.
    """
    if topic not in TOPIC_NAMES:
        raise typer.BadParameter(f"choose one of {', '.join(TOPIC_NAMES)}", param_hint="TOPIC")
    if not re.fullmatch("[a-z0-9-]{3,60}", why):
        raise typer.BadParameter("give a code, such as never-ours", param_hint="--why")
    for event_id in event_ids:
        checked(event_id, "EVENT_ID")
    import asyncio

    from shared.runtime.settings import ServiceSettings

    with failures():
        named = asyncio.run(_disown(topic.removeprefix("care."), event_ids, why, ServiceSettings()))
    said(
        {"topic": topic, "disowned": named},
        f"{len(named)} events on {topic} are marked as foreign. Start the service.",
        json=json,
    )


async def _disown(
    name: str, event_ids: Sequence[str], why: str, settings: ServiceSettings
) -> list[str]:
    from contextlib import AsyncExitStack

    from shared.runtime.kafka.own_topic import disown

    named = list(event_ids)
    if any(len(event_id) < WHOLE for event_id in event_ids):
        known = await _last_ids(f"care.{name}", settings)
        named = [only(event_id, known, "event") for event_id in event_ids]
    async with AsyncExitStack() as stack:
        store, _service = _store(name, settings, stack)
        await disown(store, named, why)
    return named


async def _last_ids(topic: str, settings: ServiceSettings) -> list[str]:
    """The ids of the events at the end of a topic: those that a start looks at."""
    from shared.contracts.event import EnvelopeError, read_envelope
    from shared.contracts.topics import TOPICS
    from shared.runtime.kafka.producer import read_tail
    from shared.runtime.kafka.startup_checks import TAIL_MESSAGES

    _ends, messages = await read_tail(settings, TOPICS[topic], TAIL_MESSAGES)
    found: list[str] = []
    for message in messages:
        with suppress(EnvelopeError):
            found.append(read_envelope(message.headers, message.key).id)
    return found


async def _migrate(topic: Topic, settings: ServiceSettings) -> int:
    from contextlib import AsyncExitStack

    from shared.runtime.recovery.migrate import Party, migrate

    async with AsyncExitStack() as stack:
        parties: list[Party] = []
        for name in PROCESSES:
            store, service = _store(name, settings, stack)
            parties.append(Party(name, store, service.reactions.topics))
        # On standard error: what the command answers may be JSON.
        report = partial(typer.echo, err=True)
        return await migrate(settings, topic, parties, report, settings.kafka_replication)


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
