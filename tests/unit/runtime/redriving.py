"""A service that hears a feed whose rules can break and be mended: for everything that operators do to dead letters.

`World` outlives its processes; `Life` is one process, with the real reader, reactor, relay and redriver on the fakes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord
from pydantic import Field

from shared.contracts.event import CATALOGUE, Envelope, Event
from shared.contracts.topics import PARTITIONS
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id
from shared.errors import Refused, Unavailable
from shared.runtime.clock import Clock
from shared.runtime.core.deadlines import Deadlines, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.relay import Relay
from shared.runtime.dead_letters.audit import Who
from shared.runtime.dead_letters.redrive import Redriver
from shared.runtime.kafka.reading import Reader
from shared.runtime.metrics import Metrics
from shared.runtime.timers import look_at
from shared.testing.fakes import (
    Disk,
    MemoryDeadLetters,
    MemoryPublisher,
    MemoryStore,
    MemoryTopic,
    Seam,
)
from tests.unit.runtime.toy import START, Crash

FEED, OTHER, OWN = "care.feed", "care.other", "care.mended"
NOW = START + timedelta(days=1)
ALL = tuple(range(PARTITIONS))
WHO = Who("00000000-0000-4000-8000-0000000000aa", "rule-fixed")


class FeedEvent(Event, source=FEED):
    pass


class OtherEvent(Event, source=OTHER):
    pass


class OwnEvent(Event, source=OWN):
    pass


class Noted(FeedEvent):
    """Something to note."""

    amount: int
    tag: str = "x"


class Marked(OtherEvent):
    """Something to mark."""

    amount: int


class Tallied(OwnEvent):
    """It was noted."""

    total: int


class Rounded(OwnEvent):
    """The total is even."""

    total: int


for _event in (Noted, Marked, Tallied, Rounded):
    del CATALOGUE[_event.TYPE]  # nobody else is to take them for the contract


class Item(State):
    amount: int = 0


class Sheet(State):
    total: int = 0
    items: dict[str, int] = Field(default_factory=dict[str, int])
    tags: tuple[str, ...] = ()
    passed_on: int = 0


class PassOn(HandoffBody):
    amount: int


@dataclass
class Rules:
    """The deployed code: `broken` amounts raise, `refused` ones are refused, and a broken deadline raises."""

    broken: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()
    deadline_broken: bool = False
    handoff_broken: bool = False

    def noted(self, state: Sheet, event: Any, cause: Cause) -> Decision[Sheet]:
        if event.amount in self.broken:
            raise ValueError("this rule can't stand it")
        if event.amount in self.refused:
            raise Refused("not-now", "Not in this state.")
        total = state.total + event.amount
        items = {**state.items, cause.derive_id("item"): event.amount}
        state = state.replace(
            total=total, items=items, tags=(*state.tags, getattr(event, "tag", "m"))
        )
        said: list[Event] = [Tallied(total=total)]
        if total % 2 == 0:
            said.append(Rounded(total=total))
        if event.amount == 7:
            state = state.arm("review:x", cause.now)
        handoffs: tuple[Handoff, ...] = ()
        if event.amount == 8:
            handoffs = (Handoff(subject("neighbour"), PassOn(amount=event.amount)),)
        return Decision(state, tuple(said), handoffs)

    def reviewed(self, state: Sheet, _name: str, _cause: Cause) -> Decision[Sheet]:
        if self.deadline_broken:
            raise ValueError("this deadline can't be met")
        return Decision(state.replace(total=state.total + 100), (Tallied(total=state.total + 100),))

    def passed_on(self, state: Sheet, body: PassOn, _cause: Cause) -> Decision[Sheet]:
        if self.handoff_broken:
            raise ValueError("this can't be taken")
        return Decision(
            state.replace(passed_on=state.passed_on + body.amount), (Tallied(total=state.total),)
        )

    @property
    def kinds(self) -> Mapping[str, RecordKind]:
        return {"episode": RecordKind(Sheet, Deadlines(due_for("review", self.reviewed)))}

    @property
    def reactions(self) -> Reactions:
        return Reactions(on(Noted, self.noted), on(Marked, self.noted))

    @property
    def handoffs(self) -> HandoffRules:
        return HandoffRules(handles(PassOn, self.passed_on))


def subject(name: object) -> str:
    return f"episode/{derive_id('redriving', str(name))}"


def event_id(name: str) -> str:
    """The id of an event that a test names."""
    return str(derive_id("redriving", "event", name))


class Topics:
    """Records as they lie on the input topics, numbered per publisher and subject."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)

    def say(
        self, event: Event, about: str, *, data: bytes | None = None, **changes: str
    ) -> ConsumerRecord[bytes, bytes]:
        self._numbers[event.SOURCE, about] += 1
        number = self._numbers[event.SOURCE, about]
        event_id = derive_id("said", event.SOURCE, about, str(number))
        envelope = Envelope(
            id=event_id,
            source=event.SOURCE,
            type=event.TYPE,
            subject=about,
            sequence=number,
            time=START,
            correlationid=event_id,
            causationid=event_id,
            facilityid="harbor-iop",
            actorrole="system",
            sensitivity="part2",
            dataschema=event.schema_id(),
        )
        headers = envelope.headers() | {f"ce_{name}": value for name, value in changes.items()}
        partition = partition_of(about, PARTITIONS)
        offset = self._offsets[event.SOURCE, partition]
        self._offsets[event.SOURCE, partition] += 1
        return ConsumerRecord(
            topic=event.SOURCE,
            partition=partition,
            offset=offset,
            timestamp=1_000,
            timestamp_type=0,
            key=about.encode(),
            value=event.data() if data is None else data,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            headers=[(name, text.encode()) for name, text in headers.items()],
        )


class StillClock(Clock):
    def now(self) -> datetime:
        return NOW


@dataclass
class World:
    """What outlives a process."""

    disk: Disk = field(default_factory=Disk)
    topic: MemoryTopic = field(default_factory=MemoryTopic)
    topics: Topics = field(default_factory=Topics)

    def rows(self, status: str | None = None) -> list[dict[str, Any]]:
        found = self.disk.dead_letter_documents()
        rows = [row for row in found if status is None or row["status"] == status]
        return sorted(rows, key=lambda row: (row["subject"] or "", row["stream"] or "", row["_id"]))

    def state(self, about: str) -> Sheet:
        [document] = [d for d in self.disk.documents() if d["_id"] == about]
        return Sheet.model_validate(document["state"])

    def said(self) -> dict[str, list[tuple[str, str, str]]]:
        """First occurrences of (sequence, id, type) per subject, in order."""
        found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for about, headers, _ in self.topic.messages:
            one = (str(int(headers["ce_sequence"])), headers["ce_id"], headers["ce_type"])
            if one not in found[about]:
                found[about].append(one)
        return dict(found)

    def ending(self) -> dict[str, Any]:
        """Effects and outputs: what must not depend on crashes."""
        names = ("state", "revision", "next_sequence", "inbox", "blocked", "outbox", "handoffs")
        return {
            "records": {d["_id"]: {n: d.get(n) for n in names} for d in self.disk.documents()},
            "said": self.said(),
            "open": [row["_id"] for row in self.rows("open")],
        }


class Life:
    """One process of the service, under some rules."""

    REDRIVER: type[Redriver] = Redriver
    REACTOR: type[Reactor] = Reactor

    def __init__(self, world: World, rules: Rules, seam: Seam | None = None) -> None:
        self.world = world
        self.seam = seam or Seam()
        self.store = MemoryStore(rules.kinds, world.disk, self.seam)
        self.dead_letters = MemoryDeadLetters(world.disk, self.seam, self.store.set_aside)
        metrics, clock = Metrics(), StillClock()
        publisher = MemoryPublisher(world.topic, self.seam)
        self.relay = Relay(self.store, publisher, metrics, 100)
        self.reactor = self.REACTOR(OWN, self.store, self.relay, metrics, rules.handoffs)
        self.reader = Reader(rules.reactions)
        self.redriver = self.REDRIVER(
            self.store, self.dead_letters, self.reactor, self.reader, clock
        )

    async def hear(self, *records: ConsumerRecord[bytes, bytes]) -> None:
        """As the consumer does with a batch."""
        reads = [self.reader.read(record, NOW) for record in records]
        await self.store.add_dead_letters(
            [read.dead_letter for read in reads if read.dead_letter is not None]
        )
        works = [read.work for read in reads if read.work is not None]
        for outcome in await self.reactor.submit(works):
            assert outcome.error is None

    async def fire(self, *subjects: str) -> None:
        await self.reactor.submit([look_at(name, NOW) for name in subjects])

    async def quiet(self) -> None:
        for _ in range(20):
            await self.reactor.settle()
            await self.relay.flushed()
            left = [d for d in self.world.disk.documents() if "waiting" in d or "handing" in d]
            if not left:
                return
            await self.reactor.sweep(datetime.now(UTC) + timedelta(hours=1), ALL)
        raise AssertionError("does not come to rest")


async def patiently(act: Callable[[], Any]) -> Any:
    for _ in range(20):
        try:
            return await act()
        except Unavailable:
            continue
    raise AssertionError("never succeeds")


async def live(
    world: World,
    rules: Rules,
    act: Callable[[Life], Any],
    seams: Sequence[Seam] = (),
    life: type[Life] = Life,
) -> list[str]:
    """Do something in as many lives as it takes: all of it again after each death. Returns the calls made."""
    calls: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    for number in range(6):
        seam = seams[number] if number < len(seams) else Seam()
        died = asyncio.Event()
        if seam.fatal:
            seam.error = _crash(died)
        before = asyncio.all_tasks()
        process = life(world, rules, seam)
        relay = asyncio.create_task(process.relay.run())

        async def whole(process: Life = process) -> None:
            await act(process)
            await process.quiet()

        running = asyncio.create_task(patiently(whole))
        death = asyncio.create_task(died.wait())
        await asyncio.wait({running, death}, return_when=asyncio.FIRST_COMPLETED)
        leftovers = asyncio.all_tasks() - before - {running}
        finished = running.done() and not died.is_set()
        for task in [*leftovers, running, relay]:
            task.cancel()
        results = await asyncio.gather(running, *leftovers, return_exceptions=True)
        calls += seam.calls
        if finished:
            if isinstance(results[0], BaseException):
                raise results[0]
            return calls
    raise AssertionError("too many lives")


def _crash(died: asyncio.Event) -> Callable[[], BaseException]:
    def error() -> BaseException:
        died.set()
        return Crash()

    return error
