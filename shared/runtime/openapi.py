"""What every operation of every service has in common, said in its OpenAPI document.

Whoever calls carries a token; a command carries an Idempotency-Key and may carry If-Match; every refusal is a problem.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from shared.runtime.http import KEY_LENGTH_MAX

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by machines of the house, without a token."""
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
        "way_out": {"type": "string", "description": "What the caller can do about it."},
        "errors": {
            "type": "array",
            "description": "Of a request that does not match its schema: where, and why.",
            "items": {
                "type": "object",
                "required": ["at", "why"],
                "properties": {"at": {"type": "string"}, "why": {"type": "string"}},
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


def describe(app: FastAPI) -> None:
    """Have the application's document say what all operations share."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain())
        return app.openapi_schema

    app.openapi = openapi


def _described(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)  # the framework's own, which nobody is answered with
    components["responses"] = _RESPONSES
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _describe(path, method, operations[method])
    return document


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["4XX"] = {"$ref": "#/components/responses/Refused"}
    responses["503"] = {"$ref": "#/components/responses/Waiting"}
    if path not in _OPEN:
        operation["security"] = [{"token": []}]
    if method != "get" and not path.startswith("/ops/"):
        operation.setdefault("parameters", []).extend([_KEY, _IF_MATCH])
