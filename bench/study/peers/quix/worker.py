"""Quix Streams in its documented set-up: a stateful function over a stream, state in RocksDB with a changelog topic.

With BENCH_SINK its MongoDB sink writes what changed to the store, in one bulk at each checkpoint, so that others can
query it as they can query ours. Without, nobody can, and no round trip is made to the store at all. Exactly once is the
guarantee that ours gives; Quix gives it to state and topics, and at least once to the sink.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from quixstreams import Application, State
from quixstreams.sinks.community.mongodb import MongoDBSink

from bench.handwork import INPUT, OUTPUT, decide, fact_of, published, utc_now

app = Application(
    broker_address=os.environ["KAFKA_BOOTSTRAP"],
    consumer_group="quix",
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=float(os.environ["BENCH_COMMIT_SECONDS"]),
    state_dir=os.environ["BENCH_STATE"],
    loglevel="WARNING",
)
facts = app.topic(INPUT, value_deserializer="json", key_deserializer="str")
effects = app.topic(OUTPUT, value_serializer="bytes", key_serializer="str")


def heard(data: Any, key: str, _timestamp: int, headers: Any, state: State) -> Any:
    """One fact: look up, decide, keep. Returns what changed, and what is to be published."""
    told = {name: raw.decode() for name, raw in headers}
    now = utc_now()
    doc = state.get("doc") or {"state": {}, "next_sequence": 1}
    fields, outs = decide(doc["state"], fact_of(told["ce_type"]), data, told["ce_id"], now)
    results = []
    for out in outs:
        results.append(published(key, doc["next_sequence"], out, told, now))
        doc["next_sequence"] += 1
    if fields:
        state.set("doc", doc)
    changed = {f"state.{name}": doc["state"].get(name) for name in fields}
    return changed | {"next_sequence": doc["next_sequence"]}, results


def sink() -> MongoDBSink:
    """The store, as the sink wants to be told of it."""
    store = urlsplit(os.environ["MONGO_URI"])
    return MongoDBSink(
        host=store.hostname or "127.0.0.1",
        port=store.port or 27017,
        db=os.environ["BENCH_DATABASE"],
        collection="records",
        directConnection=True,
        w="majority",
        journal=True,
    )


stream = app.dataframe(facts).apply(heard, stateful=True, metadata=True)
if os.environ.get("BENCH_SINK"):
    stream.apply(lambda result: result[0]).sink(sink())
said = stream.apply(lambda result: result[1], expand=True).set_headers(lambda out, *_: out[1])
said.apply(lambda out: out[0]).to_topic(effects)

if __name__ == "__main__":
    app.run()
