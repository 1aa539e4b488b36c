"""What a route answers, as the OpenAPI document of its service describes it.

A route names the types of its answer with `@shows`. They are read only when the document is made: a view gives a
dictionary or a record's stored values, and nothing validates them again for each answer. The tests hold every answer
that they get against the document instead, so that a type that is wrong fails there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Final, NotRequired, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, with_config
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

Schema = dict[str, Any]
E = TypeVar("E", bound=Callable[..., Any])
_MARK: Final = "shows"

with_words: Final = with_config(ConfigDict(use_attribute_docstrings=True))
"""Of a `TypedDict`: the docstring of a field is its description."""


@with_words
class OfRecord(TypedDict):
    """What every answer to a question about one record has."""

    subject: str
    """The record that the answer is about, as `kind/id`."""
    revision: int
    """The record's revision, as in the ETag: one higher with each change."""


class Done(OfRecord):
    """What every answer to a command on a record has."""

    sequence: int
    """The number of the last event that the record had published by then; 0 when it never published one."""


@with_words
class Paged(TypedDict):
    """What every page of a list has."""

    next: NotRequired[str]
    """The cursor of the page that follows: send it as `after`. Left out on the last page."""


class PagedNow(Paged):
    """A page that depends on the time."""

    now: str
    """The domain time at which the list was made."""


@with_words
class LeftOut(TypedDict):
    """What a list has that had to leave something out."""

    left_out: NotRequired[list[str]]
    """The records, as `kind/id`, that could not be read here; left out when there are none."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a model that a view dumps: all of them but `without`, or `only` these."""

    model: type[BaseModel]
    without: Collection[str] = ()
    only: Collection[str] | None = None
    certain: bool = True
    """False: the view leaves all of them out where it has nothing to dump."""

    def has(self, name: str) -> bool:
        """Whether the view shows this field."""
        return name not in self.without and (self.only is None or name in self.only)


Part = Any
"""A class of fields (a `TypedDict` or a model), or some fields of a model."""


class Together:
    """Of `Annotated[dict[str, Any], …]`: one object with the fields of all parts. Of one name the later part holds."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """All parts side by side, so that each becomes a schema."""
        kinds = [part.model if isinstance(part, Fields) else part for part in self._parts]
        return core_schema.tuple_schema([handler.generate_schema(kind) for kind in kinds])

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The fields of all parts as one object."""
        properties: Schema = {}
        required: dict[str, None] = {}
        for part, named in zip(self._parts, handler(core).get("prefixItems", ()), strict=True):
            found = handler.resolve_ref_schema(named)
            chosen = part if isinstance(part, Fields) else None
            for name, schema in found.get("properties", {}).items():
                if chosen is None or chosen.has(name):
                    properties[name] = schema
                    required.pop(name, None)
                    if name in found.get("required", ()) and (chosen is None or chosen.certain):
                        required[name] = None
        return {"type": "object", "properties": properties, "required": [*required]}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a route says that it answers. `whole`: the parts alone, without what answers about a record have."""

    parts: tuple[Part, ...]
    whole: bool = False


def shows(*parts: Part, whole: bool = False) -> Callable[[E], E]:
    """Say what a route answers when it succeeds: one object with the fields of all parts.

    A route that answers about a record has what such answers have beside its parts, unless these are the `whole`.
    """

    def mark(endpoint: E) -> E:
        setattr(endpoint, _MARK, Shown(parts, whole))
        return endpoint

    return mark


def shown_by(endpoint: Callable[..., Any]) -> Shown | None:
    """What a route says that it answers; None when it says nothing."""
    return getattr(endpoint, _MARK, None)


def object_of(parts: Collection[Part]) -> Any:
    """The type of one object with the fields of all parts; of one class of its own, that class."""
    if len(parts) == 1 and not isinstance(only := next(iter(parts)), Fields):
        return only
    return Annotated[dict[str, Any], Together(*parts)]
