"""The words of the contract: a subscriber of another team understands each description at first reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, cast

import pytest

from shared.contracts.event import CATALOGUE, Event
from shared.contracts.names import ADDITIONS, REASONS
from shared.contracts.publish.asyncapi import asyncapi, envelope_schema, published_by
from shared.contracts.publish.asyncapi_outlets import last_record, outlets_contract
from shared.contracts.publish.schemas import schema_of
from shared.contracts.topics import TOPICS

EVENTS: Final = sorted(CATALOGUE.values(), key=lambda event: event.TYPE)
every_event = pytest.mark.parametrize("event", EVENTS, ids=[event.TYPE for event in EVENTS])

FORBIDDEN: Final = re.compile(
    # Words of this project for what others call published, received, corrected or a rule.
    r"\b(tells?|told|says?|said|hears?|heard|mends?|Flag|Timer|Alert)\b"
    # Who reads it: that stands in x-consumers, and changes without the fact.
    r"|\b(Reporting|Partners|Plans|Intake|Followup|Attendance) [a-z]+s\b"
    # A state diagram in one line is no sentence.
    r"| > "
)
ALONE: Final = {"Why.", "When.", "What for.", "Who.", "How."}


def fault(words: str) -> str:
    """What is wrong with a description, or nothing."""
    if not words.strip():
        return "missing"
    if not words.endswith("."):
        return "no full stop at the end"
    if words in ALONE:
        return "a word and no description"
    if not re.match(r"[A-Z0-9`]", words):
        return "no capital at the beginning"
    if found := FORBIDDEN.search(words):
        return f"not plain: {found.group()}"
    return "" if "\n" not in words else "more than one line"


def described(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every description and summary below a node of a schema or document, by its path; properties always have one."""
    if isinstance(node, list):
        for index, one in enumerate(cast("list[object]", node)):
            yield from described(one, f"{path}[{index}]")
    if not isinstance(node, dict):
        return
    for name, value in cast("dict[str, object]", node).items():
        if name in {"description", "summary"} and isinstance(value, str):
            yield path, value
        elif name == "properties":
            for field, one in cast("dict[str, dict[str, Any]]", value).items():
                if not {"description", "const", "pattern"} & one.keys() and "enum" not in one:
                    yield f"{path}.{field}", ""
                yield from described(one, f"{path}.{field}")
        elif name not in {"examples", "default"}:
            yield from described(value, f"{path}/{name}")


def faults(document: object) -> dict[str, str]:
    return {path: found for path, words in described(document) if (found := fault(words))}


@pytest.mark.fault("F56")
@every_event
def test_an_event_and_each_of_its_fields_and_codes_are_described_in_plain_sentences(
    event: type[Event],
) -> None:
    schema = schema_of(event)
    assert faults(schema) == {}
    assert all(field.get("description") for field in schema["properties"].values())


@pytest.mark.fault("F56")
@every_event
def test_a_code_list_states_what_each_code_means(event: type[Event]) -> None:
    for name, one in schema_of(event).get("$defs", {}).items():
        if "anyOf" not in one:
            continue
        words = one["description"]
        places = [words.find(f"`{code}`: ") for code in one["anyOf"][0]["enum"]]
        assert min(places) > 0, (name, words)
        assert all(before < after for before, after in pairwise(places)), name
        # The meaning is more than the code in other letters.
        for code in one["anyOf"][0]["enum"]:
            assert re.search(rf"`{re.escape(code)}`: [A-Z0-9][^`]+\.", words), (name, code)


def test_the_documents_and_headers_are_described_in_plain_sentences() -> None:
    assert faults(asyncapi({}, "1.0.0")) == {}
    for topic in TOPICS:
        assert faults(published_by(topic, "1.0.0")) == {}
    envelope = envelope_schema()
    assert faults(outlets_contract(envelope)) == {}
    assert faults(last_record("billing", "application/schema+json")) == {}
    assert all(header.get("description") for header in envelope["properties"].values())


def test_the_reasons_for_names_are_plain_sentences() -> None:
    assert {
        name: fault(words) for name, words in {**REASONS, **ADDITIONS}.items() if fault(words)
    } == {}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("The reason for the correction.", ""),
        ("`ce_id` of the event.", ""),
        ("", "missing"),
        ("Why.", "a word and no description"),
        ("The reason", "no full stop at the end"),
        ("the reason.", "no capital at the beginning"),
        ("A roll says so.", "not plain: says"),
        ("Followup reaches out. Episode: none.", "not plain: Followup reaches"),
        ("Timer; retracted later.", "not plain: Timer"),
        ("Group: open > full.", "not plain:  > "),
    ],
)
def test_what_is_not_plain_is_found(words: str, found: str) -> None:
    assert fault(words) == found
