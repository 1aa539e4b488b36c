"""How a subscriber connects to Kafka: the same variables as the services, and no variable that it would ignore."""

from __future__ import annotations

import os
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from .errors import Refused
from .oauth import ClientCredentials

PROTOCOLS: Final = {"plaintext": "PLAINTEXT", "ssl": "SSL", "sasl_ssl": "SASL_SSL"}
SCRAM: Final = "SCRAM-SHA-512"
OAUTH: Final = "OAUTHBEARER"


@dataclass(frozen=True, slots=True)
class Connection:
    """Which Kafka, and as whom. Every field has a variable of the same name: `KAFKA_BOOTSTRAP` …"""

    bootstrap: str = "127.0.0.1:9092"
    """`host:port[,host:port]`."""
    prefix: str = ""
    """What the names of topics, groups and users begin with on this cluster, such as `test.`."""
    security: str = "plaintext"
    """`plaintext`, `ssl` (the certificate says who the client is) or `sasl_ssl`."""
    sasl_mechanism: str = SCRAM
    """With `sasl_ssl`: `SCRAM-SHA-512` (user and password) or `OAUTHBEARER` (tokens)."""
    username: str = ""
    password_file: str = ""
    """A file, because other processes can see a variable."""
    ca_file: str = ""
    """PEM: who may sign the brokers' certificates; empty: whom the system trusts."""
    certificate_file: str = ""
    """PEM: the client's own certificate, for mutual TLS."""
    key_file: str = ""
    """PEM: the key of that certificate, without a passphrase; empty: it stands in the same file."""
    token_url: str = ""
    """`OAUTHBEARER`: where tokens come from (OAuth 2.0 client credentials); https."""
    client_id: str = ""
    client_secret_file: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Connection:
        """What the variables say."""
        names = [field.name for field in fields(cls)]
        given = {name: environment.get(f"KAFKA_{name.upper()}", "") for name in names}
        return cls(**{name: value for name, value in given.items() if value})

    def client_options(self) -> dict[str, Any]:
        """What an aiokafka client is created with. Files are read each time, so that a replaced one counts.

        Raises `Refused` when the settings contradict each other or a file is missing.
        """
        if self.security not in PROTOCOLS:
            raise _unusable("security", f"is not one of {', '.join(PROTOCOLS)}")
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": PROTOCOLS[self.security],
        }
        if self.security == "plaintext":
            for name in ("username", "token_url", "ca_file", "certificate_file"):
                if getattr(self, name):  # it would be ignored, and the connection open
                    raise _unusable("security", f"is `plaintext`, but KAFKA_{name.upper()} is set")
            return options
        options["ssl_context"] = self._tls()
        if self.security == "sasl_ssl":
            options |= self._sasl()
        return options

    def _sasl(self) -> dict[str, Any]:
        if self.sasl_mechanism == SCRAM:
            return {
                "sasl_mechanism": SCRAM,
                "sasl_plain_username": self.username or self._missing("username"),
                "sasl_plain_password": self._contents("password_file"),
            }
        if self.sasl_mechanism != OAUTH:
            raise _unusable("sasl_mechanism", f"is not {SCRAM} or {OAUTH}")
        if not self.token_url.startswith("https://"):
            raise _unusable("token_url", "is not an https address")
        client, secret = self.client_id or self._missing("client_id"), "client_secret_file"
        trust = ssl.create_default_context()  # the endpoint may be outside
        if self.ca_file:
            trust.load_verify_locations(self.ca_file)
        tokens = ClientCredentials(self.token_url, client, self._contents(secret), trust)
        return {"sasl_mechanism": OAUTH, "sasl_oauth_token_provider": tokens}

    def _tls(self) -> ssl.SSLContext:
        with _told("ca_file"):
            context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate_file:
            with _told("certificate_file"):
                context.load_cert_chain(self.certificate_file, self.key_file or None, "")
        elif self.key_file or self.security == "ssl":
            self._missing("certificate_file")
        return context

    def _contents(self, name: str) -> str:
        try:
            text = Path(getattr(self, name) or self._missing(name)).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(name, "names no readable file") from error
        return text.rstrip("\r\n") or self._missing(name)

    def _missing(self, name: str) -> str:
        raise _unusable(name, "is not set, and the other settings need it")


@contextmanager
def _told(name: str) -> Generator[None]:
    try:
        yield
    except (ssl.SSLError, OSError) as error:
        raise _unusable(name, f"can't be used ({type(error).__name__})") from error


def _unusable(name: str, why: str) -> Refused:
    return Refused("connection-settings-unusable", f"KAFKA_{name.upper()} {why}.")
