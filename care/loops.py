"""`care loops` and `care tasks`: what is open over all four services, whose it is and until when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import aiohttp
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.devtools.issuer import DEVELOPER, LocalIssuer

console = Console()
PAGES_MAX: Final = 1_000
PAGE: Final = 200
ANSWER_SECONDS: Final = 30.0

Issuer = Callable[[], LocalIssuer]
View = dict[str, Any]
Urls = Mapping[str, str]


class NoAnswer(Exception):
    """A service that did not answer as it should. Its words name the service and the problem's code."""


def _url(name: str, port: int) -> Any:
    return typer.Option(
        f"--{name}", envvar=f"CARE_{name.upper()}_URL", help=f"Where {name} is. [{port}]"
    )


IntakeUrl = Annotated[str, _url("intake", 8001)]
PlansUrl = Annotated[str, _url("plans", 8002)]
AttendanceUrl = Annotated[str, _url("attendance", 8003)]
FollowupUrl = Annotated[str, _url("followup", 8004)]
Token = Annotated[
    str | None, typer.Option("--token", envvar="CARE_TOKEN", help="Missing: the local issuer's.")
]
Facility = Annotated[str, typer.Option(envvar="CARE_FACILITY", help="With the local issuer.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
Overdue = Annotated[bool, typer.Option("--overdue", help="Only what is late or escalated.")]
INTAKE, PLANS = "http://127.0.0.1:8001", "http://127.0.0.1:8002"
ATTENDANCE, FOLLOWUP = "http://127.0.0.1:8003", "http://127.0.0.1:8004"


def register(app: typer.Typer, issuer: Issuer) -> None:
    """Add both commands; `issuer` gives the local issuer when no token is given."""

    @app.command(epilog="Example: `care loops --overdue --role case_manager`")
    def loops(  # pyright: ignore[reportUnusedFunction] - typer calls it
        role: Annotated[str | None, typer.Option(help="Only what this role owns.")] = None,
        kind: Annotated[str | None, typer.Option(help="Only loops of this kind.")] = None,
        overdue: Overdue = False,
        facility: Facility = "harbor-iop",
        token: Token = None,
        intake: IntakeUrl = INTAKE,
        plans: PlansUrl = PLANS,
        attendance: AttendanceUrl = ATTENDANCE,
        followup: FollowupUrl = FOLLOWUP,
        as_json: AsJson = False,
    ) -> None:
        """Every open loop of all services, the most urgent first: owner, deadline, age and escalation step."""
        urls = {"intake": intake, "plans": plans, "attendance": attendance, "followup": followup}
        asked = {"owner_role": role, "kind": kind, "overdue": "true" if overdue else None}
        signed = token or issuer().token(facility, "operator")
        _show(_answered(_all_loops(urls, signed, asked)), as_json=as_json)

    @app.command(epilog="Example: `care tasks --role counselor`")
    def tasks(  # pyright: ignore[reportUnusedFunction] - typer calls it
        role: Annotated[
            str, typer.Option(help="The role whose tasks are asked for.")
        ] = "clinician",
        staff: Annotated[str | None, typer.Option(help="The person: an opaque id.")] = None,
        overdue: Overdue = False,
        facility: Facility = "harbor-iop",
        token: Token = None,
        intake: IntakeUrl = INTAKE,
        plans: PlansUrl = PLANS,
        attendance: AttendanceUrl = ATTENDANCE,
        followup: FollowupUrl = FOLLOWUP,
        as_json: AsJson = False,
    ) -> None:
        """What one person, or whoever has a role, has to do now: their own, and what they do for who is away."""
        urls = {"intake": intake, "plans": plans, "attendance": attendance, "followup": followup}
        signed = token or issuer().token(facility, role, staff or DEVELOPER)
        # A token that is given may be a supervisor's, who asks about others.
        asked = {} if token is None else {"staff_id": staff, "role": role}
        found = _answered(_all_tasks(urls, signed, asked))
        _show([view for view in found if view["overdue"] or not overdue], as_json=as_json)


def _answered(asking: Any) -> list[View]:
    try:
        return asyncio.run(asking)
    except NoAnswer as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


async def _all_loops(urls: Urls, token: str, asked: Mapping[str, str | None]) -> list[View]:
    async def one(http: aiohttp.ClientSession, service: tuple[str, str]) -> list[View]:
        return await _pages(http, service, asked)

    return await _merged(urls, token, one)


async def _all_tasks(urls: Urls, token: str, asked: Mapping[str, str | None]) -> list[View]:
    async def one(http: aiohttp.ClientSession, service: tuple[str, str]) -> list[View]:
        return (await _get(http, service, "/tasks", {**asked, "limit": "500"}))["tasks"]

    return await _merged(urls, token, one)


async def _merged(urls: Urls, token: str, one: Callable[..., Any]) -> list[View]:
    """What every service says, as one list: the earliest deadline first."""
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        answers = await asyncio.gather(*(one(http, service) for service in urls.items()))
    found = [
        {"service": name, **view}
        for name, views in zip(urls, answers, strict=True)
        for view in views
    ]
    return sorted(found, key=lambda view: (_moment(view["deadline_at"]), view["id"]))


async def _pages(
    http: aiohttp.ClientSession, service: tuple[str, str], asked: Mapping[str, str | None]
) -> list[View]:
    found: list[View] = []
    after: str | None = None
    for _ in range(PAGES_MAX):
        answer = await _get(http, service, "/loops", {**asked, "limit": str(PAGE), "after": after})
        found += answer["loops"]
        after = answer.get("next")
        if after is None:
            break
    return found


async def _get(
    http: aiohttp.ClientSession,
    service: tuple[str, str],
    path: str,
    asked: Mapping[str, str | None],
) -> dict[str, Any]:
    name, base = service
    params = {key: value for key, value in asked.items() if value is not None}
    try:
        async with http.get(f"{base.rstrip('/')}{path}", params=params) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
            if answer.ok:
                return body
            said = f"{body.get('code', answer.status)}: {body.get('detail', '')}"
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
        said = f"no answer ({type(error).__name__}). Is it up? See: care up"
    raise NoAnswer(f"{name} at {base}: {said}")


def _show(found: list[View], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("Nothing is open.")
    else:
        console.print(_table(found))


def _table(found: list[View]) -> Table:
    table = Table("deadline", "kind", "subject", "owner", "acting", "age", "step", "service")
    for view in found:
        owner = view["owner"]
        when = _moment(view["deadline_at"]).strftime("%Y-%m-%d %H:%M")
        table.add_row(
            f"[red]{when}[/red]" if view["overdue"] else when,
            escape(view["kind"]),
            _short(view["subject"]),
            escape(owner["role"]),
            _acting(owner),
            _age(view["age_seconds"]),
            str(view["step"]),
            view["service"],
        )
    return table


def _short(subject: str) -> str:
    """The kind and the id's first eight characters: enough to tell two apart on a screen."""
    kind, _, subject_id = subject.partition("/")
    return escape(f"{kind}/{subject_id[:8]}")


def _acting(owner: Mapping[str, Any]) -> str:
    """Who does it now: nobody in person, the holder, or somebody who stands in for them."""
    if owner["acting_id"] is None:
        return "whoever is on duty"
    deputy = "" if owner["acting_id"] == owner["staff_id"] else " (deputy)"
    return f"{owner['acting_id'][:8]}{deputy}"


def _age(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
