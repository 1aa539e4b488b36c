"""Who plays: makes the protagonists of a story, and remembers what a test wants to look at afterwards."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from demo.cast.protagonist import FACILITY, Protagonist
from demo.world import Staff, World


@dataclass(slots=True)
class Stage:
    """One story's own stage. Labels are unique within a story; stories never share a person."""

    number: int
    world: World
    staff: Staff = field(init=False)
    people: dict[str, Protagonist] = field(default_factory=dict[str, Protagonist])
    ids: dict[str, str] = field(default_factory=dict[str, str])
    """Ids that came up on the way (screens, groups, consents), by a name of the story's own."""
    _lives: list[Task[None]] = field(default_factory=list[Task[None]])

    def __post_init__(self) -> None:
        self.staff = Staff(self.world, FACILITY)

    def person(self, label: str) -> Protagonist:
        """Somebody new."""
        one = Protagonist(f"story-{self.number}/{label}", self.world, self.staff)
        self.people[label] = one
        return one

    def beside(self, path: Awaitable[None]) -> None:
        """Let somebody else of the story live their part meanwhile; nobody waits for them."""
        self._lives.append(self.world.live(path))


@dataclass(frozen=True, slots=True)
class Story:
    """One scenario: its number in docs/domain.md 8 (Scenarios), its title, and how it is played."""

    number: int
    title: str
    play: Callable[[Stage], Awaitable[None]]
