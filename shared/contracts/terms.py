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
    """The minutes per full week that one level of care asks for."""

    level_code: str = Field(pattern=r"^[0-4](\.[0-9])?$", examples=["2.1"])
    """The level, in either edition."""
    population: Population = Field(examples=["adult"])
    """Whom the band is for."""
    minutes_floor: int = Field(ge=0, le=10_080, examples=[540])
    """Below this a week is reviewed."""
    minutes_ceiling: int | None = Field(default=None, ge=0, le=10_080, examples=[900])
    """At or above this the program is more than this level."""


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
    """What is rewarded, with how much, and up to where. House rules; the cap is SAMHSA's of January 2025."""

    behaviors: tuple[BehaviorCode, ...] = Field(
        default=("screen",), max_length=5, examples=[["screen"]]
    )
    """What is rewarded and nothing else: `screen` as expected, `attendance`, or both."""
    base_cents: Cents = Field(default=250, examples=[250])
    """What the first is worth."""
    step_cents: Cents = Field(default=125, examples=[125])
    """By how much each next one in a row is worth more."""
    most_cents: Cents = Field(default=2_500, examples=[2500])
    """What one is worth at most."""
    restored_after_behaviors: int = Field(default=3, ge=1, le=50, examples=[3])
    """After this many in a row, what was reached before a reset is reached again."""
    attendance_cents: Cents = Field(default=100, examples=[100])
    """What an attended session is worth, where attendance is rewarded."""
    cap_cents: Cents = Field(default=75_000, examples=[75000])
    """The most that one person may earn in one calendar year; the smaller cap of the same guidance is 7500."""


class ProgramTerms(Value):
    """One version of one program's terms."""

    version: VersionCode = Field(default="house-1", examples=["2026.1"])
    """The profile's version."""
    bands: tuple[HoursBand, ...] = Field(default=BANDS, max_length=20)
    """Hours by level and population; a level without a band has no floor."""
    plan_within_days: Days = 7
    """A plan is due this many days after admission, or"""
    plan_within_sessions: Times = 2
    """after this many sessions, whichever comes first."""
    review_every_days: Days = 30
    """A plan is reviewed this often, and on any trigger."""
    individual_every_days: Days | None = None
    """The longest time between individual sessions; missing: none are required."""
    absences_review: Times = 2
    """Unexcused absences in a row that call for a clinician and a review."""
    absences_conference: Times = 3
    """Unexcused absences in a row that call for a retention conference."""
    pause_after_absences: Times | None = None
    """Unexcused absences after which the person is in no group for a while; missing: nobody is ever paused."""
    pause_days: Days | None = None
    """How long such a pause lasts."""
    silent_days_conference: Days = 7
    """Days of silence that call for a welfare contact."""
    silent_days_lost: Days = 30
    """Days of silence after which contact counts as lost. The door stays open."""
    screen_every_days: Days | None = None
    """The longest time between screens in the first month; missing: none are asked for."""
    screen_early_days: Days = 30
    """How long the first month of screens lasts."""
    screen_every_days_stable: Days | None = None
    """The longest time between screens after that, while no positive is unexpected; missing: as in the beginning."""
    breath_positive_mg_per_210l: int = Field(default=10, ge=1, le=400)
    """From how many milligrams of alcohol per 210 litres of breath a test is positive; 10 is 0.010 g/210 L."""
    incentives: IncentiveTerms | None = None
    """What is rewarded; missing: the house rules."""
    family_sessions_per_week: int = Field(default=0, ge=0, le=14)
    """Family sessions asked for per week."""
    panels: tuple[PanelCode, ...] = Field(default=(), max_length=20, examples=[["urine-12"]])
    """The panels that may be ordered; empty: any."""
    mutual_support_meetings_per_week: int = Field(default=0, ge=0, le=14)
    """Meetings asked for per week, of any fellowship, a secular one included."""
    days_without_unexpected_positive: Days = 30
    """Days without an unexpected positive before a step down or a graduation."""
    graduation_criteria: tuple[CriterionCode, ...] = Field(
        default=("goals-met", "relapse-prevention-plan", "supports-verified"), max_length=30
    )
    """What is looked at before someone graduates."""
    aftercare_days: Days = 365
    """How long aftercare lasts."""
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
    """The calendar of check-ins, anchored at discharge."""

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
