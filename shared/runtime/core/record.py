"""One record: everything one service knows about one subject, and the pure fold that changes it.

State, inbox, outbox, numbering and remembered commands are in one document, so that one guarded write changes all of
them or none. Optimistic locking guards that write: it succeeds only while the stored document still has the `version`
that was loaded. This module does no I/O: `apply` takes one piece of work, and the store writes what it changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made_by
from datetime import datetime
from typing import Any, Final

from shared import inbox
from shared.contracts.attributes import trace_or_none
from shared.decision import Cause, Decision, State, derive_id
from shared.errors import (
    CareError,
    KeyReused,
    OtherFacility,
    Outdated,
    Refused,
    TooLarge,
    Unavailable,
)
from shared.inbox import WINDOW, StreamInbox
from shared.runtime.core import audit
from shared.runtime.core.outbox import outbox_entry, passed_entry
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.work import (
    DUPLICATE,
    CommandKey,
    Decide,
    Outcome,
    OutcomeStatus,
    StreamPosition,
    Work,
)
from shared.runtime.logs import where

MAX_RECORD_BYTES: Final = 1_000_000
MAX_OUTBOX: Final = 1_000
MAX_AUDIT: Final = 200
"""How many entries of the audit may wait in a record; each has less than 1 kB, and most moves take milliseconds."""
MAX_OUTBOX_BYTES: Final = 4 * 1024 * 1024
"""With the state, well below what MongoDB takes as one document, and what the journal takes as one message."""
COMMANDS_KEPT: Final = 64
"""How many answered commands a record remembers, newest first: more than fifty callers may retry at once."""
DEADLINES_PER_SAVE: Final = 200
DECIDE_ATTEMPTS: Final = 3
DEADLINES: Final = "deadlines"
"""The stream of a record's own deadlines."""
_APPLIED: Final = OutcomeStatus.APPLIED
"""Bound once: looking up a member of an enum is slow, and every event needs this one."""


@dataclass(slots=True)
class Record:
    """The document, and apart from it what this batch adds, so that a save writes the change alone."""

    subject: str
    kind: RecordKind
    state: State
    unusable: CareError | None = None
    """Why the stored record can't be worked with here; None for every other."""
    version: int = 0
    revision: int = 0
    next_sequence: int = 1
    next_handoff: int = 1
    next_audit: int = 1
    facility_id: str = ""
    waiting: datetime | None = None
    """Wall time since which events wait to be published; None when none do."""
    handing: datetime | None = None
    """Wall time since which handoffs wait to be applied; None when none do."""
    auditing: datetime | None = None
    """Wall time since which entries wait to be moved to the audit; None when none do."""
    inbox: dict[str, StreamInbox] = made_by(default_factory=dict[str, StreamInbox])
    blocked: dict[str, str] = made_by(default_factory=dict[str, str])
    commands: dict[str, dict[str, Any]] = made_by(default_factory=dict[str, dict[str, Any]])
    outbox: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    handoffs: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    audit: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    new_events: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    new_handoffs: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    new_audit: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    new_commands: list[dict[str, Any]] = made_by(default_factory=list[dict[str, Any]])
    new_streams: set[str] = made_by(default_factory=set[str])
    stored: State | None = None
    """The state in the store, so that a save writes only the fields that differ; None: it writes all of them."""
    state_bytes: int = 0
    """The size of the state as JSON, when it was last measured."""
    held_up: dict[str, Unavailable] = made_by(default_factory=dict[str, Unavailable])
    """By stream: why an item of it has to come again. Until then nothing of that stream is decided on this copy."""
    unpublished: bool = False
    """The broker refuses one of its events, so that nobody knows when its outbox empties."""
    touched: bool = False
    measured: bool = True
    """Whether `apply` measures the state after each decision. A batch may measure once at its end: see `outgrown`."""

    # --- the fold -------------------------------------------------------------------------------

    def apply(self, work: Work, source: str) -> Outcome:
        """Decide one piece of work. Only `applied` and `discarded` change the state.

        Raises what the rule raised, other than `CareError`, when the work is a command. Whatever fails on other work,
        also one of the checks before the rule, blocks that work alone.
        """
        try:
            known = (
                self._check_usable(work)
                or self._discard(work)
                or self._check_inbox(work)
                or self._check_command(work)
            )
            return self._decide(work, source) if known is None else known
        except Unavailable as error:
            if work.stream is not None:
                self.held_up[work.stream.name] = error
            return Outcome(OutcomeStatus.REFUSED, error=error)
        except Refused as error:
            if work.command is not None:
                return Outcome(OutcomeStatus.REFUSED, error=error)
            return self._block(work, _blocked("decision-refused", error))
        except Exception as error:
            if work.command is not None:
                raise
            return self._block(work, _blocked("decision-raised", error))

    def _check_usable(self, work: Work) -> Outcome | None:
        """Refuse a command on a record that can't be read, and block the stream of anything else."""
        error = self.unusable
        if error is None:
            return None
        discards = work.redrive_options is not None and work.redrive_options.discard
        if isinstance(error, Unavailable) or work.command is not None or discards:
            return Outcome(OutcomeStatus.REFUSED, error=error)
        return self._block(work, Outcome(OutcomeStatus.BLOCKED, reason=error.code))

    def _check_inbox(self, work: Work) -> Outcome | None:
        """Stop a numbered item that is a duplicate, that waits behind a blocked one, or that can't be used."""
        if work.stream is not None and work.stream.name in self.held_up:
            # Decided now, it would overtake the one that comes again, which would be missed then.
            return Outcome(OutcomeStatus.REFUSED, error=self.held_up[work.stream.name])
        stopped = None if work.stream is None else self._check_stream(work, work.stream)
        if stopped is None and work.unreadable is not None:
            unreadable = Outcome(OutcomeStatus.BLOCKED, reason=work.unreadable, field=work.field)
            return self._block(work, unreadable)
        return stopped

    def _check_stream(self, work: Work, stream: StreamPosition) -> Outcome | None:
        applied, _, discarded = known = self.inbox.get(stream.name, inbox.NOTHING)
        place = inbox.Place.NEXT
        if stream.sequence <= applied or discarded:
            place = inbox.place_of(known, stream.sequence, stream.id, stream.window)
        if place is inbox.Place.REPEATED:
            return DUPLICATE  # also on a blocked stream: only later items wait there
        if place is inbox.Place.MISSED:
            # Touched, so that it is judged on the record as it is stored and not on a cached one.
            self.touched = True
            return Outcome(OutcomeStatus.MISSED, reason="sequence-missed")
        if stream.name in self.blocked and work.redrive_options is None:
            # Touched, so that adding its dead letter and unblocking the stream can't miss each other.
            self.touched = True
            return Outcome(OutcomeStatus.BLOCKED, reason="stream-blocked")
        if place is inbox.Place.CONFLICTING:
            conflict = Outcome(OutcomeStatus.CONFLICTING, reason="sequence-conflict")
            return self._block(work, conflict)
        reason = None
        if stream.sequence > stream.sequence_max:
            reason = "sequence-impossible"
        elif self._is_foreign(work) and not self.kind.serves_all:
            # The first item decides whose the record is; nobody else's may change it from then on.
            reason = "other-facility"
        if reason is None:
            return None
        return self._block(work, Outcome(OutcomeStatus.BLOCKED, reason=reason))

    def _is_foreign(self, work: Work) -> bool:
        return bool(self.facility_id) and work.facility_id != self.facility_id

    def _is_served(self, work: Work) -> bool:
        """Work that another record, of whatever facility, left for a record that serves all."""
        return self.kind.serves_all and work.stream is not None

    def _check_command(self, work: Work) -> Outcome | None:
        """Answer a command without running its rule: wrong facility, repeated idempotency key, or stale If-Match."""
        command = work.command
        if command is None:
            return None
        if self._is_foreign(work):
            return Outcome(OutcomeStatus.REFUSED, error=OtherFacility())
        known = self.commands.get(command.key)
        if known is not None:
            if known["body_hash"] != command.body_hash:
                return Outcome(OutcomeStatus.REFUSED, error=KeyReused())
            return Outcome(
                OutcomeStatus.REPLAYED,
                answer=known["answer"],
                revision=known["revision"],
                sequence=known["sequence"],
            )
        if command.revision is not None and command.revision != self.revision:
            return Outcome(OutcomeStatus.REFUSED, error=Outdated())
        return None

    def _decide(self, work: Work, source: str) -> Outcome:
        if work.decide is None:
            return self._run_deadlines(work, source)
        if work.audit is not None and len(self.audit) + len(self.new_audit) >= MAX_AUDIT:
            raise Unavailable(
                "audit-full",
                "Too many audit entries of this record wait to be moved to the audit.",
                hint="Retry.",
            )
        cause = self._cause(work, work.cause_id, work.now)
        decision = self._attempt(
            work.decide, self.state, cause, 1 if work.command else DECIDE_ATTEMPTS
        )
        self._accept(decision, cause, work, source)
        if work.stream is not None:
            stream = work.stream
            known = self.inbox.get(stream.name, inbox.NOTHING)
            self.inbox[stream.name] = inbox.with_applied(
                known, stream.sequence, stream.id, stream.window
            )
            self.new_streams.add(stream.name)
        outcome = Outcome(
            _APPLIED,
            answer=decision.answer,
            revision=self.revision,
            sequence=self.next_sequence - 1,
        )
        if work.command is not None:
            self._remember(work.command, outcome)
        if work.audit is not None:
            self._add_audit(work.audit, decision, cause)
        return outcome

    def _add_audit(self, begun: Mapping[str, Any], decision: Decision[State], cause: Cause) -> None:
        """Also the records that the command reaches by handoffs are named."""
        subjects = dict.fromkeys((self.subject, *(item.subject for item in decision.handoffs)))
        self.new_audit.append(
            audit.applied(begun, [*subjects], self.next_audit, cause.id, self.revision)
        )
        self.next_audit += 1

    def _run_deadlines(self, work: Work, source: str) -> Outcome:
        """Fire the deadlines that are due, earliest first, each with `now` = its own instant."""
        deadlines = self.kind.deadlines
        if self.state.due is None or self.state.due > work.now:
            # It was found by a deadline that does not run, perhaps after a rebuild. Saved, it is found by the next one.
            self.touched = True
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
            self._accept(decision, cause, work, source)
        return Outcome(
            OutcomeStatus.APPLIED, revision=self.revision, sequence=self.next_sequence - 1
        )

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
            facility_id=work.facility_id
            if self._is_served(work)
            else self.facility_id or work.facility_id,
            actor_id=work.actor_id,
            actor_role=work.actor_role,
            correlation_id=work.correlation_id or cause_id,
        )

    def _accept(self, decision: Decision[State], cause: Cause, work: Work, source: str) -> None:
        """Take over a decision. Everything that can fail comes before the first change of the record."""
        trace, person_id = trace_or_none(work.traceparent), decision.state.person()
        entries = [
            outbox_entry(event, cause, source, self.next_sequence + i, trace, person_id)
            for i, event in enumerate(decision.events)
        ]
        following = self.next_sequence + len(entries)
        entries += [passed_entry(one, following + i) for i, one in enumerate(decision.passed)]
        if entries:
            self._ensure_capacity(entries)
        if decision.state is not self.state:
            if self.measured and _size(decision.state) > MAX_RECORD_BYTES:
                raise TooLarge(
                    "record-too-large",
                    "The record would outgrow its limit.",
                    hint="Tell the operators: this record can't grow any further.",
                )
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
            if trace is not None:
                entry["traceparent"] = trace
            self.next_handoff += 1
            self.new_handoffs.append(entry)
        if not self._is_served(work):
            self.facility_id = cause.facility_id
        self.new_events += entries
        self.next_sequence += len(entries)
        self.touched = True

    def _ensure_capacity(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Raises `Unavailable` while too many events of this record, or too large ones, wait to be published.

        Of a record that is set aside they wait for an operator: then it raises `Refused`, which holds nothing else up.
        """
        waiting = [*self.outbox, *self.new_events, *entries]
        if len(waiting) > MAX_OUTBOX or (
            len(waiting) > len(entries)
            and sum(len(entry["data"]) for entry in waiting) > MAX_OUTBOX_BYTES
        ):
            if self.unpublished:
                raise Refused(
                    "outbox-full",
                    "Events of this record wait to be published, and the broker refuses one of them.",
                    hint="Tell the operators: GET /ops/set-aside names the record.",
                )
            raise Unavailable(
                "outbox-full", "Too many events of this record wait to be published.", hint="Retry."
            )

    def _remember(self, command: CommandKey, outcome: Outcome) -> None:
        answered = {
            "key": command.key,
            "body_hash": command.body_hash,
            "answer": dict(outcome.answer),
            "revision": outcome.revision,
            "sequence": outcome.sequence,
        }
        self.commands[command.key] = answered
        self.new_commands.append(answered)

    def _block(self, work: Work, outcome: Outcome) -> Outcome:
        """Block the work's stream at this record: later items of it wait until an operator redrives or discards."""
        name = work.stream.name if work.stream is not None else DEADLINES
        self.blocked[name] = outcome.reason or "unknown"
        self.touched = True
        return outcome

    def _discard(self, work: Work) -> Outcome | None:
        """Remember an item as discarded without running its rule, so that the next one may follow.

        What was applied of its stream stays as it was: the item may have had a number that was not its own.
        """
        options = work.redrive_options
        if options is None or not options.discard:
            return None
        if work.stream is None:
            if options.deadline not in self.state.deadlines:
                return DUPLICATE
            self.state = self.state.disarm(options.deadline)
            self.revision += 1
        else:
            stream = work.stream
            known = self.inbox.get(stream.name, inbox.NOTHING)
            place = inbox.place_of(known, stream.sequence, stream.id, stream.window)
            if place is inbox.Place.REPEATED:
                return DUPLICATE
            self.inbox[stream.name] = inbox.with_discarded(known, stream.sequence, stream.id)
            self.new_streams.add(stream.name)
        self.touched = True
        return Outcome(
            OutcomeStatus.DISCARDED, revision=self.revision, sequence=self.next_sequence - 1
        )

    def outgrown(self) -> bool:
        """Measure a changed state: is it larger than a record may be? A second, measured fold finds the decision."""
        if self.touched:
            self.state_bytes = _size(self.state)
        return self.state_bytes > MAX_RECORD_BYTES

    def set_back(self, stream: str, number: int, kept: int = WINDOW) -> None:
        """Take a number for the last one applied of a stream; what was applied after it counts as discarded."""
        self.inbox[stream] = inbox.set_back(self.inbox.get(stream, inbox.NOTHING), number, kept)
        self.new_streams.add(stream)
        self.touched = True

    def unblock(self, stream: str) -> None:
        """Let a stream go on. Call it only when a look after this record was loaded found no other open dead letter."""
        if self.blocked.pop(stream, None) is not None:
            self.touched = True

    # --- reading and writing --------------------------------------------------------------------

    @property
    def is_new(self) -> bool:
        """Nothing is known of this subject yet; at most, a stream of it is blocked."""
        return self.version == 0 or not self.facility_id

    @property
    def due(self) -> datetime | None:
        """When the timers must look at this record; None while its deadlines are blocked."""
        return None if DEADLINES in self.blocked else self.state.due

    @property
    def next_deadline(self) -> str | None:
        """The name of the deadline that fires next."""
        due = self.state.due
        return min((n for n, at in self.state.running.items() if at == due), default=None)

    def waiting_entries(self) -> list[dict[str, Any]]:
        """The whole waiting outbox, from its head: what a relay publishes."""
        return [*self.outbox, *self.new_events]

    def waiting_audit(self) -> list[dict[str, Any]]:
        """All entries that wait to be moved to the audit."""
        return [*self.audit, *self.new_audit]

    def after_save(self) -> Record:
        """This record as the store has it after its save and the relay's publish, for the cache: without commands."""
        saved = self.copy()
        saved.version, saved.stored = self.version + 1, self.state
        return saved

    def copy(self) -> Record:
        """An independent copy without outbox, handoffs and commands: what an event needs to be decided."""
        return Record(
            subject=self.subject,
            kind=self.kind,
            state=self.state,
            version=self.version,
            revision=self.revision,
            next_sequence=self.next_sequence,
            next_handoff=self.next_handoff,
            next_audit=self.next_audit,
            facility_id=self.facility_id,
            inbox=dict(self.inbox),
            blocked=dict(self.blocked),
            stored=self.stored,
            state_bytes=self.state_bytes,
        )

    def changed_state(self) -> dict[str, Any]:
        """The changed fields of the state, by path and as they are stored: what a save has to write.

        States are immutable and rules replace what they change, so a field that is the same object has not changed.
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
    return Outcome(OutcomeStatus.BLOCKED, reason=reason, exception=code, where=where(error))
