"""How a level is found: the demo table, the maximum per axis, and what this program does not offer."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.episode import levels
from services.intake.episode.levels import COE, HOUSING, MEDICAL_FOLLOW_UP, Derivation, Need
from services.intake.settings import DEMO_RULES
from shared.errors import ConfigurationError
from tests.unit.intake.world import TABLE

LOW_3: dict[int, int | str] = dict.fromkeys(levels.DIMENSIONS, 0)
LOW_4: dict[int, int | str] = dict.fromkeys(levels.DIMENSIONS, "1.5")
HERE = ("2.1", "2.5")
ORDER_3 = ["1", "2.1", "2.5", "3.1", "3.3", "3.5", "3.7", "4"]


def third(ratings: Mapping[int, int], *, enhanced: bool = False) -> Derivation:
    """By ratings of some dimensions; the others are 0."""
    needs = levels.read_ratings(TABLE, "3", {**LOW_3, **ratings})
    return levels.derive(TABLE, "3", needs, enhanced=enhanced)


def fourth(ratings: Mapping[int, str], *, enhanced: bool = False) -> Derivation:
    needs = levels.read_ratings(TABLE, "4", {**LOW_4, **ratings})
    return levels.derive(TABLE, "4", needs, enhanced=enhanced)


def code(found: Derivation) -> str | None:
    return None if found.level is None else found.level.code


def numbers(found: Derivation) -> list[int]:
    return [driver.number for driver in found.drivers]


@pytest.mark.fact("0.7", "4.2")
@pytest.mark.parametrize(
    ("dimension", "rating", "least"),
    [
        *((dimension, low, "1") for dimension in levels.DIMENSIONS for low in (0, 1)),
        (1, 2, "1"),
        (1, 3, "3.7"),
        (1, 4, "4"),
        (2, 2, "2.1"),
        (2, 3, "3.7"),
        (2, 4, "4"),
        (3, 2, "2.1"),
        (3, 3, "2.5"),
        (4, 2, "2.1"),
        (4, 3, "2.5"),
        (4, 4, "3.5"),
        (5, 2, "2.1"),
        (5, 3, "2.5"),
        (5, 4, "3.5"),
        (6, 2, "2.1"),
        (6, 3, "2.1"),
        (6, 4, "3.5"),
    ],
)
def test_each_rating_names_its_least_level(dimension: int, rating: int, least: str) -> None:
    found = third({dimension: rating})
    assert code(found) == least
    more_than_least = least != "1" or rating == 2
    assert numbers(found) == ([dimension] if more_than_least else [])


def test_the_table_that_ships_says_that_it_is_a_demo() -> None:
    assert "demo" in TABLE.version
    assert "not ASAM" in TABLE.title
    assert set(TABLE.edition) == {"3", "4"}


@pytest.mark.parametrize(
    ("rating", "setting"), [(0, None), (1, None), (2, "2-WM"), (3, "3.7-WM"), (4, "4-WM")]
)
def test_withdrawal_is_decided_on_its_own(rating: int, setting: str | None) -> None:
    for others in (0, 2, 3):
        found = third({1: rating, 4: others})
        assert (None if found.withdrawal_level is None else found.withdrawal_level.code) == setting


def test_ambulatory_withdrawal_care_runs_alongside() -> None:
    found = third({1: 2, 5: 2})
    assert (code(found), levels.unmet(found, HERE)) == ("2.1", ())
    assert numbers(found) == [1, 5]


@pytest.mark.parametrize(
    ("ratings", "level", "unmet"),
    [
        ({}, "1", ("level-not-offered",)),
        ({4: 2}, "2.1", ()),
        ({4: 3}, "2.5", ()),
        ({4: 4}, "3.5", ("level-not-offered",)),
        ({1: 2, 4: 2}, "2.1", ()),
        ({1: 3, 4: 2}, "3.7", ("withdrawal-management-needed", "level-not-offered")),
        ({2: 3, 4: 2}, "3.7", ("level-not-offered",)),
        ({3: 3, 4: 2}, "2.5", ()),
    ],
)
def test_what_this_program_can_do(
    ratings: dict[int, int], level: str, unmet: tuple[str, ...]
) -> None:
    found = third(ratings)
    assert (code(found), levels.unmet(found, HERE)) == (level, unmet)


@pytest.mark.fact("4.2")
def test_never_an_average() -> None:
    """Five dimensions at nothing and one at 4: an average would say outpatient, and be wrong."""
    found = third({5: 4})
    assert mean([0, 0, 0, 0, 4, 0]) < 1
    assert code(found) == "3.5"
    assert numbers(found) == [5]


@pytest.mark.parametrize("edition", ["3", "4"])
def test_residential_wins_and_the_co_occurring_need_stays_open(edition: str) -> None:
    """D3 asks 2.5 co-occurring enhanced, D4 and D5 ask 3.1: 3.1, and the flag is kept."""
    quiet = Need(setting="1" if edition == "3" else "1.5")
    needs = {
        **dict.fromkeys(levels.DIMENSIONS, quiet),
        3: Need(setting="2.5", enhanced=True),
        4: Need(setting="3.1"),
        5: Need(setting="3.1"),
    }
    found = levels.derive(TABLE, "3" if edition == "3" else "4", needs, enhanced=False)
    assert (code(found), found.enhanced, found.flags) == ("3.1", True, (COE,))
    assert numbers(found) == [3, 4, 5]


def test_the_same_by_ratings_of_the_4th_edition() -> None:
    found = fourth({3: "2.5", 4: "3.1", 5: "3.1"}, enhanced=True)
    assert (code(found), found.enhanced) == ("3.1", True)
    assert numbers(found) == [4, 5]


@pytest.mark.parametrize(
    ("ratings", "level"),
    [
        ({}, "1.5"),
        ({2: "1.7"}, "1.7"),
        ({2: "1.7", 4: "2.1"}, "2.7"),
        ({2: "1.7", 4: "3.1"}, "3.7"),
        ({2: "2.7", 4: "2.1"}, "2.7"),
        ({2: "4.0", 4: "2.1"}, "4.0"),
        ({4: "2.1", 5: "2.5"}, "2.5"),
        ({4: "2.1", 6: "3.5"}, "2.1"),
    ],
)
def test_levels_are_not_one_ladder(ratings: dict[int, str], level: str) -> None:
    assert code(fourth(ratings)) == level


@pytest.mark.parametrize(
    ("rating", "level", "need", "unmet"),
    [
        ("ANY", "2.1", None, ()),
        ("1.7", "2.1", "1.7", ()),
        ("2.7", "2.1", "2.7", ()),
        ("3.7", "3.7", "3.7", ("withdrawal-management-needed", "level-not-offered")),
        ("4.0", "4.0", "4.0", ("withdrawal-management-needed", "level-not-offered")),
    ],
)
def test_withdrawal_in_the_4th_edition(
    rating: str, level: str, need: str | None, unmet: tuple[str, ...]
) -> None:
    found = fourth({1: rating, 4: "2.1"})
    assert (code(found), levels.unmet(found, HERE)) == (level, unmet)
    assert (None if found.withdrawal_level is None else found.withdrawal_level.code) == need


def test_a_dimension_that_asks_for_nothing_sets_nothing() -> None:
    everything = levels.read_ratings(TABLE, "4", dict.fromkeys(levels.DIMENSIONS, levels.ANY))
    found = levels.derive(TABLE, "4", everything, enhanced=False)
    assert (code(found), found.drivers) == ("1.0", ())


def test_what_must_be_evaluated_leaves_the_level_open() -> None:
    found = fourth({2: levels.EVALUATE, 4: "2.1"})
    assert (found.level, found.evaluate) == (None, (2,))
    assert levels.unmet(found, HERE) == ("level-not-offered",)


@pytest.mark.parametrize(
    ("ratings", "flags"),
    [
        ({2: 2}, (MEDICAL_FOLLOW_UP,)),
        ({3: 3}, (COE,)),
        ({6: 3}, (HOUSING,)),
        ({6: 3, 4: 4}, ()),
        ({3: 3, 6: 3}, (COE, HOUSING)),
    ],
)
def test_flags_stay_for_the_clinician(ratings: dict[int, int], flags: tuple[str, ...]) -> None:
    assert third(ratings).flags == flags


def test_what_the_assessor_found_counts_beside_the_ratings() -> None:
    assert third({4: 2}, enhanced=True).flags == (COE,)


def test_an_emergency_is_found_before_anything_else() -> None:
    needs = levels.read_ratings(TABLE, "3", {**LOW_3, 1: 4, 3: 4})
    assert levels.emergency(needs) == 3
    assert levels.gravest(TABLE, "3", needs) == 3
    assert levels.emergency(levels.read_ratings(TABLE, "3", {**LOW_3, 3: 3})) is None


@pytest.mark.parametrize(
    ("edition", "ratings", "dimension"),
    [
        ("3", {1: 4, 2: 0, 3: 3, 4: 4, 5: 4, 6: 4}, 1),
        ("3", {1: 0, 2: 0, 3: 2, 4: 0, 5: 3, 6: 3}, 5),
        ("4", {1: "1.5", 2: "3.1", 3: "2.7", 4: "3.5", 5: "ANY", 6: "ANY"}, 3),
    ],
)
def test_the_gravest_dimension(edition: str, ratings: dict[int, int | str], dimension: int) -> None:
    name = "3" if edition == "3" else "4"
    assert levels.gravest(TABLE, name, levels.read_ratings(TABLE, name, ratings)) == dimension


@pytest.mark.parametrize(
    ("edition", "ratings"),
    [
        ("3", {1: 0}),
        ("3", {**LOW_3, 7: 0}),
        ("3", {**LOW_3, 2: 5}),
        ("3", {**LOW_3, 2: -1}),
        ("3", {**LOW_3, 2: "2.1"}),
        ("4", {**LOW_4, 2: 2}),
        ("4", {**LOW_4, 2: "3.3"}),
        ("4", {**LOW_4, 2: "2-WM"}),
        ("4", {**LOW_4, 2: "any"}),
    ],
)
def test_ratings_of_another_edition_are_refused(
    edition: str, ratings: dict[int, int | str]
) -> None:
    with pytest.raises(ValueError, match=r"rat"):
        levels.read_ratings(TABLE, "3" if edition == "3" else "4", ratings)


RATINGS_3 = st.fixed_dictionaries(
    {
        number: st.integers(0, 3) if number == 3 else st.integers(0, 4)
        for number in levels.DIMENSIONS
    }
)


@given(ratings=RATINGS_3)
def test_the_level_meets_every_dimension_and_is_asked_for(ratings: dict[int, int]) -> None:
    """At least what each dimension asks for alone; and each axis is asked for by some dimension."""
    alone = [code(third({number: rating})) for number, rating in ratings.items()]
    together = third(ratings)
    places = [ORDER_3.index(str(one)) for one in alone]
    assert ORDER_3.index(str(code(together))) == max(places)


@given(ratings=RATINGS_3, dimension=st.sampled_from([1, 2, 4, 5, 6]))
def test_a_graver_rating_never_lowers_the_level(ratings: dict[int, int], dimension: int) -> None:
    graver = {**ratings, dimension: min(ratings[dimension] + 1, levels.RATING_MAX)}
    before, after = (code(third(one)) for one in (ratings, graver))
    assert ORDER_3.index(str(after)) >= ORDER_3.index(str(before))


@given(ratings=RATINGS_3)
def test_without_its_drivers_the_level_would_be_lower(ratings: dict[int, int]) -> None:
    found = third(ratings)
    if code(found) == "1":
        return
    eased = {**ratings, **dict.fromkeys(numbers(found), 0)}
    lower = third(eased)
    assert ORDER_3.index(str(code(lower))) < ORDER_3.index(str(code(found)))


# --- the 4th edition, cell by cell -----------------------------------------------------------------------


@pytest.mark.fact("0.7")
@pytest.mark.parametrize(
    "rating", ["1.0", "1.5", "1.7", "2.1", "2.5", "2.7", "3.1", "3.5", "3.7", "4.0"]
)
@pytest.mark.parametrize("dimension", [2, 3, 4, 5])
def test_a_4th_edition_rating_is_its_own_least_level(dimension: int, rating: str) -> None:
    quiet = {**dict.fromkeys(levels.DIMENSIONS, levels.ANY), dimension: rating}
    needs = levels.read_ratings(TABLE, "4", quiet)
    assert code(levels.derive(TABLE, "4", needs, enhanced=False)) == rating


@pytest.mark.parametrize("rating", ["1.0", "2.1", "3.7", "4.0"])
def test_preferences_shape_what_is_feasible_and_never_what_is_indicated(rating: str) -> None:
    assert fourth({6: rating}) == fourth({6: levels.ANY})


# --- a facility's own table -------------------------------------------------------------------------------


def _table(old: str, new: str) -> str:
    text = DEMO_RULES.read_text()
    assert old in text
    return text.replace(old, new, 1)


def test_a_facility_brings_its_own_rules() -> None:
    """Another table, another level, and its version stands in the derivation."""
    own = levels.read_table(
        _table('version = "demo-2026.1"', 'version = "ours-7"').replace(
            '[edition.3.dimension.5]\n2 = { setting = "2.1" }',
            '[edition.3.dimension.5]\n2 = { setting = "2.5" }',
        )
    )
    needs = levels.read_ratings(own, "3", {**LOW_3, 5: 2})
    found = levels.derive(own, "3", needs, enhanced=False)
    assert (code(found), found.rule_version) == ("2.5", "ours-7")
    assert third({5: 2}).rule_version == TABLE.version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[edition.3]", "[edition.3"),
        ("[edition.3]", "[edition.5]"),
        ('version = "demo-2026.1"', ""),
        ('code = "3.3", setting = "3.3"', 'code = "3.4", setting = "3.3"'),
        ('4 = { setting = "3.5" }', '4 = { setting = "9.9" }'),
        ('4 = { setting = "3.5" }', ""),
        ('4 = { setting = "3.5" }', '4 = { setting = "1" }'),
        ('4 = { setting = "3.5" }', '4 = { settings = "3.5" }'),
        ('withdrawal = "2-WM"', 'withdrawal = "2.9"'),
        ('{ code = "4", setting = "4", medical = true },', ""),
        ("feasibility = [6]", "feasibility = [1]"),
        ('"2.1" = { setting = "2.1" }', '"3.3" = { setting = "3.1" }'),
        ('{ code = "2.1", setting = "2.1" },', '{ code = "3.5", setting = "3.5" },'),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_before_anybody_is_placed_by_it(
    old: str, new: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        levels.read_table(_table(old, new))
    assert refused.value.code == "level-rules-invalid"
    assert refused.value.detail


def test_a_table_without_an_edition_takes_no_ratings_of_it() -> None:
    only_3 = TABLE.model_copy(update={"edition": {"3": TABLE.edition["3"]}})
    with pytest.raises(ValueError, match="no rules"):
        levels.read_ratings(only_3, "4", LOW_4)
