"""The reactor: load, decide, save, relay. Events, commands, handoffs and deadlines all take this one path.

The save uses optimistic locking. When another writer has changed the record since the load, the save fails, and the
reactor loads the record and decides its work again.

A crash at any point is harmless. Before the save, nothing has happened and the work arrives again. After the save and
before the commit of the offset, the inbox recognises the redelivery. After the commit, the sweep finds records whose
outbox or handoffs still wait. After a publish and before the outbox is cleared, events are published twice with the
same id and sequence, and consumers ignore the second copy.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

from shared.decision import Cause, Decision, State
from shared.errors import Refused, Unavailable
from shared.inbox import WINDOW
from shared.runtime.core import dead_letter, record_cache
from shared.runtime.core.dead_letter import DeadLetter
from shared.runtime.core.handoffs import HandoffRules
from shared.runtime.core.outbox import published_types
from shared.runtime.core.record import Record
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import Store
from shared.runtime.core.work import Decide, Outcome, StreamPosition, Work
from shared.runtime.logs import log
from shared.runtime.metrics import Metrics
from shared.runtime.places import first_place

OWN_STREAM: Final = "self|"
"""The prefix of the streams on which records of one service hand work to one another."""
OWN_WINDOW: Final = 1
"""Of a handoff one is enough: its id follows from its number."""
RACES_MAX: Final = 20
"""How often work that loses its race is decided again; after that the caller has to retry."""


class _Batch:
    """Works that are decided and saved together, and which of them are still to do."""

    __slots__ = ("cached", "numbered", "refused", "todo", "works")

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.refused: dict[str, Refused] = {}
        """By subject: why the store will never take what these works would make of the record."""
        self.todo: dict[str, list[int]] = defaultdict(list)
        """By subject, in their order: the indexes of the works that are not saved yet."""
        for index, work in enumerate(works):
            self.todo[work.subject].append(index)
        self.numbered = all(
            work.stream is not None and work.redrive_options is None for work in works
        )
        """Events and handoffs only: the inbox finds their repeats, so that cached records will do."""
        self.cached: set[str] = set()
        """The subjects whose record came from the cache, so that the store may have a newer one."""

    def work(self, index: int) -> Work:
        """One of the works; it raises the store's refusal when there was one."""
        work = self.works[index]
        error = self.refused.get(work.subject)
        return work if error is None else replace(work, decide=_refusing(error))

    def keep_only(self, subjects: Iterable[str]) -> None:
        """All others are saved."""
        self.todo = {subject: self.todo[subject] for subject in subjects}


class Reactor:
    """The only path on which a service changes a record."""

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
        """Decide and save all of it; order is preserved per subject. Returns an outcome for each, in order.

        Raises `Unavailable` when the store is away or an outbox is full: what was saved stays saved, and the inbox
        recognises it when the same work is submitted again.
        """
        started = perf_counter()
        batch = _Batch(works)
        outcomes: dict[int, Outcome] = {}
        for _ in range(RACES_MAX):
            records = await self._load(batch)
            decided = await self._decide(batch, records)
            lost = await self._save(batch, records, decided)
            outcomes |= decided  # of a subject that lost its race, the next round decides again
            if not lost:
                break
            batch.keep_only(lost)
        else:
            raise Unavailable("too-busy", "The record is changing too fast.", hint="Retry.")
        self._metrics.save_seconds.observe(perf_counter() - started)
        self._count(works, outcomes)
        return [outcomes[index] for index in range(len(works))]

    async def _load(self, batch: _Batch) -> dict[str, Record]:
        """The records of the batch: from the cache where it may be used, else from the store."""
        records = self._cache.get(batch.todo) if batch.numbered else {}
        batch.cached = set(records)
        missing = [subject for subject in batch.todo if subject not in records]
        if missing:
            records |= await self._store.load(missing, commands=not batch.numbered)
        return records

    async def _decide(self, batch: _Batch, records: dict[str, Record]) -> dict[int, Outcome]:
        """Run the rules in memory. Measuring a record costs as much as deciding, so that is done once, at the end.

        Some are loaded and decided once more, with a measurement after each decision: a record that has become too
        large, which refuses the one decision that is too much; and a cached one that does not change or fails. No save
        would find out that an operator has changed its inbox meanwhile, or would come before its dead letter.
        """
        decided = self._fold(batch, batch.todo, records, measured=False)
        failed = {batch.works[n].subject for n, found in decided.items() if found.status.is_failure}
        doubtful = [
            subject
            for subject in batch.todo
            if records[subject].outgrown()
            or (subject in batch.cached and (subject in failed or not records[subject].touched))
        ]
        if doubtful:
            records |= await self._store.load(doubtful, commands=not batch.numbered)
            again = {subject: batch.todo[subject] for subject in doubtful}
            decided |= self._fold(batch, again, records, measured=True)
        return decided

    async def _save(
        self, batch: _Batch, records: Mapping[str, Record], decided: Mapping[int, Outcome]
    ) -> set[str]:
        """Write dead letters, then records, then start the relay. Returns the subjects that lost a race.

        Optimistic locking: the store writes a record only while nobody else has written it since it was loaded.
        """
        await self._store.add_dead_letters(self._dead_letters(batch.works, decided, records))
        changed: list[Record] = []
        for record in records.values():
            if record.touched and record.unusable is not None:
                await self._store.block(record.subject, record.blocked)
            elif record.touched:
                changed.append(record)
        wall = datetime.now(UTC)
        try:
            lost = await self._store.save(changed, wall)
        except Refused:
            lost = await self._save_each(batch, changed, wall)
        if lost:
            self._cache.evict(lost)
            self._metrics.races_lost.inc(len(lost))
        self._after_save([record for record in changed if record.subject not in lost])
        return lost

    async def _save_each(
        self, batch: _Batch, records: Sequence[Record], wall: datetime
    ) -> set[str]:
        """Save one by one, so that a record which the store refuses for good does not hold up the others.

        Its works are decided once more, to a refusal or a blocked stream. Refused even so, it is left as it is: what
        was to be blocked has its dead letter already.
        """
        lost: set[str] = set()
        for record in records:
            try:
                lost |= await self._store.save([record], wall)
            except Refused as error:
                log.error("save.refused", subject=record.subject, error_code=error.code)
                if record.subject not in batch.refused:
                    batch.refused[record.subject] = error
                    lost.add(record.subject)
        return lost

    def _fold(
        self,
        batch: _Batch,
        todo: Mapping[str, Sequence[int]],
        records: Mapping[str, Record],
        *,
        measured: bool,
    ) -> dict[int, Outcome]:
        decided: dict[int, Outcome] = {}
        for subject, indexes in todo.items():
            record = records[subject]
            record.measured = measured
            for index in indexes:
                decided[index] = record.apply(batch.work(index), self.source)
        return decided

    def _dead_letters(
        self,
        works: Sequence[Work],
        decided: Mapping[int, Outcome],
        records: Mapping[str, Record],
    ) -> list[DeadLetter]:
        """A dead letter is written before the record's block, so that a crash between the two blocks it again.

        What is being redriven has its dead letter already.
        """
        wall = datetime.now(UTC)
        return [
            dead_letter.unapplied(work, outcome, records[work.subject], wall)
            for index, outcome in decided.items()
            if outcome.status.is_failure
            and (work := works[index]).original is not None
            and work.redrive_options is None
        ]

    def _after_save(self, records: Sequence[Record]) -> None:
        """Cache the saved records, and pass their new events and handoffs on."""
        self._cache.put(records)
        for record in records:
            if record.new_events:
                for event_type in published_types(record.new_events):
                    self._metrics.events_decided.labels(event_type).inc()
                self._relay.enqueue(record.subject, record.waiting_entries())
            elif self._relay.journal is not None:
                self._relay.enqueue(record.subject, [])  # no events, but the journal needs a copy
            if record.new_audit:
                self._relay.enqueue_audit(record.subject, record.waiting_audit())
            if record.new_handoffs:
                self.hand_over(record.subject, [*record.handoffs, *record.new_handoffs])

    def _count(self, works: Sequence[Work], outcomes: Mapping[int, Outcome]) -> None:
        counted = Counter((kind_of(works[n]), outcome.status) for n, outcome in outcomes.items())
        for (kind, status), count in counted.items():
            self._metrics.outcomes.labels(kind, status).inc(count)
        for index, outcome in outcomes.items():
            if outcome.status.is_failure:
                self._log_blocked(works[index], outcome)

    def _log_blocked(self, work: Work, outcome: Outcome) -> None:
        log.error(
            "work.blocked",
            subject=work.subject,
            reason=outcome.reason,
            exception=outcome.exception,
            where=outcome.where,
            field=outcome.field,
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
            except Exception as error:  # noqa: BLE001 - raised to the command's caller
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
            except Exception as error:  # noqa: BLE001 - raised to the command's caller
                _fail(future, error)
            else:
                if not future.done():
                    future.set_result(outcome)

    # --- work for neighbouring records -----------------------------------------------------------

    def hand_over(self, subject: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Apply a record's handoffs to their targets, in the background. After a crash the sweep does it."""
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
        """The work that a handoff of the record `subject` is for its target."""
        decide, unreadable, field = self._handoff_rule(item)
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
            field=field,
            stream=StreamPosition(
                f"{OWN_STREAM}{subject}",
                number,
                f"{item['cause_id']}#{number}",
                window=OWN_WINDOW,
            ),
            traceparent=item.get("traceparent"),
            original=lambda _record: dead_letter.handoff_original(subject, item),
        )

    def _handoff_rule(self, item: Mapping[str, Any]) -> tuple[Decide, str | None, str | None]:
        """The rule for a handoff, or why there is none and which field is at fault.

        Another version of the service may have written it.
        """
        field = None
        try:
            row = self._handoffs.find(item["body_type"])
            try:
                body = row.body.model_validate(item["body"])
            except ValueError as error:
                field = first_place(row.body, error)
                raise
        except (KeyError, ValueError):
            return _no_rule, "data-invalid", field
        return lambda state, cause: row.rule(state, body, cause), None, None

    def _handed(self, subject: str, task: asyncio.Task[None]) -> None:
        if self._handing.get(subject) is task:
            del self._handing[subject]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("handoff.delayed", subject=subject, exception=type(error).__name__)

    # --- the sweep: recovery after a crash --------------------------------------------------------

    async def sweep(self, before: datetime | None, buckets: Sequence[int]) -> int:
        """Resume what has waited since before `before` (wall time): outboxes, audit entries, handoffs. None: all.

        Returns how many records.
        """
        set_aside = self._store.set_aside
        found = await self._store.stranded(before, buckets, limit=500)
        stranded = [
            record
            for record in found
            if record.audit or record.handoffs or not set_aside.resting(record.subject)
        ]
        for record in stranded:
            if record.outbox or self._relay.journal is not None:
                self._relay.enqueue(record.subject, record.outbox)
            elif record.waiting is not None:  # for a journal that has been switched off since
                await self._store.clear_outboxes({record.subject: record.next_sequence - 1})
            if record.audit:
                self._relay.enqueue_audit(record.subject, record.audit)
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
    raise RuntimeError("an item without a rule is blocked before it is decided")


def _refusing(error: Refused) -> Decide:
    def decide(_state: State, _cause: Cause) -> Decision[State]:
        raise error

    return decide


def _fail(future: asyncio.Future[Outcome], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def window_of(stream: str) -> int:
    """How many items of a stream are remembered with their ids."""
    return OWN_WINDOW if stream.startswith(OWN_STREAM) else WINDOW
