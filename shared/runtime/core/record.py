"""One record: everything one service knows about one subject, and the pure fold that changes it.

State, inbox, outbox, numbering and remembered commands live in one document, so that one guarded
write changes them together or not at all. Nothing here does I/O: `apply` takes work, and the record
then says what is to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from shared.contracts.event import MAX_EVENT_BYTES, Envelope, Event
from shared.decision import SYSTEM, Cause, Decision, State, derive_id
from shared.errors import (
    CareError,
    Forbidden,
    KeyReused,
    Outdated,
    Refused,
    TooLarge,
    Unavailable,
)
from shared.runtime.core.deadlines import Deadlines
from shared.runtime.logs import where

MAX_RECORD_BYTES: Final = 1_000_000
MAX_OUTBOX: Final = 1_000
COMMANDS_KEPT: Final = 64
"""A repeated command is known while fewer newer ones were made on its record: more than fifty at once."""
DEADLINES_PER_SAVE: Final = 200
DECIDE_ATTEMPTS: Final = 3
DEADLINES: Final = "deadlines"
"""The line of a record's own deadlines."""

Decide = Callable[[State, Cause], Decision[State]]
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
NO_UPCASTERS: Final[Mapping[int, Upcaster]] = MappingProxyType({})
AfterEach = Callable[[Any, Decision[Any], Cause], Decision[State]]
S = TypeVar("S", bound=State)


class RecordKind:
    """How one kind of subject is kept: its state, its deadlines, and how old states are read.

    The type checker holds that the rules are for this state.
    """

    def __init__(
        self,
        state: type[S],
        deadlines: Deadlines[S] | None = None,
        *,
        owns_ids: bool = False,
        upcasters: Mapping[int, Upcaster] = NO_UPCASTERS,
        after_each: Callable[[S, Decision[S], Cause], Decision[S]] | None = None,
    ) -> None:
        self.state: Final[type[State]] = state
        self.deadlines: Final[Deadlines[Any] | None] = deadlines
        self.owns_ids: Final = owns_ids
        """This service makes the ids, so that an unknown one is a mistake and not news that has not arrived."""
        self.upcasters: Final = upcasters
        self.after_each: Final[AfterEach | None] = after_each
        """Completes every decision on such a record, whatever led to it, from the state before and the decision."""


@dataclass(slots=True)
class StreamPosition:
    """The place of one item in the order of one sender: applied once, in order, and never twice."""

    name: str
    sequence: int
    id: str


@dataclass(frozen=True, slots=True)
class CommandKey:
    """What makes a repeated command recognisable, and whether the caller insists on a revision."""

    key: str
    body_hash: str
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class RedriveOptions:
    """Work that an operator takes out of the dead letters: it passes the marker of its own line.

    When `discard` is set, nothing is decided: its number counts as applied, or the deadline named is forgotten.
    """

    discard: bool = False
    deadline: str = ""


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
    dead_letter: Callable[[], dict[str, Any]] | None = None
    """Makes the dead letter that keeps the original, should this work have to be parked."""
    unreadable: str | None = None
    """A reason code when the item's identity is known but its content can't be used."""
    redrive_options: RedriveOptions | None = None


@dataclass(slots=True)
class Outcome:
    """What became of one piece of work."""

    status: str
    """applied | duplicate | replayed | refused | parked | forked | discarded"""
    error: CareError | None = None
    reason: str | None = None
    exception: str | None = None
    where: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])
    revision: int = 0
    sequence: int = 0


DUPLICATE: Final = Outcome("duplicate")


@dataclass(slots=True)
class Record:
    """The document, with what this batch adds to it kept apart so that it can be written as a change."""

    subject: str
    kind: RecordKind
    state: State
    version: int = 0
    revision: int = 0
    next_sequence: int = 1
    next_handoff: int = 1
    facility_id: str = ""
    waiting: datetime | None = None
    """Wall time since when events wait to be published; None when none do."""
    handing: datetime | None = None
    """Wall time since when handoffs wait to be applied; None when none do."""
    inbox: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    blocked: dict[str, str] = field(default_factory=dict[str, str])
    commands: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    outbox: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    handoffs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    new_events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    new_handoffs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    new_commands: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    new_streams: set[str] = field(default_factory=set[str])
    stored: State | None = None
    """The state as it is in the store, so that only what differs is written; None: all of it has to be."""
    state_bytes: int = 0
    """The size of the state as JSON, when it was last measured."""
    touched: bool = False
    measured: bool = True
    """Whether every decision is measured. Whoever folds a batch may measure its end first: see `outgrown`."""

    # --- the fold -------------------------------------------------------------------------------

    def apply(self, work: Work, source: str) -> Outcome:
        """Decide one piece of work. On any outcome but `inbox` the state is as it was."""
        settled = self._discard(work) or self._known_already(work) or self._told_before(work)
        if settled is not None:
            return settled
        try:
            return self._decide(work, source)
        except Unavailable as error:
            return Outcome("refused", error=error)
        except Refused as error:
            if work.command is not None:
                return Outcome("refused", error=error)
            return self._block(work, _blocked("decision-refused", error))
        except Exception as error:
            if work.command is not None:
                raise
            return self._block(work, _blocked("decision-raised", error))

    def _known_already(self, work: Work) -> Outcome | None:
        """What the inbox says of a numbered item: seen before, waiting behind a parked one, or unusable."""
        if work.stream is not None:
            number, known = self.inbox.get(work.stream.name, (0, ""))
            conflicting = work.stream.sequence == number and work.stream.id != known
            if work.stream.sequence <= number and not conflicting:
                return DUPLICATE  # also on a parked line: only what comes after waits there
            if work.stream.name in self.blocked and work.redrive_options is None:
                # Touched, so that its letter and a lifting of the marker can't pass each other unseen.
                self.touched = True
                return Outcome("blocked", reason="stream-blocked")
            if conflicting:
                return self._block(work, Outcome("conflicting", reason="sequence-conflict"))
        if work.unreadable is not None:
            return self._block(work, Outcome("blocked", reason=work.unreadable))
        return None

    def _told_before(self, work: Work) -> Outcome | None:
        """What is said of a command without deciding it: not yours, said before, or outdated."""
        command = work.command
        if command is None:
            return None
        if self.facility_id and work.facility_id != self.facility_id:
            error = Forbidden("other-facility", "This record belongs to another facility.")
            return Outcome("refused", error=error)
        kept = self.commands.get(command.key)
        if kept is not None:
            if kept["body_hash"] != command.body_hash:
                return Outcome("refused", error=KeyReused())
            return Outcome(
                "replayed",
                answer=kept["answer"],
                revision=kept["revision"],
                sequence=kept["sequence"],
            )
        if command.revision is not None and command.revision != self.revision:
            return Outcome("refused", error=Outdated())
        return None

    def _decide(self, work: Work, source: str) -> Outcome:
        if work.decide is None:
            return self._run_deadlines(work, source)
        cause = self._cause(work, work.cause_id, work.now)
        decision = self._attempt(
            work.decide, self.state, cause, 1 if work.command else DECIDE_ATTEMPTS
        )
        self._take(decision, cause, work, source)
        if work.stream is not None:
            self.inbox[work.stream.name] = (work.stream.sequence, work.stream.id)
            self.new_streams.add(work.stream.name)
        outcome = Outcome(
            "applied",
            answer=decision.answer,
            revision=self.revision,
            sequence=self.next_sequence - 1,
        )
        if work.command is not None:
            self._remember(work.command, outcome)
        return outcome

    def _run_deadlines(self, work: Work, source: str) -> Outcome:
        """Fire what is due, earliest first, each with `now` = its own instant."""
        deadlines = self.kind.deadlines
        for _ in range(DEADLINES_PER_SAVE):
            due = self.state.due
            if due is None or due > work.now:
                break
            name = self.next_deadline
            assert name is not None
            if deadlines is None:
                raise RuntimeError(f"no rule for the deadlines of {self.kind.state.__name__}")
            cause_id = derive_id(
                "deadline", source, self.subject, name, due.isoformat(), str(self.next_sequence)
            )
            cause = self._cause(work, cause_id, due)
            decision = self._attempt(
                lambda s, c, n=name: deadlines.decide(s, n, c),
                self.state.disarm(name),
                cause,
                DECIDE_ATTEMPTS,
            )
            again = decision.state.deadlines.get(name)
            if again is not None and again <= due:
                raise RuntimeError(f"deadline {name.partition(':')[0]} does not advance")
            self._take(decision, cause, work, source)
        return Outcome("applied", revision=self.revision, sequence=self.next_sequence - 1)

    def _attempt(
        self, decide: Decide, state: State, cause: Cause, attempts: int
    ) -> Decision[State]:
        after_each = self.kind.after_each
        for attempt in range(attempts):
            try:
                decision = decide(state, cause)
                return decision if after_each is None else after_each(state, decision, cause)
            except CareError:
                raise
            except Exception:
                if attempt + 1 == attempts:
                    raise
        raise AssertionError("attempts is at least 1")

    def _cause(self, work: Work, cause_id: str, now: datetime) -> Cause:
        return Cause(
            id=cause_id,
            now=now,
            subject=self.subject,
            facility_id=self.facility_id or work.facility_id,
            actor_id=work.actor_id,
            actor_role=work.actor_role,
            correlation_id=work.correlation_id or cause_id,
        )

    def _take(self, decision: Decision[State], cause: Cause, work: Work, source: str) -> None:
        """Accept a decision. Everything that can fail is done before the record changes."""
        if len(self.outbox) + len(self.new_events) + len(decision.events) > MAX_OUTBOX:
            raise Unavailable(
                "outbox-full", "Events of this record wait to be published.", hint="Retry."
            )
        entries = [
            _entry(event, cause, source, self.next_sequence + i, work.traceparent)
            for i, event in enumerate(decision.events)
        ]
        if decision.state is not self.state:
            if self.measured and _size(decision.state) > MAX_RECORD_BYTES:
                raise TooLarge("record-too-large", "The record would outgrow its limit.")
            # Both are of this record's class: their fields are all that can differ.
            if vars(decision.state) != vars(self.state):
                self.revision += 1
            self.state = decision.state
        for item in decision.handoffs:
            entry = {
                "number": self.next_handoff,
                "subject": item.subject,
                "body_type": type(item.body).__name__,
                "body": item.body.model_dump(mode="json"),
                "cause_id": cause.id,
                "correlation_id": cause.correlation_id,
                "facility_id": cause.facility_id,
                "actor_id": cause.actor_id,
                "actor_role": cause.actor_role,
                "now": cause.now.isoformat(),  # as text: MongoDB would cut the microseconds off
            }
            if work.traceparent is not None:
                entry["traceparent"] = work.traceparent
            self.next_handoff += 1
            self.new_handoffs.append(entry)
        self.facility_id = cause.facility_id
        self.new_events += entries
        self.next_sequence += len(entries)
        self.touched = True

    def _remember(self, command: CommandKey, outcome: Outcome) -> None:
        kept = {
            "key": command.key,
            "body_hash": command.body_hash,
            "answer": dict(outcome.answer),
            "revision": outcome.revision,
            "sequence": outcome.sequence,
        }
        self.commands[command.key] = kept
        self.new_commands.append(kept)

    def _block(self, work: Work, outcome: Outcome) -> Outcome:
        """Stop this sender's line at this record: what follows on it queues until it is mended."""
        name = work.stream.name if work.stream is not None else DEADLINES
        self.blocked[name] = outcome.reason or "unknown"
        self.touched = True
        return outcome

    def _discard(self, work: Work) -> Outcome | None:
        """Take note that an item has no effect: what comes after it may follow."""
        redrive_options = work.redrive_options
        if redrive_options is None or not redrive_options.discard:
            return None
        if work.stream is None:
            if redrive_options.deadline not in self.state.deadlines:
                return DUPLICATE
            self.state = self.state.disarm(redrive_options.deadline)
            self.revision += 1
        else:
            if work.stream.sequence <= self.inbox.get(work.stream.name, (0, ""))[0]:
                return DUPLICATE
            self.inbox[work.stream.name] = (work.stream.sequence, work.stream.id)
            self.new_streams.add(work.stream.name)
        self.touched = True
        return Outcome("discarded", revision=self.revision, sequence=self.next_sequence - 1)

    def outgrown(self) -> bool:
        """Measure a changed state; whether it has outgrown its limit. Which decision did it, a measured fold says."""
        if self.touched:
            self.state_bytes = _size(self.state)
        return self.state_bytes > MAX_RECORD_BYTES

    def unblock(self, stream: str) -> None:
        """Let a line go on. Only when none of its rows is left, looked at after this record was loaded."""
        if self.blocked.pop(stream, None) is not None:
            self.touched = True

    # --- reading and writing --------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Nothing is known of this subject yet; at most, something about it is parked."""
        return self.version == 0 or not self.facility_id

    @property
    def due(self) -> datetime | None:
        """When the timers must look at this record; None while its deadlines are parked."""
        return None if DEADLINES in self.blocked else self.state.due

    @property
    def next_deadline(self) -> str | None:
        """The name of the deadline that fires next."""
        due = self.state.due
        return min((n for n, at in self.state.deadlines.items() if at == due), default=None)

    def waiting_entries(self) -> list[dict[str, Any]]:
        """The whole waiting outbox, from its head: what a relay publishes."""
        return [*self.outbox, *self.new_events]

    def settled(self) -> Record:
        """This record after its save, once its events are published: without commands, which nobody asks it for."""
        settled = self.copy()
        settled.version, settled.stored = self.version + 1, self.state
        return settled

    def copy(self) -> Record:
        """The same record, to be changed on its own; of its lists, what the inbox is made of."""
        return Record(
            subject=self.subject,
            kind=self.kind,
            state=self.state,
            version=self.version,
            revision=self.revision,
            next_sequence=self.next_sequence,
            next_handoff=self.next_handoff,
            facility_id=self.facility_id,
            inbox=dict(self.inbox),
            blocked=dict(self.blocked),
            stored=self.stored,
            state_bytes=self.state_bytes,
        )

    def changed_state(self) -> dict[str, Any]:
        """The fields of the state that a save has to write, as they are stored, by path.

        A rule replaces what it changes (states are immutable), so that a field that is the same object is the same.
        """
        before = self.stored
        if before is None:
            return {"state": self.state.model_dump(mode="json")}
        was, now = vars(before), vars(self.state)
        changed = {name for name, value in now.items() if value is not was.get(name)}
        if not changed:
            return {}
        dumped = self.state.model_dump(mode="json", include=changed)
        return {f"state.{name}": value for name, value in dumped.items()}


def _size(state: State) -> int:
    return len(state.__pydantic_serializer__.to_json(state))


def _blocked(reason: str, error: Exception) -> Outcome:
    code = error.code if isinstance(error, CareError) else type(error).__name__
    return Outcome("blocked", reason=reason, exception=code, where=where(error))


def _entry(
    event: Event, cause: Cause, source: str, sequence: int, traceparent: str | None
) -> dict[str, Any]:
    """An event as it waits in the outbox: ready for the wire, so that a relay needs no models."""
    if source != event.SOURCE or not cause.subject.startswith(f"{event.SUBJECT}/"):
        raise RuntimeError(f"{event.TYPE} is not this record's to publish")
    data = event.data()
    if len(data) > MAX_EVENT_BYTES:
        raise TooLarge("event-too-large", f"A {event.NAME} would be larger than an event may be.")
    envelope = Envelope(
        id=derive_id(cause.id, source, cause.subject, str(sequence)),
        source=source,
        type=event.TYPE,
        subject=cause.subject,
        sequence=sequence,
        time=cause.now,
        correlationid=cause.correlation_id,
        causationid=cause.id,
        facilityid=cause.facility_id,
        actorrole=cause.actor_role,
        sensitivity=event.SENSITIVITY,
        dataschema=event.schema_id(),
        traceparent=traceparent,
    )
    return {"sequence": sequence, "headers": envelope.headers(), "data": data}


def published_types(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The event types among outbox entries, for logs and metrics."""
    return [entry["headers"]["ce_type"] for entry in entries]
