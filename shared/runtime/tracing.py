"""Traces by OpenTelemetry: one trace over HTTP, the reactor, the store, the relay and the next service's consumer.

Only a replica with `CARE_OTEL` imports this module and is instrumented. In all other replicas, the reactor, the store
and the publisher are unchanged. Between services the trace travels in the event's `traceparent` (W3C Trace Context): an
event carries the span that decided it.

Spans hold codes only: types, kinds, route templates, outcomes. Their attributes never contain subjects, ids, payloads
or the words of exceptions, so that a trace collector holds nothing about a person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import CoroutineType
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import CareError
from shared.runtime.core.outbox import header_of
from shared.runtime.core.reactor import Reactor, kind_of
from shared.runtime.core.relay import Entries, Publisher
from shared.runtime.core.store import Store
from shared.runtime.core.work import Outcome, Work

UNTRACED_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What a platform asks every few seconds."""
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
SERVER_ERROR: Final = 500
TRACEPARENT: Final = "traceparent"
_propagator: Final = TraceContextTextMapPropagator()
_in_hand: Final[ContextVar[tuple[Span, ...]]] = ContextVar("in_hand", default=())
"""The spans for which this task works now: a request's, or those of all the work in a batch."""

P = ParamSpec("P")
T = TypeVar("T")


class Submit(Protocol):
    """`Reactor.submit`."""

    def __call__(self, works: Sequence[Work]) -> CoroutineType[Any, Any, list[Outcome]]: ...


class Publish(Protocol):
    """`Publisher.publish`."""

    def __call__(self, waiting: Mapping[str, Entries]) -> CoroutineType[Any, Any, None]: ...


def otlp_provider(service: str) -> TracerProvider:
    """A provider that sends spans by OTLP over HTTP, configured by the standard `OTEL_…` variables.

    The name is the service's own, also where several services share one environment.
    """
    named = {"service.namespace": "throughcare", "service.name": service}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """What one replica does, as spans."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("throughcare")

    def instrument(self, reactor: Reactor, store: Store, publisher: Publisher, topic: str) -> None:
        """Trace what these do from now on, by putting a traced method in the place of the plain one."""
        reactor.submit = self._traced_submit(reactor.submit)
        store.load = self._traced_store("load", store.load)
        store.save = self._traced_store("save", store.save)
        store.by_index = self._traced_store("by_index", store.by_index)
        store.add_dead_letters = self._traced_store("add_dead_letters", store.add_dead_letters)
        publisher.publish = self._traced_publish(publisher.publish, topic)

    def close(self) -> None:
        """Send what waits, and stop. Blocks until it is sent or the exporter gives up."""
        self._provider.shutdown()

    # --- the reactor ----------------------------------------------------------------------------

    def _traced_submit(self, submit: Submit) -> Submit:
        async def traced(works: Sequence[Work]) -> list[Outcome]:
            spans = [self._work_span(work, len(works)) for work in works]
            with self._working_for(spans):
                outcomes = await submit(works)
                for span, outcome in zip(spans, outcomes, strict=True):
                    _describe(span, outcome)
                return outcomes

        return traced

    def _work_span(self, work: Work, batch_size: int) -> Span:
        """A span for this work, in the trace of what led to it; what the work leads to continues from here."""
        kind = kind_of(work)
        span = self._tracer.start_span(
            f"{kind} {work.name}".rstrip(),
            _context(work.traceparent),
            SpanKind.CONSUMER if kind == "event" else SpanKind.INTERNAL,
            {
                "care.work.kind": kind,
                "care.work.name": work.name,
                "care.record.kind": work.subject.partition("/")[0],
                "care.batch.size": batch_size,
            },
        )
        work.traceparent = _traceparent(span)
        return span

    @contextmanager
    def _working_for(self, spans: Sequence[Span]) -> Generator[None]:
        token = _in_hand.set(tuple(spans))
        try:
            yield
        except BaseException as error:
            for span in spans:
                _fail(span, _code(error))
            raise
        finally:
            _in_hand.reset(token)
            for span in spans:
                span.end()

    # --- the store ------------------------------------------------------------------------------

    def _traced_store(self, name: str, call: Callable[P, Awaitable[T]]) -> Callable[P, Any]:
        """A span below each span in hand; none for calls that ask for nothing or that no traced work has made."""

        async def traced(*args: P.args, **kwargs: P.kwargs) -> T:
            parents = _in_hand.get()
            if not parents or not args[0]:
                return await call(*args, **kwargs)
            attributes = {"db.system.name": "mongodb", "db.operation.name": name}
            with self._children(f"store {name}", SpanKind.CLIENT, attributes, parents):
                return await call(*args, **kwargs)

        return traced

    @contextmanager
    def _children(
        self, name: str, kind: SpanKind, attributes: dict[str, str], parents: Sequence[Span]
    ) -> Generator[None]:
        contexts = [set_span_in_context(parent, Context()) for parent in parents]
        spans = [self._tracer.start_span(name, context, kind, attributes) for context in contexts]
        try:
            yield
        except BaseException as error:
            for span in spans:
                _fail(span, _code(error))
            raise
        finally:
            for span in spans:
                span.end()

    # --- the relay ------------------------------------------------------------------------------

    def _traced_publish(self, publish: Publish, topic: str) -> Publish:
        """A span for each event that carries a trace, until the broker has acknowledged all of them."""

        async def traced(waiting: Mapping[str, Entries]) -> None:
            spans = [
                self._publish_span(entry, entry.get("topic", topic))
                for entries in waiting.values()
                for entry in entries
                if header_of(entry, "ce_traceparent")
            ]
            with self._working_for(spans):
                await publish(waiting)

        return traced

    def _publish_span(self, entry: Mapping[str, Any], topic: str) -> Span:
        event_type = header_of(entry, "ce_type")
        return self._tracer.start_span(
            f"publish {event_type}",
            _context(header_of(entry, "ce_traceparent")),
            SpanKind.PRODUCER,
            {
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.destination.name": topic,
                "care.event.type": event_type,
            },
        )

    # --- HTTP -----------------------------------------------------------------------------------

    def middleware(self, app: ASGIApp) -> HttpTracing:
        """For `add_middleware`."""
        return HttpTracing(app, self)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request within a span that continues the caller's trace. Commands continue from there."""
        method: str = scope["method"] if scope["method"] in METHODS else "_OTHER"
        raw: list[tuple[bytes, bytes]] = scope["headers"]
        given = [value for name, value in raw if name == TRACEPARENT.encode()]
        span = self._tracer.start_span(
            method,
            _context(given[0].decode("latin-1") if given else None),
            SpanKind.SERVER,
            {"http.request.method": method},
        )
        others = [(name, value) for name, value in raw if name != TRACEPARENT.encode()]
        headers = [*others, (TRACEPARENT.encode(), _traceparent(span).encode())]
        inner: Scope = {**scope, "headers": headers}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                status: int = message["status"]
                span.set_attribute("http.response.status_code", status)
                if status >= SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)
            await send(message)

        with self._working_for([span]):
            try:
                await app(inner, receive, sending)
            finally:
                route = getattr(inner.get("route"), "path", None)
                if route is not None:  # the template: a path would name a subject
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)


class HttpTracing:
    """ASGI middleware: each request but those for health and metrics is traced."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED_PATHS:
            await self._app(scope, receive, send)
        else:
            await self._tracing.serve(self._app, scope, receive, send)


def _context(traceparent: str | None) -> Context:
    """The context of a caller or an earlier event; of none, or one that can't be read, a new trace begins."""
    carrier = {} if traceparent is None else {TRACEPARENT: traceparent}
    return _propagator.extract(carrier, Context())


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(span, Context()))
    return carrier[TRACEPARENT]


def _describe(span: Span, outcome: Outcome) -> None:
    span.set_attribute("care.outcome", outcome.status.value)
    reason = outcome.reason or (None if outcome.error is None else outcome.error.code)
    if reason is not None:
        span.set_attribute("care.reason", reason)
    if outcome.status.is_failure:
        span.set_status(StatusCode.ERROR)


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR)


def _code(error: BaseException) -> str:
    """A code or the exception's type; never its words, which may repeat what somebody sent."""
    return error.code if isinstance(error, CareError) else type(error).__name__
