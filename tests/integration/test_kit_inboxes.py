"""Inboxes in servers keep the same promises as the one in a file: MongoDB (or its stand-in) and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import pytest
from pymongo import AsyncMongoClient

from shared.contracts.attendance import SessionMissed
from shared.contracts.event import Envelope, Event
from shared.devtools.backends import Backend
from shared.kit.errors import InboxUnavailable, MovedOn, NotNow, Refused
from shared.kit.history import History
from shared.kit.inboxes.mongo import INBOX, MongoInbox
from shared.kit.inboxes.postgres import PostgresInbox
from shared.kit.inboxes.protocol import VERSION, Inbox
from tests.integration.postgres import binaries, postgres
from tests.needs import lacking
from tests.unit.kit import conftest, test_aside, test_delivery
from tests.unit.kit.subscribed import MISSED, Subscribed

history = conftest.history
subject = conftest.subject
for _name, _test in (vars(test_delivery) | vars(test_aside)).items():
    if (
        re.match("test_", _name)
        and "it" in _test.__code__.co_varnames[: _test.__code__.co_argcount]
    ):
        globals()[_name] = _test


class Store(NamedTuple):
    """A store: an inbox in it, and what a handler writes to it and a test reads."""

    inbox: Callable[[], Inbox]
    write: Callable[[Any, str, int], Awaitable[None]]
    written: Callable[[], Awaitable[list[int]]]
    age: Callable[[], Awaitable[None]]
    """Let a newer version have written the inbox."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if binaries() is None:
        lacking("PostgreSQL (Debian: apt-get install postgresql)")
    if find_spec("psycopg") is None:
        lacking("psycopg")
    with postgres() as conninfo:
        yield conninfo


@pytest.fixture
async def in_postgres(server: str) -> AsyncIterator[Store]:
    import psycopg  # noqa: PLC0415 - not everybody has it

    own: Any = await psycopg.AsyncConnection.connect(server, autocommit=True)
    await own.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await own.execute("CREATE TABLE missed (n serial, subject text, number integer)")

    async def write(tx: Any, name: str, number: int) -> None:
        await tx.execute("INSERT INTO missed (subject, number) VALUES (%s, %s)", (name, number))

    async def written() -> list[int]:
        found = await own.execute("SELECT number FROM missed ORDER BY n")
        return [number for (number,) in await found.fetchall()]

    async def age() -> None:
        await own.execute("UPDATE throughcare_inbox SET version = %s", (VERSION + 1,))

    yield Store(lambda: PostgresInbox(server), write, written, age)
    await own.close()


@pytest.fixture
async def in_mongo(backend: Backend, prefix: str) -> AsyncIterator[Store]:
    client: AsyncMongoClient[Any] = AsyncMongoClient(backend.mongo_uri)
    database = client[f"{prefix}kit"]
    await database.create_collection("missed")

    async def write(tx: Any, name: str, number: int) -> None:
        missed = tx.client[database.name]["missed"]
        await missed.insert_one({"subject": name, "number": number}, session=tx)

    async def written() -> list[int]:
        found = database["missed"].find().sort([("$natural", 1)])
        return [one["number"] async for one in found]

    async def age() -> None:
        await database[INBOX].update_many({}, {"$set": {"version": VERSION + 1}})

    yield Store(lambda: MongoInbox(backend.mongo_uri, database.name), write, written, age)
    await client.drop_database(database.name)
    await client.close()


@pytest.fixture(params=["mongo", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(f"in_{request.param}")
    return found


def _writing(store: Store) -> Subscribed:
    """A subscriber whose handler writes in the inbox's transaction, and then may fail."""
    it = Subscribed(store.inbox())

    @it.handlers.on(SessionMissed)
    async def _write(_event: Event, envelope: Envelope, tx: Any) -> None:
        await store.write(tx, envelope.subject, envelope.sequence)
        if envelope.subject in it.fails:
            raise it.fails[envelope.subject]

    return it


@pytest.fixture
async def it(store: Store) -> AsyncIterator[Subscribed]:
    subscribed = Subscribed(store.inbox())
    await subscribed.open()
    yield subscribed
    await subscribed.inbox.close()


@pytest.fixture
async def writing(store: Store) -> AsyncIterator[Subscribed]:
    subscribed = _writing(store)
    await subscribed.open()
    yield subscribed
    await subscribed.inbox.close()


async def test_what_a_failing_handler_wrote_is_taken_back_alone(
    writing: Subscribed, store: Store, history: History
) -> None:
    assert writing.inbox.transactions
    good, bad = history.subject("episode", 1), history.subject("episode", 2)
    writing.fails[bad] = RuntimeError()
    await writing.hear([history.say(MISSED, one) for one in (good, bad, good)])
    assert await store.written() == [1, 2]
    writing.fails.clear()
    writing.clock.now += 1
    await writing.delivery.again()
    assert await store.written() == [1, 2, 1]
    assert writing.delivery.aside == []


async def test_what_a_handler_wrote_that_has_to_wait_is_taken_back(
    writing: Subscribed, store: Store, history: History
) -> None:
    name = history.subject("episode", 1)
    writing.fails[name] = NotNow()
    messages = [history.say(MISSED, name)]
    with pytest.raises(NotNow):
        await writing.hear(messages)
    assert await store.written() == []
    writing.fails.clear()
    await writing.hear(messages)
    assert await store.written() == [1]


class PowerCut(BaseException):
    """Nothing catches it."""


async def test_of_a_unit_that_does_not_end_nothing_is_kept(
    writing: Subscribed, store: Store, history: History
) -> None:
    name = history.subject("episode", 1)
    writing.fails[name] = PowerCut()  # type: ignore[assignment]
    messages = [history.say(MISSED, name)]
    with pytest.raises(PowerCut):
        await writing.hear(messages)
    assert await store.written() == []
    writing.fails.clear()
    await writing.hear(messages)
    assert await store.written() == [1]


async def test_two_processes_do_not_handle_one_event_twice(
    writing: Subscribed, store: Store, history: History
) -> None:
    messages = [history.say(MISSED, history.subject("episode", 1)) for _ in range(2)]
    late = _writing(store)
    await late.open()
    assert late.inbox.id == writing.inbox.id
    await late.delivery.hold({(one.topic, one.partition) for one in messages})
    await writing.hear(messages)
    with pytest.raises(MovedOn):
        await late.delivery.take(messages)
    assert await store.written() == [1, 2]
    await late.inbox.close()


async def test_a_newer_inbox_is_refused(writing: Subscribed, store: Store) -> None:
    del writing
    await store.age()
    with pytest.raises(Refused, match="inbox-newer"):
        await store.inbox().open("billing")


async def test_a_server_that_is_not_there_is_refused() -> None:
    inboxes: list[Inbox] = [
        MongoInbox("mongodb://nowhere.invalid", "kit", wait_ms=100),
    ]
    if find_spec("psycopg") is not None:
        inboxes.append(PostgresInbox("host=127.0.0.1 port=9 user=kit"))
    for inbox in inboxes:
        with pytest.raises(Refused, match="inbox-unreachable"):
            await inbox.open("billing")
        await inbox.close()
    assert issubclass(MovedOn, InboxUnavailable)
