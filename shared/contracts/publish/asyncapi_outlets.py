"""What the AsyncAPI document of a restricted subscriber says otherwise: its topic, its counting, its last record. Pure.

Names and forms are those that outlet writes with (`contracts.outlets`).
"""

from __future__ import annotations

from typing import Final

from ..attributes import SCHEMA, SEQUENCE_WRITTEN, UUID
from ..event import CONTENT_TYPE
from ..outlets import (
    EARLIER_WRITTEN,
    ENDED_SUBJECT,
    OUT_EARLIER,
    OUT_SEQUENCE,
    SOURCE,
    SUCCESSOR,
    TOPIC_ENDED,
    TOPIC_WRITTEN,
    outlet_topic,
    written,
)
from .schemas import Schema

ORDER: Final = (
    f"Messages are in order within one source and subject, where `{OUT_SEQUENCE}` counts 1, 2, 3 … without a gap."
    " `ce_sequence` is the number that the publisher gave: it has gaps where the team may not read an event. Kafka"
    f" delivers each message at least once: remember the last `{OUT_SEQUENCE}` that you applied for each source and"
    " subject of this topic, and skip messages that are not above it."
)
LAST_RECORD: Final = "lastRecord"
LAST_KEY: Final = TOPIC_ENDED.removeprefix(f"{SOURCE}.").replace(".", "-")
"""The key of the last record among a channel's messages."""


def envelope_on_outlet(envelope: Schema) -> Schema:
    """The headers of every event on an outlet: as they were published, and beside them what outlet adds."""
    properties: Schema = {
        **envelope["properties"],
        "ce_sequence": {
            **envelope["properties"]["ce_sequence"],
            "description": "The number that the publisher gave the event. It has gaps where the team may not"
            " read an event.",
        },
        OUT_SEQUENCE: {
            "type": "string",
            "description": "Counts 1, 2, 3 … within one source and subject on this topic, without a gap. It is"
            " padded with zeros to 18 digits.",
            "pattern": f"^{SEQUENCE_WRITTEN}$",
        },
        OUT_EARLIER: {
            "type": "string",
            "description": "The numbers of the team's earlier topics that contain this event, such as `1,2`."
            " Absent if none contains it.",
            "pattern": f"^{EARLIER_WRITTEN}$",
        },
    }
    return {
        **envelope,
        "properties": properties,
        "required": [*envelope["required"], OUT_SEQUENCE],
    }


def envelope_of_last(envelope: Schema) -> Schema:
    """The headers of the last record of a partition: its subject is the end of the topic."""
    properties: Schema = {
        name: one for name, one in envelope["properties"].items() if name != OUT_EARLIER
    }
    subject = {**properties["ce_subject"], "pattern": f"^{_SUBJECT}$"}
    return {**envelope, "properties": {**properties, "ce_subject": subject}}


_SUBJECT: Final = f"{ENDED_SUBJECT}/{UUID}"
_FOLLOWING: Final = "([2-9]|[1-9][0-9]+)"
_LAST_HEADERS: Final[Schema] = {
    "ce_type": {"type": "string", "const": TOPIC_ENDED},
    "ce_source": {"type": "string", "const": SOURCE},
    "ce_sensitivity": {"type": "string", "const": "operational"},
    "ce_dataschema": {"type": "string", "const": f"{SCHEMA}{TOPIC_ENDED}"},
}


def _last_data(successor: str) -> Schema:
    return {
        "type": "object",
        "properties": {
            SUCCESSOR: {
                "type": "string",
                "description": "The topic that follows. Absent if no topic follows.",
                "pattern": f"^{successor}$",
            }
        },
    }


def outlets_contract(envelope: Schema) -> Schema:
    """What every restricted subscriber may rely on, whatever its team: names, headers, and the last record."""
    added = envelope_on_outlet(envelope)
    last = envelope_of_last(added)
    headers: Schema = {
        name: {**last["properties"].get(name, {}), **one} for name, one in _LAST_HEADERS.items()
    }
    return {
        "name": TOPIC_WRITTEN,
        "envelope": {**added, "description": ORDER},
        "last_headers": {**last, "properties": {**last["properties"], **headers}},
        "last_data": _last_data(TOPIC_WRITTEN),
    }


def last_record(team: str, schema_format: str) -> Schema:
    """The message that ends each partition of a topic which is no longer written."""
    return {
        "name": TOPIC_ENDED,
        "title": "TopicEnded",
        "summary": "The end of a partition was reached, and the team continues with the topic that the record names.",
        "description": (
            "The record is written when the rights of the team change or when its agreement ends. Continue with"
            f" the topic that it names, from the beginning. You have handled an event already if its `{OUT_EARLIER}`"
            " names a topic that you have read. If the record names no topic, there is nothing more to read. If"
            " the team receives access again, a second such record names the topic."
        ),
        "contentType": CONTENT_TYPE,
        "tags": [{"name": "operational"}],
        "headers": {
            "type": "object",
            "allOf": [{"$ref": f"#/components/schemas/{LAST_RECORD}"}],
            "properties": dict(_LAST_HEADERS),
        },
        "payload": {
            "schemaFormat": schema_format,
            "schema": _last_data(f"{outlet_topic(team).replace('.', '[.]')}[.]{_FOLLOWING}"),
        },
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "pattern": f"^{_SUBJECT}$",
                    "description": "The subject of the record, with the same bytes as `ce_subject`.",
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def counted(examples: list[Schema]) -> list[Schema]:
    """The examples of a message as they are on an outlet."""
    return [{**one, "headers": {**one["headers"], OUT_SEQUENCE: written(1)}} for one in examples]
