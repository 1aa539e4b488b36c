"""A pytest plug-in for the tests of your own subscriber. Installing the wheel makes it available.

`throughcare_examples` has the published example of each event type. `throughcare_history` publishes events as their
publishers would. `throughcare_rehearsal` plays them to your handlers in all the ways that Kafka may: doubled, streams
mixed, numbers missing, and with crashes at any moment. Your handlers must end with the same result each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import pytest

from .. import contracts
from ..contracts.event import CATALOGUE, Envelope, Event, read_envelope
from .delivery import Delivery
from .handlers import Handlers
from .history import History, headers_of
from .inboxes.protocol import Changes, Inbox, Unit
from .inboxes.sqlite import SQLiteInbox
from .messages import Kept

PUBLISHED: Final = Path(contracts.__file__).parent / "published" / "examples"
SEEDS: Final = 20
LIVES_MAX: Final = 50
"""More crashes than this in one history would only make it longer."""
Subscribe = Callable[[Handlers, Path], None]
"""Registers your handlers with `events.on(…)`, as in `Subscriber`. Called for each life of the process."""
Outcome = Callable[[Path], Any]
"""What your handlers have made, in a form that can be compared."""


class Example(NamedTuple):
    """One published example."""

    event: Event
    envelope: Envelope
    data: bytes


@cache
def examples() -> Mapping[str, Example]:
    """The published example of each type."""
    found: dict[str, Example] = {}
    for event_type, event in CATALOGUE.items():
        body: Any = json.loads((PUBLISHED / f"{event_type}.json").read_text("utf-8"))
        headers = [(name, str(value).encode()) for name, value in body["headers"].items()]
        data = json.dumps(body["data"]).encode()
        envelope = read_envelope(headers, str(body["key"]).encode())
        found[event_type] = Example(event.parse(data), envelope, data)
    return found


@pytest.fixture
def throughcare_examples() -> Mapping[str, Example]:
    """By type: the published example as an event, its envelope and its bytes."""
    return examples()


@pytest.fixture
def throughcare_history() -> History:
    """Says events: `history.say(event, history.subject("episode", 1))`."""
    return History()


@pytest.fixture
def throughcare_rehearsal(tmp_path: Path) -> Rehearsal:
    """Plays a history to your handlers, once plainly and then in every bad way."""
    return Rehearsal(tmp_path)


class Crash(BaseException):
    """The process ends here. No handler may catch it, as none can catch a power cut."""


class Rehearsal:
    """Each seed is one way to deliver a history, in a directory of its own with an `inbox.db`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def ends_alike(
        self,
        subscribe: Subscribe,
        outcome: Outcome,
        messages: Sequence[Kept],
        seeds: Iterable[int] = range(SEEDS),
    ) -> Any:
        """Compare the outcome of each seed with that of a plain delivery, which it returns. Raises `AssertionError`."""
        plain = await self._play(subscribe, outcome, messages, None)
        for seed in seeds:
            found = await self._play(subscribe, outcome, messages, seed)
            assert found == plain, (
                f"seed {seed}: the handlers end otherwise when events come twice, in another order between subjects,"
                f" or when the process dies.\nplain: {plain}\nhere:  {found}\nHandlers that take (event, envelope, tx)"
                " and write by tx alone are safe; any other has to bear the same event twice."
            )
        return plain

    async def _play(
        self, subscribe: Subscribe, outcome: Outcome, messages: Sequence[Kept], seed: int | None
    ) -> Any:
        directory = self._directory / ("plain" if seed is None else f"seed-{seed}")
        directory.mkdir(parents=True, exist_ok=True)
        chance = random.Random(seed)  # noqa: S311 - a seeded chance is the point
        wanted = Handlers()
        subscribe(wanted, directory)
        topics = messages if seed is None else spoilt(messages, set(wanted.by_type), chance)
        for life in range(LIVES_MAX + 1):
            crash_after = None if seed is None or life == LIVES_MAX else chance.randrange(40)
            try:
                await self._live(subscribe, directory, topics, chance, crash_after)
            except Crash:
                continue
            return outcome(directory)
        raise AssertionError("no life has ended well")

    async def _live(
        self,
        subscribe: Subscribe,
        directory: Path,
        topics: Sequence[Kept],
        chance: random.Random,
        crash_after: int | None,
    ) -> None:
        """One life of the process, from its start to a crash or the end of the topics."""
        handlers, clock = Handlers(), _Clock()
        subscribe(handlers, directory)
        inbox = _Mortal(SQLiteInbox(directory / "inbox.db"), crash_after)
        await inbox.open("rehearsal")
        try:
            delivery = Delivery(handlers, inbox, now=clock)
            offsets = await delivery.hold({(one.topic, one.partition) for one in topics})
            left = [one for one in topics if one.offset >= offsets[one.topic, one.partition]]
            while left:
                size = chance.randint(1, 10)
                await delivery.take(left[:size])
                left = left[size:]
            for _ in range(3):
                clock.now += 1000.0
                await delivery.again()
            await delivery.flush()
        finally:
            await inbox.close()


def spoilt(messages: Sequence[Kept], wanted: set[str], chance: random.Random) -> list[Kept]:
    """The same events as another run of the topics may have them: each stream in order, all else as it comes."""
    streams: dict[tuple[str, bytes | None], list[Kept]] = {}
    for one in messages:
        if headers_of(one)["ce_type"] in wanted or chance.random() < 0.7:  # noqa: PLR2004 - some are missing
            streams.setdefault((one.topic, one.key), []).append(one)
    topics, published = History(), list[Kept]()
    while streams:
        key = chance.choice(list(streams))
        one = streams[key].pop(0)
        if not streams[key]:
            del streams[key]
        published.append(topics.again(one))
        if chance.random() < 0.3:  # noqa: PLR2004 - published twice, at once or much later
            topics.again(chance.choice(published))
    return topics.messages


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Mortal:
    """An inbox whose process dies after so many steps."""

    durable: ClassVar[bool] = True
    savepoints: ClassVar[bool] = True

    def __init__(self, inbox: Inbox, crash_after: int | None) -> None:
        self.transactions = inbox.transactions
        self._inbox = inbox
        self._left = crash_after
        self.open = inbox.open
        self.close = inbox.close
        self.offsets = inbox.offsets
        self.streams = inbox.streams
        self.aside = inbox.aside

    @property
    def id(self) -> str:
        return self._inbox.id

    def tick(self) -> None:
        """One step further; perhaps the last."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Crash

    @asynccontextmanager
    async def unit(self, expected: Mapping[tuple[str, int], int]) -> AsyncGenerator[Unit]:
        self.tick()
        async with self._inbox.unit(expected) as unit:
            yield _MortalUnit(unit, self.tick)
            self.tick()
        self.tick()


class _MortalUnit:
    def __init__(self, unit: Unit, tick: Callable[[], None]) -> None:
        self._unit = unit
        self._tick = tick
        self.tx = unit.tx

    @asynccontextmanager
    async def step(self) -> AsyncGenerator[None]:
        self._tick()
        async with self._unit.step():
            yield
        self._tick()

    async def save(self, changes: Changes) -> None:
        self._tick()
        await self._unit.save(changes)
