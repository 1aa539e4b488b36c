"""Row 7, the other way round: callers that ask for much and never read it keep neither memory nor a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from services.intake.app import SERVICE as INTAKE
from shared.devtools.issuer import LocalIssuer
from shared.runtime.http import protocol
from shared.runtime.http.protocol import server_options
from tests.hostile.test_http import Door
from tests.integration.bus import until
from tests.unit.served import Served
from tests.unit.support import authenticator_of

LARGE: Final = 400_000
KEPT_MAX: Final = 60_000_000


async def _large(_request: object) -> PlainTextResponse:
    return PlainTextResponse(b"x" * LARGE)


async def _in_pieces(_request: object) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * (LARGE // 40)

    return StreamingResponse(pieces())


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    monkeypatch.setattr(protocol, "ANSWER_SECONDS", 0.5)
    app = Served(INTAKE).app
    app.state.authenticator = authenticator_of(LocalIssuer())
    app.router.routes += [Route("/large", _large), Route("/pieces", _in_pieces)]
    options: dict[str, Any] = {**server_options(1_000), "timeout_keep_alive": 1}
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False, **options)
    )
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started, what="a server that listens")
    [listener] = server.servers[0].sockets
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # nor does the kernel keep it
    yield Door(server, listener.getsockname()[1])
    server.should_exit = True
    await serving


def _asked(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def _read_a_little(caller: socket.socket) -> None:
    caller.recv(1_000)


def _half_close(caller: socket.socket) -> None:
    caller.shutdown(socket.SHUT_WR)


def _ask_again(caller: socket.socket) -> None:
    caller.sendall(_asked("/large") * 20)


def _begin_another(caller: socket.socket) -> None:
    caller.sendall(_asked("/large")[:20])


def _send_no_http(caller: socket.socket) -> None:
    caller.sendall(b"\x00\xff\r\n\r\n" * 100)


def _nothing(_caller: socket.socket) -> None: ...


UNREAD: dict[str, tuple[bytes, Callable[[socket.socket], None]]] = {
    "one answer": (_asked("/large"), _nothing),
    "one answer, and then a close": (_asked("/large", "Connection: close"), _nothing),
    "HTTP/1.0": (b"GET /large HTTP/1.0\r\nHost: x\r\n\r\n", _nothing),
    "an answer in pieces": (_asked("/pieces"), _nothing),
    "pieces, and then a close": (_asked("/pieces", "Connection: close"), _nothing),
    "many requests at once": (_asked("/large") * 50, _nothing),
    "a real route, many times": (_asked("/openapi.json") * 50, _nothing),
    "the beginning is read": (_asked("/large"), _read_a_little),
    "its own side is closed": (_asked("/large"), _half_close),
    "it goes on asking": (_asked("/large"), _ask_again),
    "half of the next request": (_asked("/large"), _begin_another),
    "no HTTP behind it": (_asked("/large"), _send_no_http),
    "a body that is refused": (
        _asked("/large") + _asked("/referrals", "Content-Length: 99", method="POST"),
        _nothing,
    ),
}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


def _caller(port: int, asked: bytes) -> socket.socket:
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    caller.connect(("127.0.0.1", port))
    caller.sendall(asked)
    return caller


@pytest.mark.parametrize("name", UNREAD)
async def test_who_never_reads_is_cut_off_and_everybody_else_is_served(
    door: Door, name: str
) -> None:
    asked, afterwards = UNREAD[name]
    with ExitStack() as stack:
        caller = stack.enter_context(_caller(door.port, asked))
        await until(lambda: bool(door.server.server_state.connections), what="its connection")
        afterwards(caller)
        await door.well()
        await _let_go(door)
        await door.well()


async def test_two_hundred_of_them_keep_neither_memory_nor_connections(door: Door) -> None:
    before = _resident()
    with ExitStack() as stack:
        for n in range(200):
            asked, _ = list(UNREAD.values())[n % len(UNREAD)]
            stack.enter_context(_caller(door.port, asked))
            await asyncio.sleep(0)
        await door.well()
        await _let_go(door)
        await door.well()
    assert _resident() - before < KEPT_MAX


async def _let_go(door: Door) -> None:
    state = door.server.server_state
    await until(lambda: not state.connections and not state.tasks, what="no connection left")
