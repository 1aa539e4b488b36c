"""The values of a dead letter that operators may see: ids, codes, numbers, times and places in the code. No content."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shared.runtime.core.dead_letter import DeadLetter
from shared.runtime.core.original import HandoffOriginal, MessageOriginal, PublicationOriginal


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """The open dead letters of one fingerprint: like failures together."""

    fingerprint: str
    reason: str
    type: str | None
    exception: str | None
    where: str | None
    field: str | None
    kind: str
    redrivable: bool
    count: int
    streams: int
    """How many streams they block."""
    attempts: int
    """The most attempts that any of them has had."""
    first_seen: datetime
    last_seen: datetime

    def view(self) -> dict[str, Any]:
        return asdict(self)


def view_of(dead_letter: DeadLetter) -> dict[str, Any]:
    """One dead letter without its content; fields that do not apply to it are left out."""
    original, closed = dead_letter.original, dead_letter.closed
    message = original if isinstance(original, MessageOriginal) else None
    published = isinstance(original, MessageOriginal | PublicationOriginal)
    handoff = original if isinstance(original, HandoffOriginal) else None
    return _present(
        {
            "id": dead_letter.id,
            "kind": dead_letter.kind,
            "status": dead_letter.status,
            "subject": dead_letter.subject,
            "facility_id": dead_letter.facility_id or None,
            "stream": dead_letter.stream,
            "missed_in": dead_letter.missed_in,
            "sequence": dead_letter.sequence,
            "type": dead_letter.type,
            "event_id": original.event_id if published else None,
            "from_subject": None if handoff is None else handoff.from_subject,
            "reason": dead_letter.reason,
            "exception": dead_letter.exception,
            "where": dead_letter.where,
            "field": dead_letter.field,
            "fingerprint": dead_letter.fingerprint,
            "attempts": dead_letter.attempts,
            "redrivable": dead_letter.redrivable,
            "position": None if message is None else asdict(message.position),
            "digest": None if message is None or message.digest is None else asdict(message.digest),
            "first_seen": dead_letter.first_seen,
            "last_seen": dead_letter.last_seen,
            "discard": None
            if dead_letter.discard is None
            else _present(asdict(dead_letter.discard)),
            "closed": None if closed is None else asdict(closed),
        }
    )


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
