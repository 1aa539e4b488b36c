"""The process of one replica: its settings, its log, its port, and the error messages when one of them is unusable."""

from __future__ import annotations

import gc
import sys
from typing import Final, NoReturn

import uvicorn
from pydantic import ValidationError

from shared.errors import ConfigurationError
from shared.runtime.http.protocol import server_options
from shared.runtime.logs import configure, log, said
from shared.runtime.network import listen
from shared.runtime.service import Service, create_app
from shared.runtime.settings import ServiceSettings
from shared.services import PORTS

COLLECT_AFTER_OBJECTS: Final = 50_000
"""How many new objects start a garbage collection of the youngest generation."""
REFUSED: Final = 2
"""The exit status of a process that can't run as it is configured: starting it again does not help."""


def run(service: Service, settings_type: type[ServiceSettings]) -> None:
    """Serve until SIGTERM or SIGINT. What can't be used ends the process at once, with one line that says why."""
    output = configure(service.name, "info")
    try:
        settings = read_settings(settings_type)
        output = configure(service.name, settings.log_level, output)
        port = settings.port or PORTS[service.name]
        app = create_app(service, settings, output)
        sockets = listen(settings.host, port, host_setting="CARE_HOST", port_setting="CARE_PORT")
        if settings.metrics_port:
            sockets += listen(
                settings.metrics_host,
                settings.metrics_port,
                host_setting="CARE_METRICS_HOST",
                port_setting="CARE_METRICS_PORT",
            )
    except ConfigurationError as error:
        _refuse(error)
    log.info("http.listening", address=settings.host, port=port)
    _relax_garbage_collection()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            **server_options(settings.connections_max),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(settings.shutdown_seconds),
        )
    )
    server.run(sockets)
    if not server.started:
        sys.exit(REFUSED)


def read_settings(settings_type: type[ServiceSettings]) -> ServiceSettings:
    """The settings in the environment. Raises `ConfigurationError`, which names those at fault and not their values."""
    try:
        return settings_type()
    except ValidationError as error:
        faults = [
            (_variable(settings_type, str(fault["loc"][0]) if fault["loc"] else ""), fault["msg"])
            for fault in error.errors(include_input=False, include_url=False)
        ]
    words = "; ".join(f"{name}: {message}" for name, message in faults)
    raise ConfigurationError(
        "settings-unusable",
        f"{words}.",
        hint="docs/settings.md lists every setting with its form and default.",
        setting=faults[0][0],
    )


def _variable(settings_type: type[ServiceSettings], name: str) -> str:
    """The environment variable of a field, which pydantic names by its alias, if it has one."""
    field = settings_type.model_fields.get(name)
    if field is not None and isinstance(field.validation_alias, str):
        return field.validation_alias
    return name if field is None else f"CARE_{name.upper()}"


def _refuse(error: ConfigurationError) -> NoReturn:
    log.critical("start.refused", **said(error))
    sys.exit(REFUSED)


def _relax_garbage_collection() -> None:
    """Have the garbage collector examine new objects only, and less often.

    Imported modules stay for good, and a batch consists of thousands of short-lived objects without cycles. With the
    default thresholds, the search for cycles takes a fifth of the processor time (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 50)
