"""Subscribers: the teams inside the program that read events, each with a file of its own. Pure but for `load`.

A subscriber is inside: the same legal entity, or a qualified service organization whose agreement its file names
(42 CFR 2.11). Whoever is outside gets nothing from Kafka. A file says who reads what, so that a change can name whom
it would hurt, and so that the rights on the bus follow from what is read.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..attributes import FACILITY
from ..event import CATALOGUE
from ..outlets import TEAM, TEAM_SAID, outlet_topic
from .schemas import Schema, expanded

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FOLDER: Final = "shared/contracts/subscribers"
SENSITIVITIES: Final = ("operational", "part2")
"""What a ceiling may be, the least first. Counseling notes are on no topic."""


ALL: Final = "all"
"""Every facility: in place of the list, and never in it."""
ALLOWED: Final = {
    "name": TEAM_SAID,
    "owner": "3 to 80 characters",
    "contact": "3 to 120 characters",
    "agreement": '"same-entity", or "qsoa/" and its number, 1 to 40 of a-z, 0-9, . and -',
    "group_prefix": "the name, or what begins with it and a dot: 2 to 60 of a-z, 0-9, . and -",
    "facilities": '"all", or a list of facilities such as ["lakeside-iop"]; each is 3 to 40 of a-z, 0-9 and -',
    "sensitivity": f'"{SENSITIVITIES[0]}" or "{SENSITIVITIES[1]}"',
    "until": "a day such as 2027-12-31, without quotation marks",
    "reads": 'a table of event types, each with a list of its fields such as ["starts_at"]; [] means all of them',
}
"""Of each key of a file, what may stand there."""
SHOWN_MAX: Final = 60
"""How many characters of a wrong value are shown."""


class SubscriberError(ValueError):
    """A subscriber's file can't be used; the text names the file, the key and what is wrong."""


class Subscriber(BaseModel):
    """One team that reads events: who answers for it, under which agreement, and what it reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=f"^{TEAM}$")
    owner: str = Field(min_length=3, max_length=80)
    contact: str = Field(min_length=3, max_length=120)
    agreement: str = Field(pattern="^(same-entity|qsoa/[a-z0-9][a-z0-9.-]{0,39})$")
    group_prefix: str = Field(pattern="^[a-z][a-z0-9.-]{1,59}$")
    facilities: tuple[Annotated[str, Field(pattern=f"^{FACILITY}$")], ...] | Literal["all"]
    sensitivity: Literal["operational", "part2"]
    until: Annotated[date, Field(strict=True)] | None = None
    reads: Mapping[str, tuple[str, ...]] = Field(min_length=1)

    @field_validator("reads")
    @classmethod
    def _known(cls, reads: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for event_type, fields in reads.items():
            event = CATALOGUE.get(event_type)
            if event is None:
                raise ValueError(f"{event_type} is no event type{_near(event_type, CATALOGUE)}")
            known = list(paths(expanded(event)))
            for field in fields:
                if field not in known:
                    raise ValueError(f"{event_type} has no field {field}{_near(field, known)}")
        return reads

    @model_validator(mode="after")
    def _groups_of_its_own(self) -> Self:
        """Nobody else's groups, a service's above all, can begin with the name: names are apart, and have no dot."""
        if self.group_prefix != self.name and not self.group_prefix.startswith(f"{self.name}."):
            raise ValueError(f"group_prefix is {self.name}, or begins with {self.name}. (a dot)")
        return self

    @model_validator(mode="after")
    def _below_its_ceiling(self) -> Self:
        for event_type in self.reads:
            kind = CATALOGUE[event_type].SENSITIVITY
            if SENSITIVITIES.index(kind) > SENSITIVITIES.index(self.sensitivity):
                raise ValueError(f"{event_type} is {kind}, above the ceiling {self.sensitivity}")
        return self

    @field_validator("facilities")
    @classmethod
    def _named_or_all(cls, facilities: tuple[str, ...] | Literal["all"]) -> object:
        if facilities == ():
            raise ValueError('it is empty; name some, or write "all"')
        if facilities != ALL and ALL in facilities:
            raise ValueError(
                '"all" is no facility; for every facility write facilities = "all", without the list'
            )
        return facilities

    def is_over(self, today: date) -> bool:
        """Whether its agreement has ended: the last day is over."""
        return self.until is not None and self.until < today

    @property
    def direct(self) -> bool:
        """Whether it may read the services' topics: a topic has every facility and every sensitivity."""
        return is_direct(self.facilities, self.sensitivity)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it reads: the services' own, or the one that is filled for it."""
        if not self.direct:
            return (outlet_topic(self.name),)
        return tuple(sorted({CATALOGUE[one].SOURCE for one in self.reads}))


def is_direct(facilities: object, sensitivity: str) -> bool:
    """Whether who may read this of the services may read their topics."""
    return facilities == ALL and sensitivity == SENSITIVITIES[-1]


def paths(schema: Schema, before: str = "") -> Iterable[str]:
    """Every field of a schema as a dotted path; the items of a list have the path of the list."""
    for name, field in schema.get("properties", {}).items():
        yield f"{before}{name}"
        yield from paths(field.get("items", field), f"{before}{name}.")


def parse(text: str, place: str) -> Subscriber:
    """Read one file. Raises `SubscriberError`."""
    try:
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SubscriberError(f"{place}: no TOML: {error}") from None
    try:
        return Subscriber.model_validate(told)
    except ValidationError as error:
        raise SubscriberError(f"{place}: {'; '.join(_told(error))}") from None


def _told(error: ValidationError) -> Iterable[str]:
    """Of each key that is wrong: what stands there, and what may. Of several mistakes in one value the innermost."""
    by_key: dict[str, ErrorDetails] = {}
    for one in error.errors():
        key = str(one["loc"][0]) if one["loc"] else ""
        if key not in by_key or len(one["loc"]) > len(by_key[key]["loc"]):
            by_key[key] = one
    for key, one in by_key.items():
        if one["type"] == "value_error":  # our own words
            words = one["msg"].removeprefix("Value error, ")
            yield f"{key}: {words}" if key else words
        elif key not in ALLOWED:
            yield f"{key}: there is no such key{_near(key, ALLOWED)}; the keys are {', '.join(ALLOWED)}"
        elif one["type"] == "missing":
            yield f"{key}: it is missing; write {ALLOWED[key]}"
        else:
            yield f"{key}: {_shown(one['input'])} can't stand there; write {ALLOWED[key]}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def load(root: Path) -> dict[str, Subscriber]:
    """All subscribers of the repository at `root`, by name. Raises `SubscriberError`."""
    return load_folder(root / FOLDER, FOLDER)


def load_folder(folder: Path, shown: str) -> dict[str, Subscriber]:
    """All subscribers with a file in a folder, by name; errors call the folder `shown`. Raises `SubscriberError`."""
    found: dict[str, Subscriber] = {}
    for path in sorted(folder.glob("*.toml")):
        place = f"{shown}/{path.name}"
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise SubscriberError(f"{place}: it is not UTF-8") from None
        except OSError as error:
            raise SubscriberError(f"{place}: it can't be read ({type(error).__name__})") from None
        one = parse(text, place)
        if one.name != path.stem:
            raise SubscriberError(
                f"{place}: name: it is {one.name}, and the file is {path.stem}.toml"
            )
        found[one.name] = one
    return found


def consumers(event_type: str, subscribers: Mapping[str, Subscriber]) -> list[str]:
    """Who reads a type: our services by their reactions, then the subscribers whose files say so."""
    teams = [name for name, one in sorted(subscribers.items()) if event_type in one.reads]
    return [*CATALOGUE[event_type].CONSUMERS, *teams]


def template(name: str) -> str:
    """A new subscriber's file, to be filled in."""
    return f"""\
name = "{name}"
owner = "The team that answers for what is done with the events"
contact = "{name}@example.org"
# "same-entity", or the qualified service organization agreement: "qsoa/<its number>"
agreement = "same-entity"
# Your consumer groups: this, and all that begin with it and a dot. It is your name, or begins with it and a dot.
group_prefix = "{name}"
# "all", or a list such as ["lakeside-iop"]
facilities = "all"
# The most sensitive that you may read: "operational" or "part2"
sensitivity = "part2"
# The last day of the agreement, where it has one:
# until = 2027-12-31

# The event types that you read, each with the fields that you use; an empty list means all of them.
[reads]
"care.attendance.session-attended.v1" = ["starts_at", "minutes_credited"]
"""


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""
