"""Writes log lines to an output that never raises and never makes a caller wait.

A thread writes the lines. While standard output can't be written (its reader has gone, the disk is full, a pipe is not
being read), lines wait in a bounded queue. When the queue is full, further lines are dropped. Waiting and dropped lines
are counted, and the service continues.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from time import monotonic, sleep
from typing import Final, Protocol

LINES_MAX: Final = 10_000
RETRY_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 2.0


class Stream(Protocol):
    """A text stream, such as standard output."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def fileno(self) -> int: ...


class Output:
    """Takes lines at once and writes them in the background; with a stream in memory, in place."""

    def __init__(self, stream: Stream | None, lines_max: int = LINES_MAX) -> None:
        self._stream = stream
        self._file = _file_of(stream)
        self._lines_max = lines_max
        self._lines: deque[bytes] = deque()
        self._begun = b""
        """What is left of a line that was written in part."""
        self._wake = threading.Event()
        self._written = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failing = False
        self.failures = 0
        """How many attempts to write have failed."""
        self.lost = 0
        """How many lines were dropped."""

    @property
    def failing(self) -> bool:
        """The last attempt to write has failed, or nobody reads what is written."""
        return self._failing or len(self._lines) >= self._lines_max

    def write(self, text: str) -> int:
        """Take one line. Never raises, never waits."""
        if self._file is None:
            self._write_in_place(text)
        elif len(self._lines) >= self._lines_max:
            self.lost += 1
        else:
            self._lines.append(text.encode("utf-8", "replace"))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
                self._thread.start()
            self._wake.set()
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread writes each line as soon as it can."""

    def drain(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all lines are written; False when they can't be. For the end of the process."""
        until = monotonic() + timeout_seconds
        with self._written:
            while self._lines or self._begun:
                left = until - monotonic()
                if left <= 0 or self._failing:
                    return False
                self._written.wait(left)
        return not self._failing

    def close(self) -> None:
        """Write no more: the stream is about to be closed, and its descriptor may come to name another file."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _write_in_place(self, text: str) -> None:
        self._failing = True
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
                self._failing = False
        self.failures += self._failing
        self.lost += self._failing

    def _run(self) -> None:
        while not self._closed:
            if self._failing:  # in a while, for all lines; not at once for each new one
                sleep(RETRY_SECONDS)
            else:
                self._wake.wait()
            self._wake.clear()
            try:
                self._write_all()
            except OSError:
                self._failing = True
                self.failures += 1
            else:
                self._failing = False
            with self._written:
                self._written.notify_all()

    def _write_all(self) -> None:
        assert self._file is not None
        while not self._closed and (self._begun or self._lines):
            if not self._begun:
                self._begun = self._lines[0]  # first: `drain` must not see neither
                self._lines.popleft()
            self._begun = self._begun[os.write(self._file, self._begun) :]


def _file_of(stream: Stream | None) -> int | None:
    """The descriptor of a stream; None for one in memory, or none at all."""
    with suppress(OSError, ValueError, AttributeError):
        if stream is not None:
            return stream.fileno()
    return None
