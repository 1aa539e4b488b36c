"""`care contracts`: shows the published events, and generates the committed files that describe them."""

from __future__ import annotations

from typing import Annotated

import typer

from care import releases, replay
from care.ops import NAMES
from care.show import ROOT, Json, as_json, fail, need_source, table
from care.subscribers import all_subscribers, contract_failures

app = typer.Typer(
    no_args_is_help=True, help="List and show the published events, and generate their schemas."
)


@app.command("list", epilog="Example: `care contracts list --publisher plans`")
def list_(
    publisher: Annotated[
        str | None, typer.Option(help=f"Only this service's events: {NAMES}.")
    ] = None,
    json: Json = False,
) -> None:
    """List every event type: its subject, its sensitivity, and its consumers."""
    from shared.contracts import CATALOGUE
    from shared.contracts.publish.subscribers import consumers

    teams = all_subscribers()
    rows = [
        {
            "type": event.TYPE,
            "subject": event.SUBJECT,
            "sensitivity": event.SENSITIVITY,
            "consumers": consumers(event.TYPE, teams),
        }
        for event in sorted(CATALOGUE.values(), key=lambda event: event.TYPE)
        if publisher is None or f"care.{publisher}" == event.SOURCE
    ]
    if json:
        as_json(rows)
        return
    table(
        ("type", "subject", "sensitivity: consumers"),
        (
            (row["type"], row["subject"], f"{row['sensitivity']}: {', '.join(row['consumers'])}")
            for row in rows
        ),
    )


@app.command(epilog="Example: `care contracts show care.attendance.session-attended.v1`")
def show(
    event_type: Annotated[str, typer.Argument(help="The full event type.")],
    json: Annotated[
        bool,
        typer.Option("--json", help="Accepted as in other commands; the output is always JSON."),
    ] = True,
) -> None:
    """Show one event as JSON: its meaning, its schema, and an example message."""
    del json
    from shared.contracts import CATALOGUE
    from shared.contracts.publish.examples import example_of
    from shared.contracts.publish.schemas import meaning, schema_of

    event = CATALOGUE.get(event_type)
    if event is None:
        near = [known for known in CATALOGUE if event_type.split(".")[-1] in known]
        hint = f"; did you mean {', '.join(near[:3])}?" if near else ""
        raise typer.BadParameter(f"no such event{hint}", param_hint="EVENT_TYPE")
    as_json(
        {
            "type": event_type,
            "meaning": meaning(event),
            "schema": schema_of(event),
            "example": example_of(event),
        }
    )


@app.command(epilog="Example: `care contracts generate --check`")
def generate(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file is out of date.")
    ] = False,
) -> None:
    """Write the published schemas, the AsyncAPI documents, new examples and the vocabulary page."""
    need_source("docs")
    from shared.contracts import CATALOGUE
    from shared.contracts.publish import files

    if check:
        with contract_failures():
            differences = files.drift(ROOT)
        for difference in differences:
            typer.echo(difference, err=True)
        if differences:
            fail("Run `care contracts generate` and commit the result.")
        typer.echo(f"{len(CATALOGUE)} events: the published files are up to date")
        return
    with contract_failures():
        changed = files.generate(ROOT)
    for path in changed:
        typer.echo(path)


app.command(
    epilog="Example: `care contracts diff --against origin/main --markdown`",
)(releases.diff)
app.command(epilog="Example: `care contracts release`")(releases.release)
app.command(epilog="Example: `care contracts replay --kafka 127.0.0.1:9092`")(replay.replay)
