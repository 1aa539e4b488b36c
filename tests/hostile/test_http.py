"""Row 7: what a request may cost before anybody knows who sends it. Raw sockets, as a stranger has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from httpx2 import ASGITransport, AsyncClient

from services.intake.app import SERVICE as INTAKE
from shared.devtools.issuer import LocalIssuer
from shared.runtime.http import limits, protocol
from shared.runtime.http.claims import Actor
from shared.runtime.http.limits import (
    ACTORS_MAX,
    BODY_BYTES_MAX,
    BURST_SECONDS,
    DEPTH_MAX,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    Rates,
    too_deep,
)
from shared.runtime.http.protocol import server_options
from shared.runtime.service import create_app
from tests.integration.bus import until
from tests.unit.served import Served
from tests.unit.support import authenticator_of, settings_for

ISSUER = LocalIssuer()
TOKEN = ISSUER.token("harbor-iop", "intake_coordinator")
PIECE = b"x" * 65_536
GET = b"GET /staff HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /referrals HTTP/1.1\r\nHost: x\r\n"
SIGNED = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Door:
    """A service behind the real server, on a port of its own."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server = server
        self.port = port

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, pieces: Iterable[bytes]) -> tuple[int, dict[str, Any]]:
        """Send until it is refused or sent, then read the answer: its status and its problem."""
        async with self.connected() as (reader, writer):
            answer = asyncio.create_task(_answer(reader))
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    if answer.done():
                        break
            status, body = await asyncio.wait_for(answer, 20)
            return status, json.loads(body) if body else {}

    async def well(self) -> None:
        """Everybody else is served."""
        status, body = await self.ask([b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
        assert (status, body) == (200, {"status": "alive"})


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(x.split(":")[1]) for x in lines if x.startswith("content-length")), 0)
    return int(lines[0].split()[1]), await reader.readexactly(length)


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.5)
    app = Served(INTAKE).app
    app.state.authenticator = authenticator_of(ISSUER)
    config = uvicorn.Config(
        app, port=0, lifespan="off", log_config=None, access_log=False, **server_options(1_000)
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started, what="a server that listens")
    yield Door(server, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving


def _chunks(pieces: Iterable[bytes]) -> Iterable[bytes]:
    for piece in pieces:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def _body(length: int) -> bytes:
    return f"Content-Length: {length}\r\n\r\n".encode()


HUNDREDS = [PIECE] * 4_800  # 300 MB
REFUSED: dict[str, tuple[int, str, Callable[[], Iterable[bytes]]]] = {
    "a header of 60 MB": (
        431,
        "head-too-large",
        lambda: [GET, b"traceparent: ", *[PIECE] * 960, b"\r\n\r\n"],
    ),
    "a header without an end": (431, "head-too-large", lambda: [GET, b"x: ", *[PIECE] * 960]),
    "a name of 60 MB": (431, "head-too-large", lambda: [GET, *[PIECE] * 960, b": x\r\n\r\n"]),
    "a URL of 60 MB": (431, "head-too-large", lambda: [b"GET /", *[PIECE] * 960]),
    "a method of 60 MB": (400, "request-unreadable", lambda: [*[PIECE] * 960]),
    "a head just above the limit": (
        431,
        "head-too-large",
        lambda: [GET, b"x: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n"],
    ),
    "a thousand headers": (
        431,
        "head-too-large",
        lambda: [GET, *[b"x: y\r\n"] * (HEADERS_MAX * 10), b"\r\n"],
    ),
    "trailers without an end": (
        431,
        "head-too-large",
        lambda: [
            *[POST, SIGNED, b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n0\r\n"],
            *[b"x%d: " % n + b"y" * 1_000 + b"\r\n" for n in range(100)],
        ],
    ),
    "what is not HTTP": (400, "request-unreadable", lambda: [b"\x16\x03\x01\x02\x00\x01\x00"]),
    "another protocol": (400, "request-unreadable", lambda: [b"SSH-2.0-OpenSSH_9.6\r\n"]),
    "two lengths": (
        400,
        "request-unreadable",
        lambda: [POST, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"],
    ),
    "a negative length": (400, "request-unreadable", lambda: [POST, _body(-1)]),
    "half a head, and nothing more": (408, "request-timeout", lambda: [GET, b"Acce"]),
    "a first byte, and nothing more": (408, "request-timeout", lambda: [b"G"]),
    "a body of 300 MB without a token": (
        401,
        "token-required",
        lambda: [POST, _body(300_000_000), *HUNDREDS],
    ),
    "a body of 300 MB in chunks without a token": (
        401,
        "token-required",
        lambda: chain([POST, b"Transfer-Encoding: chunked\r\n\r\n"], _chunks(HUNDREDS)),
    ),
    "a broken body without a token": (401, "token-required", lambda: [POST, _body(2), b"[["]),
    "a body with somebody else's token": (
        401,
        "token-refused",
        lambda: [POST, b"Authorization: Bearer x.y.z\r\n", _body(2), b"{}"],
    ),
    "a body of 300 MB": (413, "body-too-large", lambda: [POST, SIGNED, _body(300_000_000)]),
    "a body that is one byte too large": (
        413,
        "body-too-large",
        lambda: [POST, SIGNED, _body(BODY_BYTES_MAX + 1)],
    ),
    "chunks without an end": (
        413,
        "body-too-large",
        lambda: [POST, SIGNED, b"Transfer-Encoding: chunked\r\n\r\n", *_chunks([PIECE] * 40)],
    ),
    "a nest without an end": (
        413,
        "body-too-deep",
        lambda: [POST, SIGNED, _body(1_000_000), b"[" * 1_000_000],
    ),
    "half a body, and nothing more": (
        408,
        "request-timeout",
        lambda: [POST, SIGNED, _body(100), b"{"],
    ),
    "half a chunk, and nothing more": (
        408,
        "request-timeout",
        lambda: [POST, SIGNED, b"Transfer-Encoding: chunked\r\n\r\n", b"ff\r\n{"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_with_a_problem_and_everybody_else_is_served(
    door: Door, name: str
) -> None:
    status, code, pieces = REFUSED[name]
    before = _resident()
    answered, problem = await door.ask(pieces())
    assert (answered, problem["code"], problem["status"]) == (status, code, status)
    assert _resident() - before < 32_000_000, "it was kept"
    await door.well()


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


async def test_two_hundred_half_sent_requests_are_closed(door: Door) -> None:
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(door.connected()) for _ in range(200)]
        for n, (_, writer) in enumerate(connections):
            writer.write((GET + b"x: y")[: n % 40])
        await door.well()
        reading = asyncio.gather(*(reader.read() for reader, _ in connections))
        answers = await asyncio.wait_for(reading, 20)
        assert all(answer == b"" or b" 408 " in answer for answer in answers)
        assert sum(b" 408 " in answer for answer in answers) > 150
        await door.well()


async def test_more_connections_than_there_may_be_are_refused(door: Door) -> None:
    door.server.config.limit_concurrency = 20
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(door.connected()) for _ in range(30)]
        for _, writer in connections:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        statuses = [(await _answer(reader))[0] for reader, _ in connections]
    assert 503 in statuses
    await door.well()


async def test_a_connection_serves_one_request_after_another(door: Door) -> None:
    async with door.connected() as (reader, writer):
        for _ in range(3):
            writer.write(GET + SIGNED + b"\r\n")
            status, _ = await _answer(reader)
            assert status < 500
            writer.write(POST + SIGNED + _body(2) + b"{}")
            status, body = await _answer(reader)
            assert (status, json.loads(body)["code"]) == (422, "request-invalid")


# --- how often -----------------------------------------------------------------------------------------------

ANNA, BEN = Actor("a", "harbor-iop", "nurse"), Actor("b", "harbor-iop", "nurse")


def test_an_actor_has_a_burst_and_then_a_rate_and_others_have_their_own() -> None:
    now = [0.0]
    rates = Rates(2.0, lambda: now[0])
    assert [rates.spend(ANNA) for _ in range(int(2 * BURST_SECONDS))] == [0.0] * 20
    assert rates.spend(ANNA) == 0.5
    assert rates.spend(BEN) == 0.0
    now[0] = 0.5
    assert rates.spend(ANNA) == 0.0
    assert rates.spend(ANNA) > 0


def test_without_a_rate_there_is_no_limit_and_actors_are_forgotten() -> None:
    free, rates = Rates(0.0), Rates(1.0, lambda: 0.0)
    assert not any(free.spend(ANNA) for _ in range(10_000))
    for n in range(ACTORS_MAX + 10):
        rates.spend(Actor(str(n), "harbor-iop", "nurse"))
    assert len(rates._buckets) == ACTORS_MAX


@pytest.mark.parametrize(("per_second", "refused"), [(0.2, 3), (0.0, 0)])
async def test_429_has_a_retry_after(per_second: float, refused: int) -> None:
    settings = settings_for(INTAKE.source)
    settings.actor_requests_per_second_max = per_second
    app = create_app(INTAKE, settings)
    app.state.authenticator = authenticator_of(ISSUER)
    app.state.runtime = Served(INTAKE)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with AsyncClient(transport=ASGITransport(app), base_url="http://care") as client:
        answers = [await client.get("/staff", headers=headers) for _ in range(5)]
        many = [answer for answer in answers if answer.status_code == 429]
        assert len(many) == refused
        for answer in many:
            assert answer.json()["code"] == "too-many-requests"
            assert int(answer.headers["Retry-After"]) >= 1
        assert (await client.get("/healthz", headers=headers)).status_code in (200, 429)
        assert (await client.get("/healthz")).status_code == 200, "a platform's checks are nobody's"


DEPTHS = {
    "flat": (b"[1]", False),
    "at the limit": (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, False),
    "one more": (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), True),
    "objects": (b'{"a":' * (DEPTH_MAX + 1), True),
    "mixed": (b'[{"a":' * DEPTH_MAX, True),
    "beside one another": (b"[" + b"[]," * 10_000 + b"[]]", False),
    "in a string": (b'{"a": "' + b"[" * 1_000 + b'"}', False),
    "in a string, behind an escaped quote": (b'{"a": "\\"' + b"[" * 1_000 + b'"}', False),
    "behind a string": (b'{"a": "x", "b": ' + b"[" * 1_000, True),
    "in a string without an end": (b'"' + b"[" * 1_000, False),
    "closed before opened": (b"]" * 1_000 + b"[" * 40, False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_depth_is_that_of_brackets_outside_of_strings(name: str) -> None:
    body, deep = DEPTHS[name]
    assert too_deep(body) is deep
