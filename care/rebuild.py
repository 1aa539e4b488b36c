"""`care rebuild`: restores a lost store from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from care.ops import NAMES, known
from care.show import Json, as_json, failures, said

if TYPE_CHECKING:
    from shared.runtime.core.store import MongoStore
    from shared.runtime.recovery.rebuild import Rebuilt
    from shared.runtime.service import Service
    from shared.runtime.settings import ServiceSettings


def rebuild_command(
    service: Annotated[str, typer.Argument(help=f"The service: {NAMES}.")],
    only_hash: Annotated[
        bool,
        typer.Option("--hash", help="Change nothing; print the hash of the records in the store."),
    ] = False,
    json: Json = False,
) -> None:
    """Restore a service's records from its journal. Stop the service first.

    The command reads the same environment variables as `care run`, and CARE_JOURNAL_KEY is required. The records that
    the store had before stay in the collection `records_before`.
    """
    import asyncio
    from importlib import import_module

    from shared.runtime.recovery.rebuild import Rebuilt
    from shared.runtime.settings import ServiceSettings

    found: Service = import_module(f"services.{known(service)}.app").SERVICE
    with failures():
        if only_hash:
            state_hash = asyncio.run(_hash(found, ServiceSettings()))
            said({"state_hash": state_hash}, state_hash, json=json)
            return
        done = asyncio.run(_rebuild(found, ServiceSettings()))
    if json:
        as_json({name: getattr(done, name) for name in Rebuilt.__slots__})
        return
    typer.echo(f"{done.records} records, {done.from_journal} of them restored from the journal.")
    if done.unreadable:
        typer.echo(
            f"{done.unreadable} messages on the journal could not be decrypted, and were skipped."
        )
    if done.set_aside:
        typer.echo(
            "No copy of these records can be read; they stay as they are, and are set aside:"
        )
        for subject in done.set_aside:
            typer.echo(f"  {subject}")
    typer.echo(f"State hash: {done.state_hash}")
    if done.blocked:
        typer.echo(
            f"{done.blocked} records have a blocked stream; "
            "their dead letters come back when the events are consumed again."
        )
    typer.echo(
        "Start the service: it reads its topics from the beginning and skips what it has applied."
    )


def _store(service: Service, settings: ServiceSettings) -> MongoStore:
    from shared.runtime.core.store import MongoStore
    from shared.runtime.core.store_connection import mongo_options

    database = f"{settings.database_prefix}{service.name}"
    return MongoStore(settings.mongo_uri, database, service.kinds, options=mongo_options(settings))


async def _rebuild(service: Service, settings: ServiceSettings) -> Rebuilt:
    from shared.runtime.recovery.journal import Keyring
    from shared.runtime.recovery.rebuild import rebuild

    store = _store(service, settings)
    try:
        await store.start()
        return await rebuild(
            store,
            settings,
            service.name,
            Keyring(service.name, settings.journal_key, settings.journal_key_before),
            service.reactions.topics,
        )
    finally:
        await store.close()


async def _hash(service: Service, settings: ServiceSettings) -> str:
    from shared.runtime.core.store import translated
    from shared.runtime.recovery.rebuild import state_hash

    store = _store(service, settings)
    try:
        with translated():
            return state_hash(await store.collection("records").find({}).to_list())
    finally:
        await store.close()
