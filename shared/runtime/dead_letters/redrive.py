"""Redrive: run the service's current rules on dead letters, in order, after a preview.

A redriven dead letter becomes the same work again, passes through the reactor, and is guarded by the same `inbox`. A
crash at any point, a repetition, or two operators at once therefore have the effect of one redrive.

Each stream is redriven from its head: apply the dead letter; unblock the stream if that was the last; close the dead
letter. To unblock, load the record, look for other open dead letters, and save under the record's version (optimistic
locking). A consumer that adds a dead letter meanwhile changes the record, so one of the two saves fails and its side
looks again. A crash in between leaves the dead letter open; the next redrive finds it applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from shared.errors import DeadLetterUnreadable, Refused, Unavailable, Unknown
from shared.runtime.clock import Clock
from shared.runtime.core.dead_letter import (
    ALREADY_APPLIED,
    DISCARDED,
    NOT_WANTED,
    OPEN,
    REDRIVEN,
    Closed,
    DeadLetter,
    message_of,
)
from shared.runtime.core.original import (
    DeadlineOriginal,
    HandoffOriginal,
    MessageOriginal,
    PublicationOriginal,
)
from shared.runtime.core.outbox import header_of, published_types
from shared.runtime.core.reactor import RACES_MAX, Reactor
from shared.runtime.core.record import Record
from shared.runtime.core.store import Document, Store
from shared.runtime.core.work import OutcomeStatus, RedriveOptions, Work
from shared.runtime.dead_letters.audit import Audit, Who
from shared.runtime.dead_letters.state_diff import changed_paths
from shared.runtime.dead_letters.store import DeadLetters, StreamKey, stream_of
from shared.runtime.dead_letters.view import view_of
from shared.runtime.kafka.reading import Reader
from shared.runtime.logs import log
from shared.runtime.timers import look_at

RAMP: Final = (1, 10, 100)
"""How many dead letters each step takes; the last size repeats."""
PER_QUERY: Final = 100
STREAMS_PER_QUERY: Final = 1_000
PREVIEW_MAX: Final = 1_000

_STATUS: Final = {
    OutcomeStatus.APPLIED: REDRIVEN,
    OutcomeStatus.DUPLICATE: ALREADY_APPLIED,
    OutcomeStatus.DISCARDED: DISCARDED,
}
"""What a dead letter is closed as, by the outcome of its work."""


@dataclass(slots=True)
class Progress:
    """What a redrive has done so far, and why it stopped."""

    redriven: int = 0
    already_applied: int = 0
    not_wanted: int = 0
    steps: list[int] = field(default_factory=list[int])
    """How many dead letters each step of the ramp has closed."""
    stopped: str = "done"
    """done | failed | limit | other-facility"""
    failed: Document | None = None

    @property
    def total(self) -> int:
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
    """Previews, redrives and discards one service's dead letters."""

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
        self._audit = Audit(dead_letters)
        self._one_at_a_time = asyncio.Lock()

    # --- preview -----------------------------------------------------------------------------------

    async def preview(self, dead_letter_id: str, *, behind: bool = False) -> list[Document]:
        """What the present rules would do with a dead letter, and with those before it in its stream. Writes nothing.

        `behind` goes on to the end of the stream. One step per dead letter: its outcome, the paths of the state that
        change, the events that would be published with their numbers.
        """
        wanted, stream = await self._redrivable(dead_letter_id)
        record = (await self._store.load([stream[0]]))[stream[0]]
        steps: list[Document] = []
        reached = False
        for one in await self._dead_letters.stream(stream, PREVIEW_MAX):
            step, goes_on = self._foreseen(record, one)
            steps.append(step)
            reached = reached or one.id == wanted.id
            if not goes_on or (reached and not behind):
                break
        return steps

    def _foreseen(self, record: Record, dead_letter: DeadLetter) -> tuple[Document, bool]:
        """One step of a preview, and whether the redrive would go on after it."""
        before, events, handoffs = record.state, len(record.new_events), len(record.new_handoffs)
        work = self._work(dead_letter)
        outcome = None if work is None else record.apply(work, self._reactor.source)
        new_events = record.new_events[events:]
        step = view_of(dead_letter) | {
            "outcome": NOT_WANTED if outcome is None else outcome.status,
            "reason": None if outcome is None else outcome.reason,
            "exception": None if outcome is None else outcome.exception,
            "where": None if outcome is None else outcome.where,
            "field": None if outcome is None else outcome.field,
            "changed": changed_paths(before, record.state),
            "events": [
                {"type": kind, "sequence": entry["sequence"], "id": header_of(entry, "ce_id")}
                for kind, entry in zip(published_types(new_events), new_events, strict=True)
            ],
            "handoffs": [
                {"type": item["body_type"], "subject": item["subject"]}
                for item in record.new_handoffs[handoffs:]
            ],
        }
        goes_on = outcome is None or not (
            outcome.status.is_failure or outcome.status is OutcomeStatus.REFUSED
        )
        return step, goes_on

    # --- redrive -----------------------------------------------------------------------------------

    async def redrive(
        self,
        wanted: Mapping[str, Any],
        who: Who,
        *,
        limit: int,
        upto: str | None = None,
    ) -> Progress:
        """Redrive the streams that have an open dead letter with the values `wanted`, each from its head to its end.

        Goes in steps of 1, 10 and 100; stops at the first failure, after `limit` dead letters, or after the one with
        the id `upto`. A repeated call goes on where the last one stopped. Raises `Unavailable` when a dependency is
        away.
        """
        async with self._one_at_a_time:
            progress = Progress()
            what = {"wanted": dict(wanted), "upto": upto}
            whose = await self._dead_letters.facilities(wanted)
            entry = await self._audit.begin("redrive", who, what, whose)
            try:
                await self._ramp(self._in_order(wanted), who, progress, limit, upto)
            finally:
                await self._audit.end(entry, progress.view())
            return progress

    async def _ramp(
        self,
        dead_letters: AsyncIterator[DeadLetter],
        who: Who,
        progress: Progress,
        limit: int,
        upto: str | None,
    ) -> None:
        sizes = iter(RAMP)
        size, done = next(sizes), 0
        progress.steps.append(0)
        async for dead_letter in dead_letters:
            if progress.total >= limit:
                progress.stopped = "limit"
                return
            if done == size:
                log.info("redrive.step", count=done)
                size, done = next(sizes, RAMP[-1]), 0
                progress.steps.append(0)
            if not who.may_act_on(dead_letter.facility_id):
                progress.stopped = "other-facility"
                return
            if not await self._redrive_one(dead_letter, who, progress):
                progress.stopped = "failed"
                return
            done += 1
            progress.steps[-1] = done
            if dead_letter.id == upto:
                return

    async def _in_order(self, wanted: Mapping[str, Any]) -> AsyncIterator[DeadLetter]:
        """The dead letters of all streams wanted, each stream from its head until none is left."""
        seen: set[StreamKey] = set()
        while True:
            streams = [
                stream
                for stream in await self._dead_letters.streams(wanted, STREAMS_PER_QUERY)
                if stream not in seen
            ]
            if not streams:
                return
            for stream in streams:
                seen.add(stream)
                while dead_letters := await self._readable(stream):
                    for dead_letter in dead_letters:
                        yield dead_letter

    async def _readable(self, stream: StreamKey) -> list[DeadLetter]:
        """What is next in a stream; nothing where a damaged one is among it, so that the other streams are redriven."""
        try:
            return await self._dead_letters.stream(stream, PER_QUERY)
        except DeadLetterUnreadable:
            return []

    async def _redrive_one(self, dead_letter: DeadLetter, who: Who, progress: Progress) -> bool:
        """Run the rules on the head of a stream. False when it failed again."""
        work = self._work(dead_letter)
        if work is None:
            await self._finish(dead_letter, NOT_WANTED, who)
            progress.not_wanted += 1
            return True
        [outcome] = await self._reactor.submit([work])
        if outcome.error is not None:  # an outbox is full: nothing has changed
            raise outcome.error
        if outcome.status.is_failure:
            failed = dead_letter.failed_again(outcome, datetime.now(UTC))
            await self._dead_letters.save_failure(failed)
            log.warning("redrive.failed", subject=failed.subject, reason=failed.reason)
            progress.failed = view_of(failed)
            return False
        await self._finish(dead_letter, _STATUS[outcome.status], who)
        progress.redriven += outcome.status is OutcomeStatus.APPLIED
        progress.already_applied += outcome.status is OutcomeStatus.DUPLICATE
        return True

    # --- discard -----------------------------------------------------------------------------------

    async def discard(self, dead_letter_id: str, who: Who) -> Document:
        """Give a dead letter no effect, so that its stream goes on. Only the head of a stream can be discarded.

        When it comes again it is known, and what was applied of its stream stays; a deadline is disarmed.
        """
        async with self._one_at_a_time:
            dead_letter = await self.discardable(dead_letter_id)
            stream = stream_of(dead_letter)
            what, whose = {"dead_letter": dead_letter_id}, [dead_letter.facility_id]
            entry = await self._audit.begin("discard", who, what, whose)
            status = DISCARDED
            if stream is not None:
                [outcome] = await self._reactor.submit([self._discarding(dead_letter)])
                if outcome.error is not None:
                    raise outcome.error
                if outcome.status is OutcomeStatus.DUPLICATE:
                    status = ALREADY_APPLIED
            await self._finish(dead_letter, status, who)
            log.warning("redrive.discarded", subject=dead_letter.subject, reason=who.why)
            result = {"discarded": dead_letter_id, "status": status}
            await self._audit.end(entry, result)
            return result

    async def discardable(self, dead_letter_id: str) -> DeadLetter:
        """An open dead letter that nothing waits before. Raises `Unknown` and `Refused`."""
        dead_letter = await self._open(dead_letter_id)
        stream = stream_of(dead_letter)
        if stream is not None:
            [head, *_] = await self._dead_letters.stream(stream, 1)
            if head.id != dead_letter.id:
                raise Refused(
                    "not-first-in-line",
                    "An earlier item of its stream also waits; discarding this one would silently discard that too.",
                    hint=f"Begin with {head.id}.",
                )
        return dead_letter

    # --- one dead letter ---------------------------------------------------------------------------

    async def _finish(self, dead_letter: DeadLetter, status: str, who: Who) -> None:
        """Unblock the stream if this was its last dead letter, then close the dead letter: in this order."""
        stream = stream_of(dead_letter)
        if stream is not None:
            await self._unblock(dead_letter, stream)
        closed = Closed(datetime.now(UTC), who.actor_id, who.why)
        await self._dead_letters.close(dead_letter.id, status, closed)

    async def _unblock(self, dead_letter: DeadLetter, stream: StreamKey) -> None:
        subject, sender = stream
        for _ in range(RACES_MAX):
            record = (await self._store.load([subject]))[subject]
            if record.unusable is not None:
                raise record.unusable
            if sender not in record.blocked:
                return
            first_two = await self._dead_letters.stream(stream, 2)
            if any(one.id != dead_letter.id for one in first_two):
                return
            record.unblock(sender)
            if not await self._store.save([record], datetime.now(UTC)):
                return
        raise Unavailable("too-busy", "The record is changing too fast.", hint="Retry.")

    def _work(self, dead_letter: DeadLetter) -> Work | None:
        """The work that a dead letter is for the present code. None when no rule subscribes to its type any more.

        Raises `Refused` when the present code would apply it to another record.
        """
        match dead_letter.original:
            case DeadlineOriginal():
                work = look_at(dead_letter.subject or "", self._clock.now())
            case HandoffOriginal(from_subject=from_subject, item=item):
                work = self._reactor.handoff_work(from_subject, item)
            case PublicationOriginal():
                return None  # it has no stream, so nobody asks
            case MessageOriginal() as original:
                work = self._reader.read(message_of(original), self._clock.now()).work
                if work is None:
                    return None
        if work.subject != dead_letter.subject:
            raise Refused(
                "target-moved",
                "The current code would apply it to a different record than the one where it waits.",
                hint="Discard it, and have its publisher publish it again.",
            )
        return replace(work, redrive_options=RedriveOptions())

    def _discarding(self, dead_letter: DeadLetter) -> Work:
        work, original = self._work(dead_letter), dead_letter.original
        if work is None:
            raise Refused(
                "not-wanted",
                "The service no longer subscribes to this event type.",
                hint="Redrive it: this closes it.",
            )
        deadline = original.name if isinstance(original, DeadlineOriginal) else ""
        return replace(work, redrive_options=RedriveOptions(discard=True, deadline=deadline))

    async def _open(self, dead_letter_id: str) -> DeadLetter:
        dead_letter = await self._dead_letters.get(dead_letter_id)
        if dead_letter is None:
            raise Unknown("dead-letter")
        if dead_letter.status != OPEN:
            raise already_closed(dead_letter)
        return dead_letter

    async def _redrivable(self, dead_letter_id: str) -> tuple[DeadLetter, StreamKey]:
        dead_letter = await self._open(dead_letter_id)
        stream = stream_of(dead_letter)
        if stream is None:
            raise Refused(
                "not-redrivable",
                "Its publisher, its subject or its place in the order can't be determined.",
                hint="Discard it, and have its publisher publish it again.",
            )
        return dead_letter, stream

    async def audit_resume(self, who: Who, was: str | None) -> None:
        """Record that an operator has resumed a consumer; `was` is why it had halted."""
        await self._audit.end(await self._audit.begin("resume", who, {}), {"was": was})


def already_closed(dead_letter: DeadLetter) -> Refused:
    """Nothing waits any more."""
    return Refused(
        "already-closed",
        f"This dead letter is {dead_letter.status}.",
        hint="There is nothing left to do; GET /ops/dead-letters lists what is open.",
    )
