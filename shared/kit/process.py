"""The process that a subscriber runs in: what it consists of, and the signals that end it."""

from __future__ import annotations

import asyncio
import platform
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

from .heartbeat import Versions


def versions() -> Versions:
    """The versions that run here."""
    found: dict[str, str] = {}
    for name in ("throughcare-events", "aiokafka"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return Versions(
        found.get("throughcare-events", "source"),
        found.get("aiokafka", ""),
        platform.python_version(),
    )


@contextmanager
def signals(stop: Callable[[], None]) -> Generator[None]:
    """SIGTERM and SIGINT call `stop` meanwhile, where this loop may say so."""
    loop, taken = asyncio.get_running_loop(), list[signal.Signals]()
    for one in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or no main thread
            loop.add_signal_handler(one, stop)
            taken.append(one)
    try:
        yield
    finally:
        for one in taken:
            loop.remove_signal_handler(one)
