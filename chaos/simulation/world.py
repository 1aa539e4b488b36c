"""One history, all of which follows from a seed.

Replicas that die, fall silent and come back; calls that fail before, halfway and after their effect; inputs that are
told twice; clients that repeat.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from aiokafka import TopicPartition

from chaos.simulation import toy
from chaos.simulation.broker import Dead, Group, Log, Raw
from chaos.simulation.replica import START, Parts, Replica
from shared.contracts.event import Envelope, Event
from shared.contracts.topics import Topic
from shared.decision import derive_id
from shared.errors import SequenceConflict, Unavailable
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import WAITING_SINCE
from shared.runtime.core.work import CommandKey, Work
from shared.runtime.kafka import own_topic
from shared.testing.fakes import Disk, MemoryStore

FACILITY: Final = "harbor-iop"
LOAD_SECONDS: Final = 40.0
SETTLE_SECONDS: Final = 3_600.0
SUBJECTS: Final = 4
EVENTS_PER_LINE: Final = 4
RESTORED_SHARE: Final = 0.2
"""How many of the histories end with a store that is put back from an older backup."""
COMMANDS: Final = 4


@dataclass
class World:
    """What outlives every process, and what is known to have been told."""

    seed: int
    parts: Parts = field(default_factory=Parts)
    disk: Disk = field(default_factory=Disk)
    log: Log = field(default_factory=Log)
    group: Group = field(default_factory=lambda: Group(toy.INPUTS))
    harm: bool = True
    replicas: list[Replica] = field(default_factory=list[Replica])
    expected: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """The causes that must have had their effect, by subject."""
    order: dict[tuple[str, str], list[str]] = field(
        default_factory=dict[tuple[str, str], list[str]]
    )
    """By source and subject: the causes in the order in which they were first told."""
    blocked: dict[tuple[str, str], list[str]] = field(
        default_factory=dict[tuple[str, str], list[str]]
    )
    """By source and subject: what has to lie in the dead letters, in order."""
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    audited: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By command: the records that its entry of the audit has to name."""
    disagreements: list[str] = field(default_factory=list[str])
    kills: int = 0
    pauses: int = 0
    restores: int = 0
    stuck: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed}/world")
        self.subjects = [f"episode/{derive_id('simulation', str(n))}" for n in range(SUBJECTS)]
        for subject in self.subjects:
            self.expected[subject] = set()

    # --- what happens --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load and harm for a while, then heal, then wait until all is quiet."""
        coordinator = asyncio.create_task(self.group.run())
        for number in range(self.chance.choice((1, 2, 3))):
            self.replicas.append(Replica(self, f"first-{number}"))
        work = [asyncio.create_task(self._tell(*stream)) for stream in self._lines()]
        work += [asyncio.create_task(self._command(n)) for n in range(COMMANDS)]
        trouble = asyncio.create_task(self._trouble())
        await asyncio.gather(*work)
        self.harm = False
        for replica in self.replicas:
            replica.wire.harm = False
            replica.clock.ahead = timedelta()  # whoever is on duty has set the clocks
        await trouble
        await self.settle()
        if self.chance.random() < RESTORED_SHARE:
            await self._restored()
        for replica in self.replicas:
            replica.kill()
        coordinator.cancel()

    def _lines(self) -> list[tuple[type[Event], str]]:
        kinds: list[type[Event]] = [toy.Noted, toy.Marked]
        return [(kind, subject) for kind in kinds for subject in self.subjects]

    async def _tell(self, kind: type[Event], subject: str) -> None:
        """One source about one subject, in order; now and then the last few are told again."""
        chance = random.Random(f"{self.seed}/{kind.SOURCE}/{subject}")
        poisoned = chance.randrange(1, EVENTS_PER_LINE) if chance.random() < 0.15 else None
        told: list[tuple[dict[str, str], bytes]] = []
        for number in range(1, EVENTS_PER_LINE + 1):
            await asyncio.sleep(chance.uniform(0, 2 * LOAD_SECONDS / EVENTS_PER_LINE))
            record = self._record(kind, subject, number, chance, poison=number == poisoned)
            told.append(record)
            again = chance.randrange(1, 4) if chance.random() < 0.3 else 1
            for headers, data in told[-again:]:
                self.log.append(kind.SOURCE, subject, headers, data)

    def _record(
        self, kind: type[Event], subject: str, number: int, chance: random.Random, *, poison: bool
    ) -> tuple[dict[str, str], bytes]:
        event_id = derive_id("input", kind.SOURCE, subject, str(number))
        stream = (kind.SOURCE, subject)
        fields: dict[str, Any] = {"weight": number}
        if poison or stream in self.blocked:
            self.blocked.setdefault(stream, []).append(event_id)
        else:
            self.expected[subject].add(event_id)
            self.order.setdefault(stream, []).append(event_id)
            if kind is toy.Noted and chance.random() < 0.4:
                fields["arms_after"] = chance.randrange(1, 60)
                self.expected[subject].add(f"deadline/again:{event_id}")
            if kind is toy.Noted and chance.random() < 0.3:
                fields["concerns"] = chance.choice([s for s in self.subjects if s != subject])
                self.expected[fields["concerns"]].add(event_id)
        envelope = Envelope(
            id=event_id,
            source=kind.SOURCE,
            type=kind.TYPE,
            subject=subject,
            sequence=number,
            time=START,
            correlationid=event_id,
            causationid=event_id,
            facilityid=FACILITY,
            actorrole="system",
            sensitivity="part2",
            dataschema=kind.schema_id(),
        )
        data = b'{"weight": "poison"}' if poison else kind.model_validate(fields).data()
        return envelope.headers(), data

    async def _command(self, number: int) -> None:
        """A client that repeats its command, with the same key, to whichever replica is there, until it is answered."""
        chance = random.Random(f"{self.seed}/command/{number}")
        await asyncio.sleep(chance.uniform(0, LOAD_SECONDS))
        session = f"session/{derive_id('simulation', 'session', str(number % 2))}"
        roster = tuple(chance.sample(self.subjects, 3))
        key = derive_id("command", str(number))
        for subject in (session, *roster):
            self.expected.setdefault(subject, set()).add(key)
        work = Work(
            subject=session,
            cause_id=key,
            correlation_id=key,
            facility_id=FACILITY,
            now=START,
            decide=partial(toy.gather, roster),  # type: ignore[arg-type] - a rule of this state
            command=CommandKey(key, "the body"),
            audit={"request_id": key, "at": START, "actor_id": key, "what": "POST /gatherings"},
        )
        self.audited[key] = [session, *roster]
        again = 1 + (chance.random() < 0.5)
        while again:
            alive = [replica for replica in self.replicas if replica.alive]
            if not alive:
                await asyncio.sleep(0.5)
                continue
            try:
                async with asyncio.timeout(20):
                    outcome = await chance.choice(alive).reactor.execute(work)
            except (Unavailable, TimeoutError, Dead):
                await asyncio.sleep(chance.uniform(0.1, 1))
                continue
            again -= 1
            answer = (dict(outcome.answer), outcome.sequence)
            if self.answers.setdefault(key, answer) != answer:
                self.disagreements.append(f"command {number} was answered in two ways")

    async def _trouble(self) -> None:
        """Kill, pause, add; keep at least one replica on its way up while there is work."""
        names = 0
        pauses: list[asyncio.Task[None]] = []
        while self.harm:
            await asyncio.sleep(self.chance.uniform(0.5, 6))
            alive = [replica for replica in self.replicas if replica.alive]
            self.kills = len(self.replicas) - len(alive)
            if len(alive) < 2 or (self.chance.random() < 0.1 and len(alive) < 4):
                names += 1
                self.replicas.append(Replica(self, f"later-{names}"))
            elif self.chance.random() < 0.3:
                self.chance.choice(alive).kill()
            elif self.chance.random() < 0.4:
                self.pauses += 1
                seconds = self.chance.choice((2.0, 15.0, 40.0, 90.0))
                pauses.append(asyncio.create_task(self.chance.choice(alive).pause(seconds)))
        await asyncio.gather(*pauses)
        if not any(replica.alive for replica in self.replicas):
            self.replicas.append(Replica(self, "last"))

    async def settle(self) -> None:
        """Wait until everything told has been heard, and nothing waits any more."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + SETTLE_SECONDS
        while loop.time() < limit:
            await asyncio.sleep(5)
            if self._quiet():
                return
        self.stuck = True

    async def _restored(self) -> None:
        """The store is put back to what it was before the latest events, as from an older backup.

        A service may not start on it: it would give numbers that are taken to other facts. Then the latest store is
        put back, and life goes on.
        """
        lines = [
            stream for stream in self._lines() if (stream[0].SOURCE, stream[1]) not in self.blocked
        ]
        if not lines:
            return
        backup = Disk(
            dict(self.disk.records),
            dict(self.disk.dead_letters),
            dict(self.disk.metadata),
            dict(self.disk.audit),
        )
        kind, subject = lines[0]
        await self._one_more(kind, subject, EVENTS_PER_LINE + 1)
        for replica in self.replicas:
            replica.kill()
        newest, self.disk = self.disk, backup
        with patch.object(own_topic, "read_tail", self._tail):
            try:
                await self.parts.check_numbering(
                    KafkaConnection(), Topic(toy.OWN), MemoryStore(toy.KINDS, backup)
                )
            except SequenceConflict:
                self.disk = newest
        self.restores += 1
        self.replicas.append(Replica(self, "after-restore"))
        await self._one_more(kind, subject, EVENTS_PER_LINE + 2)

    async def _one_more(self, kind: type[Event], subject: str, number: int) -> None:
        record = self._record(kind, subject, number, self.chance, poison=False)
        self.log.append(kind.SOURCE, subject, *record)
        await self.settle()

    async def _tail(
        self, _kafka: KafkaConnection, topic: Topic, _per_partition: int
    ) -> tuple[dict[int, int], list[Raw]]:
        return {}, self.log.records(topic.name)

    def _applied(self, tp: TopicPartition, end: int) -> bool:
        """Whether who holds the partition has applied all of it: a commit that failed is covered by a later one."""
        return any(
            replica.alive and replica.consumer.positions.get(f"{tp.topic}/{tp.partition}") == end
            for replica in self.replicas
        )

    def _quiet(self) -> bool:
        ends = {
            tp: len(log)
            for tp, log in self.log.partitions.items()
            if tp.topic in toy.INPUTS and log
        }
        heard = all(
            self.group.committed.get(tp, 0) == end or self._applied(tp, end)
            for tp, end in ends.items()
        )
        waits = any(
            any(mark in document for mark in WAITING_SINCE) or document.get("due")
            for document in self.disk.documents()
        )
        return heard and not waits
