"""Lists who reads the events, as Kafka shows it. Pure: no I/O.

The list has the services, the users of the kit (known by their heartbeats) and all other consumer groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shared.kit.heartbeat import Heartbeat, read_heartbeat
from shared.services import PROCESSES

if TYPE_CHECKING:
    from shared.contracts.publish.subscribers import Subscriber
    from shared.runtime.kafka.groups import Committed

SERVICE, NO_FILE = "service", "no file"


@dataclass(frozen=True, slots=True)
class Observed:
    """One consumer group. What only a heartbeat says is None where there is none."""

    group: str
    who: str
    """The team whose file allows the group, `service` or `no file`."""
    topics: tuple[str, ...]
    behind: int
    """Messages on these topics after what the group has committed."""
    kit: str | None = None
    aiokafka: str | None = None
    python: str | None = None
    handled: int | None = None
    gaps: int | None = None
    aside: int | None = None
    seen_at: int | None = None
    """The last heartbeat, in seconds since 1970."""
    positions: Mapping[str, int] = field(default_factory=dict[str, int])
    """By partition, such as `care.plans/3`: the offset at which the inbox goes on."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def observed(
    groups: Mapping[str, Mapping[tuple[str, int], Committed]], teams: Iterable[Subscriber]
) -> list[Observed]:
    """Every group by name; then each team of whose groups Kafka knows none."""
    known = list(teams)
    rows = [_row(group, commits, known) for group, commits in sorted(groups.items())]
    silent = {one.name for one in known} - {row.who for row in rows}
    return [*rows, *(Observed("", name, (), 0) for name in sorted(silent))]


def _row(
    group: str, commits: Mapping[tuple[str, int], Committed], teams: list[Subscriber]
) -> Observed:
    topics = tuple(sorted({topic for topic, _ in commits}))
    row = Observed(group, _who(group, teams), topics, sum(one.behind for one in commits.values()))
    read = {place: read_heartbeat(one.metadata) for place, one in sorted(commits.items())}
    beats = {place: beat for place, beat in read.items() if beat is not None}
    if not beats:
        return row
    processes = _processes(beats.values())
    newest = processes[-1]
    return replace(
        row,
        kit=newest.kit,
        aiokafka=newest.aiokafka,
        python=newest.python,
        handled=sum(beat.handled for beat in processes),
        gaps=sum(beat.gaps for beat in processes),
        aside=sum(beat.aside for beat in processes),
        seen_at=newest.at,
        positions={f"{topic}/{number}": beat.next for (topic, number), beat in beats.items()},
    )


def _processes(beats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """The last heartbeat of each process, the newest last: each partition has one, about the whole process."""
    in_order = sorted(beats, key=lambda beat: beat.at)
    latest = {(beat.inbox, beat.process): beat for beat in in_order}
    return sorted(latest.values(), key=lambda beat: beat.at)


def _who(group: str, teams: Iterable[Subscriber]) -> str:
    if group in PROCESSES:
        return SERVICE
    allowed = (
        one.name
        for one in teams
        if group == one.group_prefix or group.startswith(f"{one.group_prefix}.")
    )
    return next(allowed, NO_FILE)
