"""A transactional inbox and outbox for each message: the textbook pattern, on the store's multi-document transactions.

For each message one transaction notes its id, changes the record and adds what is to be published; a relay polls the
outbox, publishes in order and deletes. Safe, and each event pays for all of it.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from bench.handwork import INPUT, OUTPUT, Doc, decide, fact_of, published, texts, utc_now

POLL_SECONDS = 0.05

client: AsyncMongoClient[Doc] = AsyncMongoClient(os.environ["MONGO_URI"])
database = client.get_database(
    os.environ["BENCH_DATABASE"], write_concern=WriteConcern(w="majority", j=True)
)


async def heard(record: Any) -> None:
    """One fact, in one transaction."""
    told = texts(record.headers)
    subject, now = told["ce_subject"], utc_now()

    async def change(session: AsyncClientSession) -> None:
        await database["inbox"].insert_one({"_id": told["ce_id"]}, session=session)
        doc = await database["records"].find_one({"_id": subject}, session=session)
        doc = doc or {"_id": subject, "state": {}, "next_sequence": 1}
        data = json.loads(record.value)
        fact = fact_of(told["ce_type"])
        fields, outs = decide(doc["state"], fact, data, told["ce_id"], now)
        rows: list[Doc] = []
        for number, out in enumerate(outs, start=doc["next_sequence"]):
            value, headers = published(subject, number, out, told, now)
            rows.append({"at": now, "subject": subject, "value": value, "headers": dict(headers)})
        if fields:
            values: Doc = {f"state.{name}": doc["state"].get(name) for name in fields}
            values["next_sequence"] = doc["next_sequence"] + len(outs)
            await database["records"].update_one(
                {"_id": subject}, {"$set": values}, upsert=True, session=session
            )
        if rows:
            await database["outbox"].insert_many(rows, session=session)

    async with client.start_session() as session:
        try:
            await session.with_transaction(change)
        except DuplicateKeyError:
            return


async def relay(producer: AIOKafkaProducer) -> None:
    """Publish what waits, in order, and delete it."""
    while True:
        rows = await database["outbox"].find().sort("_id").limit(100).to_list()
        for row in rows:
            headers = list(row["headers"].items())
            key = row["subject"].encode()
            await producer.send_and_wait(OUTPUT, row["value"], key, headers=headers)
        if rows:
            await database["outbox"].delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        else:
            await asyncio.sleep(POLL_SECONDS)


async def main() -> None:
    """Run until killed."""
    bootstrap = os.environ["KAFKA_BOOTSTRAP"]
    consumer = AIOKafkaConsumer(
        INPUT,
        bootstrap_servers=bootstrap,
        group_id="inbox",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    await consumer.start()
    publishing = asyncio.create_task(relay(producer))
    while True:
        record = await consumer.getone()
        await heard(record)
        await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})
        if publishing.done():
            publishing.result()


if __name__ == "__main__":
    asyncio.run(main())
