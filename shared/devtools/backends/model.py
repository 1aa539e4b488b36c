"""What a backend is, and what can be proved on it.

A test that needs something a backend cannot do (a second group member on the fallback broker, say)
must neither pass nor fail there: it calls `require` and is counted as not provable on this broker.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

Kind = Literal["given", "docker", "embedded"]


class BackendError(Exception):
    """A backend that was asked for cannot be had, or did not start; the message says why."""


class Unreachable(BackendError):
    """Something outside this machine (Maven's repository, an image registry) does not answer."""


class Capability(StrEnum):
    """One thing a backend can prove."""

    APACHE_KAFKA = "the broker is Apache Kafka itself"
    FAILOVER = "several members in a group; a dead member's partitions move to the living"
    DURABLE = "acknowledged records and writes survive kill -9 of the servers"
    RESTART = "the servers can be killed, paused and restarted by the test"
    MONGODB = "the store is MongoDB itself"


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
    capabilities: frozenset[Capability]
    kafka_server: Server | None = field(default=None, compare=False)
    mongo_server: Server | None = field(default=None, compare=False)
    metadata: str = ""

    def line(self) -> str:
        """The one line that says what was chosen, and why where that needs saying."""
        text = f"backend: {self.kind}: {self.kafka_name}, {self.mongo_name}"
        return f"{text} ({self.metadata})" if self.metadata else text

    def can(self, *needed: Capability) -> bool:
        """Whether everything named can be proved here."""
        return self.capabilities.issuperset(needed)


class NotProvable(Exception):
    """Raised by `require`: this backend cannot prove what the test is about."""


not_provable: Counter[str] = Counter()
"""How often `require` turned a test away, by capability: to be told at the end of a run."""


def require(backend: Backend, *needed: Capability) -> None:
    """Skip the calling test unless `backend` has every capability named.

    Under pytest the test is skipped with a reason that starts 'not provable on'; elsewhere
    `NotProvable` is raised. Either way it is counted in `not_provable`.
    """
    missing = [capability for capability in needed if capability not in backend.capabilities]
    if not missing:
        return
    for capability in missing:
        not_provable[capability.name] += 1
    wanted = "; ".join(capability.value for capability in missing)
    reason = f"not provable on {backend.kafka_name} + {backend.mongo_name}: {wanted}"
    try:
        import pytest
    except ImportError:
        raise NotProvable(reason) from None
    pytest.skip(reason)


def not_provable_line() -> str:
    """One line for a run's summary; empty when every test could be proved."""
    if not not_provable:
        return ""
    parts = ", ".join(f"{name} {count}" for name, count in sorted(not_provable.items()))
    return f"not provable on this backend: {parts}"
