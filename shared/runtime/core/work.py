"""One piece of work on one record, and its outcome: the input and the output of the fold in `record.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from shared import inbox
from shared.decision import SYSTEM, Cause, Decision, State
from shared.errors import CareError
from shared.runtime.core.original import Original

SEQUENCE_MAX: Final = 2**63 - 1

Decide = Callable[[State, Cause], Decision[State]]


@dataclass(slots=True)
class StreamPosition:
    """One item's place in a stream: the ordered items of one sender for one record, each applied exactly once."""

    name: str
    sequence: int
    id: str
    sequence_max: int = SEQUENCE_MAX
    """The highest number that an item at this place of its topic can have."""
    window: int = inbox.WINDOW
    """How many items of this stream the inbox remembers with their ids."""


@dataclass(frozen=True, slots=True)
class CommandKey:
    """What identifies a repeated command, and the revision that the caller requires (If-Match), if any."""

    key: str
    body_hash: str
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class RedriveOptions:
    """Set on work that an operator redrives from the dead letters: it may pass the block on its own stream.

    With `discard`, no rule runs: the inbox remembers the item as discarded, or the named deadline is disarmed.
    """

    discard: bool = False
    deadline: str = ""


class DecidedOn(Protocol):
    """As much of a record as an original is made of."""

    subject: str
    version: int

    @property
    def next_deadline(self) -> str | None:
        """The name of the deadline that comes next."""
        ...


# Not frozen: one is made for every event, and freezing doubles what that costs.
@dataclass(slots=True, kw_only=True)
class Work:
    """One thing to decide on one record: an event, a command, an item handed off, or the deadlines due."""

    subject: str
    cause_id: str
    correlation_id: str
    facility_id: str
    now: datetime
    name: str = ""
    """For traces: an event's type, or the class of an item handed off; empty for commands and deadlines."""
    decide: Decide | None = None
    """None: run the deadlines that are due at `now`."""
    actor_id: str = SYSTEM
    actor_role: str = SYSTEM
    stream: StreamPosition | None = None
    command: CommandKey | None = None
    traceparent: str | None = None
    original: Callable[[DecidedOn], Original] | None = None
    """Makes the original that a dead letter stores, should this work block its stream. None: it gets no dead letter."""
    unreadable: str | None = None
    """A reason code when the item's identity is valid but its content is not."""
    field: str | None = None
    """With `unreadable`: the place in the content that is wrong, in the schema's words."""
    redrive_options: RedriveOptions | None = None
    audit: Mapping[str, Any] | None = None
    """For a command: the entry of the audit as far as the request knows it; see `shared.runtime.core.audit`."""


class OutcomeStatus(StrEnum):
    """How one piece of work ended. The values are labels of the metric `care_work_total`."""

    APPLIED = "applied"
    """The rule decided; the record holds the result."""
    DUPLICATE = "duplicate"
    """The inbox had it already; nothing changed."""
    REPLAYED = "replayed"
    """A command with a known idempotency key; it got its first answer again."""
    REFUSED = "refused"
    """A command that the rule refused, or work that has to wait; nothing changed."""
    BLOCKED = "blocked"
    """It could not be applied: its stream stops at this record until an operator acts."""
    CONFLICTING = "conflicting"
    """Its number was applied before with another id: two histories of one stream. The stream stops."""
    MISSED = "missed"
    """It comes too late: later items were applied, and it never was. It does not stop its stream."""
    DISCARDED = "discarded"
    """An operator gave it no effect, so that its stream goes on."""

    def __init__(self, value: str) -> None:
        self.is_failure: Final = value in ("blocked", "conflicting", "missed")
        """The item becomes a dead letter. An attribute, not a property: it is read for every event."""


@dataclass(slots=True)
class Outcome:
    """The result of one piece of work."""

    status: OutcomeStatus
    error: CareError | None = None
    reason: str | None = None
    exception: str | None = None
    where: str | None = None
    field: str | None = None
    answer: Mapping[str, Any] = made_by(default_factory=dict[str, Any])
    revision: int = 0
    sequence: int = 0


DUPLICATE: Final = Outcome(OutcomeStatus.DUPLICATE)
