"""Row 5: a log that can't be written never stops work. It is counted, and readiness says so."""

from __future__ import annotations

import io
import json
import logging
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import structlog
from prometheus_client import generate_latest

from shared.devtools.backends import Backend
from shared.devtools.stack import services
from shared.runtime import log_output
from shared.runtime.log_output import Output
from shared.runtime.logs import configure
from shared.runtime.metrics import Metrics
from tests.integration.bus import until
from tests.scraped import watched


class Raising(io.StringIO):
    """A stream in memory that can't be written."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, _text: str, /) -> int:
        raise self._error


class OnFile:
    """A stream on a descriptor."""

    def __init__(self, file: int) -> None:
        self._file = file

    def write(self, _text: str, /) -> int:
        raise AssertionError("a descriptor is written in the background")

    def flush(self) -> None: ...

    def fileno(self) -> int:
        return self._file


@contextmanager
def _file(path: str, flags: int) -> Iterator[OnFile]:
    file = os.open(path, flags)
    yield OnFile(file)
    os.close(file)


@contextmanager
def _pipe_without_reader() -> Iterator[OnFile]:
    reader, writer = os.pipe()
    os.close(reader)
    yield OnFile(writer)
    os.close(writer)


@contextmanager
def _closed_descriptor() -> Iterator[OnFile]:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    yield OnFile(writer)


@contextmanager
def _closed_stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    stream.close()
    yield stream


@contextmanager
def _raising(error: Exception) -> Iterator[Raising]:
    yield Raising(error)


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


SINKS: dict[str, Callable[[], Any]] = {
    "a full device": lambda: _file("/dev/full", os.O_WRONLY),
    "a descriptor that is only read": lambda: _file("/dev/null", os.O_RDONLY),
    "a directory": lambda: _file("/", os.O_RDONLY),
    "a pipe whose reader has gone": _pipe_without_reader,
    "a descriptor that was closed": _closed_descriptor,
    "a stream that was closed": _closed_stream,
    "no stream at all": _nothing,
    "no space": lambda: _raising(OSError(28, "No space left on device")),
    "an input/output error": lambda: _raising(OSError(5, "Input/output error")),
    "a quota": lambda: _raising(OSError(122, "Disk quota exceeded")),
    "a write that would block": lambda: _raising(BlockingIOError(11, "again")),
    "a reset connection": lambda: _raising(ConnectionResetError()),
    "a write that timed out": lambda: _raising(TimeoutError()),
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_output, "RETRY_SECONDS", 0.01)
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize("name", SINKS)
async def test_a_line_that_cant_be_written_is_counted_and_raises_nothing(name: str) -> None:
    with SINKS[name]() as stream:
        output = Output(stream, lines_max=100)
        for number in range(300):
            output.write(f"line {number}\n")
        await until(lambda: output.failing and output.failures, what="a failure that is noticed")
        assert not output.drain(0.05)
        assert output.lost >= 100
        metrics = Metrics()
        metrics.watch(replace(watched(), output=output))
        text = generate_latest(metrics.registry).decode()
        assert f"care_log_lines_lost_total {float(output.lost)}" in text
        output.close()


@pytest.mark.parametrize("name", SINKS)
async def test_whoever_logs_within_an_except_goes_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: our lines, bound and with an exception, and those of libraries."""
    with SINKS[name]() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        output = configure("plans", "info")
        structlog.configure(cache_logger_on_first_use=False)
        log = structlog.get_logger()
        try:
            json.loads("no JSON")
        except ValueError:
            log.warning("batch.waiting", exception="ValueError", exc_info=True)
            logging.getLogger("uvicorn.error").exception("failed")
        monkeypatch.undo()
        await until(lambda: output.failing, what="a failure that is noticed")
        output.close()


async def test_a_pipe_that_nobody_reads_makes_nobody_wait() -> None:
    reader, writer = os.pipe()
    output = Output(OnFile(writer), lines_max=50)
    line = "x" * 8_000 + "\n"
    for _ in range(
        200
    ):  # far more than a pipe holds: written in place, the second dozen would wait for ever
        output.write(line)
    assert output.lost >= 100
    assert output.failing
    assert not output.drain(0.01)
    # Somebody reads again: what is queued comes whole and in order, and all is well.
    read = bytearray()
    thread = threading.Thread(target=lambda: read.extend(_all_of(reader)))
    thread.start()
    await until(lambda: output.drain(0.01) and not output.failing, what="a pipe that is read")
    output.close()
    os.close(writer)
    thread.join()
    os.close(reader)
    assert read.decode() == line * (200 - output.lost)


def _all_of(reader: int) -> Iterator[int]:
    while data := os.read(reader, 65_536):
        yield from data


async def test_when_there_is_space_again_no_line_is_missing(tmp_path: Path) -> None:
    """A file that may not grow for a while: what was begun is ended, what waited follows."""
    path = tmp_path / "log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("wb", buffering=0) as file:
        output = Output(OnFile(file.fileno()))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            for number in range(5):
                output.write(f"line {number}\n")
            await until(lambda: output.failures, what="a failure that is noticed")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await until(lambda: not output.failing and output.drain(0.01), what="lines that come after")
        output.close()
    assert path.read_text().splitlines() == [f"line {number}" for number in range(5)]
    assert output.lost == 0


# --- a whole service -----------------------------------------------------------------------------------------


def _asked(url: str) -> Any:
    with urlopen(url, timeout=5) as answer:
        return answer.read().decode()


@pytest.mark.usefixtures("fresh_topics")
async def test_a_service_whose_output_is_full_becomes_ready_and_says_so(
    backend: Backend, prefix: str
) -> None:
    with services(backend, names=["intake"], database_prefix=prefix) as stack:
        process = stack.one("intake")
        process.stop()
        process.log = Path("/dev/full")
        process.start()

        async def ready() -> Any:
            if not process.answers():
                return None
            try:
                return json.loads(_asked(f"{process.url}/readyz"))
            except OSError:
                return None  # 503: not yet

        answer = await until(ready, what="readiness", limit_s=90)
        assert (answer["status"], answer["reasons"]) == ("ready", [])
        assert answer["warnings"] == ["logs-failing"]
        metrics = _asked(f"{process.url}/metrics")
        assert "care_log_failures_total 0.0" not in metrics
        assert "care_log_failures_total" in metrics
