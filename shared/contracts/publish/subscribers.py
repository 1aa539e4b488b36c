"""Subscribers: the teams inside the program that read events, each with a file of its own. Pure but for `load`.

A subscriber is inside: the same legal entity, or a qualified service organization whose agreement its file names
(42 CFR 2.11). Whoever is outside gets nothing from Kafka. A file says who reads what, so that a change can name whom
it would hurt, and so that the rights on the bus follow from what is read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..attributes import FACILITY
from ..event import CATALOGUE
from ..outlets import outlet_topic
from .schemas import Schema, expanded

FOLDER: Final = "shared/contracts/subscribers"
SENSITIVITIES: Final = ("operational", "part2")
"""What a ceiling may be, the least first. Counseling notes are on no topic."""


class SubscriberError(ValueError):
    """A subscriber's file can't be used; the text names the file, the key and what is wrong."""


class Subscriber(BaseModel):
    """One team that reads events: who answers for it, under which agreement, and what it reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern="^[a-z][a-z0-9-]{1,39}$")
    owner: str = Field(min_length=3, max_length=80)
    contact: str = Field(min_length=3, max_length=120)
    agreement: str = Field(pattern="^(same-entity|qsoa/[a-z0-9][a-z0-9.-]{0,39})$")
    group_prefix: str = Field(pattern="^[a-z][a-z0-9.-]{1,59}$")
    facilities: tuple[Annotated[str, Field(pattern=f"^{FACILITY}$")], ...] | Literal["all"]
    sensitivity: Literal["operational", "part2"]
    until: date | None = None
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
        if self.facilities == ():
            raise ValueError('facilities is empty; name some, or write "all"')
        return self

    def is_over(self, today: date) -> bool:
        """Whether its agreement has ended: the last day is over."""
        return self.until is not None and self.until < today

    @property
    def direct(self) -> bool:
        """Whether it may read the services' topics: a topic has every facility and every sensitivity."""
        return self.facilities == "all" and self.sensitivity == SENSITIVITIES[-1]

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it reads: the services' own, or the one that is filled for it."""
        if not self.direct:
            return (outlet_topic(self.name),)
        return tuple(sorted({CATALOGUE[one].SOURCE for one in self.reads}))


def paths(schema: Schema, before: str = "") -> Iterable[str]:
    """Every field of a schema as a dotted path; the items of a list have the path of the list."""
    for name, field in schema.get("properties", {}).items():
        yield f"{before}{name}"
        yield from paths(field.get("items", field), f"{before}{name}.")


def parse(text: str, place: str) -> Subscriber:
    """Read one file. Raises `SubscriberError`."""
    try:
        return Subscriber.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SubscriberError(f"{place}: no TOML: {error}") from None
    except ValidationError as error:
        told = "; ".join(_told(one) for one in error.errors())
        raise SubscriberError(f"{place}: {told}") from None


def _told(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    words = error["msg"].removeprefix("Value error, ")
    return f"{key}: {words}" if key else words


def load(root: Path) -> dict[str, Subscriber]:
    """All subscribers of the repository at `root`, by name. Raises `SubscriberError`."""
    return load_folder(root / FOLDER, FOLDER)


def load_folder(folder: Path, shown: str) -> dict[str, Subscriber]:
    """All subscribers with a file in a folder, by name; errors call the folder `shown`. Raises `SubscriberError`."""
    found: dict[str, Subscriber] = {}
    for path in sorted(folder.glob("*.toml")):
        place = f"{shown}/{path.name}"
        one = parse(path.read_text(encoding="utf-8"), place)
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
