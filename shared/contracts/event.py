"""The event: a CloudEvents 1.0 envelope in Kafka headers, and JSON data in the value.

Every event class registers itself in `CATALOGUE` as it is defined; the catalogue is the single
source for the reaction tables, the published schemas, the documentation and the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .attributes import PATTERNS, SCHEMA, SEQUENCE_DIGITS, is_person, legal, trace_or_none

SPECVERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
MAX_EVENT_BYTES: Final = 512 * 1024
"""The limit of a whole event: key, headers and data. A larger one is refused when it is decided, and dead-lettered when
it is received."""
HEADERS_MAX: Final = 64
HEADERS_BYTES_MAX: Final = 16 * 1024
_ATTRIBUTE_LENGTH_MAX: Final = 200
"""Above every pattern's own length: nothing longer is compared, or remembered by a cache."""

SubjectKind = Literal["episode", "group", "session", "person", "staff", "partner"]
Sensitivity = Literal["operational", "part2"]


class EnvelopeError(ValueError):
    """The envelope can't be trusted: who said this, about whom, in which order is unknown.

    `code` is one of the dead-letter reason codes, `attribute` the first header at fault, where it is one of ours.
    """

    def __init__(self, code: str, detail: str, attribute: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.attribute = attribute


class Event(BaseModel):
    """A fact that happened, in the past tense. Subclass it in the publisher's own file.

    Readers ignore fields they do not know. Class keywords:

    `source`      the publisher's topic; set once, on the publisher's base class.
    `subject`     the kind of subject this fact is about.
    `consumers`   our services that react to it; other teams stand in the files of `subscribers/`.
    `sensitivity` `part2` for anything that says more than that work is going on.
    `major`       the major version, 1 unless a breaking change was made; then the class is `…V2`.
    `until`       the last day on which it is published, once a successor stands beside it.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    SOURCE: ClassVar[str]
    NAME: ClassVar[str]
    MAJOR: ClassVar[int]
    TYPE: ClassVar[str]
    SUBJECT: ClassVar[SubjectKind]
    SENSITIVITY: ClassVar[Sensitivity]
    CONSUMERS: ClassVar[tuple[str, ...]]
    UNTIL: ClassVar[date | None]

    def __init_subclass__(
        cls,
        *,
        source: str | None = None,
        subject: SubjectKind = "episode",
        consumers: Iterable[str] = (),
        sensitivity: Sensitivity = "part2",
        major: int = 1,
        until: date | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if source is not None:
            cls.SOURCE = source
            return
        cls.NAME = _kebab(cls.__name__)
        cls.MAJOR = major
        cls.TYPE = f"{cls.SOURCE}.{cls.NAME}.v{major}"
        cls.SUBJECT, cls.SENSITIVITY, cls.CONSUMERS = subject, sensitivity, tuple(consumers)
        cls.UNTIL = until
        if CATALOGUE.setdefault(cls.TYPE, cls) is not cls:
            raise TypeError(f"{cls.TYPE} is defined twice")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        _refuse_unsaid_nulls(cls)

    def data(self) -> bytes:
        """The Kafka value. Absent optional facts are left out, so that additions stay small."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read the value of a record of this type.

        Raises `pydantic.ValidationError`, which never shows the input.
        """
        return cls.__pydantic_validator__.validate_json(data)

    @classmethod
    def schema_id(cls) -> str:
        """The `dataschema` attribute: an identifier, not a location."""
        return f"{SCHEMA}{cls.TYPE}"

    @classmethod
    def example(cls) -> Self:
        """The event built from the first example of each required or exemplified field."""
        values = {
            name: info.examples[0] for name, info in cls.model_fields.items() if info.examples
        }
        return cls.model_validate(values)


def _refuse_unsaid_nulls(model: type[BaseModel]) -> None:
    """Refuse a field that may be null and has another default, or none, as the class is defined; nested ones too.

    What is None is left out when an event is written. A required field would then break its own schema, and a field
    with another default would come back as that default: "none are asked for" would be read as "every seven days".
    """
    for name, field in model.model_fields.items():
        unsaid = field.default is None and field.default_factory is None
        if type(None) in get_args(field.annotation) and not unsaid:
            raise TypeError(f"{model.__name__}.{name} may be None, so None has to be its default")
        for nested in _models(field.annotation):
            _refuse_unsaid_nulls(nested)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


CATALOGUE: Final[dict[str, type[Event]]] = {}
"""Every event class by its full type, filled as the classes are defined."""


class OpenEnum(StrEnum):
    """A code list that is closed for writers and open for readers.

    A reader that meets a member added later sees `UNKNOWN`, which every subclass defines. A member may have a meaning
    beside its code, which the published schemas state.
    """

    _value_: str
    meaning: str

    def __new__(cls, code: str, meaning: str = "") -> Self:
        """Return the member of this code, which is its value."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add what each code means to the description of the list."""
        schema = handler(core)
        meanings = [f"`{one}`: {one.meaning}" for one in cls if one.meaning]
        resolved = handler.resolve_ref_schema(schema)
        resolved["description"] = " ".join([*(cls.__doc__ or "").split(), *meanings])
        return schema

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        return cls.__members__.get("UNKNOWN") if isinstance(value, str) else None


NO_EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType({})


class Envelope(NamedTuple):
    """The CloudEvents attributes of one event, as they travel in `ce_` headers.

    `sequence` counts 1, 2, 3 … per (source, subject) without a gap; its header has 18 digits. `correlationid`
    is shared by all that follows from one first cause; `causationid` names the command, event or deadline right
    before. `time` is the domain clock (UTC), which in a demo runs ahead of the wall clock. `personid` names whom an
    event is about when its subject does not: as its publisher knew it, which `episode-person-corrected` may correct.
    """

    id: str
    source: str
    type: str
    subject: str
    sequence: int
    time: datetime
    correlationid: str
    causationid: str
    facilityid: str
    actorrole: str
    sensitivity: str
    dataschema: str
    traceparent: str | None = None
    personid: str | None = None
    extensions: Mapping[str, str] = NO_EXTENSIONS

    @property
    def fact(self) -> str:
        """The type without its major version: `care.intake.assessment-completed`."""
        return _parts(self.type)[0]

    @property
    def major(self) -> int:
        return _parts(self.type)[1]

    def headers(self) -> dict[str, str]:
        """CloudEvents' Kafka protocol binding, binary mode."""
        attributes: dict[str, str] = {
            "ce_specversion": SPECVERSION,
            "ce_id": self.id,
            "ce_source": self.source,
            "ce_type": self.type,
            "ce_subject": self.subject,
            "ce_time": format_time(self.time),
            "ce_sequence": f"{self.sequence:0{SEQUENCE_DIGITS}}",
            "ce_correlationid": self.correlationid,
            "ce_causationid": self.causationid,
            "ce_facilityid": self.facilityid,
            "ce_actorrole": self.actorrole,
            "ce_sensitivity": self.sensitivity,
            "ce_dataschema": self.dataschema,
        }
        if self.traceparent is not None:
            attributes["ce_traceparent"] = self.traceparent
        if self.personid is not None:
            attributes["ce_personid"] = self.personid
        attributes["content-type"] = CONTENT_TYPE
        return attributes


_REQUIRED: Final = tuple(f"ce_{name}" for name in PATTERNS)
"""The attributes that every event has, in the order in which `read_envelope` takes them."""
_OURS: Final = {*_REQUIRED, "ce_traceparent", "ce_personid", "content-type"}
_required: Final = cast(
    "Callable[[Mapping[str, bytes]], tuple[bytes, ...]]", itemgetter(*_REQUIRED)
)

Headers = Collection[tuple[str, bytes | None]]


def read_envelope(headers: Headers, key: bytes | None) -> Envelope:
    """Read the envelope from a record's headers and key.

    Raises `EnvelopeError` with one of the codes `headers-too-large`, `headers-undecodable`, `headers-repeated`,
    `envelope-incomplete`, `envelope-invalid` and `subject-mismatch`. Nothing of the record's content is in the message.
    """
    if len(headers) > HEADERS_MAX or headers_bytes(headers) > HEADERS_BYTES_MAX:
        raise EnvelopeError("headers-too-large", "the headers are larger than headers may be")
    known, traceparent, person_id, extensions = _attributes(headers)
    if max(map(len, known)) > _ATTRIBUTE_LENGTH_MAX:
        raise _illegal(known)
    specversion, event_id, source, event_type, subject, sequence, at, *more = known
    correlation_id, causation_id, facility_id, actor_role, sensitivity, schema = more
    if specversion != SPECVERSION:
        raise EnvelopeError("envelope-invalid", "specversion is not 1.0", "ce_specversion")
    if not _is_subject(subject):
        raise EnvelopeError("envelope-invalid", "subject is not kind/uuid", "ce_subject")
    if key is None or key != subject.encode():
        raise EnvelopeError("subject-mismatch", "the key is not the subject")
    if not _is_type(event_type):
        raise EnvelopeError(
            "envelope-invalid", "type is not care.<service>.<fact>.v<major>", "ce_type"
        )
    if not (legal("id", event_id) and _are_words(facility_id, actor_role, sensitivity, schema)):
        raise _illegal(known)
    # Work that one command leads to has one correlation id, and often one cause.
    if not (_is_cause(correlation_id) and _is_cause(causation_id) and legal("time", at)):
        raise _illegal(known)
    return Envelope(  # by place: this is done for every event that is heard, and takes half as long as by name
        event_id,
        source,
        event_type,
        subject,
        _sequence(sequence),
        _time(at),
        correlation_id,
        causation_id,
        facility_id,
        actor_role,
        sensitivity,
        schema,
        traceparent,
        person_id,
        extensions,
    )


def _attributes(
    headers: Headers,
) -> tuple[list[str], str | None, str | None, Mapping[str, str]]:
    """The required attributes in their order, the trace, the person, and those that are not ours."""
    given = cast("dict[str, bytes]", dict(headers))
    if len(given) < len(headers) or None in given.values():
        given = _once(headers)
    try:
        known = [raw.decode() for raw in _required(given)]
        trace = given.get("ce_traceparent")
        traceparent = None if trace is None else trace_or_none(trace.decode("ascii", "replace"))
        person = given.get("ce_personid")
        person_id = None if person is None else person.decode()
        extensions = NO_EXTENSIONS
        if not _OURS.issuperset(given):
            others = given.keys() - _OURS
            extensions = {n[3:]: given[n].decode() for n in others if n.startswith("ce_")}
    except UnicodeDecodeError:
        raise EnvelopeError("headers-undecodable", "a header is not UTF-8") from None
    except KeyError:
        known, traceparent, person_id, extensions = [""], None, None, NO_EXTENSIONS
    if not all(known):
        missing = [name for name in _REQUIRED if not given.get(name)]
        raise EnvelopeError("envelope-incomplete", f"missing: {', '.join(missing)}", missing[0])
    if person_id is not None and not _is_person(person_id):
        raise EnvelopeError("envelope-invalid", "personid has no legal value", "ce_personid")
    return known, traceparent, person_id, extensions


def _once(headers: Headers) -> dict[str, bytes]:
    """The attributes that have a value, each of which may come only once."""
    ours = [(name, raw) for name, raw in headers if raw is not None and name.startswith("ce_")]
    if len(given := dict(ours)) < len(ours):
        raise EnvelopeError("headers-repeated", "an attribute came twice")
    return given


def headers_bytes(headers: Headers) -> int:
    """The size of all names and values."""
    return sum(len(name) + len(raw or b"") for name, raw in headers)


def event_bytes(key: bytes | None, headers: Headers, data_bytes: int) -> int:
    """The size of a whole event: what `MAX_EVENT_BYTES` limits."""
    return len(key or b"") + headers_bytes(headers) + data_bytes


def _illegal(known: Iterable[str]) -> EnvelopeError:
    """The error that names the first attribute with an illegal text."""
    wrong = next(name for name, text in zip(PATTERNS, known, strict=True) if not legal(name, text))
    return EnvelopeError("envelope-invalid", f"{wrong} has no legal value", f"ce_{wrong}")


# The same subjects, types, causes and words come again and again.


@lru_cache(maxsize=4_096)
def _is_subject(text: str) -> bool:
    return legal("subject", text)


@lru_cache(maxsize=4_096)
def _is_person(text: str) -> bool:
    return len(text) <= _ATTRIBUTE_LENGTH_MAX and is_person(text)


@lru_cache(maxsize=1_024)
def _is_type(text: str) -> bool:
    return legal("type", text)


@lru_cache(maxsize=4_096)
def _is_cause(text: str) -> bool:
    return legal("correlationid", text)


@lru_cache(maxsize=1_024)
def _are_words(facility_id: str, actor_role: str, sensitivity: str, schema: str) -> bool:
    return (
        legal("facilityid", facility_id)
        and legal("actorrole", actor_role)
        and legal("sensitivity", sensitivity)
        and legal("dataschema", schema)
    )


@lru_cache(maxsize=1_024)
def _parts(event_type: str) -> tuple[str, int]:
    """The fact and its major version."""
    fact, _, major = event_type.rpartition(".v")
    return fact, int(major)


def _sequence(text: str) -> int:
    if not legal("sequence", text):
        raise EnvelopeError("envelope-invalid", "sequence is not a positive integer", "ce_sequence")
    return int(text)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise EnvelopeError("envelope-invalid", "time is not RFC 3339", "ce_time") from None
    if time.tzinfo is None:
        raise EnvelopeError("envelope-invalid", "time has no offset", "ce_time")
    try:
        return time if time.tzinfo is UTC else time.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 with an offset that leads out of the calendar
        raise EnvelopeError("envelope-invalid", "time is out of range", "ce_time") from None


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with a `Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _kebab(name: str) -> str:
    """`GoalAdded` and its successor `GoalAddedV2` are the same fact, `goal-added`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", re.sub(r"V[0-9]+$", "", name)).lower()


__all__ = [
    "CATALOGUE",
    "CONTENT_TYPE",
    "HEADERS_BYTES_MAX",
    "HEADERS_MAX",
    "MAX_EVENT_BYTES",
    "SPECVERSION",
    "Envelope",
    "EnvelopeError",
    "Event",
    "OpenEnum",
    "Sensitivity",
    "SubjectKind",
    "event_bytes",
    "format_time",
    "headers_bytes",
    "read_envelope",
]
