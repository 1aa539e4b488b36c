"""The limits of one request before the service knows its sender: head, body, depth, time and connections.

The service checks the token before it reads the body. Every refusal is problem+json: 401, 408, 413, 429, 431.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import CareError, Unauthenticated, Unavailable
from shared.runtime.http.auth import Authenticator, KeyUnknown
from shared.runtime.http.claims import Actor, RoleUnknown
from shared.runtime.http.problems import problem
from shared.runtime.http.trail import trail_of

HEAD_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100
BODY_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 32
"""How deep a JSON body may be nested."""
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 20.0
MESSAGE_SECONDS: Final = 60.0
"""How long a body may go on arriving after its request was refused."""
ANSWER_SECONDS: Final = 60.0
"""How long a caller may take to read what was written to it: an answer that nobody reads would be kept for ever."""
BURST_SECONDS: Final = 10.0
"""An actor may use up the requests of so many seconds at once."""
ACTORS_MAX: Final = 10_000

ONCE: Final = frozenset({b"authorization", b"content-type", b"host", b"idempotency-key"})
"""Headers of which a request has one at most: who reads the first and who reads the last would see two requests."""

_MARKS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class Ambiguous(CareError):
    """A request that says two things at once."""

    status = 400


class TooMuch(CareError):
    """A request that is larger than a request may be."""

    status = 413


class TooSlow(CareError):
    """A request that does not arrive in time."""

    status = 408


class TooOften(CareError):
    """An actor who sends more requests than one may."""

    status = 429


class Rates:
    """A token bucket per actor. `per_second` 0: no limit."""

    def __init__(self, per_second: float, now: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._burst = per_second * BURST_SECONDS
        self._now = now
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def spend(self, actor: Actor) -> float:
        """Take one request; returns after how many seconds to try again when there is none left, and 0 otherwise."""
        if not self._per_second:
            return 0.0
        name, now = (actor.facility_id, actor.id), self._now()
        left, since = self._buckets.pop(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._buckets[name] = (left - allowed, now)
        if len(self._buckets) > ACTORS_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second


class Limits:
    """ASGI middleware: who sends it, how often, and then the whole body, within its limits."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            _check_once(scope["headers"])
            has_body = headers.get(b"content-length", b"0") != b"0" or (
                b"transfer-encoding" in headers
            )
            wait_seconds = await self._admit(scope, headers, has_body=has_body)
            if wait_seconds:
                await _too_often(wait_seconds)(scope, receive, send)
                return
            inner = await _bounded(headers, receive) if has_body else receive
        except CareError as error:
            trail_of(scope).code = error.code
            answer = problem(error.status, error.code, error.detail, error.hint)
            await answer(scope, receive, send)
            return
        await self._app(scope, inner, send)

    async def _admit(
        self, scope: Scope, headers: Mapping[bytes, bytes], *, has_body: bool
    ) -> float:
        """How long the caller has to wait. Raises for a body from nobody who is known."""
        authenticator: Authenticator = scope["app"].state.authenticator
        given = headers.get(b"authorization")
        if given is None and not has_body:
            return 0.0
        try:
            actor = await _caller(authenticator, given)
        except RoleUnknown as error:
            trail_of(scope).actor = error.actor
            wait_seconds = self._rates.spend(error.actor)
            if has_body and not wait_seconds:
                raise
            return wait_seconds
        except (Unauthenticated, Unavailable):
            if has_body:
                raise
            return 0.0  # the route refuses it, if it asks for somebody
        trail_of(scope).actor = actor
        return self._rates.spend(actor)


def _check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers if name in ONCE]
    if len(set(names)) < len(names):
        raise Ambiguous(
            "header-repeated",
            "A header that a request has once was sent twice.",
            hint="Send each of Authorization, Content-Type, Host and Idempotency-Key once.",
        )


async def _caller(authenticator: Authenticator, given: bytes | None) -> Actor:
    """Who sends it; a key that is not known may be the issuer's newest."""
    authorization = None if given is None else given.decode("latin-1")
    try:
        return authenticator.actor(authorization)
    except KeyUnknown:
        await authenticator.source.look_again()
    return authenticator.actor(authorization)


def _too_often(wait_seconds: float) -> ASGIApp:
    error = TooOften(
        "too-many-requests",
        "This caller sends too many requests.",
        hint="Retry after the time given.",
    )
    answer = problem(error.status, error.code, error.detail, error.hint)
    answer.headers["Retry-After"] = str(int(wait_seconds) + 1)
    return answer


async def _bounded(headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
    """The whole body, read and measured, for the application to receive in one piece."""
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    message: Message = {"type": "http.request", "more_body": True}
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while message["type"] == "http.request" and message.get("more_body"):
                message = await receive()
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise _too_large()
    except TimeoutError:
        raise TooSlow("request-timeout", "The request did not arrive in time.") from None
    if too_deep(body):
        raise TooMuch("body-too-deep", f"JSON may be nested at most {DEPTH_MAX} levels deep.")
    pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
    if message["type"] != "http.request":  # the caller has gone
        pending = [message]

    async def replay() -> Any:
        return pending.pop() if pending else await receive()

    return replay


def _too_large() -> TooMuch:
    return TooMuch("body-too-large", f"A body may have at most {BODY_BYTES_MAX} bytes.")


def too_deep(body: bytes | bytearray) -> bool:
    """Whether brackets outside of strings are nested deeper than they may be."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for mark in _MARKS.finditer(body):
        match mark[0]:
            case b"[" | b"{":
                depth += 1
                if depth > DEPTH_MAX:
                    return True
            case b"]" | b"}":
                depth -= 1
            case _:
                continue
    return False
