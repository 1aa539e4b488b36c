"""Values that the schema allows and nobody means: the ends of the calendar, and numbers of any size.

Each is applied, or it is a dead letter of its own stream. Lists, deadlines and everybody else's records go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any, Final

import pytest

from shared.contracts.event import CATALOGUE
from shared.contracts.publish.examples import example_of
from shared.runtime.timers import look_at
from shared.services import SERVICES
from tests.hostile.listening import Hearing
from tests.unit.support import START

MOMENTS: Final = (
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1969-12-31T23:59:59.999999Z",
    "2262-04-11T23:47:17Z",
)
DAYS: Final = ("0001-01-01", "9999-12-31", "1900-02-28")
NUMBERS: Final = (-1, 2**63, 10**30, 1e308, -0.0)


def _odd(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return MOMENTS
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return DAYS
    return NUMBERS if isinstance(value, int | float) and not isinstance(value, bool) else ()


def _variants(data: Any) -> Iterator[Any]:
    """The data with one value in it, at any depth, replaced by an odd one."""
    if isinstance(data, dict):
        for name, inner in data.items():  # pyright: ignore[reportUnknownVariableType]
            yield from ({**data, name: odd} for odd in _variants(inner))
    elif isinstance(data, list):
        for at, inner in enumerate(data):  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
            yield from ([*data[:at], odd, *data[at + 1 :]] for odd in _variants(inner))
    else:
        yield from _odd(data)


@pytest.mark.parametrize("name", SERVICES)
async def test_it_is_applied_or_set_aside_and_everything_goes_on(name: str) -> None:
    service = import_module(f"services.{name}.app").SERVICE
    hearing, sent = Hearing(service), 0
    for event in CATALOGUE.values():
        if event.SOURCE not in service.reactions.topics:
            continue
        variants = [json.dumps(one).encode() for one in _variants(example_of(event)["data"])]
        for value in variants:
            sent += 1
            hearing.send(event, hearing.headers(event, f"{event.TYPE} {sent}"), value=value)
        for moment in MOMENTS:
            sent += 1
            hearing.send(event, hearing.headers(event, f"{event.TYPE} {sent}", time=moment))
    await hearing.hear()
    assert sent > 200
    reasons = {row["reason"] for row in hearing.dead_letters()}
    assert reasons <= {"data-invalid", "envelope-invalid", "decision-raised"}
    served = hearing.served.acting_as("program_director")
    for path in ("/loops", "/tasks"):
        assert (await served.get(path)).status_code == 200
    for days in (1, 800):
        looks = [look_at(one, START + timedelta(days=days)) for one in served.disk.records]
        outcomes = await served.reactor.submit(looks)
        assert not [one for one in outcomes if one.error is not None or one.status.is_failure]
