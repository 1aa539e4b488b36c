"""An inbox in a file: a handler's writes are kept with its position or not at all; what can't be used is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.contracts.attendance import SessionMissed
from shared.contracts.event import Envelope, Event
from shared.kit.errors import InboxUnavailable, MovedOn, Refused
from shared.kit.inboxes import sqlite
from shared.kit.inboxes.protocol import VERSION
from shared.kit.inboxes.sqlite import SQLiteInbox
from tests.unit.kit.subscribed import MISSED, History, Subscribed, file_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(file_of(tmp_path))) as own:
        own.execute("CREATE TABLE missed (subject TEXT, number INTEGER)")
    return file_of(tmp_path)


@pytest.fixture
async def it(path: Path) -> AsyncIterator[Subscribed]:
    subscribed = _writing(path)
    await subscribed.open()
    yield subscribed
    await subscribed.inbox.close()


def _writing(path: Path) -> Subscribed:
    """A subscriber whose handler writes in the inbox's transaction, and then may fail."""
    it = Subscribed(SQLiteInbox(path, lock_seconds=0.05))

    @it.handlers.on(SessionMissed)
    async def _write(_event: Event, envelope: Envelope, tx: sqlite3.Connection) -> None:
        tx.execute("INSERT INTO missed VALUES (?, ?)", (envelope.subject, envelope.sequence))
        if envelope.subject in it.fails:
            raise it.fails[envelope.subject]

    return it


def _content(path: Path) -> bytes:
    return path.read_bytes()


def _written(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as own:
        return [number for (number,) in own.execute("SELECT number FROM missed ORDER BY rowid")]


async def test_what_a_failing_handler_wrote_is_taken_back_alone(it: Subscribed, path: Path) -> None:
    history = History()
    good, bad = history.subject("episode", 1), history.subject("episode", 2)
    it.fails[bad] = RuntimeError()
    await it.hear([history.say(MISSED, one) for one in (good, bad, good)])
    assert _written(path) == [1, 2]
    it.fails.clear()
    it.clock.now += 1
    await it.delivery.again()
    assert _written(path) == [1, 2, 1]


class PowerCut(BaseException):
    """Nothing catches it, as nothing catches a kill."""


async def test_of_a_unit_that_does_not_end_nothing_is_kept(it: Subscribed, path: Path) -> None:
    history = History()
    subjects = [history.subject("episode", n) for n in range(3)]
    messages = [history.say(MISSED, one) for one in subjects]
    it.fails[subjects[2]] = PowerCut()  # type: ignore[assignment]
    with pytest.raises(PowerCut):
        await it.hear(messages)
    assert _written(path) == []
    it.fails.clear()
    await it.hear(messages)
    assert _written(path) == [1, 1, 1]


async def test_two_processes_with_one_inbox_do_not_handle_one_event_twice(
    it: Subscribed, path: Path
) -> None:
    history = History()
    messages = [history.say(MISSED, history.subject("episode", 1)) for _ in range(2)]
    late = _writing(path)
    await late.open()
    await late.delivery.hold({(one.topic, one.partition) for one in messages})
    await it.hear(messages)
    with pytest.raises(MovedOn):
        await late.delivery.take(messages)
    assert _written(path) == [1, 2]
    await late.inbox.close()


async def test_a_handler_that_ends_the_transaction_is_told_so(path: Path) -> None:
    it, history = Subscribed(SQLiteInbox(path)), History()

    @it.handlers.on(SessionMissed)
    async def _commit(_event: Event, _envelope: Envelope, tx: sqlite3.Connection) -> None:
        tx.execute("COMMIT")

    await it.open()
    with pytest.raises(InboxUnavailable, match="transaction-gone"):
        await it.hear([history.say(MISSED, history.subject("episode", 1))])
    await it.inbox.close()


async def test_a_newer_inbox_is_refused_and_left_as_it_is(path: Path) -> None:
    inbox = SQLiteInbox(path)
    await inbox.open("billing")
    await inbox.close()
    with closing(sqlite3.connect(path)) as own, own:
        own.execute("UPDATE throughcare_inbox SET version = ?", (VERSION + 1,))
    before = _content(path)
    with pytest.raises(Refused, match="inbox-newer"):
        await inbox.open("billing")
    assert _content(path) == before


async def test_a_locked_inbox_is_refused_at_start_and_waited_for_later(
    it: Subscribed, path: Path
) -> None:
    history = History()
    message = history.say(MISSED, history.subject("episode", 1))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InboxUnavailable, match="inbox-locked"):
            await it.hear([message])
        with pytest.raises(Refused, match="inbox-locked"):
            await SQLiteInbox(path, lock_seconds=0.05).open("billing")
    await it.hear([message])
    assert _written(path) == [1]


async def test_a_full_inbox_is_waited_for(it: Subscribed, path: Path) -> None:
    history = History()
    subjects = [history.subject("episode", n) for n in range(200)]
    messages = [history.say(MISSED, one) for one in subjects]
    connection = it.inbox._connection  # type: ignore[attr-defined]
    [(pages,)] = connection.execute("PRAGMA page_count")
    connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        with pytest.raises(InboxUnavailable, match=r"inbox-(full|transaction-gone)"):
            await it.hear(messages)
        assert _written(path) == []
    connection.execute("PRAGMA max_page_count = 100000")
    await it.hear(messages)
    assert _written(path) == [1] * 200


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 40, None])
async def test_what_is_no_inbox_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "missing" / "inbox.db"
    if content is not None:
        path = tmp_path / "inbox.db"
        path.write_bytes(content)
    with pytest.raises(Refused, match="inbox-un"):
        await SQLiteInbox(path).open("billing")
    assert content is None or _content(path) == content


async def test_each_subscriber_has_its_own_place_in_one_file(path: Path) -> None:
    history = History()
    message = history.say(MISSED, history.subject("episode", 1))
    for name in ("billing", "reporting"):
        it = _writing(path)
        await it.inbox.open(name)
        await it.hear([message])
        await it.inbox.close()
    assert _written(path) == [1, 1]


async def test_a_stream_is_looked_up_and_not_searched_for(tmp_path: Path) -> None:
    """With thousands of streams the search took seconds for each batch."""
    inbox = SQLiteInbox(file_of(tmp_path))
    await inbox.open("billing")
    with closing(sqlite3.connect(file_of(tmp_path))) as own:
        plan = own.execute(f"EXPLAIN QUERY PLAN {sqlite._STREAMS}", ("[]", "billing")).fetchall()
    assert any("source=? AND subject=?" in row[-1] for row in plan), plan
    await inbox.close()
