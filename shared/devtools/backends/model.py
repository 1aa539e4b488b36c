"""What a backend is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["given", "docker", "embedded"]


class BackendError(Exception):
    """A backend that was asked for cannot be had, or did not start; the message says why."""


class Unreachable(BackendError):
    """Something outside this machine (Maven's repository, an image registry) does not answer."""


class Server(Protocol):
    """A running broker or store that a chaos test may hurt and bring back with its data."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        ...

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL), and wait until it is gone."""
        ...

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait; after a grace period, kill it."""
        ...

    def start(self) -> None:
        """Start it again on the same port and data, and wait until it answers."""
        ...

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        ...

    def resume(self) -> None:
        """Let a paused server go on."""
        ...


@dataclass(frozen=True)
class Backend:
    """A Kafka bootstrap address and a MongoDB URI, with what stands behind them."""

    kind: Kind
    kafka_bootstrap: str
    mongo_uri: str
    kafka_name: str
    mongo_name: str
    kafka_server: Server | None = field(default=None, compare=False)
    mongo_server: Server | None = field(default=None, compare=False)
    note: str = ""

    def line(self) -> str:
        """The one line that says what was chosen, and why where that needs saying."""
        text = f"backend: {self.kind}: {self.kafka_name}, {self.mongo_name}"
        return f"{text} ({self.note})" if self.note else text
