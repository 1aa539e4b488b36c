"""The reactor, the relay and the timers on the fakes: what goes wrong there must neither spread nor be silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from shared.decision import Decision
from shared.errors import NotYetKnown, Refused, Unavailable
from shared.runtime import retry
from shared.runtime.clock import SteppedClock
from shared.runtime.core import record as record_module
from shared.runtime.core.deadlines import Deadlines, due
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import OutcomeStatus
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.metrics import Metrics
from shared.runtime.timers import Timers
from shared.testing.fakes import MemoryPublisher, MemoryStore, Seam, When
from tests.unit.runtime.toy import (
    ALL,
    EPISODES,
    HANDOFFS,
    KINDS,
    SESSION,
    SOURCE,
    START,
    EpisodeState,
    Feed,
    Join,
    add,
    arm,
    command,
    gather,
    poison,
)

TURNS = 2_000


class Running:
    """A reactor with its relay, on the fakes."""

    def __init__(self, *, queue: int = 100) -> None:
        self.seam = Seam()
        self.store = MemoryStore(KINDS, seam=self.seam)
        self.publisher = MemoryPublisher(seam=self.seam)
        self.metrics = Metrics()
        self.relay = Relay(self.store, self.publisher, self.metrics, queue)
        self.clock = SteppedClock()
        self.reactor = Reactor(SOURCE, self.store, self.relay, self.metrics, HANDOFFS)

    async def state(self, subject: str) -> Any:
        return (await self.store.load([subject]))[subject].state

    async def quiet(self) -> None:
        await self.reactor.settle()
        await self.relay.flushed()

    async def sweep(self) -> int:
        return await self.reactor.sweep(datetime.now(UTC) + timedelta(hours=1), ALL)


async def turns_until(condition: Callable[[], Any]) -> None:
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not happen")


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)
    it = Running()
    relay = asyncio.create_task(it.relay.run())
    yield it
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)


async def test_fifty_commands_at_once_cost_a_few_saves(running: Running) -> None:
    commands = [command(EPISODES[0], add(1), f"key {n}") for n in range(50)]
    outcomes = await asyncio.gather(*(running.reactor.execute(work) for work in commands))
    assert sorted(outcome.revision for outcome in outcomes) == list(range(1, 51))
    assert (await running.state(EPISODES[0])).total == 50
    assert running.seam.calls.count("save") <= 3


async def test_one_commands_failure_is_not_its_neighbours(running: Running) -> None:
    def refuse(_state: Any, _cause: Any) -> Any:
        raise NotYetKnown("episode")

    works = [
        command(EPISODES[0], add(1), "good"),
        command(EPISODES[0], poison, "bug"),
        command(EPISODES[0], refuse, "refused"),
        command(EPISODES[1], add(1), "neighbour"),
    ]
    done = await asyncio.gather(
        *(running.reactor.execute(work) for work in works), return_exceptions=True
    )
    assert [type(one).__name__ for one in done] == [
        "Outcome",
        "ValueError",
        "NotYetKnown",
        "Outcome",
    ]
    assert (await running.state(EPISODES[0])).total == 1
    assert (await running.state(EPISODES[1])).total == 1


@pytest.mark.parametrize("together", [True, False])
async def test_a_command_is_known_after_events_were_heard(
    running: Running, *, together: bool
) -> None:
    """Events are decided without the commands that a record remembers; both may come in one batch."""
    work, feed = command(EPISODES[0], add(1), "key"), Feed()
    await running.reactor.execute(work)
    heard = feed.says(EPISODES[0], add(2))
    batches = [[heard, work]] if together else [[heard], [work]]
    outcomes = [outcome for batch in batches for outcome in await running.reactor.submit(batch)]
    assert [outcome.status for outcome in outcomes] == [
        OutcomeStatus.APPLIED,
        OutcomeStatus.REPLAYED,
    ]
    assert (await running.state(EPISODES[0])).total == 3


async def test_a_command_whose_save_was_not_confirmed_is_answered_when_repeated(
    running: Running,
) -> None:
    running.seam.at, running.seam.when = 2, When.AFTER  # load, save
    work = command(EPISODES[0], add(1), "key")
    with pytest.raises(Unavailable):
        await running.reactor.execute(work)
    outcome = await running.reactor.execute(work)
    assert (outcome.status, outcome.revision) == (OutcomeStatus.REPLAYED, 1)
    assert (await running.state(EPISODES[0])).total == 1


async def test_too_many_lost_races_is_unavailable(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def save(records: Any, wall: Any) -> set[str]:
        return {record.subject for record in records}

    monkeypatch.setattr(running.store, "save", save)
    with pytest.raises(Unavailable) as busy:
        await running.reactor.execute(command(EPISODES[0], add(1), "key"))
    assert busy.value.code == "too-busy"


async def test_a_handoff_to_a_record_that_can_take_no_more_is_kept(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cleared without having been applied."""
    feed = Feed()
    await running.reactor.submit([feed.says(EPISODES[0], add(1))])
    await running.quiet()
    monkeypatch.setattr(record_module, "MAX_OUTBOX", 0)
    work = command(SESSION, gather(EPISODES[:1]), "gather")
    quiet = replace(work, decide=lambda s, c: gather(EPISODES[:1])(s, c)._replace(events=()))
    await running.reactor.execute(quiet)
    await running.reactor.settle()
    [session] = [d for d in running.store.disk.documents() if d["_id"] == SESSION]
    assert len(session["handoffs"]) == 1
    assert "handing" in session
    monkeypatch.undo()
    assert await running.sweep() == 1
    await running.quiet()
    assert (await running.state(EPISODES[0])).total == 11


async def test_a_parked_handoff_leaves_a_letter_and_does_not_stop_the_others(
    running: Running,
) -> None:
    running.reactor._handoffs = HandoffRules(handles(Join, lambda s, _b, c: poison(s, c)))
    await running.reactor.execute(command(SESSION, gather(EPISODES), "gather"))
    await running.quiet()
    dead_letters = running.store.disk.dead_letter_documents()
    assert {row["reason"] for row in dead_letters} == {"decision-raised"}
    assert sorted(row["subject"] for row in dead_letters) == sorted(EPISODES)
    assert await running.sweep() == 0


async def test_a_full_relay_queue_never_blocks_and_the_sweep_publishes_the_rest() -> None:
    it = Running(queue=2)
    feed = Feed()
    await it.reactor.submit([feed.says(name, add(1)) for name in EPISODES])
    relay = asyncio.create_task(it.relay.run())
    await it.relay.flushed()
    assert len(it.publisher.topic.messages) == 2
    assert await it.sweep() == 1
    await it.relay.flushed()
    assert len(it.publisher.topic.messages) == 3
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)


async def test_room_is_given_again_when_the_queue_empties() -> None:
    it = Running(queue=2)
    feed = Feed()
    await it.reactor.submit([feed.says(name, add(1)) for name in EPISODES])
    room = asyncio.create_task(it.relay.wait_for_capacity())
    await asyncio.sleep(0)
    assert not room.done()
    relay = asyncio.create_task(it.relay.run())
    await room
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)


async def test_the_relay_says_that_it_waits_and_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = True
    publish = running.publisher.publish

    async def shaky(waiting: Any) -> None:
        if failing:
            raise Unavailable("x", "away")
        await publish(waiting)

    monkeypatch.setattr(running.publisher, "publish", shaky)
    await running.reactor.submit([Feed().says(EPISODES[0], add(1))])
    await turns_until(lambda: not running.relay.healthy)
    failing = False
    await running.relay.flushed()
    await turns_until(lambda: running.relay.healthy)
    assert len(running.publisher.topic.messages) == 1


# --- timers ------------------------------------------------------------------------------------------------


class CaughtUp:
    """A consumer that holds all partitions and has heard everything."""

    def __init__(self) -> None:
        self.buckets = self.firing_buckets = list(ALL)

    async def caught_up(self) -> bool:
        return True


async def _timers(running: Running) -> tuple[Timers, asyncio.Task[None]]:
    timers = Timers(running.store, running.reactor, cast("Consumer", CaughtUp()), running.clock)
    return timers, asyncio.create_task(timers.run())


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_step_of_the_clock_runs_every_deadline_up_to_it(running: Running) -> None:
    await running.reactor.submit([Feed().says(name, arm) for name in EPISODES])
    running.clock.step_to(START)
    timers, task = await _timers(running)
    await turns_until(lambda: timers.ran_until == START)
    later = START + timedelta(hours=9)
    running.clock.step_to(later)
    await turns_until(lambda: timers.ran_until == later)
    for name in EPISODES:
        assert (await running.state(name)).seen == ("first:x", "first:x", "second:x")
    await _stop(task)


async def test_a_step_to_what_the_store_calls_next_fires_it(running: Running) -> None:
    """To the microsecond: a deadline at the very instant to which the clock was stepped has fired."""
    await running.reactor.submit([Feed().says(EPISODES[0], arm)])
    next_due = await running.store.next_due(START + timedelta(days=1))
    assert next_due is not None
    assert next_due == (await running.state(EPISODES[0])).due
    assert next_due.microsecond % 1_000
    running.clock.step_to(next_due)
    timers, task = await _timers(running)
    await turns_until(lambda: timers.ran_until == next_due)
    assert (await running.state(EPISODES[0])).seen == ("first:x",)
    await _stop(task)


async def test_timers_wait_while_an_outbox_is_full(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They used to look again at once, for ever."""
    await running.reactor.submit([Feed().says(EPISODES[0], arm)])
    monkeypatch.setattr(record_module, "MAX_OUTBOX", 0)
    paused = asyncio.Event()

    async def pause(_self: Any) -> None:
        paused.set()
        await asyncio.sleep(0)

    monkeypatch.setattr(retry.Backoff, "pause", pause)
    running.clock.step_to(START + timedelta(hours=9))
    timers, task = await _timers(running)
    async with asyncio.timeout(5):
        await paused.wait()
    monkeypatch.undo()
    await turns_until(lambda: timers.ran_until is not None)
    assert len((await running.state(EPISODES[0])).seen) == 3
    await _stop(task)


async def test_a_deadline_whose_rule_fails_is_parked_with_a_letter(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.reactor.submit([Feed().says(name, arm) for name in EPISODES[:2]])
    broken = RecordKind(EpisodeState, Deadlines(due("first", poison), due("second", poison)))
    monkeypatch.setattr(running.store, "_kinds", {**KINDS, "episode": broken})
    running.clock.step_to(START + timedelta(hours=9))
    timers, task = await _timers(running)
    await turns_until(lambda: timers.ran_until is not None)
    dead_letters = running.store.disk.dead_letter_documents()
    assert sorted(row["subject"] for row in dead_letters) == sorted(EPISODES[:2])
    assert {row["reason"] for row in dead_letters} == {"decision-raised"}
    assert await running.store.next_due(START + timedelta(days=1)) is None
    await _stop(task)


async def test_an_unset_clock_decides_nothing(running: Running) -> None:
    timers, task = await _timers(running)
    for _ in range(20):
        await asyncio.sleep(0)
    assert timers.ran_until is None
    assert not task.done()
    running.clock.step_to(START)
    with pytest.raises(Refused):
        running.clock.step_to(START - timedelta(seconds=1))
    await _stop(task)


async def test_of_a_batch_only_what_makes_a_record_too_large_is_parked(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(dead_letters: int) -> Callable[..., Any]:
        return lambda state, _cause: Decision(state.replace(seen=("x" * dead_letters,)))

    monkeypatch.setattr(record_module, "MAX_RECORD_BYTES", 200)
    feed, subject, other = Feed(), EPISODES[0], EPISODES[1]
    works = [
        feed.says(subject, add(1)),
        feed.says(other, grow(100)),
        feed.says(subject, grow(300), stream="another"),
        feed.says(subject, add(1)),
    ]
    outcomes = await running.reactor.submit(works)
    assert [o.status for o in outcomes] == [
        OutcomeStatus.APPLIED,
        OutcomeStatus.APPLIED,
        OutcomeStatus.BLOCKED,
        OutcomeStatus.APPLIED,
    ]
    assert outcomes[2].exception == "record-too-large"
    assert (await running.state(subject)).total == 2
    await running.quiet()
    published = [about for about, _headers, _data in running.publisher.topic.messages]
    assert published.count(subject) == 3  # 1, 2, and that 2 is even: nothing twice
