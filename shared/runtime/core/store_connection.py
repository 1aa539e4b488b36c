"""How a replica connects to MongoDB: what its settings add to the connection string."""

from __future__ import annotations

from typing import Any

from shared.runtime.connections import MongoConnection, contents, tls_context


def mongo_options(settings: MongoConnection) -> dict[str, Any]:
    """What the driver is given beside the connection string, and with precedence over it.

    Raises `ConfigurationError`, which names the setting, when a file is missing or is not what it should be.
    """
    options: dict[str, Any] = {}
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
