"""Wherever a command takes a number or a time it takes nothing else for one: in every body of every service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from care.interfaces import document
from shared.contracts.attendance import SessionAttended
from shared.programs.registered import field_types
from shared.runtime.http.call import Body
from shared.runtime.http.misread import NUMBERS, not_numbers
from shared.services import PROCESSES
from tests.unit.served import Served
from tests.unit.support import uid

for name in PROCESSES:
    import_module(f"services.{name}.app")


def _bodies(root: type[BaseModel] = Body) -> Iterator[type[BaseModel]]:
    for one in root.__subclasses__():
        if one.__module__.startswith(("services.", "shared.")):
            yield one
        yield from _bodies(one)


def _numbers() -> list[Any]:
    return [
        pytest.param(body, name, id=f"{body.__module__}.{body.__name__}.{name}")
        for body in sorted(set(_bodies()), key=lambda one: (one.__module__, one.__name__))
        for name, annotation in field_types(body).items()
        if name in body.model_fields and list(not_numbers(annotation, True))
    ]


@pytest.mark.parametrize(("body", "name"), _numbers())
def test_a_truth_value_is_no_number(body: type[BaseModel], name: str) -> None:
    """The request of 16: `minutes_present: true` was taken and credited as one minute."""
    for wrong in (True, False):
        with pytest.raises(ValidationError) as refused:
            body.model_validate({name: wrong})
        found = {error["loc"]: error["type"] for error in refused.value.errors()}
        assert found[(name,)] == "not_a_number"


# --- times ------------------------------------------------------------------------------------------------

NO_TIMES = (
    *(1_700_000_000, 0, 1.5, True, "1700000000", "2026-03-02T15:00:00", "2026-03-02T15:00Z"),
    *("2026-03-02T15:00:00+0200", "20260302", "20260302T150000Z", "tomorrow", ""),
)
"""What a lenient reader takes for a moment or a day, or nearly does. The first was taken as one of 2023."""
WRITTEN = {
    "date": (["2026-03-02"], ["2026-03-02T00:00:00Z"]),
    "date-time": (
        ["2026-03-02T15:00:00Z", "2026-03-02t15:00:00.123456z", "2026-03-02 15:00:00-06:00"],
        ["2026-03-02"],
    ),
}


def _formats(schema: dict[str, Any]) -> Iterator[str]:
    if "format" in schema:
        yield schema["format"]
    for one in schema.get("anyOf", []):
        yield from _formats(one)


def _times() -> list[Any]:
    return [
        pytest.param(body, name, form, id=f"{body.__module__}.{body.__name__}.{name}")
        for body in sorted(set(_bodies()), key=lambda one: (one.__module__, one.__name__))
        for name, schema in body.model_json_schema().get("properties", {}).items()
        for form in _formats(schema)
        if form in WRITTEN
    ]


@pytest.mark.parametrize(("body", "name", "form"), _times())
def test_what_is_not_written_as_a_time_is_none(body: type[BaseModel], name: str, form: str) -> None:
    right, wrong = WRITTEN[form]
    for value in (*NO_TIMES, *wrong):
        with pytest.raises(ValidationError) as refused:
            body.model_validate({name: value})
        found = {error["loc"]: error["type"] for error in refused.value.errors()}
        assert found[(name,)] == "not_a_time", value
    for value in right:
        with pytest.raises(
            ValidationError
        ) as refused:  # the others are missing, or it is the only one
            body.model_validate({name: value, "no such field": 1})
        assert (name,) not in {error["loc"] for error in refused.value.errors()}, value


def _parameters() -> list[Any]:
    found: list[Any] = []
    for name in PROCESSES:
        for path, methods in document(name)["paths"].items():
            for method, operation in methods.items():
                for one in operation.get("parameters", []):
                    for form in set(_formats(one["schema"])) & set(WRITTEN):
                        label = f"{name} {method} {path} {one['name']}"
                        found.append(pytest.param(name, method, path, one, form, id=label))
    return found


@pytest.mark.parametrize(("name", "method", "path", "one", "form"), _parameters())
async def test_so_is_what_stands_in_a_query_or_a_path(
    name: str, method: str, path: str, one: dict[str, Any], form: str
) -> None:
    served = Served(import_module(f"services.{name}.app").SERVICE)
    operator = path.startswith("/ops")
    served.acting_as("operator", facility_id="operations") if operator else served.acting_as(
        "program_director"
    )
    for value in ("1700000000", "1699920000", *WRITTEN[form][1]):
        url = path.replace(f"{{{one['name']}}}", value)
        url = re.sub(r"{[^}]*}", uid("nobody"), url)
        query = {one["name"]: value} if one["in"] == "query" else {}
        answer = await served.send(method.upper(), url, {}, params=query)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "request-invalid"), problem
        assert f"{one['in']}.{one['name']}" in {error["at"] for error in problem["errors"]}, value


def test_an_event_with_a_bare_number_for_a_time_is_unreadable() -> None:
    said = json.loads(SessionAttended.example().data())
    SessionAttended.parse(json.dumps(said))
    for value in NO_TIMES:
        with pytest.raises(ValidationError):
            SessionAttended.parse(json.dumps({**said, "starts_at": value}))


def test_every_service_has_numbers_that_are_looked_at() -> None:
    modules = {body.__module__.split(".")[1] for body, _ in (p.values for p in _numbers())}
    assert modules >= {"intake", "plans", "attendance"}


class Inner(BaseModel):
    minutes: int = 0
    share: float = 0
    flag: bool = False


class Outer(Body):
    one: int | None = None
    many: list[int] = Field(default_factory=list[int])
    by_name: dict[str, int] = Field(default_factory=dict[str, int])
    inner: list[Inner] = Field(default_factory=list[Inner])
    either: int | str = 0
    truth: bool = False


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"one": True}, ""),
        ({"one": "3"}, ""),
        ({"one": 3.0}, ""),
        ({"many": [1, True]}, ".1"),
        ({"by_name": {"a": False}}, ".*"),
        ({"inner": [{"minutes": 1}, {"minutes": "1"}]}, ".1.minutes"),
        ({"inner": [{"share": True}]}, ".0.share"),
        ({"inner": [{"share": "0.5"}]}, ".0.share"),
        ({"either": True}, ""),
    ],
)
@pytest.mark.fault("F37")
def test_what_is_no_number_is_refused_with_its_place(body: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(body)
    [error] = refused.value.errors()
    assert (error["type"], error.get("ctx")) == ("not_a_number", {"place": place})


def test_what_is_right_is_taken() -> None:
    body = {
        "one": 3,
        "many": [1],
        "by_name": {"a": 1},
        "inner": [{"minutes": 1, "share": 1, "flag": True}],
        "either": "3",
        "truth": True,
    }
    assert Outer.model_validate(body).one == 3
    assert {int, float} <= NUMBERS
