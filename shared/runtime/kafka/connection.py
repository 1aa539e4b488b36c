"""How every Kafka client connects: the address of the brokers, encryption and credentials.

Only this module turns settings into client options; `tests/architecture/test_kafka_options.py` verifies that no client
uses others. It reads certificates, keys and passwords from their files each time, so that the next connection uses a
replaced file.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Any, Final

from faststream.security import BaseSecurity, SASLOAuthBearer, SASLScram512

from shared.kit.oauth import ClientCredentials
from shared.runtime.connections import (
    SCRAM,
    KafkaConnection,
    contents,
    required,
    tls_context,
    unusable,
)

PROTOCOLS: Final = {"plaintext": "PLAINTEXT", "ssl": "SSL", "sasl_ssl": "SASL_SSL"}
"""What `KAFKA_SECURITY` may be, and what Kafka calls it. SASL without TLS is not offered: anyone could read along."""
SERVER: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")
"""One of the brokers."""
OAUTH: Final = "OAUTHBEARER"


def client_options(settings: KafkaConnection) -> dict[str, Any]:
    """What every aiokafka client is created with.

    Raises `ConfigurationError`, which names the setting, when the settings contradict each other or a file is missing.
    """
    found = _read(settings)
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": found.protocol,
    }
    if found.tls is not None:
        options["ssl_context"] = found.tls
    if found.tokens is not None:
        options |= {"sasl_mechanism": OAUTH, "sasl_oauth_token_provider": found.tokens}
    elif found.username:
        options |= {
            "sasl_mechanism": SCRAM,
            "sasl_plain_username": found.username,
            "sasl_plain_password": found.password,
        }
    return options


def broker_options(settings: KafkaConnection) -> dict[str, Any]:
    """The same for FastStream's `KafkaBroker`, which wants its own form of it. Raises as `client_options` does."""
    found = _read(settings)
    security = BaseSecurity(ssl_context=found.tls, use_ssl=found.tls is not None)
    if found.tokens is not None:
        security = SASLOAuthBearer(ssl_context=found.tls, use_ssl=True)
    elif found.username:
        security = SASLScram512(
            username=found.username, password=found.password, ssl_context=found.tls, use_ssl=True
        )
    return {
        "bootstrap_servers": settings.kafka_bootstrap.split(
            ","
        ),  # it takes a string for one server
        "security": security,
        "sasl_oauth_token_provider": found.tokens,
    }


@dataclass(frozen=True, slots=True)
class _Read:
    """Settings that have been checked, with the contents of their files."""

    protocol: str
    tls: ssl.SSLContext | None = None
    username: str = ""
    password: str = ""
    tokens: ClientCredentials | None = None


def _read(settings: KafkaConnection) -> _Read:
    for server in settings.kafka_bootstrap.split(","):
        if not SERVER.fullmatch(server.strip()):
            raise unusable("KAFKA_BOOTSTRAP", "is not `host:port[,host:port]`")
    if settings.kafka_security not in PROTOCOLS:
        raise unusable("KAFKA_SECURITY", f"is not one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[settings.kafka_security]
    if protocol == "PLAINTEXT":
        _check_nothing_is_ignored(settings)
        return _Read(protocol)
    tls = tls_context(settings, "kafka")
    if protocol == "SSL":
        if not settings.kafka_certificate_file:
            raise unusable("KAFKA_CERTIFICATE_FILE", "is not set, and `ssl` needs it")
        return _Read(protocol, tls)
    if settings.kafka_sasl_mechanism == SCRAM:
        return _Read(protocol, tls, required(settings, "kafka_username"), _password(settings))
    if settings.kafka_sasl_mechanism == OAUTH:
        return _Read(protocol, tls, tokens=_tokens(settings))
    raise unusable("KAFKA_SASL_MECHANISM", f"is not {SCRAM} or {OAUTH}")


def _check_nothing_is_ignored(settings: KafkaConnection) -> None:
    """A user or certificate without `KAFKA_SECURITY` would be ignored, and the connection open: nobody wants that."""
    for name in (
        "kafka_username",
        "kafka_token_url",
        "kafka_ca_file",
        "kafka_certificate_file",
    ):
        if getattr(settings, name):
            raise unusable("KAFKA_SECURITY", f"is `plaintext`, but {name.upper()} is set")


def _password(settings: KafkaConnection) -> str:
    if settings.kafka_password_file:
        return contents(settings, "kafka_password_file")
    password = settings.kafka_password.get_secret_value() if settings.kafka_password else ""
    if not password:
        raise unusable("KAFKA_PASSWORD_FILE", "is not set, and KAFKA_USERNAME needs a password")
    return password


def _tokens(settings: KafkaConnection) -> ClientCredentials:
    """The token endpoint may be inside or outside: its certificate may be signed by whom the system trusts as well."""
    url = required(settings, "kafka_token_url")
    if not url.startswith("https://"):
        raise unusable("KAFKA_TOKEN_URL", "is not an https address")
    required(settings, "kafka_client_secret_file")
    secret = contents(settings, "kafka_client_secret_file")
    trust = ssl.create_default_context()
    if settings.kafka_ca_file:
        trust.load_verify_locations(settings.kafka_ca_file)
    return ClientCredentials(url, required(settings, "kafka_client_id"), secret, trust)
