"""`care contracts replay` tells what of the past is no longer valid, by place and never by value."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from care.replay import Findings, dealt
from shared.contracts import CATALOGUE
from shared.contracts.publish.examples import example_of

ATTENDED = "care.attendance.session-attended.v1"


def record(event_type: str, *, headers: dict[str, str] | None = None, **data: Any) -> Any:
    example = example_of(CATALOGUE[event_type])
    told = {**example["headers"], **(headers or {})}
    value = {k: v for k, v in {**example["data"], **data}.items() if v is not None}
    return SimpleNamespace(
        topic="care.attendance",
        headers=[(name, text.encode()) for name, text in told.items()],
        key=example["key"].encode(),
        value=json.dumps(value).encode(),
    )


def test_every_example_is_valid() -> None:
    found = Findings()
    for event_type in CATALOGUE:
        found.look_at(record(event_type))
    assert (found.events, len(found.types), found.invalid.total()) == (len(CATALOGUE),) * 2 + (0,)


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        (record(ATTENDED, minutes_credited="Jane Doe"), (ATTENDED, "minutes_credited: type")),
        (record(ATTENDED, minutes_credited=9_999), (ATTENDED, "minutes_credited: maximum")),
        (record(ATTENDED, starts_at=None), (ATTENDED, "data: required")),
        (record(ATTENDED, starts_at="yesterday"), (ATTENDED, "starts_at: format")),
        (record(ATTENDED, arrival="Jane Doe"), (ATTENDED, "arrival: anyOf")),
        (
            record(ATTENDED, headers={"ce_id": "Jane Doe"}),
            ("care.attendance", "ce_id: envelope-invalid"),
        ),
        (
            record(ATTENDED, headers={"ce_type": "care.attendance.session-left.v1"}),
            ("care.attendance.session-left.v1", "type: not in the contract"),
        ),
    ],
)
def test_what_is_invalid_is_told_by_its_place(spoiled: Any, told: tuple[str, str]) -> None:
    found = Findings()
    found.look_at(spoiled)
    assert list(found.invalid) == [told]
    assert "Jane" not in json.dumps(found.as_data())


def test_data_that_is_no_json_is_told() -> None:
    found = Findings()
    spoiled = record(ATTENDED)
    spoiled.value = b"\x00"
    found.look_at(spoiled)
    assert list(found.invalid) == [(ATTENDED, "data: not JSON")]


def test_what_two_processes_found_is_one_finding() -> None:
    both, alone = Findings(), Findings()
    for event_type in sorted(CATALOGUE)[:2]:
        spoiled = record(event_type, headers={"ce_sensitivity": "Very High"})
        part = Findings()
        for found in (part, alone):
            found.look_at(record(event_type))
            found.look_at(spoiled)
        both.add(part.counts)
    assert both.counts == alone.counts
    assert both.invalid.total() == 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_partitions_are_dealt_out_evenly(count: int) -> None:
    sizes = {("care.plans", n): size for n, size in enumerate([90, 10, 50, 40, 0, 0, 30])}
    shares = dealt(sizes, count)
    assert len(shares) == count
    assert sorted(place for share in shares for place in share) == sorted(sizes)
    loads = [sum(sizes[place] for place in share) for share in shares]
    assert max(loads) - min(loads) <= 90
    assert count != 2 or loads == [120, 100]
