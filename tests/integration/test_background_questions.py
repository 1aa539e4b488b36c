"""What a replica asks its store again and again looks only at what it finds, however much is stored.

A sweep that looked at every record made a hundred simulated episodes five times as slow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from shared.devtools.backends import Backend
from shared.loops import LOOP_INDEX
from shared.runtime.audit.chain import ENTRIES_MAX
from shared.runtime.audit.keeper import Keeper
from shared.runtime.audit.store import MongoAudit
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.census import CensusTaker
from shared.runtime.clock import Clock
from shared.runtime.core.store import Document, MongoStore
from shared.runtime.dead_letters.store import MongoDeadLetters
from shared.runtime.metrics import Metrics
from shared.testing.dead_letter_suite import dead_letter
from shared.testing.suites import ALL, KINDS, NOW, WALL, Tally, publish_one, subject
from tests.integration.test_audit_store import entry

STORED = 60


class Commands(CommandListener):
    """The questions that went to the server."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            self.seen.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to keep."""


@pytest.fixture
async def stored(backend: Backend, prefix: str) -> AsyncIterator[tuple[MongoStore, Commands]]:
    """A store with many records, of which one waits; with many closed dead letters, entries of the audit and links."""
    commands = Commands()
    options = {"event_listeners": [commands]}
    store = MongoStore(backend.mongo_uri, f"{prefix}plans", KINDS, options=options)
    await store.start()
    log = MongoAudit(store.database)
    await log.start()
    await MongoDeadLetters(store.database, store.set_aside).start()
    records = list((await store.load([subject(n) for n in range(STORED)])).values())
    for record in records:
        record.facility_id = "north"
    for number, record in enumerate(records):  # in a list, one of them in a part of it alone
        record.state = Tally(at=NOW, names=("rest",) if number else ("one",))
        record.touched = True
    publish_one(records[0])
    await store.save(records, WALL)
    # As a service has it whose records have open loops.
    await store.collection("records").create_index(f"index.{LOOP_INDEX}", sparse=True)
    letters = [
        dead_letter(subject(n), "intake", 1, "decision-raised", wall=WALL) for n in range(STORED)
    ]
    await store.add_dead_letters([replace(one, status="redriven") for one in letters])
    keeper = Keeper(log, AuditWriter(store, Metrics()), store.replica_id)
    for number in range(STORED):
        await store.add_audit_entries([entry(number)])
        await keeper.link_all()
    commands.seen.clear()
    yield store, commands
    await store.database.client.drop_database(store.database.name)
    await store.close()


Question = Callable[[MongoStore], Awaitable[Any]]
QUESTIONS: dict[str, Question] = {
    "a sweep": lambda store: store.stranded(WALL + timedelta(days=1), ALL, 10),
    "a sweep of some partitions": lambda store: store.stranded(
        WALL + timedelta(days=1), ALL[::2], 10
    ),
    "due deadlines of some partitions": lambda store: store.due(
        NOW + timedelta(days=1), ALL[::2], 10
    ),
    "what waits at a start": lambda store: store.stranded(None, ALL, 10),
    "due deadlines": lambda store: store.due(NOW + timedelta(days=1), ALL, 10),
    "the next deadline": lambda store: store.next_due(NOW + timedelta(days=9_999)),
    "entries of this replica without a link": lambda store: MongoAudit(store.database).unchained(
        store.replica_id, NOW, ENTRIES_MAX
    ),
    "entries of a replica that is no more": lambda store: MongoAudit(store.database).unchained(
        None, NOW, ENTRIES_MAX
    ),
    "links for the journal": lambda store: MongoAudit(store.database).waiting_links(20),
    "the ends of all chains": lambda store: MongoAudit(store.database).heads(),
    "a page of a part of a list": lambda store: store.by_index(
        "named", "north", None, 10, part="one"
    ),
    "a page between two instants": lambda store: store.by_index(
        "named",
        "north",
        None,
        10,
        since=NOW - timedelta(days=2),
        until=NOW - timedelta(days=1),
        part="rest",
    ),
    "late discards": lambda store: MongoDeadLetters(store.database, store.set_aside).pending(
        {}, 500
    ),
    "the census": lambda store: CensusTaker(
        store.database, cast("Any", SimpleNamespace(buckets=ALL)), Clock(), 1.0
    ).take(),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_it_looks_only_at_what_it_finds(
    stored: tuple[MongoStore, Commands], name: str
) -> None:
    store, commands = stored
    await QUESTIONS[name](store)
    asked = list(commands.seen)
    assert asked
    for command in asked:
        assert await _examined(store.database, command) <= 1, command


async def _examined(database: AsyncDatabase[Document], command: Mapping[str, Any]) -> int:
    """How many documents the server looks at to answer; of an aggregation, for what it matches first."""
    if "aggregate" in command:
        match = command["pipeline"][0]["$match"]
        asked: dict[str, Any] = {"find": command["aggregate"], "filter": match}
    else:
        names = ("find", "filter", "sort", "limit", "hint")
        asked = {name: command[name] for name in names if name in command}
    answer = await database.command("explain", asked, verbosity="executionStats")
    return answer["executionStats"]["totalDocsExamined"]
