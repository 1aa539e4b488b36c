"""The circuit breaker on dead letters: it prevents a bad deployment from turning a whole topic into dead letters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

WINDOW_SECONDS: Final = 60.0
"""The window in which dead letters are counted, in wall seconds."""


class CircuitBreaker:
    """Counts dead letters in a row, and within a window of wall seconds. A limit of 0 is off.

    Do not count items that only wait behind a blocked one: they are neither a success nor a new failure.
    """

    def __init__(
        self,
        in_a_row_max: int,
        in_window_max: int,
        window_seconds: float = WINDOW_SECONDS,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._in_a_row_max = in_a_row_max
        self._in_window_max = in_window_max
        self._window_seconds = window_seconds
        self._now = now
        self._in_a_row = 0
        self._at: deque[float] = deque(maxlen=max(in_window_max, 1))

    def trips(self, successes: Iterable[bool]) -> bool:
        """Count some messages in order, each a success or a failure. True when they reached a limit."""
        tripped, now = False, self._now()
        for success in successes:
            if success:
                self._in_a_row = 0
                continue
            self._in_a_row += 1
            self._at.append(now)
            in_window = (
                len(self._at) == self._in_window_max and now - self._at[0] <= self._window_seconds
            )
            if in_window or 0 < self._in_a_row_max <= self._in_a_row:
                tripped = True
        return tripped

    def reset(self) -> None:
        """Start counting from zero."""
        self._in_a_row = 0
        self._at.clear()
