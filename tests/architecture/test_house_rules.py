"""The rules of the house, each held by a test: who may import whom, what is acknowledged when, what may be logged."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
import structlog
from faststream import AckPolicy

from shared.contracts.event import CATALOGUE
from shared.contracts.topics import TOPICS
from shared.devtools.backends.process import free_port, spawn, tail
from shared.runtime.http.subjects import Subjects
from shared.runtime.logs import ALLOWED, configure
from shared.runtime.service import Runtime, Service
from shared.runtime.settings import ServiceSettings
from shared.runtime.vault.settings import VaultSettings
from shared.services import OUTLET
from tests.scraped import families

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "care", "chaos", "demo", "services", "shared")
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/app.py"))
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NOBODY = "127.0.0.1:9"


def service(name: str) -> Service:
    return import_module(f"services.{name}.app").SERVICE


@pytest.fixture(params=SERVICES)
def each(request: pytest.FixtureRequest) -> Service:
    return service(request.param)


# --- who may import whom -------------------------------------------------------------------------------------


def _lint(root: Path) -> tuple[bool, dict[str, bool]]:
    """Whether import-linter is content, and which contracts are kept."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(
        [*command, "--no-cache"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = re.findall(r"^(.+?) (KEPT|BROKEN)$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return done.returncode == 0, {name: word == "KEPT" for name, word in found}


BREACHES = [
    (
        "Services never import one another",
        "services/plans/api/plans.py",
        "services.attendance.settings",
    ),
    ("Inside a service, imports point down", "services/plans/reactions.py", "services.plans.api"),
    ("No two rooms import each other", "services/plans/tables.py", "services.plans.goals"),
    ("Rules do no I/O", "services/plans/goals.py", "uuid"),
    ("Services take the runtime, not its drivers", "services/plans/api/plans.py", "pymongo"),
    ("Shared code knows no service", "shared/runtime/clock.py", "services.plans.tables"),
    ("The published language and decisions do no I/O", "shared/decision.py", "asyncio"),
    ("The published language and decisions do no I/O", "shared/contracts/codes.py", "asyncio"),
    ("The runtime needs no development tools", "shared/runtime/clock.py", "shared.devtools.stack"),
    (
        "The kit stands on the published language alone",
        "shared/kit/streams.py",
        "shared.runtime.clock",
    ),
    ("The kit stands on the published language alone", "shared/kit/newpart.py", "structlog"),
    # modules that nobody has listed anywhere
    ("Rules do no I/O", "services/plans/newrule.py", "asyncio"),
    ("Rules do no I/O", "services/plans/newrule.py", "random"),
    ("Rules do no I/O", "services/plans/newrule.py", "uuid"),
    ("Rules do no I/O", "services/plans/newrule.py", "services.plans.api"),
    ("Rules do no I/O", "services/intake/episode/newrule.py", "shared.runtime.http.call"),
    ("The published language and decisions do no I/O", "shared/newlanguage.py", "socket"),
]
"""(rule, file, what the file is made to import): each must be refused."""


def test_imports_keep_the_rules() -> None:
    content, kept = _lint(ROOT)
    assert content, [name for name, well in kept.items() if not well]
    assert set(kept) == {rule["name"] for rule in RULES}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the rules, elsewhere."""
    root = tmp_path_factory.mktemp("house")
    ignore = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.mark.parametrize(("rule", "file", "wanted"), BREACHES)
def test_every_rule_on_imports_notices_its_breach(
    rule: str, file: str, wanted: str, copied: Path
) -> None:
    path = copied / file
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\nimport {wanted}\n")
    try:
        content, kept = _lint(copied)
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert not content
    assert not kept[rule]


def test_every_rule_on_imports_has_a_breach_here() -> None:
    assert {rule["name"] for rule in RULES} == {rule for rule, *_ in BREACHES}


# --- one copy of each ----------------------------------------------------------------------------------------


def test_the_pattern_of_an_id_is_written_once() -> None:
    paths = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    found = [p for p in paths if re.search(r"\[0-9a-f\]\{8\}\(?-", p.read_text(encoding="utf-8"))]
    assert found == [ROOT / "shared" / "contracts" / "attributes.py"]


# --- one service alone ---------------------------------------------------------------------------------------


def _answer(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)
    except (URLError, OSError):
        return 0, {}


@pytest.mark.parametrize("name", SERVICES)
def test_shared_and_one_service_run_alone(name: str, tmp_path: Path) -> None:
    """Copied elsewhere, without its neighbours, broker or store, it starts and says that it is alive and not ready."""
    ignore = shutil.ignore_patterns("__pycache__", "testing")
    shutil.copytree(ROOT / "shared", tmp_path / "shared", ignore=ignore)
    shutil.copytree(ROOT / "services" / name, tmp_path / "services" / name, ignore=ignore)
    shutil.copy(ROOT / "services" / "__init__.py", tmp_path / "services")
    port, log = free_port(), tmp_path / "log"
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import runpy, services, shared\n"
        f"assert services.__file__.startswith({str(tmp_path)!r})\n"
        f"assert shared.__file__.startswith({str(tmp_path)!r})\n"
        f"runpy.run_module('services.{name}.app', run_name='__main__')\n"
    )
    env = os.environ | {
        "KAFKA_BOOTSTRAP": NOBODY,
        "MONGO_URI": f"mongodb://{NOBODY}/",
        "CARE_PORT": str(port),
        "CARE_SHUTDOWN_SECONDS": "1",
    }
    process = spawn([sys.executable, "-I", "-c", program], log=log, env=env)
    try:
        until = monotonic() + 60
        while _answer(port, "/healthz")[0] != 200:
            assert process.poll() is None, tail(log)
            assert monotonic() < until, tail(log)
            sleep(0.05)
        status, body = _answer(port, "/readyz")
        assert (status, body["reasons"][:1]) == (503, ["starting"])
        assert body["reasons"][1:] in ([], ["store-unavailable"])
    finally:
        process.kill()
        process.wait()


# --- at least once -------------------------------------------------------------------------------------------


async def test_every_subscriber_acknowledges_by_hand_and_from_the_beginning(each: Service) -> None:
    settings_type = VaultSettings if each.identities else ServiceSettings
    runtime = Runtime(each, settings_type())
    try:
        subscribers: list[Any] = list(runtime._broker.subscribers)
        assert subscribers
        for subscriber in subscribers:
            settings = subscriber._connection_args
            assert subscriber.ack_policy is AckPolicy.MANUAL
            assert settings["enable_auto_commit"] is False
            assert settings["auto_offset_reset"] == "earliest"
            assert settings["rebalance_timeout_ms"] >= 60_000
            assert settings["max_partition_fetch_bytes"] >= 1024 * 1024
            # aiokafka loses records of healthy partitions when one of these raises
            assert settings["key_deserializer"] is settings["value_deserializer"] is None
    finally:
        await runtime.store.close()


# --- reaction tables and the catalogue -------------------------------------------------------------------------

KNOWN_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("outlet", kind): "it acts on nothing: which team may read it is the subscriber's file's"
    for kind in CATALOGUE
}
"""(service, type): why it is heard although the catalogue does not name the service as a consumer."""


def test_what_a_service_hears_is_in_the_catalogue_and_names_it(each: Service) -> None:
    for reaction in each.reactions:
        event = reaction.event
        assert CATALOGUE.get(event.TYPE) is event
        assert event.SOURCE in TOPICS
        assert each.source != event.SOURCE, "a service hears itself through handoffs"
        if (each.name, event.TYPE) not in KNOWN_EXCEPTIONS:
            assert each.name in event.CONSUMERS, f"{event.TYPE} does not name {each.name}"
        kind = each.kinds.get(event.SUBJECT)
        assert kind is not None or reaction.target is not None, f"{event.TYPE}: no such record"


def test_exceptions_are_still_exceptions() -> None:
    for name, event_type in KNOWN_EXCEPTIONS:
        assert name not in CATALOGUE[event_type].CONSUMERS


def test_routes_name_records_by_what_they_are_made_of(each: Service) -> None:
    """The type checker trusts `Subjects`; the runtime goes by `SERVICE.kinds`."""
    if (
        each.name == OUTLET
    ):  # its records are of whatever subjects there are, and no route names one
        return
    module = import_module(f"services.{each.name}.api.subjects")
    named = [value for value in vars(module).values() if isinstance(value, Subjects)]
    assert named
    assert {one.kind: one.state for one in named} == {
        one.kind: each.kinds[one.kind].state for one in named
    }


# --- what is counted, and what is logged ----------------------------------------------------------------------

LABELS = {"kind", "status", "type", "source", "reason", "route", "topic", "partition"}


def test_metrics_are_named_alike_and_explain_themselves() -> None:
    found = families()
    assert len(found) > 25
    for metric in found:
        assert metric.name.startswith("care_")
        assert metric.documentation.endswith(".")
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        assert labels <= LABELS, "a label may be no subject and no person"


def test_metrics_are_documented() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    names = [m.name + ("_total" if m.type == "counter" else "") for m in families()]
    assert [name for name in names if f"`{name}`" not in text] == []


WORDS = {"detail", "hint"}
"""Keys of the log whose values are sentences."""


def _log_calls() -> Iterator[tuple[str, ast.Call]]:
    for package in ("shared/runtime", "services"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)):
                        if level in {"debug", "info", "warning", "error", "critical"}:
                            yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_log_line_has_a_fixed_name_and_only_listed_keys() -> None:
    calls = list(_log_calls())
    assert len(calls) > 10
    for place, call in calls:
        [event] = call.args
        assert isinstance(event, ast.Constant), f"{place}: the name of a line is a constant"
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(event.value)), place
        for keyword in call.keywords:
            if keyword.arg is not None:
                assert keyword.arg in ALLOWED, f"{place}: {keyword.arg} would be dropped"
                assert keyword.arg not in WORDS, f"{place}: only `said` gives words"


def test_words_in_the_log_come_from_known_failures_and_known_messages_alone() -> None:
    """`detail` and `hint` pass the allow-list, so only `said`, and the list of library messages, may make them."""
    makers = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("shared/runtime", "services")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict)
        and any(isinstance(key, ast.Constant) and key.value in WORDS for key in node.keys)
    ]
    logs = [place for place in makers if place.startswith("shared/runtime/logs.py")]
    assert len(logs) == 1
    spread = [
        (place, ast.unparse(keyword.value))
        for place, call in _log_calls()
        for keyword in call.keywords
        if keyword.arg is None and not place.startswith("shared/runtime/logs.py")
    ]
    assert spread
    for place, value in spread:
        assert re.search(r"said\(|^entry$|cause", value), f"{place}: {value}"


def test_the_logger_drops_what_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound or passed, and exceptions with their words."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    before = structlog.get_config()
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    try:
        configure("plans", "info")
        structlog.configure(cache_logger_on_first_use=False)
        log = structlog.get_logger()
        structlog.contextvars.bind_contextvars(patient="Maria")
        try:
            int("Maria")
        except ValueError:
            log.bind(name="Maria").error("some.thing", payload="Maria", count=3, exc_info=True)
            logging.getLogger("library").exception("failed on %s", "Maria")
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.configure(**before)
        logging.getLogger().handlers, logging.getLogger().level = handlers, level
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert "Maria" not in written.getvalue()
    ours, theirs = lines
    assert (ours["event"], ours["count"], ours["service"]) == ("some.thing", 3, "plans")
    assert (theirs["logger"], theirs["exception"]) == ("library", "ValueError")
    assert all(set(line) <= ALLOWED for line in lines)


def test_no_text_has_an_article_before_a_word_that_it_does_not_know() -> None:
    """`a {kind}` reads "a episode" and "a staff": such a text names the kind otherwise."""
    text = re.compile(r"""(?<![\w'])[Aa]n? \{[a-z]""")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("care", "demo", "services", "shared")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if text.search(line)
    ]
    assert found == []
