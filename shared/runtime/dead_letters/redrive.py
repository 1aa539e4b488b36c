"""Mending: what the dead letters hold goes once more through the service's own rules, in order, looked at first.

A redriven row takes the path that it would have taken: the same work, through the reactor, guarded by the same
`inbox`. So a crash at any point, a repetition, or two operators at once have one effect.

For each line, from its head: apply the row; when it was the last, lift the marker; close the row. The marker is lifted
only while no other row is open, looked at after the record was loaded and written under the record's version. A
consumer that adds a row meanwhile touches the record, so one of the two loses the race and looks again. A crash in
between leaves the row open, and repeating finds it applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from pydantic import ValidationError

from shared.contracts.event import MAX_EVENT_BYTES
from shared.decision import derive_id
from shared.errors import Invalid, Refused, Unavailable, Unknown
from shared.runtime.clock import Clock
from shared.runtime.core import dead_letter
from shared.runtime.core.dead_letter import ALREADY_APPLIED, DISCARDED, NOT_WANTED, REDRIVEN
from shared.runtime.core.reactor import RACES_MAX, Reactor
from shared.runtime.core.record import Outcome, Record, RedriveOptions, Work, published_types
from shared.runtime.core.store import Document, Store
from shared.runtime.dead_letters.state_diff import changed_paths
from shared.runtime.dead_letters.store import DeadLetters, StreamKey
from shared.runtime.kafka.reading import Reader
from shared.runtime.logs import log
from shared.runtime.timers import look_at

RAMP: Final = (1, 10, 100)
"""How many rows a step takes; the last size is repeated."""
ROWS_PER_LOOK: Final = 100
STREAMS_PER_LOOK: Final = 1_000
PREVIEW_ROWS_MAX: Final = 1_000

_STATUS: Final = {"applied": REDRIVEN, "duplicate": ALREADY_APPLIED, "discarded": DISCARDED}


@dataclass(frozen=True, slots=True)
class Who:
    """Who mends, and why: a code, never words."""

    actor_id: str
    why: str


@dataclass(slots=True)
class Progress:
    """What a redrive has done, and why it stopped."""

    redriven: int = 0
    already_applied: int = 0
    not_wanted: int = 0
    steps: list[int] = field(default_factory=list[int])
    """Rows done in each step of the ramp."""
    stopped: str = "done"
    """done | failed | limit"""
    failed: Document | None = None

    @property
    def rows(self) -> int:
        return self.redriven + self.already_applied + self.not_wanted

    def view(self) -> Document:
        return {
            "redriven": self.redriven,
            "already_applied": self.already_applied,
            "not_wanted": self.not_wanted,
            "steps": self.steps,
            "stopped": self.stopped,
            **({} if self.failed is None else {"failed": self.failed}),
        }


class Redriver:
    """An operator's hands on one service's dead letters."""

    def __init__(
        self,
        store: Store,
        dead_letters: DeadLetters,
        reactor: Reactor,
        reader: Reader,
        clock: Clock,
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._reactor = reactor
        self._reader = reader
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    # --- looking first -----------------------------------------------------------------------------

    async def preview(
        self, dead_letter_id: str, data: bytes | None = None, *, behind: bool = False
    ) -> list[Document]:
        """What the present code would do with a row, and with those before it in its line. Writes nothing.

        `data` takes the place of the row's own; `behind` goes on to the end of the line. One step per row: what becomes
        of it, the paths of the state that change, the events that would be published with their numbers.
        """
        row: Document = await self._redrivable(dead_letter_id)
        if data is not None:
            row["edited"] = {"data": self._valid(row, data)}
        rows = await self._dead_letters.stream(_stream(row), PREVIEW_ROWS_MAX)
        record = (await self._store.load([row["subject"]]))[row["subject"]]
        steps: list[Document] = []
        reached = False
        for one in rows:
            current = row if one["id"] == row["id"] else one
            step, outcome = self._foreseen(record, current)
            steps.append(step)
            reached = reached or current is row
            if outcome.status in ("blocked", "conflicting", "refused") or (reached and not behind):
                break
        return steps

    def _foreseen(self, record: Record, row: Document) -> tuple[Document, Outcome]:
        before, events, handoffs = record.state, len(record.new_events), len(record.new_handoffs)
        work = self._work(row)
        outcome = (
            Outcome("not-wanted") if work is None else record.apply(work, self._reactor.source)
        )
        said = record.new_events[events:]
        step = row_view(row) | {
            "outcome": outcome.status,
            "reason": outcome.reason,
            "exception": outcome.exception,
            "where": outcome.where,
            "changed": changed_paths(before, record.state),
            "events": [
                {"type": kind, "sequence": entry["sequence"], "id": entry["headers"]["ce_id"]}
                for kind, entry in zip(published_types(said), said, strict=True)
            ],
            "handoffs": [
                {"type": item["body_type"], "subject": item["subject"]}
                for item in record.new_handoffs[handoffs:]
            ],
        }
        return step, outcome

    # --- doing it ----------------------------------------------------------------------------------

    async def redrive(
        self,
        wanted: Mapping[str, Any],
        who: Who,
        *,
        limit: int,
        upto: str | None = None,
    ) -> Progress:
        """Redrive the lines that have an open row with the values `wanted`, each from its head to its end.

        In steps of 1, 10 and 100 rows; stops at the first failure, at `limit` rows, or after the row `upto`. Called
        again it goes on where it stopped. Raises `Unavailable` when a dependency is away.
        """
        async with self._one_at_a_time:
            progress = Progress()
            entry = await self._begin("redrive", who, {"wanted": dict(wanted), "upto": upto})
            try:
                await self._ramp(self._rows(wanted), who, progress, limit, upto)
            finally:
                await self._end(entry, progress.view())
            return progress

    async def _ramp(
        self,
        rows: AsyncIterator[Document],
        who: Who,
        progress: Progress,
        limit: int,
        upto: str | None,
    ) -> None:
        sizes = iter(RAMP)
        size, done = next(sizes), 0
        progress.steps.append(0)
        async for row in rows:
            if progress.rows >= limit:
                progress.stopped = "limit"
                return
            if done == size:
                log.info("redrive.step", count=done)
                size, done = next(sizes, RAMP[-1]), 0
                progress.steps.append(0)
            if not await self._redriven(row, who, progress):
                progress.stopped = "failed"
                return
            done += 1
            progress.steps[-1] = done
            if row["id"] == upto:
                return

    async def _rows(self, wanted: Mapping[str, Any]) -> AsyncIterator[Document]:
        """The rows of all lines wanted, each line from its head until none is left."""
        seen: set[StreamKey] = set()
        while True:
            streams = [
                stream
                for stream in await self._dead_letters.streams(wanted, STREAMS_PER_LOOK)
                if stream not in seen
            ]
            if not streams:
                return
            for stream in streams:
                seen.add(stream)
                while rows := await self._dead_letters.stream(stream, ROWS_PER_LOOK):
                    for row in rows:
                        yield row

    async def _redriven(self, row: Document, who: Who, progress: Progress) -> bool:
        """Put one row, the head of its line, through the rules. False when it failed again."""
        work = self._work(row)
        if work is None:
            await self._finish(row, NOT_WANTED, who)
            progress.not_wanted += 1
            return True
        [outcome] = await self._reactor.submit([work])
        if outcome.error is not None:  # an outbox is full: nothing has changed
            raise outcome.error
        if outcome.status in ("blocked", "conflicting"):
            progress.failed = await self._failed(row, outcome)
            return False
        await self._finish(row, _STATUS[outcome.status], who)
        progress.redriven += outcome.status == "applied"
        progress.already_applied += outcome.status == "duplicate"
        return True

    async def _failed(self, row: Document, outcome: Outcome) -> Document:
        reason = outcome.reason or row["reason"]
        values = {
            "reason": reason,
            "exception": outcome.exception,
            "where": outcome.where,
            "fingerprint": dead_letter.fingerprint(
                reason, row["type"], outcome.exception, outcome.where
            ),
            "last_seen": datetime.now(UTC),
        }
        await self._dead_letters.failed_again(row["id"], values)
        log.warning("redrive.failed", subject=row["subject"], reason=reason)
        return row_view(row | values)

    async def discard(self, dead_letter_id: str, who: Who) -> Document:
        """Decide that a row shall have no effect, so that its line goes on. Only the head of a line can be.

        Its number counts as applied from then on; a deadline is disarmed.
        """
        async with self._one_at_a_time:
            row = await self._open(dead_letter_id)
            if row["stream"] is not None:
                [head, *_] = await self._dead_letters.stream(_stream(row), 1)
                if head["id"] != row["id"]:
                    raise Refused(
                        "not-first-in-line",
                        "Something before it in its line waits too; discarding this one would discard that silently.",
                        hint=f"Begin with {head['id']}.",
                    )
            entry = await self._begin("discard", who, {"dead_letter": dead_letter_id})
            status = DISCARDED
            if row["stream"] is not None:
                [outcome] = await self._reactor.submit([self._discarding(row)])
                # Of a forked history, the number itself was applied with the other id.
                if outcome.status == "duplicate" and row["reason"] != "sequence-conflict":
                    status = ALREADY_APPLIED
            await self._finish(row, status, who)
            log.warning("redrive.discarded", subject=row["subject"], reason=who.why)
            result = {"discarded": dead_letter_id, "status": status}
            await self._end(entry, result)
            return result

    async def edit(self, dead_letter_id: str, data: bytes, who: Who) -> Document:
        """Keep corrected data beside the original, for the next preview and redrive.

        Raises `Invalid` when it does not match the type's schema.
        """
        row = await self._redrivable(dead_letter_id)
        valid = self._valid(row, data)
        entry = await self._begin("edit", who, {"dead_letter": dead_letter_id})
        edited = {"data": valid, "at": datetime.now(UTC), "by": who.actor_id, "why": who.why}
        await self._dead_letters.edit(dead_letter_id, edited)
        result = {"edited": dead_letter_id, "bytes": len(valid)}
        await self._end(entry, result)
        return result

    # --- one row -----------------------------------------------------------------------------------

    async def _finish(self, row: Document, status: str, who: Who) -> None:
        """Lift the marker if this was the last of its line, then close the row: in this order."""
        if row["stream"] is not None:
            await self._unblock(row)
        closed = {"at": datetime.now(UTC), "by": who.actor_id, "why": who.why}
        await self._dead_letters.close(row["id"], status, closed)

    async def _unblock(self, row: Document) -> None:
        subject, stream = row["subject"], row["stream"]
        for _ in range(RACES_MAX):
            record = (await self._store.load([subject]))[subject]
            if stream not in record.blocked:
                return
            others = [
                r
                for r in await self._dead_letters.stream((subject, stream), 2)
                if r["id"] != row["id"]
            ]
            if others:
                return
            record.unblock(stream)
            if not await self._store.save([record], datetime.now(UTC)):
                return
        raise Unavailable("too-busy", "The record is changing too fast.", hint="Retry.")

    def _work(self, row: Document) -> Work | None:
        """The work that this row was, read by the present code. None when it is no longer wanted."""
        if row["kind"] == "deadline":
            work = look_at(row["subject"], self._clock.now())
        elif row["kind"] == "handoff":
            work = self._reactor.handoff_work(row["from_subject"], row["item"])
        else:
            read = self._reader.read(dead_letter.original(row), self._clock.now())
            if read.work is None:
                return None
            work = read.work
        if work.subject != row["subject"]:
            raise Refused(
                "target-moved",
                "The present code would apply it to another record than the one where it waits.",
                hint="Discard it, and have its publisher say it again.",
            )
        return replace(work, redrive_options=RedriveOptions())

    def _discarding(self, row: Document) -> Work:
        if row["kind"] == "deadline":
            work = look_at(row["subject"], self._clock.now())
            return replace(
                work, redrive_options=RedriveOptions(discard=True, deadline=row["deadline"])
            )
        work = self._work(row)
        if work is None:
            raise Refused("not-wanted", "Nobody listens to it any more.", hint="Redrive it.")
        return replace(work, redrive_options=RedriveOptions(discard=True))

    def _valid(self, row: Document, data: bytes) -> bytes:
        event = self._reader.event_class(row["type"] or "") if row["kind"] == "event" else None
        if event is None:
            raise Refused("not-editable", "Only an event that this service reads can be corrected.")
        if len(data) > MAX_EVENT_BYTES:
            raise Invalid("too-large", "The corrected data is larger than an event may be.")
        try:
            event.parse(data)
        except (ValidationError, ValueError, RecursionError):
            raise Invalid(
                "data-invalid",
                "The corrected data does not match the type's schema.",
                hint=f"See `care contracts show {event.TYPE}`.",
            ) from None
        return data

    async def _open(self, dead_letter_id: str) -> Document:
        row = await self._dead_letters.one(dead_letter_id)
        if row is None:
            raise Unknown("dead-letter")
        if row["status"] != dead_letter.OPEN:
            raise Refused("already-closed", f"This dead letter is {row['status']}.")
        return row

    async def _redrivable(self, dead_letter_id: str) -> Document:
        row = await self._open(dead_letter_id)
        if not row["redrivable"]:
            raise Refused(
                "not-redrivable",
                "Who said it about whom, and in which order, can't be known.",
                hint="Discard it, and have its publisher say it again.",
            )
        return row

    # --- who, why, when, what ----------------------------------------------------------------------

    async def _begin(self, action: str, who: Who, what: Document) -> str:
        """Written before the first effect: an entry without an end was cut off."""
        entry = derive_id("audit", str(uuid4()))
        await self._dead_letters.write_down(
            {
                "_id": entry,
                "at": datetime.now(UTC),
                "actor_id": who.actor_id,
                "why": who.why,
                "action": action,
                **what,
            }
        )
        log.info("redrive.begun", reason=who.why)
        return entry

    async def _end(self, entry: str, result: Document) -> None:
        await self._dead_letters.write_down(
            {"_id": entry, "ended_at": datetime.now(UTC), "result": result}
        )

    async def note_resume(self, who: Who, was: str | None) -> None:
        """A consumer that had halted was let go on."""
        await self._end(await self._begin("resume", who, {}), {"was": was})


def _stream(row: Mapping[str, Any]) -> StreamKey:
    return row["subject"], row["stream"]


_VIEW: Final = (
    "id",
    "kind",
    "status",
    "subject",
    "stream",
    "sequence",
    "type",
    "event_id",
    "from_subject",
    "reason",
    "exception",
    "where",
    "fingerprint",
    "attempts",
    "redrivable",
    "position",
    "first_seen",
    "last_seen",
    "closed",
)


def row_view(row: Mapping[str, Any]) -> Document:
    """What operators may see of a row: ids, codes, numbers, times and places in the code. No content."""
    view = {name: row[name] for name in _VIEW if row.get(name) is not None}
    if (edited := row.get("edited")) is not None:
        view["edited"] = {name: edited[name] for name in ("at", "by", "why") if name in edited}
    return view
