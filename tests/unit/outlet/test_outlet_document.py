"""The AsyncAPI document of a restricted subscriber, compared with what outlet puts on its topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from services.outlet.planning import Plan, planned
from services.outlet.streams import EndState, StreamState, end, pass_on
from shared.contracts.attributes import UUID
from shared.contracts.event import CATALOGUE, Event, read_envelope
from shared.contracts.outlets import OUT_EARLIER, OUT_SEQUENCE, TOPIC_ENDED, outlet_topic
from shared.contracts.publish.asyncapi import received_by
from shared.contracts.publish.examples import example_of
from shared.contracts.topics import Topic
from shared.decision import Foreign, PassedOn
from tests.unit.outlet.test_outlet_entitlement import team
from tests.unit.outlet.test_outlet_streams import CAUSE

EVENTS: Final = [event for event in CATALOGUE.values() if event.SENSITIVITY == "operational"]
TODAY: Final = date(2026, 11, 27)
TEAM: Final = team("billing", reads={event.TYPE: () for event in EVENTS}, sensitivity="operational")
DOCUMENT: Final[dict[str, Any]] = received_by(TEAM, "1.0.0")
FIRST, SECOND = outlet_topic("billing"), outlet_topic("billing", 2)


def of(message: str) -> dict[str, Any]:
    return DOCUMENT["components"]["messages"][message]


def check(message: str, one: PassedOn) -> None:
    """Every header that is there is described, each is of its form, and none is missing."""
    headers = {name: (raw or b"").decode() for name, raw in one.headers}
    Draft202012Validator(  # pyright: ignore[reportUnknownMemberType]
        {**of(message)["headers"], "components": DOCUMENT["components"]}
    ).validate(headers)
    [shared] = of(message)["headers"]["allOf"]
    described = DOCUMENT["components"]["schemas"][shared["$ref"].rpartition("/")[2]]["properties"]
    assert headers.keys() <= described.keys()


def passed_on(event: type[Event]) -> Iterator[PassedOn]:
    """An event on the team's first topic, on the next one, and on that after an event that the first had not."""
    example = example_of(event)
    headers = tuple((name, str(value).encode()) for name, value in example["headers"].items())
    envelope = read_envelope(headers, example["key"].encode())
    data = json.dumps(example["data"]).encode()
    first = pass_on(StreamState(), Foreign(envelope, headers, data, (FIRST,)), CAUSE)
    second = Foreign(envelope, headers, data, (SECOND,), ended=(FIRST,))
    yield from first.passed
    yield from pass_on(first.state, second, CAUSE).passed
    yield from pass_on(StreamState(), second, CAUSE).passed


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TYPE)
def test_every_event_has_the_headers_that_the_document_says(event: type[Event]) -> None:
    passed = list(passed_on(event))
    assert [OUT_EARLIER in dict(one.headers) for one in passed] == [False, True, False]
    for one in passed:
        check(event.TYPE, one)
        without = [header for header in one.headers if header[0] != OUT_SEQUENCE]
        with pytest.raises(Exception, match=OUT_SEQUENCE):
            check(event.TYPE, one._replace(headers=tuple(without)))


@pytest.mark.parametrize("successor", [SECOND, None])
def test_the_last_record_is_the_message_of_the_document(successor: str | None) -> None:
    [last] = end(EndState(), CAUSE, FIRST, successor).passed
    check(TOPIC_ENDED, last)
    payload = of(TOPIC_ENDED)["payload"]["schema"]
    validator = Draft202012Validator(payload)
    assert validator.is_valid(json.loads(last.data))
    assert not validator.is_valid({"successor": outlet_topic("payroll", 2)})
    assert set(json.loads(last.data)) <= payload["properties"].keys()
    assert of(TOPIC_ENDED)["bindings"]["kafka"]["key"]["pattern"] == f"^topic/{UUID}$"


def test_all_that_comes_on_the_topic_is_received() -> None:
    [channel] = DOCUMENT["channels"].values()
    [operation] = DOCUMENT["operations"].values()
    named = {one["$ref"].rpartition("/")[2] for one in operation["messages"]}
    assert named == set(channel["messages"])
    messages = {one["$ref"].rpartition("/")[2] for one in channel["messages"].values()}
    assert messages == {*TEAM.reads, TOPIC_ENDED} == DOCUMENT["components"]["messages"].keys()


def test_the_topic_is_as_outlet_makes_it() -> None:
    [made] = planned(Plan(), [TEAM], [], TODAY, 1).open
    [channel] = DOCUMENT["channels"].values()
    topic = Topic(made.topic)
    kafka = channel["bindings"]["kafka"]
    assert (channel["address"], kafka["topic"]) == (topic.name, topic.name)
    assert kafka["partitions"] == topic.partitions


def test_no_number_is_said_to_be_whole_that_is_not() -> None:
    """`ce_sequence` has gaps where the team may not read an event; the topic's own count has none."""
    described = DOCUMENT["components"]["schemas"]["envelope"]["properties"]
    assert "without a gap" not in described["ce_sequence"]["description"]
    assert "without a gap" in described[OUT_SEQUENCE]["description"]
    assert f"`{OUT_SEQUENCE}` counts 1, 2, 3 … without a gap" in DOCUMENT["info"]["description"]


def test_examples_are_of_this_topic() -> None:
    for event in EVENTS:
        headers = {**of(event.TYPE)["headers"], "components": DOCUMENT["components"]}
        for one in of(event.TYPE)["examples"]:
            Draft202012Validator(headers).validate(one["headers"])  # pyright: ignore[reportUnknownMemberType]
