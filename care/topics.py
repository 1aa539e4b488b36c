"""`care topics`: who may do what on them; and bring one, with all positions on it, back to what the catalogue says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from care import acl
from care.show import failures
from shared.services import PORTS

if TYPE_CHECKING:
    from shared.contracts.event import Topic
    from shared.runtime.settings import ServiceSettings

TOPIC_NAMES: Final = tuple(f"care.{name}" for name in PORTS)
app = typer.Typer(no_args_is_help=True, help="Who may do what on the topics; migrate them.")
app.command(
    "acl", epilog="Example: `care topics acl --subscriber reporting --topic care.plans --strimzi`"
)(acl.acl_command)


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


async def _migrate(topic: Topic, settings: ServiceSettings) -> int:
    from contextlib import AsyncExitStack
    from importlib import import_module

    from shared.runtime.core.store import MongoStore
    from shared.runtime.core.store_connection import mongo_options
    from shared.runtime.recovery.migrate import Party, migrate
    from shared.runtime.service import Service

    async with AsyncExitStack() as stack:
        parties: list[Party] = []
        for name in PORTS:
            service: Service = import_module(f"services.{name}.app").SERVICE
            database = f"{settings.database_prefix}{name}"
            store = MongoStore(
                settings.mongo_uri, database, service.kinds, options=mongo_options(settings)
            )
            stack.push_async_callback(store.close)
            parties.append(Party(name, store, service.reactions.topics))
        return await migrate(settings, topic, parties, typer.echo)
