"""Cancels tasks reliably, and only the tasks that the caller means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

CANCEL_AGAIN_SECONDS: Final = 0.5


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and return when all of them have ended, however they did.

    Once is not enough: a client of aiokafka that is being closed cancels a task of its own and suppresses the
    `CancelledError` that comes of it. When our cancellation arrives at that moment, it is suppressed as well, and a
    task that runs for ever would go on.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()  # seen, so that asyncio does not report it later


def is_asked_to_end() -> bool:
    """Whether somebody has cancelled the present task.

    If not, a `CancelledError` that arrives in it is a stray one: it came out of a client that awaits a cancelled task
    of its own, and would end ours without a word.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
