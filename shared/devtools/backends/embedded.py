"""A broker and a store as processes of our own, without Docker and without root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.devtools.backends.kafka import apache_server, noida_server
from shared.devtools.backends.kafka_jars import Progress
from shared.devtools.backends.model import Backend, BackendError, Capability
from shared.devtools.backends.process import ServerProcess
from shared.devtools.backends.store import store_server, store_uri

_WITH_APACHE = frozenset(
    {Capability.APACHE_KAFKA, Capability.FAILOVER, Capability.DURABLE, Capability.RESTART}
)
_IMPATIENT_S = 0.4
_WITH_FALLBACK = frozenset({Capability.RESTART})


@contextlib.contextmanager
def embedded(
    directory: Path, say: Callable[[str], None], progress: Progress, *, keep: bool
) -> Generator[Backend]:
    """Both servers over `directory`, started side by side, stopped at the end.

    Where the data is not kept, a server that is slow to end cleanly is not waited for.
    """
    broker, metadata = _broker(directory, say, progress)
    store = store_server(directory)
    servers = (broker, store)
    try:
        _start_together(servers)
        apache = broker.name.startswith("Apache Kafka")
        yield Backend(
            kind="embedded",
            kafka_bootstrap=f"127.0.0.1:{broker.port}",
            mongo_uri=store_uri(store.port),
            kafka_name=broker.name,
            mongo_name=store.name,
            capabilities=_WITH_APACHE if apache else _WITH_FALLBACK,
            kafka_server=broker,
            mongo_server=store,
            metadata=metadata,
        )
    finally:
        _stop_together(servers, None if keep else _IMPATIENT_S)


def _broker(
    directory: Path, say: Callable[[str], None], progress: Progress
) -> tuple[ServerProcess, str]:
    """The broker that BACKEND_KAFKA asks for, and what must be said about it."""
    choice = os.environ.get("BACKEND_KAFKA") or "auto"
    if choice == "noida":
        return noida_server(directory), "the fallback broker: not a test on Kafka"
    if choice not in ("auto", "apache"):
        raise BackendError(f"BACKEND_KAFKA={choice}: use auto, apache or noida")
    try:
        return apache_server(directory, say, progress), ""
    except BackendError as error:
        if choice == "apache":
            raise BackendError(f"BACKEND_KAFKA=apache cannot be had: {error}") from error
        reason = str(error).splitlines()[0]
        say(f"no Apache Kafka here: {reason}; taking the fallback broker")
        return noida_server(directory), f"the fallback broker, as {reason}: not a test on Kafka"


def _start_together(servers: tuple[ServerProcess, ...]) -> None:
    with ThreadPoolExecutor(len(servers)) as pool:
        for started in [pool.submit(server.start) for server in servers]:
            started.result()


def _stop_together(servers: tuple[ServerProcess, ...], grace_s: float | None) -> None:
    with ThreadPoolExecutor(len(servers)) as pool:
        for stopped in [pool.submit(server.stop, grace_s) for server in servers]:
            stopped.result()
