"""What a program promises and asks, as far as other services act on it: a snapshot that travels with the admission.

It is pinned to the episode on the first day, so that a profile that changes later never rewrites the past. `HOUSE` has
the house rules, docs/domain.md 3 (Hours, attendance and screens); a facility's own profile says otherwise. A default is
a house rule too, except where a missing term means that nothing is asked for.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from .codes import (
    BehaviorCode,
    Cents,
    CriterionCode,
    Milestone,
    PanelCode,
    Population,
    Value,
    VersionCode,
)

Days = Annotated[int, Field(ge=1, le=3660)]
Times = Annotated[int, Field(ge=1, le=50)]


class HoursBand(Value):
    """The required minutes per full week at one level of care."""

    level_code: str = Field(pattern=r"^[0-4](\.[0-9])?$", examples=["2.1"])
    """The code of the level of care, in either edition of the ASAM Criteria."""
    population: Population = Field(examples=["adult"])
    """The population to which the band applies."""
    minutes_floor: int = Field(ge=0, le=10_080, examples=[540])
    """The minutes per week below which a week is reviewed."""
    minutes_ceiling: int | None = Field(default=None, ge=0, le=10_080, examples=[900])
    """The minutes per week from which a week belongs to a higher level of care. Absent if there is no such limit."""


BANDS: Final = (
    HoursBand(
        level_code="2.1", population=Population.ADULT, minutes_floor=540, minutes_ceiling=1200
    ),
    HoursBand(
        level_code="2.1", population=Population.ADOLESCENT, minutes_floor=360, minutes_ceiling=1200
    ),
    HoursBand(level_code="2.5", population=Population.ADULT, minutes_floor=1200),
    HoursBand(level_code="2.5", population=Population.ADOLESCENT, minutes_floor=1200),
)
"""9 hours for adults and 6 for adolescents at 2.1 (SAMHSA advisory of 2021); 20 hours at 2.5."""


class IncentiveTerms(Value):
    """The terms of incentives: which behaviors are rewarded, with which amounts, and up to which limit."""

    behaviors: tuple[BehaviorCode, ...] = Field(
        default=("screen",), max_length=5, examples=[["screen"]]
    )
    """The behaviors that are rewarded: `screen` (a result as expected), `attendance`, or both."""
    base_cents: Cents = Field(default=250, examples=[250])
    """The amount of the first incentive, in US cents."""
    step_cents: Cents = Field(default=125, examples=[125])
    """The amount by which each further incentive without interruption grows, in US cents."""
    most_cents: Cents = Field(default=2_500, examples=[2500])
    """The largest amount of one incentive, in US cents."""
    restored_after_behaviors: int = Field(default=3, ge=1, le=50, examples=[3])
    """The number of consecutive rewarded behaviors after a reset, after which the amount from before the reset is
    restored."""
    attendance_cents: Cents = Field(default=100, examples=[100])
    """The amount for an attended session if attendance is rewarded, in US cents."""
    cap_cents: Cents = Field(default=75_000, examples=[75000])
    """The maximum that one person may earn in one calendar year, in US cents. Federal guidance also knows a smaller
    cap of 7500."""


class ProgramTerms(Value):
    """The terms of a program, in one version."""

    version: VersionCode = Field(default="house-1", examples=["2026.1"])
    """The version of the program's terms."""
    bands: tuple[HoursBand, ...] = Field(default=BANDS, max_length=20)
    """The required minutes per week, by level of care and population. A level without a band requires none."""
    plan_within_days: Days = 7
    """The number of days after the admission within which a treatment plan is due."""
    plan_within_sessions: Times = 2
    """The number of sessions within which a treatment plan is due, if this comes before `plan_within_days`."""
    review_every_days: Days = 30
    """The longest time between reviews of the treatment plan, in days."""
    individual_every_days: Days | None = None
    """The longest time between individual sessions, in days. Absent if none are required."""
    absences_review: Times = 2
    """The number of consecutive unexcused absences that call for a clinician and a review."""
    absences_conference: Times = 3
    """The number of consecutive unexcused absences that call for a retention conference."""
    pause_after_absences: Times | None = None
    """The number of unexcused absences after which the person attends no groups for a while. Absent if the program
    never does this."""
    pause_days: Days | None = None
    """The length of such a pause, in days. Absent if the program has no pauses."""
    silent_days_conference: Days = 7
    """The number of days without contact that call for a welfare contact."""
    silent_days_lost: Days = 30
    """The number of days without contact after which contact counts as lost."""
    screen_every_days: Days | None = None
    """The longest time between screens in the first period, in days. Absent if no screens are required."""
    screen_early_days: Days = 30
    """The length of the first period of screens, in days."""
    screen_every_days_stable: Days | None = None
    """The longest time between screens after the first period, in days, while no positive is unexpected. Absent if
    `screen_every_days` goes on."""
    breath_positive_mg_per_210l: int = Field(default=10, ge=1, le=400)
    """The milligrams of alcohol per 210 litres of breath from which a breath test is positive. The value 10 means
    0.010 g/210 L."""
    incentives: IncentiveTerms | None = None
    """The terms of incentives. Absent if the default terms hold."""
    family_sessions_per_week: int = Field(default=0, ge=0, le=14)
    """The number of family sessions per week that the program asks for."""
    panels: tuple[PanelCode, ...] = Field(default=(), max_length=20, examples=[["urine-12"]])
    """The panels that may be ordered. If the list is empty, any panel may be."""
    mutual_support_meetings_per_week: int = Field(default=0, ge=0, le=14)
    """The number of mutual-support meetings per week that the program asks for. A secular fellowship counts too."""
    days_without_unexpected_positive: Days = 30
    """The number of days without an unexpected positive before a step down or a graduation."""
    graduation_criteria: tuple[CriterionCode, ...] = Field(
        default=("goals-met", "relapse-prevention-plan", "supports-verified"), max_length=30
    )
    """The criteria that are checked before a graduation."""
    aftercare_days: Days = 365
    """The length of aftercare, in days from the discharge."""
    check_ins: tuple[Milestone, ...] = Field(
        default=(
            Milestone.HOURS_72,
            Milestone.DAYS_7,
            Milestone.DAYS_14,
            Milestone.DAYS_30,
            Milestone.DAYS_60,
            Milestone.DAYS_90,
            Milestone.MONTHS_6,
            Milestone.MONTHS_12,
        ),
        max_length=20,
    )
    """The check-ins of aftercare, counted from the discharge."""

    def band(self, level_code: str, population: Population) -> HoursBand | None:
        """The hours that a level asks for; None where it sets no floor."""
        return next(
            (b for b in self.bands if b.level_code == level_code and b.population is population),
            None,
        )


HOUSE: Final = ProgramTerms(
    individual_every_days=7, screen_every_days=7, screen_every_days_stable=30
)
"""The house rules: what holds where a program says nothing, and where no program is known."""
