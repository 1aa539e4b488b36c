"""The floor: the bare loop by hand. One find, one bulk write, sends awaited together, one commit for each batch.

No framework, no validation, no guard against repeats, no outbox: a crash between two lines loses or doubles something.
It says what the machine, the broker, the store and their clients cost in any case.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pymongo import AsyncMongoClient, UpdateOne, WriteConcern

from bench.handwork import INPUT, OUTPUT, Doc, decide, fact_of, published, texts, utc_now

BATCH = 500


async def main() -> None:
    """Run until killed."""
    bootstrap, uri = os.environ["KAFKA_BOOTSTRAP"], os.environ["MONGO_URI"]
    client: AsyncMongoClient[Doc] = AsyncMongoClient(uri)
    records = client[os.environ["BENCH_DATABASE"]].get_collection(
        "records", write_concern=WriteConcern(w="majority", j=True)
    )
    consumer = AIOKafkaConsumer(
        INPUT,
        bootstrap_servers=bootstrap,
        group_id="floor",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * 1024 * 1024,
        fetch_max_bytes=8 * 1024 * 1024,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        max_batch_size=256 * 1024,
    )
    await producer.start()
    await consumer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=1_000, max_records=BATCH)
        batch = [record for part in fetched.values() for record in part]
        if not batch:
            continue
        subjects = {record.key.decode() for record in batch if record.key}
        found = await records.find({"_id": {"$in": list(subjects)}}).to_list()
        docs: dict[str, Doc] = {doc["_id"]: doc for doc in found}
        changed: dict[str, set[str]] = {}
        sends: list[tuple[bytes, bytes, Any]] = []
        now = utc_now()
        for record in batch:
            told = texts(record.headers)
            subject = told["ce_subject"]
            doc = docs.setdefault(subject, {"_id": subject, "state": {}, "next_sequence": 1})
            data = json.loads(record.value or b"{}")
            fields, outs = decide(doc["state"], fact_of(told["ce_type"]), data, told["ce_id"], now)
            changed.setdefault(subject, set()).update(fields)
            for out in outs:
                value, headers = published(subject, doc["next_sequence"], out, told, now)
                doc["next_sequence"] += 1
                sends.append((subject.encode(), value, headers))
        writes = [_write(docs[subject], fields) for subject, fields in changed.items() if fields]
        if writes:
            await records.bulk_write(writes, ordered=False)
        acknowledged = [
            await producer.send(OUTPUT, value, key, headers=headers)
            for key, value, headers in sends
        ]
        await asyncio.gather(*acknowledged)
        await consumer.commit({tp: part[-1].offset + 1 for tp, part in fetched.items() if part})


def _write(doc: Doc, fields: set[str]) -> UpdateOne:
    values: Doc = {f"state.{name}": doc["state"].get(name) for name in fields}
    values["next_sequence"] = doc["next_sequence"]
    return UpdateOne({"_id": doc["_id"]}, {"$set": values}, upsert=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
