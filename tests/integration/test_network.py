"""Why a port can't be listened on, and why an address can't be reached: one plain cause each, with what to do."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.errors import ConfigurationError, Unavailable
from shared.runtime import network
from shared.runtime.connections import KafkaConnection, MongoConnection
from shared.runtime.core.store_reach import check_store_reachable
from shared.runtime.kafka.reach import check_broker_reachable
from shared.runtime.network import connection_fault, listen


def _listen(host: str, port: int) -> list[socket.socket]:
    return listen(host, port, host_setting="CARE_HOST", port_setting="CARE_PORT")


@pytest.fixture
def port() -> int:
    """A port that somebody listens on until the end of the test."""
    [taken] = _listen("127.0.0.1", 0)
    TAKEN.append(taken)
    return taken.getsockname()[1]


TAKEN: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _closed() -> AsyncIterator[None] | object:
    yield
    while TAKEN:
        TAKEN.pop().close()


def test_a_port_that_is_taken_is_refused_by_name(port: int) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _listen("127.0.0.1", port)
    assert (refused.value.code, refused.value.setting) == ("port-taken", "CARE_PORT")
    assert str(port) in refused.value.detail
    assert "ss -ltnp" in refused.value.hint


def test_a_second_process_is_refused_before_the_first_has_accepted_anything(port: int) -> None:
    """`SO_REUSEADDR` lets two sockets be bound at once: only who listens holds the port."""
    with pytest.raises(ConfigurationError):
        _listen("127.0.0.1", port)


def test_all_addresses_of_a_name_are_taken_or_none(port: int) -> None:
    with pytest.raises(ConfigurationError):
        _listen("localhost", port)
    free = socket.create_server(("127.0.0.1", 0))
    free_port = free.getsockname()[1]
    free.close()
    opened = _listen("localhost", free_port)
    assert opened
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("number", "code", "setting"),
    [
        (errno.EADDRINUSE, "port-taken", "CARE_PORT"),
        (errno.EACCES, "port-not-allowed", "CARE_PORT"),
        (errno.EPERM, "port-not-allowed", "CARE_PORT"),
        (errno.EADDRNOTAVAIL, "address-unusable", "CARE_HOST"),
        (errno.EAFNOSUPPORT, "address-unusable", "CARE_HOST"),
    ],
)
def test_each_reason_names_its_setting(
    number: int, code: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(network, "_bound", refuse)
    with pytest.raises(ConfigurationError) as refused:
        _listen("127.0.0.1", 80)
    assert (refused.value.code, refused.value.setting) == (code, setting)
    assert refused.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a..b", "x" * 300])
def test_an_address_that_is_not_this_machines_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _listen(host, 0)
    assert (refused.value.code, refused.value.setting) == ("address-unusable", "CARE_HOST")


# --- reaching ------------------------------------------------------------------------------------------


@asynccontextmanager
async def _server(answer: bytes | None) -> AsyncIterator[int]:
    """Answers everything with these bytes; with None it hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) and answer is not None:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _free_port() -> int:
    async with _server(None) as port:
        return port


async def test_nobody_listens_and_no_such_name() -> None:
    nobody = await connection_fault("127.0.0.1", await _free_port())
    assert nobody is not None
    assert nobody.detail.startswith("Nothing listens at 127.0.0.1:")
    unnamed = await connection_fault("no.such.host.invalid", 1)
    assert unnamed is not None
    assert unnamed.detail == "The name no.such.host.invalid has no address."


async def test_silence_is_not_awaited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", for_ever)
    monkeypatch.setattr(network, "CONNECTED_WITHIN_SECONDS", 0.01)
    silent = await connection_fault("127.0.0.1", 1)
    assert silent is not None
    assert "does not answer within" in silent.detail


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4])
async def test_what_is_not_kafka_is_said_to_be_none(answer: bytes | None) -> None:
    async with _server(answer) as port:
        kafka = KafkaConnection(kafka_bootstrap=f"127.0.0.1:{port}")
        with pytest.raises(Unavailable) as refused:
            async with asyncio.timeout(20):
                await check_broker_reachable(kafka)
    assert refused.value.code == "broker-unavailable"
    assert "does not answer as Kafka does" in refused.value.detail


async def test_what_is_not_mongodb_is_said_to_be_none() -> None:
    async with _server(None) as port:
        with pytest.raises(Unavailable) as refused:
            await check_store_reachable(MongoConnection(mongo_uri=f"mongodb://127.0.0.1:{port}"))
    assert refused.value.code == "store-unavailable"
    assert "does not answer as MongoDB does" in refused.value.detail


async def test_one_server_that_answers_is_enough() -> None:
    async with _server(b"x" * 100) as port:
        nobody = await _free_port()
        uri = f"mongodb://127.0.0.1:{nobody},127.0.0.1:{port}/?replicaSet=r"
        await check_store_reachable(MongoConnection(mongo_uri=uri))


async def test_the_address_is_said_for_both_servers() -> None:
    port = await _free_port()
    with pytest.raises(Unavailable, match=f"Kafka: Nothing listens at 127.0.0.1:{port}"):
        await check_broker_reachable(KafkaConnection(kafka_bootstrap=f"127.0.0.1:{port}"))
    with pytest.raises(Unavailable, match=f"MongoDB: Nothing listens at 127.0.0.1:{port}"):
        await check_store_reachable(MongoConnection(mongo_uri=f"mongodb://u:p@127.0.0.1:{port}"))
