"""The reactor: load, decide, save, relay. Events, commands, handoffs and deadlines all take this one path.

A crash at any point is harmless. Before the save, nothing happened and the work comes again. After the save and
before the offset is committed, redelivery finds the inbox and does nothing. After that, the sweep finds
records whose outbox or handoffs still wait. After a publish and before the emptying, events go out twice
with the same id and sequence, and consumers ignore the second.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

from shared.decision import Cause, Decision, State
from shared.errors import Unavailable
from shared.runtime.core import dead_letter, record_cache
from shared.runtime.core.handoffs import HandoffRules
from shared.runtime.core.record import (
    Decide,
    Outcome,
    Record,
    StreamPosition,
    Work,
    published_types,
)
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import Store
from shared.runtime.logs import log
from shared.runtime.metrics import Metrics

OWN_STREAM: Final = "self|"
"""The lines on which records of the same service leave work for one another begin so."""
RACES_MAX: Final = 20
"""How often work is decided again after losing a race before the caller is told to retry."""


class Reactor:
    """One service's one way of changing anything."""

    def __init__(
        self,
        source: str,
        store: Store,
        relay: Relay,
        metrics: Metrics,
        handoffs: HandoffRules,
        record_cache_max: int = record_cache.RECORDS_MAX,
    ) -> None:
        self.source: Final = source
        self._store = store
        self._relay = relay
        self._metrics = metrics
        self._handoffs = handoffs
        self._cache = record_cache.RecordCache(record_cache_max, relay.published_until)
        self._pending: list[tuple[Work, asyncio.Future[Outcome]]] = []
        self._drainer: asyncio.Task[None] | None = None
        self._handing: dict[str, asyncio.Task[None]] = {}

    # --- many at once: a batch from Kafka, the deadlines due, a sweep -----------------------------

    async def submit(self, works: Sequence[Work]) -> list[Outcome]:
        """Decide and save all of it; order is kept per subject. Returns an outcome for each, in order.

        Raises `Unavailable` when the store is away or an outbox is full: what was saved stays saved and
        is recognised when the same work is submitted again.
        """
        started = perf_counter()
        outcomes: dict[int, Outcome] = {}
        todo: dict[str, list[int]] = defaultdict(list)
        for index, work in enumerate(works):
            todo[work.subject].append(index)
        numbered = all(work.stream is not None and work.redrive_options is None for work in works)
        for _ in range(RACES_MAX):
            records = self._cache.take(todo) if numbered else {}
            cold = [subject for subject in todo if subject not in records]
            records |= await self._store.load(cold, commands=not numbered) if cold else {}
            fresh = self._fold(works, todo, records, measured=False)
            large = [subject for subject in todo if records[subject].outgrown()]
            if large:  # seldom: once more, to tell what is too much from what was not
                records |= await self._store.load(large, commands=not numbered)
                again = {subject: todo[subject] for subject in large}
                fresh |= self._fold(works, again, records, measured=True)
            await self._store.add_dead_letters(self._dead_letters(works, fresh, records))
            changed = [record for record in records.values() if record.touched]
            lost = await self._store.save(changed, datetime.now(UTC))
            for subject, indexes in todo.items():
                if subject not in lost:
                    outcomes |= {index: fresh[index] for index in indexes}
            self._saved([record for record in changed if record.subject not in lost])
            if not lost:
                break
            self._cache.forget(lost)
            self._metrics.races_lost.inc(len(lost))
            todo = {subject: todo[subject] for subject in lost}
        else:
            raise Unavailable("too-busy", "The record is changing too fast.", hint="Retry.")
        self._metrics.save_seconds.observe(perf_counter() - started)
        self._count(works, outcomes)
        return [outcomes[index] for index in range(len(works))]

    def _fold(
        self,
        works: Sequence[Work],
        todo: Mapping[str, Sequence[int]],
        records: Mapping[str, Record],
        *,
        measured: bool,
    ) -> dict[int, Outcome]:
        """Decide all of it, in memory. Measuring a record costs as much as deciding: done once, at the end."""
        fresh: dict[int, Outcome] = {}
        for subject, indexes in todo.items():
            record = records[subject]
            record.measured = measured
            for index in indexes:
                fresh[index] = record.apply(works[index], self.source)
        return fresh

    def _dead_letters(
        self,
        works: Sequence[Work],
        fresh: Mapping[int, Outcome],
        records: Mapping[str, Record],
    ) -> list[dict[str, Any]]:
        """A parked row is written before its marker, so that a crash between them parks it again.

        What is being redriven has its row already.
        """
        wall = datetime.now(UTC)
        return [
            dead_letter.blocked(work, outcome, records[work.subject], wall)
            for index, outcome in fresh.items()
            if outcome.status in ("blocked", "conflicting")
            and (work := works[index]).dead_letter is not None
            and work.redrive_options is None
        ]

    def _saved(self, records: Sequence[Record]) -> None:
        self._cache.keep(records)
        for record in records:
            if record.new_events:
                for event_type in published_types(record.new_events):
                    self._metrics.events_decided.labels(event_type).inc()
                self._relay.offer(record.subject, record.waiting_entries())
            elif self._relay.journal is not None:
                self._relay.offer(record.subject, [])  # says nothing, but has to be copied
            if record.new_handoffs:
                self.hand_over(record.subject, [*record.handoffs, *record.new_handoffs])

    def _count(self, works: Sequence[Work], outcomes: Mapping[int, Outcome]) -> None:
        counted = Counter((kind_of(works[n]), outcome.status) for n, outcome in outcomes.items())
        for (kind, status), count in counted.items():
            self._metrics.outcomes.labels(kind, status).inc(count)
        for index, outcome in outcomes.items():
            if outcome.status in ("blocked", "conflicting"):
                self._log_blocked(works[index], outcome)

    def _log_blocked(self, work: Work, outcome: Outcome) -> None:
        log.error(
            "work.parked",
            subject=work.subject,
            reason=outcome.reason,
            exception=outcome.exception,
            where=outcome.where,
            correlation_id=work.correlation_id,
            cause_id=work.cause_id,
        )

    # --- one at a time: a command ----------------------------------------------------------------

    async def execute(self, work: Work) -> Outcome:
        """Decide one command. Commands in flight are decided together, so that many cost one save.

        Raises what the rules raise, and `Unavailable`.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._pending.append((work, future))
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.create_task(self._drain(), name="commands")
        outcome = await future
        if outcome.error is not None:
            raise outcome.error
        return outcome

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:500], self._pending[500:]
            try:
                outcomes = await self.submit([work for work, _ in batch])
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the command
                if len(batch) > 1:  # one command's failure is not its neighbours'
                    await self._one_by_one(batch)
                else:
                    _fail(batch[0][1], error)
                continue
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    async def _one_by_one(self, batch: Sequence[tuple[Work, asyncio.Future[Outcome]]]) -> None:
        for work, future in batch:
            try:
                [outcome] = await self.submit([work])
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the command
                _fail(future, error)
            else:
                if not future.done():
                    future.set_result(outcome)

    # --- work for neighbouring records -----------------------------------------------------------

    def hand_over(self, subject: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Apply a record's handoffs to their targets, in the background. A crash leaves them to the sweep."""
        before = self._handing.get(subject)
        task = asyncio.create_task(
            self._hand_over(subject, items, before), name=f"handoff {subject}"
        )
        self._handing[subject] = task
        task.add_done_callback(lambda done: self._handed(subject, done))

    async def handed_over(self, subject: str, timeout_seconds: float) -> bool:
        """Wait until this record's handoffs are applied; False when they are still under way."""
        task = self._handing.get(subject)
        if task is None:
            return True
        done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
        return bool(done) and task.exception() is None

    async def _hand_over(
        self,
        subject: str,
        items: Sequence[Mapping[str, Any]],
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        for outcome in await self.submit([self.handoff_work(subject, item) for item in items]):
            if outcome.error is not None:  # a target's outbox is full: the sweep tries again
                raise outcome.error
        await self._store.clear_handoffs({subject: items[-1]["number"]})

    def handoff_work(self, subject: str, item: Mapping[str, Any]) -> Work:
        """What an item that the record `subject` left means for the record that it is for."""
        decide, unreadable = self._handoff_rule(item)
        number: int = item["number"]
        return Work(
            subject=item["subject"],
            name=item["body_type"],
            cause_id=item["cause_id"],
            correlation_id=item["correlation_id"],
            facility_id=item["facility_id"],
            actor_id=item["actor_id"],
            actor_role=item["actor_role"],
            now=datetime.fromisoformat(item["now"]),
            decide=decide,
            unreadable=unreadable,
            stream=StreamPosition(f"{OWN_STREAM}{subject}", number, f"{item['cause_id']}#{number}"),
            traceparent=item.get("traceparent"),
            dead_letter=lambda: dead_letter.of_handoff(subject, item),
        )

    def _handoff_rule(self, item: Mapping[str, Any]) -> tuple[Decide, str | None]:
        """The rule for an item, or why there is none: another version of the service may have left it."""
        try:
            row = self._handoffs.find(item["body_type"])
            body = row.body.model_validate(item["body"])
        except (KeyError, ValueError):
            return _no_rule, "data-invalid"
        return lambda state, cause: row.rule(state, body, cause), None

    def _handed(self, subject: str, task: asyncio.Task[None]) -> None:
        if self._handing.get(subject) is task:
            del self._handing[subject]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("handoff.delayed", subject=subject, exception=type(error).__name__)

    # --- what a crash left -----------------------------------------------------------------------

    async def sweep(self, before: datetime, buckets: Sequence[int]) -> int:
        """Take up outboxes and handoffs that have waited since before `before` (wall time)."""
        stranded = await self._store.stranded(before, buckets, limit=500)
        for record in stranded:
            if record.outbox or self._relay.journal is not None:
                self._relay.offer(record.subject, record.outbox)
            elif record.waiting is not None:  # for a journal that there was before
                await self._store.clear_outboxes({record.subject: record.next_sequence - 1})
            if record.handoffs and record.subject not in self._handing:
                self.hand_over(record.subject, record.handoffs)
        if stranded:
            self._metrics.swept.inc(len(stranded))
            log.info("sweep.found", count=len(stranded))
        return len(stranded)

    @property
    def busy(self) -> bool:
        """Commands or handoffs are under way in this process."""
        return bool(self._pending or self._handing) or not (
            self._drainer is None or self._drainer.done()
        )

    async def settle(self) -> None:
        """Wait for commands and handoffs under way; used when stopping."""
        while self.busy:
            tasks = [*self._handing.values()]
            if self._drainer is not None and not self._drainer.done():
                tasks.append(self._drainer)
            if tasks:
                await asyncio.wait(tasks)


def kind_of(work: Work) -> str:
    """What metrics and traces call this piece of work: a command, an event, a handoff or a deadline."""
    if work.command is not None:
        return "command"
    if work.stream is None:
        return "deadline"
    return "handoff" if work.stream.name.startswith(OWN_STREAM) else "event"


def _no_rule(_state: State, _cause: Cause) -> Decision[State]:
    raise RuntimeError("an item without a rule is parked before it is decided")


def _fail(future: asyncio.Future[Outcome], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
