"""Structured logs that can't carry personal data: only known keys pass, and never a payload.

A line is an event name in dotted lower case (`work.blocked`) with the keys below. Anything else that is bound
or passed is dropped, exception messages included: they may quote what they choked on.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

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
    }
)


def only_allowed(
    _logger: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drop every key that is not on the list."""
    for key in [key for key in line if key not in ALLOWED]:
        del line[key]
    return line


def where(error: BaseException) -> str:
    """The places in the code that an exception came through, innermost last; never its words."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(f"{Path(f.filename).stem}.{f.name}:{f.lineno}" for f in frames)


class _Bridge(logging.Handler):
    """Lines of other libraries: their logger and level, and the exception's type. Not their words."""

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log.log(record.levelno, "library.said", logger=record.name, exception=exception)


def configure(service: str, level: str) -> None:
    """JSON lines on standard output; libraries from WARNING on, by name only."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    root = logging.getLogger()
    root.handlers = [_Bridge(level=logging.WARNING)]
    root.setLevel(logging.WARNING)


log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()
