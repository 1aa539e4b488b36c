"""What all operations of all services have in common, added to the OpenAPI document.

Every call carries a token; a command carries an Idempotency-Key and may carry If-Match; every refusal is a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from shared.roles import as_in_tokens, services_for
from shared.runtime.http.call import KEY_LENGTH_MAX

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
_RESPONSES: Final[dict[str, Any]] = {
    "Refused": {"description": "Refused; nothing has changed.", "content": _CONTENT},
    "Waiting": {
        "description": "The service can't answer now; nothing is lost. Repeat with the same key.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}}},
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
    roles = _roles(service, routers)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain(), roles)
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


def _described(
    document: dict[str, Any], roles: Mapping[tuple[str, str], list[str]]
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
    return document


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
