"""Traces: one trace from a request to the next service's record, nothing about a person in it, and no cost when off."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from chaos.simulation.broker import Group, Log, Member
from services.followup.app import SERVICE as FOLLOWUP
from services.intake.app import SERVICE as INTAKE
from shared.contracts.topics import PARTITIONS
from shared.errors import ConfigurationError, Unavailable
from shared.runtime import service as service_module
from shared.runtime import tracing as tracing_module
from shared.runtime.core.documents import from_microseconds
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.core.work import Work
from shared.runtime.kafka.consumer import Consumer
from shared.runtime.metrics import Metrics
from shared.runtime.service import Runtime, Service, create_app
from shared.runtime.tracing import Tracing, otlp_provider
from shared.runtime.vault.settings import VaultSettings
from shared.testing.fakes import MemoryPublisher, MemoryStore, MemoryTopic
from tests.unit.runtime import toy
from tests.unit.served import Served
from tests.unit.support import FACILITY, START, uid

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
REFERRAL = {"source_kind": "self", "urgency": "routine"}
ATTRIBUTES = {
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "care.work.kind",
    "care.work.name",
    "care.record.kind",
    "care.batch.size",
    "care.outcome",
    "care.reason",
    "care.event.type",
    "db.system.name",
    "db.operation.name",
    "messaging.system",
    "messaging.operation.type",
    "messaging.destination.name",
    "error.type",
}
"""All that a span may say."""


class Traced:
    """A service on fakes, instrumented as a replica with CARE_OTEL is."""

    def __init__(self, service: Service, exporter: InMemorySpanExporter) -> None:
        self.served = Served(service)
        provider = TracerProvider(resource=Resource({"service.name": service.name}))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.tracing = Tracing(provider)
        publisher: Any = self.served.relay._publisher
        served = self.served
        self.tracing.instrument(served.reactor, served.store, publisher, service.source)
        self.served.app.add_middleware(self.tracing.middleware)

    async def publish(self) -> None:
        """One round of the relay."""
        await self.served.relay._round()

    async def consume(self, topic: str, records: list[tuple[str, dict[str, str], bytes]]) -> None:
        """What is on another service's topic, by the real consumer."""
        served, service = self.served, self.served.service
        consumer = Consumer(
            service=service.name,
            settings=VaultSettings(),
            reactions=service.reactions,
            reactor=served.reactor,
            relay=served.relay,
            store=served.store,
            clock=served,  # type: ignore[arg-type] - all that it asks of a clock is `now`
            metrics=served.metrics,
        )
        log, group = Log(), Group(service.reactions.topics)
        member = Member(log, group, service.name, _at_once)
        member.listener = consumer
        member.generation = group.generation
        group.members.append(member)
        for subject, headers, data in records:
            tp = TopicPartition(topic, partition_of(subject, PARTITIONS))
            member.positions.setdefault(tp, 0)
            log.partitions[tp].append(_record(tp, len(log.partitions[tp]), subject, headers, data))
        consumer._subscriber = SimpleNamespace(consumer=member)
        await consumer.on_batch(member.fetch(100))
        assert consumer.healthy
        await served.quiet()


async def _at_once(_call: str) -> None: ...


def _record(
    tp: TopicPartition, offset: int, subject: str, headers: Mapping[str, str], data: bytes
) -> Any:
    make: Any = ConsumerRecord
    raw = tuple((name, value.encode()) for name, value in headers.items())
    key = subject.encode()
    return make(tp.topic, tp.partition, offset, 0, 0, key, data, None, 0, len(data), raw)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def intake(exporter: InMemorySpanExporter) -> Traced:
    return Traced(INTAKE, exporter)


@pytest.fixture
def followup(exporter: InMemorySpanExporter) -> Traced:
    return Traced(FOLLOWUP, exporter)


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def path(span: ReadableSpan, spans: tuple[ReadableSpan, ...]) -> list[str]:
    """The span's service and name, and those of all that it is below, from the outermost."""
    by_id = {one.context.span_id: one for one in spans if one.context is not None}
    own = [f"{span.resource.attributes['service.name']}: {span.name}"]
    parent = None if span.parent is None else by_id.get(span.parent.span_id)
    return own if parent is None else [*path(parent, spans), *own]


def published(served: Served) -> list[dict[str, str]]:
    """The headers of the events that wait in outboxes."""
    documents = served.disk.documents()
    return [entry["headers"] for d in documents for entry in d.get("outbox", ())]


async def refer(intake: Traced) -> str:
    served = intake.served.acting_as("intake_coordinator")
    answer = await served.post("/referrals", REFERRAL, traceparent=CALLER)
    assert answer.is_success, answer.text
    return answer.json()["subject"]


async def test_one_trace_leads_from_a_request_to_the_next_services_record(
    intake: Traced, followup: Traced, exporter: InMemorySpanExporter
) -> None:
    await refer(intake)
    await intake.publish()
    await followup.consume("care.intake", intake.served.topic.messages)

    spans = exporter.get_finished_spans()
    assert {trace_id(span) for span in spans} == {TRACE}, "the caller's own trace"
    paths = [path(span, spans) for span in spans]
    event = "care.intake.referral-received.v1"
    request = ["intake: POST /referrals"]
    command = [*request, "intake: command"]
    consumed = [*command, f"followup: event {event}"]
    for expected in (
        request,
        command,
        [*command, "intake: store load"],
        [*command, "intake: store save"],
        [*command, f"intake: publish {event}"],
        consumed,
        [*consumed, "followup: store load"],
        [*consumed, "followup: store save"],
    ):
        assert expected in paths, paths
    assert not [p for p in paths if p[-1].endswith("add_dead_letters")], "nothing was set aside"
    kinds = {span.name: span.kind for span in spans}
    assert kinds["POST /referrals"] is SpanKind.SERVER
    assert kinds[f"publish {event}"] is SpanKind.PRODUCER
    assert kinds[f"event {event}"] is SpanKind.CONSUMER


async def test_each_event_of_a_batch_stays_in_its_own_trace(
    intake: Traced, followup: Traced, exporter: InMemorySpanExporter
) -> None:
    traces = [f"{n:032x}" for n in (1, 2, 3)]
    served = intake.served.acting_as("intake_coordinator")
    for trace in traces:
        await served.post("/referrals", REFERRAL, traceparent=f"00-{trace}-00000000000000aa-01")
    await intake.publish()
    exporter.clear()
    await followup.consume("care.intake", intake.served.topic.messages)
    spans = exporter.get_finished_spans()
    events = [span for span in spans if span.kind is SpanKind.CONSUMER]
    assert [(span.attributes or {})["care.batch.size"] for span in events] == [3] * 3, "one batch"
    below = {span.context.span_id for span in events if span.context is not None}
    saves = [s for s in spans if s.name == "store save" and s.parent and s.parent.span_id in below]
    assert sorted(trace_id(span) for span in saves) == traces


async def test_a_trace_goes_on_over_a_handoff(exporter: InMemorySpanExporter) -> None:
    store, topic = MemoryStore(toy.KINDS), MemoryTopic()
    publisher, metrics = MemoryPublisher(topic), Metrics()
    relay = Relay(store, publisher, metrics)
    reactor = Reactor(toy.SOURCE, store, relay, metrics, toy.HANDOFFS)
    provider = TracerProvider(resource=Resource({"service.name": "toy"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Tracing(provider).instrument(reactor, store, publisher, toy.SOURCE)
    gathering = toy.command(f"session/{uid('session')}", toy.gather([toy.episode(1)]), "key")
    gathering.traceparent = CALLER
    await reactor.execute(gathering)
    await reactor.settle()
    await relay._round()
    spans = exporter.get_finished_spans()
    assert {trace_id(span) for span in spans} == {TRACE}
    paths = [path(span, spans) for span in spans]
    assert ["toy: command", "toy: handoff Join", "toy: store save"] in paths, paths
    assert {headers["ce_traceparent"][3:35] for _, headers, _ in topic.messages} == {TRACE}


async def test_nothing_about_a_person_is_in_a_span(
    intake: Traced, followup: Traced, exporter: InMemorySpanExporter
) -> None:
    subject = await refer(intake)
    await intake.served.get(f"/episodes/{subject.partition('/')[2]}")
    await intake.publish()
    await followup.consume("care.intake", intake.served.topic.messages)
    spans = exporter.get_finished_spans()
    assert {name for span in spans for name in span.attributes or {}} <= ATTRIBUTES
    written = "".join(span.to_json() for span in spans)
    for secret in (subject.partition("/")[2], "mesa-detox", FACILITY, uid("actor")):
        assert secret not in written
    assert not [event for span in spans for event in span.events], "no exception with its words"


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", "00-0-0-01", f"{CALLER}, {CALLER}", f"00-{'0' * 32}-b7ad6b7169203331-01"],
)
async def test_what_is_no_trace_begins_a_new_one(
    given: str, intake: Traced, exporter: InMemorySpanExporter
) -> None:
    served = intake.served.acting_as("intake_coordinator")
    await served.post("/referrals", REFERRAL, traceparent=given)
    traces = {trace_id(span) for span in exporter.get_finished_spans()}
    assert len(traces) == 1
    assert TRACE not in traces
    [headers] = published(intake.served)
    assert headers["ce_traceparent"].startswith(f"00-{traces.pop()}-")


async def test_without_tracing_a_callers_trace_travels_on_and_nothing_else_does() -> None:
    for given, expected in ((CALLER, CALLER), ("Maria", None), ("", None)):
        served = Served(INTAKE).acting_as("intake_coordinator")
        await served.post("/referrals", REFERRAL, traceparent=given)
        [headers] = published(served)
        assert headers.get("ce_traceparent") == expected


async def test_a_refusal_is_a_span_with_its_code(
    intake: Traced, exporter: InMemorySpanExporter
) -> None:
    subject = await refer(intake)
    exporter.clear()
    answer = await intake.served.post(f"/{subject.replace('episode', 'episodes')}/orientation", {})
    assert answer.status_code >= 400
    spans = {span.name: span for span in exporter.get_finished_spans()}
    [request] = [span for span in spans.values() if span.kind is SpanKind.SERVER]
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == answer.status_code


async def test_a_store_that_is_away_fails_the_spans_by_code_and_no_words(
    intake: Traced, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("store-unavailable", "Maria")

    monkeypatch.setattr(intake.served.store, "save", intake.tracing._traced_store("save", away))
    served = intake.served.acting_as("intake_coordinator")
    answer = await served.post("/referrals", REFERRAL)
    assert answer.status_code == 503
    failed = {
        span.name: (span.attributes or {}).get("error.type")
        for span in exporter.get_finished_spans()
        if span.status.status_code is StatusCode.ERROR
    }
    assert failed["store save"] == failed["command"] == "store-unavailable"
    assert "POST /referrals" in failed
    assert "Maria" not in "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_health_is_not_traced_and_neither_is_what_nobody_asked_for(
    intake: Traced, exporter: InMemorySpanExporter
) -> None:
    for where in ("/healthz", "/metrics"):
        await intake.served.get(where)
    await intake.served.store.due(START, range(PARTITIONS), 10)
    await intake.served.store.load([f"episode/{uid('x')}"])
    assert exporter.get_finished_spans() == ()


async def test_a_deadline_begins_a_trace_that_its_events_carry(
    intake: Traced, exporter: InMemorySpanExporter
) -> None:
    subject = await refer(intake)
    exporter.clear()
    [due] = [d["due"] for d in intake.served.disk.documents() if d["_id"] == subject]
    now = from_microseconds(due)
    works = [Work(subject=subject, cause_id="", correlation_id="", facility_id="", now=now)]
    await intake.served.reactor.submit(works)
    [work] = [s for s in exporter.get_finished_spans() if s.name == "deadline"]
    assert trace_id(work) != TRACE
    assert trace_id(work) in published(intake.served)[-1]["ce_traceparent"]


# --- on and off -------------------------------------------------------------------------------------------


def test_the_provider_is_named_after_the_service_and_configured_by_the_standard_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    provider = otlp_provider("plans")
    try:
        named = provider.resource.attributes
        assert (named["service.name"], named["service.namespace"]) == ("plans", "throughcare")
        assert named["deployment.environment.name"] == "test"
        [processor] = provider._active_span_processor._span_processors
        exporter: Any = processor.span_exporter  # type: ignore[attr-defined]
        assert exporter._endpoint == "http://collector:4318/v1/traces"
    finally:
        provider.shutdown()


async def test_a_replica_that_is_told_to_is_instrumented_and_any_other_is_as_it_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing_module, "otlp_provider", lambda _name: TracerProvider())
    plain = create_app(INTAKE, VaultSettings())
    traced = create_app(INTAKE, VaultSettings.model_validate({"CARE_OTEL": "1", "otel": True}))
    assert len(traced.user_middleware) == len(plain.user_middleware) + 1

    off = Runtime(INTAKE, VaultSettings())
    on = Runtime(INTAKE, VaultSettings(), tracing=Tracing(TracerProvider()))
    try:
        assert off.reactor.submit.__func__ is Reactor.submit  # type: ignore[attr-defined]
        assert "load" not in vars(off.store)
        assert "publish" not in vars(off._publisher)
        assert "submit" in vars(on.reactor)
        assert "load" in vars(on.store)
        assert "publish" in vars(on._publisher)
    finally:
        await off.store.close()
        await on.store.close()


def test_without_the_extra_a_service_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shared.runtime.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # what an import refuses
    with pytest.raises(ConfigurationError) as caught:
        service_module.create_app(INTAKE, VaultSettings(otel=True))
    assert caught.value.code == "tracing-not-installed"
    assert "throughcare[otel]" in caught.value.hint
