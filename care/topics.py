"""`care topics migrate`: bring a topic and all positions on it back to what the catalogue says."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Annotated

import typer

from care.ops import PORTS
from shared.contracts.event import TOPICS, Topic
from shared.errors import CareError
from shared.runtime.core.store import MongoStore
from shared.runtime.recovery.migrate import Party, migrate
from shared.runtime.service import Service
from shared.runtime.settings import ServiceSettings

app = typer.Typer(no_args_is_help=True, help="Topics: migrate one that is not what it was.")


@app.callback()
def topics() -> None:
    """Keep `migrate` a word of its own."""


@app.command(
    "migrate", epilog="Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… care topics migrate care.intake`"
)
def migrate_command(
    topic: Annotated[str, typer.Argument(help=f"One of: {', '.join(TOPICS)}.")],
) -> None:
    """Make a topic anew as the catalogue says, with its records in order. All services must be stopped and drained."""
    if topic not in TOPICS:
        raise typer.BadParameter(f"one of {', '.join(TOPICS)}", param_hint="TOPIC")
    try:
        count = asyncio.run(_migrate(TOPICS[topic], ServiceSettings()))
    except CareError as error:
        typer.echo(f"{error}\n{error.hint}".strip(), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{topic} has {count} records. Start the services.")


async def _migrate(topic: Topic, settings: ServiceSettings) -> int:
    async with AsyncExitStack() as stack:
        parties: list[Party] = []
        for name in PORTS:
            service: Service = import_module(f"services.{name}.app").SERVICE
            database = f"{settings.database_prefix}{name}"
            store = MongoStore(settings.mongo_uri, database, service.kinds)
            stack.push_async_callback(store.close)
            parties.append(Party(name, store, service.reactions.topics))
        return await migrate(settings.kafka_bootstrap, topic, parties, typer.echo)
