"""A closed bus of our own: TLS, SCRAM users, and rules for each service, made on the spot.

Clients come by SASL_SSL with SCRAM-SHA-512, or with a certificate of the bus's authority, whose name is the user's;
that is also how broker and controller know each other. A listener for tokens (OAUTHBEARER) can be added. The passwords
are random and lie beside the data, for this user's eyes only.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.devtools.backends.certificates import Authority
from shared.devtools.backends.probes import apart, kafka_lets_in
from shared.devtools.backends.process import free_port
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.access import ADMINISTRATOR, BROKER, all_service_rules
from shared.runtime.kafka.grants import grant
from shared.services import PROCESSES

PARTNER: Final = "partner"
"""A subscriber without rules; `care topics acl --subscriber partner --topic … --apply` lets it read."""
MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class TokenListener:
    """A listener whose clients show a signed token; its subject is the user."""

    port: int
    keys: Path
    """The issuer's key set (JWKS)."""
    issuer: str
    audience: str

    @property
    def option(self) -> str:
        """What lets Kafka read the key set: it reads no address that is not listed."""
        return f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.keys.as_uri()}"

    def added_to(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The broker's settings with this listener."""
        address, oauth = f"TOKENS://127.0.0.1:{self.port}", "listener.name.tokens.oauthbearer"
        package = "org.apache.kafka.common.security.oauthbearer"
        login = f"{package}.OAuthBearer"
        protocols = "listener.security.protocol.map"
        return {
            **settings,
            "listeners": f"{settings['listeners']},{address}",
            "advertised.listeners": f"{settings['advertised.listeners']},{address}",
            protocols: f"{settings[protocols]},TOKENS:SASL_SSL",
            "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{oauth}.sasl.server.callback.handler.class": f"{login}ValidatorCallbackHandler",
            f"{oauth}.sasl.jaas.config": f"{login}LoginModule required;",
            # Kafka 4.1.1 checks neither signature nor issuer nor audience without this.
            "sasl.oauthbearer.jwt.validator.class": f"{package}.BrokerJwtValidator",
            "sasl.oauthbearer.jwks.endpoint.url": self.keys.as_uri(),
            "sasl.oauthbearer.expected.audience": self.audience,
            "sasl.oauthbearer.expected.issuer": self.issuer,
        }


class ClosedBus:
    """Authority, certificate and users of one broker, in a directory of their own."""

    def __init__(self, directory: Path, port: int) -> None:
        authority = Authority(directory)
        self._authority = authority.file
        self._own = directory / f"{BROKER}-with-key.pem"
        if not self._own.exists():
            authority.issue(BROKER, "localhost", "127.0.0.1")
        self._directory = directory
        self._port = port
        self.by_certificate = free_port()
        """The port of the listener that takes certificates."""
        for user in (ADMINISTRATOR, *PROCESSES, PARTNER):
            self._password(user)

    def _password(self, user: str) -> str:
        path = self._directory / f"{user}.password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def connection(self, user: str = ADMINISTRATOR) -> KafkaConnection:
        """How this user connects."""
        return KafkaConnection(
            kafka_bootstrap=f"127.0.0.1:{self._port}",
            kafka_security="sasl_ssl",
            kafka_username=user,
            kafka_password_file=str(self._directory / f"{user}.password"),
            kafka_ca_file=str(self._authority),
        )

    @property
    def users(self) -> dict[str, KafkaConnection]:
        """The connection of each user."""
        return {name: self.connection(name) for name in (ADMINISTRATOR, *PROCESSES, PARTNER)}

    @property
    def first_users(self) -> list[str]:
        """The arguments of Kafka's format tool that create the users before anybody can connect."""
        return [
            argument
            for user in (ADMINISTRATOR, *PROCESSES, PARTNER)
            for argument in (
                "--add-scram",
                f"{MECHANISM}=[name={user},password={self._password(user)}]",
            )
        ]

    def properties(self, controller: int) -> dict[str, str]:
        """The broker's settings, in place of the ones of an open bus."""
        internal = self.by_certificate
        return {
            "listeners": f"SASL_SSL://127.0.0.1:{self._port},INTERNAL://127.0.0.1:{internal},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"SASL_SSL://127.0.0.1:{self._port},INTERNAL://127.0.0.1:{internal}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,INTERNAL:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "INTERNAL",
            "listener.name.internal.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": MECHANISM,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._own),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "ssl.principal.mapping.rules": "RULE:^CN=([a-z][a-z0-9.-]*)$/$1/,DEFAULT",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{ADMINISTRATOR};User:{BROKER}",
        }

    def answers(self) -> bool:
        """Whether the broker lets the administrator in."""
        return kafka_lets_in(self.connection())

    def open_to_services(self) -> None:
        """Give each service its rules, on the running broker."""
        apart(grant(self.connection(), all_service_rules()))
