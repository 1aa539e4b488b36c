"""AsyncAPI documents: everything that is published, what one service publishes, what one subscriber receives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ..attributes import PATTERNS, PERSON, SEQUENCE_WRITTEN, TRACEPARENT, UUID
from ..event import CONTENT_TYPE, MAX_EVENT_BYTES, Event
from ..outlets import TOPIC_ENDED, outlet_topic
from ..topics import TOPICS, Topic
from . import asyncapi_outlets as outlet
from .examples import example_of
from .schemas import Schema, events, meaning, summary
from .subscribers import Subscriber, consumers

SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
Reference = Callable[[type[Event]], str]
"""Where a document finds the schema of an event's data."""

_ORDER: Final = (
    "Messages are in order within one source and subject, where `ce_sequence` counts 1, 2, 3 … without a gap. Kafka"
    " delivers each message at least once: remember the last sequence that you applied for each source and subject, and"
    " skip messages that are not above it."
)


def _description(order: str) -> str:
    return (
        "Each message states a fact about the care path of a person in an intensive outpatient program. Messages are"
        " CloudEvents 1.0 in Kafka's binary mode: the attributes stand in the `ce_` headers and the JSON data in the"
        f" value. {order} Ignore fields and codes that you do not know. Times are in UTC unless a description states"
        " otherwise. An optional field without a value is absent and never null. Messages with the sensitivity `part2`"
        " are protected by 42 CFR Part 2."
    )


def as_file(event: type[Event]) -> str:
    """The schema's file beside the document."""
    return f"./schemas/{event.TYPE}.json"


def as_address(event: type[Event]) -> str:
    """The schema's address at a service, below the document's own."""
    return f"./schemas/{event.schema_id()}"


def asyncapi(subscribers: Mapping[str, Subscriber], version: str) -> Schema:
    """Everything that is published: a channel per topic, a message per event type, and who reads it."""
    return _document("Throughcare events", version, TOPICS, events(), as_file, subscribers) | {
        "operations": {f"{_short(name)}Sends": _sends(name) for name in TOPICS}
    }


def published_by(source: str, version: str) -> Schema:
    """What one service publishes, for the service itself to show: nothing when it has no topic of its own."""
    topics = [name for name in TOPICS if name == source]
    document = _document(
        f"Throughcare {_short(source)} events", version, topics, events(source), as_address, {}
    )
    return document | {"operations": {f"{_short(name)}Sends": _sends(name) for name in topics}}


def received_by(team: Subscriber, version: str) -> Schema:
    """What one subscriber receives: the types that it reads, where it reads them."""
    read = [event for event in events() if event.TYPE in team.reads]
    title = f"Throughcare events for {team.name}"
    sources = [name for name in TOPICS if any(name == event.SOURCE for event in read)]
    document = _document(title, version, sources, read, as_file, {})
    if not team.direct:
        _as_on_outlet(document, team, read)
    document["info"]["contact"] = {"name": f"{team.owner}, {team.contact}"}
    document["operations"] = {
        f"{name}Receives": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": f"{team.name} reads {name}.",
            "description": f"Consumer groups begin with `{team.group_prefix}`.",
            "messages": [
                {"$ref": f"#/channels/{name}/messages/{key}"} for key in channel["messages"]
            ],
        }
        for name, channel in document["channels"].items()
    }
    return document


def _document(
    title: str,
    version: str,
    topics: Iterable[str],
    shown: list[type[Event]],
    reference: Reference,
    subscribers: Mapping[str, Subscriber],
) -> Schema:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": _description(_ORDER),
            "contact": {"name": "The maintainers of Throughcare"},
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name} for name in ("operational", "part2")],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _SERVERS,
        "channels": {_short(name): _channel(name, shown) for name in topics},
        "components": {
            "messages": {event.TYPE: _message(event, reference, subscribers) for event in shown},
            "schemas": {"envelope": envelope_schema()},
            "securitySchemes": _SECURITY,
            "correlationIds": {
                "correlation": {
                    "description": "All events that follow from the same first cause share this id.",
                    "location": "$message.header#/ce_correlationid",
                }
            },
        },
    }


_SERVERS: Final[Schema] = {
    "subscribers": {
        "host": "{host}:{port}",
        "protocol": "kafka-secure",
        "description": "The listener for subscribers. Each deployment has its own host.",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "9094"}},
        "security": [
            {"$ref": f"#/components/securitySchemes/{name}"} for name in ("scram", "mtls", "oauth")
        ],
    },
    "development": {
        "host": "localhost:9092",
        "protocol": "kafka",
        "description": "The embedded broker of `make demo` and `make up`. It accepts every client unless"
        " BACKEND_SECURED=1.",
    },
}
_SECURITY: Final[Schema] = {
    "scram": {
        "type": "scramSha512",
        "description": "The client has a user name and a password and connects over TLS.",
    },
    "mtls": {
        "type": "X509",
        "description": "The client has a certificate of the deployment's certificate authority.",
    },
    "oauth": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The client uses OAUTHBEARER with a token of the deployment's issuer.",
    },
}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _key(event: type[Event]) -> str:
    return f"{event.NAME}-v{event.MAJOR}"


def _channel(name: str, shown: list[type[Event]]) -> Schema:
    topic = TOPICS[name]
    return {
        "address": name,
        "title": name,
        "summary": f"All events that the service {_short(name)} publishes, in order within each subject.",
        "description": (
            "The record key is the subject, so all events about one subject are in one partition. The topic has"
            f" {topic.partitions} partitions and is in its incarnation {topic.incarnation}, which counts how often the"
            " topic was created anew. Both numbers are part of the contract, because stored positions depend on them: a"
            " consumer that finds other numbers has to stop. Records are retained without a time limit."
        ),
        "messages": _messages(event for event in shown if name == event.SOURCE),
        "bindings": _bindings(topic),
        "x-incarnation": topic.incarnation,
        "x-key": "subject",
        "x-max-event-bytes": MAX_EVENT_BYTES,
    }


def _bindings(topic: Topic) -> Schema:
    return {
        "kafka": {
            "topic": topic.name,
            "partitions": topic.partitions,
            "topicConfiguration": {
                "cleanup.policy": [topic.cleanup],
                "retention.ms": -1,
                "retention.bytes": -1,
                "max.message.bytes": topic.message_bytes_max,
            },
            "bindingVersion": "0.5.0",
        }
    }


def _as_on_outlet(document: Schema, team: Subscriber, read: Iterable[type[Event]]) -> None:
    """Change the document of a subscriber to what it finds on its own topic."""
    [address] = team.topics
    topic, last = Topic(address), {"$ref": f"#/components/messages/{TOPIC_ENDED}"}
    document["info"]["description"] = _description(outlet.ORDER)
    document["channels"] = {
        _short(team.name): {
            "address": address,
            "title": address,
            "summary": f"The events that {team.name} may read, from all topics, in order within each source and"
            " subject.",
            "description": (
                f"When the rights of {team.name} change, a new topic replaces this one:"
                f" `{outlet_topic(team.name, 2)}` and so on. It contains the permitted events from the first"
                " retained one. The last record in each partition of the earlier topic names the new topic."
            ),
            "messages": {**_messages(read), outlet.LAST_KEY: last},
            "bindings": _bindings(topic),
        }
    }
    components = document["components"]
    envelope = outlet.envelope_on_outlet(envelope_schema())
    components["schemas"] = {
        "envelope": envelope,
        outlet.LAST_RECORD: outlet.envelope_of_last(envelope),
    }
    for message in components["messages"].values():
        message["examples"] = outlet.counted(message["examples"])
    components["messages"][TOPIC_ENDED] = outlet.last_record(team.name, SCHEMA_FORMAT)


def _messages(shown: Iterable[type[Event]]) -> Schema:
    return {_key(event): {"$ref": f"#/components/messages/{event.TYPE}"} for event in shown}


def _sends(name: str) -> Schema:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_short(name)}"},
        "summary": f"The service {_short(name)} publishes its events. No other service writes to this topic.",
        "description": "An event is sent after the service has stored it together with the change that it describes.",
        "messages": [
            {"$ref": f"#/channels/{_short(name)}/messages/{_key(event)}"} for event in events(name)
        ],
    }


def _message(
    event: type[Event], reference: Reference, subscribers: Mapping[str, Subscriber]
) -> Schema:
    example = example_of(event)
    attributes: Schema = {
        "ce_type": {"type": "string", "const": event.TYPE},
        "ce_source": {"type": "string", "const": event.SOURCE},
        "ce_subject": {"type": "string", "pattern": f"^{event.SUBJECT}/{UUID}$"},
        "ce_sensitivity": {"type": "string", "const": event.SENSITIVITY},
        "ce_dataschema": {"type": "string", "const": event.schema_id()},
    }
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": summary(event),
        "description": meaning(event),
        "contentType": CONTENT_TYPE,
        "tags": [{"name": event.SENSITIVITY}],
        "headers": {
            "type": "object",
            "allOf": [{"$ref": "#/components/schemas/envelope"}],
            "properties": attributes,
        },
        "correlationId": {"$ref": "#/components/correlationIds/correlation"},
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": reference(event)}},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "pattern": f"^{event.SUBJECT}/{UUID}$",
                    "description": "The subject of the event, with the same bytes as `ce_subject`.",
                },
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [
            {"name": event.NAME, "headers": example["headers"], "payload": example["data"]}
        ],
        "x-consumers": consumers(event.TYPE, subscribers),
    }


def envelope_schema() -> Schema:
    """The headers of every event."""

    def text(description: str, **more: object) -> Schema:
        return {"type": "string", "description": description, **more}

    def attribute(name: str, description: str, **more: object) -> Schema:
        return text(description, pattern=f"^{PATTERNS[name]}$", **more)

    properties: Schema = {
        "ce_specversion": text("The version of the CloudEvents specification.", const="1.0"),
        "ce_id": attribute(
            "id", "Identifies the event. It is the same in every delivery of the event."
        ),
        "ce_source": attribute(
            "source", "The topic of the publishing service, for example `care.intake`."
        ),
        "ce_type": attribute(
            "type",
            "The type of the event: `care.<service>.<fact in the past tense>.v<major version>`.",
        ),
        "ce_subject": attribute(
            "subject",
            "Identifies the subject of the event as `<kind>/<uuid>`. It is also the record key.",
        ),
        "ce_time": attribute(
            "time",
            "The time at which the publishing service decided the event, in UTC. Times in the data may be"
            " earlier or later.",
            format="date-time",
        ),
        "ce_sequence": text(
            "Counts 1, 2, 3 … within one source and subject, without a gap. It is padded with zeros to 18"
            " digits, so that the order of the texts is the order of the numbers.",
            pattern=f"^{SEQUENCE_WRITTEN}$",
        ),
        "ce_correlationid": attribute(
            "correlationid", "All events that follow from the same first cause share this id."
        ),
        "ce_causationid": attribute(
            "causationid",
            "Identifies the direct cause of the event: a command, an event or a deadline.",
        ),
        "ce_facilityid": attribute(
            "facilityid", "The facility that is responsible for the subject."
        ),
        "ce_actorrole": attribute(
            "actorrole", "The role that caused the event. It never names a person."
        ),
        "ce_sensitivity": attribute(
            "sensitivity",
            "The sensitivity of the event. `operational` contains nothing about a person in treatment. `part2` contains"
            " information about such a person and is protected by 42 CFR Part 2. Show an event with an unknown"
            " sensitivity to nobody.",
        ),
        "ce_dataschema": attribute(
            "dataschema",
            "Identifies the schema of the data. It is an identifier and no address.",
            format="uri",
        ),
        "ce_traceparent": text(
            "The trace context as defined by W3C. Absent if the event belongs to no trace.",
            pattern=f"^{TRACEPARENT}$",
        ),
        "ce_personid": text(
            "Identifies the person that an event about an episode belongs to, as far as the publisher knows."
            " Absent for other subjects and if the person is not known yet. `episode-person-corrected` may"
            " correct it later.",
            pattern=f"^{PERSON}$",
        ),
        "content-type": text("The media type of the data in the value.", const=CONTENT_TYPE),
    }
    optional = {"ce_traceparent", "ce_personid"}
    return {
        "type": "object",
        "description": "The CloudEvents attributes as Kafka headers. Ignore headers that you do not know.",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
