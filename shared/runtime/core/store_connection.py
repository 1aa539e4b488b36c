"""The options that the settings add to the MongoDB connection string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.uri_parser import parse_uri

from shared.runtime.connections import MongoConnection, contents, tls_context, unusable


def new_client(uri: str, options: Mapping[str, Any]) -> AsyncMongoClient[dict[str, Any]]:
    """A client that connects when first asked. It need not retry writes: each is guarded, and its caller retries."""
    return AsyncMongoClient(
        uri,
        timeoutMS=10_000,
        serverSelectionTimeoutMS=5_000,
        retryWrites=False,
        connect=False,
        **options,
    )


def mongo_options(settings: MongoConnection) -> dict[str, Any]:
    """What the driver is given beside the connection string, and with precedence over it.

    Raises `ConfigurationError`, which names the setting, when one of them, or a file, is not what it should be.
    """
    options: dict[str, Any] = {}
    if not settings.mongo_uri.startswith("mongodb+srv:"):  # the driver looks that up
        try:
            parse_uri(settings.mongo_uri)
        except (DriverConfigurationError, ValueError) as error:
            raise unusable(
                "mongo_uri", f"is no connection string of MongoDB ({type(error).__name__})"
            ) from error
    if settings.mongo_ca_file or settings.mongo_certificate_file:
        tls_context(
            settings, "mongo"
        )  # refuses what can't be used; the driver reads the files itself
        options["tls"] = True
    if settings.mongo_ca_file:
        options["tlsCAFile"] = settings.mongo_ca_file
    if settings.mongo_certificate_file:
        options["tlsCertificateKeyFile"] = settings.mongo_certificate_file
    if settings.mongo_username:
        options["username"] = settings.mongo_username
    if settings.mongo_password_file:
        options["password"] = contents(settings, "mongo_password_file")
    return options
