"""Batches that come late, are cancelled or fail: nothing of them is lost, and nothing is taken for lost.

A late batch was fetched before its partitions were revoked, and is processed before the next assignment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiokafka import TopicPartition

from shared.runtime.core.partitions import partition_of
from shared.runtime.kafka.positions import NOTED_POSITIONS, positions_to_note
from shared.testing.fakes import Seam, away
from tests.unit.runtime.redriving import FEED, PARTITIONS, Noted, Rules, subject
from tests.unit.runtime.test_circuit_breaker import Running

ABOUT = subject("late")
TP = TopicPartition(FEED, partition_of(ABOUT, PARTITIONS))


async def begun(count: int, heard: int) -> Running:
    """A consumer with `count` messages on its partition, of which it has heard the first ones."""
    it = Running(Rules())
    for _ in range(count):
        it.kafka.append(it.topics.say(Noted(amount=1), ABOUT))
    await it.consumer.on_batch(it.kafka.logs[TP][:heard])
    return it


async def moved(it: Running, late: slice, position: int) -> None:
    """The partition goes and comes back, with a late batch between; the client then stands where the group does."""
    await it.consumer.on_partitions_revoked([TP])
    await it.consumer.on_batch(it.kafka.logs[TP][late])
    it.kafka.commits[TP] = it.kafka.positions[TP] = position
    await it.consumer.on_partitions_assigned([TP])


async def test_it_hides_nothing_that_a_committed_offset_skips() -> None:
    """A simulated history found it: what lay behind the batch stayed unread until a newer message came."""
    it = await begun(8, heard=3)
    await moved(it, slice(3, 7), position=8)  # a tool has set the offset to the end
    await it.consumer.caught_up()
    await it.hear()
    [document] = it.store.disk.documents()
    assert document["state"]["total"] == 8
    assert await it.consumer.caught_up()


async def test_what_another_replica_read_meanwhile_is_no_gap() -> None:
    it = await begun(9, heard=3)
    await moved(it, slice(3, 4), position=8)
    await it.store.set_metadata(NOTED_POSITIONS, positions_to_note({TP: 8}))
    await it.consumer.on_batch(it.kafka.logs[TP][8:])
    assert not it.metrics.registry.get_sample_value("care_sequence_gaps_total", {"source": FEED})


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_a_batch_that_was_not_saved_is_fetched_again_although_nothing_follows(
    how: str,
) -> None:
    it = await begun(3, heard=1)
    it.kafka.positions[TP] = 3  # the client has given out the rest
    error = away() if how == "fails" else asyncio.CancelledError()
    it.store.seam = Seam(at=1, error=lambda: error)
    with suppress(asyncio.CancelledError):
        await it.consumer.on_batch(it.kafka.logs[TP][1:])
    it.store.seam = Seam()
    await it.hear()
    [document] = it.store.disk.documents()
    assert document["state"]["total"] == 3
