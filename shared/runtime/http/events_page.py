"""The page at `/events`: what a service publishes, generated from the event classes, with the schemas that it links to.

Like `/docs`, the page is one HTML document without scripts that loads nothing. `/asyncapi.json` is the same for tools.
`/schemas/{dataschema}` is the JSON Schema of any event type, so that whoever holds a message can look up its meaning.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

from shared.contracts import CATALOGUE, Event
from shared.contracts.attributes import SCHEMA
from shared.contracts.publish.asyncapi import published_by
from shared.contracts.publish.releases import current_version
from shared.contracts.publish.schemas import events, expanded, meaning, schema_of, summary
from shared.errors import Unknown
from shared.runtime.http.docs_page import HEADERS, fields, html_page
from shared.runtime.http.json_answer import JsonAnswer

SCHEMA_MEDIA_TYPE = "application/schema+json"
NOTHING = "<p>The service publishes no events of its own.</p>"


def serve_events(app: FastAPI, service: str) -> None:
    """Serve the page, the AsyncAPI document and the schemas. Nothing of them is about a person, so nobody is asked."""
    source = f"care.{service}"

    async def page() -> Response:
        return HTMLResponse(_page(source), headers=HEADERS)

    async def document() -> Response:
        return JsonAnswer(_document(source))

    async def schema(dataschema: str) -> Response:
        event = CATALOGUE.get(dataschema.removeprefix(SCHEMA))
        if event is None:
            raise Unknown("event-type")
        return JsonAnswer(_schema(event.TYPE), media_type=SCHEMA_MEDIA_TYPE)

    app.add_api_route("/events", page, include_in_schema=False)
    app.add_api_route("/asyncapi.json", document, include_in_schema=False)
    app.add_api_route("/schemas/{dataschema}", schema, include_in_schema=False)


@cache
def _document(source: str) -> dict[str, Any]:
    return published_by(source, current_version())


@cache
def _schema(event_type: str) -> dict[str, Any]:
    return schema_of(CATALOGUE[event_type])


@cache
def _page(source: str) -> str:
    return html_page(
        f"Events of {source}",
        f"<p>Version {escape(current_version())} of the contract. Messages are CloudEvents 1.0.</p>",
        '<p>For tools: <a href="asyncapi.json">asyncapi.json</a>.'
        ' What the service can be asked: <a href="docs">docs</a>.</p>',
        *([_event(one) for one in events(source)] or [NOTHING]),
    )


def _event(event: type[Event]) -> str:
    readers = ", ".join(event.CONSUMERS) or "no other service"
    until = f" Published until {event.UNTIL}." if event.UNTIL is not None else ""
    return (
        f'<details id="{escape(event.TYPE)}"><summary><code>{escape(event.TYPE)}</code>'
        f" {escape(summary(event))}</summary><p>{escape(meaning(event))}</p>"
        f"<p>Subject: {escape(event.SUBJECT)}; {escape(event.SENSITIVITY)}; read by {escape(readers)}.{until}"
        f' <a href="schemas/{escape(event.schema_id())}">Schema</a></p>{fields(expanded(event))}</details>'
    )
