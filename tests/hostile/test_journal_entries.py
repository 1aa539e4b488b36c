"""Item: what is no copy of ours on the journal is left out and counted; the copies around it open, whatever it is."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest
from aiokafka import TopicPartition

from shared.errors import Unavailable
from shared.kit.batches import EscapedName
from shared.kit.unpacking import Packed
from shared.runtime.recovery import journal
from shared.runtime.recovery.journal import Keyring, Seal, read_journal
from tests.unit.runtime.test_scan import Consumer
from tests.unit.support import settings_for

KEY, OTHER_KEY = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
SUBJECT: Final = "episode/1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"
OURS: Final[dict[str, Any]] = {"_id": SUBJECT, "version": 3, "state": {"n": 1}}
KEYED: Final = SUBJECT.encode()
SEAL: Final = Seal(KEY, "intake")
SEALED: Final = SEAL.seal(OURS)
ID: Final = SEAL.key_id.encode()


def message(key: Any = KEYED, value: Any = SEALED, headers: Any = None) -> SimpleNamespace:
    given = [("version", b"3"), ("key", ID)] if headers is None else headers
    return SimpleNamespace(key=key, value=value, headers=given)


def versioned(text: bytes | None) -> SimpleNamespace:
    return message(headers=[("version", text), ("key", ID)])


ODD: Final[dict[str, Callable[[], Any]]] = {
    "a tombstone": lambda: message(value=None),
    "no key": lambda: message(key=None),
    "a key that is not UTF-8": lambda: message(key=b"\xff\xfe"),
    "another record's key": lambda: message(key=b"episode/2c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"),
    "no headers": lambda: message(headers=[]),
    "no version": lambda: message(headers=[("key", ID)]),
    "a version without a value": lambda: versioned(None),
    "a version of five thousand digits": lambda: versioned(b"9" * 5_000),
    "a negative version": lambda: versioned(b"-3"),
    "a version that is a fraction": lambda: versioned(b"3.0"),
    "a version in other digits": lambda: versioned("²".encode()),
    "another version": lambda: versioned(b"4"),
    "two versions": lambda: message(headers=[("version", b"3"), ("version", b"9"), ("key", ID)]),
    "a key id that is not UTF-8": lambda: message(headers=[("version", b"3"), ("key", b"\xff")]),
    "a key id of nobody": lambda: message(headers=[("version", b"3"), ("key", b"0" * 16)]),
    "a header's name that is not UTF-8": lambda: message(
        headers=[(EscapedName("\\xff"), b"3"), ("key", ID)]
    ),
    "an empty value": lambda: message(value=b""),
    "a nonce alone": lambda: message(value=SEALED[:12]),
    "half a nonce": lambda: message(value=SEALED[:6]),
    "cut off": lambda: message(value=SEALED[:-1]),
    "one bit another": lambda: message(value=SEALED[:-1] + bytes([SEALED[-1] ^ 1])),
    "plain JSON": lambda: message(value=b'{"_id":"x"}'),
    "another service's": lambda: message(value=Seal(KEY, "plans").seal(OURS)),
    "sealed with another key": lambda: message(value=Seal(OTHER_KEY, "intake").seal(OURS)),
    "a batch that may not be unpacked": lambda: message(value=Packed.of(SEALED[:-1])),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_copy_opens_as_nothing(name: str) -> None:
    assert Keyring("intake", KEY).opened(ODD[name]()) is None


class Journal(Consumer):
    """A journal with these messages in its first partition."""

    def __init__(self, found: list[Any], end: int) -> None:
        super().__init__([len(found)], end)
        self.found = found

    async def end_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return {place: self.end if place.partition == 0 else 0 for place in places}

    async def beginning_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def getmany(self, **how: object) -> Any:
        batches = await super().getmany(**how)
        for batch in batches.values():
            for one, given in zip(batch, self.found, strict=True):
                one.__dict__.update(given.__dict__)
        return {TopicPartition("care.intake.journal", 0): one for one in batches.values()}


def copies(consumer: Journal, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr(journal, "new_consumer", lambda *_a, **_k: consumer)
    return read_journal(settings_for("intake"), "intake", Keyring("intake", KEY))


async def test_the_copies_around_them_are_read_and_they_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = [make() for make in ODD.values()]
    found = [message(), *odd, message()]
    read = [one async for one in copies(Journal(found, len(found)), monkeypatch)]
    assert read[0] == read[-1] == OURS
    assert read[1:-1] == [None] * len(odd)


async def test_a_journal_that_ends_short_of_its_end_is_not_taken_for_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that is rebuilt from half a journal would look like a whole one."""
    consumer = Journal([message()], 2)
    with pytest.raises(Unavailable, match="broker-silent"):
        _ = [one async for one in copies(consumer, monkeypatch)]
    assert consumer.stopped
