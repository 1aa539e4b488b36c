"""Certificates and tokens on a real broker: the same users and rules, by mutual TLS and by OAUTHBEARER.

Starts a secured broker of its own, whose brokers' listener takes certificates, with a second one for tokens.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError
from joserfc import jwt
from joserfc.jwk import RSAKey

from shared.contracts.attendance import SessionAttended
from shared.contracts.event import Envelope
from shared.contracts.topics import TOPICS
from shared.devtools.backends.certificates import Authority
from shared.devtools.backends.kafka import secured_server
from shared.devtools.backends.kafka_secured import ClosedBus, TokenListener
from shared.devtools.backends.process import free_port
from shared.errors import AccessMissing, Unavailable
from shared.kit import Connection, MemoryInbox, Subscriber
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import subscriber_rules
from shared.runtime.kafka.clients import new_producer
from shared.runtime.kafka.grants import grant
from shared.runtime.kafka.reach import check_broker_reachable
from shared.runtime.kafka.refusals import check_reading, check_service
from shared.runtime.kafka.topics import ensure_topics
from shared.services import SERVICES
from tests.integration.bus import bus_to

TOPIC_NAMES = [f"care.{name}" for name in SERVICES]
ISSUER, AUDIENCE = "https://issuer.example", "kafka"
SECRET = "a-secret-of-the-client"
ATTENDED = SessionAttended.example()


class Tokens:
    """A token endpoint over TLS, and the key set that the broker checks its tokens with."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._key = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        self._other = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        self.keys = directory / "jwks.json"
        self.keys.write_text(json.dumps({"keys": [self._key.as_dict(private=False)]}))
        self.changed: dict[str, Any] = {}
        """What the next tokens say otherwise."""
        self.forged = False
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                client = self.headers["Authorization"]
                self.rfile.read(int(self.headers["Content-Length"]))
                answer = json.dumps(
                    {"access_token": tokens.token(client), "expires_in": 300}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
                """Say nothing."""

        issued = authority.issue("issuer", "localhost", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.both)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self._server.server_address[1]}/token"

    def token(self, authorization: str) -> str:
        """A token whose subject is the client that asks (by Basic, RFC 6749 2.3.1)."""
        client = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[0]
        now = int(time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": client,
            "iat": now,
            "exp": now + 300,
        } | self.changed
        key = self._other if self.forged else self._key
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key, algorithms=["RS256"])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Broker:
    """The broker and who may come."""

    bus: ClosedBus
    authority: Authority
    tokens: Tokens
    by_certificate: int
    by_token: int
    directory: Path

    def certificate(self, user: str, authority: Authority | None = None) -> KafkaConnection:
        issued = (authority or self.authority).issue(user)
        return KafkaConnection(
            kafka_bootstrap=f"127.0.0.1:{self.by_certificate}",
            kafka_security="ssl",
            kafka_ca_file=str(self.authority.file),
            kafka_certificate_file=str(issued.certificate),
            kafka_key_file=str(issued.key),
        )

    def token(self, user: str) -> KafkaConnection:
        secret = self.directory / "client.secret"
        secret.write_text(SECRET)
        return KafkaConnection(
            kafka_bootstrap=f"127.0.0.1:{self.by_token}",
            kafka_security="sasl_ssl",
            kafka_sasl_mechanism="OAUTHBEARER",
            kafka_token_url=self.tokens.url,
            kafka_client_id=user,
            kafka_client_secret_file=str(secret),
            kafka_ca_file=str(self.authority.file),
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    directory = tmp_path_factory.mktemp("credentials")
    authority = Authority(directory / "security")
    tokens = Tokens(directory, authority)
    listener = TokenListener(free_port(), tokens.keys, ISSUER, AUDIENCE)
    server, bus = secured_server(directory, print, lambda _what, _done: None, tokens=listener)
    try:
        server.start()
        bus.open_to_services()
        yield Broker(bus, authority, tokens, bus.by_certificate, listener.port, directory)
    finally:
        server.kill()
        tokens.close()


@pytest.fixture(params=["certificate", "token"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def ready(broker: Broker) -> Broker:
    for name in SERVICES:
        await ensure_topics(broker.bus.connection(name), [TOPICS[f"care.{name}"]])
    return broker


async def test_each_service_has_its_rights_however_it_shows_who_it_is(
    ready: Broker, way: str
) -> None:
    for name in SERVICES:
        kafka: KafkaConnection = getattr(ready, way)(name)
        await check_broker_reachable(kafka)
        await check_service(kafka, name, TOPIC_NAMES)
    with pytest.raises(AccessMissing):
        await check_service(getattr(ready, way)("plans"), "intake", TOPIC_NAMES)


async def test_it_publishes_on_its_own_topic_and_on_no_other(ready: Broker, way: str) -> None:
    producer = new_producer(getattr(ready, way)("plans"))
    await producer.start()
    try:
        await producer.send_and_wait("care.plans", b"{}", b"episode/x")
        with pytest.raises(KafkaError, match="Authorization"):
            await producer.send_and_wait("care.intake", b"{}", b"episode/x")
    finally:
        await producer.stop()


async def test_somebody_without_rules_reads_nothing(ready: Broker, way: str) -> None:
    with pytest.raises(AccessMissing):
        await check_reading(getattr(ready, way)("stranger"), TOPIC_NAMES)


async def test_a_subscriber_hears_however_it_shows_who_it_is(ready: Broker, way: str) -> None:
    await grant(ready.bus.connection(), subscriber_rules("county", [ATTENDED.SOURCE]))
    async with bus_to(ready.bus.connection("attendance")) as bus:
        await bus.say(ATTENDED, f"episode/{uuid4()}", 1)
    kafka = Connection.from_environment(getattr(ready, way)("county").environment())
    events, heard = Subscriber(f"county.{way}", MemoryInbox(), kafka=kafka), list[str]()

    @events.on(SessionAttended)
    async def hear(_event: SessionAttended, envelope: Envelope) -> None:
        heard.append(envelope.subject)
        events.stop()

    async with events:
        await asyncio.wait_for(events.run(), 60)
    assert heard


async def test_a_certificate_of_another_authority_is_refused(ready: Broker, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await check_reading(ready.certificate("plans", Authority(tmp_path)), TOPIC_NAMES)


@pytest.mark.parametrize(
    "changed", [{"aud": "another"}, {"iss": "https://other.example"}, {"exp": 1_000_000_000}, None]
)
async def test_a_token_for_others_of_others_ended_or_forged_is_refused(
    ready: Broker, changed: dict[str, Any] | None
) -> None:
    ready.tokens.changed, ready.tokens.forged = changed or {}, changed is None
    try:
        with pytest.raises(Unavailable) as refused:
            await check_broker_reachable(ready.token("plans"))
    finally:
        ready.tokens.changed, ready.tokens.forged = {}, False
    assert refused.value.code == "broker-access-denied"
