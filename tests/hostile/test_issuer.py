"""An issuer on the web that answers oddly: its keys are taken whole and from where it says, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from joserfc.jwk import OKPKey

from shared.devtools.backends.probes import port_accepts
from shared.errors import Unavailable
from shared.runtime.http.keys import DOCUMENT_BYTES_MAX, WELL_KNOWN, DiscoveredKeys

KEY: Final = OKPKey.generate_key("Ed25519", {"kid": "one"})
KEYS: Final = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
Answer = tuple[int, Mapping[str, str], bytes]


class Issuer(ThreadingHTTPServer):
    """Says about itself what it is, and answers the question for keys as a test wants."""

    daemon_threads = True
    keys: Answer = (200, {}, KEYS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Issuer  # pyright: ignore[reportIncompatibleVariableOverride] - it is this one

    def do_GET(self) -> None:
        url = self.server.url
        about = {"issuer": url, "jwks_uri": f"{url}/keys"}
        found: Mapping[str, Answer] = {
            WELL_KNOWN: (200, {}, json.dumps(about).encode()),
            "/keys": self.server.keys,
            "/elsewhere": (200, {}, KEYS),
        }
        status, headers, body = found[self.path]
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the library's name


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def keys_of(issuer: Issuer) -> DiscoveredKeys:
    return DiscoveredKeys(issuer.url + WELL_KNOWN, development=True)


async def test_keys_come_from_where_the_issuer_says(issuer: Issuer) -> None:
    source = keys_of(issuer)
    await source.look_again()
    found = source.keys()
    assert found is not None
    assert found.find("one", "EdDSA") is not None


ODD: Final[Mapping[str, Callable[[Issuer], Answer]]] = {
    "sends elsewhere": lambda it: (302, {"Location": f"{it.url}/elsewhere"}, b""),
    "sends elsewhere for good": lambda it: (308, {"Location": f"{it.url}/elsewhere"}, b""),
    "sends to a file": lambda _: (302, {"Location": "file:///etc/passwd"}, b""),
    "sends too much": lambda _: (200, {}, KEYS + b" " * DOCUMENT_BYTES_MAX),
    "breaks off": lambda _: (200, {"Content-Length": "100000"}, KEYS[:20]),
    "sends a page": lambda _: (200, {"Content-Type": "text/html"}, b"<html>"),
    "sends no text": lambda _: (200, {}, b"\xff\xfe\x00"),
    "sends nothing": lambda _: (200, {}, b""),
    "sends a number": lambda _: (200, {}, b"7"),
    "sends brackets without end": lambda _: (200, {}, b"[" * 100_000),
    "is out of order": lambda _: (500, {}, b"{}"),
    "wants a password": lambda _: (401, {"WWW-Authenticate": "Basic"}, b"{}"),
    "gives its private key away": lambda _: (
        200, {}, json.dumps({"keys": [KEY.as_dict(private=True)]}).encode(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_answer_gives_no_keys_and_takes_none(
    issuer: Issuer, odd: Callable[[Issuer], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runtime.http.keys.LOOK_AGAIN_SECONDS", 0.0)
    source, good = keys_of(issuer), issuer.keys
    issuer.keys = odd(issuer)
    await source.look_again()
    assert source.failing
    with pytest.raises(Unavailable):
        source.keys()
    issuer.keys = good
    await source.look_again()
    known = source.keys()
    issuer.keys = odd(issuer)
    await source.look_again()
    assert (source.failing, source.keys()) == (True, known), "the last keys hold"


async def test_nobody_there_is_no_error(issuer: Issuer) -> None:
    source = keys_of(issuer)
    issuer.shutdown()
    issuer.server_close()
    assert not port_accepts("127.0.0.1", issuer.server_port)
    await source.look_again()
    assert source.failing
