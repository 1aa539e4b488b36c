"""`care loops` and `care tasks`: list the open loops of the four care services, with their owners and deadlines."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from care.ops import Addresses, Token, local_token, urls_of
from care.show import Json, as_json, failures, not_ignored, table

if TYPE_CHECKING:
    from care.http import ServiceClient

PAGES_MAX: Final = 1_000
PAGE: Final = 200
TASKS_MAX: Final = 500
SHOWN: Final = 50
"""How many are printed for people unless they ask for another number."""

View = dict[str, Any]
Urls = Mapping[str, str]


Facility = Annotated[
    str, typer.Option(envvar="CARE_FACILITY", help="The facility, for a token of the local issuer.")
]
Overdue = Annotated[
    bool, typer.Option("--overdue", help="Only loops that are overdue or escalated.")
]
Limit = Annotated[
    int, typer.Option(min=1, help="How many to print. JSON output always lists all of them.")
]
All = Annotated[bool, typer.Option("--all", help="Print all of them.")]


def loops(
    context: typer.Context,
    role: Annotated[str | None, typer.Option(help="Only loops that this role owns.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only loops of this kind.")] = None,
    overdue: Overdue = False,
    limit: Limit = SHOWN,
    everything: All = False,
    facility: Facility = "harbor-iop",
    token: Token = None,
    url: Addresses = None,
    json: Json = False,
) -> None:
    """List the open loops of all services, the earliest deadline first: owner, deadline, age and escalation step."""
    _check_options(context, token, everything=everything)
    urls = urls_of(url or ())
    asked = {"owner_role": role, "kind": kind, "overdue": "true" if overdue else None}
    signed = token or local_token(facility, "operator")

    async def of(client: ServiceClient) -> list[View]:
        return await _pages(client, asked)

    _show(_answered(_merged(urls, signed, of)), None if everything else limit, json=json)


def tasks(
    context: typer.Context,
    role: Annotated[str, typer.Option(help="The role whose tasks are listed.")] = "clinician",
    staff: Annotated[
        str | None, typer.Option(help="The person's opaque id; by default, the local developer's.")
    ] = None,
    overdue: Overdue = False,
    limit: Limit = SHOWN,
    everything: All = False,
    facility: Facility = "harbor-iop",
    token: Token = None,
    url: Addresses = None,
    json: Json = False,
) -> None:
    """List the tasks of one person or role: their own, and those of the colleagues they cover for."""
    _check_options(context, token, everything=everything)
    urls = urls_of(url or ())
    signed = token or local_token(facility, role, staff)
    # A token that is given may be a supervisor's, who asks about others.
    asked = {} if token is None else {"staff_id": staff, "role": role}

    async def of(client: ServiceClient) -> list[View]:
        return (await client.get("/tasks", **asked, limit=str(TASKS_MAX)))["tasks"]

    found = _answered(_merged(urls, signed, of))
    wanted = [view for view in found if view["overdue"] or not overdue]
    _show(wanted, None if everything else limit, json=json)


def _check_options(context: typer.Context, token: str | None, *, everything: bool) -> None:
    if token is not None:
        not_ignored(context, "--facility", "is not used with --token, which names a facility")
    if everything:
        not_ignored(context, "--limit", "give one of --limit and --all")


def _answered(asking: Coroutine[Any, Any, list[View]]) -> list[View]:
    import asyncio

    with failures():
        return asyncio.run(asking)


async def _merged(urls: Urls, token: str, of: Any) -> list[View]:
    """The lists of all services, asked at the same time, as one: the earliest deadline first."""
    import asyncio

    import httpx2

    from care import http

    async with httpx2.AsyncClient(transport=http.TRANSPORT) as shared:
        clients = [http.ServiceClient(name, url, token, http=shared) for name, url in urls.items()]
        answers = await asyncio.gather(*(of(client) for client in clients))
    found = [
        {"service": name, **view}
        for name, views in zip(urls, answers, strict=True)
        for view in views
    ]
    return sorted(found, key=lambda view: (_instant(view["deadline_at"]), view["id"]))


async def _pages(client: ServiceClient, asked: Mapping[str, str | None]) -> list[View]:
    from care.http import ServiceError

    found: list[View] = []
    after: str | None = None
    for _ in range(PAGES_MAX):
        answer = await client.get("/loops", **asked, limit=str(PAGE), after=after)
        found += answer["loops"]
        after = answer.get("next")
        if after is None:
            return found
    raise ServiceError(
        client.service,
        client.url,
        "list-too-long",
        f"The list of open loops has more than {PAGES_MAX} pages.",
    )


def _show(found: Sequence[View], limit: int | None, *, json: bool) -> None:
    """Print the earliest of them, and how many more there are; for machines all."""
    if json:
        as_json(found)
    elif not found:
        typer.echo("Nothing is open.")
    else:
        shown = found[:limit]
        table(("deadline", "loop, its record and its owner"), _rows(shown))
        if len(shown) < len(found):
            typer.echo(f"{len(found) - len(shown):,} more: --all")


def _rows(found: Iterable[View]) -> Iterable[tuple[Any, ...]]:
    """Three lines for each loop, so that they fit into 80 columns. Overdue ones have a red deadline."""
    from rich.text import Text

    for view in found:
        owner, when = view["owner"], _instant(view["deadline_at"]).strftime("%Y-%m-%d %H:%M")
        deadline = Text(when, style="red" if view["overdue"] else "")
        age = f"{_age(view['age_seconds'])}, step {view['step']}"
        yield (
            deadline.append(f"\n{view['service']}\n{age}", style="default"),
            f"{view['kind']}: {owner['role']}\n{view['subject']}\n{_acting(owner)}",
        )


def _acting(owner: Mapping[str, Any]) -> str:
    """Who acts now: the holder of the role, a deputy, or anyone on duty."""
    if owner["acting_id"] is None:
        return "anyone on duty"
    deputy = "" if owner["acting_id"] == owner["staff_id"] else " (deputy)"
    return f"{owner['acting_id']}{deputy}"


def _age(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
