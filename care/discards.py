"""The commands of `care dead-letters` on discards: requested by one operator, approved by another, listed until then.

They show ids, codes and numbers, and never the data of an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from care import found as find
from care.ops import ALL, DeadLetterId, Operations, ServiceName, Services, Token, Url, Why
from care.show import Json, as_json, entries, minutes


def discard(
    service: Services,
    dead_letter: DeadLetterId,
    why: Why,
    taken_back_by: Annotated[
        str | None,
        typer.Option(
            help="The next dead letter of the stream, which takes this one back. Both are discarded."
        ),
    ] = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Request to discard the first dead letter of a stream. Another operator must approve it within 24 hours.

    With `all` and TOPIC/PARTITION/OFFSET, request it in every service that could not process that message. Then give
    --taken-back-by a TOPIC/PARTITION/OFFSET too.
    """
    asked = find.services(service, url, token)
    found = find.rows(dead_letter, asked, status="open")
    behind = {} if taken_back_by is None else _by_service(find.rows(taken_back_by, asked))
    reports = [
        _settled(one, "discard", {"why": why, "taken_back_by": behind.get(one.operations.service)})
        for one in found
    ]
    _show_settled(
        reports,
        lambda done: f"waits for another operator until {minutes(done['until'])}",
        json=json,
        several=service == ALL,
    )


def approve(
    service: Services,
    dead_letter: DeadLetterId,
    why: Why,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Approve a discard that another operator requested. The item never has an effect.

    The row stays, with both operators and the reason. With `all` and TOPIC/PARTITION/OFFSET, approve it in every
    service where it is requested.
    """
    found = find.rows(dead_letter, find.services(service, url, token), status="open")
    reports = [_settled(one, "discard/approve", {"why": why}) for one in found]
    _show_settled(reports, lambda done: f"is {done['status']}", json=json, several=service == ALL)


def _by_service(found: Sequence[find.Found]) -> dict[str, str]:
    return {one.operations.service: str(one.row["id"]) for one in found}


def _settled(one: find.Found, act: str, body: dict[str, Any]) -> dict[str, Any]:
    named = {"service": one.operations.service, "id": one.row["id"]}
    return {**named, **one.operations.post(f"{one.path}/{act}", body)}


def _show_settled(
    reports: Sequence[dict[str, Any]],
    text: Callable[[Mapping[str, Any]], str],
    *,
    json: bool,
    several: bool,
) -> None:
    if json:
        as_json(reports if several else reports[0])
        return
    for done in reports:
        typer.echo(f"{done['service']}: {done['id']} {text(done)}.")


def waiting(service: ServiceName, url: Url = None, token: Token = None, json: Json = False) -> None:
    """List the discards that wait for another operator's approval, with owner and deadline."""
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
