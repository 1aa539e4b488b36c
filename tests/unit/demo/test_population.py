"""The synthetic population: seeded, nobody's luck depends on another's, and near the figures that it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pytest

from demo import population as figures
from demo.population import BEGINS_ON, FACILITIES, Person, population

MANY = 2_000


@pytest.fixture(scope="module")
def many() -> list[Person]:
    return population(MANY, seed=7)


def fate(person: Person) -> dict[str, Any]:
    """Everything about a person, with the next draws of their generators in place of these."""
    draws = [person.luck.random() for _ in range(3)], [person.days_luck.random() for _ in range(3)]
    return {**asdict(person), "luck": draws[0], "days_luck": draws[1]}


def test_the_same_seed_gives_the_same_people() -> None:
    first, second = ([fate(p) for p in population(40, seed=3)] for _ in range(2))
    assert first == second
    assert first != [fate(p) for p in population(40, seed=4)]


def test_nobody_changes_because_more_people_come() -> None:
    few, more = population(5, seed=3), population(50, seed=3)
    assert [fate(p) for p in few] == [fate(p) for p in more[:5]]


def test_what_one_person_draws_leaves_the_others_and_their_own_days_alone() -> None:
    disturbed, calm = population(2, seed=3), population(2, seed=3)
    for _ in range(100):
        disturbed[0].luck.random()
    assert fate(disturbed[1]) == fate(calm[1])
    assert disturbed[0].days_luck.random() == calm[0].days_luck.random()
    disturbed[1].days_luck.random()
    assert disturbed[1].luck.random() == calm[1].luck.random()


def test_nobody_is_like_another(many: list[Person]) -> None:
    assert len({(p.attends, p.calls_ahead, p.reachable) for p in many}) == MANY
    assert len({p.label for p in many}) == MANY


def share(chosen: Iterable[bool]) -> float:
    of = list(chosen)
    return sum(of) / len(of)


def test_shares_are_near_the_documented_figures(many: list[Person]) -> None:
    """Within four standard errors, which for two thousand people is at most 4.5 percentage points."""
    used = [p for p in many if p.returns_to_use_day is not None]
    shares = {
        figures.GONE_BEFORE_DAY_30: share(p.leaves_after_days is not None for p in many),
        figures.USED_WITHIN_A_YEAR: len(used) / MANY,
        figures.ENGAGED_AGAIN: share(p.engages_again for p in used),
        figures.ACKNOWLEDGED_AT_ONCE: share(p.acknowledged_at_once for p in many),
    }
    assert list(shares) == [0.37, 0.54, 0.714, 0.65], "the figures of the table in the module"
    for figure, found in shares.items():
        assert abs(found - figure) < 4 * (figure * (1 - figure) / len(used)) ** 0.5, figure


def test_house_figures(many: list[Person]) -> None:
    for found, expected in (
        (share(p.adolescent for p in many), 0.08),
        (share(p.needs_withdrawal_care for p in many), 0.08),
        (share(p.plan_signed_late for p in many), 0.1),
        (share(p.urgency == "emergent" for p in many), 0.05),
        (share(p.urgency == "urgent" for p in many), 0.25),
    ):
        assert abs(found - expected) < 4 * (expected * (1 - expected) / MANY) ** 0.5


def test_everybody_is_possible(many: list[Person]) -> None:
    for p in many:
        assert p.facility in FACILITIES
        assert p.time_zone == FACILITIES[p.facility]
        assert p.arrives_on.weekday() <= 4, "nobody arrives at a closed door"
        assert 0 <= (p.arrives_on - BEGINS_ON).days <= figures.ARRIVALS_DAYS + 1
        assert 6 <= p.length_weeks <= 16
        assert p.leaves_after_days is None or 8 <= p.leaves_after_days < 30
        assert p.leaves_how in ("against_advice", "lost_contact", "administrative")
        assert 0 <= p.positive <= 0.3 < p.attends < 1
        assert p.returns_to_use_day is None or 20 <= p.returns_to_use_day <= 300
    assert {p.facility for p in many} == set(FACILITIES)
    assert {p.length_weeks for p in many} == set(range(6, 17))
