"""What a caller sends that may end in an event is an id, a listed code, or a code that was registered beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from shared.contracts.codes import REGISTRIES, RegisteredIn
from shared.programs.registered import LOOKED_UP_BY_ROUTES, field_types
from shared.runtime.http.call import Body
from shared.services import SERVICES
from tests.unit.served import Served
from tests.unit.support import uid

MADE_UP = "zephyrine-quillfeather"
WHOLE = {
    "analytes": {"code": MADE_UP, "from_on": "2026-03-01", "verified": True},
    "criteria": {"code": MADE_UP, "met": True},
}
"""What is validated as a whole before its parts are looked at: values of the contracts."""


def registries(annotation: Any) -> set[str]:
    """The registries of all codes in a type."""
    found: set[str] = set()
    if get_origin(annotation) is Annotated:
        found = {n.registry for n in get_args(annotation)[1:] if isinstance(n, RegisteredIn)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = field_types(annotation).values()
    else:
        inner = [one for one in get_args(annotation) if not isinstance(one, str)]
    return found.union(*map(registries, inner))


def made_up(name: str, annotation: Any) -> Any:
    """A value of this type with a code that nobody has registered."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        return made_up(name, arguments[0])
    if origin is not None:
        return {MADE_UP: True} if origin is dict else [made_up(name, arguments[0])]
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return MADE_UP
    if not issubclass(annotation, Body):
        return WHOLE[name]
    types = field_types(annotation)
    return {n: made_up(n, types[n]) for n in annotation.model_fields if registries(types[n])}


def looked_up() -> Iterator[Any]:
    """Every field of every command's body that holds a registered code."""
    for service in SERVICES:
        for router in import_module(f"services.{service}.app").SERVICE.routers:
            for route in router.routes:
                assert isinstance(route, APIRoute)
                if route.body_field is None:
                    continue
                body: Any = route.dependant.body_params[0].field_info.annotation
                for one in (body, *get_args(body)):
                    if not (isinstance(one, type) and issubclass(one, BaseModel)):
                        continue
                    for name, annotation in field_types(one).items():
                        if registries(annotation) - LOOKED_UP_BY_ROUTES:
                            label = f"{service} {route.path} {name}"
                            yield pytest.param(service, route, name, annotation, id=label)


FIELDS = list(looked_up())


def test_these_are_the_fields_that_are_looked_up() -> None:
    places = {str(one.id) for one in FIELDS}
    assert {
        "intake /disclosures notice_version",
        "intake /episodes/{episode_id}/orientation rules_accepted",
        "plans /plans goals",
        "plans /episodes/{episode_id}/expected-analytes analytes",
        "followup /aftercare-plans elements",
    } <= places
    found = set().union(*(registries(one.values[3]) for one in FIELDS))
    made_here = {"conditions", "behaviors", "versions"}
    assert found | LOOKED_UP_BY_ROUTES | made_here == set(REGISTRIES)
    assert not found & made_here, "no caller sends what the programs decide"


@pytest.mark.parametrize(("service", "route", "name", "annotation"), FIELDS)
async def test_a_code_that_nobody_registered_is_refused_and_not_repeated(
    service: str, route: APIRoute, name: str, annotation: Any
) -> None:
    served = Served(import_module(f"services.{service}.app").SERVICE)
    [roles] = [
        dependency.call.roles  # type: ignore[union-attr]
        for dependency in route.dependant.dependencies
        if hasattr(dependency.call, "roles")
    ]
    served.acting_as(next(iter(roles), "clinician"))
    path = route.path
    for parameter in route.dependant.path_params:
        path = path.replace(f"{{{parameter.name}}}", uid("something"))
    method = min(route.methods or {"POST"})
    answer = await served.send(method, path, {name: made_up(name, annotation)})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "request-invalid"
    whys = {
        error["why"] for error in answer.json()["errors"] if error["at"].startswith(f"body.{name}")
    }
    assert "code_not_registered" in whys, answer.text
    assert MADE_UP not in answer.text
    assert MADE_UP not in repr(served.disk.records)


def test_what_is_registered_elsewhere_is_not_looked_up_when_an_event_is_read() -> None:
    """A reader does not know what others have registered: events are read by pattern."""
    event = import_module("shared.contracts.intake").ReferralReceived
    read = event.parse(event.example().model_copy(update={"source_facility_id": MADE_UP}).data())
    assert read.source_facility_id == MADE_UP
