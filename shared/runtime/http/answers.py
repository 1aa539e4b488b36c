"""What every response carries, and what must be written before any part of the application sends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import Unavailable
from shared.runtime import development
from shared.runtime.core.audit import Document
from shared.runtime.http.problems import ANSWER_HEADERS, problem, route_of
from shared.runtime.http.replica import Replica
from shared.runtime.http.trail import REFUSED, Trail, trail_of

_HEADERS: Final = [(name.lower().encode(), text.encode()) for name, text in ANSWER_HEADERS.items()]
_NAMES: Final = frozenset(name for name, _ in _HEADERS)
REQUEST_ID: Final = b"x-request-id"


class Answers:
    """ASGI middleware: no answer is stored on its way, and none goes out before its entry of the audit is stored.

    In development mode each of them says so.
    """

    def __init__(self, app: ASGIApp, *, in_development: bool = False) -> None:
        self._app = app
        name, text = development.HEADER
        mode = [(name.lower().encode(), text.encode())] if in_development else []
        self._headers: Final = [*_HEADERS, *mode]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trail = trail_of(scope)
        withheld = False

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", ()) if pair[0] not in _NAMES]
                told = (REQUEST_ID, trail.request_id.encode())
                message["headers"] = [*others, *self._headers, told]
            await send(message)

        async def answer(message: Message) -> None:
            nonlocal withheld
            if withheld:
                return
            if message["type"] == "http.response.start":
                refusal = await _settled(scope, trail, message["status"])
                if refusal is not None:
                    withheld = True
                    await refusal(scope, receive, tell)
                    return
            await tell(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            # A mistake of ours, which is answered outside of this.
            await _settled(scope, trail, 500)
            raise


async def _settled(scope: Scope, trail: Trail, status: int) -> ASGIApp | None:
    """Write what has to be written. When that fails: the answer that goes out instead."""
    if trail.actor is None and status not in REFUSED:
        return None
    replica: Replica = scope["app"].state.runtime
    if trail.actor is None:
        replica.audit.count_anonymous(trail.code)
        return None
    entries: Sequence[Document] = trail.entries(scope, status, route_of(scope))
    if entries:
        try:
            await replica.audit.write(entries)
        except Unavailable as error:
            return problem(error.status, error.code, error.detail, error.hint)
    return None
