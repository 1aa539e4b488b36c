"""A broker and a store as processes of our own, without Docker and without root."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.devtools.backends.kafka import apache_server, secured_server
from shared.devtools.backends.kafka_fetch import Progress
from shared.devtools.backends.model import Backend
from shared.devtools.backends.process import ServerProcess
from shared.devtools.backends.store import store_server, store_uri
from shared.runtime.connections import KafkaConnection

_IMPATIENT_S = 0.4


@contextlib.contextmanager
def embedded(
    directory: Path,
    say: Callable[[str], None],
    progress: Progress,
    *,
    keep: bool,
    quick: bool,
    secured: bool = False,
) -> Generator[Backend]:
    """Both servers over `directory`, started side by side, stopped at the end.

    Where the data is not kept, a server that is slow to end cleanly is not waited for. `quick`, `secured`: see `start`.
    """
    bus = None
    if secured:
        broker, bus = secured_server(directory, say, progress)
    else:
        broker = apache_server(directory, say, progress)
    store = store_server(directory, oplog=not quick)
    servers = (broker, store)
    try:
        _start_together(servers)
        if bus is not None:
            bus.open_to_services()
        yield Backend(
            kind="embedded",
            kafka=bus.connection()
            if bus is not None
            else KafkaConnection(kafka_bootstrap=f"127.0.0.1:{broker.port}"),
            kafka_users=bus.users if bus is not None else {},
            mongo_uri=store_uri(store.port),
            kafka_name=broker.name,
            mongo_name=store.name,
            kafka_server=broker,
            mongo_server=store,
        )
    finally:
        _stop_together(servers, None if keep else _IMPATIENT_S)


def _start_together(servers: tuple[ServerProcess, ...]) -> None:
    with ThreadPoolExecutor(len(servers)) as pool:
        for started in [pool.submit(server.start) for server in servers]:
            started.result()


def _stop_together(servers: tuple[ServerProcess, ...], grace_s: float | None) -> None:
    with ThreadPoolExecutor(len(servers)) as pool:
        for stopped in [pool.submit(server.stop, grace_s) for server in servers]:
            stopped.result()
