"""`care dead-letters`: inspects, redrives and discards the items that a service could not process.

The commands show ids, codes and numbers, and never the data of an event.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from care import discards
from care import found as find
from care.ops import ALL, DeadLetterId, Operations, ServiceName, Services, Token, Url, Why, known
from care.show import Json, as_json, entries, fail, minutes, said

app = typer.Typer(no_args_is_help=True, help="Inspect dead letters, and redrive or discard them.")
HEADING = ("service", "id", "position")
"""The values of a dead letter that `show` does not print among its fields."""
CHOICES = ("--fingerprint", "--subject", "--id", "--all")
"""The options that choose what a redrive processes."""


@app.command(epilog="Example: `care dead-letters groups plans`")
def groups(service: ServiceName, url: Url = None, token: Token = None, json: Json = False) -> None:
    """Group dead letters with the same cause: reason, place in the code, count, and time of the first one."""
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
        str | None, typer.Option(help="Only this group: its fingerprint, or the beginning of it.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only this record: its subject, or the beginning of it.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    status: Annotated[
        str,
        typer.Option(help="Only this status: open, redriven, discarded, already-applied …"),
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most rows to list.")] = 100,
    after: Annotated[
        str | None, typer.Option(help="Continue a list: the value that its previous page printed.")
    ] = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """List dead letters, in the order of their ids."""
    operations = Operations(service, url, token)
    if fingerprint is not None:
        [(_, fingerprint)] = find.fingerprint(fingerprint, [operations])
    asked = {"fingerprint": fingerprint, "subject": subject, "reason": reason, "status": status}
    asked |= {"limit": str(limit), "after": after}
    found = operations.get("/ops/dead-letters/rows", **asked)
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
                "lay at": _lay_at(row),
                "reason": row["reason"],
                "attempts": f"{row['attempts']} since {minutes(row['first_seen'])}",
            },
        )
        for row in found["rows"]
    )
    if "next" in found:
        typer.echo(f"There are more rows: --after {found['next']}")


@app.command(epilog="Example: `care dead-letters show all care.intake/3/17`")
def show(
    service: Services,
    dead_letter: DeadLetterId,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Show a dead letter: its position, its reason, and how many items wait behind it.

    With `all`, the command searches every service.
    """
    found = [
        {"service": one.operations.service, **one.operations.get(one.path)}
        for one in find.rows(dead_letter, find.services(service, url, token))
    ]
    if json:
        as_json(found if service == ALL else found[0])
        return
    entries(
        (
            f"{row['service']}: {row['id']}",
            {
                **{name: _value(value) for name, value in row.items() if name not in HEADING},
                "lay at": _lay_at(row),
            },
        )
        for row in found
    )


@app.command(epilog="Example: `care dead-letters preview plans ID --behind`")
def preview(
    service: ServiceName,
    dead_letter: DeadLetterId,
    behind: Annotated[
        bool, typer.Option("--behind", help="Include every item that waits behind it.")
    ] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Show what the current code would do with a dead letter and those before it. The command writes nothing."""
    [one] = find.rows(dead_letter, find.services(known(service), url, token))
    found = one.operations.post(f"{one.path}/preview", {"behind": behind})
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
    service: Services,
    why: Why,
    fingerprint: Annotated[
        str | None, typer.Option(help="Redrive the streams that hold a dead letter of this group.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Redrive the streams of this record.")] = None,
    dead_letter: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Redrive the stream of this dead letter, up to this one. Give its id, the beginning of the id,"
            " or TOPIC/PARTITION/OFFSET.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Redrive all streams.")] = False,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Process dead letters again, in order, in steps of 1, 10 and 100. Stop at the first failure.

    With `all`, redrive in every service: --id TOPIC/PARTITION/OFFSET names one message that several services could not
    process.
    """
    if [fingerprint, subject, dead_letter, everything or None].count(None) + 1 != len(CHOICES):
        raise typer.BadParameter(f"give exactly one of {', '.join(CHOICES)}")
    asked = find.services(service, url, token)
    bodies: list[tuple[Operations, dict[str, Any]]] = [(one, {"everything": True}) for one in asked]
    if dead_letter is not None:
        found = find.rows(dead_letter, asked, status="open")
        bodies = [(one.operations, {"id": one.row["id"]}) for one in found]
    elif fingerprint is not None:
        bodies = [(one, {"fingerprint": it}) for one, it in find.fingerprint(fingerprint, asked)]
    elif subject is not None:
        bodies = [(one, {"subject": it}) for one, it in find.subject(subject, asked)]
    reports = [
        {"service": one.service, **_redriven(one, body | {"why": why})} for one, body in bodies
    ]
    if json:
        as_json(reports if service == ALL else reports[0])
    for done in reports:
        if not json:
            typer.echo(
                f"{done['service']}: {done['total']} dead letters were redriven; {done['open']} are open."
            )
    for done in reports:
        _fail_if_stopped(done)


def _redriven(operations: Operations, body: dict[str, Any]) -> dict[str, Any]:
    """Ask again until the service has no more to do."""
    total = 0
    while True:
        done = operations.post("/ops/dead-letters/redrive", body)
        total += done["redriven"] + done["already_applied"] + done["not_wanted"]
        if done["stopped"] != "limit":
            return {**done, "total": total}


def _fail_if_stopped(done: Mapping[str, Any]) -> None:
    if done["stopped"] == "failed":
        failed: Mapping[str, Any] = done["failed"]
        why_not = f"{failed['reason']} {failed.get('exception') or ''}".strip()
        fail(f"Stopped at {failed['id']}: {why_not} {_place(failed.get('where'))}".strip())


app.command(epilog="Example: `care dead-letters discard plans ID --why never-true`")(
    discards.discard
)
app.command(epilog="Example: `care dead-letters approve plans ID --why checked`")(discards.approve)
app.command("discards", epilog="Example: `care dead-letters discards plans`")(discards.waiting)


@app.command(
    "set-back", epilog="Example: `care dead-letters set-back plans SUBJECT intake 4 --preview`"
)
def set_back(
    service: ServiceName,
    subject: Annotated[str, typer.Argument(help="The record, such as episode/….")],
    stream: Annotated[str, typer.Argument(help="The stream, as the dead letters name it.")],
    number: Annotated[int, typer.Argument(min=0, help="The last correct number of this stream.")],
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
    """Set a stream back to before a number that its publisher did not assign.

    Then redrive the dead letters that the command lines up.
    """
    if preview == (why is not None):
        raise typer.BadParameter("give exactly one of --preview and --why")
    operations = Operations(service, url, token)
    [(_, subject)] = find.subject(subject, [operations])
    body: dict[str, Any] = {"subject": subject, "stream": stream, "number": number}
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
        typer.Option(
            help="Give history-removed to accept the loss of events that retention removed."
        ),
    ] = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Let the consumer of a replica continue after it has halted."""
    body = {"why": why} | ({} if accept is None else {"accept": accept})
    done = Operations(service, url, token).post("/ops/consumer/resume", body)
    text = "The consumer continues." if done["resumed"] else "The consumer had not halted."
    said(done, text, json=json)


def _lay_at(row: Mapping[str, Any]) -> str:
    """Where the message lay, as commands take it; empty for what was no message."""
    place: Mapping[str, Any] | None = row.get("position")
    return "" if place is None else f"{place['topic']}/{place['partition']}/{place['offset']}"


def _value(value: Any) -> str:
    return jsonlib.dumps(value) if isinstance(value, dict) else str(value)


def _number(item: Mapping[str, Any]) -> str:
    return f"#{item['sequence']}" if item.get("sequence") else ""


def _place(where: str | None) -> str:
    """The innermost place in our code."""
    return (where or "").rpartition(" > ")[2]
