"""Rows 4 and 6: a stored record that no longer reads, or that a newer version wrote, is that record's trouble alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.devtools.backends import Backend
from shared.errors import CareError
from shared.runtime.core.documents import Document, in_microseconds
from shared.runtime.core.reactor import Reactor
from shared.runtime.core.relay import Relay
from shared.runtime.core.store import MongoStore
from shared.runtime.core.work import OutcomeStatus
from shared.runtime.metrics import Metrics
from shared.runtime.set_aside import UNREADABLE
from shared.runtime.timers import look_at
from shared.testing.fakes import MemoryPublisher, MemoryStore, decoded, encoded
from tests.unit.runtime.toy import (
    ALL,
    EPISODES,
    HANDOFFS,
    KINDS,
    SOURCE,
    START,
    Feed,
    add,
    arm,
    command,
)

BAD, GOOD = EPISODES[0], EPISODES[1]
LATER = datetime(9999, 1, 1, tzinfo=UTC)
DUE = START + timedelta(hours=9)
ENTRY = {"sequence": 1, "headers": {"ce_type": "care.toy.counted.v1"}, "data": b"{}"}

HANDOFF: dict[str, Any] = {
    "number": 1,
    "subject": GOOD,
    "body_type": "Poke",
    "body": {},
    "cause_id": "cause",
    "correlation_id": "cause",
    "facility_id": "harbor-iop",
    "actor_id": "system",
    "actor_role": "system",
    "now": START.isoformat(),
}


def _set(path: str, value: Any) -> Callable[[Document], None]:
    def damage(document: Document) -> None:
        holder, *rest = path.split(".")
        if rest:
            document[holder][rest[0]] = value
        else:
            document[holder] = value

    return damage


def _drop(name: str) -> Callable[[Document], None]:
    return lambda document: document.pop(name, None)


DAMAGES: dict[str, Callable[[Document], None]] = {
    "a field of the state has another type": _set("state.total", "many"),
    "a list is a number": _set("state.seen", 7),
    "a deadline is no time": _set("state.deadlines", {"first:x": "soon"}),
    "a deadline is a list": _set("state.deadlines", {"first:x": []}),
    "the state is a text": _set("state", "gone"),
    "the state is null": _set("state", None),
    "no state": _drop("state"),
    "no version of the form": _drop("schema"),
    "the form's version is a text": _set("schema", "one"),
    "the form's version is from before the first": _set("schema", 0),
    "the revision is a text": _set("revision", "7"),
    "no number for the next event": _drop("next_sequence"),
    "the inbox is a list": _set("inbox", []),
    "an inbox entry is a number": _set("inbox", {"feed": 7}),
    "an inbox entry's number is a text": _set("inbox", {"feed": ["2", b"", b""]}),
    "an inbox entry's number is null": _set("inbox", {"feed": [None, b"", b""]}),
    "an inbox entry's number is a list": _set("inbox", {"feed": [[], b"", b""]}),
    "an inbox entry's number is below zero": _set("inbox", {"feed": [-1, b"", b""]}),
    "an inbox entry's window is a text": _set("inbox", {"feed": [2, "", b""]}),
    "an inbox entry's window is null": _set("inbox", {"feed": [2, None, b""]}),
    "an inbox entry's window is cut": _set("inbox", {"feed": [2, b"0123456", b""]}),
    "an inbox entry's discarded items are a number": _set("inbox", {"feed": [2, b"", 7]}),
    "an inbox entry ends early": _set("inbox", {"feed": [2, b""]}),
    "the blocked streams are a text": _set("blocked", "feed"),
    "the facility is a number": _set("facility_id", 7),
    "the outbox is a text": _set("outbox", "events"),
    "an outbox entry is a number": _set("outbox", [7]),
    "an outbox entry has no type": _set("outbox", [ENTRY | {"headers": {}}]),
    "an outbox entry has no data": _set("outbox", [ENTRY | {"data": None}]),
    "an outbox entry has a header of another type": _set(
        "outbox", [ENTRY | {"headers": {"ce_type": 7}}]
    ),
    "a handoff is a text": _set("handoffs", ["later"]),
    "a handoff is for nobody": _set("handoffs", [{"number": 1, "subject": "stranger/1"}]),
    **{
        f"a handoff has no {name}": _set(
            "handoffs", [{key: value for key, value in HANDOFF.items() if key != name}]
        )
        for name in HANDOFF
    },
    **{
        f"a handoff whose {name} is {value!r}": _set("handoffs", [HANDOFF | {name: value}])
        for name, value in (
            ("number", "1"),
            ("now", "yesterday"),
            ("now", "2026-01-05T09:00:00"),
            ("now", 7),
            ("actor_id", None),
            ("traceparent", 7),
            ("subject", ["episode"]),
        )
    },
    "no blocked streams": _drop("blocked"),
    "the events wait since no time": _set("waiting", "ever"),
    "no number for the next handoff": _set("next_handoff", None),
}


class Disk:
    """Both stores' documents, changed behind their backs."""

    def __init__(self, store: MemoryStore | MongoStore) -> None:
        self.store = store

    async def change(self, subject: str, change: Callable[[Document], None]) -> None:
        if isinstance(self.store, MemoryStore):
            document = decoded(self.store.disk.records[subject])
            change(document)
            self.store.disk.records[subject] = encoded(document)
        else:
            records = self.store.collection("records")
            document = await records.find_one({"_id": subject}) or {}
            change(document)
            await records.replace_one({"_id": subject}, document)

    async def document(self, subject: str) -> Document:
        if isinstance(self.store, MemoryStore):
            return decoded(self.store.disk.records[subject])
        return await self.store.collection("records").find_one({"_id": subject}) or {}

    async def dead_letters(self) -> list[Document]:
        if isinstance(self.store, MemoryStore):
            return self.store.disk.dead_letter_documents()
        return await self.store.collection("dead_letters").find({}).to_list()


class Life:
    """One process on a store: everything that it remembers is gone with it."""

    def __init__(self, store: MemoryStore | MongoStore) -> None:
        self.store = store
        self.publisher = MemoryPublisher()
        self.relay = Relay(store, self.publisher, Metrics(), 100)
        self.reactor = Reactor(SOURCE, store, self.relay, Metrics(), HANDOFFS)

    async def fire(self, now: datetime) -> list[str]:
        """The timers' way; returns what was looked at. Fails when it would go round for ever."""
        seen: list[str] = []
        for _ in range(5):
            subjects = await self.store.due(now, ALL, 200)
            if not subjects:
                return seen
            outcomes = await self.reactor.submit([look_at(name, now) for name in subjects])
            assert [outcome.error for outcome in outcomes] == [None] * len(subjects)
            seen += subjects
        raise AssertionError("deadlines do not come to rest")

    async def quiet(self) -> None:
        task = asyncio.create_task(self.relay.run())
        await self.reactor.settle()
        await asyncio.wait_for(self.relay.flushed(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["memory", "MongoDB"])
async def store(
    request: pytest.FixtureRequest, prefix: str
) -> AsyncIterator[MemoryStore | MongoStore]:
    if request.param == "memory":
        yield MemoryStore(KINDS)
        return
    backend: Backend = request.getfixturevalue("backend")
    store = MongoStore(backend.mongo_uri, f"{prefix}hostile", KINDS)
    await store.start()
    yield store
    await store.database.client.drop_database(store.database.name)
    await store.close()


async def _begun(store: MemoryStore | MongoStore) -> tuple[Life, Feed]:
    """Two records with an outbox that waits and a deadline that is due."""
    life, feed = Life(store), Feed()
    works = [feed.says(name, rule) for name in (BAD, GOOD) for rule in (add(1), arm)]
    assert all(o.status is OutcomeStatus.APPLIED for o in await life.reactor.submit(works))
    return life, feed


@pytest.mark.parametrize("name", DAMAGES)
async def test_a_damaged_record_is_set_aside_and_the_others_go_on(
    store: MemoryStore | MongoStore, name: str
) -> None:
    _, feed = await _begun(store)
    disk = Disk(store)
    whole = await disk.document(BAD)
    await disk.change(BAD, DAMAGES[name])
    life = Life(store)
    # The start's sweep, and each one after it.
    assert await life.reactor.sweep(LATER, ALL) == 1
    await life.quiet()
    assert [subject for subject, *_ in life.publisher.topic.messages] == [GOOD]
    assert life.relay.healthy
    # Its deadline is looked at once, and the other's fires.
    assert set(await life.fire(DUE)) >= {GOOD}
    assert await life.fire(DUE) == []
    # Its events are set aside, each with a dead letter; the others are applied in the same batch.
    works = [feed.says(GOOD, add(1)), feed.says(BAD, add(1)), feed.says(GOOD, add(1))]
    outcomes = await life.reactor.submit(works)
    assert [outcome.status.value for outcome in outcomes] == ["applied", "blocked", "applied"]
    assert UNREADABLE in {row["reason"] for row in await disk.dead_letters()}
    # A command on it has a problem of its own.
    with pytest.raises(CareError) as refused:
        await life.reactor.execute(command(BAD, add(1), "bad"))
    assert (refused.value.code, refused.value.status) == ("record-unreadable", 500)
    await life.reactor.execute(command(GOOD, add(1), "good"))
    assert store.set_aside.view() == [{"subject": BAD, "reason": UNREADABLE}]
    # Nothing else of the record was touched: put right, it goes on where it stood.
    blocked = (await disk.document(BAD)).get("blocked")
    if isinstance(blocked, dict):
        assert blocked["feed"] == UNREADABLE
    else:
        blocked = {"feed": UNREADABLE}  # an operator has to put that right as well

    def repair(document: Document) -> None:
        document.clear()
        document.update(whole | {"blocked": blocked})

    await disk.change(BAD, repair)
    again = Life(store)
    [outcome] = await again.reactor.submit([feed.says(BAD, add(1))])
    assert outcome.reason == "stream-blocked", "what came first is redriven first"
    assert not store.set_aside.view()


@pytest.mark.parametrize("odd", [7, ("2", b"", b""), (None, b"", b""), (1, "", ["x"])])
async def test_what_a_check_stumbles_over_is_one_works_trouble(odd: Any) -> None:
    """The second net, should a damage pass `record_of`: the work is blocked, and nothing is raised."""
    feed = Feed()
    record = (await MemoryStore(KINDS).load([BAD]))[BAD]
    first, second = feed.says(BAD, add(1)), feed.says(BAD, add(1))
    record.apply(first, SOURCE)
    record.inbox["feed"] = odd
    outcome = record.apply(second, SOURCE)
    assert outcome.status is OutcomeStatus.BLOCKED
    assert (record.blocked, outcome.exception is not None) == ({"feed": outcome.reason}, True)


async def test_a_page_leaves_a_damaged_record_out(store: MemoryStore | MongoStore) -> None:
    await _begun(store)
    disk = Disk(store)
    for subject in (BAD, GOOD):
        await disk.change(subject, _set("index", {"open": in_microseconds(START)}))
    await disk.change(BAD, DAMAGES["a list is a number"])
    page = await store.by_index("open", "harbor-iop", None, 10)
    assert [record.subject for record in page.records] == [GOOD]
    assert store.set_aside.view() == [{"subject": BAD, "reason": UNREADABLE}]


NEWER: dict[str, dict[str, Any]] = {
    "the next schema": {},
    "a schema far ahead": {"schema": 1_000},
    "a state of another shape": {"state": {"rounds": [1, 2]}},
    "a state that is a list": {"state": [1, 2]},
    "no state": {"state": None},
    "an inbox of another shape": {"inbox": {"feed": {"last": 3}}},
    "a block that says more": {"blocked": {"feed": {"reason": "x", "since": 1}}},
    "commands of another shape": {"commands": {"key": 1}},
    "an index of another shape": {"index": [{"name": "loop", "at": 1}]},
    "a field that is not known here": {"consents": ["x"]},
    "a version that is text": {"version": "3"},
    "a facility that is a list": {"facility_id": ["harbor-iop"]},
    "an outbox of another shape": {"outbox": [{"nr": 1}]},
}
"""What a newer version of the service may have made of a record, beside its schema."""


@pytest.mark.parametrize("name", NEWER)
async def test_a_record_of_a_newer_version_is_left_to_that_version(
    store: MemoryStore | MongoStore, name: str
) -> None:
    _, feed = await _begun(store)
    disk = Disk(store)
    for path, value in {"schema": 2, **NEWER[name]}.items():
        await disk.change(BAD, _set(path, value))
    before = await disk.document(BAD)
    life = Life(store)
    assert await life.reactor.sweep(LATER, ALL) == 1
    assert set(await life.fire(DUE)) == {GOOD}
    assert await store.next_due(LATER) is None
    with pytest.raises(CareError) as refused:
        await life.reactor.execute(command(BAD, add(1), "newer"))
    assert (refused.value.code, refused.value.status) == ("record-is-newer", 503)
    await life.reactor.execute(command(GOOD, add(1), "good"))
    good, newer = await life.reactor.submit([feed.says(GOOD, add(1)), feed.says(BAD, add(1))])
    assert good.status is OutcomeStatus.APPLIED
    assert newer.error is not None, "the event waits; it is no dead letter"
    assert await disk.document(BAD) == before
    assert await disk.dead_letters() == []
    assert not store.set_aside.view()
