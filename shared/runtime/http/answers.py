"""What every answer has, whichever part of the application gives it."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime import development
from shared.runtime.http.problems import ANSWER_HEADERS

_HEADERS: Final = [(name.lower().encode(), text.encode()) for name, text in ANSWER_HEADERS.items()]
_NAMES: Final = frozenset(name for name, _ in _HEADERS)


class Answers:
    """ASGI middleware: no answer is stored on its way, or taken for another kind of content than it says.

    In development mode each of them says so.
    """

    def __init__(self, app: ASGIApp, *, in_development: bool = False) -> None:
        self._app = app
        name, text = development.HEADER
        mode = [(name.lower().encode(), text.encode())] if in_development else []
        self._headers: Final = [*_HEADERS, *mode]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", ()) if pair[0] not in _NAMES]
                message["headers"] = [*others, *self._headers]
            await send(message)

        await self._app(scope, receive, answer if scope["type"] == "http" else send)
