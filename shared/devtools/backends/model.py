"""What a backend is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.runtime.connections import KafkaConnection

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


def _nobody() -> dict[str, KafkaConnection]:
    return {}


@dataclass(frozen=True)
class Backend:
    """A Kafka and a MongoDB to connect to, with what stands behind them."""

    kind: Kind
    kafka: KafkaConnection
    """As whoever may do everything: tests, the demo's driver and the ledger."""
    mongo_uri: str
    kafka_name: str
    mongo_name: str
    kafka_server: Server | None = field(default=None, compare=False)
    mongo_server: Server | None = field(default=None, compare=False)
    note: str = ""
    kafka_users: Mapping[str, KafkaConnection] = field(default_factory=_nobody, compare=False)
    """The connections of services and other users, by name; a broker that is not secured has none."""

    @property
    def kafka_bootstrap(self) -> str:
        """Where Kafka is, without who asks."""
        return self.kafka.kafka_bootstrap

    def kafka_of(self, service: str) -> KafkaConnection:
        """The connection of one service, with no more rights than it needs where the broker is secured."""
        return self.kafka_users.get(service, self.kafka)

    def line(self) -> str:
        """The one line that says what was chosen, and why where that needs saying."""
        text = f"backend: {self.kind}: {self.kafka_name}, {self.mongo_name}"
        return f"{text} ({self.note})" if self.note else text
