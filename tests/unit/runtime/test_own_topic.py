"""A service's own topic: what it published is recognised, whoever else writes there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from aiokafka import ConsumerRecord

from shared.contracts.event import read_envelope
from shared.contracts.topics import Topic
from shared.decision import derive_id
from shared.errors import SequenceConflict
from shared.runtime.core.record import Record
from shared.runtime.kafka import own_topic
from shared.runtime.kafka.connection import KafkaConnection
from shared.runtime.kafka.startup_checks import check_numbering
from shared.testing.fakes import MemoryStore
from tests.unit.runtime.toy import EPISODES, KINDS, SOURCE, add, command

OWN = Topic(SOURCE)
ONE = EPISODES[0]
KAFKA: Any = object()


def said(count: int) -> list[ConsumerRecord[bytes, bytes]]:
    """What a record publishes after some commands, as it lies on the topic."""
    record = Record(ONE, KINDS["episode"], KINDS["episode"].state())
    for n in range(count):
        record.apply(command(ONE, add(1 + 2 * n), str(n)), SOURCE)
    return [
        message(entry["headers"], bytes(entry["data"]), offset)
        for offset, entry in enumerate(record.new_events)
    ]


def message(headers: dict[str, str], data: bytes = b"{}", offset: int = 0) -> Any:
    make: Any = ConsumerRecord
    pairs = [(name, text.encode()) for name, text in headers.items()]
    key = headers["ce_subject"].encode()
    return make(SOURCE, 0, offset, 0, 0, key, data, None, 0, 0, pairs)


def headers_of(one: ConsumerRecord[bytes, bytes], **changes: str) -> dict[str, str]:
    there = {name: raw.decode() for name, raw in one.headers}
    return there | {f"ce_{name}": value for name, value in changes.items()}


async def checked(store: MemoryStore, *messages: ConsumerRecord[bytes, bytes]) -> int:
    async def tail(_kafka: KafkaConnection, _topic: Topic, count: int) -> Any:
        return {}, list(messages[-count:])

    with patch.object(own_topic, "read_tail", tail):
        return await check_numbering(KAFKA, OWN, store)


def test_what_a_record_publishes_is_its_services_own() -> None:
    for one in said(5):
        assert own_topic.is_ours(read_envelope(one.headers, one.key), OWN)


STRANGER = "7d9c52b6-0f0e-4b2a-9a55-2f8f6d3f6a11"
"""An id that no event of ours has."""


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "anything"},
        {"id": STRANGER},
        {"sequence": "9"},
        {"sequence": str(10**17)},
        {"causationid": STRANGER},
        {"source": "care.other"},
        {"subject": EPISODES[1]},
        {"subject": EPISODES[1].replace("episode", "staff")},
    ],
    ids=str,
)
async def test_what_another_put_there_is_ignored_and_counted(changes: dict[str, str]) -> None:
    """One such message made every later start refuse."""
    [one] = said(1)
    store = MemoryStore(KINDS)
    assert await checked(store, message(headers_of(one, **changes))) == 1
    with pytest.raises(SequenceConflict):
        await checked(store, message(headers_of(one, **changes)), one)


async def test_a_subject_of_which_the_service_keeps_no_records_is_ignored() -> None:
    [one] = said(1)
    about = ONE.replace("episode", "staff")
    forged = derive_id(headers_of(one)["ce_causationid"], SOURCE, about, "1")
    assert (
        await checked(MemoryStore(KINDS), message(headers_of(one, subject=about, id=forged))) == 1
    )


@pytest.mark.parametrize("flood", [0, 49, 50, 51, 3_000])
async def test_a_flood_of_foreign_messages_hides_none_of_ours(flood: int) -> None:
    [one] = said(1)
    foreign = [message(headers_of(one, id=str(n))) for n in range(flood)]
    with pytest.raises(SequenceConflict):
        await checked(MemoryStore(KINDS), one, *foreign)


async def test_what_is_no_event_is_ignored_and_counted() -> None:
    [one] = said(1)
    junk = [
        message({"ce_subject": ONE}),
        message(headers_of(one, type="x")),
        message(headers_of(one)),
    ]
    junk[-1] = replace(junk[-1], key=None)
    assert await checked(MemoryStore(KINDS), *junk) == len(junk)


async def test_a_named_event_can_be_disowned_and_no_other() -> None:
    first, second = said(2)[:2]
    store = MemoryStore(KINDS)
    await own_topic.disown(store, [headers_of(first)["ce_id"]], "never-ours")
    assert await checked(store, first) == 1
    with pytest.raises(SequenceConflict):
        await checked(store, first, second)
    await own_topic.disown(store, [headers_of(second)["ce_id"]], "never-ours")
    assert await checked(store, first, second) == 2
