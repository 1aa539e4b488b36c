"""`care erase`: erases a person's identity for good."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer

from care.ops import Token, local_token, urls_of
from care.show import Json, as_json, fail, failures, minutes, not_ignored


def erase(
    context: typer.Context,
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="The person's id.")],
    why: Annotated[
        str,
        typer.Option(
            "--why", help="A reason code for the audit, such as retention-over; no free text."
        ),
    ],
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm", help="The person's id again; without it, the command asks for the id."
        ),
    ] = None,
    facility: Annotated[
        str, typer.Option(envvar="CARE_FACILITY", help="The facility, for the local token issuer.")
    ] = "harbor-iop",
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address of intake. Default: CARE_INTAKE_URL, or else the port that `care up` uses.",
        ),
    ] = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Erase a person's name, birth date and contacts: destroy the key without which nobody can read them.

    The command needs the role privacy_officer and can't be undone. Episodes and disclosures stay, under an id that
    identifies nobody any more. Backups of the key database hold the key until the day that the command prints.
    """
    from care.http import ask
    from shared.contracts.attributes import legal

    if not legal("id", person_id):
        raise typer.BadParameter("a person's id is a UUID in lower case", param_hint="PERSON")
    if token is not None:
        not_ignored(context, "--facility", "is not used with --token, which names a facility")
    address = url or urls_of(())["intake"]
    caller = token or local_token(facility, "privacy_officer")
    path = f"/people/{person_id}/erasure"
    with failures():
        now = ask("intake", address, caller, "GET", path)
        if confirm is None:
            typer.echo(f"Person:             {person_id}", err=json)
            typer.echo(f"Identity:           {now['status']}", err=json)
            typer.echo(f"Open episodes:      {now['open_episodes']}", err=json)
            typer.echo(f"Last copy gone on:  {now['last_copy_gone_on']}", err=json)
            confirm = typer.prompt("Type the id again to erase the identity for good", err=json)
        if confirm != person_id:
            fail("The two ids differ. Nothing was erased.")
        body = {"confirm_person_id": confirm, "why": why}
        done = ask("intake", address, caller, "POST", path, body=body, key=str(uuid4()))
    if json:
        as_json({name: done[name] for name in ("erased_at", "last_copy_gone_on")})
        return
    typer.echo(f"Erased at {minutes(done['erased_at'])} UTC: the key is destroyed.")
    typer.echo(f"The last copy of the key is gone on {done['last_copy_gone_on']}.")
