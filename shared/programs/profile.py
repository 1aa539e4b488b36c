"""What a program may say of itself. Pure data: a facility writes it as TOML, and nobody writes code for it.

Every number is a default of the house (domain reference, section 3), an official floor, or what the facility says of
itself. What a program does not say, it does not ask for: a missing number is no limit, and is never made up.
"""

from __future__ import annotations

from datetime import date, time
from itertools import pairwise
from typing import Annotated, Any, Final, LiteralString, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.attendance import Fellowship, Matrix
from shared.contracts.codes import (
    Code,
    FacilityId,
    LevelOfCare,
    Milestone,
    Modality,
    PanelCode,
    Population,
    ProgramCode,
    TopicCode,
    TrackCode,
    VersionCode,
)
from shared.contracts.event import OpenEnum
from shared.contracts.terms import BANDS, Days, HoursBand, ProgramTerms, Times

ANY_FACILITY: Final = "*"
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
DUTIES: Final = "duties-requiring-presence"
"""Work, family or other duties: who has them needs a track outside office hours."""

Weeks = Annotated[int, Field(ge=1, le=104)]
Minutes = Annotated[int, Field(ge=15, le=480)]
Members = Annotated[int, Field(ge=2, le=100)]
PerWeek = Annotated[int, Field(ge=1, le=21)]
Weekday = Annotated[int, Field(ge=1, le=7)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
_HOUSE: Final = ProgramTerms()


def wrong(kind: LiteralString, why: str) -> PydanticCustomError:
    """What a profile does wrong, in words for whoever writes it."""
    return PydanticCustomError(kind, "{why}", {"why": why})


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


def _rising(less: int | None, more: int | None, what: str) -> None:
    if less is not None and more is not None and less > more:
        raise wrong("not_rising", f"the least {what} is more than the most")


class Hours(Part):
    """The hours of a full week, for one population."""

    population: Population
    minutes_floor: int = Field(ge=0, le=10_080)
    """Below this a week is reviewed."""
    minutes_most: int | None = Field(default=None, ge=0, le=10_080)
    """More than this is more than this program is."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        _rising(self.minutes_floor, self.minutes_most, "time per week")
        return self


class Group(Part):
    """How many people a group has."""

    members_min: Members = 2
    """With fewer it is no group."""
    members_max: Members = 12
    """It is full."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        _rising(self.members_min, self.members_max, "number of members")
        return self


class Sessions(Part):
    """How often groups meet, and for how long. Missing: as the plan says."""

    per_week_min: PerWeek | None = None
    per_week_max: PerWeek | None = None
    minutes_min: Minutes | None = None
    minutes_max: Minutes | None = None

    @model_validator(mode="after")
    def _rises(self) -> Self:
        _rising(self.per_week_min, self.per_week_max, "sessions per week")
        _rising(self.minutes_min, self.minutes_max, "length of a session")
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
        """Courts treat compelled attendance without a secular option as unlawful (domain reference, section 3)."""
        if self.per_week and not SECULAR & set(self.alternatives):
            raise wrong(
                "secular_missing",
                "meetings that are asked for need a secular alternative: "
                + ", ".join(sorted(f.value for f in SECULAR)),
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

    every_days: Days | None = _HOUSE.screen_every_days
    """The longest time between screens in the first month; `false`: none are asked for."""
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

    review: Times = _HOUSE.absences_review
    conference: Times = _HOUSE.absences_conference
    exclusion: Times | None = None
    exclusion_days: Days | None = None
    silent_days_conference: Days = _HOUSE.silent_days_conference
    silent_days_lost: Days = _HOUSE.silent_days_lost

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.review > self.conference or self.silent_days_conference > self.silent_days_lost:
            raise wrong("not_rising", "the milder answer comes first")
        if (self.exclusion is None) is not (self.exclusion_days is None):
            raise wrong("half_said", "a pause has both exclusion and exclusion_days, or neither")
        return self


class Planning(Part):
    """When a treatment plan is due, and its reviews."""

    within_days: Days = _HOUSE.plan_within_days
    within_sessions: Times = _HOUSE.plan_within_sessions
    review_every_days: Days = _HOUSE.review_every_days


class Graduation(Part):
    """What is looked at before a step down or a graduation."""

    clean_days: Days = _HOUSE.clean_days
    criteria: tuple[Code, ...] = Field(default=_HOUSE.graduation_criteria, max_length=30)


class AftercareCourse(Part):
    """What follows discharge."""

    days: Days = _HOUSE.aftercare_days
    check_ins: tuple[Milestone, ...] = Field(default=_HOUSE.check_ins, max_length=20)
    elements: tuple[Code, ...] = Field(default=(), max_length=30)

    @model_validator(mode="after")
    def _is_a_calendar(self) -> Self:
        days = [MILESTONE_DAYS[milestone] for milestone in self.check_ins]
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise wrong("not_rising", "check-ins stand in the order of their coming")
        if days and days[-1] > self.days:
            raise wrong("too_late", "a check-in is due after aftercare has ended")
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


class ProgramProfile(Part):
    """One version of one program of one facility (or of any)."""

    program: ProgramCode
    """The program's code, which admissions name."""
    aliases: tuple[ProgramCode, ...] = Field(default=(), max_length=10)
    """Other codes by which it is known."""
    title: Words
    version: VersionCode
    effective_on: date
    """From this day on, new admissions are under this version."""
    facility: FacilityId | Annotated[str, Field(pattern=r"^\*$")] = ANY_FACILITY
    """Whose program it is; `*`: any facility's."""
    level: LevelOfCare
    population: Population | None = None
    """Whom it is for; missing: anyone."""
    weeks_min: Weeks | None = None
    weeks_max: Weeks | None = None
    """The length of stay that is planned; missing: individual."""
    hours: tuple[Hours, ...] = Field(default=(), max_length=4)
    """Hours at this program's level; a population that is missing has its level's usual ones."""
    group: Group = Group()
    sessions: Sessions = Sessions()
    days_per_week: Annotated[int, Field(ge=1, le=7)] | None = None
    """On how many days it meets; missing: as the track says."""
    topics: tuple[TopicCode, ...] = Field(default=(), max_length=60)
    """What groups talk about; empty: anything."""
    therapies: tuple[Code, ...] = Field(default=(), max_length=30)
    """The approaches offered; empty: any."""
    phases: tuple[Phase, ...] = Field(default=(), max_length=20)
    steps: tuple[Code, ...] = Field(default=(), max_length=20)
    """The way through the program, in order, as it is told to people."""
    components: tuple[Code, ...] = Field(default=(), max_length=30)
    """What the program is made of."""
    individual: Individual | None = Individual()
    """`false`: none are required."""
    family: Family | None = None
    mutual_support: MutualSupport = MutualSupport()
    services: tuple[OfferedService, ...] = Field(default=(), max_length=40)
    holistic: tuple[Code, ...] = Field(default=(), max_length=30)
    housing: tuple[Code, ...] = Field(default=(), max_length=10)
    """Where people may live meanwhile; empty: anywhere."""
    referred_from: tuple[Code, ...] = Field(default=(), max_length=20)
    """From which kinds of care people usually step down; never a condition."""
    eligibility: tuple[Code, ...] = Field(default=(), max_length=30)
    """What is asked of every applicant, each with its reason when unmet."""
    risks: tuple[Code, ...] = Field(default=(), max_length=30)
    """What is looked at and planned for, and never shuts anybody out."""
    reasons: tuple[Code, ...] = Field(default=(), max_length=30)
    """What speaks for this program rather than a more intensive one; never a condition."""
    rules: tuple[Code, ...] = Field(default=(), max_length=50)
    """What is accepted at orientation."""
    office_hours: OfficeHours | None = None
    tracks: tuple[Track, ...] = Field(default=(), max_length=20)
    screens: Screens = Screens()
    absence: Absence = Absence()
    plan: Planning = Planning()
    graduation: Graduation = Graduation()
    aftercare: AftercareCourse = AftercareCourse()
    crisis: Crisis = Crisis()
    about: tuple[Claim, ...] = Field(default=(), max_length=20)

    @field_validator("individual", "family", mode="before")
    @classmethod
    def _none_is_said_as_false(cls, value: Any) -> Any:
        return None if value is False else value

    @field_validator("hours")
    @classmethod
    def _one_band_each(cls, hours: tuple[Hours, ...]) -> tuple[Hours, ...]:
        if len({band.population for band in hours}) < len(hours):
            raise wrong("twice", "one entry for each population")
        return hours

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _rising(self.weeks_min, self.weeks_max, "length of stay")
        for band in self.hours:
            usual = _usual(self.level.code, band.population)
            if usual is not None and band.minutes_floor < usual.minutes_floor:
                raise wrong(
                    "below_level",
                    f"level {self.level.code} asks for {usual.minutes_floor} minutes per week of "
                    f"{band.population.value}s: a lower floor is another level",
                )
        planned = sum(phase.weeks or 0 for phase in self.phases)
        if self.weeks_max is not None and planned > self.weeks_max:
            raise wrong("too_long", "the phases last longer than the program")
        if self._shuts_out_who_works():
            raise wrong(
                "shuts_out",
                "the program is for people with daytime duties, and no track is outside office hours",
            )
        return self

    def _shuts_out_who_works(self) -> bool:
        """A duty during the day is a reason for an outpatient program; office hours alone would exclude by it."""
        return (
            self.office_hours is not None
            and DUTIES in self.reasons
            and not any(track.outside(self.office_hours) for track in self.tracks)
        )

    @property
    def codes(self) -> frozenset[str]:
        """All codes by which it is known."""
        return frozenset({self.program, *self.aliases})

    def terms(self) -> ProgramTerms:
        """What travels with an admission and stays with it."""
        return ProgramTerms(
            version=self.version,
            bands=self._bands(),
            plan_within_days=self.plan.within_days,
            plan_within_sessions=self.plan.within_sessions,
            review_every_days=self.plan.review_every_days,
            individual_every_days=self._individual_every_days(),
            absences_review=self.absence.review,
            absences_conference=self.absence.conference,
            exclusion_absences=self.absence.exclusion,
            exclusion_days=self.absence.exclusion_days,
            silent_days_conference=self.absence.silent_days_conference,
            silent_days_lost=self.absence.silent_days_lost,
            screen_every_days=self.screens.every_days,
            panels=self.screens.panels,
            mutual_support_per_week=self.mutual_support.per_week,
            clean_days=self.graduation.clean_days,
            graduation_criteria=self.graduation.criteria,
            aftercare_days=self.aftercare.days,
            check_ins=self.aftercare.check_ins,
        )

    def _bands(self) -> tuple[HoursBand, ...]:
        """The program's own hours at its level, and the usual ones of every other level and population.

        A band's ceiling is the first minute that is too many.
        """
        own = tuple(
            HoursBand(
                level_code=self.level.code,
                population=band.population,
                minutes_floor=band.minutes_floor,
                minutes_ceiling=self._first_too_many(band),
            )
            for band in self.hours
        )
        said = {(band.level_code, band.population) for band in own}
        return own + tuple(b for b in BANDS if (b.level_code, b.population) not in said)

    def _first_too_many(self, band: Hours) -> int | None:
        if band.minutes_most is not None:
            return min(band.minutes_most + 1, DAYS_PER_WEEK * 24 * 60)
        usual = _usual(self.level.code, band.population)
        return None if usual is None else usual.minutes_ceiling

    def _individual_every_days(self) -> int | None:
        """Once a week: seven days at most between two. Twice: four, rounded up from three and a half."""
        if self.individual is None:
            return None
        return -(-DAYS_PER_WEEK // self.individual.per_week)


def _usual(level_code: str, population: Population) -> HoursBand | None:
    return ProgramTerms(bands=BANDS).band(level_code, population)
