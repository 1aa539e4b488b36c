"""What unit tests of services share: a cause, and a history told to one record as the runtime tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from fastapi.testclient import TestClient
from httpx2 import Response
from hypothesis import strategies as st

from services.intake.settings import IntakeSettings
from shared.contracts.event import CATALOGUE, Event
from shared.decision import Cause, Decision, Handoff, HandoffBody, State, derive_id
from shared.devtools.issuer import DEFAULT_ISSUER, LocalIssuer
from shared.runtime.core.handoffs import HandoffRules
from shared.runtime.core.paging import Page
from shared.runtime.core.reactions import Reactions
from shared.runtime.core.record import Record
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.work import CommandKey, Outcome, OutcomeStatus, StreamPosition, Work
from shared.runtime.http.auth import Authenticator
from shared.runtime.http.claims import Actor
from shared.runtime.http.keys import FixedKeys
from shared.runtime.http.programs import Programs
from shared.runtime.metrics import Metrics
from shared.runtime.service import Service, create_app
from shared.runtime.settings import ServiceSettings
from shared.testing.fake_keys import memory_vault
from shared.testing.fakes import MemoryStore
from tests.answers import check_answer

E = TypeVar("E", bound=Event)

EPISODE_ID = "8f1f6a52-6a3e-5f0e-9a4e-0c5a7b1d2e3f"
EPISODE = f"episode/{EPISODE_ID}"
FACILITY = "harbor-iop"
START = datetime(2026, 3, 2, 15, 0, 0, 123_457, tzinfo=UTC)


def ticking(now: datetime) -> datetime:
    """An instant as a clock shows it: real clocks carry microseconds, so a whole second gets some."""
    return now if now.microsecond else now.replace(microsecond=START.microsecond)


def uid(name: str) -> str:
    """A well-formed id, the same for the same name."""
    return derive_id("test", name)


def fact(event_type: type[E], **changes: Any) -> E:
    """An event: the contract's example of it, with some fields replaced."""
    return event_type.model_validate({**event_type.example().model_dump(), **changes})


def interleaved(*lines: Sequence[Event]) -> st.SearchStrategy[list[Event]]:
    """The ways in which events of several sources may arrive: each source's own order is kept."""
    labels = [index for index, stream in enumerate(lines) for _ in stream]

    def dealt(order: Iterable[int]) -> list[Event]:
        waiting = [iter(stream) for stream in lines]
        return [next(waiting[label]) for label in order]

    return st.permutations(labels).map(dealt)


def cause(
    now: datetime = START,
    *,
    name: str = "cause",
    subject: str = EPISODE,
    role: str = "clinician",
) -> Cause:
    """A cause to hand to a rule directly."""
    return Cause(
        id=uid(name),
        now=now,
        subject=subject,
        facility_id=FACILITY,
        actor_id=uid("actor"),
        actor_role=role,
        correlation_id=uid(name),
    )


def settings_for(source: str) -> ServiceSettings:
    """The settings that a service is started with."""
    return IntakeSettings() if source == "care.intake" else ServiceSettings()


def authenticator_of(issuer: LocalIssuer) -> Authenticator:
    """Whom a service believes that was given this issuer's keys, in development mode."""
    return Authenticator(FixedKeys(issuer.jwks, DEFAULT_ISSUER, development=True))


class Caller:
    """Stands in for the authenticator: whoever calls is of this facility and has this role."""

    def __init__(self, role: str, facility_id: str = FACILITY) -> None:
        self._actor = Actor(uid("actor"), facility_id, role)

    def actor(self, _authorization: str | None) -> Actor:
        return self._actor


class OneRecord:
    """Stands in for the runtime behind HTTP: every command and question meets the record of one history."""

    def __init__(self, history: History, kinds: Mapping[str, RecordKind]) -> None:
        self.history = history
        self.kinds = kinds
        self.beside: dict[str, State] = {}
        """What other records have, by subject."""
        self.metrics = Metrics()
        self.programs = Programs.load()
        self.reactor = self.clock = self.store = self.audit = self
        self.settings = settings_for(history.source)
        self.vault = memory_vault()

    def ensure_ready(self) -> None: ...

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None: ...

    def count_anonymous(self, code: str) -> None: ...

    def now(self) -> datetime:
        return self.history.now

    async def execute(self, work: Work) -> Outcome:
        outcome = self.history.record.apply(work, self.history.source)
        if outcome.error is not None:
            raise outcome.error
        return outcome

    async def handed_over(self, _subject: str, _timeout_seconds: float) -> bool:
        return True

    async def load(self, subjects: Iterable[str]) -> dict[str, Record]:
        record = self.history.record
        record.version = max(record.version, int(record.touched))
        return {
            subject: record if subject == record.subject else self._other(subject)
            for subject in subjects
        }

    def _other(self, subject: str) -> Record:
        record = _new_record(subject, self.kinds[subject.partition("/")[0]])
        if subject in self.beside:
            record.state, record.version, record.facility_id = self.beside[subject], 1, FACILITY
        return record

    async def by_index(self, name: str, facility_id: str, *which: Any, **bounds: Any) -> Page:
        """What a store answers that has only this record."""
        of = self.history.record
        record = _new_record(of.subject, of.kind)
        record.state, record.facility_id, record.touched = of.state, FACILITY, True
        store = MemoryStore({of.subject.partition("/")[0]: of.kind})
        await store.save([record], START)
        return await store.by_index(name, facility_id, *which, **bounds)


def _new_record(subject: str, kind: RecordKind) -> Record:
    return Record(subject, kind, kind.state())


class Http:
    """HTTP to one record: each command has a fresh key unless one is given."""

    def __init__(self, service: Service, history: History, role: str = "clinician") -> None:
        self._app = create_app(service, ServiceSettings())
        self.runtime = self._app.state.runtime = OneRecord(history, service.kinds)
        self._client = TestClient(self._app)  # never entered, so that nothing is started
        self._keys = 0
        self.acting_as(role)

    def acting_as(self, role: str, facility_id: str = FACILITY) -> Self:
        self._app.state.authenticator = Caller(role, facility_id)
        return self

    def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None) -> Response:
        return self.send("POST", path, body, key=key)

    def send(
        self, method: str, path: str, body: Mapping[str, Any], *, key: str | None = None
    ) -> Response:
        self._keys += 1
        headers = {"Idempotency-Key": key or f"key {self._keys}"}
        return self._told(self._client.request(method, path, json=dict(body), headers=headers))

    def get(self, path: str) -> Response:
        return self._told(self._client.get(path))

    def _told(self, answer: Response) -> Response:
        check_answer(self._app, answer)
        return answer


class History:
    """One record of one service, told events, commands and the passing of time.

    Every event gets the next sequence number of its source, so that telling it `again` is a redelivery.
    What is decided goes through `Record.apply`, exactly as in the running service.
    """

    def __init__(
        self,
        source: str,
        kind: RecordKind,
        reactions: Reactions,
        handoffs: HandoffRules | None = None,
        *,
        subject: str = EPISODE,
        now: datetime = START,
    ) -> None:
        self.source = source
        self.reactions = reactions
        self.handoffs = handoffs or HandoffRules()
        self.record = Record(subject, kind, kind.state())
        self.now = ticking(now)
        self._heard: Counter[str] = Counter()
        self._commands = 0

    @property
    def state(self) -> Any:
        return self.record.state

    @property
    def said(self) -> list[Event]:
        """Everything the record has published, in order."""
        return [
            CATALOGUE[entry["headers"]["ce_type"]].parse(entry["data"])
            for entry in self.record.waiting_entries()
        ]

    @property
    def names(self) -> list[str]:
        return [event.NAME for event in self.said]

    def of(self, event_type: type[Event]) -> list[Any]:
        """What was said of one type."""
        return [event for event in self.said if isinstance(event, event_type)]

    def at(self, now: datetime) -> Self:
        """Let time pass to this instant: deadlines fire on the way, each at its own instant."""
        self.now = now = ticking(now)
        work = self._work("deadlines", now, None)
        for _ in range(2_000):
            if self.record.due is None or self.record.due > now:
                return self
            outcome = self.record.apply(work, self.source)
            if outcome.status is not OutcomeStatus.APPLIED:
                raise AssertionError(f"a deadline was {outcome.status}: {outcome}")
        raise AssertionError("deadlines do not come to rest")

    def after(self, **units: float) -> Self:
        """Let this much time pass."""
        return self.at(self.now + timedelta(**units))

    def hear(self, event: Event, *, again: int = 0) -> Outcome:
        """Hear an event now, and `again` times more, redelivered. Returns the last outcome."""
        number = self._heard[event.SOURCE] = self._heard[event.SOURCE] + 1
        reaction = self.reactions.find(event.TYPE.rpartition(".v")[0])
        if reaction is None:
            raise AssertionError(f"{event.TYPE} is not heard here")
        event_id = uid(f"{event.SOURCE}/{number}/{event.data()!r}")
        stream = StreamPosition(event.SOURCE, number, event_id)
        rule = reaction.rule
        work = self._work(event_id, self.now, lambda s, c: rule(s, event, c), stream=stream)
        outcome = self.record.apply(work, self.source)
        if outcome.status is not OutcomeStatus.APPLIED:
            raise AssertionError(f"{event.NAME} was {outcome.status}: {outcome.exception}")
        for _ in range(again):
            outcome = self.record.apply(work, self.source)
        return outcome

    def hear_all(self, events: Iterable[Event]) -> Self:
        for event in events:
            self.hear(event)
        return self

    def handed(self, body: HandoffBody) -> Outcome:
        """Apply what another record has handed over."""
        rule = self.handoffs.find(type(body).__name__).rule
        return self.record.apply(
            self._work("handoff", self.now, lambda s, c: rule(s, body, c)), self.source
        )

    @property
    def handing(self) -> Sequence[Handoff]:
        """What this record hands to others."""
        return [
            Handoff(
                item["subject"],
                self.handoffs.find(item["body_type"]).body.model_validate(item["body"]),
            )
            for item in self.record.new_handoffs
        ]

    def command(
        self,
        rule: Callable[[Any, Cause], Decision[State]],
        *,
        key: str | None = None,
        role: str = "clinician",
    ) -> Outcome:
        """Give a command now; raises what the rule refuses."""
        self._commands += 1
        name = key or f"command {self._commands}"
        work = self._work(
            uid(name), self.now, rule, command=CommandKey(uid(name), "hash"), role=role
        )
        outcome = self.record.apply(work, self.source)
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def _work(
        self,
        cause_id: str,
        now: datetime,
        decide: Callable[[Any, Cause], Decision[State]] | None,
        *,
        stream: StreamPosition | None = None,
        command: CommandKey | None = None,
        role: str = "system",
    ) -> Work:
        return Work(
            subject=self.record.subject,
            cause_id=cause_id,
            correlation_id=uid("correlation"),
            facility_id=FACILITY,
            now=now,
            decide=decide,
            actor_id=uid("actor") if command else "system",
            actor_role=role,
            stream=stream,
            command=command,
        )
