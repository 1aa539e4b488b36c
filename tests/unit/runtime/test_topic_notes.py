"""What a replica notes of its topics, while another one notes the same."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from shared.contracts.topics import Topic
from shared.errors import TopicMismatch
from shared.runtime.kafka import startup_checks
from shared.testing.fakes import MemoryStore
from tests.unit.runtime.toy import KINDS

TOPIC = Topic("care.feed", partitions=3)
KAFKA: Any = object()
IDS = {TOPIC.name: "the same all along"}


async def checked(store: MemoryStore, *answers: list[int], meanwhile: Any = None) -> None:
    waiting = list(answers)

    async def ends(_kafka: Any, _topics: Any) -> dict[str, list[int]]:
        if meanwhile is not None:
            await meanwhile()
        return {TOPIC.name: waiting.pop(0)}

    async def ids(_kafka: Any, _names: Any) -> dict[str, str]:
        return IDS

    with (
        patch.object(startup_checks, "end_offsets", ends),
        patch.object(startup_checks, "topic_ids", ids),
    ):
        await startup_checks.check_topics(KAFKA, [TOPIC], store)


async def noted(store: MemoryStore) -> list[int]:
    return (await store.metadata(f"topic:{TOPIC.name}"))["ends"]


async def test_a_paused_replica_does_not_take_a_later_note_for_a_topic_made_again() -> None:
    """It read the ends, was paused, and compared them with what the other replica had noted since."""
    store = MemoryStore(KINDS)
    await checked(store, [1, 1, 1])

    async def the_other_goes_on() -> None:
        await startup_checks.remember_topics(store, [TOPIC], {TOPIC.name: [9, 9, 9]}, IDS)

    await checked(store, [5, 1, 1], meanwhile=the_other_goes_on)
    assert await noted(store) == [9, 9, 9]


async def test_notes_never_go_back() -> None:
    store = MemoryStore(KINDS)
    await checked(store, [5, 1, 2])
    await checked(store, [5, 7, 2])
    assert await noted(store) == [5, 7, 2]


@pytest.mark.parametrize("ends", [[4, 9, 9], [9, 0, 9], [0, 0, 0]])
async def test_a_partition_that_is_shorter_is_refused(ends: list[int]) -> None:
    store = MemoryStore(KINDS)
    await checked(store, [5, 1, 2])
    with pytest.raises(TopicMismatch):
        await checked(store, ends)
    assert await noted(store) == [5, 1, 2]
