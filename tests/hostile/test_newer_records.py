"""Row 6: an event about a record that a newer version wrote waits in its partition, and everything else goes on."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contracts import intake
from shared.runtime.kafka import consumer as consumer_module
from shared.testing.fakes import decoded, encoded
from tests.unit.runtime.redriving import Topics
from tests.unit.runtime.test_consumer_positions import HERE, THERE, Hearing, record
from tests.unit.support import uid


class Client:
    """What the consumer asks of its client beyond `Kafka`: it seeks and pauses."""

    def __init__(self, hearing: Hearing) -> None:
        self.paused: set[Any] = set()
        self.sought: dict[Any, int] = {}
        kafka: Any = hearing.kafka
        kafka.seek = self.sought.__setitem__
        kafka.pause = lambda *tps: self.paused.update(tps)
        kafka.resume = lambda *tps: self.paused.difference_update(tps)


def _admitted(topics: Topics, name: str, tp: Any, offset: int) -> Any:
    event = intake.PatientAdmitted.example()
    said: Any = topics.say(event, f"episode/{uid(name)}")
    fields = {slot: getattr(said, slot) for slot in said.__dataclass_fields__}
    return type(said)(**fields | {"partition": tp.partition, "offset": offset})


@pytest.mark.parametrize("clears", ["the newer version is taken back", "partitions move"])
async def test_only_the_partition_of_a_newer_versions_record_waits(
    monkeypatch: pytest.MonkeyPatch, clears: str
) -> None:
    now = [100.0]
    monkeypatch.setattr(consumer_module, "monotonic", lambda: now[0])
    hearing, topics = Hearing(), Topics()
    client, consumer, disk = Client(hearing), hearing.consumer, hearing.store.disk
    await consumer.on_batch([_admitted(topics, "newer", HERE, 3)])
    name = f"episode/{uid('newer')}"
    whole = disk.records[name]
    disk.records[name] = encoded(decoded(whole) | {"schema": 1_000})
    batch = [
        _admitted(topics, "before", HERE, 4),
        _admitted(topics, "newer", HERE, 5),
        _admitted(topics, "behind", HERE, 6),
        _admitted(topics, "elsewhere", THERE, 3),
    ]
    hearing.kafka.ends = {HERE: 7, THERE: 4}
    await consumer.on_batch(batch)
    assert consumer.positions == {"care.intake/0": 5, "care.intake/1": 4}
    assert (client.sought, client.paused) == ({HERE: 5}, {HERE})
    assert {f"episode/{uid(n)}" for n in ("before", "elsewhere")} <= set(disk.records)
    assert consumer.healthy
    assert consumer.left_to_newer
    assert disk.dead_letters == {}
    # Deadlines fire where nothing waits, and there alone.
    monkeypatch.setattr(type(consumer), "buckets", property(lambda _self: [0, 1]))
    assert consumer.firing_buckets == [1]
    assert await consumer.caught_up()
    await consumer.on_batch([record(THERE, 4)])
    assert consumer.left_to_newer
    if clears == "partitions move":
        await consumer.on_partitions_revoked([HERE, THERE])
    else:
        inner: Any = consumer
        hearing.kafka.fetched = [{}, {}]
        await inner._fetched(hearing.kafka)
        assert client.paused == {HERE}, "not yet"
        now[0] += consumer_module.NEWER_AGAIN_SECONDS
        await inner._fetched(hearing.kafka)
        assert not client.paused
        disk.records[name] = whole
        await consumer.on_batch(batch[1:3])
        assert consumer.positions["care.intake/0"] == 7
        assert f"episode/{uid('behind')}" in disk.records
    assert not consumer.left_to_newer
    assert consumer.firing_buckets == [0, 1]
