"""Development mode: published keys and passwords are refused, unless a deployment explicitly allows them.

Everybody knows the local issuer's keys, the keys from the standards' examples and the passwords of `.env.example`. In
production (the default) a service that is given one of them refuses to start. With `CARE_MODE=development` it starts,
logs a warning, and sends the header `Throughcare-Mode: development` with every response.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from shared.errors import ConfigurationError
from shared.runtime.settings import ServiceSettings

DEVELOPMENT: Final = "development"
HEADER: Final = ("Throughcare-Mode", DEVELOPMENT)
LOCAL_KEY: Final = "local"
"""The `kid` of every key of the local issuer (`care token`)."""
PUBLISHED_KEYS: Final = frozenset(
    {
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",  # RFC 8037, appendix A
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",  # RFC 7517, appendix A; RFC 7638, section 3.1
    }
)
"""Thumbprints (RFC 7638) of keys whose private half stands in a standard."""
PUBLISHED_PASSWORD: Final = "development-only"  # noqa: S105 - what it begins with, in `.env.example`


def is_on(settings: ServiceSettings) -> bool:
    """Whether development mode was switched on by name."""
    return settings.mode == DEVELOPMENT


def is_published(key: Mapping[str, Any], thumbprint: str) -> bool:
    """Whether everybody knows the private half of this key."""
    return key.get("kid") == LOCAL_KEY or thumbprint in PUBLISHED_KEYS


def check_passwords(settings: ServiceSettings) -> None:
    """Refuse the published passwords in production. Raises `ConfigurationError`, which names the setting."""
    if is_on(settings):
        return
    for setting, password in _passwords(settings):
        if password.startswith(PUBLISHED_PASSWORD):
            raise refusal(setting)


def refusal(setting: str) -> ConfigurationError:
    """A published key or password, found in production."""
    return ConfigurationError(
        "development-secret",
        f"{setting} holds a key or password that is published for development.",
        hint="Use your own, or set CARE_MODE=development where the service holds no real data.",
        setting=setting,
    )


def _passwords(settings: ServiceSettings) -> Iterator[tuple[str, str]]:
    yield "MONGO_URI", password_in(settings.mongo_uri)
    if settings.kafka_password is not None:
        yield "KAFKA_PASSWORD", settings.kafka_password.get_secret_value()
    for setting, path in (
        ("MONGO_PASSWORD_FILE", settings.mongo_password_file),
        ("KAFKA_PASSWORD_FILE", settings.kafka_password_file),
        ("KAFKA_CLIENT_SECRET_FILE", settings.kafka_client_secret_file),
    ):
        yield setting, _text(path)


def password_in(uri: str) -> str:
    """The password in a connection string; one that can't be read is refused where it is used."""
    try:
        return unquote(urlsplit(uri).password or "")
    except ValueError:
        return ""


def _text(path: str) -> str:
    """What the file says; a file that can't be read is refused where it is used."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip() if path else ""
    except OSError:
        return ""
