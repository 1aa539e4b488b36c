"""The audit on the real store: pages, filters, chains, and what a record's save leaves in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.devtools.backends import Backend
from shared.errors import Invalid
from shared.runtime.audit.chain import Head, head_of, make_link
from shared.runtime.audit.keeper import Keeper, copy_of, restore, verify
from shared.runtime.audit.store import AuditLog, MongoAudit, Wanted
from shared.runtime.audit.writer import AuditWriter
from shared.runtime.core.audit import UNCHAINED
from shared.runtime.core.store import MongoStore, Store
from shared.runtime.metrics import Metrics
from shared.testing.fakes import MemoryAudit, MemoryStore
from shared.testing.suites import ALL, KINDS, WALL, count_up, subject
from tests.unit.runtime.toy import begun

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)


@pytest.fixture(params=["memory", "store"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Any, AuditLog]]:
    """The fake and the real one."""
    if request.param == "memory":
        fake = MemoryStore(KINDS)
        yield fake, MemoryAudit(fake.disk)
        return
    backend: Backend = request.getfixturevalue("backend")
    store = MongoStore(backend.mongo_uri, f"t_{uuid4().hex[:12]}", KINDS)
    await store.start()
    log = MongoAudit(store.database)
    await log.start()
    yield store, log
    await store.database.client.drop_database(store.database.name)
    await store.close()


def entry(number: int, **more: Any) -> dict[str, Any]:
    at = AT + timedelta(seconds=number // 3)  # several have one instant
    return {
        "_id": f"{number:04}",
        **begun(str(number)),
        "at": at,
        "kind": "read",
        "outcome": "shown",
        "subjects": [subject(number % 2)],
        **more,
    }


async def _all(log: AuditLog, wanted: Wanted, limit: int = 2) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await log.page(wanted, after, limit)
        found += [one["_id"] for one in page.entries]
        if page.next is None:
            return found
        after = page.next


async def test_pages_have_everything_once_the_latest_first(both: tuple[Store, AuditLog]) -> None:
    store, log = both
    await store.add_audit_entries([entry(n) for n in range(11)])
    await store.add_audit_entries([entry(n) for n in range(12)])  # repeats stay as they are
    assert await _all(log, Wanted("harbor-iop")) == [f"{n:04}" for n in reversed(range(12))]
    assert await _all(log, Wanted("river-iop")) == []
    with pytest.raises(Invalid):
        await log.page(Wanted("harbor-iop"), "nowhere", 5)


async def test_filters(both: tuple[Store, AuditLog]) -> None:
    store, log = both
    await store.add_audit_entries([entry(n) for n in range(6)])
    await store.add_audit_entries(
        [entry(7, actor_id="other"), entry(8, facilities=["*"]), entry(9, kind="refusal")]
    )
    mine = "harbor-iop"
    assert await _all(log, Wanted(mine, subject(0))) == ["0008", "0004", "0002", "0000"]
    assert await _all(log, Wanted(mine, actor_id="other")) == ["0007"]
    assert await _all(log, Wanted(mine, kind="refusal")) == ["0009"]
    bounds = Wanted(mine, since=AT + timedelta(seconds=1), until=AT + timedelta(seconds=1))
    assert await _all(log, bounds) == ["0005", "0004", "0003"]
    assert await _all(log, Wanted("river-iop")) == ["0008"]


async def test_chains_are_kept_checked_and_restored(both: tuple[Any, AuditLog]) -> None:
    store, log = both
    keeper = Keeper(log, AuditWriter(store, Metrics()), store.replica_id)
    for start in (0, 5):
        await store.add_audit_entries([entry(n) for n in range(start, start + 5)])
        await keeper.round()
    await store.add_audit_entries([entry(20)])
    found = await verify(log)
    assert (found.chains, found.links, found.entries, found.unchained) == (1, 2, 10, 1)
    assert found.breaks == []
    [first, _] = [link async for link in log.links()]
    copy = await copy_of(log, first)
    await restore(log, copy)  # what is there stays as it is
    assert (await verify(log)).breaks == []
    assert await log.add_link(first, waiting=False) is False
    await log.copy_all()
    waiting = await log.waiting_links(10)
    assert len(waiting) == 2
    await log.copied([link["_id"] for link in waiting])
    assert await log.waiting_links(10) == []
    assert [head.number for head in (await log.heads()).values()] == [2]
    assert (await log.unchained(store.replica_id, AT, 10))[0][UNCHAINED] == store.replica_id


async def test_a_start_knows_the_ends_of_all_chains(both: tuple[Any, AuditLog]) -> None:
    """It read every link that there ever was."""
    store, log = both

    async def link(chain: str, number: int, *follows: Head) -> Head:
        await store.add_audit_entries([entry(number)])
        made = make_link(Head(chain, number - 1), [entry(number)], AT, follows)
        assert await log.add_link(made, waiting=False)
        return head_of(made)

    async def ends() -> dict[str, int]:
        return {chain: head.number for chain, head in (await log.heads()).items()}

    await link("one", 1)
    last = await link("one", 2)
    assert await ends() == {"one": 2}
    await link("two", 1, last)
    assert await ends() == {"two": 1}
    await link("one", 3)  # it was not gone
    assert await ends() == {"one": 3, "two": 1}
    for made in [one async for one in log.links()][::-1]:  # put back in whatever order
        await log.restore(made, [])
    assert await ends() == {"one": 3, "two": 1}


async def test_an_entry_rides_with_its_record_and_is_moved_once(
    both: tuple[Store, AuditLog],
) -> None:
    store, log = both
    name = subject("ridden")
    record = (await store.load([name]))[name]
    count_up(record)
    record.new_audit.append(entry(1) | {"number": 1})
    record.next_audit = 2
    assert await store.save([record], WALL) == set()
    [found] = await store.stranded(None, ALL, 10)
    assert [one["_id"] for one in found.audit] == ["0001"]
    await store.add_audit_entries(found.audit)
    await store.clear_audit({name: 0})  # not up to its last one: it stays
    assert (await store.load([name]))[name].audit
    await store.clear_audit({name: 1})
    after = (await store.load([name]))[name]
    assert (after.audit, after.auditing, after.next_audit) == ([], None, 2)
    assert await store.stranded(None, ALL, 10) == []
    assert await _all(log, Wanted("harbor-iop")) == ["0001"]
