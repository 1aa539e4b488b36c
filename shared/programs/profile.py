"""What a program may say of itself. Pure data: a facility writes it as TOML, and nobody writes code for it.

Every number is a default of the house (docs/domain.md 3), an official floor, or what the facility says of itself. What
a program does not say, it does not ask for: a missing number is no limit, and is never made up.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from shared.contracts.codes import (
    Code,
    ConditionCode,
    FacilityId,
    LevelOfCare,
    Population,
    ProgramCode,
    RuleCode,
    TopicCode,
    VersionCode,
)
from shared.contracts.terms import BANDS, HOUSE, HoursBand, ProgramTerms
from shared.programs.parts import (
    DAYS_PER_WEEK,
    Absence,
    AftercareCourse,
    Claim,
    Crisis,
    Family,
    Graduation,
    Group,
    Hours,
    Individual,
    MutualSupport,
    OfferedService,
    OfficeHours,
    Part,
    Phase,
    Planning,
    Screens,
    Sessions,
    Track,
    Weeks,
    Words,
    rising,
    wrong,
)

ANY_FACILITY: Final = "*"
MINUTES_ALONE: Final = 60
"""How long a session alone is thought to be, where a program's hours are added up. House rule."""
DUTIES: Final = "duties-requiring-presence"
"""Work, family or other duties: who has them needs a track outside office hours."""

_SAID_ELSEWHERE: Final = frozenset(
    {
        *("version", "bands", "plan_within_days", "plan_within_sessions", "review_every_days"),
        *(
            "individual_every_days",
            "absences_review",
            "absences_conference",
            "pause_after_absences",
        ),
        *("pause_days", "silent_days_conference", "silent_days_lost", "screen_every_days"),
        *(
            "panels",
            "mutual_support_meetings_per_week",
            "days_without_unexpected_positive",
            "graduation_criteria",
        ),
        *("aftercare_days", "check_ins", "family_sessions_per_week"),
    }
)
"""The terms for which a profile has parts of its own."""


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
    eligibility: tuple[ConditionCode, ...] = Field(default=(), max_length=30)
    """What is asked of every applicant, each with its reason when unmet."""
    risks: tuple[Code, ...] = Field(default=(), max_length=30)
    """What is looked at and planned for, and never shuts anybody out."""
    reasons: tuple[Code, ...] = Field(default=(), max_length=30)
    """What speaks for this program rather than a more intensive one; never a condition."""
    rules: tuple[RuleCode, ...] = Field(default=(), max_length=50)
    """What is accepted at orientation."""
    office_hours: OfficeHours | None = None
    tracks: tuple[Track, ...] = Field(default=(), max_length=20)
    screens: Screens = Screens()
    absence: Absence = Absence()
    plan: Planning = Planning()
    graduation: Graduation = Graduation()
    aftercare: AftercareCourse = AftercareCourse()
    crisis: Crisis = Crisis()
    further: dict[str, Any] = Field(default_factory=dict[str, Any])
    """More of the terms, by their names there: limits of a laboratory, incentives, and whatever is added to them."""
    about: tuple[Claim, ...] = Field(default=(), max_length=20)

    @field_validator("individual", "family", mode="before")
    @classmethod
    def _none_is_said_as_false(cls, value: Any) -> Any:
        return None if value is False else value

    @field_validator("hours")
    @classmethod
    def _reach_the_level(cls, hours: tuple[Hours, ...], info: ValidationInfo) -> tuple[Hours, ...]:
        """One entry for each population, and none below what the level asks for: that would be another level."""
        if len({band.population for band in hours}) < len(hours):
            raise wrong("twice", "one entry for each population")
        level: LevelOfCare | None = info.data.get("level")
        for place, band in enumerate(hours):
            usual = level and _usual(level.code, band.population)
            if usual and band.minutes_floor < usual.minutes_floor:
                raise wrong(
                    "below_level",
                    f"level {usual.level_code} asks for {usual.minutes_floor} minutes per week of "
                    f"{band.population.value}s: a lower floor is another level",
                    *(place, "minutes_floor"),
                )
        return hours

    @field_validator("further")
    @classmethod
    def _are_terms(cls, further: dict[str, Any]) -> dict[str, Any]:
        for name in further:
            if name in _SAID_ELSEWHERE or name not in ProgramTerms.model_fields:
                free = sorted(set(ProgramTerms.model_fields) - _SAID_ELSEWHERE)
                raise wrong("not_listed", f"not one of: {', '.join(free)}", name)
        try:
            ProgramTerms.model_validate(further)
        except ValidationError as error:
            first = error.errors()[0]
            raise wrong("not_terms", first["msg"], *first["loc"]) from None
        return further

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        rising(self.weeks_min, self.weeks_max, "length of stay", "weeks_max")
        planned = sum(phase.weeks or 0 for phase in self.phases)
        if self.weeks_max is not None and planned > self.weeks_max:
            raise wrong("too_long", "the phases last longer than the program", "phases")
        if self._shuts_out_who_works():
            raise wrong(
                "shuts_out",
                "the program is for people with daytime duties, and no track is outside office hours",
                "reasons",
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
        own = ProgramTerms(
            version=self.version,
            bands=self._bands(),
            plan_within_days=self.plan.within_days,
            plan_within_sessions=self.plan.within_sessions,
            review_every_days=self.plan.review_every_days,
            individual_every_days=self._individual_every_days(),
            absences_review=self.absence.review,
            absences_conference=self.absence.conference,
            pause_after_absences=self.absence.exclusion,
            pause_days=self.absence.exclusion_days,
            silent_days_conference=self.absence.silent_days_conference,
            silent_days_lost=self.absence.silent_days_lost,
            screen_every_days=self.screens.every_days,
            screen_every_days_stable=HOUSE.screen_every_days_stable,
            panels=self.screens.panels,
            mutual_support_meetings_per_week=self.mutual_support.per_week,
            family_sessions_per_week=0 if self.family is None else self.family.per_week,
            days_without_unexpected_positive=self.graduation.clean_days,
            graduation_criteria=self.graduation.criteria,
            aftercare_days=self.aftercare.days,
            check_ins=self.aftercare.check_ins,
        )
        return ProgramTerms.model_validate({**dict(own), **self.further})

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
            for band in (*self.hours, *self._unsaid_hours())
        )
        said = {(band.level_code, band.population) for band in own}
        return own + tuple(b for b in BANDS if (b.level_code, b.population) not in said)

    def _unsaid_hours(self) -> tuple[Hours, ...]:
        """The usual floors of the program's level, for those of whom it says nothing."""
        said = {band.population for band in self.hours}
        return tuple(
            Hours(population=usual.population, minutes_floor=usual.minutes_floor)
            for usual in BANDS
            if usual.level_code == self.level.code and usual.population not in said
        )

    def _first_too_many(self, band: Hours) -> int | None:
        if band.minutes_most is not None:
            return min(band.minutes_most + 1, DAYS_PER_WEEK * 24 * 60)
        usual = _usual(self.level.code, band.population)
        if usual is None or usual.minutes_ceiling is None:
            return None
        return max(usual.minutes_ceiling, self._minutes_offered_most() + 1)

    def _minutes_offered_most(self) -> int:
        """What the program says itself that it offers in a week: its groups, and an hour for each session alone."""
        sessions = self.sessions
        groups = (sessions.per_week_max or 0) * (sessions.minutes_max or 0)
        alone = 0 if self.individual is None else self.individual.per_week * MINUTES_ALONE
        return groups + alone if groups else 0

    def _individual_every_days(self) -> int | None:
        """Once a week: seven days at most between two. Twice: four, rounded up from three and a half."""
        if self.individual is None:
            return None
        return -(-DAYS_PER_WEEK // self.individual.per_week)


def _usual(level_code: str, population: Population) -> HoursBand | None:
    return ProgramTerms(bands=BANDS).band(level_code, population)
