"""A service just large enough to have everything that can go wrong: two kinds of records, events that lead to
events, a command that fans out, deadlines, and an event that its rule can't stand.

`World` plays a script against it, in lives: a life ends where its seam says, and the next one starts from the
disk, the topic and the last committed position.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from shared.contracts.event import CATALOGUE, Event
from shared.contracts.topics import PARTITIONS
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id
from shared.errors import Unavailable
from shared.runtime.core.deadlines import Deadlines, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.original import MessageOriginal, Position
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import WAITING_SINCE
from shared.runtime.core.work import CommandKey, StreamPosition, Work
from shared.runtime.metrics import Metrics
from shared.testing.fakes import Disk, MemoryPublisher, MemoryStore, MemoryTopic, Seam, decoded

SOURCE = "care.toy"
START = datetime(2026, 3, 2, 15, 0, 0, 123_456, tzinfo=UTC)
ALL = tuple(range(PARTITIONS))
LIVES_MAX = 12


class ToyEvent(Event, source=SOURCE):
    pass


class Counted(ToyEvent, subject="episode"):
    total: int
    why: str


class Gathered(ToyEvent, subject="session"):
    count: int


for _toy in (Counted, Gathered):
    del CATALOGUE[_toy.TYPE]  # nobody else is to take them for the contract


class EpisodeState(State):
    total: int = 0
    seen: tuple[str, ...] = ()


class SessionState(State):
    gathered: bool = False


class Join(HandoffBody):
    weight: int


Rule = Callable[[Any, Cause], Decision[State]]


def add(amount: int, *, loud: bool = True) -> Rule:
    """Count; when loud, say so, and say it again when the total is even."""

    def rule(state: EpisodeState, _cause: Cause) -> Decision[EpisodeState]:
        total = state.total + amount
        said = [Counted(total=total, why="added")] if loud else []
        if loud and total % 2 == 0:
            said.append(Counted(total=total, why="even"))
        return Decision(state.replace(total=total), tuple(said))

    return rule


def arm(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    state = state.arm("second:x", cause.now + timedelta(hours=2))
    return Decision(state.arm("first:x", cause.now + timedelta(hours=1)))


def poison(_state: EpisodeState, _cause: Cause) -> Decision[EpisodeState]:
    raise ValueError("this rule can't stand it")


def first(state: EpisodeState, detail: str, cause: Cause) -> Decision[EpisodeState]:
    """Said twice, an hour apart."""
    name = f"first:{detail}"
    again = name not in state.seen
    decision = _said(state, name)
    if again:
        return Decision(decision.state.arm(name, cause.now + timedelta(hours=1)), decision.events)
    return decision


def second(state: EpisodeState, detail: str, _cause: Cause) -> Decision[EpisodeState]:
    """Said once."""
    return _said(state, f"second:{detail}")


def _said(state: EpisodeState, name: str) -> Decision[EpisodeState]:
    said = Counted(total=state.total, why=name)
    return Decision(state.replace(seen=(*state.seen, name)), (said,))


def gather(roster: Sequence[str]) -> Rule:
    def rule(state: SessionState, _cause: Cause) -> Decision[SessionState]:
        handoffs = tuple(Handoff(name, Join(weight=n)) for n, name in enumerate(roster, 10))
        said = Gathered(count=len(handoffs))
        return Decision(state.replace(gathered=True), (said,), handoffs, {"count": len(handoffs)})

    return rule


def joined(state: EpisodeState, body: Join, cause: Cause) -> Decision[EpisodeState]:
    return add(body.weight)(state, cause)  # type: ignore[return-value] - the rule of the same state


KINDS: Mapping[str, RecordKind] = {
    "episode": RecordKind(
        EpisodeState, Deadlines(due_for("first", first), due_for("second", second))
    ),
    "session": RecordKind(SessionState),
}
HANDOFFS = HandoffRules(handles(Join, joined))


def episode(name: object) -> str:
    return f"episode/{derive_id('toy', str(name))}"


SESSION = f"session/{derive_id('toy', 'session')}"
EPISODES = [episode(n) for n in range(3)]


class Feed:
    """Input lines, each numbered per subject without a gap."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)

    def says(self, subject: str, rule: Rule, stream: str = "feed") -> Work:
        self._numbers[stream, subject] += 1
        number = self._numbers[stream, subject]
        event_id = derive_id("input", stream, subject, str(number))
        return Work(
            subject=subject,
            cause_id=event_id,
            correlation_id=event_id,
            facility_id="harbor-iop",
            now=START + timedelta(minutes=number),
            decide=rule,
            stream=StreamPosition(stream, number, event_id),
            original=lambda _record: original_of(stream, event_id, number),
        )


def original_of(stream: str, event_id: str, number: int) -> MessageOriginal:
    """The message that an input would have come in."""
    return MessageOriginal(
        document_id=event_id,
        type=None,
        position=Position(topic=stream, partition=0, offset=number, timestamp_ms=1_000),
        event_id=event_id,
        key=None,
        headers=(),
        data=None,
    )


def command(subject: str, rule: Rule, key: str) -> Work:
    return Work(
        subject=subject,
        cause_id=derive_id("command", key),
        correlation_id=derive_id("command", key),
        facility_id="harbor-iop",
        actor_id="someone",
        actor_role="counselor",
        now=START + timedelta(minutes=30),
        decide=rule,
        command=CommandKey(key, f"body of {key}"),
        audit=begun(key),
    )


def begun(key: str) -> dict[str, Any]:
    """An entry of the audit, as far as a request knows it."""
    return {
        "request_id": derive_id("request", key),
        "at": START.replace(microsecond=0),
        "actor_id": "someone",
        "role": "counselor",
        "facilities": ["harbor-iop"],
        "what": f"POST /{key.replace(' ', '-')}",
    }


Step = tuple[str, Any]


def script() -> list[Step]:
    """What happens to the service. Between two `quiet` steps the order of effects is fixed by the input lines."""
    feed = Feed()
    one, two, three = EPISODES
    fragile = episode("fragile")
    return [
        ("feed", [feed.says(one, add(1)), feed.says(two, add(2)), feed.says(one, add(3))]),
        ("feed", [feed.says(one, add(5)), feed.says(three, add(1)), feed.says(one, arm)]),
        ("feed", [feed.says(fragile, add(1)), feed.says(fragile, poison), feed.says(two, arm)]),
        ("feed", [feed.says(fragile, add(1)), feed.says(two, add(1)), feed.says(one, add(2))]),
        ("quiet", None),
        # Two writers of the same records at once, with effects that commute.
        (
            "together",
            [
                [feed.says(name, add(n, loud=False), stream) for name in EPISODES for n in (1, 2)]
                for stream in ("left", "right")
            ],
        ),
        ("command", command(SESSION, gather(EPISODES), "gather")),
        ("quiet", None),
        ("command", command(SESSION, gather([*EPISODES, episode("guest")]), "gather again")),
        ("command", command(episode("silent"), add(1, loud=False), "silently")),
        ("feed", [feed.says(episode("bystander"), add(1))]),
        ("quiet", None),
        ("time", START + timedelta(hours=2)),
        ("time", START + timedelta(hours=9)),
        ("quiet", None),
        ("feed", [feed.says(one, add(7)), feed.says(three, add(9))]),
        ("quiet", None),
    ]


class Crash(BaseException):
    """The process is no more."""


@dataclass
class World:
    """What outlives a process, and the script as far as it has been worked off."""

    disk: Disk = field(default_factory=Disk)
    topic: MemoryTopic = field(default_factory=MemoryTopic)
    position: int = 0
    answers: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def ending(self) -> dict[str, Any]:
        """Effects, and the first occurrence of each event in order: what must not depend on crashes."""
        records = {
            document["_id"]: {
                name: document.get(name)
                for name in (
                    "state",
                    "revision",
                    "next_sequence",
                    "next_handoff",
                    "inbox",
                    "blocked",
                    "facility_id",
                    "due",
                )
            }
            | {"outbox": document.get("outbox", []), "handoffs": document.get("handoffs", [])}
            | {"commands": document.get("commands", [])}
            | {"audit": document.get("audit", []), "auditing": document.get("auditing")}
            for document in self.disk.documents()
        }
        said: dict[str, list[Any]] = defaultdict(list)
        for subject, headers, data in self.topic.messages:
            if (headers, data) not in said[subject]:
                said[subject].append((headers, data))
        dead_letters = {row["_id"]: row["reason"] for row in self.disk.dead_letter_documents()}
        return {
            "records": records,
            "said": dict(said),
            "letters": dead_letters,
            "answers": self.answers,
            "audit": {
                entry_id: (entry["what"], entry["subjects"], entry["outcome"])
                for entry_id, entry in sorted(
                    (entry_id, decoded(raw)) for entry_id, raw in self.disk.audit.items()
                )
            },
        }


class Life:
    """One process of the service: the real reactor and the real relay, on the world's disk and topic."""

    STORE: ClassVar[type[MemoryStore]] = MemoryStore
    RELAY: ClassVar[type[Relay]] = Relay
    REACTOR: ClassVar[type[Reactor]] = Reactor
    repeats = 1

    def __init__(self, world: World, seam: Seam) -> None:
        self.world = world
        self.seam = seam
        seam.slow = {"publish": 3}  # so that saves happen between a publish and its clear
        self.store = self.STORE(KINDS, world.disk, seam)
        metrics = Metrics()
        self.relay = self.RELAY(self.store, MemoryPublisher(world.topic, seam), metrics, 100)
        self.reactor = self.REACTOR(SOURCE, self.store, self.relay, metrics, HANDOFFS)

    async def run(self) -> None:
        """Work off the script from the last committed position, for as long as the process lives."""
        steps = script()
        while self.world.position < len(steps):
            kind, what = steps[self.world.position]
            for _ in range(self.repeats):
                await self._patiently(lambda k=kind, w=what: self._step(k, w))
            await self.commit(self.world.position + 1)

    async def _patiently(self, act: Callable[[], Any]) -> None:
        """As consumers, clients and timers do: the same again after a failure."""
        for _ in range(20):
            try:
                await act()
            except Unavailable:
                continue
            return
        raise AssertionError("never succeeds")

    async def commit(self, position: int) -> None:
        def effect() -> None:
            self.world.position = position

        await self._patiently(lambda: self.seam.call("commit", [effect]))

    async def _step(self, kind: str, what: Any) -> None:
        match kind:
            case "feed":
                await self._submitted(what)
            case "together":
                await asyncio.gather(*(self._submitted(works) for works in what))
            case "command":
                outcome = await self.reactor.execute(what)
                answer = {"answer": outcome.answer, "sequence": outcome.sequence}
                if answer not in self.world.answers:
                    self.world.answers.append(answer)
            case "time":
                await self._deadlines(what)
            case _:
                await self._quiet()

    async def _submitted(self, works: Sequence[Work]) -> None:
        for outcome in await self.reactor.submit(works):
            if outcome.error is not None:
                raise outcome.error

    async def _deadlines(self, now: datetime) -> None:
        for _ in range(10):
            subjects = await self.store.due(now, ALL, 10)
            if not subjects:
                return
            await self._submitted(
                [
                    Work(subject=s, cause_id="", correlation_id="", facility_id="", now=now)
                    for s in subjects
                ]
            )
        raise AssertionError("deadlines do not come to rest")

    async def _quiet(self) -> None:
        """Wait until nothing is under way and nothing waits; the sweep takes up what was left."""
        for _ in range(20):
            await self.reactor.settle()
            await self.relay.flushed()
            left = [
                d for d in self.world.disk.documents() if any(mark in d for mark in WAITING_SINCE)
            ]
            if not left:
                return
            await self.reactor.sweep(datetime.now(UTC) + timedelta(hours=1), ALL)
        raise AssertionError("does not come to rest")


def differences(found: Any, expected: Any, at: str = "") -> list[str]:
    """Where two endings differ, in few words."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            stream
            for key in sorted({*found, *expected})
            for stream in differences(found.get(key), expected.get(key), f"{at}/{key}")
        ]
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        if len(found) != len(expected):
            return [f"{at}: {len(found)} instead of {len(expected)}"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [stream for n, (a, b) in pairs for stream in differences(a, b, f"{at}/{n}")]
    return [] if found == expected else [f"{at}: {found!r} instead of {expected!r}"]


async def play(seams: Sequence[Seam] = (), life: type[Life] = Life) -> tuple[World, list[str]]:
    """Play the script in as many lives as it takes; `seams` are those of the first lives."""
    world = World()
    calls: list[str] = []
    # A task that dies with its process has nobody left to ask how it ended.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    for number in range(LIVES_MAX):
        seam = seams[number] if number < len(seams) else Seam()
        died = asyncio.Event()
        if seam.fatal:
            seam.error = _crash(died)
        before = asyncio.all_tasks()
        process = life(world, seam)
        relay = asyncio.create_task(process.relay.run())
        running = asyncio.create_task(process.run())
        death = asyncio.create_task(died.wait())
        await asyncio.wait({running, death, relay}, return_when=asyncio.FIRST_COMPLETED)
        finished = running.done() and not died.is_set()
        leftovers = asyncio.all_tasks() - before - {running}
        for task in [*leftovers, running]:
            task.cancel()
        results = await asyncio.gather(running, *leftovers, return_exceptions=True)
        calls += seam.calls
        if finished:
            if isinstance(results[0], BaseException):
                raise results[0]
            return world, calls
        if not died.is_set():
            raise AssertionError(f"the relay ended by itself: {results!r}")
    raise AssertionError("too many lives")


def _crash(died: asyncio.Event) -> Callable[[], BaseException]:
    def error() -> BaseException:
        died.set()
        return Crash()

    return error
