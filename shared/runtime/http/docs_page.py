"""The page at `/docs`: every operation of a service, generated from its OpenAPI document.

The page is one HTML document without scripts, and it loads nothing. So no other server learns who reads it, and it
works without access to the internet. `/openapi.json` is for tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

_REFERENCE: Final = "#/components/schemas/"
_METHODS: Final = ("get", "put", "post", "patch", "delete")
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The browser refuses whatever the page might ask of anybody."""
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
details { border-top: 1px solid #8886; padding: .4rem 0; }
summary { cursor: pointer; }
summary code { font-weight: 600; }
table { border-collapse: collapse; margin: .5rem 0; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .2rem .6rem .2rem 0; text-align: left; vertical-align: top; }
pre { overflow-x: auto; }
"""
HEADERS: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
Document = Mapping[str, Any]


def serve_docs(app: FastAPI) -> None:
    """Serve the page. The document is made once."""

    async def docs() -> Response:
        return HTMLResponse(
            page(app.openapi()),
            headers=HEADERS,
        )

    app.add_api_route("/docs", docs, include_in_schema=False)


def page(document: Document) -> str:
    """The whole page of an OpenAPI document."""
    info = document["info"]
    schemas: Document = document["components"]["schemas"]
    return html_page(
        info["title"],
        f"<p>{escape(info.get('summary', ''))}</p>",
        '<p>For tools: <a href="openapi.json">openapi.json</a>.'
        ' What the service publishes: <a href="events">events</a>.</p>',
        *_operations(document),
        "<h2>Objects</h2>",
        *(_object(name, schemas[name]) for name in sorted(schemas)),
    )


def html_page(title: str, *body: str) -> str:
    """A page with this title and these parts, which are HTML."""
    name = escape(title)
    return "\n".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body><h1>{name}</h1>",
            *body,
            "</body></html>",
        )
    )


def _operations(document: Document) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation: Document = operations[method]
                [tag, *_] = operation.get("tags") or ["other"]
                by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    for tag, found in by_tag.items():
        yield f"<h2>{escape(tag.capitalize())}</h2>"
        yield from found


def _operation(method: str, path: str, operation: Document) -> str:
    name = f"{method.upper()} {path}"
    said = operation.get("description") or operation.get("summary", "")
    first, _, rest = said.partition("\n\n")
    roles: Sequence[str] | None = operation.get("x-roles")
    parts = [f"<p>{escape(rest)}</p>" if rest else ""]
    if roles is not None:
        parts.append(f"<p>Roles: {escape(', '.join(roles) or 'any')}.</p>")
    rows = [
        (
            f"<code>{escape(one['name'])}</code> ({escape(one['in'])})",
            one.get("required", False),
            one.get("schema", {}),
            one.get("description", ""),
        )
        for one in operation.get("parameters", ())
    ]
    parts.append(_table(rows) if rows else "")
    content: Document = operation.get("requestBody", {}).get("content", {})
    parts += [f"<p>Body: {_type(media['schema'])}</p>" for media in content.values()]
    parts.append(f"<p>Answers: {escape(', '.join(operation['responses']))}.</p>")
    return (
        f"<details><summary><code>{escape(name)}</code> {escape(first)}</summary>"
        f"{''.join(parts)}</details>"
    )


def _object(name: str, schema: Document) -> str:
    said = escape(schema.get("description", ""))
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><p>{said}</p>'
        f"{fields(schema) or f'<p>{_type(schema)}</p>'}</details>"
    )


def fields(schema: Document) -> str:
    """A table of the fields of an object; nothing when it has none."""
    required = schema.get("required", ())
    rows = [
        (f"<code>{escape(name)}</code>", name in required, of, of.get("description", ""))
        for name, of in schema.get("properties", {}).items()
    ]
    return _table(rows) if rows else ""


def _table(rows: Sequence[tuple[str, bool, Document, str]]) -> str:
    said = "".join(
        f"<tr><td>{name}</td><td>{'required' if required else ''}</td>"
        f"<td>{_type(schema)}</td><td>{escape(text)}</td></tr>"
        for name, required, schema, text in rows
    )
    return f"<table><tr><th>name</th><th></th><th>type</th><th></th></tr>{said}</table>"


def _type(schema: Document) -> str:
    """What a value may be, in HTML."""
    reference = str(schema.get("$ref", "")).removeprefix(_REFERENCE)
    if reference:
        return f'<a href="#{escape(reference)}">{escape(reference)}</a>'
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " or ".join(_type(one) for one in schema[choice])
    if codes := schema.get("x-open-enum", schema.get("enum")):
        listed = ", ".join(f"<code>{escape(json.dumps(one))}</code>" for one in codes)
        return f"{listed}, or a code of the future" if "x-open-enum" in schema else listed
    if schema.get("type") == "object" and "properties" in schema:
        return fields(schema)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = ", ".join(
        f"{escape(name)} {escape(str(schema[name]))}"
        for name in ("format", "pattern", "minimum", "maximum", "minLength", "maxLength")
        if name in schema
    )
    kind = escape(str(schema.get("const", schema.get("type", "any value"))))
    return f"{kind} ({bounds})" if bounds else kind
