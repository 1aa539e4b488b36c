"""Adds to the OpenAPI document what all operations of all services have in common.

Every call carries a token; a command carries an Idempotency-Key and may carry If-Match; every refusal is a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from shared.roles import as_in_tokens, services_for
from shared.runtime.http.answer_schemas import (
    Place,
    add_answers,
    add_words,
    answers_about_record,
    drop_unreached,
)
from shared.runtime.http.call import KEY_LENGTH_MAX

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details. It never repeats what the caller sent.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "pattern": "^urn:throughcare:problem:[a-z0-9-]+$",
            "description": "The code as a URN.",
        },
        "title": {"type": "string", "description": "The code as words."},
        "status": {
            "type": "integer",
            "minimum": 400,
            "maximum": 599,
            "description": "The status of the answer.",
        },
        "code": {
            "type": "string",
            "pattern": "^[a-z0-9-]+$",
            "description": "Stable and for machines.",
        },
        "detail": {"type": "string", "description": "What is wrong, in one sentence."},
        "hint": {"type": "string", "description": "What the caller can do about it."},
        "errors": {
            "type": "array",
            "description": "Of a request that does not match its schema: where, and why.",
            "items": {
                "type": "object",
                "required": ["at", "why"],
                "properties": {
                    "at": {"type": "string", "description": "`*` stands for a key of the caller."},
                    "why": {
                        "type": "string",
                        "description": "What does not match, as a code.",
                    },
                    "registry": {
                        "type": "string",
                        "description": "Where the code would have to be registered.",
                    },
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
READINESS: Final = "/readyz"
_IF_MATCH: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that the decision was taken on; a record that has changed since answers 412.",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,18}")$'},
}


def describe(app: FastAPI, service: str, routers: Iterable[APIRouter]) -> None:
    """Add to the application's document what all operations share, who may call each, and what it answers."""
    plain = app.openapi
    routes = dict(_routes(routers))
    roles = dict(_roles(service, routes))

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain(), roles, routes)
        return app.openapi_schema

    app.openapi = openapi


def _routes(routers: Iterable[APIRouter]) -> Iterator[tuple[Place, APIRoute]]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    yield (method.lower(), route.path), route


def _roles(service: str, routes: Mapping[Place, APIRoute]) -> Iterator[tuple[Place, list[str]]]:
    """By method and path, the roles that are let in, as tokens carry them."""
    for (method, path), route in routes.items():
        for dependency in route.dependant.dependencies:
            roles = getattr(dependency.call, "roles", None)
            if roles is not None:
                services = services_for(service, method.upper(), path)
                yield (method, path), sorted((*map(as_in_tokens, roles), *services))


def _described(
    document: dict[str, Any],
    roles: Mapping[Place, list[str]],
    routes: Mapping[Place, APIRoute],
) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)  # the framework's own, which no operation answers
    for schema in schemas.values():
        if "unknown" in schema.get("enum", ()):  # open for readers of events; a caller writes
            schema["enum"] = [member for member in schema["enum"] if member != "unknown"]
    components["responses"] = _RESPONSES
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    add_answers(document, routes)
    schemas["Problem"] = PROBLEM
    for (method, path), route in routes.items():
        operation = document["paths"][path][method]
        _describe(path, method, operation, roles.get((method, path)))
        if answers_about_record(route):
            for answer in _done(operation["responses"]):
                answer["headers"] = _ETAG
    drop_unreached(document)
    add_words(document)
    return document


def _not_ready(ready: dict[str, Any]) -> dict[str, Any]:
    """What is answered as long as a replica is not ready: the same as when it is, with the reasons."""
    content = {**ready["content"], **_CONTENT}
    return {"description": "Not ready, with the reasons.", "headers": _WAIT, "content": content}


def _done(responses: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (answer for status, answer in responses.items() if status.startswith("2"))


def _describe(path: str, method: str, operation: dict[str, Any], roles: list[str] | None) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["4XX"] = {"$ref": "#/components/responses/Refused"}
    responses["503"] = {"$ref": "#/components/responses/Waiting"}
    if path == READINESS:
        responses["503"] = _not_ready(responses["200"])
    if roles is not None:
        operation["security"] = [{"token": []}]
        operation["x-roles"] = roles
    if method != "get" and not path.startswith("/ops/"):
        operation.setdefault("parameters", []).extend([_KEY, _IF_MATCH])
