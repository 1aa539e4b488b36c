"""Adds to the OpenAPI document what all operations of all services have in common.

Every call carries a token; a command carries an Idempotency-Key and may carry If-Match; every refusal is a problem.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.utils import get_typed_return_annotation
from fastapi.routing import APIRoute

from shared.roles import as_in_tokens, services_for
from shared.runtime.http.call import KEY_LENGTH_MAX
from shared.runtime.http.json_answer import RecordAnswer

_METHODS: Final = ("get", "put", "post", "patch", "delete")
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details. It never repeats what the caller sent.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:throughcare:problem:[a-z0-9-]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {
            "type": "string",
            "pattern": "^[a-z0-9-]+$",
            "description": "Stable and for machines.",
        },
        "detail": {"type": "string"},
        "hint": {"type": "string", "description": "What the caller can do about it."},
        "errors": {
            "type": "array",
            "description": "Of a request that does not match its schema: where, and why.",
            "items": {
                "type": "object",
                "required": ["at", "why"],
                "properties": {
                    "at": {"type": "string", "description": "`*` stands for a key of the caller."},
                    "why": {"type": "string"},
                    "allowed": {
                        "type": "array",
                        "description": "The codes of the list, where there is one.",
                        "items": {"type": "string"},
                    },
                },
            },
        },
    },
}
_CONTENT: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_WAIT: Final = {
    "Retry-After": {
        "description": "After how many seconds the same call may be answered.",
        "schema": {"type": "integer"},
    }
}
_ETAG: Final = {
    "ETag": {
        "description": "The record's revision. As If-Match, a command is refused once the record has changed.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    }
}
_RESPONSES: Final[dict[str, Any]] = {
    "Refused": {
        "description": "Refused; nothing has changed.",
        "headers": _WAIT,
        "content": _CONTENT,
    },
    "Waiting": {
        "description": "The service can't answer now; nothing is lost. Repeat with the same key.",
        "headers": _WAIT,
        "content": _CONTENT,
    },
}
_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A new one for each command, and the same one when it is repeated.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": KEY_LENGTH_MAX,
        "pattern": "^[ -~]+$",
    },
}
_IF_MATCH: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that the decision was taken on; a record that has changed since answers 412.",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,18}")$'},
}


def describe(app: FastAPI, service: str, routers: Iterable[APIRouter]) -> None:
    """Add to the application's document what all operations share, and the roles that may call each."""
    plain = app.openapi
    roles, of_records = _roles(service, routers), _of_records(routers)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain(), roles, of_records)
        return app.openapi_schema

    app.openapi = openapi


def _roles(service: str, routers: Iterable[APIRouter]) -> dict[tuple[str, str], list[str]]:
    """By method and path, the roles that are let in, as tokens carry them."""
    found: dict[tuple[str, str], list[str]] = {}
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for dependency in route.dependant.dependencies:
                    roles = getattr(dependency.call, "roles", None)
                    if roles is not None:
                        for method in route.methods or ():
                            services = services_for(service, method, route.path)
                            found[method.lower(), route.path] = sorted(
                                (*map(as_in_tokens, roles), *services)
                            )
    return found


def _of_records(routers: Iterable[APIRouter]) -> set[tuple[str, str]]:
    """By method and path, the routes that answer about one record, by what they say they return."""
    return {
        (method.lower(), route.path)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        and get_typed_return_annotation(route.endpoint) is RecordAnswer
        for method in route.methods or ()
    }


def _described(
    document: dict[str, Any],
    roles: Mapping[tuple[str, str], list[str]],
    of_records: Collection[tuple[str, str]],
) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)  # the framework's own, which no operation answers
    for schema in schemas.values():
        if "unknown" in schema.get("enum", ()):  # open for readers of events; a caller writes
            schema["enum"] = [member for member in schema["enum"] if member != "unknown"]
    components["responses"] = _RESPONSES
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _describe(path, method, operations[method], roles.get((method, path)))
                if (method, path) in of_records:
                    for answer in _done(operations[method]["responses"]):
                        answer["headers"] = _ETAG
    return document


def _done(responses: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (answer for status, answer in responses.items() if status.startswith("2"))


def _describe(path: str, method: str, operation: dict[str, Any], roles: list[str] | None) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["4XX"] = {"$ref": "#/components/responses/Refused"}
    responses["503"] = {"$ref": "#/components/responses/Waiting"}
    if roles is not None:
        operation["security"] = [{"token": []}]
        operation["x-roles"] = roles
    if method != "get" and not path.startswith("/ops/"):
        operation.setdefault("parameters", []).extend([_KEY, _IF_MATCH])
