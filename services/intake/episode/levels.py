"""How a level of care is found from an assessment and a facility's own table of rules. Pure.

The rules are data (`rules/demo.toml` ships, as a demo; it is not ASAM's): a facility brings its own. What stands here
is the shape of the derivation, from docs/domain.md 2.5 (Derivation): imminent danger first; withdrawal on its own;
each dimension names the least it needs; the least intensive level that meets all of them, which is the MAXIMUM on each
axis (setting, medically managed, co-occurring enhanced) and never an average. A clinician signs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.contracts.codes import (
    LEVEL_CODES,
    AsamEdition,
    Code,
    Dimension,
    LevelOfCare,
    Value,
    VersionCode,
)
from shared.errors import ConfigurationError
from shared.programs.toml_text import NotToml, read_toml

DIMENSIONS: Final = (1, 2, 3, 4, 5, 6)
RATING_MAX: Final = 4
ANY: Final = "ANY"
EVALUATE: Final = "EVAL"
COE: Final = "co-occurring-enhanced"
HOUSING: Final = "recovery-housing"
MEDICAL_FOLLOW_UP: Final = "medical-follow-up"

Rating = int | str
"""3rd edition: 0 to 4. 4th edition: the least level that the dimension needs, or `ANY`, or `EVAL`."""
DimensionName = Annotated[str, Field(pattern=r"^[1-6]$")]
RatingName = Annotated[str, Field(pattern=r"^([0-4]|[1-4]\.[0-9]|ANY|EVAL)$")]


# --- the rules, as a facility writes them ---------------------------------------------------------------


class _Part(BaseModel):
    """A part of a table. What is not known is refused, so that a typing error is found before it matters."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Need(_Part):
    """The least that one dimension asks for."""

    setting: str | None = None
    """The least intensive setting, under any medical management; None: any."""
    medical: bool = False
    enhanced: bool = False
    withdrawal: str | None = None
    """The setting that withdrawal needs, decided on its own."""
    flags: tuple[Code, ...] = Field(default=(), max_length=10)
    emergency: bool = False
    evaluate: bool = False


class Rung(_Part):
    """A level: where care takes place, and whether physicians manage it."""

    code: str
    setting: str
    medical: bool = False


class EditionRules(_Part):
    """The rules by one edition of the criteria."""

    levels: tuple[Rung, ...] = Field(min_length=1, max_length=30)
    """Least intensive first."""
    ambulatory: frozenset[str] = frozenset()
    """Withdrawal care that may run alongside an outpatient program."""
    feasibility: frozenset[Annotated[int, Field(ge=2, le=6)]] = frozenset()
    """Dimensions that shape what is feasible, and never what is indicated."""
    every: dict[RatingName, Need] = Field(default_factory=dict[str, Need])
    dimension: dict[DimensionName, dict[RatingName, Need]] = Field(
        default_factory=dict[str, dict[str, Need]]
    )

    def needs_of(self, number: int) -> dict[str, Need]:
        """What each rating of a dimension asks for."""
        return {**self.every, **self.dimension.get(str(number), {})}

    def rank(self, setting: str | None) -> int:
        """How intensive a setting is, from 0; no setting asks for nothing."""
        return 0 if setting is None else self.settings.index(setting)

    @property
    def settings(self) -> list[str]:
        """The settings, least intensive first."""
        return list(dict.fromkeys(level.setting for level in self.levels))

    def least(self, setting: int, *, medical: bool) -> str:
        """The least intensive level that meets both."""
        return next(
            level.code
            for level in self.levels
            if self.rank(level.setting) >= setting and (level.medical or not medical)
        )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        settings = set(self.settings)
        for number in DIMENSIONS:
            cells = self.needs_of(number)
            if not cells:
                raise ValueError(f"dimension {number} has no ratings")
            strange = {n.setting for n in cells.values() if n.setting is not None} - settings
            if strange:
                raise ValueError(f"dimension {number} names settings that no level has")
        if not self.levels[-1].medical:
            raise ValueError("the most intensive level is medically managed")
        ranks = [self.rank(level.setting) for level in self.levels]
        if ranks != sorted(ranks):
            raise ValueError("levels stand in the order of their settings")
        return self


class RuleTable(_Part):
    """One version of a facility's rules. Its version is recorded with every assessment made by it."""

    version: VersionCode
    title: Annotated[str, Field(min_length=1, max_length=200)]
    edition: dict[AsamEdition, EditionRules] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_of_its_editions(self) -> Self:
        for edition, rules in self.edition.items():
            codes = LEVEL_CODES[edition]
            used = {level.code for level in rules.levels} | rules.ambulatory
            for number in DIMENSIONS:
                cells = rules.needs_of(number)
                used |= {need.withdrawal for need in cells.values() if need.withdrawal is not None}
                _ratings_fit(edition, number, rules)
            if not used <= codes:
                raise ValueError(f"a level is not of edition {edition}")
        return self


def _ratings_fit(edition: AsamEdition, number: int, rules: EditionRules) -> None:
    """The ratings are this edition's, and a graver one never asks for less."""
    cells = rules.needs_of(number)
    if edition == "4":
        if not set(cells) <= LEVEL_CODES["4"] | {ANY, EVALUATE}:
            raise ValueError("a 4th-edition rating is a level, ANY or EVAL")
        return
    if set(cells) != {str(rating) for rating in range(RATING_MAX + 1)}:
        raise ValueError(f"dimension {number} of edition 3 is rated from 0 to {RATING_MAX}")
    in_order = [cells[str(rating)] for rating in range(RATING_MAX + 1)]
    for milder, graver in pairwise(in_order):
        if not graver.emergency and rules.rank(graver.setting) < rules.rank(milder.setting):
            raise ValueError(f"dimension {number}: a graver rating asks for less")


def read_table(text: str) -> RuleTable:
    """Read a facility's rules. Raises `ConfigurationError` that names what is wrong, and where."""
    try:
        return RuleTable.model_validate(read_toml(text))
    except NotToml as error:
        raise _invalid(f"This is not TOML: {error}.") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in e['loc']) or 'table'}: {e['msg']}"
            for e in error.errors()[:10]
        )
        raise _invalid(f"{wrong}.") from error


def _invalid(wrong: str) -> ConfigurationError:
    return ConfigurationError(
        "level-rules-invalid",
        wrong,
        hint="Correct the file; services/intake/rules/demo.toml is one that is right.",
        setting="CARE_LEVEL_RULES",
    )


# --- the derivation -------------------------------------------------------------------------------------


class Derivation(Value):
    """What the rules derive. `level` is missing while a dimension still has to be evaluated."""

    level: LevelOfCare | None
    withdrawal_level: LevelOfCare | None
    wm_alongside: bool = False
    """The withdrawal care may run alongside an outpatient program."""
    enhanced: bool
    flags: tuple[str, ...]
    drivers: tuple[Dimension, ...]
    """The dimensions that set the level: they become the plan's problems and the exit test."""
    evaluate: tuple[int, ...] = ()
    rule_version: str


def read_ratings(
    table: RuleTable, edition: AsamEdition, ratings: Mapping[int, Rating]
) -> dict[int, Need]:
    """What each dimension asks for. Raises `ValueError` when the ratings are not this edition's."""
    rules = table.edition.get(edition)
    if rules is None:
        raise ValueError("the facility has no rules for ratings of this edition")
    if set(ratings) != set(DIMENSIONS):
        raise ValueError("every dimension is rated, once")
    return {number: _read(rules, edition, number, ratings[number]) for number in DIMENSIONS}


def _read(rules: EditionRules, edition: AsamEdition, number: int, rating: Rating) -> Need:
    if isinstance(rating, str) is (edition == "3"):
        raise ValueError("a 3rd-edition rating is a number, a 4th-edition rating is none")
    need = rules.needs_of(number).get(str(rating))
    if need is None:
        raise ValueError("a rating is not in the table")
    return need


def emergency(needs: Mapping[int, Need]) -> int | None:
    """The dimension that is an emergency by its rating alone, if one is."""
    return next((number for number, need in sorted(needs.items()) if need.emergency), None)


def gravest(table: RuleTable, edition: AsamEdition, needs: Mapping[int, Need]) -> int:
    """The dimension that asks for most; the lowest number, where several do."""
    found = emergency(needs)
    if found is not None:
        return found
    rank = table.edition[edition].rank
    return max(
        sorted(needs), key=lambda number: (needs[number].medical, rank(needs[number].setting))
    )


def derive(
    table: RuleTable, edition: AsamEdition, needs: Mapping[int, Need], *, enhanced: bool
) -> Derivation:
    """The least intensive level that meets every need: the maximum on each axis, never an average.

    `enhanced` is what the assessor found beside the ratings.
    """
    rules = table.edition[edition]
    indicated = {n: need for n, need in sorted(needs.items()) if n not in rules.feasibility}
    setting = max(rules.rank(need.setting) for need in indicated.values())
    medical = any(need.medical for need in indicated.values())
    found = rules.least(setting, medical=medical)
    flags = _flags(indicated, residential=found >= "3", enhanced=enhanced)
    evaluate = tuple(number for number, need in indicated.items() if need.evaluate)
    withdrawal = indicated[1].withdrawal
    return Derivation(
        level=None if evaluate else _level(edition, found),
        withdrawal_level=None if withdrawal is None else _level(edition, withdrawal),
        wm_alongside=withdrawal in rules.ambulatory,
        enhanced=COE in flags,
        flags=flags,
        drivers=tuple(
            Dimension(edition=edition, number=number)
            for number, need in indicated.items()
            if _drives(need, rules.rank(need.setting), setting)
        ),
        evaluate=evaluate,
        rule_version=table.version,
    )


def unmet(derivation: Derivation, offered: Collection[str]) -> tuple[str, ...]:
    """Why a program of these levels does not suit the need now; empty when it does."""
    codes: list[str] = []
    if derivation.withdrawal_level is not None and not derivation.wm_alongside:
        codes.append("withdrawal-management-needed")
    if derivation.level is None or derivation.level.code not in offered:
        codes.append("level-not-offered")
    return tuple(codes)


def _drives(need: Need, rank: int, setting: int) -> bool:
    """It reaches the maximum on some axis, and asks for more than the least there is."""
    sets_setting = setting > 0 and rank == setting
    return sets_setting or need.medical or need.enhanced or need.withdrawal is not None


def _flags(needs: Mapping[int, Need], *, residential: bool, enhanced: bool) -> tuple[str, ...]:
    """What stays open for the clinician beside the level. A residence needs no recovery housing."""
    flags = {flag for need in needs.values() for flag in need.flags}
    if enhanced or any(need.enhanced for need in needs.values()):
        flags.add(COE)
    if residential:
        flags.discard(HOUSING)
    return tuple(sorted(flags))


def _level(edition: AsamEdition, code: str) -> LevelOfCare:
    return LevelOfCare(system="asam", edition=edition, code=code)
