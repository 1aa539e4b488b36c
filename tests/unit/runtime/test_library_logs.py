"""What libraries say: in words if it is on the list, never with anybody's data, and on no list for ever."""

from __future__ import annotations

import ast
import errno
import io
import json
import logging
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError, Unavailable
from shared.runtime import library_logs
from shared.runtime.library_logs import TEMPLATES, known
from shared.runtime.logs import ALLOWED, configure, said

ANNA = "Anna Müller, born 1980-01-01, +49 30 1234567"


def _record(logger: str, template: str, *values: object, error: Any = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(logger, logging.ERROR, __file__, 7, template, values, exc_info)


@cache
def _texts(package: str) -> frozenset[str]:
    """Every text in the code of a library."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    files = Path(spec.submodule_search_locations[0]).rglob("*.py")
    return frozenset(
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_every_message_on_the_list_is_one_of_the_library() -> None:
    """A new version may word it differently: then it would be mute again, and nobody would notice."""
    gone = [key for key in TEMPLATES if key[1] not in _texts(key[0].partition(".")[0])]
    assert not gone


@given(st.sampled_from(sorted(TEMPLATES)), st.data())
def test_nothing_gets_into_the_words_but_names_numbers_and_kinds(
    key: tuple[str, str], data: st.DataObject
) -> None:
    logger, template = key
    holes = template.count("%s") + template.count("%r")
    hostile = st.sampled_from(
        [ANNA, [ANNA], {ANNA: 1}, ANNA.encode(), ValueError(ANNA), KafkaConnectionError(ANNA)]
    )
    values = data.draw(st.tuples(*[hostile] * holes))
    found = known(_record(logger, template, *values))
    assert found is not None
    assert "Anna" not in found.words
    assert "1980" not in found.words


def test_what_helps_is_in_the_words() -> None:
    refused = OSError(errno.ECONNREFUSED, ANNA)
    client = known(_record("aiokafka.client", 'Unable connect to "%s:%s": %s', "k1", 9092, refused))
    assert client is not None
    assert client.words == 'Unable connect to "k1:9092": ConnectionRefusedError: Connection refused'
    sender = known(
        _record(
            "aiokafka.producer.sender",
            "Got error produce response on topic-partition %s, retrying. Error: %s",
            TopicPartition("care.plans", 3),
            KafkaConnectionError,
        )
    )
    assert sender is not None
    assert "care.plans/3" in sender.words
    assert "KafkaConnectionError" in sender.words


@pytest.mark.parametrize(
    ("logger", "template"),
    [
        ("aiokafka.client", f"something new about {ANNA}"),
        ("asyncio", f"Task exception was never retrieved\nfuture: ValueError('{ANNA}')"),
        ("uvicorn.error", f"Invalid HTTP request received. {ANNA}"),
        ("another.library", "Unexpected error in fetcher routine"),
    ],
)
def test_what_is_not_on_the_list_has_no_words(logger: str, template: str) -> None:
    assert known(_record(logger, template)) is None


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configures the log as a service does; returns what it has written."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure("plans", "info")
    structlog.configure(cache_logger_on_first_use=False)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.contextvars.clear_contextvars()
    structlog.configure(**before)
    root.handlers, root.level = handlers, level


def test_known_messages_come_in_words_and_others_with_their_place(lines: Any) -> None:
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s: %s", 1, "x")
    logging.getLogger("aiokafka.consumer.fetcher").warning(
        "Not authorized to read from topic %s.", "care.plans"
    )
    logging.getLogger("asyncio").error("%s", ANNA)
    try:
        int(ANNA)
    except ValueError:
        logging.getLogger("aiokafka.consumer.fetcher").exception(
            "Unexpected error in fetcher routine"
        )
    words, mute, bug = lines()  # the first is for `debug`
    assert (words["event"], words["level"]) == ("library.said", "warning")
    assert words["detail"] == "Not authorized to read from topic care.plans."
    assert (mute["event"], mute["logger"]) == ("library.logged", "asyncio")
    assert mute["where"].startswith("test_library_logs.test_known_messages")
    assert (bug["level"], bug["exception"]) == ("error", "ValueError")
    assert "Anna" not in json.dumps([words, mute, bug])
    assert all(set(line) <= ALLOWED for line in (words, mute, bug))


def test_a_known_failure_is_said_with_its_cause_and_what_to_do(lines: Any) -> None:
    log = structlog.get_logger()
    cause = Unavailable("store-unavailable", "Nothing listens at m:1.", hint="Start it.")
    cause.__cause__ = ConnectionRefusedError(ANNA)
    log.warning("start.waiting", **said(cause))
    log.critical("start.refused", **said(ConfigurationError("x-y", "No.", setting="CARE_PORT")))
    waiting, refused = lines()
    assert waiting["detail"] == "Nothing listens at m:1."
    assert waiting["hint"] == "Start it."
    assert waiting["exception"] == "ConnectionRefusedError"
    assert (refused["error_code"], refused["setting"]) == ("x-y", "CARE_PORT")
    assert "hint" not in refused
    assert "Anna" not in json.dumps([waiting, refused])


def test_the_list_tells_levels_apart() -> None:
    assert {library_logs.DEBUG, library_logs.INFO} <= set(TEMPLATES.values())
