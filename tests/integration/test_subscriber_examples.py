"""The examples of each language on a secured broker: killed in mid-run, they credit every session once, in order."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from shared.contracts.attendance import SessionAttended, SessionMissed
from shared.contracts.topics import TOPICS
from shared.devtools.backends import Backend, start
from shared.devtools.backends.java import find_java
from shared.devtools.backends.kafka_jars import kafka_home
from shared.devtools.backends.kafka_secured import PARTNER
from shared.runtime.kafka.access import subscriber_rules
from shared.runtime.kafka.grants import grant
from shared.runtime.kafka.topics import ensure_topics
from tests import needs
from tests.integration.bus import Bus, bus_to, until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "subscribers"
ATTENDED, MISSED = SessionAttended.example(), SessionMissed.example()
PROGRAM = "import runpy, sys; sys.path.insert(0, {!r}); runpy.run_path({!r}, run_name='__main__')"

pytestmark = pytest.mark.timeout(300)


class Example(NamedTuple):
    command: list[str]
    credits: Callable[[Path], list[tuple[str, int]]]
    """The subjects and numbers that it has credited, in its order."""


def _of_json(path: Path) -> list[tuple[str, int]]:
    found = [
        json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"
    ]
    return [
        (one["stream"].replace("|", " ").split()[1], one["number"])
        for one in found
        if "minutes" in one
    ]


def _of_words(path: Path) -> list[tuple[str, int]]:
    rows = [line.split() for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"]
    return [(row[1], int(row[2])) for row in rows if len(row) == 4]


def _node(directory: Path) -> Example:
    node, npm = needs.program("node"), needs.program("npm")
    for path in (EXAMPLES / "node").glob("*.*"):
        shutil.copy(path, directory)
    needs.run(npm, "ci", "--ignore-scripts", "--silent", cwd=directory)
    return Example([node, str(directory / "billing.mjs")], _of_json)


def _go(directory: Path) -> Example:
    program = directory / "billing"
    needs.run(needs.program("go"), "build", "-o", program, ".", cwd=EXAMPLES / "go")
    return Example([str(program)], _of_json)


def _java(directory: Path) -> Example:
    home = kafka_home(print, lambda _what, _done: None)
    needs.run(
        needs.program("javac"),
        "-cp",
        home.classpath,
        "-d",
        directory,
        EXAMPLES / "java" / "Billing.java",
        cwd=ROOT,
    )
    classpath = f"{directory}{os.pathsep}{home.classpath}"
    return Example([find_java().path, "-cp", classpath, "Billing"], _of_words)


@pytest.fixture(scope="module")
def closed() -> Iterator[Backend]:
    with start("embedded", quick=True, secured=True) as backend:
        yield backend


@pytest.fixture(scope="module")
async def bus(closed: Backend) -> AsyncIterator[Bus]:
    """Says events as attendance does, where a partner may read them."""
    topic = TOPICS[ATTENDED.SOURCE]
    await ensure_topics(closed.kafka_of("attendance"), [topic])
    await grant(closed.kafka, subscriber_rules(PARTNER, [topic.name]))
    async with bus_to(closed.kafka) as it:
        yield it


def _environment(closed: Backend) -> dict[str, str]:
    return {**os.environ, **closed.kafka_of(PARTNER).environment()}


async def _say(bus: Bus, subjects: set[str], numbers: range) -> None:
    """Each event twice, as a publisher does that got no answer; the second of each subject is of another type."""
    for number in numbers:
        for subject in (*subjects, *subjects):
            await bus.say(MISSED if number == 2 else ATTENDED, subject, number)


@pytest.mark.parametrize("prepare", [_node, _go, _java])
async def test_each_session_is_credited_once_and_in_order(
    closed: Backend, bus: Bus, tmp_path: Path, prepare: Callable[[Path], Example]
) -> None:
    build, journal = tmp_path / "build", tmp_path / "journal"
    build.mkdir()
    example = await asyncio.to_thread(prepare, build)
    subjects = {f"episode/{uuid4()}" for _ in range(4)}

    def credited() -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for subject, number in example.credits(journal) if journal.exists() else []:
            if subject in subjects:
                found[subject].append(number)
        return found

    def all_of(numbers: list[int]) -> bool:
        return credited() == dict.fromkeys(subjects, numbers)

    await _say(bus, subjects, range(1, 4))
    for said, killed in (([1, 3], True), ([1, 3, 4, 5], False)):
        process = await asyncio.create_subprocess_exec(
            *example.command, str(journal), env=_environment(closed), cwd=tmp_path
        )
        try:
            await until(lambda wanted=said: all_of(wanted), what=f"crediting {said}", limit_s=90)
            if killed:
                process.kill()
                with journal.open("a") as torn:
                    torn.write("cut short by the crash")
                await _say(bus, subjects, range(4, 6))
            else:
                process.terminate()
            await asyncio.wait_for(process.wait(), 30)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert all_of([1, 3, 4, 5])


async def test_the_python_example_is_at_home_there_too(
    closed: Backend, bus: Bus, tmp_path: Path
) -> None:
    """With the kit as it stands in the source tree; `test_kit_wheel.py` has it from the wheel."""
    source = (EXAMPLES / "python" / "billing.py").read_text()
    program = source.replace("throughcare_events.contracts", "shared.contracts")
    program = program.replace("throughcare_events", "shared.kit").replace(
        '"billing"', f'"{PARTNER}"'
    )
    (tmp_path / "theirs.py").write_text(program)
    subject = f"episode/{uuid4()}"
    await bus.say(ATTENDED, subject, 1)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.format(str(ROOT), str(tmp_path / "theirs.py")),
        env=_environment(closed),
        cwd=tmp_path,
    )
    try:
        await until(lambda: _in_inbox(tmp_path, subject), what="a credit", limit_s=60)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _in_inbox(directory: Path, subject: str) -> bool:
    if (directory / "inbox.db").exists():
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(directory / "inbox.db")) as own,
        ):
            return bool(
                own.execute("SELECT 1 FROM credits WHERE episode = ?", (subject,)).fetchall()
            )
    return False
