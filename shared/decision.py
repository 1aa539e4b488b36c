"""What a service's rules are made of: a state, a cause, and a decision. Pure; no clock, no ids, no I/O.

A rule is a function `(state, fact or command, cause) -> Decision`. It never waits, never looks at a clock
and never invents an id: `cause.now` is the time and `cause.derive_id` the ids, so that the same history
always leads to the same decisions, and a preview of a decision is exact.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, NamedTuple, Self, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts.event import Envelope, Event

_NAMESPACE: Final = UUID("6f1d3f6e-55c5-5b0c-9a55-2f6c0f0f7a11")
_VARIANT: Final = {digit: f"{int(digit, 16) & 0x3 | 0x8:x}" for digit in "0123456789abcdef"}
_set: Final = object.__setattr__
SYSTEM: Final = "system"
"""Actor and role of whatever happens because of an event or a deadline."""


def join_parts(*parts: str) -> str:
    """One text for several parts, as netstrings: no other parts, however cut, give the same text.

    A plain separator is not enough where a part may contain it: `a/b`, `c` and `a`, `b/c` would become one.
    """
    return "".join([f"{len(part)}:{part}," for part in parts])


def derive_id(*parts: str) -> str:
    """An id that follows from its parts: the same parts always give the same id (RFC 9562, version 5).

    Different parts give different ids, whatever characters they contain. The standard library's `uuid5` gives the
    same in more than twice the time, and ids are made for every event.
    """
    name = join_parts(*parts).encode()
    digest = sha1(_NAMESPACE.bytes + name, usedforsecurity=False).hexdigest()
    variant = _VARIANT[digest[16]]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


class Cause(NamedTuple):
    """Why, when, where and by whom something is decided."""

    id: str
    now: datetime
    subject: str
    facility_id: str
    actor_id: str
    actor_role: str
    correlation_id: str

    @property
    def subject_id(self) -> str:
        """The id without its kind."""
        return self.subject.partition("/")[2]

    def derive_id(self, *name: str) -> str:
        """An id for something that this cause brings into being."""
        return derive_id(self.id, self.subject, *name)


class State(BaseModel):
    """What one service knows about one subject. Immutable: `replace` gives the next one.

    `deadlines` maps a name (`kind` or `kind:id`) to the instant at which the record's deadline rule is
    asked. The runtime takes a deadline out as it fires; a rule that wants another sets it again, later.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    SCHEMA: ClassVar[int] = 1
    INDEXES: ClassVar[tuple[str, ...]] = ()
    """The names of the secondary indexes by which records of this kind are listed."""
    DIVIDED: ClassVar[tuple[str, ...]] = ()
    """Those of them that are divided into parts, so that a page of a filtered list reads nothing else."""
    deadlines: dict[str, AwareDatetime] = Field(default_factory=dict[str, datetime])

    def person(self) -> str | None:
        """Whom this record is about, where its subject is not the person; its events name them (`ce_personid`)."""
        return None

    def replace(self, **changes: Any) -> Self:
        """This state with some fields replaced. Values are trusted: rules build them from valid parts."""
        # What `model_copy` does, without what it does for extra fields and private attributes: a state has neither.
        after, known = object.__new__(type(self)), self.model_fields_set
        known = known if known.issuperset(changes) else known | changes.keys()
        _set(after, "__dict__", {**vars(self), **changes})
        _set(after, "__pydantic_fields_set__", known)
        _set(after, "__pydantic_extra__", None)
        _set(after, "__pydantic_private__", None)
        return after

    def arm(self, name: str, at: datetime) -> Self:
        """Set or move a deadline."""
        return self.replace(deadlines={**self.deadlines, name: at})

    def disarm(self, *names: str) -> Self:
        """Forget deadlines; names that are not set are ignored. `kind:*` forgets all of a kind."""
        kinds = tuple(name[:-1] for name in names if name.endswith(":*"))
        kept = {
            name: at
            for name, at in self.deadlines.items()
            if name not in names and not (kinds and name.startswith(kinds))
        }
        return self if len(kept) == len(self.deadlines) else self.replace(deadlines=kept)

    def index_entries(self) -> Mapping[str, datetime]:
        """By what a record is found beside its subject: an instant for each index that it belongs to now.

        The store keeps an index for each name in `INDEXES`; a query by index returns records in the order of their
        instants.
        """
        return {}

    def index_parts(self) -> Mapping[str, Collection[str]]:
        """In which parts of a divided index the record is found, such as `level=2.1`; every record is in the whole."""
        return {}

    @property
    def running(self) -> Mapping[str, datetime]:
        """The deadlines that run: all of them, unless a kind of record holds some back."""
        return self.deadlines

    @property
    def due(self) -> datetime | None:
        """The earliest deadline that runs."""
        return min(self.running.values(), default=None)


class HandoffBody(BaseModel):
    """Work that one record leaves for another record of the same service. Not part of the contract."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Handoff:
    """`body` is to be applied to the record `subject`, exactly once, after the decision is saved."""

    subject: str
    body: HandoffBody


class Foreign(NamedTuple):
    """Another service's event as it lies on its topic, and the topics that it is to be passed on to.

    `ended` are topics that took such events until they ended.
    """

    envelope: Envelope
    headers: tuple[tuple[str, bytes | None], ...]
    data: bytes
    topics: tuple[str, ...]
    ended: tuple[str, ...] = ()


class PassedOn(NamedTuple):
    """Another service's event, to be passed on as it came: to which topic, with which headers, and its data."""

    topic: str
    headers: tuple[tuple[str, bytes | None], ...]
    data: bytes


Events = tuple[Event, ...]
Handoffs = tuple[Handoff, ...]

S = TypeVar("S", bound=State)
S_co = TypeVar("S_co", bound=State, covariant=True)


class Decision(NamedTuple, Generic[S_co]):
    """The next state, the facts to publish about this subject, and work for neighbouring records.

    `answer` is what the caller of a command is told beside the record's revision and sequence; it is
    remembered with the idempotency key, so it holds ids and codes only.
    """

    state: S_co
    events: Events = ()
    handoffs: Handoffs = ()
    answer: Mapping[str, Any] = MappingProxyType({})
    passed: tuple[PassedOn, ...] = ()
    """Foreign events to be passed on, after the service's own."""
