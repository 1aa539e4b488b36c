"""What a test remembers of what it told a service, and whether every bit of it had its effect once and whole."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.topics import TOPICS
from shared.decision import derive_id
from shared.runtime.connections import KafkaConnection
from shared.runtime.kafka.connection import client_options
from tests.integration.bus import FACILITY, until
from tests.integration.redriven import ISSUER, Running

OPERATOR = ISSUER.token(FACILITY, "operator", derive_id("test", "somebody"))
PASSING = (409, 503)
"""Not heard of yet, or away: a client tries again."""


@dataclass
class Commands:
    """A client that repeats each command with its key until it is accepted."""

    limit_s: float = 60.0
    repeated: int = 0
    answers: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """By key: the revision and the sequence that were answered."""
    statuses: set[int] = field(default_factory=set[int])

    async def note(self, it: Running, subject: str, key: str) -> None:
        """One note about one record. The same key has to be answered alike, whoever answers."""
        headers = {"Authorization": f"Bearer {OPERATOR}", "Idempotency-Key": key}
        deadline = monotonic() + self.limit_s
        while True:
            answer = await it.http.post("/notes", json={"episode_id": subject[8:]}, headers=headers)
            self.statuses.add(answer.status_code)
            if answer.status_code == 200:
                body = answer.json()
                told = (body["revision"], body["sequence"])
                assert self.answers.setdefault(key, told) == told, f"{key} was answered in two ways"
                return
            assert answer.status_code in PASSING, answer.text
            assert monotonic() < deadline, answer.text
            self.repeated += 1
            await asyncio.sleep(0.1)


def whole(document: dict[str, Any]) -> None:
    """A record holds a change and what the change says, or neither: at any moment, whatever went wrong."""
    state, name = document["state"], document["_id"]
    said = state["admitted"] + state["recommended"] + (state["noted"] + 1) // 2
    assert document["next_sequence"] == said + 1, f"{name}: numbers and state differ"
    numbers = [entry["sequence"] for entry in document.get("outbox", [])]
    assert numbers == list(range(said + 1 - len(numbers), said + 1)), f"{name}: its outbox"
    assert bool(numbers) <= ("waiting" in document), f"{name}: nobody would find its outbox"
    heard = document["inbox"].get("intake", (0, ""))[0]
    assert state["admitted"] + state["recommended"] == heard, f"{name}: heard and applied differ"


async def published(
    kafka: KafkaConnection, topic: str = "care.plans"
) -> dict[str, list[tuple[int, str]]]:
    """Everything on a topic: (number, id) by subject, repeats and all."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    consumer = AIOKafkaConsumer(**client_options(kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, n) for n in range(TOPICS[topic].partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    headers = {name: raw.decode() for name, raw in record.headers}
                    place = (int(headers["ce_sequence"]), headers["ce_id"])
                    found[(record.key or b"").decode()].append(place)
    finally:
        await consumer.stop()
    return dict(found)


async def once(
    kafka: KafkaConnection, its: Sequence[Running], subjects: Sequence[str], *, heard: int = 1
) -> dict[str, dict[str, Any]]:
    """Wait until `heard` events about each subject had their effect and all is quiet; then look at everything.

    Every record is whole, everything it said is on the topic, each number once in order of first appearance, with one
    id; no dead letter. Returns the records.
    """
    it = its[0]

    async def done() -> bool:
        documents = {d["_id"]: d for d in await it.documents()}
        waits = any("waiting" in d or "handing" in d for d in documents.values())
        return not waits and all(
            name in documents and documents[name]["inbox"].get("intake", (0,))[0] >= heard
            for name in subjects
        )

    await until(done, what="hearing and saying everything", limit_s=90)
    documents = {d["_id"]: d for d in await it.documents()}
    topic = await published(kafka)
    for name in subjects:
        whole(documents[name])
        first: dict[int, str] = {}
        for number, event_id in topic.get(name, []):
            assert first.setdefault(number, event_id) == event_id, f"{name}: a split history"
            assert number <= len(first), f"{name}: {number} came before its time"
        assert len(first) == documents[name]["next_sequence"] - 1, f"{name}: not all was said"
    assert await it.runtime.store.collection("dead_letters").count_documents({}) == 0
    return documents


def counted(it: Running, status: str, kind: str = "event") -> int:
    """How many pieces of work of this kind ended so, in this replica."""
    value = it.runtime.metrics.registry.get_sample_value
    return int(value("care_work_total", {"kind": kind, "status": status}) or 0)


@asynccontextmanager
async def telling(*work: Any) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Tasks that go on meanwhile, and are waited for at the end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield tasks
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
