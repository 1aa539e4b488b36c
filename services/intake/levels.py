"""How a level of care is found from an assessment. Pure.

THE RATING TABLE HERE IS A DEMO TABLE. It is a house rule of this product's domain reference (section 2.8), it is not
ASAM's, it quotes no criteria, and a facility replaces it with its own licensed rules. The shape of the derivation is
the domain reference's section 2, "Derivation": imminent danger first; withdrawal on its own; each dimension names
the least it needs; the least intensive level that meets all of them, which is the MAXIMUM on each axis (setting,
medically managed, co-occurring enhanced) and never an average. A clinician signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.contracts.codes import LEVEL_CODES, AsamEdition, Dimension, LevelOfCare, Value

RULE_VERSION: Final = "demo-2026.1"
DIMENSIONS: Final = (1, 2, 3, 4, 5, 6)
RATING_MAX: Final = 4
PREFERENCES: Final = 6
"""The 4th edition's dimension of barriers and preferences: it shapes what is feasible, not what is indicated."""
ANY: Final = "ANY"
EVALUATE: Final = "EVAL"
COE: Final = "co-occurring-enhanced"
HOUSING: Final = "recovery-housing"
MEDICAL_FOLLOW_UP: Final = "medical-follow-up"

Rating = int | str
"""3rd edition: 0 to 4. 4th edition: the least level that the dimension needs, or `ANY`, or `EVAL`."""


class Need(Value):
    """The least that one dimension asks for."""

    setting: str | None = None
    """The least intensive setting, whoever manages it; None: any."""
    medical: bool = False
    enhanced: bool = False
    withdrawal: str | None = None
    flags: tuple[str, ...] = ()
    emergency: bool = False
    evaluate: bool = False


class Derivation(Value):
    """What the rules say. `level` is missing while a dimension still has to be evaluated."""

    level: LevelOfCare | None
    wm_need: LevelOfCare | None
    enhanced: bool
    flags: tuple[str, ...]
    drivers: tuple[Dimension, ...]
    """The dimensions that set the level: they become the plan's problems and the exit test."""
    evaluate: tuple[int, ...] = ()
    rule_version: str = RULE_VERSION


# --- the levels: what each is, least intensive first ----------------------------------------------------


class _Level(Value):
    code: str
    setting: str
    medical: bool = False


def _plain(*codes: str) -> tuple[_Level, ...]:
    return tuple(_Level(code=code, setting=code) for code in codes)


_LEVELS: Final[Mapping[AsamEdition, tuple[_Level, ...]]] = {
    "3": (
        *_plain("1", "2.1", "2.5", "3.1", "3.3", "3.5"),
        _Level(code="3.7", setting="3.5", medical=True),
        _Level(code="4", setting="4", medical=True),
    ),
    "4": (
        *_plain("1.0", "1.5"),
        _Level(code="1.7", setting="1.5", medical=True),
        *_plain("2.1", "2.5"),
        _Level(code="2.7", setting="2.5", medical=True),
        *_plain("3.1", "3.5"),
        _Level(code="3.7", setting="3.5", medical=True),
        _Level(code="4.0", setting="4.0", medical=True),
    ),
}
"""Levels are not one ladder: 1.7 is medically managed and 2.1 is not, so that 1.7 and 2.1 together ask for 2.7."""

_SETTINGS: Final[Mapping[AsamEdition, tuple[str, ...]]] = {
    edition: tuple(dict.fromkeys(level.setting for level in levels))
    for edition, levels in _LEVELS.items()
}
AMBULATORY: Final = frozenset({"1-WM", "2-WM", "1.7", "2.7"})
"""Withdrawal care that may run alongside an outpatient program."""
OFFERED: Final = frozenset({"2.1", "2.5"})
"""The levels of this program."""

# --- the demo table, 3rd edition: rating to least need. Not ASAM's. -------------------------------------

_LOW: Final = Need(setting="1")
_MEDICAL: Final = Need(setting="3.5", medical=True)
_INPATIENT: Final = Need(setting="4", medical=True)
DEMO_TABLE_3: Final[Mapping[int, tuple[Need, Need, Need, Need, Need]]] = {
    1: (
        _LOW,
        _LOW,
        Need(setting="1", withdrawal="2-WM"),
        Need(setting="3.5", medical=True, withdrawal="3.7-WM"),
        Need(setting="4", medical=True, withdrawal="4-WM"),
    ),
    2: (_LOW, _LOW, Need(setting="2.1", flags=(MEDICAL_FOLLOW_UP,)), _MEDICAL, _INPATIENT),
    3: (
        _LOW,
        _LOW,
        Need(setting="2.1"),
        Need(setting="2.5", enhanced=True),
        Need(emergency=True),
    ),
    4: (_LOW, _LOW, Need(setting="2.1"), Need(setting="2.5"), Need(setting="3.5")),
    5: (_LOW, _LOW, Need(setting="2.1"), Need(setting="2.5"), Need(setting="3.5")),
    6: (
        _LOW,
        _LOW,
        Need(setting="2.1"),
        Need(setting="2.1", flags=(HOUSING,)),
        Need(setting="3.5"),
    ),
}


def read_ratings(edition: AsamEdition, ratings: Mapping[int, Rating]) -> dict[int, Need]:
    """What each dimension asks for. Raises `ValueError` when the ratings are not this edition's."""
    if set(ratings) != set(DIMENSIONS):
        raise ValueError("every dimension is rated, once")
    read = _read_3 if edition == "3" else _read_4
    return {number: read(number, ratings[number]) for number in DIMENSIONS}


def _read_3(number: int, rating: Rating) -> Need:
    if isinstance(rating, str) or not 0 <= rating <= RATING_MAX:
        raise ValueError("a 3rd-edition rating is 0 to 4")
    return DEMO_TABLE_3[number][rating]


def _read_4(number: int, rating: Rating) -> Need:
    if rating == EVALUATE:
        return Need(evaluate=True)
    if rating == ANY:
        return Need()
    if not isinstance(rating, str) or rating not in LEVEL_CODES["4"]:
        raise ValueError("a 4th-edition rating is a level, ANY or EVAL")
    level = next(level for level in _LEVELS["4"] if level.code == rating)
    if number != 1 or not level.medical:
        return Need(setting=level.setting, medical=level.medical)
    if rating in AMBULATORY:
        return Need(withdrawal=rating)
    return Need(setting=level.setting, medical=True, withdrawal=rating)


# --- the derivation -------------------------------------------------------------------------------------


def emergency(needs: Mapping[int, Need]) -> int | None:
    """The dimension that is an emergency by its rating alone, if one is."""
    return next((number for number, need in sorted(needs.items()) if need.emergency), None)


def gravest(edition: AsamEdition, needs: Mapping[int, Need]) -> int:
    """The dimension that asks for most; the lowest number, where several do."""
    found = emergency(needs)
    if found is not None:
        return found
    return max(
        sorted(needs),
        key=lambda number: (needs[number].medical, _rank(edition, needs[number].setting)),
    )


def derive(edition: AsamEdition, needs: Mapping[int, Need], *, enhanced: bool) -> Derivation:
    """The least intensive level that meets every need: the maximum on each axis, never an average.

    `enhanced` is what the assessor found beside the ratings.
    """
    indicated = {
        number: need for number, need in needs.items() if edition == "3" or number != PREFERENCES
    }
    setting = max(_rank(edition, need.setting) for need in indicated.values())
    medical = any(need.medical for need in indicated.values())
    found = next(
        level
        for level in _LEVELS[edition]
        if _rank(edition, level.setting) >= setting and (level.medical or not medical)
    )
    flags = _flags(indicated, residential=found.code >= "3", enhanced=enhanced)
    evaluate = tuple(number for number, need in sorted(indicated.items()) if need.evaluate)
    withdrawal = indicated[1].withdrawal
    return Derivation(
        level=None if evaluate else _level(edition, found.code),
        wm_need=None if withdrawal is None else _level(edition, withdrawal),
        enhanced=COE in flags,
        flags=flags,
        drivers=tuple(
            Dimension(edition=edition, number=number)
            for number, need in sorted(indicated.items())
            if _drives(edition, need, setting)
        ),
        evaluate=evaluate,
    )


def unmet(derivation: Derivation) -> tuple[str, ...]:
    """Why this program does not suit the person now; empty when it does."""
    codes: list[str] = []
    if derivation.wm_need is not None and derivation.wm_need.code not in AMBULATORY:
        codes.append("withdrawal-management-needed")
    if derivation.level is None or derivation.level.code not in OFFERED:
        codes.append("level-not-offered")
    return tuple(codes)


def _drives(edition: AsamEdition, need: Need, setting: int) -> bool:
    """It reaches the maximum on some axis, and asks for more than the least there is."""
    sets_setting = setting > 0 and _rank(edition, need.setting) == setting
    return sets_setting or need.medical or need.enhanced or need.withdrawal is not None


def _flags(needs: Mapping[int, Need], *, residential: bool, enhanced: bool) -> tuple[str, ...]:
    """What stays open for the clinician beside the level. A residence needs no recovery housing."""
    flags = {flag for need in needs.values() for flag in need.flags}
    if enhanced or any(need.enhanced for need in needs.values()):
        flags.add(COE)
    if residential:
        flags.discard(HOUSING)
    return tuple(sorted(flags))


def _rank(edition: AsamEdition, setting: str | None) -> int:
    return 0 if setting is None else _SETTINGS[edition].index(setting)


def _level(edition: AsamEdition, code: str) -> LevelOfCare:
    return LevelOfCare(system="asam", edition=edition, code=code)
