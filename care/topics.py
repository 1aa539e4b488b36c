"""`care topics`: bring a topic, and all positions on it, back to what the catalogue says; disown events on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from care.show import failures
from shared.services import PORTS

if TYPE_CHECKING:
    from shared.contracts.event import Topic
    from shared.runtime.settings import ServiceSettings

TOPIC_NAMES: Final = tuple(f"care.{name}" for name in PORTS)
app = typer.Typer(no_args_is_help=True, help="Migrate topics, and disown events on them.")


@app.callback()
def topics() -> None:
    """Migrate topics, and disown events on them."""


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

    from shared.contracts.event import TOPICS
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


async def _disown(
    service: str, event_ids: Sequence[str], why: str, settings: ServiceSettings
) -> None:
    from shared.runtime.core.store import MongoStore
    from shared.runtime.kafka.own_topic import disown

    store = MongoStore(settings.mongo_uri, f"{settings.database_prefix}{service}", {})
    try:
        await disown(store, event_ids, why)
    finally:
        await store.close()


async def _migrate(topic: Topic, settings: ServiceSettings) -> int:
    from contextlib import AsyncExitStack
    from importlib import import_module

    from shared.runtime.core.store import MongoStore
    from shared.runtime.recovery.migrate import Party, migrate
    from shared.runtime.service import Service

    async with AsyncExitStack() as stack:
        parties: list[Party] = []
        for name in PORTS:
            service: Service = import_module(f"services.{name}.app").SERVICE
            database = f"{settings.database_prefix}{name}"
            store = MongoStore(settings.mongo_uri, database, service.kinds)
            stack.push_async_callback(store.close)
            parties.append(Party(name, store, service.reactions.topics))
        return await migrate(settings, topic, parties, typer.echo)
