"""Refusals over HTTP: problem+json with a machine code and a hint, never with values that the caller sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from fastapi import Request, Response

from shared.errors import CareError, Unauthenticated, Unavailable
from shared.runtime.http.json_answer import JsonAnswer
from shared.runtime.http.trail import Scope, trail_of
from shared.runtime.logs import log, where
from shared.runtime.places import place_in

ERRORS_MAX: Final = 20
"""How many things that do not validate one answer names."""
RETRY_AFTER_SECONDS: Final = "1"
ANSWER_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
"""Every answer has these: what it says of a person is kept nowhere on the way, and is never taken for a page."""


def route_of(scope: Scope) -> str:
    """The route's template, never the path itself: a path names a subject."""
    return f"{scope['method']} {getattr(scope.get('route'), 'path', 'unmatched')}"


def problem(status: int, code: str, detail: str, hint: str, **more: Any) -> JsonAnswer:
    """RFC 9457 problem details with a machine code."""
    body: dict[str, Any] = {
        "type": f"urn:throughcare:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        **({"hint": hint} if hint else {}),
        **more,
    }
    headers = dict(ANSWER_HEADERS)
    if status == Unavailable.status or code == "not-yet-known":
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    if status == Unauthenticated.status:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonAnswer(body, status, headers=headers, media_type="application/problem+json")


async def on_care_error(request: Request, error: Exception) -> Response:
    """A refusal, or an error that is raised on purpose."""
    known = cast("CareError", error)
    trail_of(request.scope).code = known.code
    return problem(known.status, known.code, known.detail, known.hint)


async def on_invalid(request: Request, error: Exception) -> Response:
    """What does not validate: where, why, and what a code may be, in the schema's words and without the value."""
    raw = cast("Any", error).errors()
    body = _body_of(request)
    errors = [_said(body, found) for found in raw[:ERRORS_MAX]]
    trail_of(request.scope).code = "request-invalid"
    return problem(
        422,
        "request-invalid",
        "The request does not match the schema.",
        "See `errors` and the API's documentation at /docs.",
        errors=errors,
    )


def _said(body: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """One thing that does not validate."""
    context: Mapping[str, Any] = found.get("ctx") or {}
    part, *loc = found["loc"]
    place = ".".join(map(str, loc))  # a parameter's name
    if part == "body":
        place = place_in(body, loc, extra=found["type"] == "extra_forbidden")
    at = ".".join(filter(None, (part, place))) + context.get("place", "")
    allowed: list[str] | None = context.get("allowed")
    if found["type"] in ("enum", "literal_error"):
        allowed = re.findall("'([^']*)'", context.get("expected", ""))
    said: dict[str, Any] = {"at": at, "why": found["type"]}
    if allowed:
        said["allowed"] = allowed
    if "registry" in context:
        said["registry"] = context["registry"]
    return said


def _body_of(request: Request) -> Any:
    """What the route takes as its body; an object when it takes none."""
    route: Any = request.scope.get("route")
    fields = route.dependant.body_params
    return fields[0].field_info.annotation if fields else object


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such route, wrong method, unreadable body."""
    status: int = cast("Any", error).status_code
    codes = {404: "no-such-route", 405: "method-not-allowed", 400: "request-unreadable"}
    code = trail_of(request.scope).code = codes.get(status, "http-error")
    return problem(
        status,
        code,
        "The request can't be served.",
        "Check the method, the path and the form of the body: /docs lists all routes.",
    )


async def on_bug(request: Request, error: Exception) -> Response:
    """A bug: answered 500, and logged with its place and type but without its message."""
    log.error(
        "request.failed",
        route=route_of(request.scope),
        exception=type(error).__name__,
        where=where(error),
    )
    return problem(
        500,
        "internal-error",
        "This is our mistake; it has been logged.",
        "Repeat it with the same Idempotency-Key; if it persists, tell the operators.",
    )
