"""The pytest plug-in that other teams get: it passes handlers that are right, and finds those that are not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import CATALOGUE
from shared.contracts.attendance import SessionAttended
from shared.contracts.event import Envelope
from shared.kit.handlers import Handlers
from shared.kit.history import History
from shared.kit.testing import (
    Example,
    Rehearsal,
    throughcare_examples,
    throughcare_history,
    throughcare_rehearsal,
)
from tests.unit.kit.subscribed import ATTENDED, MISSED

assert throughcare_examples
assert throughcare_history
assert throughcare_rehearsal
TABLE = "CREATE TABLE IF NOT EXISTS credits (subject TEXT, number INTEGER)"


@pytest.fixture
def messages(throughcare_history: History) -> list[Any]:
    subjects = [throughcare_history.subject("episode", n) for n in range(3)]
    for number in range(4):
        for subject in subjects:
            throughcare_history.say(MISSED if number == 2 else ATTENDED, subject)
    return throughcare_history.messages


def right(events: Handlers, directory: Path) -> None:
    """Writes by the inbox's transaction alone."""

    @events.on(SessionAttended)
    async def credit(_event: SessionAttended, envelope: Envelope, tx: sqlite3.Connection) -> None:
        tx.execute(TABLE)
        tx.execute("INSERT INTO credits VALUES (?, ?)", (envelope.subject, envelope.sequence))


def outside(events: Handlers, directory: Path) -> None:
    """Writes elsewhere, and counts what comes twice twice."""

    @events.on(SessionAttended)
    async def credit(_event: SessionAttended, envelope: Envelope) -> None:
        with closing(sqlite3.connect(directory / "own.db")) as own, own:
            own.execute(TABLE)
            own.execute("INSERT INTO credits VALUES (?, ?)", (envelope.subject, envelope.sequence))


def across(events: Handlers, directory: Path) -> None:
    """Numbers what it hears over all subjects: there is no order between them."""

    @events.on(SessionAttended)
    async def credit(_event: SessionAttended, envelope: Envelope, tx: sqlite3.Connection) -> None:
        tx.execute(TABLE)
        tx.execute("INSERT INTO credits SELECT ?, count(*) FROM credits", (envelope.subject,))


def credited(name: str) -> Callable[[Path], Any]:
    def outcome(directory: Path) -> Any:
        with closing(sqlite3.connect(directory / name)) as own:
            return own.execute("SELECT subject, number FROM credits ORDER BY 1, 2").fetchall()

    return outcome


async def test_a_handler_that_is_right_ends_alike(
    throughcare_rehearsal: Rehearsal, messages: list[Any]
) -> None:
    found = await throughcare_rehearsal.ends_alike(
        right, credited("inbox.db"), messages, seeds=range(8)
    )
    assert len(found) == 9


@pytest.mark.parametrize(("wrong", "file"), [(outside, "own.db"), (across, "inbox.db")])
async def test_a_handler_that_is_wrong_is_found(
    throughcare_rehearsal: Rehearsal,
    messages: list[Any],
    wrong: Callable[[Handlers, Path], None],
    file: str,
) -> None:
    with pytest.raises(AssertionError, match="seed"):
        await throughcare_rehearsal.ends_alike(wrong, credited(file), messages)


def test_every_type_has_its_published_example(throughcare_examples: Mapping[str, Example]) -> None:
    assert throughcare_examples.keys() == CATALOGUE.keys()
    for event_type, example in throughcare_examples.items():
        assert example.envelope.type == event_type
        assert event_type == example.event.TYPE
