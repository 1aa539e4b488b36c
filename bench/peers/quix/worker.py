"""Quix Streams in its documented set-up: a stateful function over a stream, state in RocksDB with a changelog topic.

Quix keeps its state beside the process instead of in a database, so this peer makes no round trip to the store at all.
BENCH_GUARANTEE names the guarantee: `exactly-once`, as ours, or the default, `at-least-once`.
"""

from __future__ import annotations

import os
from typing import Any

from quixstreams import Application, State

from bench.handwork import INPUT, OUTPUT, decide, fact_of, published, utc_now

app = Application(
    broker_address=os.environ["KAFKA_BOOTSTRAP"],
    consumer_group="quix",
    auto_offset_reset="earliest",
    processing_guarantee=os.environ["BENCH_GUARANTEE"],
    state_dir=os.environ["BENCH_STATE"],
    loglevel="WARNING",
    auto_create_topics=True,
)
facts = app.topic(INPUT, value_deserializer="json", key_deserializer="str")
effects = app.topic(OUTPUT, value_serializer="bytes", key_serializer="str")


def heard(data: Any, key: str, _timestamp: int, headers: Any, state: State) -> list[Any]:
    """One fact: look up, decide, keep; what is to be published goes on."""
    told = {name: raw.decode() for name, raw in headers}
    now = utc_now()
    doc = state.get("doc") or {"state": {}, "next_sequence": 1}
    fact = fact_of(told["ce_type"])
    fields, outs = decide(doc["state"], fact, data, told["ce_id"], now)
    results = []
    for out in outs:
        results.append(published(key, doc["next_sequence"], out, told, now))
        doc["next_sequence"] += 1
    if fields:
        state.set("doc", doc)
    return results


stream = app.dataframe(facts)
stream = stream.apply(heard, stateful=True, metadata=True, expand=True)
stream = stream.set_headers(lambda out, *_: out[1])
stream = stream.apply(lambda out: out[0]).to_topic(effects)

if __name__ == "__main__":
    app.run()
