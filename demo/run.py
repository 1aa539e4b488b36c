"""The demo, all of it together: backend, services, population and cast, clock, and the ledger at the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.console import Group as Lines
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from demo.cast.company import Stage, Story
from demo.cast.protagonist import FACILITY as CAST_FACILITY
from demo.cast.protagonist import PROGRAMS
from demo.cast.stories import STORIES
from demo.groups import Group
from demo.hours import DESK, at
from demo.ledger import Ledger, judge
from demo.partners import registered_by
from demo.paths import PersonPath
from demo.population import BEGINS_ON, FACILITIES, GROUP_SIZE_MAX, Person, population
from demo.quiet import TopicEnds
from demo.rates import Rate, rates
from demo.witnesses import gather
from demo.world import Staff, World
from shared.devtools.backends import Backend
from shared.devtools.stack import Stack, services
from shared.services import SERVICES

PROGRAM_DAYS: Final = 28 + 21 + 16 * 7 + 14
"""From the first arrival to the last possible graduation."""
WHOLE_DAYS: Final = PROGRAM_DAYS + 370
KILL_DAYS: Final = (21, 60, 200)
"""Days of the simulation on which `--kill` strikes: arrivals, full groups, follow-up."""
ZONE: Final = "America/New_York"


@dataclass(frozen=True, slots=True)
class Options:
    """What a run of the demo can be told."""

    episodes: int = 100
    seed: int = 1
    kill: Sequence[str] = ()
    """Services to be killed with -9 in mid-run, each on three days."""
    prefix: str = "care_"
    cast: bool = True
    """Whether the fixed cast lives its stories beside the population; without it some events never come up."""

    @property
    def stories(self) -> Mapping[int, Story]:
        """Who is in the cast."""
        return STORIES if self.cast else {}


@dataclass(frozen=True, slots=True)
class Lived:
    """What a run leaves."""

    world: World
    ledger: Ledger
    rates: Sequence[Rate]
    """Of the sampled population alone."""


@dataclass(slots=True)
class Show:
    """The live picture: simulated date, where everybody is, events per second."""

    people: Sequence[Person]
    console: Console
    started: float = field(default_factory=monotonic)
    notices: list[str] = field(default_factory=list[str])
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._task = self.progress.add_task("starting", total=WHOLE_DAYS)

    _task: object = None

    def render(self, world: World) -> Lines:
        """Draw the present moment."""
        now = world.now
        begin = at(BEGINS_ON, DESK, ZONE)
        days = 0 if now is None else (now - begin).days
        day = "" if now is None else now.strftime("%a %d %b %Y %H:%M")
        self.progress.update(self._task, completed=min(days, WHOLE_DAYS), description=day)  # type: ignore[arg-type]
        seconds = max(0.1, monotonic() - self.started)
        stages = Counter(person.stage for person in self.people)
        text = Text("  ".join(f"{stage} {count}" for stage, count in sorted(stages.items())))
        rate = Text(
            f"{world.records:,} events  {world.records / seconds:,.0f} events/s  "
            f"{world.journal.requests:,} commands  {world.steps:,} steps"
        )
        return Lines(
            self.progress, text, rate, *(Text(n, style="yellow") for n in self.notices[-3:])
        )


async def act(stack: Stack, options: Options, console: Console) -> Lived:
    """Live through the whole time, then make the ledger."""
    people = population(options.episodes, options.seed)
    world = World(stack.urls, stack.issuer, TopicEnds(stack.backend.kafka), options.seed)
    show = Show(people, console)
    try:
        with Live(
            show.render(world), console=console, refresh_per_second=4, transient=True
        ) as live:
            strike = _strikes(stack, options, show)

            async def on_step(now: World) -> None:
                strike(now)
                live.update(show.render(now))

            world.on_step = on_step
            async with _watched(stack, show):
                await live_through(world, people, options.stories)
        assert world.now is not None
        evidence = await gather(
            stack.backend.kafka,
            stack.backend.mongo_uri,
            options.prefix,
            SERVICES,
            world.journal.accepted,
            world.now,
        )
        return Lived(world, judge(evidence), rates(evidence.heard))
    finally:
        await world.close()


async def live_through(
    world: World, people: Sequence[Person], stories: Mapping[int, Story] = STORIES
) -> None:
    """Have everybody live their whole path, and the cast its stories beside them, on one clock.

    Returns when nobody has anything left to do. The cast has a facility of its own, so neither disturbs the other.
    """
    groups = _groups(world, people)
    last = BEGINS_ON + timedelta(days=PROGRAM_DAYS)
    begin = min(at(BEGINS_ON, DESK, zone) for zone in FACILITIES.values()) - timedelta(hours=1)
    lives = [world.live(registered_by(world, begin, CAST_FACILITY))]
    lives += [world.live(group.run(BEGINS_ON, last)) for group in dict.fromkeys(groups.values())]
    lives += [
        world.live(PersonPath(p, world, groups[p.number].staff, groups[p.number]).walk())
        for p in people
    ]
    lives += [world.live(story.play(Stage(n, world))) for n, story in stories.items()]
    await asyncio.sleep(0)  # everybody goes to wait for their first instant
    try:
        await world.run(begin)
    finally:
        for life in lives:
            life.cancel()


def _groups(world: World, people: Sequence[Person]) -> dict[int, Group]:
    """Each person's group, by number: as many groups per facility as its people fill."""
    groups: dict[int, Group] = {}
    for facility, zone in FACILITIES.items():
        staff = Staff(world, facility)
        ours = [p for p in people if p.facility == facility]
        for start in range(0, len(ours), GROUP_SIZE_MAX):
            group = Group(facility, start // GROUP_SIZE_MAX + 1, zone, world, staff)
            groups |= {p.number: group for p in ours[start : start + GROUP_SIZE_MAX]}
    return groups


def _strikes(stack: Stack, options: Options, show: Show) -> Callable[[World], None]:
    """Kill the named services with -9, each on its days, while commands are in flight."""
    begin = at(BEGINS_ON, DESK, ZONE)
    left: list[tuple[datetime, str]] = sorted(
        (begin + timedelta(days=day), name) for name in options.kill for day in KILL_DAYS
    )

    def strike(world: World) -> None:
        while left and world.now is not None and world.now >= left[0][0]:
            _, name = left.pop(0)
            pid = stack.one(name).pid
            if pid is not None:
                show.notices.append(f"kill -9 {name} (pid {pid}) on {world.now:%d %b %Y}")
                asyncio.get_running_loop().call_later(0.02, _kill, pid)

    return strike


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def _watched(stack: Stack, show: Show) -> AsyncGenerator[None]:
    """Start again whatever dies meanwhile, whoever killed it."""

    async def watch() -> None:
        while True:
            for process in await asyncio.to_thread(stack.revive):
                show.notices.append(
                    f"{process.name} died and was started again (pid {process.pid})"
                )
            await asyncio.sleep(0.2)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def stage(backend: Backend, log_dir: Path | None = None):  # noqa: ANN201 - a context manager of Stack
    """The four care services with a stepped clock on this backend."""
    return services(
        backend,
        log_dir=log_dir,
        clock="stepped",
        sweep_after_seconds="2",
        programs=str(PROGRAMS),
    )
