"""A store that is full, slow, unsure, out of connections or raced for: every effect comes whole, once, or not yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts import intake, plans
from shared.decision import Cause, Decision, derive_id
from shared.devtools.backends import Backend
from shared.runtime.core.store import MongoStore
from shared.runtime.core.work import CommandKey, Work
from tests.integration.bus import FACILITY, Bus, until
from tests.integration.redriven import Rules, Running, Sheet, admission, episode, running
from tests.integration.told import Commands, counted, once, telling, whole
from tests.integration.wire import Mood, Wire, wire_to

COMMANDS = 50


@pytest.fixture
async def wire(backend: Backend) -> AsyncIterator[Wire]:
    async with wire_to(backend.mongo_uri) as it:
        yield it


@asynccontextmanager
async def wired(
    backend: Backend, prefix: str, bus: Bus, wire: Wire, **more: Any
) -> AsyncIterator[Running]:
    """The service, whose store is at the end of the wire."""
    settings: dict[str, Any] = {"MONGO_URI": wire.uri, **more}
    async with running(backend, prefix, bus, Rules(), **settings) as it:
        yield it
        wire.mood, wire.connections_max = Mood.FINE, None


async def _kept(backend: Backend, prefix: str) -> list[dict[str, Any]]:
    """What is in the store, looked at past the wire."""
    store = MongoStore(backend.mongo_uri, f"{prefix}plans", Rules().service.kinds)
    try:
        return await store.collection("records").find({}).to_list()
    finally:
        await store.close()


# --- a disk that is full ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", [Mood.FULL, Mood.FILLS_UP])
async def test_a_store_that_refuses_writes_is_waited_for_and_nothing_is_half_applied(
    backend: Backend, bus: Bus, prefix: str, wire: Wire, mood: Mood
) -> None:
    async with wired(backend, prefix, bus, wire) as it:
        known = await it.admit(3)
        before = {d["_id"]: d["version"] for d in await _kept(backend, prefix)}
        wire.mood = mood
        names = [episode() for _ in range(30)]
        commands = Commands()
        async with telling(
            *(bus.say(admission(), name, 1) for name in names),
            *(commands.note(it, name, f"{name}-{n}") for name in known for n in range(4)),
        ):
            await it.until_reason("consumer-waiting")
            await until(lambda: 503 in commands.statuses, what="a refused command")
            for document in await _kept(backend, prefix):
                whole(document)
            if mood is Mood.FULL:
                kept = {d["_id"]: d["version"] for d in await _kept(backend, prefix)}
                assert kept == before, "nothing was written"
            assert sum((await bus.committed("plans")).values()) < len(known) + len(names)
            assert wire.refused > 1
            wire.mood = Mood.FINE
        documents = await once(backend.kafka, [it], [*known, *names])
        assert [documents[name]["state"]["noted"] for name in known] == [4] * len(known)
        assert commands.statuses == {200, 503}
        await until(lambda: not it.runtime.not_ready(), what="readiness")


async def test_a_write_that_is_carried_out_and_not_confirmed_is_not_done_twice(
    backend: Backend, bus: Bus, prefix: str, wire: Wire
) -> None:
    async with wired(backend, prefix, bus, wire) as it:
        known = await it.admit(3)
        wire.mood = Mood.UNSURE
        names = [episode() for _ in range(20)]
        commands = Commands()
        async with telling(
            *(bus.say(admission(), name, 1) for name in names),
            *(commands.note(it, name, f"{name}-{n}") for name in known for n in range(4)),
        ):
            await until(lambda: counted(it, "duplicate") > 0, what="a batch that is read again")
            wire.mood = Mood.FINE
        documents = await once(backend.kafka, [it], [*known, *names])
        assert [documents[name]["state"]["noted"] for name in known] == [4] * len(known)
        assert counted(it, "replayed", "command") > 0, "a repeated command got its answer again"


# --- slow, and short of connections ----------------------------------------------------------------------------


async def test_slow_writes_delay_and_do_no_harm(
    backend: Backend, bus: Bus, prefix: str, wire: Wire
) -> None:
    async with wired(backend, prefix, bus, wire, batch_records=10) as it:
        known = await it.admit(2)
        wire.mood = Mood.SLOW
        names = [episode() for _ in range(30)]
        commands = Commands()
        async with telling(
            *(bus.say(admission(), name, 1) for name in names),
            *(commands.note(it, name, f"{name}-{n}") for name in known for n in range(10)),
        ):
            pass
        documents = await once(backend.kafka, [it], [*known, *names])
        assert [documents[name]["state"]["noted"] for name in known] == [10] * len(known)
        assert commands.statuses == {200}
        assert counted(it, "duplicate") == 0


async def test_one_connection_is_enough_for_fifty_commands_at_once(
    backend: Backend, bus: Bus, prefix: str, wire: Wire
) -> None:
    """The driver's own limit: whoever finds no free connection waits for one."""
    async with wired(
        backend, prefix, bus, wire, MONGO_URI=f"{wire.uri}&maxPoolSize=1&waitQueueTimeoutMS=20000"
    ) as it:
        known = await it.admit(10)
        commands = Commands()
        keys = [(name, f"{name}-{n}") for name in known for n in range(5)]
        async with telling(*(commands.note(it, name, key) for name, key in keys)):
            pass
        documents = await once(backend.kafka, [it], known)
        assert [documents[name]["state"]["noted"] for name in known] == [5] * len(known)


async def test_a_store_without_room_for_connections_is_waited_for(
    backend: Backend, bus: Bus, prefix: str, wire: Wire
) -> None:
    """The server's limit: everything that was open is reset, and nobody gets in for a while."""
    async with wired(backend, prefix, bus, wire) as it:
        known = await it.admit(5)
        wire.connections_max = 0
        wire.cut()
        names = [episode() for _ in range(20)]
        commands = Commands()
        async with telling(
            *(bus.say(admission(), name, 1) for name in names),
            *(commands.note(it, name, f"{name}-{n}") for name in known for n in range(10)),
        ):
            await until(lambda: 503 in commands.statuses, what="a refused command")
            assert await it.reasons(), "it says so"
            assert wire.turned_away > 0
            wire.connections_max = 2  # for the driver's own watch and one more
            await until(lambda: bool(commands.answers), what="going on with what there is")
        documents = await once(backend.kafka, [it], [*known, *names])
        assert [documents[name]["state"]["noted"] for name in known] == [10] * len(known)


# --- races -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _two(backend: Backend, prefix: str, bus: Bus) -> AsyncIterator[list[Running]]:
    """Two replicas that take commands for the same records."""
    async with (
        running(backend, prefix, bus, Rules()) as one,
        running(backend, prefix, bus, Rules(), ready=False) as other,
    ):
        for it in (one, other):
            await until(lambda it=it: len(it.runtime.consumer.buckets) == 6, what="sharing")
            await until(lambda it=it: not it.runtime.not_ready(), what="readiness")
        yield [one, other]


def _race(its: list[Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have both load before either saves, the first time: one of them has to lose."""
    together = asyncio.Barrier(len(its))
    for it in its:
        save = it.runtime.store.save

        async def late(
            records: Any, wall: datetime, it: Running = it, save: Any = save
        ) -> set[str]:
            monkeypatch.setattr(it.runtime.store, "save", save)
            await together.wait()
            return await save(records, wall)

        monkeypatch.setattr(it.runtime.store, "save", late)


def _races(its: list[Running]) -> float:
    value = [it.runtime.metrics.registry.get_sample_value("care_races_lost_total") for it in its]
    return sum(lost or 0.0 for lost in value)


async def test_fifty_commands_on_one_record_at_two_replicas_and_each_counts_once(
    backend: Backend, bus: Bus, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key is sent to both at the same moment, while events about the same record come in."""
    async with _two(backend, prefix, bus) as its:
        subject = episode()
        await its[0].heard(await bus.say(admission(), subject, 1))
        commands = Commands()
        _race(its, monkeypatch)

        async def recommendations() -> None:
            for number in range(2, 12):
                await bus.say(intake.LevelRecommended.example(), subject, number)

        async with telling(
            recommendations(),
            *(commands.note(it, subject, f"key-{n}") for n in range(COMMANDS) for it in its),
        ):
            pass
        documents = await once(backend.kafka, its, [subject], heard=11)
        assert documents[subject]["state"]["noted"] == COMMANDS
        assert documents[subject]["state"]["recommended"] == 10
        revisions = [revision for revision, _ in commands.answers.values()]
        assert len(set(revisions)) == COMMANDS, "one after the other, never two upon the same"
        assert commands.statuses == {200}
        assert _races(its) > 0, "there was something to lose"


Answer = Callable[[Running, int], Awaitable[Any]]


async def test_a_record_that_fifty_make_at_once_is_made_once(
    backend: Backend, bus: Bus, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unique key: of those who find no record, one inserts it, and the others collide and decide again."""

    def rule(state: Sheet, _cause: Cause) -> Decision[Sheet]:
        said = () if state.noted % 2 else (plans.GoalUpdated.example(),)
        return Decision(state.replace(noted=state.noted + 1), said, (), {"noted": state.noted + 1})

    async with _two(backend, prefix, bus) as its:
        subjects = [episode() for _ in range(10)]

        async def makes(it: Running, subject: str, number: int) -> tuple[str, int]:
            key = derive_id("made", subject, str(number))
            work = Work(
                subject=subject,
                cause_id=key,
                correlation_id=key,
                facility_id=FACILITY,
                now=datetime.now(UTC),
                decide=rule,  # type: ignore[arg-type] - a rule of this state
                command=CommandKey(key, "the body"),
            )
            outcome = await it.runtime.reactor.execute(work)
            return subject, outcome.answer["noted"]

        _race(its, monkeypatch)

        answers = await asyncio.gather(
            *(makes(its[n % 2], subject, n) for n in range(COMMANDS // 5) for subject in subjects)
        )
        assert Counter(answers) == Counter((s, n) for s in subjects for n in range(1, 11))
        documents = await once(backend.kafka, its, subjects, heard=0)
        assert [documents[name]["state"]["noted"] for name in subjects] == [10] * len(subjects)
        assert _races(its) > 0, "some found no record, and were not the first to make it"
