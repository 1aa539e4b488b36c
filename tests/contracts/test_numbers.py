"""Wherever a command takes a number it takes nothing else for one: in every body of every service."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from shared.programs.registered import field_types
from shared.runtime.http.call import Body
from shared.runtime.http.numbers import NUMBERS, not_numbers
from shared.services import SERVICES

for name in SERVICES:
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
