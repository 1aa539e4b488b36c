"""Was somebody seen in time? Clocks in the manner of HEDIS: IET, FUA and FUI. Pure; no clock, no ids, no I/O.

HEDIS-style, from the events of this service, and not a certified measure: the rules are those of docs/domain.md 3.15
(Measures), and a health plan counts from claims, which we do not see. The differences are listed here once:

- **Index of IET**: the day of the assessment that found the person eligible; without a known one, the day of
  admission. A readmission is no new episode and has no IET clock. Who was found ineligible is not in the denominator.
- **Index of FUA** is the day of an emergency visit, of **FUI** the day of discharge from a bed or from withdrawal
  management: as staff report it, or else the day on which such a place referred the person to us.
- **A service** is a session attended, a visit for assessment, an admission elsewhere that took place, or a first
  appointment to which the person came. IET counts sessions only.
- **Days** are the facility's local days. Day 0 is the index. "Within 14 days" is read as up to and including day 14.
- **Age 13+**: no event carries a birth date. A program that admits anybody younger than 13 must not use these numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from shared.contracts.codes import Value


class Measure(StrEnum):
    """The three measures."""

    IET = "iet"
    FUA = "fua"
    FUI = "fui"


class Standing(StrEnum):
    """How a clock stands."""

    MET = "met"
    OPEN = "open"
    LAPSED = "lapsed"


class ClockRule(Value):
    """One row of the table of clocks."""

    name: str
    measure: Measure
    days: int
    """The last day that counts, from the index, which is day 0."""
    day_zero: bool
    """Whether the index day itself counts."""
    services: int = 1
    """How many services are needed."""


IET_INITIATION: Final = ClockRule(name="initiation_14", measure=Measure.IET, days=14, day_zero=True)
IET_ENGAGEMENT: Final = ClockRule(
    name="engagement_34", measure=Measure.IET, days=34, day_zero=False, services=2
)
"""Counted from the day of initiation, whose own service is not one of the two."""
FOLLOW_UP: Final = {
    Measure.FUA: (
        ClockRule(name="within_7", measure=Measure.FUA, days=7, day_zero=True),
        ClockRule(name="within_30", measure=Measure.FUA, days=30, day_zero=True),
    ),
    Measure.FUI: (
        ClockRule(name="within_7", measure=Measure.FUI, days=7, day_zero=False),
        ClockRule(name="within_30", measure=Measure.FUI, days=30, day_zero=False),
    ),
}
"""The same day counts after an emergency visit, and does not after a discharge."""
PARTS: Final = {
    Measure.IET: (IET_INITIATION.name, IET_ENGAGEMENT.name),
    Measure.FUA: tuple(rule.name for rule in FOLLOW_UP[Measure.FUA]),
    Measure.FUI: tuple(rule.name for rule in FOLLOW_UP[Measure.FUI]),
}


class Clock(Value):
    """One clock of one episode."""

    rule: ClockRule
    index_on: date
    """The day that puts it into a period: for both parts of IET that of the assessment."""
    day_zero_on: date
    """The day from which its days are counted."""
    met_on: date | None = None

    @property
    def last_on(self) -> date:
        """The last day that counts."""
        return self.day_zero_on + timedelta(days=self.rule.days)

    def standing(self, today: date) -> Standing:
        """How it stands on a local day."""
        if self.met_on is not None:
            return Standing.MET
        return Standing.OPEN if today <= self.last_on else Standing.LAPSED


def run(rule: ClockRule, index_on: date, day_zero_on: date, services: Iterable[date]) -> Clock:
    """A clock over the days of services: met on the day of the service that makes it so."""
    first = day_zero_on if rule.day_zero else day_zero_on + timedelta(days=1)
    last = day_zero_on + timedelta(days=rule.days)
    counting = sorted(day for day in services if first <= day <= last)
    met_on = counting[rule.services - 1] if len(counting) >= rule.services else None
    return Clock(rule=rule, index_on=index_on, day_zero_on=day_zero_on, met_on=met_on)


def treatment(index_on: date, sessions: Iterable[date]) -> tuple[Clock, ...]:
    """IET: begun within 14 days of the index, then two more services within 34 days of the beginning.

    The second clock exists only once treatment has begun in time.
    """
    days = sorted(sessions)
    begun = run(IET_INITIATION, index_on, index_on, days)
    if begun.met_on is None:
        return (begun,)
    # Of several services on the day of initiation one is the initiation; the others are counted from the next day.
    return (begun, run(IET_ENGAGEMENT, index_on, begun.met_on, days))


def follow_up(measure: Measure, index_on: date, services: Iterable[date]) -> tuple[Clock, ...]:
    """FUA and FUI: seen within 7, and within 30 days."""
    days = tuple(services)
    return tuple(run(rule, index_on, index_on, days) for rule in FOLLOW_UP[measure])


class Tally(Value):
    """One part of a measure over a facility and a period."""

    denominator: int = 0
    numerator: int = 0
    open: int = 0
    """Of those not met: how many still can be."""

    @property
    def rate(self) -> float | None:
        """None when there is nothing to divide by."""
        return round(self.numerator / self.denominator, 4) if self.denominator else None


def tally(
    measure: Measure, clocks: Iterable[tuple[Clock, date]], first: date, last: date
) -> dict[str, Tally]:
    """Count the clocks whose index lies in the period, each with its local today.

    Engagement is counted against everyone whose treatment should have begun, begun or not.
    """
    counted = {part: Tally() for part in PARTS[measure]}
    for clock, today in clocks:
        if clock.rule.measure is not measure or not first <= clock.index_on <= last:
            continue
        before = counted[clock.rule.name]
        standing = clock.standing(today)
        counted[clock.rule.name] = Tally(
            denominator=before.denominator + 1,
            numerator=before.numerator + (standing is Standing.MET),
            open=before.open + (standing is Standing.OPEN),
        )
    if measure is Measure.IET:
        begun = counted[IET_INITIATION.name]
        engaged = counted[IET_ENGAGEMENT.name]
        counted[IET_ENGAGEMENT.name] = engaged.replace(
            denominator=begun.denominator, open=engaged.open + begun.open
        )
    return counted
