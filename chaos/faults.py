"""What can go wrong with a process, and a seeded schedule of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from chaos.proxy import Mood, Proxy

PAUSE_SECONDS: Final = (0.3, 2.0, 9.0)
"""The longest outlasts a consumer's session, so that its partitions move while it believes in them."""
NETWORK_SECONDS: Final = (0.3, 1.5, 5.0)
STARVE_SECONDS: Final = 3.0
SERVER_SHARE: Final = 0.34
"""In how many of the rounds the broker, and the store, are among the killed: about a tenth of all kills each."""


class Victim(Protocol):
    """A process that can be hurt and brought back with what it has on disk."""

    @property
    def pid(self) -> int | None: ...

    def kill(self) -> None: ...

    def start(self) -> None: ...


class Fault(StrEnum):
    """One kind of harm."""

    KILL = "kill"
    PAUSE = "pause"
    STARVE = "starve"
    CUT = "cut"
    SLOW = "slow"
    HALF_OPEN = "half_open"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that is to happen, to whom, for how long."""

    fault: Fault
    target: str
    seconds: float = 0.0


@dataclass(slots=True)
class Schedule:
    """Rounds of strikes that follow from a seed: several at once, the broker and the store among them often enough."""

    seed: int
    services: Sequence[str]
    servers: Sequence[str]
    proxies: Sequence[str]
    chance: random.Random = field(init=False)
    _deck: list[Fault] = field(default_factory=list[Fault])

    def __post_init__(self) -> None:
        self.chance = random.Random(f"chaos/{self.seed}")  # noqa: S311 - a seeded schedule is the point

    def round(self, kills_left: int) -> list[Strike]:
        """The next round: three to six kills of different processes, and some other harm beside them."""
        chance = self.chance
        wanted = min(kills_left, chance.randint(3, min(6, len(self.services))))
        targets: list[str] = []
        for server in self.servers:
            if len(targets) < wanted and chance.random() < SERVER_SHARE:
                targets.append(server)
        rest = chance.sample(list(self.services), len(self.services))
        targets += rest[: wanted - len(targets)]
        strikes = [Strike(Fault.KILL, target) for target in targets]
        unhurt = [name for name in (*self.services, *self.servers) if name not in targets]
        strikes += [self._beside(unhurt) for _ in range(chance.choice((1, 1, 2)))]
        return strikes

    def _beside(self, unhurt: Sequence[str]) -> Strike:
        """Some other harm; every kind comes once before any comes again."""
        if not self._deck:
            self._deck = [fault for fault in Fault if fault is not Fault.KILL]
            self.chance.shuffle(self._deck)
        fault = self._deck.pop()
        match fault:
            case Fault.PAUSE:
                return Strike(fault, self.chance.choice(unhurt), self.chance.choice(PAUSE_SECONDS))
            case Fault.STARVE:
                return Strike(fault, self.chance.choice(unhurt), STARVE_SECONDS)
            case Fault.REPLAY:
                return Strike(fault, "broker")
            case _:
                proxy = self.chance.choice(list(self.proxies))
                return Strike(fault, proxy, self.chance.choice(NETWORK_SECONDS))


@dataclass(slots=True)
class Harm:
    """Does what the schedule says, and counts what was really done."""

    victims: Mapping[str, Victim]
    proxies: Mapping[str, Proxy]
    replay: Callable[[], Awaitable[int]]
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    replayed: int = 0

    async def strike(self, strikes: Sequence[Strike]) -> None:
        """One round: all of it within half a second, then everything that died is started again."""
        await asyncio.gather(*(self._one(strike) for strike in strikes))

    async def _one(self, strike: Strike) -> None:
        await asyncio.sleep(self.chance.uniform(0, 0.5))
        match strike.fault:
            case Fault.KILL:
                await self._kill(strike.target)
            case Fault.PAUSE:
                await self._paused(strike.target, strike.seconds)
            case Fault.STARVE:
                await self._starved(strike.target, strike.seconds)
            case Fault.REPLAY:
                self.replayed += await self.replay()
            case _:
                await self._network(strike.target, Mood(strike.fault.value), strike.seconds)
        self.faults[strike.fault.value] += 1

    async def _kill(self, target: str) -> None:
        victim = self.victims[target]
        await asyncio.to_thread(victim.kill)
        self.kills[target] += 1
        await asyncio.sleep(self.chance.uniform(0, 1.0))
        await asyncio.to_thread(victim.start)

    async def _paused(self, target: str, seconds: float) -> None:
        pid = self.victims[target].pid
        _signal(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(pid, signal.SIGCONT)

    async def _starved(self, target: str, seconds: float) -> None:
        """A tenth of the processor time it wants."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            await self._paused(target, 0.09)
            await asyncio.sleep(0.01)

    async def _network(self, target: str, mood: Mood, seconds: float) -> None:
        proxy = self.proxies[target]
        proxy.set(mood)
        try:
            await asyncio.sleep(seconds)
        finally:
            proxy.set(Mood.FINE)


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
