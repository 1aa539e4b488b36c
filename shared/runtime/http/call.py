"""Commands and queries on a record over HTTP, with one form of answer and one form of refusal.

A command carries an authenticated actor and an Idempotency-Key, passes through the reactor, and answers with the
record's revision (also as ETag) and the sequence of its last event. Every refusal is problem+json with a machine code
and a hint, and never repeats what the caller sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from time import perf_counter
from typing import Annotated, Any, Final, TypeVar, cast

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.calendar import local_day
from shared.contracts.attributes import trace_or_none
from shared.contracts.codes import UUID_PATTERN, EpisodeId
from shared.contracts.event import OpenEnum
from shared.contracts.times import not_a_time
from shared.decision import Cause, Decision, State, derive_id
from shared.errors import (
    CareError,
    Invalid,
    NotYetKnown,
    OtherFacility,
    Outdated,
    Unknown,
)
from shared.inbox import NOTHING
from shared.programs.registered import field_types, registered_codes
from shared.roles import SERVICE, SERVICE_ROUTES
from shared.runtime.core.paging import Page
from shared.runtime.core.record import Record
from shared.runtime.core.work import CommandKey, Decide, OutcomeStatus, Work
from shared.runtime.http.claims import Actor
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.misread import not_numbers, not_times
from shared.runtime.http.problems import route_of
from shared.runtime.http.replica import Replica
from shared.runtime.http.subjects import Subject, state_of
from shared.runtime.http.trail import Trail, trail_of
from shared.runtime.places import CHOSEN

KEY_LENGTH_MAX: Final = 200
DIGITS_MAX: Final = 18
YEARS: Final = range(1880, 2200)
"""Beyond them a date can't be reckoned with: a day later, or in another time zone, it may not exist."""

_REGISTERED: Final[ContextVar[Callable[[str, str], bool] | None]] = ContextVar(
    "registered", default=None
)
"""Whether a code is registered, for the caller of the request that is being read; None: this is no request."""
SubjectId = Annotated[str, Path(pattern=UUID_PATTERN, description="An opaque id.")]
S = TypeVar("S", bound=State)


def judge_codes_by(is_registered: Callable[[str, str], bool]) -> None:
    """Say who knows the registered codes of whoever calls. Before the body is validated, in the same task."""
    _REGISTERED.set(is_registered)


class Body(BaseModel):
    """A command's body. What is not known is refused, so that a typing error changes nothing.

    Code lists are open for readers of events but closed here: a caller writes. A code that is registered beforehand is
    looked up, so that nothing a caller makes up reaches the bus. A time is one of our times, a number is a number.
    """

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_and_times_are_such(cls, value: Any, info: ValidationInfo) -> Any:
        """`true` is no minute, `"3"` no three and 1700000000 no time: what was meant is not guessed at."""
        for place in not_numbers(field_types(cls)[info.field_name or ""], value):
            raise PydanticCustomError(
                "not_a_number",
                "a number is asked for, and a whole one where the schema says integer",
                {"place": place},
            )
        for place in not_times(field_types(cls)[info.field_name or ""], value):
            raise not_a_time(place)
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _codes_are_registered(cls, value: Any, info: ValidationInfo) -> Any:
        is_registered = _REGISTERED.get()
        if is_registered is not None:
            annotation = field_types(cls)[info.field_name or ""]
            for place, registry, code in registered_codes(annotation, value):
                if not is_registered(registry, code):
                    raise PydanticCustomError(
                        "code_not_registered",
                        "a code is not registered",
                        {"place": place, "registry": registry},
                    )
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _codes_are_listed(cls, value: Any) -> Any:
        """Also in lists and in what is nested: the refusal names the field, and which codes it may have."""
        for place, item in _leaves(value, ""):
            if isinstance(item, OpenEnum) and item.name == "UNKNOWN":
                raise PydanticCustomError(
                    "code_not_listed",
                    "a code is not on its list",
                    {"place": place, "allowed": [m.value for m in type(item) if m is not item]},
                )
            if isinstance(item, date) and item.year not in YEARS:
                raise PydanticCustomError(
                    "time_out_of_range", "a time is out of any use", {"place": place}
                )
        return value


def _leaves(value: object, place: str) -> Iterator[tuple[str, object]]:
    """All single values within a value of a body, each with its place in it. No key is part of a place."""
    if isinstance(value, BaseModel):
        for name, field in value:
            yield from _leaves(field, f"{place}.{name}")
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            yield f"{place}.{CHOSEN}", key
            yield from _leaves(item, f"{place}.{CHOSEN}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(cast("Sequence[object]", value)):
            yield from _leaves(item, f"{place}.{number}")
    else:
        yield place, value


class OfEpisode(Body):
    """A command on something within an episode: the thing's own id stands in the path, the episode's here."""

    episode_id: EpisodeId


class KeyRequired(CareError):
    """A command without an Idempotency-Key can't be repeated safely, so it is not accepted."""

    status = 400


@dataclass(slots=True)
class Call:
    """One authenticated HTTP request to a service."""

    request: Request
    actor: Actor

    @property
    def runtime(self) -> Replica:
        """The replica that serves this request."""
        return self.request.app.state.runtime

    def is_registered(self, registry: str, code: str) -> bool:
        """Whether the caller's facility has registered this code, so that it may stand in an event."""
        return self.runtime.programs.is_registered(self.actor.facility_id, registry, code)

    @property
    def time_zone(self) -> str:
        """The time zone of the caller's facility."""
        return self.runtime.programs.zone_of(self.actor.facility_id)

    @property
    def today(self) -> date:
        """The day that it is at the caller's facility."""
        return local_day(self.runtime.clock.now(), self.time_zone)

    @property
    def trail(self) -> Trail:
        """What this request leaves in the audit."""
        return trail_of(self.request.scope)

    @property
    def _what(self) -> str:
        return route_of(self.request.scope)

    def is_of_service(self) -> bool:
        """Whether a service calls, and this route is one of its list."""
        return self.actor.role == SERVICE and (
            f"{self.runtime.service.name} {self._what}"
            in SERVICE_ROUTES.get(self.actor.service, ())
        )

    def new_id(self, name: str) -> str:
        """An id for something this command creates: the same command creates the same thing."""
        return derive_id(self._cause_id(), name)

    async def execute(
        self,
        subject: Subject[S],
        rule: Callable[[S, Cause], Decision[S]],
        *,
        status: int = 200,
        wait_for_handoffs: bool = False,
        digest: Callable[[bytes], str] | None = None,
        revision_checked: bool = False,
    ) -> RecordAnswer:
        """Decide a command on one record, save it, and answer.

        `rule(state, cause)` decides. Raises what the rule refuses, which the application answers as a problem. Of the
        body a digest is remembered: `digest` gives one with a key, for a body that somebody could guess.
        `revision_checked`: If-Match names a revision of another record, which `check_command` has compared.
        """
        started = perf_counter()
        runtime = self.runtime
        runtime.ensure_ready()
        body = await self.request.body()
        # The caller's key is stored nowhere, so that even who has the key of `digest` can't compare it with a guess.
        salted = self.request.headers.get("idempotency-key", "").encode() + body
        key, body_hash = self._key(), _sha256(body) if digest is None else digest(salted)
        work = Work(
            subject=subject.name,
            cause_id=self._cause_id(),
            correlation_id=self._cause_id(),
            facility_id=self.actor.facility_id,
            actor_id=self.actor.id,
            actor_role=self.actor.role,
            now=runtime.clock.now(),
            decide=cast("Decide", rule),  # the record of this name has this state
            command=CommandKey(key, body_hash, None if revision_checked else self._if_match()),
            traceparent=self._traceparent(),
            audit=self.trail.begun(self._what),
        )
        outcome = await runtime.reactor.execute(work)
        self.trail.decided(subject.name, saved=outcome.status is OutcomeStatus.APPLIED)
        if wait_for_handoffs and not await runtime.reactor.handed_over(
            subject.name, runtime.settings.handoff_wait_seconds
        ):
            status = 202
        runtime.metrics.command_seconds.labels(self._what).observe(perf_counter() - started)
        answer = {
            **outcome.answer,
            "subject": subject.name,
            "revision": outcome.revision,
            "sequence": outcome.sequence,
        }
        return RecordAnswer(answer, outcome.revision, status)

    async def check_command(self, subject: Subject[S]) -> Record:
        """Raise what `execute` on this record would raise before any rule runs, for what can't be taken back after it.

        Returns the record as it is, which may be a new one.
        """
        self.runtime.ensure_ready()
        key = self._key()
        record = (await self.runtime.store.load([subject.name]))[subject.name]
        if record.unusable is not None or not record.is_new:
            self._checked(record)
        if key not in record.commands and self._if_match() not in (None, record.revision):
            raise Outdated
        return record

    async def read(
        self, subject: Subject[S], reading: Callable[[S], Mapping[str, Any]]
    ) -> RecordAnswer:
        """Answer a query on one record: `reading(state)` returns what the caller may see of it.

        `min-sequence=N` (this service's own events) or `min-sequence=intake:N` (events about this subject that it has
        applied) makes the answer at least that fresh, or 409 `not-yet-known` with Retry-After.
        """
        record = await self.record(subject)
        for wanted in self.request.query_params.getlist("min-sequence"):
            _fresh_enough(record, wanted)
        body = {
            **reading(state_of(record, subject.state)),
            "subject": subject.name,
            "revision": record.revision,
        }
        return RecordAnswer(body, record.revision)

    async def state(self, subject: Subject[S]) -> S:
        """What the record knows, if there is one and the caller's facility owns it."""
        return state_of(await self.record(subject), subject.state)

    async def states(self, subjects: Sequence[Subject[S]]) -> list[S]:
        """What these records know, in the order asked for, if all are there and the caller's facility owns them."""
        found = await self.runtime.store.load([subject.name for subject in subjects])
        return [state_of(self._checked(found[one.name]), one.state) for one in subjects]

    async def readable_states(
        self, subjects: Iterable[Subject[S]], left_out: set[str]
    ) -> dict[str, S]:
        """What these records know, by subject, for a list or for work on many people. Raises as `states` does.

        One that can't be read here is left out, and its subject is added to `left_out`, which the answer shows.
        """
        wanted = {subject.name: subject.state for subject in subjects}
        records = await self.runtime.store.load(wanted)
        found: dict[str, S] = {}
        for name, state in wanted.items():
            if records[name].unusable is not None:
                left_out.add(name)
            else:
                found[name] = state_of(self._checked(records[name]), state)
        return found

    async def state_if_any(self, subject: Subject[S]) -> S | None:
        """What the record knows; None while there is none. Another facility's is refused."""
        found = (await self.runtime.store.load([subject.name]))[subject.name]
        self.trail.look_at([subject.name])
        unknown = found.is_new and found.unusable is None
        return None if unknown else state_of(self._checked(found), subject.state)

    async def record(self, subject: Subject[S]) -> Record:
        """The whole record, if there is one and the caller's facility owns it."""
        return self._checked((await self.runtime.store.load([subject.name]))[subject.name])

    async def page(
        self,
        index: str,
        after: str | None,
        limit: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        part: str | None = None,
    ) -> Page:
        """One page of the records of the caller's facility in an index, or in a part of it; both bounds belong to it.

        Raises `Invalid` when `after` is not the `next` of a page of this list.
        """
        page = await self.runtime.store.by_index(
            index, self.actor.facility_id, after, limit, since=since, until=until, part=part
        )
        self.trail.look_at(record.subject for record in page.records)
        return page

    def _checked(self, record: Record) -> Record:
        self.trail.look_at([record.subject])
        if record.unusable is not None:
            raise record.unusable
        if record.is_new:
            what = record.subject.partition("/")[0]
            raise Unknown(what) if record.kind.owns_ids else NotYetKnown(what)
        if record.facility_id != self.actor.facility_id:
            self.trail.facilities[record.facility_id] = None
            raise OtherFacility
        return record

    def _key(self) -> str:
        key = self.request.headers.get("idempotency-key", "")
        if not key or len(key) > KEY_LENGTH_MAX or not key.isprintable():
            raise KeyRequired(
                "idempotency-key-required",
                f"A command must carry an Idempotency-Key of 1 to {KEY_LENGTH_MAX} printable characters.",
                hint="Send a new random key per command, and the same key when repeating it.",
            )
        # Two callers, or two routes, may use the same key without meaning the same command.
        return derive_id(self._cause_id(), "key")

    def _cause_id(self) -> str:
        return derive_id(
            "command",
            self.actor.facility_id,
            self.actor.id,
            self.request.method,
            self.request.url.path,
            self.request.headers.get("idempotency-key", ""),
        )

    def _traceparent(self) -> str | None:
        """The caller's trace, when it is one: nothing else may travel on with an event."""
        return trace_or_none(self.request.headers.get("traceparent"))

    def _if_match(self) -> int | None:
        tag = self.request.headers.get("if-match")
        if tag is None or tag == "*":
            return None
        text = tag.strip().strip('"')
        if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
            raise Invalid(
                "if-match-invalid",
                "If-Match is not an ETag of this service.",
                hint="Send the ETag of the answer that you read, unchanged.",
            )
        return int(text)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _fresh_enough(record: Record, wanted: str) -> None:
    source, _, number = wanted.rpartition(":")
    if not (number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX):
        raise Invalid(
            "min-sequence-invalid",
            "min-sequence must be a number, or a source and a number.",
            hint="For example min-sequence=3, or min-sequence=intake:3.",
        )
    reached = record.inbox.get(source, NOTHING)[0] if source else record.next_sequence - 1
    if reached < int(number):
        raise NotYetKnown("change")
