"""The journal is never behind the topic, wherever a process dies, and nobody reads it without the key."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch

import pytest

from shared.contracts.topics import Topic
from shared.errors import ConfigurationError
from shared.runtime import retry
from shared.runtime.core.relay import Relay
from shared.runtime.metrics import Metrics
from shared.runtime.recovery import journal
from shared.runtime.recovery.journal import Keyring, Seal, check_journal, forget_journal
from shared.runtime.recovery.rebuild import FACTS, state_hash
from shared.testing.fakes import (
    MemoryAudit,
    MemoryJournal,
    MemoryPublisher,
    MemoryStore,
    Seam,
    When,
)
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
    *("_id", "version", "save", "bucket", "blocked", "index", "parts"),
    *("due", "waiting", "handing", "auditing", "outbox", "handoffs", "audit"),
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


# --- the keys, and what is on the journal ---------------------------------------------------------------------

OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()
THIRD_KEY = base64.b64encode(bytes(range(2, 34))).decode()
KAFKA: Any = object()


def copy_under(sealed_with: str, **changes: Any) -> Any:
    """A copy as it lies on the journal, or something that is none."""
    seal = Seal(sealed_with, "intake")
    headers = {"version": b"3", "key": seal.key_id.encode()} | changes.pop("headers", {})
    pairs = [(name, raw) for name, raw in headers.items() if raw is not ...]
    fields = {"key": toy.EPISODES[0].encode(), "value": seal.seal(DOCUMENT)} | changes
    return SimpleNamespace(headers=pairs, **fields)


JUNK: list[dict[str, Any]] = [
    {"value": None},
    {"value": b""},
    {"value": b"garbage"},
    {"value": bytes(100)},
    {"key": None},
    {"key": b"\xff\xfe"},
    {"key": toy.EPISODES[1].encode()},
    {"headers": {"version": ...}},
    {"headers": {"version": b"x"}},
    {"headers": {"version": None}},
    {"headers": {"version": b"4"}},
    {"headers": {"key": ...}},
    {"headers": {"key": None}},
    {"headers": {"key": b"\xff"}},
    {"headers": {"key": b"0" * 16}},
]


@pytest.mark.parametrize("junk", JUNK, ids=str)
def test_what_is_no_copy_of_ours_is_nothing_and_no_error(junk: dict[str, Any]) -> None:
    """One such message made the whole journal unreadable."""
    assert Keyring("intake", KEY).opened(copy_under(KEY, **junk)) is None


def test_a_copy_opens_with_the_present_and_with_the_former_key_and_no_other() -> None:
    keyring = Keyring("intake", KEY, OTHER_KEY)
    assert keyring.opened(copy_under(KEY)) == DOCUMENT
    assert keyring.opened(copy_under(OTHER_KEY)) == DOCUMENT
    assert keyring.opened(copy_under(THIRD_KEY)) is None
    assert Keyring("intake", KEY, KEY).present.key_id == keyring.present.key_id
    assert Keyring("intake", OTHER_KEY).present.key_id != keyring.present.key_id


async def checked(store: MemoryStore, keyring: Keyring, *tail: Any) -> None:
    async def read(_kafka: Any, _topic: Topic, _count: int) -> Any:
        return {}, list(tail)

    with patch.object(journal, "read_tail", read):
        await check_journal(KAFKA, "intake", keyring, store, MemoryAudit(store.disk))


async def _store() -> MemoryStore:
    """A store with records of which none waits."""
    world, _ = await play()
    return MemoryStore(KINDS, world.disk, journaled=True)


def waiting(store: MemoryStore) -> int:
    return sum("waiting" in document for document in store.disk.documents())


async def test_a_new_key_has_every_record_sealed_anew_and_only_once() -> None:
    store = await _store()
    await checked(store, Keyring("intake", KEY))
    everything = len(store.disk.documents())
    assert waiting(store) == everything > 0
    versions = {d["_id"]: d["version"] for d in store.disk.documents()}
    await store.clear_journaled(versions)
    await checked(store, Keyring("intake", KEY), copy_under(KEY))
    assert waiting(store) == 0
    await checked(store, Keyring("intake", OTHER_KEY, KEY), copy_under(KEY))
    assert waiting(store) == everything


@pytest.mark.parametrize("foreign", [[], JUNK[:6]], ids=["alone", "beside others' messages"])
async def test_a_key_that_opens_nothing_of_what_was_written_is_refused(
    foreign: list[dict[str, Any]],
) -> None:
    """The service was ready at once, and from then on no key opened its journal."""
    store = await _store()
    await checked(store, Keyring("intake", KEY))
    junk = [copy_under(KEY, **one) for one in foreign]
    with pytest.raises(ConfigurationError) as refused:
        await checked(store, Keyring("intake", OTHER_KEY), copy_under(KEY), *junk)
    assert refused.value.code == "journal-unreadable"
    await checked(store, Keyring("intake", KEY), *junk, copy_under(THIRD_KEY))


async def test_after_a_while_without_a_journal_everything_is_copied() -> None:
    store = await _store()
    await checked(store, Keyring("intake", KEY))
    await store.clear_journaled({d["_id"]: d["version"] for d in store.disk.documents()})
    await forget_journal(store)
    await checked(store, Keyring("intake", KEY), copy_under(KEY))
    assert waiting(store) == len(store.disk.documents())
