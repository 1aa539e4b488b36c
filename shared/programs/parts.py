"""The parts of a profile: hours, groups, sessions, screens, absences, aftercare, each with what it must hold.

Every default is a house rule: docs/domain.md 3 (Hours, attendance and screens).
"""

from __future__ import annotations

from datetime import time
from itertools import pairwise
from typing import Annotated, Any, Final, LiteralString, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.attendance import Fellowship, Matrix
from shared.contracts.codes import (
    Code,
    CriterionCode,
    ElementCode,
    Milestone,
    Modality,
    PanelCode,
    Population,
    TrackCode,
)
from shared.contracts.event import OpenEnum
from shared.contracts.terms import HOUSE, Days, Times

SECULAR: Final = frozenset({Fellowship.SMART, Fellowship.LIFERING})
"""Fellowships without a religious or spiritual part."""
MILESTONE_DAYS: Final = {
    Milestone.HOURS_72: 3,
    Milestone.DAYS_7: 7,
    Milestone.DAYS_14: 14,
    Milestone.DAYS_30: 30,
    Milestone.DAYS_60: 60,
    Milestone.DAYS_90: 90,
    Milestone.MONTHS_6: 182,
    Milestone.MONTHS_9: 273,
    Milestone.MONTHS_12: 365,
}
"""How many days after discharge a check-in is due, in the order of their coming."""
DAYS_PER_WEEK: Final = 7

Weeks = Annotated[int, Field(ge=1, le=104)]
Minutes = Annotated[int, Field(ge=15, le=480)]
Members = Annotated[int, Field(ge=2, le=100)]
PerWeek = Annotated[int, Field(ge=1, le=21)]
Weekday = Annotated[int, Field(ge=1, le=7)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


def wrong(kind: LiteralString, why: str, *at: str | int) -> PydanticCustomError:
    """What a profile does wrong, in words for whoever writes it; `at` says where within the part that finds it."""
    return PydanticCustomError(kind, "{why}", {"why": why, "at": at})


class Part(BaseModel):
    """A part of a profile. What is not known is refused, so that a typing error is found before it matters."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _codes_are_listed(cls, value: Any) -> Any:
        items = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        for item in items:
            if isinstance(item, OpenEnum) and item.name == "UNKNOWN":
                listed = ", ".join(m.value for m in type(item) if m.name != "UNKNOWN")
                raise wrong("not_listed", f"not one of: {listed}")
        return cast("Any", value)


def rising(less: int | None, more: int | None, what: str, *at: str) -> None:
    """The least is not more than the most. Raises what the file does wrong."""
    if less is not None and more is not None and less > more:
        raise wrong("not_rising", f"the least {what} is more than the most", *at)


class Hours(Part):
    """The hours of a full week, for one population."""

    population: Population
    minutes_floor: int = Field(ge=0, le=10_080)
    """Below this a week is reviewed."""
    minutes_most: int | None = Field(default=None, ge=0, le=10_080)
    """More than this is more than this program is."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        rising(self.minutes_floor, self.minutes_most, "time per week", "minutes_most")
        return self


class Group(Part):
    """How many people a group has."""

    members_min: Members = 2
    """With fewer it is no group."""
    members_max: Members = 12
    """It is full."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        rising(self.members_min, self.members_max, "number of members", "members_max")
        return self


class Sessions(Part):
    """How often groups meet, and for how long. Missing: as the plan says."""

    per_week_min: PerWeek | None = None
    per_week_max: PerWeek | None = None
    minutes_min: Minutes | None = None
    minutes_max: Minutes | None = None
    led: bool = False
    """Who leads a session is named: one that begins without is an open loop, and its roll is signed."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        rising(self.per_week_min, self.per_week_max, "number of sessions per week", "per_week_max")
        rising(self.minutes_min, self.minutes_max, "length of a session", "minutes_max")
        return self


class Phase(Part):
    """A part of the way through the program. Going back to one is normal."""

    code: Code
    weeks: Weeks | None = None
    """Missing: as long as it takes."""


class Individual(Part):
    """Sessions with one counselor."""

    per_week: PerWeek = 1


class Family(Part):
    """Education and sessions for those who live with the person."""

    per_week: PerWeek = 1
    group: bool = True
    individual: bool = False


class MutualSupport(Part):
    """Meetings of others in recovery. Nobody is made to go to one that is against their conviction."""

    per_week: int = Field(default=0, ge=0, le=14)
    alternatives: tuple[Fellowship, ...] = Field(default=(), max_length=20)
    """The fellowships offered."""
    opt_out: bool = True
    """Someone may decline without consequence."""

    @model_validator(mode="after")
    def _leaves_a_choice(self) -> Self:
        """Courts treat compelled attendance without a secular option as unlawful: docs/domain.md 3.10."""
        if self.per_week and not SECULAR & set(self.alternatives):
            raise wrong(
                "secular_missing",
                "meetings that are asked for need a secular alternative: "
                + ", ".join(sorted(f.value for f in SECULAR)),
                "alternatives",
            )
        return self


class OfferedService(Part):
    """Something offered beside the groups."""

    code: Code
    on_site: bool = True
    off_site: bool = False
    modality: Modality | None = None
    """How it stands in a plan; missing: an addition that counts toward no hours."""


class OfficeHours(Part):
    """When somebody is at the desk."""

    weekdays: tuple[Weekday, ...] = Field(min_length=1, max_length=7)
    """1 is Monday."""
    opens: time
    closes: time

    def covers(self, weekday: int, begins: time, ends: time) -> bool:
        """Whether all of it falls into these hours."""
        return weekday in self.weekdays and self.opens <= begins and ends <= self.closes


class Track(Part):
    """A schedule that somebody can belong to."""

    code: TrackCode
    weekdays: tuple[Weekday, ...] = Field(min_length=1, max_length=7)
    begins: time
    ends: time

    def outside(self, office: OfficeHours) -> bool:
        """Whether somebody who works while the office is open can come."""
        return any(
            day not in office.weekdays or self.begins >= office.closes or self.ends <= office.opens
            for day in self.weekdays
        )


class Screens(Part):
    """Random screens."""

    every_days: Days | None = HOUSE.screen_every_days
    """The longest time between screens at first; `false`: none are asked for."""
    matrices: tuple[Matrix, ...] = Field(default=(), max_length=3)
    """What is tested; empty: as the clinician orders."""
    panels: tuple[PanelCode, ...] = Field(default=(), max_length=20)
    """What may be ordered; empty: any."""

    @field_validator("every_days", mode="before")
    @classmethod
    def _none_is_said_as_false(cls, value: Any) -> Any:
        return None if value is False else value


class Absence(Part):
    """What follows from not coming. Nobody is discharged by a rule."""

    review: Times = HOUSE.absences_review
    conference: Times = HOUSE.absences_conference
    exclusion: Times | None = None
    exclusion_days: Days | None = None
    silent_days_conference: Days = HOUSE.silent_days_conference
    silent_days_lost: Days = HOUSE.silent_days_lost

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.review > self.conference or self.silent_days_conference > self.silent_days_lost:
            raise wrong("not_rising", "the milder answer comes first")
        if (self.exclusion is None) is not (self.exclusion_days is None):
            raise wrong("half_said", "a pause has both exclusion and exclusion_days, or neither")
        return self


class Planning(Part):
    """When a treatment plan is due, and its reviews."""

    within_days: Days = HOUSE.plan_within_days
    within_sessions: Times = HOUSE.plan_within_sessions
    review_every_days: Days = HOUSE.review_every_days


class Graduation(Part):
    """What is looked at before a step down or a graduation."""

    clean_days: Days = HOUSE.days_without_unexpected_positive
    criteria: tuple[CriterionCode, ...] = Field(default=HOUSE.graduation_criteria, max_length=30)


class AftercareCourse(Part):
    """What follows discharge."""

    days: Days = HOUSE.aftercare_days
    check_ins: tuple[Milestone, ...] = Field(default=HOUSE.check_ins, max_length=20)
    elements: tuple[ElementCode, ...] = Field(default=(), max_length=30)

    @model_validator(mode="after")
    def _is_a_calendar(self) -> Self:
        days = [MILESTONE_DAYS[milestone] for milestone in self.check_ins]
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise wrong("not_rising", "check-ins stand in the order of their coming", "check_ins")
        if days and days[-1] > self.days:
            raise wrong("too_late", "a check-in is due after aftercare has ended", "check_ins")
        return self


class Crisis(Part):
    """Whom to call when it can't wait, at any hour."""

    lines: tuple[Code, ...] = Field(default=("988",), min_length=1, max_length=10)
    hours_per_day: int = Field(default=24, ge=1, le=24)
    confidential: bool = True


class Claim(Part):
    """Something that the program says about itself or the field: shown with its standing, never acted on."""

    code: Code
    says: Words
    standing: Code
    """Such as `claim`, `dated`, `disputed` or `own-view`."""
    source: Words
