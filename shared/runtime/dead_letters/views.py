"""What the routes for dead letters and streams answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from shared.runtime.core.dead_letter import Closed
from shared.runtime.core.original import Digest, Position
from shared.runtime.dead_letters.view import DeadLetterGroup
from shared.runtime.http.shown import Paged, Together, with_words


@with_words
class Requested(TypedDict):
    """A request to discard a dead letter."""

    at: datetime
    by: str
    """The operator who requested it."""
    why: str
    """Why, as a code."""
    until: datetime
    """Until when another operator may approve it."""
    taken_back_by: NotRequired[str]
    """The dead letter right behind it that takes it back, and is discarded with it."""


@with_words
class Row(TypedDict):
    """A dead letter without its content; what does not apply to it is left out."""

    id: str
    """The dead letter's id."""
    kind: str
    """`event`, `handoff`, `deadline` or `publication`."""
    status: str
    """`open`, or as what it was closed."""
    subject: NotRequired[str]
    """The record that the item is for; left out when its envelope could not be read."""
    facility_id: NotRequired[str]
    stream: NotRequired[str]
    """The blocked stream at that record."""
    missed_in: NotRequired[str]
    """The stream in which it was missed."""
    sequence: NotRequired[int]
    """The item's number in its stream; 0 for a deadline."""
    type: NotRequired[str]
    """The event type, the class of the handoff, or the deadline."""
    event_id: NotRequired[str]
    from_subject: NotRequired[str]
    """The record that left the handoff."""
    reason: str
    """Why it is here, as a code."""
    exception: NotRequired[str]
    """The type of the rule's error, or its code."""
    where: NotRequired[str]
    """The places in the code that the error came through."""
    field: NotRequired[str]
    """The place in the data, or the header, that is not as its schema says."""
    fingerprint: str
    """The same for like failures."""
    attempts: int
    """How often a rule has failed on it; 0 while it only waits behind another."""
    redrivable: bool
    """Whether the present rules can be run on it."""
    position: NotRequired[Position]
    """Where the message lies on Kafka."""
    digest: NotRequired[Digest]
    """Of the whole data, when only its beginning is kept."""
    first_seen: datetime
    last_seen: datetime
    discard: NotRequired[Requested]
    """That it be discarded was requested: the latest request."""
    closed: NotRequired[Closed]
    """Who closed it, when and why."""


@with_words
class Means(TypedDict):
    """The words of a reason."""

    means: str
    """What the reason means; empty for one that is not known any more."""


@with_words
class GroupsView(TypedDict):
    """Like failures together."""

    service: str
    """The service's name."""
    open: int
    """How many dead letters are open."""
    halted: str | None
    """Why the consumer has halted, as a code; null when it has not."""
    groups: list[Annotated[dict[str, Any], Together(DeadLetterGroup, Means)]]
    """The largest group first."""


@with_words
class RowsView(Paged):
    """A page of dead letters."""

    rows: list[Row]
    """The dead letters."""


@with_words
class OperatorEntry(TypedDict):
    """What an operator did."""

    id: str
    """The entry's id."""
    at: datetime
    actor_id: str
    facility_id: str
    facilities: list[str]
    """The facilities whose dead letters it was about."""
    why: str
    """Why, as a code."""
    action: str
    """What was done, as a code."""
    ended_at: NotRequired[datetime]
    """When it ended; left out when it was interrupted, or is under way."""
    result: NotRequired[dict[str, Any]]
    """What came of it."""
    dead_letter: NotRequired[str]
    """The dead letter."""
    subject: NotRequired[str]
    stream: NotRequired[str]
    """The stream of the record."""
    number: NotRequired[int]
    """The number that the stream was set back to."""
    wanted: NotRequired[dict[str, Any]]
    """What was to be redriven."""
    upto: NotRequired[str | None]
    """The dead letter up to which its stream was to be redriven; null for all of it."""


@with_words
class OperatorEntries(TypedDict):
    """The latest entries."""

    audit: list[OperatorEntry]
    """What operators did, the latest first."""


@with_words
class DiscardOwner(TypedDict):
    """Who approves a discard."""

    role: str
    facility_id: str
    """The facility whose operators decide."""


@with_words
class Pending(TypedDict):
    """What a request waits for."""

    owner: DiscardOwner
    """Who decides on it."""
    deadline_at: datetime
    overdue: bool
    """Whether the deadline has passed."""


@with_words
class DiscardsView(TypedDict):
    """What waits for a second operator."""

    discards: list[Annotated[dict[str, Any], Together(Row, Pending)]]
    """The requests, the earliest deadline first."""


@with_words
class RedriveView(TypedDict):
    """What a redrive did, and why it ended."""

    redriven: int
    """How many were applied."""
    already_applied: int
    """How many had been applied before."""
    not_wanted: int
    """How many nothing here reacts to any more."""
    steps: list[int]
    """How many each step closed."""
    stopped: str
    """`done`, `failed`, `limit`, or `other-facility`."""
    failed: NotRequired[Row]
    """The dead letter that failed again."""
    open: int
    """How many dead letters are open now."""


@with_words
class RowDetails(TypedDict):
    """What is known of one dead letter beside its row."""

    behind: int
    """How many wait behind it."""
    bytes: int
    """The length of its data."""


class ForeseenEvent(TypedDict):
    """An event that would be published."""

    type: str
    sequence: int
    id: str


class ForeseenHandoff(TypedDict):
    """A handoff that would be left."""

    type: str
    subject: str


@with_words
class Step(TypedDict):
    """What would become of one dead letter."""

    outcome: str
    """What the rule would do, as a code."""
    reason: str | None
    """Why it would fail; null when it would not."""
    exception: str | None
    """The type of the error, or its code; null when there would be none."""
    where: str | None
    """The places in the code that it would come through; null when there would be none."""
    field: str | None
    """The place in the data that is not as its schema says; null when all is."""
    changed: list[str]
    """The places of the state that would change."""
    events: list[ForeseenEvent]
    """What would be published."""
    handoffs: list[ForeseenHandoff]
    """What would be left for other records."""


@with_words
class PreviewView(TypedDict):
    """What a redrive would do."""

    steps: list[Annotated[dict[str, Any], Together(Row, Step)]]
    """One for each dead letter, in their order."""
    now: datetime


@with_words
class RequestedView(TypedDict):
    """A discard that was requested."""

    requested: str
    """The dead letter."""
    until: datetime
    """Until when another operator may approve it."""


class Discarded(TypedDict):
    """A dead letter that was discarded."""

    discarded: str
    status: str


DiscardedWith = TypedDict("DiscardedWith", {"with": NotRequired[str]})
"""The dead letter that went with it."""


@with_words
class StreamView(TypedDict):
    """What setting a stream back does."""

    subject: str
    stream: str
    """The stream of the record."""
    was: int
    """The last number that was applied."""
    number: int
    """The last number that counts as applied now."""
    discarded: list[int]
    """The numbers that count as discarded."""
    lined_up: list[Row]
    """What was missed meanwhile, and waits for a redrive."""
    blocked: str | None
    """Why the stream was blocked, as a code; null when it was not."""


@with_words
class ResumedView(TypedDict):
    """Whether a consumer goes on."""

    resumed: bool
    """Whether it had halted."""
    was: str | None
    """Why it had halted, as a code; null when it had not."""
