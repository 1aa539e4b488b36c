"""What became of the sampled population, counted from the topics and set beside the odds it was drawn with.

The fixed cast is left out: it shows every rule, and is no sample of anything. A small sample comes near the odds only
by chance; far off in a large one, either the population or a service does not do what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Final

from demo import population
from demo.population import FACILITIES
from demo.witnesses import Heard

DAY_30: Final = timedelta(days=30)
AT_ONCE: Final = timedelta(minutes=30)
A_YEAR: Final = timedelta(days=365)
WEEK: Final = timedelta(weeks=1)
NO_WAY_BACK: Final = frozenset({"declined", "unreachable", "unknown"})
"""Outcomes of a re-engagement that led nowhere."""

First = Mapping[str, Mapping[str, Heard]]
"""The first fact of each type about each episode: type, then subject."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of some people, or the median of something over them, beside what was drawn."""

    name: str
    unit: str
    """`share` or `weeks`."""
    people: int
    """Of how many; 0: nobody to count, and no value."""
    value: float | None
    drawn: float
    """The odds, or the median, of the distribution that everybody's fate is drawn from."""

    def report(self) -> dict[str, Any]:
        """For machines."""
        value = None if self.value is None else round(self.value, 4)
        return {"unit": self.unit, "people": self.people, "value": value, "drawn": self.drawn}


def rates(heard: Iterable[Heard]) -> list[Rate]:
    """All rates of the sample, in the order of a person's way through the program."""
    first = _first(heard)
    referred, admitted = (
        _of(first, "intake.referral-received"),
        _of(first, "intake.patient-admitted"),
    )
    taken_on, ended = (
        _of(first, "intake.referral-acknowledged"),
        _of(first, "plans.episode-discharged"),
    )
    found = _of(first, "intake.eligibility-determined")
    used, led = (
        _of(first, "followup.return-to-use-reported"),
        _of(first, "followup.reengagement-completed"),
    )

    stays = {who: _gap(admitted, ended, who) for who in admitted.keys() & ended.keys()}
    early = {who for who, stay in stays.items() if stay < DAY_30 and not _graduated(ended[who])}
    weeks = [stay / WEEK for who, stay in stays.items() if _graduated(ended[who])]
    in_the_year = {w for w in used.keys() & ended.keys() if _gap(ended, used, w) <= A_YEAR}
    back = {w for w in in_the_year & led.keys() if led[w].data["outcome"] not in NO_WAY_BACK}
    at_once = {
        w for w in taken_on.keys() & referred.keys() if _gap(referred, taken_on, w) <= AT_ONCE
    }
    elsewhere = {who for who, fact in found.items() if not fact.data["eligible"]}
    return [
        _share(
            "acknowledged_within_30_minutes", at_once, referred, population.ACKNOWLEDGED_AT_ONCE
        ),
        _share("sent_for_withdrawal_care", elsewhere, found, population.WITHDRAWAL_CARE_FIRST),
        _share("gone_before_day_30", early, admitted, population.GONE_BEFORE_DAY_30),
        Rate(
            "stay_of_graduates_median",
            "weeks",
            len(weeks),
            median(weeks) if weeks else None,
            float(median(population.STAY_WEEKS)),
        ),
        _share("used_within_12_months", in_the_year, ended, population.USED_WITHIN_A_YEAR),
        _share("engaged_again", back, in_the_year, population.ENGAGED_AGAIN),
    ]


def _first(heard: Iterable[Heard]) -> First:
    """Facts about the sample's episodes: those that were referred to a facility of the sample."""
    first: dict[str, dict[str, Heard]] = {}
    for fact in heard:
        said = first.setdefault(fact.type, {})
        known = said.get(fact.subject)
        if known is None or fact.sequence < known.sequence:
            said[fact.subject] = fact
    ours = {
        subject
        for subject, fact in first.get("care.intake.referral-received.v1", {}).items()
        if fact.headers["ce_facilityid"] in FACILITIES
    }
    return {
        name: {subject: fact for subject, fact in said.items() if subject in ours}
        for name, said in first.items()
    }


def _of(first: First, name: str) -> Mapping[str, Heard]:
    return first.get(f"care.{name}.v1", {})


def _gap(begin: Mapping[str, Heard], end: Mapping[str, Heard], who: str) -> timedelta:
    return end[who].time - begin[who].time


def _graduated(ended: Heard) -> bool:
    return ended.data["kind"] == "graduated"


def _share(name: str, some: Iterable[str], everybody: Iterable[str], drawn: float) -> Rate:
    part, whole = len(set(some)), len(set(everybody))
    return Rate(name, "share", whole, part / whole if whole else None, drawn)
