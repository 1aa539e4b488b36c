"""Row 7: a request that can be read in two ways is refused, or read in one way by everybody who reads it."""

from __future__ import annotations

from typing import Final

import pytest

from tests.hostile import test_http
from tests.hostile.test_http import GET, POST, SIGNED, Door

door = test_http.door
BAD: Final = b"Authorization: Bearer x\r\n"
JSON: Final = b"Content-Type: application/json\r\n"
BODY: Final = b"Content-Length: 2\r\n\r\n{}"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
KEY: Final = b"Idempotency-Key: 1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44\r\n"

TWICE: Final[dict[str, bytes]] = {
    "a good token and a bad one": GET + SIGNED + BAD + b"\r\n",
    "a bad token and a good one": GET + BAD + SIGNED + b"\r\n",
    "the same token": GET + SIGNED + SIGNED + b"\r\n",
    "in other letters": GET + SIGNED + BAD.replace(b"Auth", b"aUTH") + b"\r\n",
    "nothing and a token": GET + b"Authorization:\r\n" + SIGNED + b"\r\n",
    "far apart": GET + SIGNED + b"x: y\r\n" * 20 + BAD + b"\r\n",
    "with a body": POST + SIGNED + BAD + BODY,
    "with a body in chunks": POST + SIGNED + BAD + CHUNKED + b"\r\n",
    "two hosts": GET + b"Host: y\r\n" + SIGNED + b"\r\n",
    "the same host": GET + b"host: x\r\n" + SIGNED + b"\r\n",
    "two keys of a command": POST + SIGNED + KEY + KEY.replace(b"1c", b"2c") + BODY,
    "two types": POST + SIGNED + JSON + b"content-type: text/plain\r\n" + BODY,
}
UNREADABLE: Final[dict[str, bytes]] = {
    "a length and chunks": POST + SIGNED + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n",
    "chunks and a length": POST
    + SIGNED
    + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    "two lengths": POST + SIGNED + b"Content-Length: 3\r\n" + BODY,
    "a length with a sign": POST + SIGNED + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + SIGNED + b"Content-Length: -2\r\n\r\n{}",
    "a length beyond all numbers": POST
    + SIGNED
    + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "a blank before the colon": POST + SIGNED + b"Content-Length : 2\r\n\r\n{}",
    "another coding": POST + SIGNED + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind chunks": POST
    + SIGNED
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a folded line": GET + SIGNED + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET /staff HTTP/1.1\nHost: x\n\n",
    "a length behind the body": POST + SIGNED + CHUNKED + b"Content-Length: 7\r\n\r\n",
    "a NUL in a header": GET + b"X: a\x00b\r\n\r\n",
    "a negative chunk": POST + SIGNED + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond all numbers": POST
    + SIGNED
    + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
}


@pytest.mark.parametrize("name", TWICE)
async def test_a_header_that_is_sent_once_may_not_come_twice(door: Door, name: str) -> None:
    """The rate was counted by the last token, and the caller was known by the first."""
    status, problem = await door.ask([TWICE[name]])
    assert (status, problem["code"]) == (400, "header-repeated")
    await door.well()


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_says_two_things_of_its_length_is_no_request(door: Door, name: str) -> None:
    status, problem = await door.ask([UNREADABLE[name]])
    assert (status, problem["code"]) == (400, "request-unreadable")
    await door.well()


TRAILERS: Final[dict[str, bytes]] = {
    "another token": BAD,
    "a second key": KEY,
    "another type": b"Content-Type: text/plain\r\n",
    "a host": b"Host: evil.example\r\n",
    "a trace": b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
}


@pytest.mark.parametrize("name", TRAILERS)
async def test_a_trailer_adds_nothing_to_the_headers(door: Door, name: str) -> None:
    """Another token behind the body took the place of the one before it, if it came soon enough."""
    asked = POST + SIGNED + KEY + JSON + CHUNKED + TRAILERS[name] + b"\r\n"
    status, problem = await door.ask([asked])
    assert (status, problem["code"]) == (422, "request-invalid")
    await door.well()


async def test_a_token_in_a_trailer_is_none(door: Door) -> None:
    status, problem = await door.ask([POST + KEY + CHUNKED + SIGNED + b"\r\n"])
    assert (status, problem["code"]) == (401, "token-required")
    await door.well()
