"""Logs when a replica becomes ready, and when and why it is ready no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from shared.runtime.logs import log

LOOK_SECONDS: Final = 1.0


async def say_readiness(not_ready: Callable[[], list[str]], started: asyncio.Event) -> None:
    """Look once a second, for ever, and say each change.

    Until it has started, the lines of the start say what it waits for. Not to be ready yet is no trouble; to be so no
    longer is one.
    """
    await started.wait()
    before: list[str] | None = None
    was_ready = False
    while True:
        reasons = not_ready()
        if "stopping" in reasons:
            return
        if reasons != before:
            if not reasons:
                log.info("service.ready")
            elif was_ready:
                log.warning("service.not_ready", reasons=reasons)
            else:
                log.info("service.not_ready", reasons=reasons)
        before, was_ready = reasons, was_ready or not reasons
        await asyncio.sleep(LOOK_SECONDS)
