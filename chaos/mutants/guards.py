"""The guards, and what is left when each is taken away. `before` stands exactly once in its file; a test holds that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNIT: Final = "tests/unit/runtime/"
STORE: Final = ("tests/integration/test_store_and_publisher.py",)
"""The suites that fakes and servers both run, here on a server."""
SIMULATION: Final = "chaos.simulation"
"""Instead of tests: simulated histories, of which one has to fail."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One guard, its source text with and without it, and the tests that have to fail then."""

    name: str
    """What the guard is for."""
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    """Files of tests, or `SIMULATION`; run in this order until one fails."""
    equivalent: str = ""
    """Why nothing can miss the guard, if nothing can: then no test runs."""


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"{UNIT}test_{name}.py" for name in names)


_CORE: Final = "shared/runtime/core/"
_KAFKA: Final = "shared/runtime/kafka/"

REACTOR: Final = (
    Mutant(
        "work that lost a race is decided again",
        f"{_CORE}reactor.py",
        "            if not lost:\n                break\n",
        "            break\n",
        _unit("reactor", "flow"),
    ),
    Mutant(
        "a cached record that does not change is decided on the stored one",
        f"{_CORE}reactor.py",
        "(subject in failed or not records[subject].touched))",
        "subject in failed)",
        _unit("set_back", "reactor", "record_cache"),
    ),
    Mutant(
        "what fails on a cached record is decided on the stored one before it becomes a dead letter",
        f"{_CORE}reactor.py",
        "(subject in failed or not records[subject].touched))",
        "not records[subject].touched)",
        (*_unit("reactor", "record_cache"), SIMULATION),
    ),
    Mutant(
        "a record that has become too large refuses the decision that is too much",
        f"{_CORE}reactor.py",
        "if records[subject].outgrown()\n",
        "if False\n",
        _unit("reactor", "record"),
    ),
    Mutant(
        "what is being redriven gets no second dead letter",
        f"{_CORE}reactor.py",
        "            and work.redrive_options is None\n        ]",
        "        ]",
        (),
        equivalent="its dead letter has the same id, and what is stored already stays: only a write is saved",
    ),
    Mutant(
        "a record that the store refuses does not hold up the others",
        f"{_CORE}reactor.py",
        "            lost = await self._save_each(batch, changed, wall)\n",
        "            raise\n",
        ("tests/hostile/test_outgoing.py",),
    ),
    Mutant(
        "a record that lost its race leaves the cache",
        f"{_CORE}reactor.py",
        "            self._cache.evict(lost)\n",
        "",
        _unit("reactor", "record_cache"),
    ),
    Mutant(
        "nothing of a lost race is published",
        f"{_CORE}reactor.py",
        "self._after_save([record for record in changed if record.subject not in lost])",
        "self._after_save(changed)",
        (*_unit("reactor", "flow"), SIMULATION),
    ),
    Mutant(
        "the journal gets a copy of a record that publishes nothing",
        f"{_CORE}reactor.py",
        "            elif self._relay.journal is not None:\n",
        "            elif False:\n",
        _unit("relay"),
    ),
    Mutant(
        "all handoffs that wait are handed over, not the new ones alone",
        f"{_CORE}reactor.py",
        "self.hand_over(record.subject, [*record.handoffs, *record.new_handoffs])",
        "self.hand_over(record.subject, record.new_handoffs)",
        (*_unit("reactor", "crashes"), SIMULATION),
    ),
    Mutant(
        "one command's failure is not its neighbours'",
        f"{_CORE}reactor.py",
        "                    await self._one_by_one(batch)\n",
        "                    for _work, future in batch:\n                        _fail(future, error)\n",
        _unit("reactor"),
    ),
    Mutant(
        "a record's handoffs go one after another",
        f"{_CORE}reactor.py",
        "            await asyncio.wait({before})\n",
        "            pass\n",
        (),
        equivalent="each time all that waits is handed over, from the first: the inbox drops the repeats",
    ),
    Mutant(
        "a handoff whose target is full stays",
        f"{_CORE}reactor.py",
        "            if outcome.error is not None:  # a target's outbox is full: the sweep tries again\n"
        "                raise outcome.error\n",
        "            del outcome\n",
        _unit("reactor", "flow"),
    ),
    Mutant(
        "the sweep does not hand over what is being handed over",
        f"{_CORE}reactor.py",
        "if record.handoffs and record.subject not in self._handing:",
        "if record.handoffs:",
        (),
        equivalent="all that waits is handed over once more, and the inbox drops the repeats",
    ),
    Mutant(
        "the first publish is of the whole outbox",
        f"{_CORE}reactor.py",
        "self._relay.enqueue(record.subject, record.waiting_entries())",
        "self._relay.enqueue(record.subject, record.new_events)",
        (*_unit("reactor", "flow"), SIMULATION),
    ),
    Mutant(
        "the service hands over nothing that is set aside",
        f"{_CORE}reactor.py",
        "if record.audit or record.handoffs or not set_aside.resting(record.subject)\n",
        "if True\n",
        ("tests/hostile/test_outgoing.py", "tests/hostile/test_large_messages.py"),
    ),
)

CACHE: Final = (
    Mutant(
        "a cached record whose events are not known to be published is not used",
        f"{_CORE}record_cache.py",
        "if self._published(subject) < record.next_sequence - 1:",
        "if False:",
        (*_unit("record_cache", "reactor"), SIMULATION),
    ),
    Mutant(
        "a cached record is never replaced by an older one",
        f"{_CORE}record_cache.py",
        "if cached is not None and cached.version > record.version:",
        "if False:",
        _unit("record_cache", "reactor"),
    ),
    Mutant(
        "a record with handoffs is not cached",
        f"{_CORE}record_cache.py",
        "            if record.handoffs or record.new_handoffs:\n                continue\n",
        "",
        (*_unit("record_cache", "reactor"), SIMULATION),
    ),
)

RECORD: Final = (
    Mutant(
        "a number with another id is a conflict",
        f"{_CORE}record.py",
        "if place is inbox.Place.CONFLICTING:",
        "if False:",
        _unit("record", "forged_numbers"),
    ),
    Mutant(
        "an item that comes too late is no duplicate",
        f"{_CORE}record.py",
        "if place is inbox.Place.MISSED:",
        "if False:",
        _unit("record", "forged_numbers"),
    ),
    Mutant(
        "what comes behind a blocked item waits",
        f"{_CORE}record.py",
        "if stream.name in self.blocked and work.redrive_options is None:",
        "if False:",
        _unit("record", "reactor"),
    ),
    Mutant(
        "a number above its place on the topic is blocked",
        f"{_CORE}record.py",
        "if stream.sequence > stream.sequence_max:",
        "if False:",
        _unit("record", "forged_numbers"),
    ),
    Mutant(
        "an event of another facility is blocked",
        f"{_CORE}record.py",
        "        elif self._is_foreign(work) and not self.kind.serves_all:\n",
        "        elif False:\n",
        (*_unit("record", "forged_numbers"), "tests/hostile/test_envelopes.py"),
    ),
    Mutant(
        "a command of another facility is refused",
        f"{_CORE}record.py",
        "        if self._is_foreign(work):\n            return",
        "        if False:\n            return",
        _unit("record", "reactor"),
    ),
    Mutant(
        "an idempotency key with another body is refused",
        f"{_CORE}record.py",
        'if known["body_hash"] != command.body_hash:',
        "if False:",
        _unit("record", "reactor"),
    ),
    Mutant(
        "If-Match is honoured",
        f"{_CORE}record.py",
        "if command.revision is not None and command.revision != self.revision:",
        "if False:",
        _unit("record", "reactor"),
    ),
    Mutant(
        "a deadline that does not advance is no endless loop",
        f"{_CORE}record.py",
        "if again is not None and again <= due:",
        "if False:",
        _unit("record", "reactor"),
    ),
    Mutant(
        "an outbox is bounded",
        f"{_CORE}record.py",
        "if len(waiting) > MAX_OUTBOX or (",
        "if (",
        _unit("record", "reactor"),
    ),
    Mutant(
        "a discarded item leaves what was applied as it was",
        "shared/inbox.py",
        "    return known[0], known[1], discarded[-_DISCARDED_BYTES:]\n",
        "    return number, known[1], discarded[-_DISCARDED_BYTES:]\n",
        _unit("inbox", "set_back", "forged_numbers"),
    ),
    Mutant(
        "a window that is not full holds all that was applied",
        "shared/inbox.py",
        "return min(map(_number, entries)) if len(entries) >= kept else 0",
        "return min(map(_number, entries), default=0)",
        _unit("inbox", "forged_numbers"),
    ),
    Mutant(
        "a window that was set back keeps its floor",
        "shared/inbox.py",
        "    if floor:\n",
        "    if False:\n",
        _unit("inbox"),
    ),
    Mutant(
        "a discarded item is recognised when it comes again",
        "shared/inbox.py",
        "if entry in _split(window) or entry in _split(discarded):",
        "if entry in _split(window):",
        _unit("inbox", "set_back", "redrive"),
    ),
    Mutant(
        "what a set-back takes away counts as discarded",
        "shared/inbox.py",
        "    return number, stay, (known[2] + go)[-_DISCARDED_BYTES:]",
        "    return number, stay, known[2]",
        _unit("inbox", "set_back"),
    ),
)

STORED: Final = (
    Mutant(
        "a save is guarded by the version that was loaded",
        f"{_CORE}documents.py",
        'guard = {"_id": record.subject, "version": record.version}',
        'guard = {"_id": record.subject}',
        STORE,
    ),
    Mutant(
        "only an unknown record is inserted",
        f"{_CORE}documents.py",
        "return UpdateOne(guard, change, upsert=record.version == 0)",
        "return UpdateOne(guard, change, upsert=True)",
        _unit("record_cache"),
    ),
    Mutant(
        "a record waits since its first event, not its last",
        f"{_CORE}documents.py",
        'values["waiting"] = record.waiting or wall',
        'values["waiting"] = wall',
        STORE,
    ),
    Mutant(
        "an outbox that has grown is not emptied",
        f"{_CORE}store.py",
        '                {"_id": subject, "next_sequence": last + 1},\n',
        '                {"_id": subject},\n',
        STORE,
    ),
    Mutant(
        "handoffs that have grown are not emptied",
        f"{_CORE}store.py",
        '                {"_id": subject, "next_handoff": last + 1},\n',
        '                {"_id": subject},\n',
        STORE,
    ),
    Mutant(
        "an outbox whose record was saved again is not emptied by the journal",
        f"{_CORE}store.py",
        '                {"_id": subject, "version": version},\n',
        '                {"_id": subject},\n',
        STORE,
    ),
    Mutant(
        "a save that was overtaken has lost",
        f"{_CORE}store.py",
        "            if written != len(guarded):\n",
        "            if False:\n",
        STORE,
    ),
    Mutant(
        "what a wrong clock left waiting is found",
        f"{_CORE}store.py",
        'else [{"$lt": before}, {"$gt": before + YOUNG}]',
        'else [{"$lt": before}]',
        STORE,
    ),
    Mutant(
        "a sweep keeps to its own partitions",
        f"{_CORE}store.py",
        'others = not_newer(self._kinds) | {"bucket": {"$in": list(buckets)}}',
        "others = not_newer(self._kinds)",
        STORE,
    ),
    Mutant(
        "blocked deadlines are not looked for",
        f"{_CORE}store.py",
        "            if DEADLINES in streams:\n",
        "            if False:\n",
        (*STORE, "tests/hostile/test_stored_records.py"),
    ),
)

RELAY: Final = (
    Mutant(
        "what was queued again meanwhile stays in the queue",
        f"{_CORE}relay.py",
        "if self._queue.get(subject) is entries:  # else",
        "if subject in self._queue:  # else",
        _unit("relay"),
    ),
    Mutant(
        "the queue is bounded",
        f"{_CORE}relay.py",
        "        if subject not in self._queue and len(self._queue) >= self._subjects_max:\n            return\n",
        "",
        _unit("flow", "reactor", "crashes"),
    ),
    Mutant(
        "a full queue holds the consumer back",
        f"{_CORE}relay.py",
        "            self._capacity.clear()\n",
        "            pass\n",
        _unit("flow", "reactor", "crashes"),
    ),
    Mutant(
        "a copy that a newer save has overtaken is written again",
        f"{_CORE}relay.py",
        'if document["version"] != versions.get(subject):',
        "if False:",
        _unit("relay"),
    ),
    Mutant(
        "what the broker refuses is not taken for published",
        f"{_CORE}relay.py",
        "            if subject not in refused:\n                self._count_published",
        "            if True:\n                self._count_published",
        _unit("relay"),
    ),
    Mutant(
        "a damaged outbox is set aside",
        f"{_CORE}relay.py",
        "                check_entry(entry)\n",
        "                pass\n",
        _unit("relay"),
    ),
)

CONSUMER: Final = (
    Mutant(
        "offsets are committed after the save",
        f"{_KAFKA}consumer.py",
        "        read, dead_letters = self._read(batch)\n",
        "        await self._complete(batch)\n        works, dead_letters = self._read(batch)\n",
        (*_unit("flow", "consumer_positions"), SIMULATION),
    ),
    Mutant(
        "a batch that failed is fetched again",
        f"{_KAFKA}consumer.py",
        "                self._rewind(first)\n            else:\n",
        "            else:\n",
        _unit("batches"),
    ),
    Mutant(
        "a batch that was cancelled is fetched again",
        f"{_KAFKA}consumer.py",
        "            except asyncio.CancelledError:\n                self._rewind(first)\n",
        "            except asyncio.CancelledError:\n",
        _unit("batches"),
    ),
    Mutant(
        "an offset that is missing is looked for again",
        f"{_KAFKA}positions.py",
        "if offset > expected and self._sought.get(partition) != expected:",
        "if False:",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "a topic that is shorter than what was applied of it stops the service",
        f"{_KAFKA}positions.py",
        "        if ends[partition] < expected:\n",
        "        if False:\n",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "what retention has removed stops the service",
        f"{_KAFKA}positions.py",
        "        if expected >= beginning or self._removed.get(partition, 0) >= beginning:\n",
        "        if True:\n",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "the lower of the committed offset and the store's note counts",
        f"{_KAFKA}positions.py",
        "wanted = min(offset or 0, noted.get(place(partition), offset or 0))",
        "wanted = offset or 0",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "a position that a batch has reached meanwhile stays",
        f"{_KAFKA}positions.py",
        "self._expected.setdefault(partition, max(wanted, beginning))",
        "self._expected[partition] = max(wanted, beginning)",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "deadlines are those of partitions held of every topic",
        f"{_KAFKA}positions.py",
        " if topics == len(self._topics))",
        ")",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "what was given out and not applied is not caught up with",
        f"{_KAFKA}positions.py",
        "                or expected < self._taken.get(partition, 0)\n",
        "",
        _unit("positions", "consumer_positions"),
    ),
    Mutant(
        "a batch from before a revocation moves no position after it",
        f"{_KAFKA}consumer.py",
        "            self._positions.forget()\n            self._positions.assigned()\n",
        "            self._positions.assigned()\n",
        _unit("batches"),
    ),
    Mutant(
        "many dead letters in a row halt the consumer",
        f"{_KAFKA}consumer.py",
        "        if self._circuit_breaker.trips(successes):\n",
        "        if False:\n",
        (
            *_unit("circuit_breaker", "flow", "consumer_positions"),
            "tests/integration/test_consumer.py",
        ),
    ),
)

TIMERS: Final = (
    Mutant(
        "no deadline fires before the topics are caught up with",
        "shared/runtime/timers.py",
        "            if not await self._consumer.caught_up():\n",
        "            if False:\n",
        (*_unit("flow", "wall_clock"), SIMULATION),
    ),
    Mutant(
        "no deadline fires on a clock that is wrong",
        "shared/runtime/timers.py",
        "            if self._wall_clock is not None and not await self._wall_clock.agrees():\n",
        "            if False:\n",
        _unit("wall_clock"),
    ),
    Mutant(
        "no deadline fires of partitions that came while the store told the time",
        "shared/runtime/timers.py",
        "            if self._wall_clock is not None and not await self._consumer.caught_up():\n",
        "            if False:\n",
        _unit("wall_clock"),
    ),
    Mutant(
        "no event is applied on a clock that is wrong",
        "shared/runtime/kafka/consumer.py",
        "        if self._wall_clock is not None and self._wall_clock.differs:\n",
        "        if False:\n",
        _unit("consumer_positions"),
    ),
    Mutant(
        "a replica fires the deadlines of its own partitions alone",
        "shared/runtime/timers.py",
        "            buckets = self._consumer.firing_buckets\n",
        "            buckets = range(PARTITIONS)\n",
        (*_unit("flow"), "tests/integration/test_consumer_groups.py"),
    ),
    Mutant(
        "a start resumes what waits in any partition",
        "shared/runtime/recovery/sweep.py",
        "found = await self._reactor.sweep(None, range(PARTITIONS))",
        "found = await self._reactor.sweep(None, self._consumer.buckets)",
        (*_unit("flow"), "tests/integration/test_lifecycle.py"),
    ),
    Mutant(
        "a store without what the topic holds is refused",
        f"{_KAFKA}startup_checks.py",
        "and records[subject].next_sequence <= event.sequence\n",
        "and False\n",
        (SIMULATION, "tests/integration/test_lifecycle.py"),
    ),
)

MUTANTS: Final = (*REACTOR, *CACHE, *RECORD, *STORED, *RELAY, *CONSUMER, *TIMERS)
