"""Who comes, and what happens to them: a seeded population drawn from published figures.

Every person has a generator of their own, so that nobody's luck depends on who acted first.

    gone before day 30, of those admitted   37 %        one agency's requests, substanceabusepolicy.com 9:41
    used at least once in twelve months     54 %        a twelve-month continuing-care program, PMC5814127
    of those, retained or engaged again     71.4 %      the same
    acknowledged within 30 minutes          65 %        a vendor's figure for one state, bamboohealth.com
    length of stay                          6-16 weeks  programs' own pages (6-8), Matrix Model (16), cebc4cw.org
    everything else                         house rule  so that each rule has something to do; no claim about anyone
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Final

BEGINS_ON: Final = date(2026, 1, 5)
ARRIVALS_DAYS: Final = 28
FACILITIES: Final = {"harbor-iop": "America/New_York", "mesa-iop": "America/Chicago"}
GROUP_SIZE_MIN: Final = 2
GROUP_SIZE_MAX: Final = 12

GONE_BEFORE_DAY_30: Final = 0.37
USED_WITHIN_A_YEAR: Final = 0.54
ENGAGED_AGAIN: Final = 0.714
ACKNOWLEDGED_AT_ONCE: Final = 0.65
WITHDRAWAL_CARE_FIRST: Final = 0.08
STAY_WEEKS: Final = range(6, 17)
"""How long somebody stays who graduates."""


@dataclass(slots=True)
class Person:
    """One synthetic person: no name, a number and a fate."""

    number: int
    facility: str
    time_zone: str
    arrives_on: date
    source_kind: str
    urgency: str
    adolescent: bool
    needs_withdrawal_care: bool
    acknowledged_at_once: bool
    plan_signed_late: bool
    length_weeks: int
    leaves_after_days: int | None
    leaves_how: str
    attends: float
    calls_ahead: float
    positive: float
    reachable: float
    returns_to_use_day: int | None
    engages_again: bool
    luck: Random = field(repr=False)
    """Draws for the person's own path."""
    days_luck: Random = field(repr=False)
    """Draws for what happens in their group, so that neither shifts the other."""
    episode_id: str = ""
    person_id: str = ""
    stage: str = "expected"
    flagged: bool = False
    absences: int = 0
    group_days: int = 0

    @property
    def label(self) -> str:
        """What their commands' keys are made from."""
        return f"person-{self.number}"


def population(episodes: int, seed: int) -> list[Person]:
    """Draw `episodes` people."""
    return [_person(number, seed) for number in range(episodes)]


def _person(number: int, seed: int) -> Person:
    luck = Random(f"{seed}/{number}")
    facility = luck.choice(sorted(FACILITIES))
    arrives = BEGINS_ON + timedelta(days=luck.randrange(ARRIVALS_DAYS))
    leaves = luck.random() < GONE_BEFORE_DAY_30
    uses = luck.random() < USED_WITHIN_A_YEAR
    return Person(
        number=number,
        facility=facility,
        time_zone=FACILITIES[facility],
        arrives_on=_weekday(arrives),
        source_kind=luck.choice(["self", "court", "residential", "emergency_department"]),
        urgency=luck.choices(["routine", "urgent", "emergent"], [70, 25, 5])[0],
        adolescent=luck.random() < 0.08,
        needs_withdrawal_care=luck.random() < WITHDRAWAL_CARE_FIRST,
        acknowledged_at_once=luck.random() < ACKNOWLEDGED_AT_ONCE,
        plan_signed_late=luck.random() < 0.1,
        length_weeks=luck.choice(STAY_WEEKS),
        leaves_after_days=luck.randint(8, 29) if leaves else None,
        leaves_how=luck.choice(["against_advice", "lost_contact", "administrative"]),
        attends=luck.uniform(0.75, 0.99),
        calls_ahead=luck.uniform(0.3, 0.8),
        positive=luck.choice([0.0, 0.0, 0.05, 0.15, 0.3]),
        reachable=luck.uniform(0.4, 0.95),
        returns_to_use_day=luck.randint(20, 300) if uses else None,
        engages_again=luck.random() < ENGAGED_AGAIN,
        luck=luck,
        days_luck=Random(f"{seed}/{number}/days"),
    )


def _weekday(day: date) -> date:
    while day.weekday() > 4:
        day += timedelta(days=1)
    return day
