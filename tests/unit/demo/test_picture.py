"""What a run shows at its end, and when it ends badly."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from demo import picture
from demo.ledger import Ledger
from demo.rates import Rate
from shared.contracts import CATALOGUE


def shown(what: RenderableType) -> str:
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def heard_all(**replace: int) -> Ledger:
    """A clean ledger in which every type was heard once, but for these, by the last part of their names."""
    named = {name.split(".")[2].replace("-", "_"): name for name in CATALOGUE}
    counts = dict.fromkeys(CATALOGUE, 1) | {named[name]: count for name, count in replace.items()}
    return Ledger(events=sum(counts.values()), events_by_type=counts)


def wrong(ledger: Ledger, *, all_types: bool) -> tuple[bool, str]:
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        found = picture.say_what_is_wrong(console, ledger, all_types=all_types)
    return found, captured.get()


def test_a_service_shows_how_many_of_its_types_were_heard() -> None:
    lines = shown(picture.services(heard_all(goal_added=0, patient_admitted=500))).splitlines()
    rows = {line.split()[1]: line for line in lines if "types" in line}
    assert set(rows) == {"intake", "plans", "attendance", "followup"}
    plans = sum(name.startswith("care.plans.") for name in CATALOGUE)
    assert f"{plans - 1} of {plans} types" in rows["plans"]
    assert rows["intake"].count("█") == picture.BAR_WIDTH
    assert rows["plans"].count("█") < 3


def test_nothing_at_all_can_be_shown() -> None:
    assert "intake" in shown(picture.services(Ledger(events_by_type=dict.fromkeys(CATALOGUE, 0))))


def test_rates_stand_beside_their_odds() -> None:
    share, weeks = (
        Rate("gone_before_day_30", "share", 92, 0.359, 0.37),
        Rate("stay", "weeks", 0, None, 11.0),
    )
    lines = shown(picture.sample([share, weeks])).splitlines()
    assert any(
        "gone before day 30" in x and "92" in x and "35.9%" in x and "37.0%" in x for x in lines
    )
    assert any("stay" in x and " - " in x and "11.0 weeks" in x for x in lines)


def test_a_run_that_heard_everything_ends_well() -> None:
    assert wrong(heard_all(), all_types=True) == (False, "")


def test_a_type_that_nobody_said_is_named_and_ends_the_run_badly() -> None:
    ledger = heard_all(goal_added=0)
    assert ledger.clean
    assert wrong(ledger, all_types=True) == (True, "not one event of  care.plans.goal-added.v1\n")
    assert wrong(ledger, all_types=False) == (False, ""), "a small run hears less"


@pytest.mark.parametrize("all_types", [True, False])
def test_a_finding_ends_the_run_badly(all_types: bool) -> None:
    ledger = heard_all()
    ledger.lost = ["one sentence"]
    assert wrong(ledger, all_types=all_types) == (True, "lost  one sentence\n")
    ledger.lost, ledger.dead_letters = [], 1
    assert wrong(ledger, all_types=all_types) == (True, "")
