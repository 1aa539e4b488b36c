"""`care dead-letters`: inspect what a service could not apply, and redrive or discard it.

Shows ids, codes and numbers, never the data of an event.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from care.ops import Operations, ServiceName, Token, Url
from care.show import Json, as_json, entries, fail, minutes, table

app = typer.Typer(no_args_is_help=True, help="Inspect dead letters, and redrive or discard them.")
Why = Annotated[
    str,
    typer.Option("--why", help="A reason code for the audit, such as rule-fixed; no free text."),
]
DeadLetterId = Annotated[str, typer.Argument(help="The id of a dead letter.")]


@app.command(epilog="Example: `care dead-letters groups plans`")
def groups(service: ServiceName, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Group like failures: reason, place in the code, count, and since when."""
    found = Operations(service, url, token).get("/ops/dead-letters")
    if json:
        as_json(found)
        return
    entries(
        (
            group["fingerprint"],
            {
                "reason": group["reason"],
                "type": group["type"] or "",
                "exception": group["exception"] or "",
                "place": _place(group["where"]),
                "field": group["field"] or "",
                "count": f"{group['count']} in {group['streams']} streams",
                "since": minutes(group["first_seen"]),
            },
        )
        for group in found["groups"]
    )
    if not found["groups"]:
        typer.echo("There are no open dead letters.")
    if found["halted"]:
        typer.secho(f"The consumer has halted: {found['halted']}.", fg="red")


@app.command(
    "list", epilog="Example: `care dead-letters list plans --fingerprint 0123456789abcdef`"
)
def list_(
    service: ServiceName,
    fingerprint: Annotated[
        str | None, typer.Option(help="Only this group, by fingerprint.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only this record.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    status: Annotated[
        str,
        typer.Option(help="Only this status: open, redriven, discarded, already-applied …"),
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 100,
    after: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List dead letters, in the order of their ids."""
    asked = {"fingerprint": fingerprint, "subject": subject, "reason": reason, "status": status}
    asked |= {"limit": str(limit), "after": after}
    found = Operations(service, url, token).get("/ops/dead-letters/rows", **asked)
    if json:
        as_json(found)
        return
    entries(
        (
            row["id"],
            {
                "subject": row.get("subject", ""),
                "stream": f"{row.get('stream', '')} {_number(row)}".strip(),
                "type": row.get("type", ""),
                "reason": row["reason"],
                "attempts": f"{row['attempts']} since {minutes(row['first_seen'])}",
            },
        )
        for row in found["rows"]
    )
    if "next" in found:
        typer.echo(f"There are more: --after {found['next']}")


@app.command(epilog="Example: `care dead-letters show plans ID`")
def show(
    service: ServiceName,
    dead_letter: DeadLetterId,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Show one dead letter: its position, why it is one, and how many wait behind it."""
    row = Operations(service, url, token).get(f"/ops/dead-letters/{dead_letter}")
    if json:
        as_json(row)
        return
    table(
        ("field", "value"),
        (
            (name, jsonlib.dumps(value) if isinstance(value, dict) else str(value))
            for name, value in row.items()
        ),
    )


@app.command(epilog="Example: `care dead-letters preview plans ID --behind`")
def preview(
    service: ServiceName,
    dead_letter: DeadLetterId,
    behind: Annotated[
        bool, typer.Option("--behind", help="Include everything that waits behind it.")
    ] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Show what the present code would do with a dead letter and those before it. Writes nothing."""
    found = Operations(service, url, token).post(
        f"/ops/dead-letters/{dead_letter}/preview", {"behind": behind}
    )
    if json:
        as_json(found)
        return
    entries(
        (
            f"{_number(step)} {step.get('type', '')}".strip(),
            {
                "outcome": step["outcome"],
                "reason": f"{step['reason']} ({step['exception']})" if step["reason"] else "",
                "changes": "\n".join(step["changed"]),
                "publishes": "\n".join(f"{_number(e)} {e['type']}" for e in step["events"]),
            },
        )
        for step in found["steps"]
    )


@app.command(
    epilog="Example: `care dead-letters redrive plans --fingerprint 0123456789abcdef --why rule-fixed`"
)
def redrive(
    service: ServiceName,
    why: Why,
    fingerprint: Annotated[
        str | None, typer.Option(help="The streams that hold a dead letter of this group.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The streams of this record.")] = None,
    dead_letter: Annotated[
        str | None, typer.Option("--id", help="The stream of this dead letter, up to it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All streams.")] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Process dead letters again, in order, in steps of 1, 10 and 100. Stop at the first failure."""
    named = {"fingerprint": fingerprint, "subject": subject, "id": dead_letter}
    body: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if len(body) + everything != 1:
        raise typer.BadParameter("give exactly one of --fingerprint, --subject, --id and --all")
    operations = Operations(service, url, token)
    total = 0
    while True:
        done = operations.post(
            "/ops/dead-letters/redrive", body | {"why": why, "everything": everything}
        )
        total += done["redriven"] + done["already_applied"] + done["not_wanted"]
        if done["stopped"] != "limit":
            break
    if json:
        as_json(done)
    else:
        typer.echo(f"{total} dead letters were redriven; {done['open']} are open.")
    if done["stopped"] == "failed":
        failed: Mapping[str, Any] = done["failed"]
        why_not = f"{failed['reason']} {failed.get('exception') or ''}".strip()
        fail(f"Stopped at {failed['id']}: {why_not} {_place(failed.get('where'))}".strip())


@app.command(epilog="Example: `care dead-letters discard plans ID --why never-true`")
def discard(
    service: ServiceName,
    dead_letter: DeadLetterId,
    why: Why,
    taken_back_by: Annotated[
        str | None,
        typer.Option(help="The dead letter right behind it that takes it back; both go."),
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Request to give the first dead letter of a stream up. Another operator approves it within 24 hours."""
    body = {"why": why, "taken_back_by": taken_back_by}
    done = Operations(service, url, token).post(f"/ops/dead-letters/{dead_letter}/discard", body)
    typer.echo(f"{dead_letter} waits for another operator until {minutes(done['until'])}.")


@app.command(epilog="Example: `care dead-letters approve plans ID --why checked`")
def approve(
    service: ServiceName, dead_letter: DeadLetterId, why: Why, url: Url = None, token: Token = None
) -> None:
    """Discard what another operator has requested: it has no effect. The row stays, with both and why."""
    done = Operations(service, url, token).post(
        f"/ops/dead-letters/{dead_letter}/discard/approve", {"why": why}
    )
    typer.echo(f"{dead_letter} is {done['status']}.")


@app.command(epilog="Example: `care dead-letters discards plans`")
def discards(
    service: ServiceName, url: Url = None, token: Token = None, json: Json = False
) -> None:
    """List what waits for another operator's approval: whose it is, until when, and whether it is late."""
    found = Operations(service, url, token).get("/ops/dead-letters/discards")
    if json:
        as_json(found)
        return
    entries(
        (
            row["id"],
            {
                "subject": row.get("subject", ""),
                "type": row.get("type", ""),
                "requested": f"{row['discard']['why']} by {row['discard']['by']}",
                "owner": f"operator of {row['owner']['facility_id']}",
                "until": minutes(row["deadline_at"]) + (" LATE" if row["overdue"] else ""),
            },
        )
        for row in found["discards"]
    )


@app.command(
    "set-back", epilog="Example: `care dead-letters set-back plans SUBJECT intake 4 --preview`"
)
def set_back(
    service: ServiceName,
    subject: Annotated[str, typer.Argument(help="The record, such as episode/….")],
    stream: Annotated[str, typer.Argument(help="The stream, as the dead letters name it.")],
    number: Annotated[int, typer.Argument(min=0, help="The last number of it that was right.")],
    why: Annotated[
        str | None, typer.Option("--why", help="A reason code for the audit; no free text.")
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what would happen.")
    ] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Set a stream back to before a number that was not its publisher's. Redrive what it lines up."""
    if preview == (why is not None):
        raise typer.BadParameter("give exactly one of --preview and --why")
    body: dict[str, Any] = {"subject": subject, "stream": stream, "number": number}
    operations = Operations(service, url, token)
    if preview:
        found = operations.post("/ops/streams/preview", body)
    else:
        found = operations.post("/ops/streams/set-back", body | {"why": why})
    if json:
        as_json(found)
        return
    entries(
        [
            (
                f"{found['subject']} {found['stream']}",
                {
                    "applied up to": f"#{found['was']}",
                    "set back to": f"#{found['number']}",
                    "discarded": ", ".join(f"#{n}" for n in found["discarded"]),
                    "lined up": "\n".join(
                        f"{_number(row)} {row['id']}" for row in found["lined_up"]
                    ),
                },
            )
        ]
    )


@app.command(epilog="Example: `care dead-letters audit plans`")
def audit(service: ServiceName, url: Url = None, token: Token = None, json: Json = False) -> None:
    """List what operators did: who, when, why, and the result."""
    found = Operations(service, url, token).get("/ops/dead-letters/audit")
    if json:
        as_json(found)
        return
    entries(
        (
            f"{minutes(entry['at'])}  {entry['action']}",
            {
                "by": entry["actor_id"],
                "why": entry["why"],
                "result": jsonlib.dumps(entry.get("result", "interrupted")),
            },
        )
        for entry in found["audit"]
    )


@app.command(epilog="Example: `care dead-letters resume plans --why rule-fixed`")
def resume(
    service: ServiceName,
    why: Why,
    accept: Annotated[
        str | None,
        typer.Option(help="history-removed: accept the loss of events that retention removed."),
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Let the consumer of a replica continue after it has halted."""
    body = {"why": why} | ({} if accept is None else {"accept": accept})
    done = Operations(service, url, token).post("/ops/consumer/resume", body)
    typer.echo("The consumer continues." if done["resumed"] else "The consumer had not halted.")


def _number(item: Mapping[str, Any]) -> str:
    return f"#{item['sequence']}" if item.get("sequence") else ""


def _place(where: str | None) -> str:
    """The innermost place in our code."""
    return (where or "").rpartition(" > ")[2]
