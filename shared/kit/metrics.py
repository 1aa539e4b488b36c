"""Counts what the kit does, and writes the text format that Prometheus reads. It needs no client library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """Counts of this process since it began; `behind` is as of the last look."""

    handled: int = 0
    """Events that a handler has taken."""
    duplicates: int = 0
    """Events that came again, and were left out."""
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Events that no handler wants: `not-subscribed`, `type-unknown`, `major-unknown`."""
    set_aside: Counter[str] = field(default_factory=Counter[str])
    """Messages that were set aside, by reason; one that waited and then failed itself counts for both."""
    retried: int = 0
    """Attempts at what is aside."""
    gaps: int = 0
    """Gaps in the numbers of streams."""
    waits: Counter[str] = field(default_factory=Counter[str])
    """How often the kit had to wait, by what for."""
    aside: int = 0
    """Messages that are aside now."""
    behind: Mapping[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """Messages that each held partition still has."""
    caught_up: bool = False

    @property
    def lag(self) -> int:
        """Messages on the topics that are not handled yet."""
        return sum(self.behind.values())

    def text(self) -> str:
        """All of them in the format that Prometheus scrapes."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _one(
            "handled_total", "counter", "Events that a handler has taken.", self.handled
        )
        yield from _one("duplicates_total", "counter", "Events that came again.", self.duplicates)
        yield from _one("gaps_total", "counter", "Gaps in the numbers of streams.", self.gaps)
        yield from _one("retries_total", "counter", "Attempts at what is aside.", self.retried)
        yield from _one("aside", "gauge", "Messages that are aside now.", self.aside)
        yield from _one("caught_up", "gauge", "Whether the start is over.", int(self.caught_up))
        yield from _by("skipped_total", "Events that no handler wants.", self.skipped)
        yield from _by("set_aside_total", "Messages that were set aside.", self.set_aside)
        yield from _by("waits_total", "How often the kit had to wait.", self.waits)
        yield from _head("lag", "gauge", "Messages that a partition still has.")
        for (topic, partition), behind in sorted(self.behind.items()):
            yield f'throughcare_lag{{topic="{topic}",partition="{partition}"}} {behind}'


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP throughcare_{name} {words}"
    yield f"# TYPE throughcare_{name} {kind}"


def _one(name: str, kind: str, words: str, value: int) -> Iterator[str]:
    yield from _head(name, kind, words)
    yield f"throughcare_{name} {value}"


def _by(name: str, words: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield from _head(name, "counter", words)
    for reason, count in sorted(counts.items()):
        yield f'throughcare_{name}{{reason="{reason}"}} {count}'
