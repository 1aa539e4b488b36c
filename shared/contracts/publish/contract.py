"""The whole contract as one value: what a release keeps, and what the gate compares. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, cast

from ..event import HEADERS_BYTES_MAX, HEADERS_MAX, MAX_EVENT_BYTES, Event
from ..outlets import PREFIX
from ..topics import TOPICS, Topic
from .asyncapi import envelope_schema
from .asyncapi_outlets import outlets_contract
from .difference import text_of
from .http_differ import kept
from .schemas import definitions, events, expanded
from .subscribers import Subscriber

Contract = dict[str, Any]

OURS: Final = "this repository"
"""The owner of the services that are named as consumers in the event classes."""


def contract(
    subscribers: Mapping[str, Subscriber],
    documents: Mapping[str, Contract],
    examples: Mapping[str, Contract],
) -> Contract:
    """Everything that a reader or caller may rely on, as JSON.

    `documents`: each service's OpenAPI document. `examples`: the published example of each event type that has one.
    """
    return {
        "limits": {
            "event_bytes": MAX_EVENT_BYTES,
            "headers": HEADERS_MAX,
            "headers_bytes": HEADERS_BYTES_MAX,
        },
        "envelope": envelope_schema(),
        "topics": {name: _topic(topic) for name, topic in TOPICS.items()},
        "outlets": {"topic": _topic(Topic(PREFIX)), **outlets_contract(envelope_schema())},
        "events": {event.TYPE: _event(event, examples.get(event.TYPE)) for event in events()},
        "subscribers": {
            name: one.model_dump(mode="json", exclude_none=True)
            for name, one in sorted(subscribers.items())
        },
        "http": {name: kept(document) for name, document in sorted(documents.items())},
    }


def is_contract(value: object) -> bool:
    """Whether this value, read from a file, is a whole contract."""
    parts = ("limits", "envelope", "topics", "outlets", "events", "subscribers", "http")
    return isinstance(value, dict) and all(
        isinstance(cast("Contract", value).get(one), dict) for one in parts
    )


def _topic(topic: Topic) -> Contract:
    return {
        "key": "subject",
        "partitions": topic.partitions,
        "incarnation": topic.incarnation,
        **topic.promised(),
    }


def _event(event: type[Event], example: Contract | None) -> Contract:
    known: Contract = {
        "title": event.__name__,
        "topic": event.SOURCE,
        "subject": event.SUBJECT,
        "sensitivity": event.SENSITIVITY,
        "consumers": list(event.CONSUMERS),
        "schema": expanded(event),
        "definitions": definitions(event),
    }
    if example is not None:
        known["example_sha256"] = hashlib.sha256(text_of(example).encode()).hexdigest()
    if event.UNTIL is not None:
        known["until"] = event.UNTIL.isoformat()
    return known


def problems(whole: Contract, today: date) -> list[str]:
    """What can't stay as it is, whatever was released before: contradictions, and last days that are over."""
    limits, largest = whole["limits"], whole["limits"]["event_bytes"]
    found = [
        f"limits.event_bytes: {largest} is above the {topic['max.message.bytes']} bytes that {name} takes"
        for name, topic in whole["topics"].items()
        if largest + limits["headers_bytes"] > int(topic["max.message.bytes"])
    ]
    for name, event in whole["events"].items():
        readers = [*event["consumers"], *_teams_of(whole, name)]
        if readers and "until" in event and date.fromisoformat(event["until"]) < today:
            found.append(
                f"{name}: its last day was {event['until']}, and {', '.join(readers)} read it still"
            )
    return found


def _teams_of(whole: Contract, event_type: str) -> list[str]:
    return [name for name, team in whole["subscribers"].items() if event_type in team["reads"]]
