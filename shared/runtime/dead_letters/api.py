"""What operators do about dead letters over HTTP: look, preview, redrive, discard, correct, and let a consumer go on.

Operators see ids, codes, numbers, times and places in the code; never what an event says about a person. Every change
takes a reason code, and is written down with who asked for it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Path, Query
from pydantic import Field

from shared.contracts.codes import UUID_PATTERN
from shared.errors import Invalid, Refused, Unknown
from shared.runtime.core.dead_letter import OPEN, REASONS, STATUSES
from shared.runtime.dead_letters.redrive import Redriver, Who, row_view
from shared.runtime.dead_letters.store import DeadLetters
from shared.runtime.http.call import Body, Call, require_roles
from shared.runtime.http.paging import After, Limit

router = APIRouter(tags=["operations"])

OPERATOR: Final = require_roles("operator")
REDRIVE_ROWS_MAX: Final = 1_000

Operator = Annotated[Call, OPERATOR]
DeadLetterId = Annotated[str, Path(pattern=UUID_PATTERN, description="The `id` of a row.")]
Why = Annotated[str, Field(pattern="^[a-z0-9-]{3,60}$", description="A reason code: no words.")]
Fingerprint = Annotated[str | None, Query(pattern="^[0-9a-f]{16}$")]
Subject = Annotated[str | None, Query(pattern="^[a-z]+/[0-9a-f-]{36}$")]
Code = Annotated[str | None, Query(pattern="^[a-z-]{3,40}$")]


class Halting(Protocol):
    """The consumer: whether it has halted, and how it goes on."""

    @property
    def halted(self) -> str | None: ...

    async def resume(self, accept: str | None = None) -> str | None:
        """Go on; returns why it had halted, None when it had not."""
        ...


class OperatedReplica(Protocol):
    """One replica, as those who work on its dead letters see it."""

    @property
    def consumer(self) -> Halting: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def redriver(self) -> Redriver: ...

    def ensure_operable(self) -> None:
        """Raises `Unavailable` when dead letters can't be worked on."""
        ...


class Reason(Body):
    """A change that only needs a reason."""

    why: Why


class Redrive(Body):
    """Which lines to redrive: those of one fingerprint, one subject, one row, or all."""

    why: Why
    fingerprint: str | None = Field(default=None, pattern="^[0-9a-f]{16}$")
    subject: str | None = Field(default=None, pattern="^[a-z]+/[0-9a-f-]{36}$")
    id: str | None = Field(default=None, pattern=UUID_PATTERN)
    """The line of this row, from its head up to this row."""
    everything: bool = False
    limit: int = Field(default=REDRIVE_ROWS_MAX, ge=1, le=REDRIVE_ROWS_MAX)
    """The most rows that one call takes."""


class Preview(Body):
    """How far to look, and with which data instead of the row's own."""

    behind: bool = False
    data: dict[str, Any] | None = None


class Edit(Body):
    """Corrected data; the original is kept beside it."""

    why: Why
    data: dict[str, Any]


class Resume(Body):
    """Let a halted consumer go on."""

    why: Why
    accept: str | None = Field(default=None, pattern="^history-removed$")
    """`history-removed`: what retention has taken away is given up."""


@router.get("/ops/dead-letters")
async def groups(call: Operator) -> dict[str, Any]:
    """Open dead letters by fingerprint: like failures together, the largest group first."""
    found = await _replica(call).dead_letters.groups()
    return {
        "service": call.runtime.service.name,
        "open": sum(group["count"] for group in found),
        "halted": _replica(call).consumer.halted,
        "groups": [group | {"means": REASONS.get(group["reason"], "")} for group in found],
    }


@router.get("/ops/dead-letters/rows")
async def rows(
    call: Operator,
    fingerprint: Fingerprint = None,
    subject: Subject = None,
    reason: Code = None,
    status: Code = OPEN,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """Rows, without their content. `next`, when it is there, is `after` for the page that follows."""
    if status not in STATUSES:
        raise Invalid("status-unknown", f"A status is one of: {', '.join(STATUSES)}.")
    wanted = {"fingerprint": fingerprint, "subject": subject, "reason": reason, "status": status}
    given = {name: value for name, value in wanted.items() if value is not None}
    page = await _replica(call).dead_letters.page(given, after, limit)
    return {"rows": [row_view(row) for row in page.rows], **page.next_field}


@router.get("/ops/dead-letters/audit")
async def audit(call: Operator, limit: Limit = 100) -> dict[str, Any]:
    """The latest of what was done here, by whom and why, the latest first."""
    found = await _replica(call).dead_letters.written_down(limit)
    return {"audit": [{"id": entry.pop("_id"), **entry} for entry in found]}


@router.post("/ops/dead-letters/redrive")
async def redrive(call: Operator, body: Redrive) -> dict[str, Any]:
    """Put rows through the present rules, in order per line, in steps of 1, 10, 100; stops at the first failure.

    Called again, it goes on where it stopped. `stopped` says why it ended: `done`, `failed` or `limit`.
    """
    named = [name for name in ("fingerprint", "subject", "id") if getattr(body, name) is not None]
    if len(named) + body.everything != 1:
        raise Invalid("redrive-what", "Name a fingerprint, a subject, a row, or everything.")
    wanted = {name: getattr(body, name) for name in named if name != "id"}
    if body.id is not None:
        row = await _replica(call).dead_letters.one(body.id)
        if row is None:
            raise Unknown("dead-letter")
        if not row["redrivable"]:
            raise Refused("not-redrivable", "It can't be put in order.", hint="Discard it.")
        wanted = {"subject": row["subject"], "stream": row["stream"]}
    progress = await _redriver(call).redrive(
        wanted, _who(call, body.why), limit=body.limit, upto=body.id
    )
    left = await _replica(call).dead_letters.groups()
    return progress.view() | {"open": sum(group["count"] for group in left)}


@router.get("/ops/dead-letters/{dead_letter_id}")
async def one(call: Operator, dead_letter_id: DeadLetterId) -> dict[str, Any]:
    """One row: where it lay, what is known of it, and how many wait behind it."""
    row = await _replica(call).dead_letters.one(dead_letter_id)
    if row is None:
        raise Unknown("dead-letter")
    size = 0 if row.get("data") is None else len(row["data"])
    means = REASONS.get(row["reason"], "")
    return row_view(row) | {
        "means": means,
        "behind": await _replica(call).dead_letters.behind(row),
        "bytes": size,
    }


@router.post("/ops/dead-letters/{dead_letter_id}/preview")
async def preview(call: Operator, dead_letter_id: DeadLetterId, body: Preview) -> dict[str, Any]:
    """What the present code would do with this row and those before it in its line. Writes nothing."""
    data = None if body.data is None else _data(body.data)
    steps = await _redriver(call).preview(dead_letter_id, data, behind=body.behind)
    return {"steps": steps, "now": call.runtime.clock.now().isoformat()}


@router.post("/ops/dead-letters/{dead_letter_id}/discard")
async def discard(call: Operator, dead_letter_id: DeadLetterId, body: Reason) -> dict[str, Any]:
    """Decide that this row shall have no effect. Its line goes on behind it."""
    return await _redriver(call).discard(dead_letter_id, _who(call, body.why))


@router.post("/ops/dead-letters/{dead_letter_id}/edit")
async def edit(call: Operator, dead_letter_id: DeadLetterId, body: Edit) -> dict[str, Any]:
    """Keep corrected data beside the original. The next redrive takes it."""
    return await _redriver(call).edit(dead_letter_id, _data(body.data), _who(call, body.why))


@router.post("/ops/consumer/resume")
async def resume(call: Operator, body: Resume) -> dict[str, Any]:
    """Let this replica's consumer go on after it has halted."""
    was = await _replica(call).consumer.resume(body.accept)
    await _replica(call).redriver.note_resume(_who(call, body.why), was)
    return {"resumed": was is not None, "was": was}


def _replica(call: Call) -> OperatedReplica:
    return call.request.app.state.runtime


def _redriver(call: Call) -> Redriver:
    replica = _replica(call)
    replica.ensure_operable()
    return replica.redriver


def _who(call: Call, why: str) -> Who:
    return Who(call.actor.id, why)


def _data(data: dict[str, Any]) -> bytes:
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise Invalid("data-invalid", "The corrected data is no JSON.") from None
