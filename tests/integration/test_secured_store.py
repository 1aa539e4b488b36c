"""MongoDB over TLS and with a user of its own for the service: let in, or told plainly why not."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from shared.devtools.backends.certificates import Authority
from shared.devtools.backends.probes import mongo_answers, port_accepts
from shared.devtools.backends.process import ServerProcess, free_port
from shared.devtools.backends.store import store_uri
from shared.errors import Unavailable
from shared.runtime.connections import MongoConnection
from shared.runtime.core.store import MongoStore
from shared.runtime.core.store_connection import mongo_options
from shared.runtime.core.store_reach import check_store_reachable
from tests.integration.redriven import Rules

PASSWORD = "a-password-of-plans"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secured-store")
    Authority(directory / "own").issue("store", "127.0.0.1", "localhost")
    Authority(directory / "own").issue("client")
    (directory / "right").write_text(f"{PASSWORD}\n")
    (directory / "wrong").write_text("another")
    return directory


def _server(files: Path, port: int, *flags: str) -> ServerProcess:
    data = files / "data"
    data.mkdir(exist_ok=True)
    config = files / "secantusd.toml"
    config.touch()
    command = [sys.executable, "-m", "secantus", "--standalone", "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(data)]
    plain = not flags
    return ServerProcess(
        "secured store",
        [*command, *flags],
        log=files / "store.log",
        answers=lambda: (
            port_accepts("127.0.0.1", port) and (not plain or mongo_answers(store_uri(port)))
        ),
        port=port,
    )


@pytest.fixture(scope="module")
def port(files: Path) -> Iterator[int]:
    port = free_port()
    first = _server(files, port)
    first.start()
    client: MongoClient[dict[str, Any]] = MongoClient(store_uri(port))
    for name in ("plans", "intake"):
        client[f"care_{name}"].command(
            "createUser",
            f"care_{name}",
            pwd=PASSWORD,
            roles=[{"role": "readWrite", "db": f"care_{name}"}],
        )
    client.close()
    first.stop()
    own = files / "own"
    server = _server(
        files,
        port,
        *("--auth", "--tls-require-client-cert"),
        *("--tls-cert-file", str(own / "store.pem")),
        *("--tls-key-file", str(own / "store-key.pem")),
        *("--tls-ca-file", str(own / "ca.pem")),
    )
    server.start()
    yield port
    server.kill()


@asynccontextmanager
async def _store(port: int, files: Path, **changed: str) -> AsyncIterator[MongoStore]:
    settings: dict[str, Any] = {
        "mongo_uri": f"mongodb://127.0.0.1:{port}/care_plans?directConnection=true",
        "mongo_username": "care_plans",
        "mongo_password_file": str(files / "right"),
        "mongo_ca_file": str(files / "own/ca.pem"),
        "mongo_certificate_file": str(files / "own/client-with-key.pem"),
    } | {k: v if k == "mongo_username" or not v else str(files / v) for k, v in changed.items()}
    connection = MongoConnection(**settings)
    options = mongo_options(connection)
    store = MongoStore(connection.mongo_uri, "care_plans", Rules().service.kinds, options=options)
    try:
        yield store
    finally:
        await store.close()


async def test_a_service_is_let_in_with_its_certificate_and_password(
    port: int, files: Path
) -> None:
    async with _store(port, files) as store:
        await store.start()
        await store.set_metadata("shown", {"yes": True})
        assert (await store.metadata("shown"))["yes"] is True


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"mongo_password_file": "wrong"}, "store-access-denied"),
        ({"mongo_username": "care_nobody"}, "store-access-denied"),
        ({"mongo_username": "", "mongo_password_file": ""}, "store-access-denied"),
    ],
)
async def test_anybody_else_is_refused(
    port: int, files: Path, changed: dict[str, str], code: str
) -> None:
    async with _store(port, files, **changed) as store:
        with pytest.raises(Unavailable) as refused:
            await store.start()
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, None),
        ({"mongo_certificate_file": ""}, "store-tls-differs"),  # it wants one of the client
        ({"mongo_ca_file": "foreign/ca.pem"}, "store-certificate-untrusted"),
        ({"mongo_ca_file": "", "mongo_certificate_file": ""}, "store-tls-differs"),
    ],
)
async def test_why_it_cant_be_reached_is_said_plainly(
    port: int, files: Path, tmp_path: Path, changed: dict[str, str], code: str | None
) -> None:
    Authority(tmp_path / "foreign")
    given = {
        "mongo_ca_file": str(files / "own" / "ca.pem"),
        "mongo_certificate_file": str(files / "own/client-with-key.pem"),
    }
    given |= {name: str(tmp_path / value) if value else "" for name, value in changed.items()}
    connection = MongoConnection(mongo_uri=f"mongodb://127.0.0.1:{port}", **given)
    if code is None:
        await check_store_reachable(connection)
        return
    with pytest.raises(Unavailable) as refused:
        await check_store_reachable(connection)
    assert refused.value.code == code
    assert refused.value.hint
