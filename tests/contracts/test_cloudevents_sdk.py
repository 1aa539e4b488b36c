"""Others read us with the CloudEvents SDK and may write to us with it: both must work."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

import shared.contracts
from shared.contracts.event import CATALOGUE, Event, read_envelope
from shared.contracts.publish import files

ROOT = Path(shared.contracts.__file__).parents[2]

every_event = pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: event.TYPE)


def published(event: type[Event]) -> dict[str, Any]:
    path = ROOT / files.EXAMPLES / f"{event.TYPE}.json"
    return json.loads(path.read_text(encoding="utf-8"))


@every_event
def test_the_sdk_reads_our_records(event: type[Event]) -> None:
    record = published(event)
    headers: dict[str, str] = record["headers"]
    message = KafkaMessage(
        headers={name: value.encode() for name, value in headers.items()},
        key=record["key"].encode(),
        value=event.parse(json.dumps(record["data"])).data(),
    )
    read = from_binary(message, JSONFormat(), CloudEvent)
    assert read.get_type() == event.TYPE
    assert read.get_source() == event.SOURCE
    assert read.get_subject() == record["key"]
    assert read.get_dataschema() == event.schema_id()
    assert read.get_datacontenttype() == "application/json"
    assert read.get_time() == datetime.fromisoformat(headers["ce_time"])
    assert read.get_data() == record["data"]
    for name in ("sequence", "correlationid", "causationid", "facilityid", "actorrole"):
        assert read.get_extension(name) == headers[f"ce_{name}"]


@every_event
def test_we_read_records_that_the_sdk_writes(event: type[Event]) -> None:
    record = published(event)
    attributes: dict[str, Any] = {
        name.removeprefix("ce_"): value
        for name, value in record["headers"].items()
        if name.startswith("ce_")
    }
    attributes["time"] = datetime.fromisoformat(attributes["time"])
    attributes["datacontenttype"] = record["headers"]["content-type"]
    message = to_binary(
        CloudEvent(attributes, record["data"]), JSONFormat(), lambda one: one.get_subject()
    )
    key = message.key.encode() if isinstance(message.key, str) else message.key
    envelope = read_envelope(message.headers.items(), key)
    assert envelope.headers() == record["headers"]
    assert json.loads(event.parse(message.value).data()) == record["data"]
