"""Structured logs that can't carry personal data: only the keys of an allowlist pass.

An entry is an event name in dotted lower case (`work.blocked`) with the keys below. Everything else is dropped,
exception messages included: they may quote the data that caused them.
"""

from __future__ import annotations

import atexit
import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, TextIO, cast

import structlog

from shared.errors import ConfigurationError, Unavailable
from shared.runtime import library_logs
from shared.runtime.log_output import Output

ALLOWED: Final = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "service",
        "subject",
        "event_id",
        "event_type",
        "cause_id",
        "correlation_id",
        "topic",
        "partition",
        "offset",
        "offset_expected",
        "reason",
        "error_code",
        "exception",
        "where",
        "field",
        "count",
        "seconds",
        "partitions",
        "method",
        "route",
        "status",
        "facility_id",
        "actor_role",
        "logger",
        "port",
        "backend",
        "setting",
        "detail",
        "hint",
        "address",
        "reasons",
        "bus_user",
        "right",
        "resource",
        "group",
    }
)


def only_allowed(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop every key that is not on the list."""
    for key in [key for key in entry if key not in ALLOWED]:
        del entry[key]
    return entry


def where(error: BaseException) -> str:
    """The places in the code that an exception came through, innermost last. Its message is left out."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(f"{Path(f.filename).stem}.{f.name}:{f.lineno}" for f in frames)


def said(error: ConfigurationError | Unavailable) -> dict[str, str]:
    """What a log line says of a known failure: its code, its cause and what to do about it, in plain words.

    Only of these two kinds of error: their texts speak of settings, addresses and topics, and never of a person.
    """
    found = {"error_code": error.code, "detail": error.detail, "hint": error.hint}
    if isinstance(error, ConfigurationError):
        found["setting"] = error.setting
    if error.__cause__ is not None:
        found["exception"] = type(error.__cause__).__name__
    return {name: text for name, text in found.items() if text}


class _Bridge(logging.Handler):
    """Log entries of libraries: in words if they are known to hold no data; of all others, where they come from."""

    def emit(self, record: logging.LogRecord) -> None:
        known = library_logs.known(record)
        if known is None:
            log.log(record.levelno, "library.logged", logger=record.name, **_origin(record))
        else:
            entry = _origin(record) if record.exc_info else {}
            log.log(known.level, "library.said", logger=record.name, detail=known.words, **entry)


def _origin(record: logging.LogRecord) -> dict[str, str]:
    """Where a library's message comes from: the places that its exception came through, else where it was logged."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {"where": f"{record.module}.{record.funcName}:{record.lineno}"}
    return {"exception": type(error).__name__, "where": where(error)}


def configure(service: str, level: str, output: Output | None = None) -> Output:
    """Log JSON to standard output, or to an output that is there; other libraries from WARNING on (`library_logs.py`).

    A line that can't be written never stops anything: the output that is returned counts it.
    """
    if output is None:
        output = Output(sys.stdout)
        atexit.register(output.drain)
    # A handler that fails would print to standard error, which may be gone as well.
    logging.raiseExceptions = False
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    root = logging.getLogger()
    root.handlers = [_Bridge(level=logging.WARNING)]
    root.setLevel(logging.WARNING)
    return output


log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()
