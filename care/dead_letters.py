"""`care dead-letters`: look at what a service has set aside, and mend it. Ids, codes and numbers; never content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from care.ops import Json, Operations, ServiceName, Token, Url

app = typer.Typer(no_args_is_help=True, help="Dead letters: groups, list, show, preview, redrive.")
console = Console()
Why = Annotated[str, typer.Option("--why", help="A reason code, such as rule-fixed: no words.")]
DeadLetterId = Annotated[str, typer.Argument(help="The id of a row.")]


@app.command(epilog="Example: `care dead-letters groups plans`")
def groups(
    service: ServiceName, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """Like failures together: what failed, where in the code, how many, since when."""
    found = Operations(service, url, token).get("/ops/dead-letters")
    if as_json:
        _print(found)
        return
    table = Table("fingerprint", "reason", "type", "exception", "where", "rows", "streams", "since")
    for group in found["groups"]:
        table.add_row(
            group["fingerprint"],
            group["reason"],
            group["type"] or "",
            group["exception"] or "",
            (group["where"] or "").rpartition(" > ")[2],
            str(group["count"]),
            str(group["streams"]),
            group["first_seen"],
        )
    console.print(table)
    if found["halted"]:
        console.print(f"[red]The consumer has halted: {found['halted']}.[/red]")


@app.command(
    "list", epilog="Example: `care dead-letters list plans --fingerprint 0123456789abcdef`"
)
def list_(
    service: ServiceName,
    fingerprint: Annotated[str | None, typer.Option(help="Only this group.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only this record.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    status: Annotated[str, typer.Option(help="open, redriven, discarded …")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List rows, by id."""
    asked = {"fingerprint": fingerprint, "subject": subject, "reason": reason, "status": status}
    found = Operations(service, url, token).get("/ops/dead-letters/rows", **asked, limit=str(limit))
    if as_json:
        _print(found)
        return
    table = Table("id", "subject", "stream", "#", "type", "reason", "tries", "since")
    for row in found["rows"]:
        table.add_row(
            row["id"],
            row.get("subject", ""),
            row.get("stream", ""),
            str(row.get("sequence", "")),
            row.get("type", ""),
            row["reason"],
            str(row["attempts"]),
            row["first_seen"],
        )
    console.print(table)
    if "next" in found:
        console.print(f"There are more, after {found['next']}.")


@app.command(epilog="Example: `care dead-letters show plans ID`")
def show(
    service: ServiceName,
    dead_letter: DeadLetterId,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Show one row: where it lay, why it was set aside, how many wait behind it."""
    row = Operations(service, url, token).get(f"/ops/dead-letters/{dead_letter}")
    if as_json:
        _print(row)
        return
    table = Table("field", "value")
    for name, value in row.items():
        table.add_row(name, json.dumps(value) if isinstance(value, dict) else str(value))
    console.print(table)


@app.command(epilog="Example: `care dead-letters preview plans ID --behind`")
def preview(
    service: ServiceName,
    dead_letter: DeadLetterId,
    behind: Annotated[bool, typer.Option("--behind", help="To the end of its line.")] = False,
    data: Annotated[Path | None, typer.Option(help="JSON to try instead of the data.")] = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Show what the present code would do with a row, and with those before it. Writes nothing."""
    body: dict[str, Any] = {"behind": behind}
    if data is not None:
        body["data"] = _json_of(data)
    found = Operations(service, url, token).post(f"/ops/dead-letters/{dead_letter}/preview", body)
    if as_json:
        _print(found)
        return
    table = Table("#", "type", "outcome", "changes", "publishes")
    for step in found["steps"]:
        outcome = step["outcome"]
        if step["reason"]:
            outcome += f": {step['reason']} ({step['exception']})"
        events = [f"#{event['sequence']} {event['type']}" for event in step["events"]]
        table.add_row(
            str(step.get("sequence", "")),
            step.get("type", ""),
            outcome,
            "\n".join(step["changed"]),
            "\n".join(events),
        )
    console.print(table)


@app.command(
    epilog="Example: `care dead-letters redrive plans --fingerprint 0123456789abcdef --why rule-fixed`"
)
def redrive(
    service: ServiceName,
    why: Why,
    fingerprint: Annotated[str | None, typer.Option(help="Lines with a row of this group.")] = None,
    subject: Annotated[str | None, typer.Option(help="Lines of this record.")] = None,
    dead_letter: Annotated[
        str | None, typer.Option("--id", help="The line of a row, up to it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All lines.")] = False,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Put rows through the present rules, in order, in steps of 1, 10 and 100; stop at the first failure."""
    named = {"fingerprint": fingerprint, "subject": subject, "id": dead_letter}
    body: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if len(body) + everything != 1:
        raise typer.BadParameter("name one of --fingerprint, --subject, --id and --all")
    operations = Operations(service, url, token)
    total = 0
    while True:
        done = operations.post(
            "/ops/dead-letters/redrive", body | {"why": why, "everything": everything}
        )
        total += done["redriven"] + done["already_applied"] + done["not_wanted"]
        if done["stopped"] != "limit":
            break
    if as_json:
        _print(done)
    else:
        console.print(f"{total} rows mended; {done['open']} are open.")
    if done["stopped"] == "failed":
        failed: Mapping[str, Any] = done["failed"]
        place = (failed.get("where") or "").rpartition(" > ")[2]
        typer.echo(
            f"Stopped at {failed['id']}: {failed['reason']} {failed.get('exception') or ''} {place}",
            err=True,
        )
        raise typer.Exit(1)


@app.command(epilog="Example: `care dead-letters discard plans ID --why never-true`")
def discard(
    service: ServiceName, dead_letter: DeadLetterId, why: Why, url: Url = None, token: Token = None
) -> None:
    """Decide that the head of a line shall have no effect. It is kept, and written down."""
    done = Operations(service, url, token).post(
        f"/ops/dead-letters/{dead_letter}/discard", {"why": why}
    )
    console.print(f"{dead_letter} is {done['status']}.")


@app.command(epilog="Example: `care dead-letters edit plans ID corrected.json --why typing-error`")
def edit(
    service: ServiceName,
    dead_letter: DeadLetterId,
    file: Annotated[Path, typer.Argument(help="The corrected data, as JSON.")],
    why: Why,
    url: Url = None,
    token: Token = None,
) -> None:
    """Keep corrected data beside the original, for the next preview and redrive."""
    body = {"why": why, "data": _json_of(file)}
    Operations(service, url, token).post(f"/ops/dead-letters/{dead_letter}/edit", body)
    console.print(f"{dead_letter} is corrected; the original is kept. Preview it, then redrive it.")


@app.command(epilog="Example: `care dead-letters audit plans`")
def audit(
    service: ServiceName, url: Url = None, token: Token = None, as_json: Json = False
) -> None:
    """Who did what, when and why."""
    found = Operations(service, url, token).get("/ops/dead-letters/audit")
    if as_json:
        _print(found)
        return
    table = Table("at", "who", "action", "why", "result")
    for entry in found["audit"]:
        result = json.dumps(entry.get("result", "cut off"))
        table.add_row(entry["at"], entry["actor_id"], entry["action"], entry["why"], result)
    console.print(table)


@app.command(epilog="Example: `care dead-letters resume plans --why rule-fixed`")
def resume(
    service: ServiceName,
    why: Why,
    accept: Annotated[
        str | None, typer.Option(help="history-removed: give up what retention took away.")
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Let a replica's consumer go on after it has halted."""
    body = {"why": why} | ({} if accept is None else {"accept": accept})
    done = Operations(service, url, token).post("/ops/consumer/resume", body)
    console.print("The consumer goes on." if done["resumed"] else "It had not halted.")


def _print(found: Any) -> None:
    typer.echo(json.dumps(found, indent=2))


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} holds no JSON ({type(error).__name__})") from None
