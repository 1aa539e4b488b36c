"""Outlets: what each was made for, which events it takes, and when the next one follows. Pure.

Nothing is passed on in doubt: an event goes to an outlet only when its type, its facility and its sensitivity are
known, and all three are among those that the outlet was made for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.contracts.event import CATALOGUE, Envelope
from shared.contracts.outlets import number_of, outlet_topic, team_of
from shared.contracts.publish.subscribers import SENSITIVITIES, Subscriber


class Outlet(BaseModel):
    """One topic of one team. What it was made for never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    team: str
    facilities: tuple[str, ...] | Literal["all"]
    types: tuple[str, ...]
    sensitivity: str
    until: date | None = None
    """The last day of the team's agreement; it may be put off as long as it has not come."""
    ended: bool = False
    successor: str | None = None
    """Of an ended one: the topic that the team reads on in; None when it reads on nowhere here."""

    @property
    def made_for(self) -> tuple[object, ...]:
        """What is fixed."""
        return (self.facilities, self.types, self.sensitivity)

    def is_over(self, today: date) -> bool:
        """Whether the agreement has ended."""
        return self.until is not None and self.until < today


class Plan(BaseModel):
    """All outlets that there are or were, and the epoch in which events are heard: a new outlet begins another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = 0
    outlets: tuple[Outlet, ...] = ()

    @property
    def open(self) -> tuple[Outlet, ...]:
        """Those that are written."""
        return tuple(one for one in self.outlets if not one.ended)


def entitled(outlet: Outlet, envelope: Envelope, today: date) -> bool:
    """Whether an event may be passed on to an outlet."""
    return not outlet.ended and not outlet.is_over(today) and takes(outlet, envelope)


def takes(outlet: Outlet, envelope: Envelope) -> bool:
    """Whether an outlet was made for such an event."""
    event = CATALOGUE.get(envelope.type)
    return (
        event is not None
        and envelope.type in outlet.types
        and (outlet.facilities == "all" or envelope.facilityid in outlet.facilities)
        and _is_below(envelope.sensitivity, outlet.sensitivity)
        and _is_below(event.SENSITIVITY, outlet.sensitivity)
    )


def _is_below(sensitivity: str, ceiling: str) -> bool:
    """Whether it is known, and no more sensitive than the ceiling."""
    if sensitivity not in SENSITIVITIES or ceiling not in SENSITIVITIES:
        return False
    return SENSITIVITIES.index(sensitivity) <= SENSITIVITIES.index(ceiling)


def without_file(
    before: Plan, teams: Collection[str], existing: Collection[str], today: date
) -> list[str]:
    """The teams whose outlet is running, and would be ended although nobody has said so: they have no file.

    A directory that is empty, or the wrong one, looks like teams that are gone. An outlet is ended by a file: by one
    whose agreement is over, or that may read everything. Of topics that only the bus knows, some may have ended long
    ago: they count where there is no file at all.
    """
    running = {one.team for one in before.open if not one.is_over(today)}
    if not teams:
        running.update(map(team_of, _unknown(before, existing)))
    return sorted(running - set(teams))


def planned(
    before: Plan,
    teams: Iterable[Subscriber],
    existing: Collection[str],
    today: date,
    unused_epoch: int,
) -> Plan:
    """The outlets that the files of the subscribers ask for, after those of before.

    `existing` are the topics on the bus: a name is never used twice, whatever the store has forgotten. An agreement
    that has ended ends its outlet; renewed after that it gets the next one, because nothing was passed on in between.

    A topic on the bus of which the store knows nothing was made by a plan that is lost, as in a store that is older
    than the bus: what it was made for is unknown, so that it has ended, and the one that it had followed as well. The
    records may have been rebuilt, with what they heard in earlier epochs: a new one is unused.
    """
    restricted = {one.name: one for one in teams if not one.direct and not one.is_over(today)}
    unknown = _unknown(before, existing)
    kept: list[Outlet] = []
    added: list[Outlet] = []
    opened = {one.team: one for one in before.open}
    for name, team in sorted(restricted.items()):
        wanted = _wanted(team, _next_number(name, before, existing))
        now = opened.get(name)
        goes_on = now is not None and not now.is_over(today) and now.made_for == wanted.made_for
        if now is None or not goes_on or _is_followed(now, unknown):
            added.append(wanted)
        else:
            kept.append(now.model_copy(update={"until": team.until}))
    stay = {one.topic: one for one in kept}
    leads = {one.team: one.topic for one in (*kept, *added)}
    outlets = [stay.get(one.topic) or _ended(one, leads) for one in before.outlets]
    lost = [_lost(topic, leads) for topic in unknown]
    epoch = max(before.epoch + 1, unused_epoch) if added else before.epoch
    return Plan(epoch=epoch, outlets=(*lost, *outlets, *added))


def _unknown(before: Plan, existing: Collection[str]) -> list[str]:
    """The outlets on the bus that no plan of the store has."""
    others = set(existing) - {one.topic for one in before.outlets}
    return sorted(topic for topic in others if number_of(topic, team_of(topic)))


def _is_followed(outlet: Outlet, unknown: Iterable[str]) -> bool:
    """Whether there is a later topic of its team: its readers have gone on."""
    here = number_of(outlet.topic, outlet.team)
    return any(number_of(topic, outlet.team) > here for topic in unknown)


def _ended(outlet: Outlet, leads: Mapping[str, str]) -> Outlet:
    """An outlet that has ended. What follows it is named once and stays, also when its team comes back much later."""
    successor = outlet.successor or leads.get(outlet.team)
    return outlet.model_copy(update={"ended": True, "successor": successor})


def _lost(topic: str, leads: Mapping[str, str]) -> Outlet:
    """A topic of which only the name is known."""
    team = team_of(topic)
    return Outlet(
        topic=topic,
        team=team,
        facilities=(),
        types=(),
        sensitivity=SENSITIVITIES[0],
        ended=True,
        successor=leads.get(team),
    )


def _wanted(team: Subscriber, number: int) -> Outlet:
    return Outlet(
        topic=outlet_topic(team.name, number),
        team=team.name,
        facilities="all" if team.facilities == "all" else tuple(sorted(set(team.facilities))),
        types=tuple(sorted(team.reads)),
        sensitivity=team.sensitivity,
        until=team.until,
    )


def _next_number(team: str, before: Plan, existing: Collection[str]) -> int:
    names = {*existing, *(one.topic for one in before.outlets)}
    return 1 + max((number_of(name, team) for name in names), default=0)
