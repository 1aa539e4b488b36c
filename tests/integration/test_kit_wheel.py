"""The wheel as another team gets it: built, installed into an environment of its own, and the guide's example run."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest

from shared.contracts.attendance import SessionAttended
from shared.devtools.backends import Backend
from tests.integration.bus import Bus, until
from tests.needs import run

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "subscribers" / "python" / "billing.py"
BIN = Path(sys.executable).parent
ATTENDED = SessionAttended.example()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    run(BIN / "hatchling", "build", "-t", "wheel", "-d", dist, cwd=ROOT / "kit")
    [found] = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the wheel and what it requires. Prefers what was downloaded before."""
    environment = tmp_path_factory.mktemp("theirs")
    run(BIN / "uv", "venv", "-q", "--python", sys.executable, environment, cwd=ROOT)
    found = environment / "bin" / "python"
    install = (
        BIN / "uv",
        "pip",
        "install",
        "-q",
        "--python",
        found,
        wheel,
        "pytest",
        "pytest-asyncio",
    )
    try:
        run(*install, "--offline", cwd=ROOT)
    except AssertionError:
        run(*install, cwd=ROOT)
    return found


def test_it_has_the_language_and_the_kit_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    ours = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in ours} == {"throughcare_events"}
    rooms = {name.split("/")[1] for name in ours}
    assert rooms == {"__init__.py", "__main__.py", "contracts", "inbox.py", "kit", "py.typed"}
    copied = {
        name: (ROOT / "shared" / name.removeprefix("throughcare_events/")).read_bytes()
        for name in ours
        if name.count("/") > 1
    }
    with ZipFile(wheel) as built:
        assert [name for name, text in copied.items() if built.read(name) != text] == []


def test_it_needs_nothing_of_the_project(python: Path, tmp_path: Path) -> None:
    program = (
        "import sys, throughcare_events as it, throughcare_events.kit.testing\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not roots & {'shared', 'services', 'care', 'demo', 'yaml', 'faststream', 'pymongo', 'psycopg'}, roots\n"
        "assert set(it.kit.__all__) < set(it.__all__) == {one for one in it.__all__ if hasattr(it, one)}\n"
        "print(len(it.CATALOGUE))"
    )
    assert int(run(python, "-I", "-c", program, cwd=tmp_path)) > 100


def test_it_has_a_command_for_what_is_aside(python: Path, tmp_path: Path) -> None:
    words = ("-m", "throughcare_events", "aside", "list", "--inbox", "inbox.db", "--name", "me")
    with pytest.raises(AssertionError, match="inbox-unknown"):
        run(python, *words, cwd=tmp_path)
    program = "import asyncio, throughcare_events as it; asyncio.run(it.SQLiteInbox('inbox.db').open('me'))"
    run(python, "-c", program, cwd=tmp_path)
    assert run(python, *words, cwd=tmp_path) == "0 aside\n"


def test_the_guide_shows_the_example() -> None:
    guide = (ROOT / "docs" / "subscribing.md").read_text(encoding="utf-8")
    code = EXAMPLE.read_text(encoding="utf-8")
    assert f"```python\n{code}```" in guide
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


THEIR_TEST = """
import sqlite3
from throughcare_events.contracts.attendance import SessionAttended

def subscribe(events, directory):
    @events.on(SessionAttended)
    async def credit(event, envelope, tx):
        tx.execute("CREATE TABLE IF NOT EXISTS credits (episode TEXT, number INTEGER)")
        tx.execute("INSERT INTO credits VALUES (?, ?)", (envelope.subject, envelope.sequence))

def outcome(directory):
    with sqlite3.connect(directory / "inbox.db") as own:
        return own.execute("SELECT * FROM credits ORDER BY 1, 2").fetchall()

async def test_it_ends_alike(throughcare_rehearsal, throughcare_history, throughcare_examples):
    event = throughcare_examples[SessionAttended.TYPE].event
    for n in (1, 2, 1, 2, 1):
        throughcare_history.say(event, throughcare_history.subject("episode", n))
    found = await throughcare_rehearsal.ends_alike(
        subscribe, outcome, throughcare_history.messages, seeds=range(3)
    )
    assert len(found) == 5
"""


def test_their_pytest_has_the_plug_in(python: Path, tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIR_TEST)
    options = ("-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider")
    assert "1 passed" in run(python, "-m", "pytest", *options, cwd=tmp_path)


async def test_the_example_runs(backend: Backend, bus: Bus, python: Path, tmp_path: Path) -> None:
    subjects = [f"episode/{uuid4()}" for _ in range(3)]
    for number in range(1, 4):
        for subject in subjects:
            await bus.say(ATTENDED, subject, number)
    environment = {**os.environ, "KAFKA_BOOTSTRAP": backend.kafka_bootstrap}
    process = await asyncio.create_subprocess_exec(python, EXAMPLE, cwd=tmp_path, env=environment)
    try:
        await until(lambda: len(_credits(tmp_path)) >= 9, what="credits")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert sorted(_credits(tmp_path)) == sorted((subject, 180) for subject in subjects * 3)


def _credits(directory: Path) -> list[tuple[str, int]]:
    if (directory / "inbox.db").exists():
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(directory / "inbox.db")) as own,
        ):
            return own.execute("SELECT episode, minutes FROM credits").fetchall()
    return []
