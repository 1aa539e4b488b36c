"""Serves the metrics on a separate port. This port serves nothing else, and no other port serves metrics."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.runtime.http.problems import problem

PATH: Final = "/metrics"
BESIDE: Final = frozenset({PATH, "/healthz", "/readyz"})
"""What a monitor may ask at the metrics' own port."""


class MetricsAddress:
    """An ASGI middleware; `port` is the metrics' own."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            server = scope.get("server")
            own = server is not None and server[1] == self._port
            allowed = scope["path"] in BESIDE if own else scope["path"] != PATH
            if not allowed:
                answer = problem(
                    404,
                    "not-here",
                    "This is not served at this port.",
                    "Metrics have a port of their own, if one is set; everything else has the other.",
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
