"""`care contracts`: read the published language, and generate what is committed of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from shared.contracts import CATALOGUE, publish

app = typer.Typer(no_args_is_help=True, help="The published events: list, show, generate.")
console = Console()
ROOT = Path(__file__).resolve().parent.parent


@app.command("list", epilog="Example: `care contracts list --publisher plans`")
def list_(
    publisher: Annotated[str | None, typer.Option(help="Only this service's events.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List every event type, with who hears it."""
    rows = [
        {
            "type": event.TYPE,
            "subject": event.SUBJECT,
            "sensitivity": event.SENSITIVITY,
            "consumers": list(event.CONSUMERS),
        }
        for event in sorted(CATALOGUE.values(), key=lambda event: event.TYPE)
        if publisher is None or f"care.{publisher}" == event.SOURCE
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("type", "subject", "sensitivity", "heard by")
    for row in rows:
        table.add_row(
            str(row["type"]),
            str(row["subject"]),
            str(row["sensitivity"]),
            ", ".join(row["consumers"]),
        )
    console.print(table)


@app.command(epilog="Example: `care contracts show care.attendance.session-attended.v1`")
def show(
    event_type: Annotated[str, typer.Argument(help="A full event type.")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show one event: its meaning, its schema, and an example as it lies on the topic."""
    event = CATALOGUE.get(event_type)
    if event is None:
        near = [known for known in CATALOGUE if event_type.split(".")[-1] in known]
        hint = f"; did you mean {', '.join(near[:3])}" if near else ""
        raise typer.BadParameter(f"no such event{hint}", param_hint="EVENT_TYPE")
    schema, example = publish.schema_of(event), publish.example_of(event)
    if as_json:
        typer.echo(json.dumps({"schema": schema, "example": example}, indent=2))
        return
    console.print(f"[bold]{event_type}[/bold]\n{(event.__doc__ or '').strip()}\n")
    for part in (schema, example):
        console.print(Syntax(json.dumps(part, indent=2), "json", background_color="default"))


@app.command(epilog="Example: `care contracts generate --check`")
def generate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail on a difference.")
    ] = False,
) -> None:
    """Write the published schemas, the AsyncAPI document, new examples and the vocabulary page."""
    if check:
        differences = publish.drift(ROOT)
        for difference in differences:
            typer.echo(difference, err=True)
        if differences:
            typer.echo("Run `care contracts generate` and commit the result.", err=True)
            raise typer.Exit(1)
        typer.echo(f"{len(CATALOGUE)} events: published files are up to date")
        return
    try:
        for path in publish.generate(ROOT):
            typer.echo(path)
    except publish.BreakingChangeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
