"""`care rebuild`: a lost store, made anew from its journal."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from typing import Annotated

import typer

from care.ops import PORTS, Json
from shared.errors import CareError
from shared.runtime.core.store import MongoStore, translated
from shared.runtime.recovery.rebuild import Rebuilt, rebuild, state_hash
from shared.runtime.service import Service
from shared.runtime.settings import ServiceSettings


def rebuild_command(
    service: Annotated[str, typer.Argument(help=f"One of: {', '.join(PORTS)}.")],
    only_hash: Annotated[
        bool, typer.Option("--hash", help="Change nothing: print the hash of what is kept now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a service's records anew from its journal. The service must be stopped.

    Configured by the environment, as `care run` is; needs CARE_JOURNAL_KEY. The records that were there are kept beside
    as `records_before`.

    Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… CARE_JOURNAL_KEY=… care rebuild plans`
    """
    if service not in PORTS:
        raise typer.BadParameter(f"one of {', '.join(PORTS)}", param_hint="SERVICE")
    found: Service = import_module(f"services.{service}.app").SERVICE
    try:
        if only_hash:
            typer.echo(asyncio.run(_hash(found, ServiceSettings())))
            return
        done = asyncio.run(_rebuild(found, ServiceSettings()))
    except CareError as error:
        typer.echo(f"{error}\n{error.hint}".strip(), err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({name: getattr(done, name) for name in Rebuilt.__slots__}, indent=2))
        return
    typer.echo(f"{done.records} records, {done.from_journal} of them as the journal had them.")
    typer.echo(f"State hash: {done.state_hash}")
    if done.blocked:
        typer.echo(f"{done.blocked} records have a parked line; its rows come back as it is heard.")
    typer.echo("Start the service: it hears from the beginning, and knows what it has applied.")


async def _rebuild(service: Service, settings: ServiceSettings) -> Rebuilt:
    store = MongoStore(
        settings.mongo_uri, f"{settings.database_prefix}{service.name}", service.kinds
    )
    try:
        await store.start()
        return await rebuild(
            store,
            settings.kafka_bootstrap,
            service.name,
            settings.journal_key,
            service.reactions.topics,
        )
    finally:
        await store.close()


async def _hash(service: Service, settings: ServiceSettings) -> str:
    store = MongoStore(
        settings.mongo_uri, f"{settings.database_prefix}{service.name}", service.kinds
    )
    try:
        with translated():
            return state_hash(await store.collection("records").find({}).to_list())
    finally:
        await store.close()
