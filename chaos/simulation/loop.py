"""An event loop whose time stands still while anything can run, and jumps to the next timer when nothing can."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, cast


class _NoWaiting(selectors.SelectSelector):
    """There is nothing outside the process to wait for."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        del timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Hours of back-off, session time-outs and pauses pass in milliseconds, in the same order every time."""

    def __init__(self) -> None:
        super().__init__(_NoWaiting())
        self._virtual_seconds = 0.0

    def time(self) -> float:
        return self._virtual_seconds

    def _run_once(self) -> None:
        inner = cast("Any", self)
        if not inner._ready and inner._scheduled:
            self._virtual_seconds = max(self._virtual_seconds, inner._scheduled[0].when())
        cast("Any", super())._run_once()
