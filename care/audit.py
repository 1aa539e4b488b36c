"""`care audit`: lists who did what in a service, and verifies that nobody changed its audit."""

from __future__ import annotations

from typing import Annotated

import typer

from care.ops import Operations, ServiceName, Token, Url, local_token
from care.show import Json, as_json, entries, fail, minutes, not_ignored

app = typer.Typer(
    no_args_is_help=True,
    help="List who did what in a service, and check that nobody changed the audit."
    " For privacy officers and directors.",
)
SHOWN = 3
Facility = Annotated[
    str, typer.Option(envvar="CARE_FACILITY", help="The facility, for a token of the local issuer.")
]


def _signed(context: typer.Context, token: str | None, facility: str) -> str:
    if token is not None:
        not_ignored(context, "--facility", "is not used with --token, which names a facility")
    return token or local_token(facility, "privacy_officer")


@app.command("list", epilog="Example: `care audit list intake --subject person/ID`")
def list_(
    context: typer.Context,
    service: ServiceName,
    subject: Annotated[str | None, typer.Option(help="Only entries about this record.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only entries of this actor.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind: command, read, refusal, anonymous.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this time on (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time (RFC 3339).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most entries to list.")] = 100,
    after: Annotated[
        str | None, typer.Option(help="Continue a list: the value that its previous page printed.")
    ] = None,
    facility: Facility = "harbor-iop",
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List audit entries, the latest first: who did what, in which role, about which records, and the outcome."""
    asked = {"subject": subject, "actor_id": actor, "kind": kind, "since": since, "until": until}
    signed = _signed(context, token, facility)
    found = Operations(service, url, signed).get("/audit", **asked, limit=str(limit), after=after)
    if json:
        as_json(found)
        return
    entries(
        (
            entry["id"],
            {
                "at": minutes(entry["at"]),
                "who": f"{entry.get('actor_id', 'nobody known')} {entry.get('role', '')}".strip(),
                "what": entry.get("what", ""),
                "outcome": entry["outcome"],
                "about": " ".join(entry["subjects"][:SHOWN])
                + (f" and {more} more" if (more := len(entry["subjects"][SHOWN:])) else ""),
                "chained": "" if entry["chained"] else "not yet",
            },
        )
        for entry in found["entries"]
    )
    if "next" in found:
        typer.echo(f"There are more entries: --after {found['next']}")


@app.command(epilog="Example: `care audit verify intake`")
def verify(
    context: typer.Context,
    service: ServiceName,
    facility: Facility = "harbor-iop",
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Check every chain and every entry. Fail, and print the place, when an entry was changed or removed."""
    signed = _signed(context, token, facility)
    found = Operations(service, url, signed).get("/audit/chains")
    if json:
        as_json(found)
    else:
        typer.echo(
            f"{found['entries']} entries in {found['links']} links of {found['chains']} chains; "
            f"{found['unchained']} not chained yet."
        )
        for one in found["breaks"]:
            typer.echo(f"{one['what']}: chain {one['chain']}, link {one['link']} {one['entry']}")
    if found["breaks"]:
        fail(f"{len(found['breaks'])} breaks: the audit differs from what was stored.")
