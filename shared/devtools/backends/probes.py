"""Does it answer? Asked over the wire, so that a port that merely accepts does not count."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.connection import client_options

_METADATA = 3
_CLOSING_S = 0.1
"""How long a connection may take to close, before its loop ends."""


def kafka_answers(host: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether a broker answers a metadata request and knows itself as a living broker."""
    client = b"probe"
    body = (
        struct.pack(">hhih", _METADATA, 4, 1, len(client)) + client + struct.pack(">i?", 0, False)
    )
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as conn:
            conn.settimeout(timeout_s)
            conn.sendall(struct.pack(">i", len(body)) + body)
            (size,) = struct.unpack(">i", _read(conn, 4))
            answer = _read(conn, min(size, 65_536))
    except (OSError, struct.error):
        return False
    head = struct.Struct(">iii")  # correlation id, throttle time, number of brokers
    return len(answer) >= head.size and head.unpack_from(answer)[2] >= 1


def _read(conn: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = conn.recv(size - len(data))
        if not chunk:
            raise OSError("closed")
        data += chunk
    return data


def any_kafka_answers(bootstrap: str, *, timeout_s: float = 2.0) -> bool:
    """Whether at least one address of a bootstrap list answers."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if port.isdigit() and kafka_answers(host.strip("[]"), int(port), timeout_s=timeout_s):
            return True
    return False


def kafka_lets_in(kafka: KafkaConnection) -> bool:
    """Whether at least one broker lets this client in. Raises `ConfigurationError` for its settings."""
    if kafka.kafka_security == "plaintext":
        return any_kafka_answers(kafka.kafka_bootstrap)
    options = client_options(kafka)
    hosts = [(host, port) for host, port, _ in collect_hosts(options.pop("bootstrap_servers"))]
    return any(port_accepts(*host) and apart(_let_in(*host, options)) for host in hosts)


async def _let_in(host: str, port: int, options: dict[str, Any]) -> bool:
    try:
        connection = await create_conn(host, port, request_timeout_ms=1_000, **options)
    except (KafkaError, OSError, TimeoutError):
        return False
    else:
        connection.close()
        return True
    finally:
        await asyncio.sleep(_CLOSING_S)


def apart(waiting: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, run in a thread of its own: the caller's may have a loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, waiting).result()


def mongo_answers(uri: str, *, timeout_s: float = 1.0) -> bool:
    """Whether the store answers and would take a write."""
    return mongo_info(uri, timeout_s=timeout_s) is not None


def mongo_info(uri: str, *, timeout_s: float = 1.0) -> dict[str, Any] | None:
    """The store's `hello` once it can be written to, else None."""
    limit_ms = int(timeout_s * 1000)
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri,
        connect=False,
        serverSelectionTimeoutMS=limit_ms,
        connectTimeoutMS=limit_ms,
        socketTimeoutMS=limit_ms,
    )
    try:
        hello = client.admin.command("hello")
    except PyMongoError:
        return None
    finally:
        client.close()
    return hello if hello.get("isWritablePrimary") else None


def port_accepts(host: str, port: int, *, timeout_s: float = 0.5) -> bool:
    """Whether something listens there: the cheap question before the real one."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
