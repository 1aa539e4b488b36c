"""The draw: every day has the same chance, the day after a screen too, and nothing is kept of any other day."""

from __future__ import annotations

import ast
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

import services.attendance
from services.attendance.screening import random_draw, screens, specimens
from shared.contracts import attendance, plans
from shared.contracts.terms import HOUSE
from shared.errors import CareError
from tests.unit.attendance.screened import MONDAY, Screened
from tests.unit.attendance.world import DAY, Episode
from tests.unit.support import cause, fact

LAST = random_draw.LOTS - 1


class Drawn(Episode):
    """An episode that takes part in the draw."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(MONDAY, **changes)

    def draw(self, lot: int = LAST) -> bool:
        answer = self.command(lambda s, c: random_draw.draw(s, "urine-12", lot, c)).answer
        return answer["drawn"]

    def collect(self) -> None:
        [*_, screen_id] = self.state.screens
        self.command(lambda s, c: screens.collect(s, screen_id, screens.Collection(), c))

    @property
    def due(self) -> bool:
        return bool(self.state.loops_of(attendance.AttendanceLoop.SCREEN_DUE))


def chance(episode: Drawn) -> float:
    """The share of lots with which the person is drawn now, found by halving."""
    low, high = 0, random_draw.LOTS
    while low < high:
        lot = (low + high) // 2
        drawn = random_draw.draw(episode.state, "urine-12", lot, cause(episode.now)).answer["drawn"]
        low, high = (lot + 1, high) if drawn else (low, lot)
    return low / random_draw.LOTS


@pytest.mark.fact("1.8")
def test_whoever_is_drawn_is_notified_by_that_and_nobody_hears_of_another_day() -> None:
    episode = Drawn()
    assert episode.draw(0)
    [ordered] = episode.of(attendance.ScreenOrdered)
    assert ordered.reason == "random"
    assert ordered.window_ends_at - episode.now == screens.WINDOW
    kept = episode.state.draw.model_dump()
    assert kept == {"since": episode.now, "last_on": episode.now.date()}


def test_whoever_is_not_drawn_hears_nothing() -> None:
    episode = Drawn()
    assert not episode.draw()
    assert not episode.said
    assert episode.state.screens == {}


@pytest.mark.parametrize("days_since", range(7))
def test_every_day_has_the_same_chance_the_day_after_a_screen_too(days_since: int) -> None:
    episode = Drawn()
    episode.draw(0)
    episode.collect()
    episode.at(MONDAY + (days_since + 1) * DAY)
    assert chance(episode) == pytest.approx(2 / 7, abs=1e-5)


@pytest.mark.parametrize(
    ("terms", "day", "every"),
    [
        ({}, 0, 7),
        ({}, 29, 7),
        ({}, 30, 30),
        ({"screen_every_days": 3}, 0, 3),
        ({"screen_every_days": 3, "screen_early_days": 90}, 89, 3),
        ({"screen_every_days_stable": None}, 300, 7),
        ({"screen_every_days": None}, 0, None),
    ],
)
def test_weekly_in_the_first_month_then_monthly_and_a_court_s_program_as_it_says(
    terms: dict[str, Any], day: int, every: int | None
) -> None:
    episode = Drawn(terms=HOUSE.replace(**terms))
    assert specimens.every_days(episode.state, MONDAY.astimezone(UTC) + day * DAY) == every
    if every is None:
        assert not episode.draw(0)


def test_weekly_again_for_thirty_days_after_an_unexpected_positive() -> None:
    episode = Screened()
    episode.at(MONDAY + 40 * DAY)
    assert specimens.every_days(episode.state, episode.now) == 30
    episode.screened("cocaine")
    assert specimens.every_days(episode.state, episode.now) == 7
    assert specimens.every_days(episode.state, episode.now + 30 * DAY) == 7
    assert specimens.every_days(episode.state, episode.now + 31 * DAY) == 30


def test_one_draw_a_day() -> None:
    episode = Drawn()
    assert not episode.draw()
    assert not episode.draw(0)
    episode.at(MONDAY + DAY)
    assert episode.draw(0)


def test_beyond_the_longest_time_a_nurse_orders_and_a_specimen_ends_it() -> None:
    episode = Drawn()
    episode.draw()
    for day in range(1, 7):
        episode.at(MONDAY + day * DAY)
        episode.draw()
        assert not episode.due
    episode.at(MONDAY + 7 * DAY)
    assert episode.due
    episode.draw()
    assert episode.due, "a draw that does not find the person ends nothing"
    episode.at(MONDAY + 9 * DAY)
    late = [e for e in episode.of(attendance.LoopEscalated) if e.loop == "screen_due"]
    assert [e.owner_role for e in late] == ["clinician"]
    episode.draw(0)
    assert episode.due
    episode.collect()
    assert not episode.due
    cleared = [e for e in episode.of(attendance.EscalationCleared) if e.loop == "screen_due"]
    assert [e.reason for e in cleared] == ["resolved"]
    episode.at(episode.now + 7 * DAY)
    assert episode.due


def test_nobody_is_due_who_takes_part_in_no_draw_or_has_left() -> None:
    episode = Episode(MONDAY)
    episode.at(MONDAY + 60 * DAY)
    assert "screen_due" not in [loop.kind for loop in episode.state.loops.values()]
    gone = Drawn()
    gone.draw()
    gone.hear(fact(plans.EpisodeDischarged, discharged_at=gone.now))
    gone.at(MONDAY + 60 * DAY)
    assert not gone.due
    with pytest.raises(CareError) as refused:
        gone.draw(0)
    assert refused.value.code == "episode-closed"


def test_only_the_edge_has_a_generator_and_it_is_a_cryptographic_one() -> None:
    generators: dict[str, set[str]] = {}
    [folder] = services.attendance.__path__
    for path in Path(folder).rglob("*.py"):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        if found := imported & {"random", "secrets", "uuid"}:
            generators[path.relative_to(folder).as_posix()] = found
    assert generators == {"api/screens.py": {"secrets"}}
