"""The command starts quickly because it imports little, says its version, and says what an installed package lacks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from care import demo, show
from tests.unit.care.terminal import care

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {
    "aiohttp",
    "aiokafka",
    "bson",
    "cryptography",
    "demo",
    "fastapi",
    "faststream",
    "httpx2",
    "joserfc",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "pymongo",
    "services",
    "shared.contracts",
    "shared.devtools",
    "shared.programs",
    "shared.runtime",
    "structlog",
    "uvicorn",
    "uvloop",
    "yaml",
}
"""What help needs none of. Clocks differ between machines; imports do not."""
PROGRAM = """\
import sys
from care.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
heavy = {heavy!r}
print("\\n#", *sorted(heavy.intersection(sys.modules)))
"""

HIDDEN = """\
import sys

class Hidden:  # an editable install would still find it
    def find_spec(self, name, *_):
        if name == "demo":
            raise ModuleNotFoundError("No module named 'demo'", name=name)

sys.meta_path.insert(0, Hidden())
from care.cli import app
app()
"""


def run(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{heavy!r}", repr(HEAVY)), *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("dead-letters", "--help"),
        ("dead-letters", "redrive", "--help"),
        ("up", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_version_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    # Typer itself reads the options of a command with pydantic; the groups and the version need none of it.
    own = {"pydantic", "pydantic_core"} if len(arguments) > 1 else set[str]()
    assert set(done.stdout.splitlines()[-1].split()) - own == {"#"}


def test_a_command_that_needs_something_heavy_is_noticed() -> None:
    done = run("contracts", "list", "--json")
    assert {"pydantic", "shared.contracts"} <= set(done.stdout.splitlines()[-1].split())


def test_the_version_is_the_package_s() -> None:
    shown = care("--version")
    assert (shown.exit_code, shown.stdout) == (0, f"throughcare {version('throughcare')}\n")


def test_without_the_demo_s_code_one_sentence_says_so(tmp_path: Path) -> None:
    """As from a wheel: only what is packaged is there."""
    for package in ("care", "services", "shared"):
        ignore = shutil.ignore_patterns("__pycache__", "published")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, "demo", "--exit"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"{demo.NOT_HERE}\n{demo.HOW}\n"
    assert done.stdout == ""


def test_a_broken_demo_is_not_taken_for_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "demo.run", None)
    broken = care("demo", "--exit")
    assert isinstance(broken.exception, ModuleNotFoundError)
    assert broken.exception.name == "demo.run"


@pytest.mark.parametrize(
    ("words", "directory"), [(("coverage",), "tests"), (("contracts", "generate"), "docs")]
)
def test_what_needs_the_source_code_says_so(
    words: tuple[str, ...], directory: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(show, "ROOT", tmp_path)
    done = care(*words)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"This command needs the source code: {directory}/")
    assert "Traceback" not in done.output


UP = """\
import contextlib, tempfile
from types import SimpleNamespace
import shared.devtools.backends, shared.devtools.stack
from care import stack

@contextlib.contextmanager
def held(*_args, **_more):
    with tempfile.TemporaryDirectory() as name:
        print(name, flush=True)
        yield SimpleNamespace(kafka_bootstrap="", mongo_uri="", processes=[])

shared.devtools.backends.start = shared.devtools.stack.services = held
stack._check_free = lambda _port: None
stack.up(0)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_whoever_ends_it_finds_nothing_left(sent: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C removed what is temporary, and a supervisor's SIGTERM left it."""
    with subprocess.Popen(
        [sys.executable, "-c", UP],
        env={**os.environ, "HOME": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        made = [Path(running.stdout.readline().strip()) for _ in ("backend", "services")]
        assert all(path.is_dir() for path in made)
        while "KAFKA_BOOTSTRAP" not in running.stderr.readline():  # it has begun to copy the logs
            pass
        running.send_signal(sent)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, "stopped" in said) == (0, True)
    assert not any(path.exists() for path in made)
