"""The HTTP/1.1 protocol of uvicorn, with limits on the head of a request, and on the time for request and answer."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.runtime.http.limits import (
    ANSWER_SECONDS,
    HEAD_BYTES_MAX,
    HEAD_SECONDS,
    HEADERS_MAX,
    MESSAGE_SECONDS,
)
from shared.runtime.http.problems import ANSWER_HEADERS, problem

KEEP_ALIVE_SECONDS: Final = 5


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It is answered and closed as soon as a head is too large, or a request too slow.

    It is cut off when what was written to it is not read in time: to close it would wait for the reader for ever.
    """

    _in_head = True
    _head_bytes = 0
    """What has come of the present head, as it came."""
    _kept_bytes = 0
    """What is kept of the present head, and of the trailers of a body."""
    _refused = False
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    """Runs while the caller has to read before more can be written, or before the connection can be closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] - as uvicorn has it
        super().connection_made(transport)
        self._within(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._must_be_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._is_read()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._if_closing_must_be_read()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._if_closing_must_be_read()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # A chunk may hold a whole head and the beginning of a body: only a head that goes on is measured so.
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX + len(data):
            self._too_large()
        if self._in_head and self._timer is None and not self._answering:
            self._within(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._kept_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._keeps(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A trailer is measured and dropped: behind a body it would add to the headers that the sender is known by."""
        if self._keeps(len(name) + len(value)) and self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._in_head = False
        self._within(MESSAGE_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_head, self._head_bytes = True, 0
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        del msg
        if not self._refused:
            self._refuse(400, "request-unreadable", "This is not HTTP.", "Send HTTP/1.1.")

    @property
    def _answering(self) -> bool:
        cycle = self._request
        return cycle is not None and not cycle.response_complete

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The request in hand, or the last one; None before the first."""
        return cast("RequestResponseCycle | None", self.cycle)

    def _keeps(self, length: int) -> bool:
        """Whether there is room for this part of a head; if not, the request is refused."""
        self._kept_bytes += length
        if self._kept_bytes > HEAD_BYTES_MAX or len(self.headers or ()) >= HEADERS_MAX:
            self._too_large()
        return not self._refused

    def _too_large(self) -> None:
        self._refuse(
            431,
            "head-too-large",
            "The head of the request is larger than it may be.",
            f"Send at most {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers.",
        )

    def _refuse(self, status: int, code: str, detail: str, hint: str) -> None:
        """Answer with a problem, unless another answer is under way, and close."""
        if self._refused:
            return
        self._refused = True
        self._stop_timer()
        cycle = self._request
        begun = self._answering and cycle is not None and cycle.response_started
        if not begun and not self.transport.is_closing():
            self.transport.write(_raw(status, code, detail, hint))
        if cycle is not None:  # whatever the application still says is not for this connection
            cycle.disconnected = True
        self.transport.close()
        self._if_closing_must_be_read()

    def _if_closing_must_be_read(self) -> None:
        """A transport that closes keeps what is not read yet, however little, and says nothing more of it."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._must_be_read()

    def _must_be_read(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def _is_read(self) -> None:
        timer, self._unread = self._unread, None
        if timer is not None:
            timer.cancel()

    def _within(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._expired)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _expired(self) -> None:
        self._timer = None
        if not self._head_bytes:  # nobody has asked for anything
            self.transport.close()
        else:
            self._refuse(
                408,
                "request-timeout",
                "The request did not arrive in time.",
                "Send it again, and all of it at once.",
            )


def _raw(status: int, code: str, detail: str, hint: str) -> bytes:
    """A problem as it goes over the wire, for a request that no application has seen."""
    answer = problem(status, code, detail, hint)
    body = bytes(answer.body)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/problem+json",
        *(f"{name.lower()}: {text}" for name, text in ANSWER_HEADERS.items()),
        f"content-length: {len(body)}",
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def server_options(connections_max: int) -> dict[str, Any]:
    """What the server is started with: this protocol, and how many connections there may be."""
    return {
        "http": BoundedProtocol,
        "ws": "none",
        "limit_concurrency": connections_max,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "server_header": False,
    }
