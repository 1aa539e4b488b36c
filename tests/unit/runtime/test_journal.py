"""The journal is never behind the topic, wherever a process dies, and nobody reads it without the key."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from shared.errors import ConfigurationError
from shared.runtime import retry
from shared.runtime.core.relay import Relay
from shared.runtime.metrics import Metrics
from shared.runtime.recovery.journal import Seal
from shared.runtime.recovery.rebuild import FACTS, state_hash
from shared.testing.fakes import MemoryJournal, MemoryPublisher, MemoryStore, Seam, When
from tests.unit.runtime import toy
from tests.unit.runtime.toy import KINDS, Life, differences, play


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.0)


class Watched(MemoryPublisher):
    """Looks, at every publish, whether the journal already has what is said."""

    journal: MemoryJournal
    behind: list[str]

    async def publish(self, waiting: Any) -> None:
        newest = self.journal.newest() if any(waiting.values()) else {}
        for subject, entries in waiting.items():
            for entry in entries:
                if newest.get(subject, {"next_sequence": 0})["next_sequence"] <= entry["sequence"]:
                    self.behind.append(subject)
        await super().publish(waiting)


class Journaled(Life):
    """A process with a journal."""

    copies: ClassVar[list[bytes]]
    behind: ClassVar[list[str]]
    journal_type: ClassVar[type[MemoryJournal]] = MemoryJournal

    def __init__(self, world: toy.World, seam: Seam) -> None:
        super().__init__(world, seam)
        metrics = Metrics()
        self.store = MemoryStore(KINDS, world.disk, seam, journaled=True)
        publisher = Watched(world.topic, seam)
        publisher.behind = self.behind
        publisher.journal = self.journal_type(self.copies, seam)
        self.relay = Relay(self.store, publisher, metrics, 100, publisher.journal)
        self.reactor = self.REACTOR(toy.SOURCE, self.store, self.relay, metrics, toy.HANDOFFS)


async def _lived(seams: Sequence[Seam] = ()) -> tuple[dict[str, Any], str, str, int]:
    """How it ended, and the hashes of what is kept and of what the journal would give back."""
    life = type("Here", (Journaled,), {"copies": [], "behind": []})
    world, calls = await play(seams, life)
    assert life.behind == [], "something was published that the journal did not have"
    kept = state_hash(world.disk.documents())
    copied = state_hash(MemoryJournal(life.copies).newest().values())
    return world.ending(), kept, copied, len(calls)


async def test_the_journal_gives_back_the_state_and_changes_nothing_else() -> None:
    without, _ = await play()
    ending, kept, copied, _ = await _lived()
    assert not differences(ending, without.ending())
    assert copied == kept


@pytest.mark.parametrize("when", When)
async def test_wherever_a_process_dies_the_journal_catches_up_and_is_never_behind(
    when: When,
) -> None:
    expected, _, _, calls = await _lived()
    for at in range(1, calls + 1, 3):
        ending, kept, copied, _ = await _lived([Seam(at=at, when=when, fatal=True)])
        assert not differences(ending, expected), f"call {at}"
        assert copied == kept, f"call {at}"


async def test_publishing_before_copying_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Any, journal: Any, batch: Any) -> None:
        documents = await self._store.documents(batch)
        await self._publish({d["_id"]: d.get("outbox", ()) for d in documents})
        await journal.append(documents)
        await self._store.clear_journaled({d["_id"]: d["version"] for d in documents})

    monkeypatch.setattr(Relay, "_journal_and_publish", hasty)
    with pytest.raises(AssertionError):
        await _lived()


ON_ITS_WAY = {
    *("_id", "version", "save", "bucket", "blocked", "index"),
    *("due", "waiting", "handing", "outbox", "handoffs"),
}
"""Stored fields that say how a record is saved, found and passed on, not what it knows."""


async def test_the_hash_of_a_rebuild_covers_every_stored_field_that_is_a_fact() -> None:
    world, _ = await play()
    stored = {name for document in world.disk.documents() for name in document}
    assert stored - ON_ITS_WAY == set(FACTS)
    one = world.disk.documents()[0]
    for name in FACTS:
        assert state_hash([one | {name: "another"}]) != state_hash([one]), name


# --- the seal ------------------------------------------------------------------------------------------------

KEY = base64.b64encode(bytes(range(32))).decode()
DOCUMENT = {"_id": toy.EPISODES[0], "version": 3, "state": {"name": "Maria"}, "outbox": []}


def test_what_is_sealed_opens_with_the_key_and_is_not_to_be_read_without() -> None:
    sealed = Seal(KEY, "intake").seal(DOCUMENT)
    assert b"Maria" not in sealed
    assert Seal(KEY, "intake").open(toy.EPISODES[0], 3, sealed) == DOCUMENT
    assert Seal(KEY, "intake").seal(DOCUMENT) != sealed


@pytest.mark.parametrize(
    ("key", "service", "subject", "version"),
    [
        (base64.b64encode(os.urandom(32)).decode(), "intake", toy.EPISODES[0], 3),
        (KEY, "plans", toy.EPISODES[0], 3),
        (KEY, "intake", toy.EPISODES[1], 3),
        (KEY, "intake", toy.EPISODES[0], 4),
    ],
    ids=["another key", "another service", "another record", "another version"],
)
def test_what_was_sealed_for_something_else_does_not_open(
    key: str, service: str, subject: str, version: int
) -> None:
    sealed = Seal(KEY, "intake").seal(DOCUMENT)
    with pytest.raises(ConfigurationError):
        Seal(key, service).open(subject, version, sealed)


@pytest.mark.parametrize("key", ["", "x", "c2hvcnQ=", base64.b64encode(bytes(31)).decode()])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Seal(key, "intake")
    assert refused.value.code == "journal-key-unusable"
