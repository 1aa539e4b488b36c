"""Which fields hold a code that is registered beforehand, and what a facility has registered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError

from shared.contracts.codes import (
    AnalyteCode,
    ElementCode,
    FacilityId,
    MetricCode,
    NoticeVersion,
    PanelCode,
    RegisteredIn,
    RuleCode,
    TopicCode,
    TrackCode,
)
from shared.contracts.terms import HOUSE
from shared.errors import ConfigurationError
from shared.programs.parts import Part
from shared.programs.profile import ProgramProfile
from shared.programs.toml_text import NotToml, read_toml

LOOKED_UP_BY_ROUTES: Final = frozenset({"partners", "programs", "time-zones"})
"""What every route that takes such a code looks up itself: partners are records of intake, an unknown program is 404,
and a zone is the library's."""


def _is_a_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError("not a time zone of the IANA database") from None
    return name


ZoneName = Annotated[str, AfterValidator(_is_a_zone)]


class Registered(Part):
    """Codes by their registry, beside those of the programs. What is not known is refused."""

    notices: dict[NoticeVersion, date] = Field(default_factory=dict[str, date], max_length=100)
    """Versions of the notice on confidentiality (42 CFR 2.22 and 2.32), each with the first day on which it holds."""
    metrics: tuple[MetricCode, ...] = Field(default=(), max_length=500)
    """What a goal may measure."""
    rules: tuple[RuleCode, ...] = Field(default=(), max_length=500)
    topics: tuple[TopicCode, ...] = Field(default=(), max_length=500)
    tracks: tuple[TrackCode, ...] = Field(default=(), max_length=500)
    elements: tuple[ElementCode, ...] = Field(default=(), max_length=500)
    """What an aftercare plan may consist of."""
    panels: tuple[PanelCode, ...] = Field(default=(), max_length=500)
    analytes: tuple[AnalyteCode, ...] = Field(default=(), max_length=500)


class MinorRule(Part):
    """Who signs a consent of somebody younger than that, as the law of the facility's state asks (42 CFR 2.14)."""

    under_years: int = Field(ge=1, le=21)
    signatures: tuple[Literal["patient", "guardian"], ...] = Field(min_length=1, max_length=2)


OF_AGE: Final = 18
BOTH: Final = ("patient", "guardian")
"""Who signs for a minor where no rule of the state is known: nobody's signature is left out."""
ALONE: Final = ("patient",)


class Facility(Registered):
    """What one facility has for itself."""

    time_zone: ZoneName | None = None
    """Where it is: in this zone its days begin and end. None: where most facilities of the deployment are."""
    minors: tuple[MinorRule, ...] | None = None
    """What the law of its state asks; None: what it asks of most facilities of the deployment."""


class Directory(Registered):
    """What every facility of a deployment has registered, and what each has for itself."""

    time_zone: ZoneName = "UTC"
    """Where the facilities are that name no other zone."""
    minors: tuple[MinorRule, ...] = ()
    """Who signs for minors at facilities that have no rules of their own."""
    facilities: dict[FacilityId, Facility] = Field(default_factory=dict[str, Facility])

    def zone_of(self, facility_id: str) -> str:
        """The time zone of a facility."""
        own = self.facilities.get(facility_id)
        return self.time_zone if own is None or own.time_zone is None else own.time_zone

    def signatures(
        self, facility_id: str, age_years: int | None, *, adolescent: bool = False
    ) -> tuple[str, ...]:
        """Whose signatures a consent needs from somebody of this age.

        Whose age is not known signs alone, unless they are in treatment as an adolescent.
        """
        own = self.facilities.get(facility_id)
        rules = self.minors if own is None or own.minors is None else own.minors
        if age_years is None:
            return BOTH if adolescent else ALONE
        found = [rule for rule in rules if age_years < rule.under_years]
        if found:
            return min(found, key=lambda rule: rule.under_years).signatures
        return BOTH if age_years < OF_AGE and not rules else ALONE

    def notice_since(self, facility_id: str, today: date) -> date | None:
        """From when the notice holds that holds today; None where none is registered."""
        own = self.facilities.get(facility_id, Facility())
        days = [day for day in (*self.notices.values(), *own.notices.values()) if day <= today]
        return max(days, default=None)

    def codes(
        self, facility_id: str, programs: Iterable[ProgramProfile]
    ) -> dict[str, frozenset[str]]:
        """All codes that a facility may use, by registry."""
        own = self.facilities.get(facility_id, Facility())
        found: dict[str, set[str]] = {
            name: {*getattr(self, name), *getattr(own, name)} for name in Registered.model_fields
        }
        found["criteria"] = {*HOUSE.graduation_criteria}
        for program in programs:
            found["rules"].update(program.rules)
            found["topics"].update(program.topics)
            found["tracks"].update(track.code for track in program.tracks)
            found["elements"].update(program.aftercare.elements)
            found["panels"].update(program.screens.panels)
            found["criteria"].update(program.graduation.criteria)
        return {name: frozenset(codes) for name, codes in found.items()}


def read_directory(text: str, name: str) -> Directory:
    """The directory that a TOML text describes.

    Raises `ConfigurationError`, which names the first place that is wrong, and not what stands there.
    """
    try:
        return Directory.model_validate(read_toml(text))
    except NotToml as error:
        raise ConfigurationError("directory-invalid", f"{name} is not TOML.") from error
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigurationError(
            "directory-invalid",
            f"{name}: {place} is not a list of codes that the directory has.",
            hint="See docs/programs.md, the directory.",
        ) from None


# --- which fields hold such codes ----------------------------------------------------------------------


@lru_cache(maxsize=1_024)
def field_types(model: type[Any]) -> Mapping[str, Any]:
    """The types of a model's fields, with what is noted about them."""
    return get_type_hints(model, include_extras=True)


def registered_codes(
    annotation: Any, value: Any, place: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Every registered code in a value of this type, however deep it lies: its place, its registry and the code."""
    if not _may_have(annotation):
        return
    if isinstance(value, str) and get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            if isinstance(note, RegisteredIn):
                yield place, note.registry, value
    for inner, part, name in _parts(annotation, value):
        yield from registered_codes(inner, part, f"{place}{name}")


def _parts(annotation: Any, value: Any) -> Iterator[tuple[Any, Any, str]]:
    """What a value of this type consists of, each with its own type and what its place adds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield arguments[0], value, ""
    elif origin in (Union, UnionType):
        yield from ((one, value, "") for one in arguments)
    elif isinstance(value, dict) and origin is dict:
        for key, inner in cast("dict[Any, Any]", value).items():
            yield from ((arguments[0], key, ".*"), (arguments[1], inner, ".*"))
    elif isinstance(value, (list, tuple, set, frozenset)) and arguments:
        for number, one in enumerate(cast("Iterable[Any]", value)):
            yield arguments[0], one, f".{number}"
    elif isinstance(annotation, type) and isinstance(value, annotation):
        for name, inner in field_types(annotation).items():
            yield inner, getattr(cast("Any", value), name, None), f".{name}"


@lru_cache(maxsize=4_096)
def _may_have(annotation: Any) -> bool:
    """Whether a value of this type can hold a registered code: most can't, and are not searched."""
    if get_origin(annotation) is Annotated:
        notes = get_args(annotation)
        return any(isinstance(n, RegisteredIn) for n in notes[1:]) or _may_have(notes[0])
    if get_args(annotation):
        return any(_may_have(one) for one in get_args(annotation))
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return any(_may_have(one) for one in field_types(annotation).values())
    return False
