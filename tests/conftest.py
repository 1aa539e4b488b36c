"""What all tests share: a backend, databases of one's own, and no sockets in the fast lanes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_socket
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from shared.devtools.backends import Backend, start
from tests.integration.bus import forget_topics
from tests.pymongo_sockets import close_by_themselves

HERE = Path(__file__).parent
OFFLINE = (HERE / "unit", HERE / "contracts")
COLLECTED = pytest.StashKey[tuple[pytest.Item, ...]]()
IN_CI = os.environ.get("CI") == "true"

# Tests trust the local issuer, whose keys production refuses.
os.environ["CARE_MODE"] = "development"
close_by_themselves()

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", parent=settings.get_profile("ci"), max_examples=20)
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


# --- side by side --------------------------------------------------------------------------------------


class Scheduler(LoadScopeScheduling):
    """Gives each worker of `make test` whole files, for a file shares servers and costly fixtures.

    All files that watch the cast are one: it is played once. pytest-xdist's own mark for such groups does nothing with
    pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "cast" if "/test_cast" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    return Scheduler(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what waits for servers, so that no worker ends alone with a long file."""
    items.sort(key=_turn)
    config.stash[COLLECTED] = tuple(items)  # before `-m` and `-k` leave some out


@pytest.fixture(scope="session")
def all_tests(pytestconfig: pytest.Config) -> tuple[pytest.Item, ...] | None:
    """All tests that there are, where this run has collected them anyhow: a minute is saved. Else None."""
    collected = pytestconfig.stash[COLLECTED]
    files = {item.path for item in collected}
    asked = any("::" in argument for argument in pytestconfig.args)
    return None if asked or set(HERE.rglob("test_*.py")) - files else collected


def _turn(item: pytest.Item) -> int:
    if any(folder in item.path.parents for folder in OFFLINE):
        return 2
    return 0 if HERE / "flows" in item.path.parents else 1


# --- real servers --------------------------------------------------------------------------------------

_backends: list[Backend] = []


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    """Kafka and a store, whatever there is: given, containers or processes."""
    with start(quick=True) as started:
        _backends.append(started)
        yield started


@pytest.fixture
def prefix() -> str:
    """A prefix for databases that nobody else uses."""
    return f"t{uuid4().hex[:10]}_"


@pytest.fixture
async def fresh_topics(backend: Backend) -> None:
    """No topic, and no position of a group: a service with a new store refuses the history of another one."""
    await forget_topics(backend)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for started in _backends:
        terminalreporter.write_line(started.line())
