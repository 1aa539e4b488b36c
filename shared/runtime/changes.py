"""Waiting for a condition without polling: a change notifies, and every waiter checks its condition again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Wakes the waiters of a condition each time something that it may depend on has changed.

    Unlike `asyncio.Condition` it needs no lock, so that `notify` can be called from code that does not wait.
    """

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Let every waiter check its condition again."""
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition()` holds; at once when it holds already. The caller bounds the time."""
        while not condition():
            await self._next.wait()
