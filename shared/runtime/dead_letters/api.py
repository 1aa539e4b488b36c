"""Routes for dead letters: operators list, show, preview, redrive and discard them, and resume a consumer.

Operators see ids, codes, numbers, times and places in the code, and never the content of an event. Every change needs a
reason code; the audit records it with the operator's id.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Path, Query
from pydantic import Field

from shared.contracts.codes import UUID_PATTERN
from shared.errors import Forbidden, Invalid, Refused, Unknown
from shared.runtime.core.dead_letter import OPEN, REASONS, STATUSES, DeadLetter
from shared.runtime.core.original import MessageOriginal
from shared.runtime.dead_letters import views
from shared.runtime.dead_letters.audit import Audit, Who
from shared.runtime.dead_letters.discards import Discards
from shared.runtime.dead_letters.redrive import Redriver
from shared.runtime.dead_letters.store import DeadLetters
from shared.runtime.dead_letters.streams import Streams
from shared.runtime.dead_letters.view import view_of
from shared.runtime.http.call import Body, Call
from shared.runtime.http.operators import OPERATING, OPERATOR, operates, own_rows
from shared.runtime.http.paging import After, Limit
from shared.runtime.http.shown import shows

router = APIRouter(tags=["operations"])

REDRIVE_ROWS_MAX: Final = 1_000

Operator = Annotated[Call, OPERATOR]
"""Of a facility: sees and changes the rows of its records."""
Operating = Annotated[Call, OPERATING]
"""Of the organisation that runs the service: also the rows that are no facility's, and the service itself."""
DeadLetterId = Annotated[str, Path(pattern=UUID_PATTERN, description="The `id` of a dead letter.")]
Why = Annotated[
    str, Field(pattern="^[a-z0-9-]{3,60}$", description="A reason code, not free text.")
]
Begins = Annotated[
    str | None, Query(pattern="^[0-9a-f-]{4,36}$", description="What the id begins with.")
]
Position = Annotated[
    str | None,
    Query(
        pattern="^[a-z.]{1,100}/[0-9]{1,4}/[0-9]{1,15}$",
        description="Where the message lay, as `topic/partition/offset`: the same in every service.",
    ),
]
ANY: Final = "any"
Fingerprint = Annotated[str | None, Query(pattern="^[0-9a-f]{16}$")]
Subject = Annotated[
    str | None,
    Query(pattern="^[a-z]+/[0-9a-f-]{4,36}$", description="A record, or what its id begins with."),
]
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
    @property
    def discards(self) -> Discards: ...
    @property
    def streams(self) -> Streams: ...

    def ensure_operable(self) -> None:
        """Raises `Unavailable` when dead letters can't be worked on."""
        ...


class Reason(Body):
    """A change that only needs a reason."""

    why: Why


class RequestDiscard(Reason):
    """The reason, and the event right behind it that takes it back, when there is one: both are discarded."""

    taken_back_by: str | None = Field(default=None, pattern=UUID_PATTERN)


class Redrive(Body):
    """Which streams to redrive: those of one fingerprint, one subject, one dead letter, or all."""

    why: Why
    fingerprint: str | None = Field(default=None, pattern="^[0-9a-f]{16}$")
    subject: str | None = Field(default=None, pattern="^[a-z]+/[0-9a-f-]{36}$")
    id: str | None = Field(default=None, pattern=UUID_PATTERN)
    """The stream of this dead letter, from its head up to this one."""
    everything: bool = False
    limit: int = Field(default=REDRIVE_ROWS_MAX, ge=1, le=REDRIVE_ROWS_MAX)
    """The most dead letters that one call redrives."""


class Preview(Body):
    """How far to preview."""

    behind: bool = False


class StreamAt(Body):
    """A stream of a record, as dead letters name it, and the last number of it that was right."""

    subject: str = Field(pattern="^[a-z]+/[0-9a-f-]{36}$")
    stream: str = Field(pattern=r"^[a-z]{1,40}(\|[a-z]+/[0-9a-f-]{36})?(@[0-9]{1,18})?$")
    number: int = Field(ge=0, lt=2**63)


class SetBack(StreamAt):
    """The same, with the reason for doing it."""

    why: Why


class Resume(Body):
    """End the halt of a consumer."""

    why: Why
    accept: str | None = Field(default=None, pattern="^history-removed$")
    """`history-removed`: accept the loss of what retention has removed."""


@router.get("/ops/dead-letters")
@shows(views.GroupsView)
async def groups(call: Operator) -> dict[str, Any]:
    """Open dead letters by fingerprint: like failures together, the largest group first."""
    found = await _replica(call).dead_letters.groups(own_rows(call))
    return {
        "service": call.runtime.service.name,
        "open": sum(group.count for group in found),
        "halted": _replica(call).consumer.halted,
        "groups": [group.view() | {"means": REASONS.get(group.reason, "")} for group in found],
    }


@router.get("/ops/dead-letters/rows")
@shows(views.RowsView)
async def rows(
    call: Operator,
    fingerprint: Fingerprint = None,
    subject: Subject = None,
    reason: Code = None,
    status: Code = OPEN,
    id: Begins = None,  # noqa: A002 - the name of the field
    position: Position = None,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """Dead letters without their content. Pass `next`, when the answer has it, as `after` for the next page."""
    if status not in (*STATUSES, ANY):
        raise Invalid(
            "status-unknown",
            "There is no such status of a dead letter.",
            hint=f"State one of: {', '.join((*STATUSES, ANY))}.",
        )
    wanted = {
        "_id": position,  # that of a message is where it lay
        "fingerprint": fingerprint,
        "reason": reason,
        "status": None if status == ANY else status,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    named = {"id": id, "subject": subject}
    begins = {name: text for name, text in named.items() if text is not None}
    page = await _replica(call).dead_letters.page(
        given | own_rows(call), after, limit, begins=begins
    )
    return {"rows": [view_of(dead_letter) for dead_letter in page.rows], **page.next_field}


@router.get("/ops/dead-letters/audit")
@shows(views.OperatorEntries)
async def audit(call: Operator, limit: Limit = 100) -> dict[str, Any]:
    """What was done here by operators of the caller's facility, and to its rows; who and why, the latest first.

    The operating organisation sees all of it.
    """
    facility_id = own_rows(call).get("facility_id")
    found = await Audit(_replica(call).dead_letters).seen_by(facility_id, limit)
    return {"audit": [{"id": entry.pop("_id"), **entry} for entry in found]}


@router.get("/ops/dead-letters/discards")
@shows(views.DiscardsView)
async def pending_discards(call: Operator) -> dict[str, Any]:
    """What waits for a second operator's approval: whose it is, until when, and whether it is late."""
    found = await _replica(call).discards.pending(
        own_rows(call), call.runtime.settings.operating_facility
    )
    return {"discards": found}


@router.post("/ops/dead-letters/redrive")
@shows(views.RedriveView)
async def redrive(call: Operator, body: Redrive) -> dict[str, Any]:
    """Run the present rules on dead letters, in order per stream, in steps of 1, 10, 100; stop at the first failure.

    A repeated call goes on where the last one stopped. `stopped` says why it ended: `done`, `failed`, `limit`, or
    `other-facility` at a row of the stream that is not the caller's.
    """
    named = [name for name in ("fingerprint", "subject", "id") if getattr(body, name) is not None]
    if len(named) + body.everything != 1:
        raise Invalid(
            "redrive-what",
            "The request must name exactly one thing to redrive.",
            hint="Name a fingerprint, a subject, a dead letter, or everything.",
        )
    wanted = {name: getattr(body, name) for name in named if name != "id"}
    if body.id is not None:
        dead_letter = await _found(call, body.id)
        if not dead_letter.redrivable:
            raise Refused(
                "not-redrivable", "This dead letter has no place in a stream.", hint="Discard it."
            )
        wanted = {"subject": dead_letter.subject, "stream": dead_letter.stream}
    progress = await _redriver(call).redrive(
        wanted | own_rows(call), _who(call, body.why), limit=body.limit, upto=body.id
    )
    left = await _replica(call).dead_letters.groups(own_rows(call))
    return progress.view() | {"open": sum(group.count for group in left)}


@router.get("/ops/dead-letters/{dead_letter_id}")
@shows(views.Row, views.Means, views.RowDetails)
async def one(call: Operator, dead_letter_id: DeadLetterId) -> dict[str, Any]:
    """One dead letter: where it came from, what is known of it, and how many wait behind it."""
    dead_letter = await _found(call, dead_letter_id)
    original = dead_letter.original
    message = original if isinstance(original, MessageOriginal) else None
    length = 0 if message is None else len(message.data or b"")
    if message is not None and message.digest is not None:
        length = message.digest.length
    return view_of(dead_letter) | {
        "means": REASONS.get(dead_letter.reason, ""),
        "behind": await _replica(call).dead_letters.count_behind(dead_letter),
        "bytes": length,
    }


@router.post("/ops/dead-letters/{dead_letter_id}/preview")
@shows(views.PreviewView)
async def preview(call: Operator, dead_letter_id: DeadLetterId, body: Preview) -> dict[str, Any]:
    """What the present rules would do with this dead letter and those before it in its stream. Writes nothing."""
    await _found(call, dead_letter_id)
    steps = await _redriver(call).preview(dead_letter_id, behind=body.behind)
    return {"steps": steps, "now": call.runtime.clock.now().isoformat()}


@router.post("/ops/dead-letters/{dead_letter_id}/discard")
@shows(views.RequestedView)
async def request_discard(
    call: Operator, dead_letter_id: DeadLetterId, body: RequestDiscard
) -> dict[str, Any]:
    """Request that this dead letter have no effect. Another operator approves it within 24 hours, or it expires."""
    await _found(call, dead_letter_id)
    if body.taken_back_by is not None:
        await _found(call, body.taken_back_by)
    who = _who(call, body.why)
    return await _discards(call).request(dead_letter_id, who, body.taken_back_by)


@router.post("/ops/dead-letters/{dead_letter_id}/discard/approve")
@shows(views.Discarded, views.DiscardedWith)
async def approve_discard(
    call: Operator, dead_letter_id: DeadLetterId, body: Reason
) -> dict[str, Any]:
    """Discard what another operator has requested. Its stream goes on behind it."""
    await _found(call, dead_letter_id)
    return await _discards(call).approve(dead_letter_id, _who(call, body.why))


@router.post("/ops/streams/preview")
@shows(views.StreamView)
async def preview_stream(call: Operating, body: StreamAt) -> dict[str, Any]:
    """What setting a stream back would do: which numbers count as discarded, and what is lined up. Writes nothing."""
    return await _streams(call).preview((body.subject, body.stream), body.number)


@router.post("/ops/streams/set-back")
@shows(views.StreamView)
async def set_back_stream(call: Operating, body: SetBack) -> dict[str, Any]:
    """Take a number for the last one that was applied rightly, after a foreign event had a number of this stream.

    What was applied after it counts as discarded, and what was missed meanwhile waits in the stream for a redrive.
    """
    who = _who(call, body.why)
    return await _streams(call).set_back((body.subject, body.stream), body.number, who)


@router.post("/ops/consumer/resume")
@shows(views.ResumedView)
async def resume(call: Operating, body: Resume) -> dict[str, Any]:
    """End the halt of this replica's consumer."""
    was = await _replica(call).consumer.resume(body.accept)
    await _replica(call).redriver.audit_resume(_who(call, body.why), was)
    return {"resumed": was is not None, "was": was}


async def _found(call: Call, dead_letter_id: str) -> DeadLetter:
    dead_letter = await _replica(call).dead_letters.get(dead_letter_id)
    if dead_letter is None:
        raise Unknown("dead-letter")
    if not _who(call, "").may_act_on(dead_letter.facility_id):
        raise Forbidden(
            "other-facility",
            "This dead letter does not belong to a record of your facility.",
            hint="Ask an operator of its facility, or of the operating organisation.",
        )
    return dead_letter


def _replica(call: Call) -> OperatedReplica:
    call.trail.touched = True  # a dead letter names a record
    return call.request.app.state.runtime


def _redriver(call: Call) -> Redriver:
    replica = _replica(call)
    replica.ensure_operable()
    return replica.redriver


def _discards(call: Call) -> Discards:
    replica = _replica(call)
    replica.ensure_operable()
    return replica.discards


def _streams(call: Call) -> Streams:
    replica = _replica(call)
    replica.ensure_operable()
    return replica.streams


def _who(call: Call, why: str) -> Who:
    return Who(call.actor.id, why, call.actor.facility_id, operates=operates(call))
