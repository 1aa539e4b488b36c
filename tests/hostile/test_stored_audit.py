"""A damaged entry or link of the audit stops neither the chains, nor the copies, nor those who read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.devtools.backends import Backend
from shared.errors import TooLarge
from shared.runtime.audit import keeper
from shared.runtime.audit.keeper import Keeper, verify
from shared.runtime.audit.store import AuditLog, MongoAudit, Wanted
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.core.audit import UNCHAINED
from shared.runtime.core.documents import Document
from shared.runtime.core.store import MongoStore
from shared.runtime.metrics import Metrics
from shared.runtime.set_aside import DOCUMENT_UNREADABLE, UNPUBLISHED
from shared.testing.fakes import MemoryAudit, MemoryJournal, MemoryStore, decoded, encoded
from tests.unit.runtime.toy import KINDS, begun

AT = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
FACILITY = begun("x")["facilities"][0]


@dataclass
class Office:
    store: MemoryStore | MongoStore
    log: AuditLog

    def keeper(self, journal: MemoryJournal | None = None) -> Keeper:
        writer = AuditWriter(self.store, Metrics())
        return Keeper(self.log, writer, self.store.replica_id, journal, self.store.set_aside)

    async def write(self, *numbers: int) -> None:
        await self.store.add_audit_entries(
            [
                {"_id": f"entry {n}", **begun(str(n)), "at": AT, "kind": "read", "subjects": []}
                for n in numbers
            ]
        )

    async def change(
        self, collection: str, document_id: str, change: Callable[[Document], Document]
    ) -> None:
        if isinstance(self.store, MemoryStore):
            disk: dict[str, bytes] = getattr(self.store.disk, collection)
            disk[document_id] = encoded(change(decoded(disk[document_id])))
        else:
            documents = self.store.collection(collection)
            found = await documents.find_one({"_id": document_id}) or {}
            await documents.replace_one({"_id": document_id}, change(found))


@pytest.fixture(params=["memory", "MongoDB"])
async def office(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Office]:
    if request.param == "memory":
        fake = MemoryStore(KINDS)
        yield Office(fake, MemoryAudit(fake.disk))
        return
    backend: Backend = request.getfixturevalue("backend")
    store = MongoStore(backend.mongo_uri, f"{prefix}hostile", KINDS)
    log = MongoAudit(store.database)
    await log.start()
    yield Office(store, log)
    await store.database.client.drop_database(store.database.name)
    await store.close()


@pytest.mark.parametrize("at", ["soon", None, 7, ["x"], "absent"])
async def test_an_entry_without_a_time_is_left_out_and_named(office: Office, at: Any) -> None:
    """One that a dead replica left: nobody can tell whether it waits."""
    await office.write(1, 2)

    def damage(entry: Document) -> Document:
        kept = {name: value for name, value in entry.items() if name != "at"}
        return {**kept, UNCHAINED: "gone"} | ({} if at == "absent" else {"at": at})

    await office.change("audit", "entry 1", damage)
    await office.change("audit", "entry 2", lambda entry: {**entry, UNCHAINED: "gone"})
    await office.keeper().round()
    found = await verify(office.log)
    assert (found.entries, found.unchained, found.breaks) == (1, 1, [])
    assert office.store.set_aside.view() == [
        {"subject": "audit/entry 1", "reason": DOCUMENT_UNREADABLE}
    ]
    page = await office.log.page(Wanted(FACILITY), None, 1)
    assert [one["_id"] for one in page.entries] == ["entry 2"]
    assert page.next is None


LINK_DAMAGES: dict[str, Callable[[Document], Document]] = {
    **{
        f"no {name}": lambda link, name=name: {k: v for k, v in link.items() if k != name}
        for name in ("hash", "chain", "number", "at", "ids", "digests", "follows", "before")
    },
    **{
        f"the {name} is {value!r}": lambda link, name=name, value=value: {**link, name: value}
        for name, value in (
            ("hash", 7),
            ("number", "first"),
            ("at", "soon"),
            ("ids", 7),
            ("ids", [7]),
            ("digests", "abc"),
            ("follows", ["x"]),
            ("follows", None),
        )
    },
}


@pytest.mark.parametrize("name", LINK_DAMAGES)
async def test_a_damaged_link_is_a_break_and_the_chains_go_on(office: Office, name: str) -> None:
    journal = MemoryJournal()
    await office.write(1)
    await office.keeper().round()
    link = f"{office.store.replica_id}#1"
    await office.change("audit_links", link, lambda one: LINK_DAMAGES[name]({**one, "waiting": 1}))
    await office.write(2)
    again = office.keeper(journal)  # it knows no head: the damaged link is looked up
    await again.round()
    await again.round()
    found = await verify(office.log)
    assert (found.links, found.unchained) == (2, 0)
    assert {one.what for one in found.breaks} & {"link-altered", "entry-missing"}
    assert len(journal.newest()) == 2, "it is copied as it is"


async def test_a_link_that_the_journal_refuses_stops_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "COPIES_PER_ROUND", 1)
    refused = f"{keeper.JOURNAL_PREFIX}{office.store.replica_id}#1"

    class Small(MemoryJournal):
        small = True

        async def append(self, documents: Iterable[Document]) -> None:
            found = list(documents)
            if self.small and any(one["_id"] == refused for one in found):
                raise TooLarge("event-too-large", "It is too large.")
            await super().append(found)

    journal = Small()
    one = office.keeper(journal)
    for number in (1, 2, 3):
        await office.write(number)
        await one.round()
    await one.round()
    assert len(journal.newest()) == 2
    assert office.store.set_aside.view() == [
        {"subject": f"audit_links/{office.store.replica_id}#1", "reason": UNPUBLISHED}
    ]
    journal.small = False  # an operator has put the topic's setting right
    for _ in range(keeper.LOOK_EVERY):
        await one.round()
    assert len(journal.newest()) == 3
    assert not office.store.set_aside.view()
