"""Back-off: how long to wait before a retry."""

from __future__ import annotations

import asyncio
import random
from typing import Final

FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 15.0


class Backoff:
    """Exponential back-off with full jitter, on wall time, bounded by 15 s.

    The bound is far below Kafka's poll interval, so that a waiting consumer does not lose its partitions.
    """

    def __init__(self) -> None:
        self._ceiling = FIRST_SECONDS

    async def pause(self) -> None:
        await asyncio.sleep(random.uniform(FIRST_SECONDS / 2, self._ceiling))  # noqa: S311 - jitter
        self._ceiling = min(self._ceiling * 2, MOST_SECONDS)

    def reset(self) -> None:
        self._ceiling = FIRST_SECONDS
