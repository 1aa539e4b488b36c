"""What the routes answer that every service has: loops, programs, progress, readiness, and the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.contracts.terms import ProgramTerms
from shared.programs.profile import ProgramProfile
from shared.runtime.http.shown import Paged, PagedNow, with_words


class Alive(TypedDict):
    """The process runs."""

    status: Literal["alive"]


@with_words
class Ready(TypedDict):
    """Whether a replica takes commands and consumes events."""

    status: Literal["ready", "waiting"]
    """`ready`, or `waiting` for what `reasons` name."""
    reasons: list[str]
    """Why it is not ready, as codes; empty when it is."""
    warnings: list[str]
    """What operators should look at although work goes on, as codes."""
    rights_missing: list[str]
    """What Kafka does not let the service do, such as `read topic care.intake`."""


class SetAsideRecord(TypedDict):
    """A record that a replica leaves out of its work."""

    subject: str
    reason: str


@with_words
class SetAsideView(TypedDict):
    """All of them."""

    records: list[SetAsideRecord]
    """The records that are left out."""
    means: dict[str, str]
    """What each reason means."""


@with_words
class FlowView(TypedDict):
    """How far a replica has come."""

    service: str
    """The service's name."""
    ready: bool
    """Whether the replica is ready."""
    now: datetime | None
    """The domain time; null while a stepped clock was not set yet."""
    busy: bool
    """Whether a batch, a command, an outbox or a handoff is in hand."""
    topics: list[str]
    """What it consumes."""
    positions: dict[str, int]
    """By partition, as `topic/number`: the offset of the next record."""
    deadlines_ran_until: datetime | None
    """Until when its deadlines have run; null before the first time."""
    next_due: NotRequired[datetime | None]
    """The service's earliest deadline up to `due_until`; left out without that, and while the replica is busy."""


@with_words
class ClockView(TypedDict):
    """The domain time that was set."""

    now: datetime
    """The domain time."""


# --- loops and tasks --------------------------------------------------------------------------------------


@with_words
class Owner(TypedDict):
    """Who has to close a loop."""

    role: str
    """The role that owns the loop now."""
    staff_id: str | None
    """Who has this role on the care team; null when nobody has."""
    acting_id: str | None
    """Who acts for them, or they themselves; null when nobody in person does, so that it is the role's."""


@with_words
class LoopView(TypedDict):
    """One open loop: its owner, its deadline, its age, and how far it was escalated."""

    kind: str
    """What somebody has to do."""
    id: str
    """The loop's id."""
    subject: str
    owner: Owner
    """Who has to do it."""
    opened_at: datetime
    deadline_at: datetime
    age_seconds: int
    """For how long it has been open."""
    overdue: bool
    """Whether it was escalated, or its deadline has passed."""
    step: int
    """How many deadlines were missed."""
    next_owner_role: str | None
    """Who owns it after the next missed deadline; null when nobody comes after the present owner."""
    session_ids: NotRequired[list[str]]
    """Of a double booking: the two sessions."""
    episode_id: NotRequired[str]
    staff_id: NotRequired[str]


@with_words
class LoopsView(PagedNow):
    """A page of loops."""

    loops: list[LoopView]
    """The open loops, the most urgent person first."""


@with_words
class TasksView(TypedDict):
    """What someone has to do now."""

    staff_id: str | None
    role: str | None
    tasks: list[LoopView]
    """The loops, the most urgent first."""
    now: datetime


# --- programs ---------------------------------------------------------------------------------------------


@with_words
class ProgramsView(TypedDict):
    """All programs of a facility."""

    programs: list[ProgramProfile]
    """Each program as it holds today."""


@with_words
class TermsView(TypedDict):
    """What an admission is pinned to."""

    terms: ProgramTerms
    """The terms that an admission of today would be pinned to."""


# --- audit ------------------------------------------------------------------------------------------------


@with_words
class AuditEntry(TypedDict):
    """Who did what to which records, when, and the outcome."""

    id: str
    """The entry's id."""
    kind: str
    """`command`, `read`, `refusal`, or `anonymous`: how many unknown callers were refused."""
    at: datetime
    outcome: str
    """How it ended, as a code."""
    facilities: list[str]
    """Whose records it concerns; `*` stands for every facility's."""
    subjects: list[str]
    """The records, as `kind/id`."""
    chained: bool
    """Whether a link of a chain holds its digest, so that a change would be seen."""
    request_id: NotRequired[str]
    """The request, as its answer named it in `X-Request-Id`."""
    actor_id: NotRequired[str]
    role: NotRequired[str]
    what: NotRequired[str]
    """The route's template, or what an operator did."""
    purpose: NotRequired[str]
    number: NotRequired[int]
    """The number of the entry among those of its record."""
    cause_id: NotRequired[str]
    """The command, as its events name it."""
    revision: NotRequired[int]
    counts: NotRequired[dict[str, int]]
    """How many were refused, by code."""


@with_words
class AuditView(Paged):
    """A page of the audit."""

    entries: list[AuditEntry]
    """The entries, the latest first."""


@with_words
class BreakView(TypedDict):
    """Where a chain is not what it was."""

    chain: str
    """The chain."""
    link: int
    """The number of the link in its chain."""
    what: str
    """What is wrong, as a code."""
    entry: str
    """The entry at fault; empty when it is the link itself."""


@with_words
class ChainsView(TypedDict):
    """What checking all chains found."""

    chains: int
    """How many chains there are."""
    links: int
    """How many links they have."""
    entries: int
    """How many entries the links hold."""
    unchained: int
    """How many entries no link holds yet."""
    breaks: list[BreakView]
    """Where something is not what it was; empty when all is well."""
