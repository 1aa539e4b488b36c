"""`care`: the command line of Throughcare. Every command is registered here."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from care import (
    audit,
    contracts,
    coverage,
    dead_letters,
    demo,
    erase,
    events,
    loops,
    made_up,
    programs,
    rebuild,
    snapshot,
    stack,
    subscribers,
    topics,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="Event-driven care coordination for intensive outpatient programs.",
)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"throughcare {version('throughcare')}")
    except PackageNotFoundError:
        typer.echo("throughcare, from source code that is not installed")
    raise typer.Exit


@app.callback()
def care(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Event-driven care coordination for intensive outpatient programs."""
    # Without any handler, Python prints what libraries warn of. A command says itself what went wrong; a service sets
    # up its own log.
    logging.getLogger().addHandler(logging.NullHandler())


app.command(epilog="Example: `care up`, then open http://127.0.0.1:8001/docs")(stack.up)
app.command(epilog="Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… CARE_JWKS=jwks.json care run intake`")(
    stack.run
)
app.command(epilog="Example: `care token harbor-iop clinician`")(stack.token)
app.command(epilog="Example: `care demo --episodes 20 --exit`")(demo.demo)
app.command(epilog="Example: `care loops --overdue --role case_manager`")(loops.loops)
app.command(epilog="Example: `care tasks --role counselor`")(loops.tasks)
app.command(
    epilog="Example: `care journey 1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44 --kafka 127.0.0.1:9092`"
)(events.journey)
app.command(
    "rebuild",
    epilog="Example: `KAFKA_BOOTSTRAP=… MONGO_URI=… CARE_JOURNAL_KEY=… care rebuild plans`",
)(rebuild.rebuild_command)
app.command(
    epilog="Example: `care erase 1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44 --why retention-over`"
)(erase.erase)
app.command(epilog="Example: `care coverage --check`")(coverage.coverage)
events.app.command(
    epilog="Example: `CARE_MODE=development care events scenario relapse --kafka …`"
)(made_up.scenario)
events.app.command(
    epilog="Example: `CARE_MODE=development care events publish-examples --kafka …`"
)(made_up.publish_examples)
events.app.command(
    epilog="Example: `care events snapshot --subscriber reporting --file reporting.jsonl.gz --kafka …`"
)(snapshot.snapshot)
app.add_typer(audit.app, name="audit")
app.add_typer(contracts.app, name="contracts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(topics.app, name="topics")
app.add_typer(programs.app, name="profiles")


if __name__ == "__main__":
    app()
