"""The names of event fields: an identifier, a unit or a code shows in its name, and has one name everywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, cast

import pytest

from shared.contracts.attributes import FACILITY
from shared.contracts.codes import UUID_PATTERN
from shared.contracts.event import CATALOGUE, Event
from shared.contracts.publish.schemas import expanded
from shared.contracts.publish.story import example_id

EVENTS: Final = sorted(CATALOGUE.values(), key=lambda event: event.TYPE)

UNITS: Final = frozenset(
    {
        *("days", "weeks", "hours", "minutes", "cents", "mg", "year", "seats", "absences"),
        *("sessions", "meetings", "behaviors", "attempts", "channels", "ins"),
    }
)
"""What a number is a number of."""
ORDINALS: Final = frozenset(
    {"attempt", "custody_sequence", "number", "position", "step", "step_reached", "tier", "version"}
)
"""Numbers that count from 1 and have no unit."""
OF_THEIR_OWNER: Final = frozenset(
    {"basis", "category", "cause", "code", "kind", "loop", "outcome", "reason", "version"}
)
"""Names of codes that mean something else in each event, and `version`, a number of a plan and a code of terms."""


def leaves(node: dict[str, Any], name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that is no object and no list, with its schema."""
    if "properties" in node:
        for field, one in cast("dict[str, dict[str, Any]]", node["properties"]).items():
            yield from leaves(one, field)
    elif "items" in node:
        yield from leaves(node["items"], name)
    else:
        yield name, node


FIELDS: Final = [
    (event, name, schema) for event in EVENTS for name, schema in leaves(expanded(event))
]


@pytest.mark.fault("F54")
def test_a_number_states_its_unit() -> None:
    unsaid = {
        (event.TYPE, name)
        for event, name, schema in FIELDS
        if schema["type"] == "integer" and name not in ORDINALS and not UNITS & set(name.split("_"))
    }
    assert unsaid == set()


def test_what_identifies_a_thing_ends_in_id() -> None:
    for event, name, schema in FIELDS:
        pattern = schema.get("pattern")
        if pattern == UUID_PATTERN:
            assert name.endswith("_id"), (event.TYPE, name)
        elif name.endswith("_id"):
            assert pattern == f"^{FACILITY}$", (event.TYPE, name)


@pytest.mark.fault("F54")
def test_who_acted_is_named_by_what_they_did() -> None:
    actors = {
        name
        for event in EVENTS
        for name, info in event.model_fields.items()
        if info.examples == [example_id("actor")]
    }
    # The personnel act for another organization: they receive, and do nothing here.
    assert all(name.endswith("_by_id") for name in actors - {"personnel_id"}), actors
    assert actors


@pytest.mark.fault("F54")
def test_one_name_means_one_thing() -> None:
    forms: defaultdict[str, set[str]] = defaultdict(set)
    for _, name, schema in FIELDS:
        if name not in OF_THEIR_OWNER:
            form = schema.get("x-definition") or schema.get("format") or schema.get("pattern")
            forms[name].add(f"{schema['type']} {form}")
    assert {name: found for name, found in forms.items() if len(found) > 1} == {}


@pytest.mark.parametrize("event", EVENTS, ids=[event.TYPE for event in EVENTS])
def test_what_is_true_or_false_is_never_absent_without_a_reason(event: type[Event]) -> None:
    """An absent truth value is a third answer, which the description explains."""
    schema = expanded(event)
    for name, field in schema["properties"].items():
        if field.get("type") == "boolean" and name not in schema["required"]:
            assert "Absent if" in field["description"] or "default" in field, name
