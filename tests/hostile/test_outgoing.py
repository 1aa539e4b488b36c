"""Row 1: whole events are measured before they are stored; what broker or store refuse for its size holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts.event import MAX_EVENT_BYTES, event_bytes
from shared.decision import Decision
from shared.errors import CareError, NotStorable, TooLarge, Unavailable
from shared.runtime import retry, set_aside
from shared.runtime.core import record as record_module
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record import MAX_OUTBOX_BYTES
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import OutcomeStatus
from shared.runtime.metrics import Metrics
from shared.runtime.set_aside import UNPUBLISHED
from shared.runtime.timers import look_at
from shared.testing.fakes import MemoryJournal, MemoryPublisher, MemoryStore, decoded, encoded
from tests.unit.runtime.toy import (
    ALL,
    EPISODES,
    HANDOFFS,
    KINDS,
    SOURCE,
    START,
    Counted,
    EpisodeState,
    Feed,
    add,
    arm,
    command,
)

BAD, GOOD = EPISODES[0], EPISODES[1]
LATER = datetime(9999, 1, 1, tzinfo=UTC)
Rule = Callable[[Any, Any], Decision[EpisodeState]]


def speaking(*lengths: int) -> Rule:
    """A rule that publishes events of these lengths."""

    def rule(state: EpisodeState, _cause: Any) -> Decision[EpisodeState]:
        events = tuple(Counted(total=1, why="x" * length) for length in lengths)
        return Decision(state.replace(total=state.total + 1), events)

    return rule


class Running:
    """A reactor with its relay on a store in memory, whose broker takes messages up to a size."""

    def __init__(self, store: MemoryStore, *, journaled: bool = False) -> None:
        self.store = store
        self.publisher = MemoryPublisher()
        self.metrics = Metrics()
        journal = MemoryJournal() if journaled else None
        self.relay = Relay(store, self.publisher, self.metrics, 100, journal)
        self.reactor = Reactor(SOURCE, store, self.relay, self.metrics, HANDOFFS)

    def published(self, subject: str) -> list[int]:
        messages = self.publisher.topic.messages
        return [int(headers["ce_sequence"]) for name, headers, _ in messages if name == subject]

    async def quiet(self) -> None:
        await self.reactor.settle()
        await asyncio.wait_for(self.relay.flushed(), 10)


@pytest.fixture(params=[False, True], ids=["plain", "journaled"])
async def running(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)
    it = Running(MemoryStore(KINDS, journaled=request.param), journaled=request.param)
    task = asyncio.create_task(it.relay.run())
    yield it
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


SIZES = {
    "far too large": MAX_EVENT_BYTES * 3,
    "one byte above the limit, as data alone": MAX_EVENT_BYTES + 1,
    "at the limit as data alone, above it with its headers": MAX_EVENT_BYTES - 30,
    "above it by its longest headers": MAX_EVENT_BYTES - 400,
}


@pytest.mark.parametrize("name", SIZES)
async def test_a_whole_event_is_measured_before_it_is_stored(running: Running, name: str) -> None:
    with pytest.raises(TooLarge) as refused:
        await running.reactor.execute(command(BAD, speaking(SIZES[name]), "large"))
    assert refused.value.code == "event-too-large"
    assert (await running.store.load([BAD]))[BAD].is_new
    await running.reactor.execute(command(GOOD, add(1), "good"))
    await running.quiet()
    assert running.published(GOOD) == [1]


async def test_the_largest_event_that_is_accepted_is_published(running: Running) -> None:
    await running.reactor.execute(command(GOOD, speaking(1), "small"))
    await running.quiet()
    [(subject, headers, data)] = running.publisher.topic.messages
    pairs = [(name, text.encode()) for name, text in headers.items()]
    room = MAX_EVENT_BYTES - event_bytes(subject.encode(), pairs, len(data))
    await running.reactor.execute(command(GOOD, speaking(1 + room), "large"))
    with pytest.raises(TooLarge):
        await running.reactor.execute(command(GOOD, speaking(2 + room), "too large"))
    await running.quiet()
    assert running.published(GOOD) == [1, 2]


async def test_a_long_trace_reaches_neither_outbox_nor_handoff(running: Running) -> None:
    work = command(GOOD, add(2), "traced")
    work.traceparent = "0" * 1_050_000
    await running.reactor.execute(work)
    await running.quiet()
    assert running.published(GOOD) == [1, 2]
    assert all(
        "ce_traceparent" not in headers for _, headers, _ in running.publisher.topic.messages
    )


async def test_an_outbox_is_bounded_by_its_bytes() -> None:
    """While the broker is away, a record stays small enough for the store."""
    running = Running(MemoryStore(KINDS))
    each = 400_000
    for number in range(MAX_OUTBOX_BYTES // each):
        await running.reactor.execute(command(BAD, speaking(each), f"key {number}"))
    with pytest.raises(Unavailable) as full:
        await running.reactor.execute(command(BAD, speaking(each), "one too many"))
    assert full.value.code == "outbox-full"
    assert len(running.store.disk.records[BAD]) < MAX_OUTBOX_BYTES + each
    await running.reactor.execute(command(GOOD, speaking(each), "another record"))


# --- what the broker refuses ---------------------------------------------------------------------------------

REFUSED = {
    "alone": [900],
    "first of three": [900, 10, 10],
    "second": [10, 900, 10],
    "last": [10, 10, 900],
    "all": [900, 900, 900],
    "twice": [900, 10, 900],
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_record_that_the_broker_refuses_holds_up_no_other(
    running: Running, name: str
) -> None:
    running.publisher.topic.bytes_max = 1_200
    lengths = REFUSED[name]
    await running.reactor.execute(command(BAD, speaking(*lengths), "bad"))
    others = [running.reactor.execute(command(GOOD, add(1), f"good {n}")) for n in range(5)]
    await asyncio.gather(*others)
    await running.quiet()
    assert running.relay.healthy
    assert list(dict.fromkeys(running.published(GOOD))) == [1, 2, 3, 4, 5, 6, 7]
    refused_at = lengths.index(900) + 1
    before = list(range(1, refused_at))
    assert list(dict.fromkeys(running.published(BAD))) == before, "what follows waits, in order"
    [row] = running.store.disk.dead_letter_documents()
    assert (row["kind"], row["reason"], row["sequence"]) == ("publication", "too-large", refused_at)
    assert (row["subject"], row["redrivable"]) == (BAD, False)
    assert running.store.set_aside.view() == [{"subject": BAD, "reason": UNPUBLISHED}]
    for _ in range(3):  # neither the sweep nor new work makes it loop
        assert await running.reactor.sweep(LATER, ALL) == 0
    await running.reactor.execute(command(BAD, add(1), "more"))
    await running.quiet()
    assert list(dict.fromkeys(running.published(BAD))) == before


async def test_when_the_broker_takes_it_the_next_start_publishes_it_in_order(
    running: Running,
) -> None:
    running.publisher.topic.bytes_max = 1_200
    await running.reactor.execute(command(BAD, speaking(10, 900, 10), "bad"))
    await running.quiet()
    journaled = running.relay.journal is not None
    again = Running(MemoryStore(KINDS, running.store.disk, journaled=journaled))
    relay = asyncio.create_task(again.relay.run())
    assert await again.reactor.sweep(LATER, ALL) == 1
    await again.quiet()
    assert again.published(BAD) == [1, 2, 3]
    relay.cancel()


async def test_when_the_broker_takes_it_the_running_service_publishes_it_in_order(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(set_aside, "monotonic", lambda: now[0])
    running.publisher.topic.bytes_max = 1_200
    await running.reactor.execute(command(BAD, speaking(10, 900, 10), "bad"))
    await running.quiet()
    for _ in range(2):  # tried again, and refused again: one dead letter, counted once
        now[0] += set_aside.TRY_AGAIN_SECONDS
        assert await running.reactor.sweep(LATER, ALL) == 1
        await running.quiet()
        assert await running.reactor.sweep(LATER, ALL) == 0
        assert running.published(BAD)[-1] == 1
    assert len(running.store.disk.dead_letter_documents()) == 1
    running.publisher.topic.bytes_max = 10**6
    now[0] += set_aside.TRY_AGAIN_SECONDS
    assert await running.reactor.sweep(LATER, ALL) == 1
    await running.quiet()
    assert list(dict.fromkeys(running.published(BAD))) == [1, 2, 3]
    assert not running.store.set_aside


async def test_a_full_outbox_of_one_that_the_broker_refuses_blocks_its_stream_alone(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "MAX_OUTBOX", 3)
    running.publisher.topic.bytes_max = 1_200
    await running.reactor.execute(command(BAD, speaking(900, 10), "bad"))
    await running.quiet()
    feed = Feed()
    works = [feed.says(BAD, arm), *(feed.says(BAD, add(1)) for _ in range(3))]
    works += [feed.says(GOOD, add(1))]
    outcomes = await running.reactor.submit(works)
    assert [one.error for one in outcomes] == [None] * len(works)
    assert "outbox-full" in [one.exception for one in outcomes[1:4]]
    assert outcomes[-1].status is OutcomeStatus.APPLIED
    [fired] = await running.reactor.submit([look_at(BAD, START + timedelta(hours=9))])
    assert fired.error is None
    with pytest.raises(CareError) as refused:
        await running.reactor.execute(command(BAD, add(1), "more"))
    assert (refused.value.code, refused.value.status) == ("outbox-full", 409)


async def test_what_else_waits_in_a_record_that_the_broker_refuses_is_swept(
    running: Running,
) -> None:
    """Its handoffs, and its entries of the audit: both failed once."""
    running.publisher.topic.bytes_max = 1_200
    await running.reactor.execute(command(BAD, speaking(900), "bad"))
    await running.quiet()
    document = decoded(running.store.disk.records[BAD])
    item = {"number": 1, "subject": GOOD, "body_type": "Join", "body": {"weight": 1}}
    item |= dict.fromkeys(("cause_id", "correlation_id", "actor_id", "actor_role"), "system")
    item |= {"facility_id": "harbor-iop", "now": START.isoformat()}
    entry = {"_id": "entry", "number": 1, "at": START}
    document |= {"handoffs": [item], "handing": START, "next_handoff": 2}
    document |= {"audit": [entry], "auditing": START, "next_audit": 2}
    running.store.disk.records[BAD] = encoded(document)
    assert await running.reactor.sweep(LATER, ALL) == 1
    await running.quiet()
    after = decoded(running.store.disk.records[BAD])
    assert (after["handoffs"], after["audit"]) == ([], [])
    assert running.published(GOOD)
    assert set(running.store.disk.audit) >= {"entry"}
    assert await running.reactor.sweep(LATER, ALL) == 0


async def test_a_copy_that_the_journal_refuses_holds_up_no_other(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = running.relay.journal
    if journal is None:
        return
    append = journal.append

    async def refusing(documents: Any) -> None:
        found = list(documents)
        if any(document["_id"] == BAD for document in found):
            raise TooLarge("event-too-large", "A test refuses it.")
        await append(found)

    monkeypatch.setattr(journal, "append", refusing)
    await running.reactor.execute(command(BAD, add(1), "bad"))
    await running.reactor.execute(command(GOOD, add(1), "good"))
    await running.quiet()
    assert (running.published(BAD), running.published(GOOD)) == ([], [1])
    assert running.relay.healthy


# --- what the store refuses ----------------------------------------------------------------------------------

REFUSALS: dict[str, Callable[[], CareError]] = {
    "a document that is too large": lambda: TooLarge("record-too-large", "A test refuses it."),
    "a value that can't be kept": lambda: NotStorable("record-not-storable", "A test refuses it."),
}


class RefusingStore(MemoryStore):
    """Refuses every save that would change the state of one record; a mark alone it takes."""

    error: Callable[[], CareError]

    async def save(self, records: Any, wall: datetime) -> set[str]:
        written: list[Any] = []
        for record in records:
            if record.subject == BAD and record.revision:
                await super().save(written, wall)  # unordered: others may be saved
                raise self.error()
            written.append(record)
        return await super().save(records, wall)


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("what", ["event", "command", "an event that sets a deadline"])
async def test_a_record_that_the_store_refuses_holds_up_no_other(name: str, what: str) -> None:
    store = RefusingStore(KINDS)
    store.error = REFUSALS[name]
    running, feed = Running(store), Feed()
    neighbours = [feed.says(GOOD, add(1)) for _ in range(3)]
    code = REFUSALS[name]().code
    if what == "command":
        with pytest.raises(CareError) as refused:
            await running.reactor.execute(command(BAD, add(1), "bad"))
        assert refused.value.code == code
        outcomes = await running.reactor.submit(neighbours)
        assert BAD not in store.disk.records
    else:
        rule = add(1) if what == "event" else arm
        works = [neighbours[0], feed.says(BAD, rule), *neighbours[1:], feed.says(BAD, add(2))]
        outcomes = await running.reactor.submit(works)
        assert [outcomes[1].status, outcomes[4].status] == [OutcomeStatus.BLOCKED] * 2
        reasons = {row["reason"]: row for row in store.disk.dead_letter_documents()}
        assert reasons["decision-refused"]["exception"] == code
        assert "stream-blocked" in reasons
        assert "feed" in decoded(store.disk.records[BAD])["blocked"]
    assert all(outcome.error is None for outcome in outcomes)
    assert (await running.store.load([GOOD]))[GOOD].state.model_dump()["total"] == 3


def test_the_fake_refuses_what_mongodb_refuses() -> None:
    with pytest.raises(TooLarge):
        encoded({"_id": "x", "data": b"x" * 17_000_000})
    with pytest.raises(NotStorable):
        encoded({"_id": "x", "number": 2**80})
