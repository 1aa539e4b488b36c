"""What stops a service, or makes it wait, is said in one line: the cause and what to do.

Where waiting makes no sense the process ends at once. A healthy start has no warning.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared.devtools.backends import Backend
from shared.devtools.backends.certificates import Authority
from shared.devtools.backends.process import free_port
from shared.devtools.stack import services
from shared.runtime import serve
from shared.runtime.log_output import Output
from shared.runtime.logs import configure
from shared.runtime.serve import run
from shared.runtime.settings import ServiceSettings
from shared.services import SERVICES
from tests.integration.bus import until

NOBODY = "127.0.0.1:1"
AWAY = {
    "KAFKA_BOOTSTRAP": NOBODY,
    "MONGO_URI": f"mongodb://{NOBODY}/",
    "CARE_JWKS": "",
    "CARE_SHUTDOWN_SECONDS": "1",
}
SECRET = "Anna-1980-01-01"


async def _process(name: str, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.{name}.app"),
        env={**os.environ, **AWAY, "CARE_PORT": str(free_port()), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def _ended(name: str, env: Mapping[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    """The exit status, the log lines, and what was written to standard error."""
    process = await _process(name, env)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.contextvars.clear_contextvars()
    structlog.configure(**before)
    root.handlers, root.level = handlers, level


def _configured(*arguments: Any) -> Output:
    output = configure(*arguments)
    structlog.configure(cache_logger_on_first_use=False)  # the next test has another output
    return output


REFUSED: list[tuple[str, dict[str, str], str, str]] = [
    ("plans", {"CARE_PORT": "abc"}, "settings-unusable", "CARE_PORT"),
    ("plans", {"CARE_PORT": "70000"}, "settings-unusable", "CARE_PORT"),
    ("plans", {"CARE_LOG_LEVEL": SECRET}, "settings-unusable", "CARE_LOG_LEVEL"),
    ("plans", {"CARE_CLOCK": SECRET}, "settings-unusable", "CARE_CLOCK"),
    ("plans", {"CARE_OTEL": SECRET}, "settings-unusable", "CARE_OTEL"),
    ("plans", {"CARE_SWEEP_AFTER_SECONDS": "-1"}, "settings-unusable", "CARE_SWEEP_AFTER_SECONDS"),
    ("intake", {"CARE_OFFER_HOURS": "0"}, "settings-unusable", "CARE_OFFER_HOURS"),
    ("intake", {"CARE_LEVEL_RULES": "/no/such"}, "level-rules-unreadable", "CARE_LEVEL_RULES"),
    ("attendance", {"CARE_LABORATORY": "/no/such"}, "laboratory-unreadable", "CARE_LABORATORY"),
    ("plans", {"CARE_PROGRAMS": "/no/such"}, "programs-unreadable", "CARE_PROGRAMS"),
    ("plans", {"CARE_JWKS": SECRET}, "jwks-unreadable", "CARE_JWKS"),
    ("plans", {"CARE_JOURNAL_KEY": SECRET}, "journal-key-unusable", "CARE_JOURNAL_KEY"),
    ("plans", {"CARE_HOST": "192.0.2.1"}, "address-unusable", "CARE_HOST"),
    ("plans", {"CARE_HOST": "no.such.host.invalid"}, "address-unusable", "CARE_HOST"),
    ("plans", {"KAFKA_BOOTSTRAP": "kafka"}, "connection-settings-unusable", "KAFKA_BOOTSTRAP"),
    ("plans", {"KAFKA_SECURITY": SECRET}, "connection-settings-unusable", "KAFKA_SECURITY"),
    ("plans", {"KAFKA_CA_FILE": "/no"}, "connection-settings-unusable", "KAFKA_SECURITY"),
    ("plans", {"MONGO_URI": SECRET}, "connection-settings-unusable", "MONGO_URI"),
    ("plans", {"MONGO_URI": "mongodb://u:a@b@h"}, "connection-settings-unusable", "MONGO_URI"),
    (
        "plans",
        {"MONGO_PASSWORD_FILE": "/no"},
        "connection-settings-unusable",
        "MONGO_PASSWORD_FILE",
    ),
]


@pytest.mark.parametrize(
    ("name", "env", "code", "setting"), REFUSED, ids=[str(row[1]) for row in REFUSED]
)
def test_a_setting_that_cant_be_used_ends_the_process_with_one_line(
    name: str, env: dict[str, str], code: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the function that the process consists of."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    for variable, value in {**AWAY, "CARE_PORT": str(free_port()), **env}.items():
        monkeypatch.setenv(variable, value)
    app = import_module(f"services.{name}.app")
    settings = getattr(app, f"{name.capitalize()}Settings", ServiceSettings)
    monkeypatch.setattr(serve, "configure", _configured)
    with pytest.raises(SystemExit) as ended:
        run(app.SERVICE, settings)
    assert ended.value.code == 2
    [line] = [json.loads(text) for text in written.getvalue().splitlines()]
    assert (line["event"], line["level"]) == ("start.refused", "critical")
    assert (line["error_code"], line["setting"]) == (code, setting)
    assert line["detail"]
    assert line["hint"]
    assert SECRET not in json.dumps(line)


async def test_a_port_that_is_taken_ends_the_process_with_one_line() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(60):
            status, lines, err = await _ended("plans", {"CARE_PORT": str(port)})
    assert (status, err) == (2, "")
    [line] = lines
    assert (line["event"], line["error_code"]) == ("start.refused", "port-taken")
    assert line["detail"] == f"Another process listens on port {port} of 127.0.0.1."
    assert "CARE_PORT" in line["hint"]


WAITING: list[tuple[dict[str, str], str, str]] = [
    ({"MONGO_URI": f"mongodb://{NOBODY}"}, "store-unavailable", f"Nothing listens at {NOBODY}"),
    (
        {"MONGO_URI": "mongodb://no.such.host.invalid"},
        "store-unavailable",
        "The name no.such.host.invalid has no address",
    ),
    ({"MONGO_URI": "mongodb://{kafka}"}, "store-unavailable", "does not answer as MongoDB does"),
    ({"KAFKA_BOOTSTRAP": NOBODY}, "broker-unavailable", f"Nothing listens at {NOBODY}"),
    (
        {"KAFKA_BOOTSTRAP": "no.such.host.invalid:9092"},
        "broker-unavailable",
        "The name no.such.host.invalid has no address",
    ),
    (
        {"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "p"},
        "broker-tls-differs",
        "does not use TLS",
    ),
    ({"MONGO_CA_FILE": "{ca}"}, "store-tls-differs", "does not use TLS"),
]


@pytest.mark.parametrize(("env", "code", "detail"), WAITING, ids=[str(row[0]) for row in WAITING])
async def test_what_a_start_waits_for_is_said_at_once_and_once(
    env: dict[str, str], code: str, detail: str, backend: Backend, prefix: str, tmp_path: Path
) -> None:
    kafka = backend.kafka_bootstrap
    ca = Authority(tmp_path).file
    given = {"KAFKA_BOOTSTRAP": kafka, "MONGO_URI": backend.mongo_uri}
    given |= {name: text.format(kafka=kafka, ca=ca) for name, text in env.items()}
    process = await _process("plans", {**given, "CARE_DATABASE_PREFIX": prefix})
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            lines = [json.loads(await process.stdout.readline())]
            while lines[-1]["event"] != "start.waiting":
                lines.append(json.loads(await process.stdout.readline()))
        waiting = lines[-1]
        assert (waiting["error_code"], waiting["level"]) == (code, "warning")
        assert detail in waiting["detail"]
        assert waiting["hint"]
        assert loud(lines[:-1]) == []
    finally:
        process.terminate()
        out, _ = await process.communicate()
    later = [json.loads(line)["event"] for line in out.splitlines()]
    assert "start.waiting" not in later


def loud(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Warnings and errors, other than those that the tests' development mode asks for."""
    asked_for = ("service.development_mode", "vault.development_key")
    return [
        line
        for line in lines
        if line["level"] not in ("info", "debug") and line["event"] not in asked_for
    ]


@pytest.mark.usefixtures("fresh_topics")
async def test_a_healthy_start_says_what_it_has_done_and_warns_of_nothing(
    backend: Backend, prefix: str
) -> None:
    with services(backend, database_prefix=prefix) as stack:

        def lines(name: str) -> list[dict[str, Any]]:
            text = stack.one(name).log.read_text(encoding="utf-8")
            return [json.loads(line) for line in text.splitlines()]

        async def all_ready() -> bool:
            return all(
                any(line["event"] == "service.ready" for line in lines(name)) for name in SERVICES
            )

        await until(all_ready, what="all services say that they are ready")
        for name in SERVICES:
            said = [line["event"] for line in lines(name)]
            for event in ("http.listening", "store.connected", "broker.connected"):
                assert said.count(event) == 1
            assert said.index("http.listening") < said.index("store.connected")
            assert said.index("service.started") < said.index("service.ready")
            assert loud(lines(name)) == []
            assert not any(event.startswith("library.") for event in said)
