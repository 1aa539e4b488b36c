"""A damaged dead letter, or one of a newer version, is left out and named; lists, alarms and redrives go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.devtools.backends import Backend
from shared.errors import DeadLetterUnreadable
from shared.runtime.core.dead_letter import DeadLetter, DiscardRequest
from shared.runtime.core.documents import Document
from shared.runtime.core.original import (
    DeadlineOriginal,
    HandoffOriginal,
    MessageOriginal,
    Original,
    Position,
)
from shared.runtime.core.store import MongoStore
from shared.runtime.dead_letters.discards import Discards
from shared.runtime.dead_letters.store import DeadLetters, MongoDeadLetters
from shared.runtime.set_aside import DOCUMENT_UNREADABLE
from shared.testing.fakes import MemoryDeadLetters, MemoryStore, encoded
from tests.unit.runtime.toy import EPISODES, KINDS

WALL = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
LATE = WALL + timedelta(days=9)
ITEM: Mapping[str, Any] = {
    "number": 3,
    "body_type": "Join",
    "body": {"weight": 1},
    "subject": EPISODES[0],
    "cause_id": "cause",
    "correlation_id": "cause",
    "facility_id": "harbor-iop",
    "actor_id": "system",
    "actor_role": "system",
    "now": WALL.isoformat(),
}
MESSAGE = MessageOriginal(
    document_id="care.intake/0/7",
    type="care.toy.counted.v1",
    position=Position(topic="care.intake", partition=0, offset=7, timestamp_ms=1),
    event_id="id",
    key=b"key",
    headers=(("ce_id", b"id"),),
    data=b"{}",
)
HANDOFF = HandoffOriginal(
    document_id="handoff|x|3", type="Join", from_subject=EPISODES[1], item=ITEM
)
DEADLINE = DeadlineOriginal(document_id="deadlines|x|3", type="deadline:first", name="first:x")
REQUEST = DiscardRequest(WALL, "one", "never-true", WALL + timedelta(days=1))
KNOWN = {"at": REQUEST.at, "by": REQUEST.by, "why": REQUEST.why, "until": REQUEST.until}


def _letter(original: Original, subject: str = EPISODES[0], **more: Any) -> DeadLetter:
    return DeadLetter(
        original=original,
        subject=subject,
        stream="feed",
        sequence=3,
        reason="decision-raised",
        first_seen=WALL,
        last_seen=WALL,
        discard=REQUEST,
        **more,
    )


GOOD = _letter(
    MessageOriginal(
        document_id="care.intake/0/8",
        type="care.toy.counted.v1",
        position=Position(topic="care.intake", partition=0, offset=8, timestamp_ms=1),
        event_id="id",
        key=b"key",
        headers=(),
        data=b"{}",
    ),
    EPISODES[2],
)


def _set(**values: Any) -> Callable[[Document], Document]:
    return lambda document: document | values


def _drop(name: str) -> Callable[[Document], Document]:
    return lambda document: {key: value for key, value in document.items() if key != name}


DAMAGES: dict[str, tuple[Original, Callable[[Document], Document]]] = {
    "the discard's end is a text": (MESSAGE, _set(discard=KNOWN | {"until": "soon"})),
    "the discard has no end": (MESSAGE, _set(discard={"at": WALL, "by": "one", "why": "x"})),
    "the discard is a text": (MESSAGE, _set(discard="soon")),
    "the closing is a list": (MESSAGE, _set(closed=[WALL])),
    "the closing has no time": (MESSAGE, _set(closed={"by": "one", "why": "x"})),
    "the place is a text": (MESSAGE, _set(position="care.intake/0/7")),
    "the place has no offset": (MESSAGE, _set(position={"topic": "care.intake", "partition": 0})),
    "the headers are a number": (MESSAGE, _set(headers=7)),
    "a header is a text": (MESSAGE, _set(headers=[["ce_id", "id"]])),
    "the digest is a text": (MESSAGE, _set(digest="abc")),
    "the times are texts": (MESSAGE, _set(first_seen="ever", last_seen="now")),
    "the number is a text": (MESSAGE, _set(sequence="3")),
    "the attempts are null": (MESSAGE, _set(attempts=None)),
    "there is no reason": (MESSAGE, _drop("reason")),
    "there is no facility": (DEADLINE, _drop("facility_id")),
    "there is no deadline": (DEADLINE, _drop("deadline")),
    "there is no sender": (HANDOFF, _drop("from_subject")),
}
CONTENT: dict[str, tuple[Original, Callable[[Document], Document]]] = {
    "the data is a text": (MESSAGE, _set(data="{}")),
    "the data is a number": (MESSAGE, _set(data=7)),
    "the handoff is a text": (HANDOFF, _set(item="later")),
    "the handoff has no time": (HANDOFF, _set(item=_drop("now")({**ITEM}))),
    "the handoff is for yesterday": (HANDOFF, _set(item={**ITEM, "now": "yesterday"})),
}
"""Damages of what a list leaves out."""


@dataclass
class Desk:
    store: MemoryStore | MongoStore
    dead_letters: DeadLetters

    async def put(self, document: Document) -> None:
        if isinstance(self.store, MemoryStore):
            self.store.disk.dead_letters[document["_id"]] = encoded(document)
        else:
            await self.store.collection("dead_letters").insert_one(document)

    @property
    def named(self) -> list[dict[str, str]]:
        return self.store.set_aside.view()


@pytest.fixture(params=["memory", "MongoDB"])
async def desk(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Desk]:
    if request.param == "memory":
        fake = MemoryStore(KINDS)
        yield Desk(fake, MemoryDeadLetters(fake.disk, None, fake.set_aside))
        return
    backend: Backend = request.getfixturevalue("backend")
    store = MongoStore(backend.mongo_uri, f"{prefix}hostile", KINDS)
    dead_letters = MongoDeadLetters(store.database, store.set_aside)
    await dead_letters.start()
    yield Desk(store, dead_letters)
    await store.database.client.drop_database(store.database.name)
    await store.close()


def _discards(desk: Desk) -> Discards:
    return Discards(desk.dead_letters, None, now=lambda: LATE)  # type: ignore[arg-type] - it only looks


@pytest.mark.parametrize("name", DAMAGES)
async def test_a_damaged_dead_letter_is_left_out_and_named(desk: Desk, name: str) -> None:
    original, damage = DAMAGES[name]
    bad = _letter(original)
    await desk.put(GOOD.document())
    await desk.put(damage(bad.document()))
    discards = _discards(desk)
    await discards.look()
    assert discards.overdue == 1
    page = await desk.dead_letters.page({}, None, 10)
    assert [one.id for one in page.rows] == [GOOD.id]
    assert len(await desk.dead_letters.groups({})) >= 1
    named = [{"subject": f"dead_letters/{original.document_id}", "reason": DOCUMENT_UNREADABLE}]
    assert desk.named == named
    # Pages of one row each come to the end, with the damaged one on one of them.
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        page = await desk.dead_letters.page({}, after, 1)
        seen += [one.id for one in page.rows]
        after = page.next
        if after is None:
            break
    assert (seen, after) == ([GOOD.id], None)


@pytest.mark.parametrize("name", DAMAGES | CONTENT)
async def test_nothing_overtakes_a_damaged_dead_letter(desk: Desk, name: str) -> None:
    original, damage = (DAMAGES | CONTENT)[name]
    bad = _letter(original)
    await desk.put(damage(bad.document()))
    await desk.put(GOOD.document())
    with pytest.raises(DeadLetterUnreadable):
        await desk.dead_letters.get(bad.id)
    with pytest.raises(DeadLetterUnreadable):
        await desk.dead_letters.stream((EPISODES[0], "feed"), 10)
    assert [one.id for one in await desk.dead_letters.stream((EPISODES[2], "feed"), 10)] == [
        GOOD.id
    ]


@pytest.mark.parametrize("part", ["discard", "closed", "position", "digest"])
async def test_what_a_newer_version_added_is_ignored(desk: Desk, part: str) -> None:
    document = _letter(MESSAGE).document() | {
        "closed": {"at": WALL, "by": "one", "why": "x"},
        "digest": {"sha256": "ab", "length": 9},
        "added": {"later": 1},
    }
    document[part] = {**document[part], "added": [1]}
    await desk.put(document)
    [row] = (await desk.dead_letters.page({}, None, 10)).rows
    assert row.discard == REQUEST
    await _discards(desk).look()
    assert desk.named == []


async def test_one_that_is_put_right_is_named_no_longer(desk: Desk) -> None:
    bad = _letter(MESSAGE)
    await desk.put(_set(discard="soon")(bad.document()))
    await desk.dead_letters.page({}, None, 10)
    assert desk.named
    await desk.dead_letters.request_discard(bad.id, REQUEST)
    await desk.dead_letters.page({}, None, 10)
    assert desk.named == []
