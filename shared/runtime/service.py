"""One service, assembled from its parts: how it starts, and how it stops without losing anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from faststream.kafka import KafkaBroker
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from starlette.exceptions import HTTPException

from shared.contracts import CATALOGUE
from shared.contracts.topics import TOPICS
from shared.errors import CareError, ConfigurationError, TopicSettingsDiffer, Unavailable
from shared.loops import CareState
from shared.runtime import development
from shared.runtime.audit.api import AuditedReplica
from shared.runtime.audit.api import router as audit_router
from shared.runtime.audit.keeper import Keeper
from shared.runtime.audit.store import MongoAudit
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.cancellation import cancel_and_wait, is_asked_to_end
from shared.runtime.census import CensusTaker
from shared.runtime.clock import Clock, SteppedClock
from shared.runtime.core.dead_letter import REASONS
from shared.runtime.core.handoffs import HandoffRules
from shared.runtime.core.passing import Passing, note_name
from shared.runtime.core.reactions import Reactions
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import MongoStore
from shared.runtime.core.store_connection import mongo_options
from shared.runtime.core.store_reach import check_store_reachable
from shared.runtime.core.work import OutcomeStatus
from shared.runtime.dead_letters.api import OperatedReplica
from shared.runtime.dead_letters.api import router as dead_letters_router
from shared.runtime.dead_letters.discards import Discards
from shared.runtime.dead_letters.redrive import Redriver
from shared.runtime.dead_letters.store import MongoDeadLetters
from shared.runtime.dead_letters.streams import Streams
from shared.runtime.http import problems
from shared.runtime.http.answers import Answers
from shared.runtime.http.auth import Authenticator
from shared.runtime.http.docs_page import serve_docs
from shared.runtime.http.events_page import serve_events
from shared.runtime.http.keys import KeySource
from shared.runtime.http.limits import Limits, Rates
from shared.runtime.http.metrics_address import MetricsAddress
from shared.runtime.http.openapi import describe
from shared.runtime.http.ops import WatchedReplica
from shared.runtime.http.ops import router as ops_router
from shared.runtime.http.programs import Programs
from shared.runtime.http.programs import router as programs_router
from shared.runtime.http.task_lists import router as work_router
from shared.runtime.kafka import identity, refusals, startup_checks
from shared.runtime.kafka.clients import name_consumers
from shared.runtime.kafka.connection import broker_options, client_options
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.kafka.names import Names
from shared.runtime.kafka.positions import NOTED_POSITIONS
from shared.runtime.kafka.producer import KafkaPublisher
from shared.runtime.kafka.reach import check_broker_reachable
from shared.runtime.kafka.topic_watch import TopicWatch
from shared.runtime.kafka.topics import check_settings, ensure_topics
from shared.runtime.log_output import Output
from shared.runtime.logs import log, said, where
from shared.runtime.metrics import Metrics, Watched
from shared.runtime.quiescence import Quiescence
from shared.runtime.readiness import say_readiness
from shared.runtime.recovery.journal import (
    KafkaJournal,
    Keyring,
    check_journal,
    forget_journal,
    journal_topic,
)
from shared.runtime.recovery.sweep import Sweeper
from shared.runtime.retry import Backoff
from shared.runtime.settings import ServiceSettings
from shared.runtime.timers import Timers
from shared.runtime.vault.settings import VaultSettings
from shared.runtime.vault.vault import Vault, check_vault, open_vault
from shared.runtime.wall_clock import WallClock

if TYPE_CHECKING:
    from shared.runtime.tracing import Tracing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """What distinguishes one service from the others; everything else is the same for all."""

    name: str
    summary: str
    kinds: Mapping[str, RecordKind]
    reactions: Reactions
    routers: Sequence[APIRouter]
    handoffs: HandoffRules = field(default_factory=HandoffRules)
    registered: Callable[[], Mapping[str, frozenset[str]]] = dict[str, frozenset[str]]
    """Reads the codes of the service's own tables that callers may use, by registry. May raise `ConfigurationError`."""
    passing: Callable[[ServiceSettings], Passing] | None = None
    """Makes what decides which foreign events are passed on to which topics of the service's own."""
    identities: bool = False
    """It keeps what people are known by, sealed with a key of each person's: its settings are `VaultSettings`."""

    @property
    def source(self) -> str:
        return f"care.{self.name}"


class Runtime:
    """One running replica of one service."""

    def __init__(
        self,
        service: Service,
        settings: ServiceSettings,
        programs: Programs | None = None,
        tracing: Tracing | None = None,
        output: Output | None = None,
        keys: KeySource | None = None,
    ) -> None:
        self._keys = keys
        self.service = service
        self.settings = settings
        self.programs = programs or _programs(service, settings)
        self.clock: Clock = SteppedClock() if settings.clock == "stepped" else Clock()
        self.metrics = Metrics()
        self.store = MongoStore(
            settings.mongo_uri,
            f"{settings.database_prefix}{service.name}",
            service.kinds,
            journaled=bool(settings.journal_key),
            options=mongo_options(settings),
        )
        self._vault = _vault(service, settings)
        self._output = output
        self._topic = TOPICS.get(service.source)
        self.passing = None if service.passing is None else service.passing(settings)
        self._publisher = KafkaPublisher(settings, self._topic)
        self._keyring = keyring_of(service, settings)
        self._journal = (
            KafkaJournal(settings, service.name, self._keyring)
            if self._keyring is not None
            else None
        )
        self.relay = Relay(self.store, self._publisher, self.metrics, journal=self._journal)
        self.reactor = Reactor(
            service.source,
            self.store,
            self.relay,
            self.metrics,
            service.handoffs,
            settings.record_cache_max,
        )
        self._wall_clock = (
            None if self.clock.stepped else WallClock(self.store, settings.clock_tolerance_seconds)
        )
        self.consumer = Consumer(
            service=service.name,
            settings=settings,
            reactions=service.reactions,
            reactor=self.reactor,
            relay=self.relay,
            store=self.store,
            clock=self.clock,
            metrics=self.metrics,
            passing=self.passing,
            wall_clock=self._wall_clock,
        )
        self.audit = AuditWriter(self.store, self.metrics)
        self.audit_log = MongoAudit(self.store.database)
        self._keeper = Keeper(
            self.audit_log,
            self.audit,
            self.store.replica_id,
            self._journal,
            self.store.set_aside,
        )
        self.dead_letters = MongoDeadLetters(self.store.database, self.store.set_aside)
        self.redriver = Redriver(
            self.store, self.dead_letters, self.reactor, self.consumer.reader, self.clock
        )
        self.discards = Discards(
            self.dead_letters, self.redriver, one_person=settings.one_person_discard
        )
        self.streams = Streams(self.store, self.dead_letters)
        self.timers = Timers(self.store, self.reactor, self.consumer, self.clock, self._wall_clock)
        self._tracing = tracing
        if tracing is not None:
            tracing.instrument(self.reactor, self.store, self._publisher, service.source)
        self._started = asyncio.Event()
        self.quiescence = Quiescence(
            self._started, self.reactor, self.relay, self.consumer, self.timers, self.clock
        )
        self._sweeper = Sweeper(
            self.reactor, self.relay, self.consumer, settings.sweep_after_seconds
        )
        self._inputs = [TOPICS[name] for name in service.reactions.topics]
        self._topics = self._inputs if self._topic is None else [self._topic, *self._inputs]
        self._journal_topics = [] if self._journal is None else [journal_topic(service.name)]
        self._all_topics = [*self._topics, *self._journal_topics]
        self._topic_watch = TopicWatch(
            settings,
            service.name,
            self._all_topics,
            self.store,
            self.relay,
            self.consumer,
            settings.topics_check_seconds,
        )
        self._census = CensusTaker(
            self.store.database, self.consumer, self.clock, settings.census_seconds
        )
        self.metrics.watch(
            Watched(
                output=output,
                set_aside=self.store.set_aside,
                ready=lambda: not self.not_ready(),
                lag=self.consumer,
                census=lambda: self._census.latest,
                census_age=lambda: self._census.age_seconds,
            )
        )
        self.metrics.begin_at_zero(
            published=[e.TYPE for e in CATALOGUE.values() if service.source == e.SOURCE],
            sources=service.reactions.topics,
            loops=loop_kinds(service.kinds),
            statuses=[status.value for status in OutcomeStatus],
            reasons=REASONS,
        )
        self._broker = self._make_broker()
        self.consumer.attach(self._broker)
        self._tasks: list[asyncio.Task[None]] = []
        self._failing: set[str] = set()
        self._stopping = False
        self.refusal: ConfigurationError | None = None
        self._waits_for: Unavailable | None = None
        """What keeps the start waiting."""

    def _make_broker(self) -> KafkaBroker:
        metrics = KafkaPrometheusMiddleware(
            registry=self.metrics.registry, app_name=self.service.name
        )
        return KafkaBroker(
            **broker_options(self.settings),
            client_id=self.service.name,
            apply_types=False,
            middlewares=[metrics],
            logger=None,
            graceful_timeout=self.settings.shutdown_seconds,
            allow_auto_create_topics=False,
        )

    # --- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start in the background, so that health checks get an answer from the first moment."""
        if development.is_on(self.settings):
            log.warning("service.development_mode")
        if self.settings.one_person_discard:
            log.warning("service.one_person_discard")
        if self._keys is not None:
            self._run_task("keys", self._keys.run)
        self._tasks.append(asyncio.create_task(self._run(), name="run"))
        self._tasks.append(
            asyncio.create_task(say_readiness(self.not_ready, self._started), name="readiness")
        )

    async def _run(self) -> None:
        if await self._supervised("start", self._connected):
            self._run_tasks()
            await self._supervised("start", self._sweeper.recover_at_start)
            if self.passing is not None:
                self._run_task("ends", partial(self._say_last, self.passing))
            self._started.set()
            log.info("service.started")

    async def _connected(self) -> bool:
        """Wait for store and broker, and check them. False when they are refused for good."""
        backoff = Backoff()
        while True:
            try:
                await self._connect()
                break
            except Unavailable as error:
                self._topic_watch.note_rights(error)
                self._say_waiting(error)
                await backoff.pause()
            except TopicSettingsDiffer as error:
                if self.refusal is None:
                    log.critical("start.refused", **said(error))
                self.refusal = error  # until an operator has repaired the topics
                await backoff.pause()
            except ConfigurationError as error:
                self.refusal = error
                log.critical("start.refused", **said(error))
                return False
        self.refusal = self._waits_for = None
        self._topic_watch.note_rights(None)
        return True

    def _run_tasks(self) -> None:
        runs: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("relay", self.relay.run),
            ("timers", self.timers.run),
            ("sweeper", self._sweeper.run),
            ("census", self._census.run),
            ("audit", self._keeper.run),
            ("discards", self.discards.run),
            ("topics", partial(self._topic_watch.run, self._refuse)),
        ]
        if self._wall_clock is not None:
            runs.append(("wall-clock", self._wall_clock.watch))
        for name, run in runs:
            self._run_task(name, run)

    def _run_task(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._for_ever(name, run), name=name))

    def _say_waiting(self, error: Unavailable) -> None:
        """Say what the start waits for: once, until it waits for something else."""
        before, self._waits_for = self._waits_for, error
        if before is None or (before.code, before.detail) != (error.code, error.detail):
            log.warning("start.waiting", **said(error))

    async def _for_ever(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a background task, whether it fails or returns."""
        while True:
            await self._supervised(name, run)

    async def _supervised(self, name: str, run: Callable[[], Awaitable[T]]) -> T:
        """Begin again after a bug: log the error, and report not ready until it runs again. Returns what `run` does."""
        backoff = Backoff()
        while True:
            try:
                return await run()
            except (
                Exception,
                asyncio.CancelledError,
            ) as error:  # the boundary of a background task
                if isinstance(error, asyncio.CancelledError) and is_asked_to_end():
                    raise
                self._failing.add(name)
                log.error(
                    "task.failed", reason=name, exception=type(error).__name__, where=where(error)
                )
                await backoff.pause()
                self._failing.discard(name)

    async def _connect(self) -> None:
        settings = self.settings
        await check_store_reachable(settings)
        await self.store.start()
        await self.dead_letters.start()
        if self._vault is not None:
            await self._vault.start()
        await self.audit_log.start()
        if self._wall_clock is not None:
            await self._wall_clock.agrees()  # before anything is decided
        log.info("store.connected")
        await check_broker_reachable(settings)
        log.info("broker.connected")
        await refusals.check_service(
            settings, self.service.name, [topic.name for topic in self._all_topics]
        )
        self.consumer.store_id = await identity.establish(settings, self.service.name, self.store)
        foreign = await startup_checks.check(
            settings, self._topic, self._inputs, self.store, settings.kafka_replication
        )
        self.metrics.foreign_messages.inc(foreign)
        self.consumer.reader.numbers_before = await startup_checks.numbers_before(
            self._inputs, self.store
        )
        if self.passing is not None:
            await self._establish(self.passing)
        await ensure_topics(settings, self._journal_topics, settings.kafka_replication)
        await check_settings(settings, self._journal_topics)
        if self._keyring is None:
            await forget_journal(self.store)
        else:
            await check_journal(
                settings, self.service.name, self._keyring, self.store, self.audit_log
            )
        wanted = sorted(reaction.event.TYPE for reaction in self.service.reactions)
        await self.store.set_metadata("service", {"wanted": wanted})
        try:
            await name_consumers(self._broker, settings)
            await self._broker.start()
        except Exception as error:
            raise Unavailable(
                "broker-unavailable", "Kafka did not answer.", hint="Wait: the service tries again."
            ) from error

    async def _establish(self, passing: Passing) -> None:
        """Settle what is passed on to whom, and make and check the topics that it goes to."""
        settings = self.settings
        await passing.establish(settings, self.store)
        await ensure_topics(settings, passing.topics, settings.kafka_replication)
        await check_settings(settings, passing.topics)
        await startup_checks.check_topics(settings, passing.topics, self.store)
        self.consumer.positions_note = note_name(NOTED_POSITIONS, passing.epoch)
        self._topic_watch.watch(passing.topics)

    async def _say_last(self, passing: Passing) -> None:
        """Say on ended topics what is still to be said there: once, and then wait for the end of the replica."""
        if works := passing.last_works(self.clock.now()):
            for outcome in await self.reactor.submit(works):
                if outcome.error is not None:
                    raise outcome.error
        await asyncio.Event().wait()

    def _refuse(self, error: ConfigurationError) -> None:
        """A topic has changed in mid-run: stop consuming and publishing, and report not ready."""
        self.refusal = error
        log.critical("run.refused", **said(error))
        self.relay.pause()
        self.consumer.halt(error.code)

    async def stop(self) -> None:
        """Finish the batch and the commands in hand, publish their events, then close the connections."""
        self._stopping = True
        if self._started.is_set():
            await self._broker.stop()
            with suppress(Unavailable):  # an older note stays
                await self.consumer.note_positions()
        if self._started.is_set() and self.refusal is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.shutdown_seconds):
                    await self.reactor.settle()
                    await self.relay.flushed()
        await cancel_and_wait(self._tasks)
        if self._started.is_set():
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self.settings.shutdown_seconds):
                    await self._keeper.link_all()
        await self._publisher.stop()
        if self._journal is not None:
            await self._journal.stop()
        await self.store.close()
        if self._vault is not None:
            await self._vault.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        log.info("service.stopped")
        if self._output is not None:  # the server ends the process by its signal at once
            await asyncio.to_thread(self._output.drain)

    @property
    def vault(self) -> Vault:
        """The keys of people."""
        if self._vault is None:
            raise RuntimeError(f"{self.service.name} keeps nobody's identity")
        return self._vault

    @property
    def busy(self) -> bool:
        """Something is under way in this process, or a stepped clock has moved and deadlines are to be run."""
        return self.quiescence.busy

    # --- health ----------------------------------------------------------------------------------

    def ensure_ready(self) -> None:
        """Raises `Unavailable` when this replica can't take commands now."""
        reasons = self.not_ready()
        if reasons:
            raise Unavailable(reasons[0], "The service is not ready.", hint="Retry shortly.")

    def ensure_operable(self) -> None:
        """Raises `Unavailable` when operators can't work on dead letters. They can while the consumer is halted."""
        if self.refusal is not None or not self._started.is_set() or self._stopping:
            raise Unavailable(self.not_ready()[0], "The service is not ready.", hint="Retry.")

    def not_ready(self) -> list[str]:
        """Why this replica is not ready; empty when it is."""
        reasons: list[str] = []
        if self.refusal is not None:
            reasons.append(self.refusal.code)
        elif not self._started.is_set():
            reasons.append("starting")
            if self._waits_for is not None:
                reasons.append(self._waits_for.code)
        if self._stopping:
            reasons.append("stopping")
        reasons += [f"{name}-failing" for name in sorted(self._failing)]
        halted = self.consumer.halted
        if halted is not None and halted not in reasons:
            reasons.append(halted)
        found = {
            "consumer-waiting": not self.consumer.healthy,
            "relay-waiting": not self.relay.healthy,
            "catching-up-stalled": self.consumer.stalled,
            "issuer-unreachable": self._keys is not None and not self._keys.known,
            "clock-differs": self._wall_clock is not None and self._wall_clock.differs,
        }
        reasons += [reason for reason, holds in found.items() if holds]
        reasons += self._topic_watch.reasons()
        clock_unset = isinstance(self.clock, SteppedClock) and not self.clock.set
        if clock_unset:
            reasons.append("clock-not-set")
        elif not self.timers.healthy:
            reasons.append("timers-waiting")
        return reasons

    @property
    def rights_missing(self) -> Sequence[str]:
        """What Kafka does not let this service do, such as `read topic care.intake`."""
        return self._topic_watch.rights_missing

    def warnings(self) -> list[str]:
        """What operators should look at, although the replica is ready."""
        found: list[str] = []
        if self._output is not None and self._output.failing:
            found.append("logs-failing")
        if self.store.set_aside:
            found.append("records-set-aside")
        if self.consumer.left_to_newer:
            found.append("records-of-newer-version")
        if self._keys is not None and self._keys.failing:
            found.append("issuer-away")
        if self.discards.overdue:
            found.append("discards-overdue")
        if self.settings.one_person_discard:
            found.append("one-person-discard")
        return found


def loop_kinds(kinds: Mapping[str, RecordKind]) -> list[str]:
    """The kinds of open loops that the records of a service may have."""
    tables = [kind.state.LOOPS for kind in kinds.values() if issubclass(kind.state, CareState)]
    return sorted({kind.value for table in tables for kind in table})


def keyring_of(service: Service, settings: ServiceSettings) -> Keyring | None:
    """The keys of the journal; None without one. Raises `ConfigurationError` for a key that can't be used."""
    if not settings.journal_key:
        return None
    return Keyring(service.name, settings.journal_key, settings.journal_key_before)


def create_app(
    service: Service, settings: ServiceSettings, output: Output | None = None
) -> FastAPI:
    """The ASGI application of one replica: HTTP and consumer in one process. `output` is where its log lines go.

    Raises `ConfigurationError` when a part of the configuration can't be read or is not installed.
    """
    # All of them refuse settings that can't be used, before anything starts.
    client_options(settings)
    Names.of(settings)
    mongo_options(settings)
    keyring_of(service, settings)
    development.check_passwords(settings)
    authenticator = Authenticator.of(settings)
    if isinstance(settings, VaultSettings):
        check_vault(settings)
    programs = _programs(service, settings)
    tracing = _tracing(service) if settings.otel else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        runtime = Runtime(service, settings, programs, tracing, output, authenticator.source)
        _serve(app, runtime)
        await runtime.start()
        try:
            yield
        finally:
            await runtime.stop()

    app = _routes(service, lifespan)
    app.state.authenticator = authenticator
    app.add_exception_handler(CareError, problems.on_care_error)
    app.add_exception_handler(RequestValidationError, problems.on_invalid)
    app.add_exception_handler(HTTPException, problems.on_http_error)
    app.add_exception_handler(Exception, problems.on_bug)
    if settings.metrics_port:
        app.add_middleware(MetricsAddress, port=settings.metrics_port)
    app.add_middleware(Limits, rates=Rates(settings.actor_requests_per_second_max))
    app.add_middleware(Answers, in_development=development.is_on(settings))
    if tracing is not None:
        app.add_middleware(tracing.middleware)
    return app


def interface(service: Service) -> dict[str, object]:
    """The OpenAPI document of a service, without starting anything."""
    return _routes(service).openapi()


def _routes(
    service: Service, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None
) -> FastAPI:
    app = FastAPI(
        title=f"Throughcare {service.name}",
        summary=service.summary,
        version="1",
        lifespan=lifespan,
        docs_url=None,  # the framework's own pages load scripts from elsewhere
        redoc_url=None,
    )
    routers = (
        ops_router,
        dead_letters_router,
        audit_router,
        work_router,
        programs_router,
        *service.routers,
    )
    for router in routers:
        app.include_router(router)
    describe(app, service.name, routers)
    serve_docs(app)
    serve_events(app, service.name)
    return app


def _programs(service: Service, settings: ServiceSettings) -> Programs:
    return Programs.load(settings.programs_directory, settings.directory_file, service.registered())


def _vault(service: Service, settings: ServiceSettings) -> Vault | None:
    if not service.identities:
        return None
    if not isinstance(settings, VaultSettings):
        raise TypeError(f"{service.name} keeps identities, and its settings name no key database")
    return open_vault(settings)


def _tracing(service: Service) -> Tracing:
    """Traces for this replica. Imported only here: the exporter is an extra, and costs what it costs."""
    try:
        from shared.runtime.tracing import Tracing, otlp_provider  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "tracing-not-installed",
            "CARE_OTEL is set, but the OpenTelemetry SDK is not installed.",
            hint="Install the extra `throughcare[otel]`, or unset CARE_OTEL.",
            setting="CARE_OTEL",
        ) from error
    return Tracing(otlp_provider(service.name))


class ServedReplica(WatchedReplica, OperatedReplica, AuditedReplica, Protocol):
    """What all routes together may use of a replica."""

    @property
    def consumer(self) -> Consumer: ...


def _serve(app: FastAPI, runtime: ServedReplica) -> None:
    """Let the routes find the replica."""
    app.state.runtime = runtime
