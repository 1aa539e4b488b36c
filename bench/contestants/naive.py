"""Naive: what most people write. A FastStream subscriber per message: find one, update one, publish in the handler.

FastStream's defaults, but that it begins at the earliest record; so a failure in the handler loses the message.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from pymongo import AsyncMongoClient, WriteConcern

from bench.handwork import INPUT, OUTPUT, Doc, decide, fact_of, published, utc_now

broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP"], logger=None)
app = FastStream(broker, logger=None)
client: AsyncMongoClient[Doc] = AsyncMongoClient(os.environ["MONGO_URI"])
records = client[os.environ["BENCH_DATABASE"]].get_collection(
    "records", write_concern=WriteConcern(w="majority", j=True)
)


@broker.subscriber(INPUT, group_id="naive", auto_offset_reset="earliest")
async def heard(data: dict[str, Any], message: KafkaMessage) -> None:
    """One fact: load, decide, save, publish."""
    told = {name: str(value) for name, value in message.headers.items()}
    subject, now = told["ce_subject"], utc_now()
    doc = await records.find_one({"_id": subject})
    doc = doc or {"_id": subject, "state": {}, "next_sequence": 1}
    fields, outs = decide(doc["state"], fact_of(told["ce_type"]), data, told["ce_id"], now)
    sequence = doc["next_sequence"]
    if fields:
        values: Doc = {f"state.{name}": doc["state"].get(name) for name in fields}
        values["next_sequence"] = sequence + len(outs)
        await records.update_one({"_id": subject}, {"$set": values}, upsert=True)
    for number, out in enumerate(outs, start=sequence):
        value, headers = published(subject, number, out, told, now)
        texts = {name: raw.decode() for name, raw in headers}
        await broker.publish(json.loads(value), OUTPUT, key=subject.encode(), headers=texts)


if __name__ == "__main__":
    asyncio.run(app.run())
