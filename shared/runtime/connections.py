"""The settings with which a replica reaches Kafka and MongoDB: addresses, encryption and credentials.

`kafka/connection.py` and `core/store_connection.py` turn these settings into options of the drivers.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings

from shared.errors import ConfigurationError

SCRAM: Final = "SCRAM-SHA-512"


class _Connection(BaseModel):
    model_config = ConfigDict(
        validate_by_name=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class KafkaConnection(_Connection):
    """Which Kafka, and as whom. A service's settings contain these; tests and tools create them without a service."""

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP")
    """Kafka's bootstrap servers, `host:port[,host:port]`."""
    kafka_prefix: str = Field(default="", validation_alias="KAFKA_PREFIX")
    """What topics, consumer groups and users begin with on the cluster, such as `test.`; empty: nothing."""
    kafka_security: str = Field(default="plaintext", validation_alias="KAFKA_SECURITY")
    """`plaintext`, `ssl` (the certificate says who the client is) or `sasl_ssl`."""
    kafka_sasl_mechanism: str = Field(default=SCRAM, validation_alias="KAFKA_SASL_MECHANISM")
    """With `sasl_ssl`: `SCRAM-SHA-512` or `OAUTHBEARER`."""
    kafka_username: str = Field(default="", validation_alias="KAFKA_USERNAME")
    """The SCRAM user."""
    kafka_password: SecretStr | None = Field(default=None, validation_alias="KAFKA_PASSWORD")
    """The user's password; a file is better, because other processes can't see it."""
    kafka_password_file: str = Field(default="", validation_alias="KAFKA_PASSWORD_FILE")
    """A file with the user's password."""
    kafka_ca_file: str = Field(default="", validation_alias="KAFKA_CA_FILE")
    """PEM: who may sign the brokers' certificates; empty: whom the system trusts."""
    kafka_certificate_file: str = Field(default="", validation_alias="KAFKA_CERTIFICATE_FILE")
    """PEM: the client's own certificate, for mutual TLS."""
    kafka_key_file: str = Field(default="", validation_alias="KAFKA_KEY_FILE")
    """PEM: the key of that certificate, without a passphrase."""
    kafka_token_url: str = Field(default="", validation_alias="KAFKA_TOKEN_URL")
    """OAUTHBEARER: where the client gets its tokens (OAuth 2.0 client credentials); https."""
    kafka_client_id: str = Field(default="", validation_alias="KAFKA_CLIENT_ID")
    """OAUTHBEARER: the client's id at the token endpoint."""
    kafka_client_secret_file: str = Field(default="", validation_alias="KAFKA_CLIENT_SECRET_FILE")
    """OAUTHBEARER: a file with the client's secret."""

    def environment(self) -> dict[str, str]:
        """The variables that give another process this connection."""
        values = {name.upper(): getattr(self, name) for name in KafkaConnection.model_fields}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value or ""
            for name, value in values.items()
        }


class MongoConnection(_Connection):
    """Which MongoDB, and as whom."""

    mongo_uri: str = Field(default="mongodb://127.0.0.1:27017", validation_alias="MONGO_URI")
    """MongoDB's connection string; may carry the service's own credentials."""
    mongo_username: str = Field(default="", validation_alias="MONGO_USERNAME")
    """The service's own user, in place of the one in the connection string."""
    mongo_password_file: str = Field(default="", validation_alias="MONGO_PASSWORD_FILE")
    """A file with the user's password, so that it stands in no connection string."""
    mongo_ca_file: str = Field(default="", validation_alias="MONGO_CA_FILE")
    """PEM: who may sign the servers' certificates. Turns TLS on."""
    mongo_certificate_file: str = Field(default="", validation_alias="MONGO_CERTIFICATE_FILE")
    """PEM: the client's own certificate and its key, in one file. Turns TLS on."""


class KafkaFromEnvironment(KafkaConnection, BaseSettings):
    """The connection of a tool that is no service."""


def tls_context(settings: BaseModel, server: Literal["kafka", "mongo"]) -> ssl.SSLContext:
    """Whom a client of this server trusts, and its own certificate: `…_CA_FILE`, `…_CERTIFICATE_FILE`, `…_KEY_FILE`.

    MongoDB's drivers want certificate and key in one file. Raises `ConfigurationError`, which names the setting.
    """
    names = (f"{server}_ca_file", f"{server}_certificate_file", f"{server}_key_file")
    if server == "mongo":
        names = (*names[:2], names[1])
    ca, certificate, key = (str(getattr(settings, name)) for name in names)
    for name in names:
        if getattr(settings, name):
            contents(settings, name)
    context = _loaded(names[0], lambda: ssl.create_default_context(cafile=ca or None))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        required(settings, names[2])
        _loaded(names[1], lambda: context.load_cert_chain(certificate, key, ""))
    elif key:
        raise unusable(names[1], f"is not set, but {names[2].upper()} is")
    return context


def _loaded(setting: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (ssl.SSLError, OSError) as error:
        raise unusable(setting, f"can't be used ({type(error).__name__})") from error


def required(settings: BaseModel, name: str) -> str:
    """The value of a setting that the others make necessary."""
    value: str = getattr(settings, name)
    if not value:
        raise unusable(name, "is not set, and the other settings need it")
    return value


def contents(settings: BaseModel, name: str, prefix: str = "") -> str:
    """The contents of the file that a setting names, without the line's end. `prefix` is that of its variable."""
    try:
        text = Path(getattr(settings, name)).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(
            f"{prefix}{name}", f"names no readable file ({type(error).__name__})"
        ) from error
    if not text:
        raise unusable(f"{prefix}{name}", "names an empty file")
    return text


def unusable(setting: str, why: str) -> ConfigurationError:
    """A setting of a connection that is missing, unknown or contradicts another; its value is not repeated."""
    return ConfigurationError(
        "connection-settings-unusable",
        f"{setting.upper()} {why}.",
        hint="docs/security.md lists the settings that must be set together.",
        setting=setting.upper(),
    )
