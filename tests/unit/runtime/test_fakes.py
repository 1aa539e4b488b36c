"""The fakes keep what the suites ask of every store and publisher, and fail where they are told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.runtime.core.store import Document, Store
from shared.testing.dead_letter_suite import DeadLettersSuite
from shared.testing.fakes import (
    MemoryDeadLetters,
    MemoryPublisher,
    MemoryStore,
    MemoryTopic,
    Seam,
    When,
)
from shared.testing.paging_suite import PagingSuite
from shared.testing.suites import (
    KINDS,
    WALL,
    PublisherSuite,
    StoreSuite,
    entry,
    publish_one,
    subject,
)


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(KINDS)

    async def dead_letters(self, store: Store) -> list[Document]:
        assert isinstance(store, MemoryStore)
        return store.disk.dead_letter_documents()


class TestMemoryPages(PagingSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(KINDS)


class TestMemoryLetters(DeadLettersSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(KINDS)

    @pytest.fixture
    def dead_letters(self, store: MemoryStore) -> MemoryDeadLetters:
        return MemoryDeadLetters(store.disk)


class Reader:
    """Reads a `MemoryTopic` as the suite asks."""

    def __init__(self, topic: MemoryTopic) -> None:
        self.topic = topic

    async def published(self) -> Sequence[tuple[str, Mapping[str, str], bytes]]:
        return self.topic.messages


class TestMemoryPublisher(PublisherSuite):
    @pytest.fixture
    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher()

    @pytest.fixture
    def topic(self, publisher: MemoryPublisher) -> Reader:
        return Reader(publisher.topic)


@pytest.mark.parametrize(("when", "kept"), [(When.BEFORE, 0), (When.HALFWAY, 1), (When.AFTER, 2)])
async def test_a_save_fails_where_it_is_told_to(when: When, kept: int) -> None:
    store = MemoryStore(KINDS, seam=Seam(at=2, when=when))
    records = list((await store.load([subject(1), subject(2)])).values())
    for record in records:
        publish_one(record)
    with pytest.raises(Unavailable):
        await store.save(records, WALL)
    assert len(store.disk.records) == kept
    assert store.seam.calls == ["load", "save"]
    found: dict[str, Any] = await store.load([subject(1)])  # only that call fails
    assert found


@pytest.mark.parametrize(("when", "kept"), [(When.BEFORE, 0), (When.HALFWAY, 1), (When.AFTER, 2)])
async def test_a_publish_fails_where_it_is_told_to_and_the_dead_stay_dead(
    when: When, kept: int
) -> None:
    publisher = MemoryPublisher(seam=Seam(at=1, when=when, fatal=True))
    outbox = {subject(1): [entry(subject(1), 1), entry(subject(1), 2)]}
    for _ in range(2):
        with pytest.raises(Unavailable):
            await publisher.publish(outbox)
    assert len(publisher.topic.messages) == kept
