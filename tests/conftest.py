"""What all tests share: a backend, databases of one's own, no sockets in the fast lanes, and an honest end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_socket
from hypothesis import HealthCheck, settings

from shared.devtools.backends import Backend, Capability, start

HERE = Path(__file__).parent
OFFLINE = (HERE / "unit", HERE / "contracts")
IN_CI = os.environ.get("CI") == "true"
NOT_PROVABLE = "not provable on "

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", parent=settings.get_profile("ci"), max_examples=50)
settings.register_profile(
    "search", parent=settings.get_profile("ci"), derandomize=False, max_examples=2_000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "quick"))


# --- the fast lanes talk to nobody ---------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if any(folder in item.path.parents for folder in OFFLINE):
        # An event loop talks to itself over a Unix socket.
        pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    pytest_socket.enable_socket()


# --- real servers --------------------------------------------------------------------------------------

_backends: list[Backend] = []


@pytest.fixture(scope="session")
def shared_backend() -> Iterator[Backend]:
    """Kafka and a store, whatever there is: given, containers or processes."""
    with start() as started:
        _backends.append(started)
        yield started


@pytest.fixture(scope="module")
def backend(shared_backend: Backend) -> Iterator[Backend]:
    """The backend; on the fallback broker one a module, for it can't make topics and groups anew."""
    if shared_backend.can(Capability.FAILOVER):
        yield shared_backend
    else:
        with start("embedded", say=lambda _line: None) as own:
            yield own


@pytest.fixture
def prefix() -> str:
    """A prefix for databases that nobody else uses."""
    return f"t{uuid4().hex[:10]}_"


# --- what could not be proved is said, and in CI it is a failure ----------------------------------------


def _unproved(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = [] if reporter is None else reporter.stats.get("skipped", [])
    return sum(NOT_PROVABLE in str(report.longrepr) for report in skipped)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if IN_CI and _unproved(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    count = _unproved(config)
    for started in _backends:
        terminalreporter.write_line(started.line())
    if _backends or count:
        line = f"not provable on this broker: {count} tests"
        if IN_CI and count:
            line += " (in CI every test must be provable: failed)"
        terminalreporter.write_line(line, red=bool(IN_CI and count))
