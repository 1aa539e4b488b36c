"""The dead-letter limit: a bad deploy must not push a whole topic into the dead letters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

WINDOW_SECONDS: Final = 60.0
"""The window in which dead letters are counted, in wall seconds."""


class CircuitBreaker:
    """Counts dead letters in a row and within a window of wall seconds. A limit of 0 is off.

    Rows that only wait behind a parked one count neither way: they are no new failure.
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

    def reached(self, went_well: Iterable[bool]) -> bool:
        """Take note of what became of some records, in order. True when a limit was reached on the way."""
        reached, now = False, self._now()
        for well in went_well:
            if well:
                self._in_a_row = 0
                continue
            self._in_a_row += 1
            self._at.append(now)
            in_window = (
                len(self._at) == self._in_window_max and now - self._at[0] <= self._window_seconds
            )
            if in_window or 0 < self._in_a_row_max <= self._in_a_row:
                reached = True
        return reached

    def forget(self) -> None:
        """Begin to count anew."""
        self._in_a_row = 0
        self._at.clear()
