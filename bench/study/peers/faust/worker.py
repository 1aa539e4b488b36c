"""Faust-streaming in its documented set-up: an agent over the topic, state in a table (RocksDB and a changelog topic).

Faust keeps its state beside the process instead of in a database, so this peer makes no round trip to the store at all.
`exactly_once` is its documented guarantee for state; it is left at the default, `at_least_once`, which is faster.
"""

from __future__ import annotations

import json
import os
import sys

import faust

from bench.handwork import INPUT, OUTPUT, decide, fact_of, published, utc_now

app = faust.App(
    "faust",
    broker=f"kafka://{os.environ['KAFKA_BOOTSTRAP']}",
    store="rocksdb://",
    datadir=os.environ["BENCH_STATE"],
    topic_partitions=12,
    topic_replication_factor=1,
    topic_allow_declare=True,
    consumer_auto_offset_reset="earliest",
    stream_buffer_maxsize=4096,
    web_enabled=False,
)
facts = app.topic(INPUT, key_serializer="raw", value_serializer="raw", allow_empty=True)
effects = app.topic(OUTPUT, key_serializer="raw", value_serializer="raw")
records = app.Table("records", partitions=12)


@app.agent(facts)
async def heard(stream: faust.StreamT[bytes]) -> None:
    """One fact after the other: look up, decide, keep, publish."""
    async for event in stream.events():
        told = {name: raw.decode() for name, raw in dict(event.headers).items()}
        subject, now = told["ce_subject"], utc_now()
        doc = records.get(subject) or {"state": {}, "next_sequence": 1}
        fact, data = fact_of(told["ce_type"]), json.loads(event.value)
        fields, outs = decide(doc["state"], fact, data, told["ce_id"], now)
        for out in outs:
            value, headers = published(subject, doc["next_sequence"], out, told, now)
            doc["next_sequence"] += 1
            await effects.send(key=subject.encode(), value=value, headers=headers)
        if fields:
            records[subject] = doc


if __name__ == "__main__":
    sys.argv = ["worker", "worker", "--loglevel", "warn", "--without-web"]
    app.main()
