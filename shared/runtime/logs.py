"""Structured logs that can't carry personal data: only the keys of an allow-list pass.

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
        "bus_user",
        "right",
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


class _Bridge(logging.Handler):
    """Log entries of other libraries: their logger, level and exception type, without their message."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log.log(record.levelno, "library.logged", logger=record.name, exception=exception)


def configure(service: str, level: str) -> Output:
    """Log JSON to standard output; other libraries from WARNING on, without their messages.

    A line that can't be written never stops anything: the output that is returned counts it.
    """
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
