"""Who may call: every operation of every service, found in the OpenAPI documents, with every kind of role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient

from care.interfaces import document
from shared.contracts.codes import Role
from shared.devtools.issuer import LocalIssuer
from shared.roles import (
    SERVICE_PREFIX,
    SERVICE_ROUTES,
    STAFF_ROLES,
    SUBSCRIBER,
    as_in_tokens,
    role_and_service,
)
from shared.services import PROCESSES
from tests.unit.served import Served
from tests.unit.support import FACILITY, authenticator_of, uid

ISSUER: Final = LocalIssuer()
MACHINES: Final = {"/healthz", "/readyz", "/metrics"}
STRANGE: Final = (
    *("janitor", "system", "partner", "unknown", "admin", "operator ", "Operator", "service"),
    *("service:", "service:nobody", "service:operator", "scheduler", "system:scheduler", "all"),
    *("subscriber", "subscriber:", "subscriber:Billing", "subscriber:a b", "billing"),
)
"""Words that no token may carry as its role, whoever signed it."""


@cache
def served(service: str) -> Served:
    """A service whose callers are read from their tokens."""
    one = Served(import_module(f"services.{service}.app").SERVICE)
    one.app.state.authenticator = authenticator_of(ISSUER)
    return one


def operations() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for service in PROCESSES:
        for path, methods in document(service)["paths"].items():
            for method, operation in methods.items():
                yield service, method.upper(), path, operation


OPERATIONS: Final = [
    pytest.param(*one, id=" ".join(one[:3])) for one in operations() if one[2] not in MACHINES
]


@cache
def token(role: str) -> str:
    return ISSUER.token(FACILITY, role)


async def answer(client: AsyncClient, method: str, path: str, role: str) -> tuple[int, str]:
    """How the service answers a caller with this role, who sends ids that are none of anybody's and no body."""
    url = path
    while "{" in url:
        head, _, rest = url.partition("{")
        url = f"{head}{uid('nobody')}{rest.partition('}')[2]}"
    headers = {"Authorization": f"Bearer {token(role)}"}
    response = await client.request(method, url, headers=headers)
    problem = response.json() if response.status_code >= 400 else {}
    return response.status_code, problem.get("code", "")


@pytest.mark.parametrize(("service", "method", "path", "operation"), OPERATIONS)
async def test_only_the_listed_roles_come_in(
    service: str, method: str, path: str, operation: dict[str, Any]
) -> None:
    allowed: Sequence[str] = operation["x-roles"]
    assert allowed, "an operation that names no roles"
    transport = ASGITransport(app=served(service).app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://service") as client:
        for role in STRANGE:
            assert await answer(client, method, path, role) == (403, "role-unknown"), role
        services = (SERVICE_PREFIX + name for name in SERVICE_ROUTES)
        for role in (*STAFF_ROLES, *services):
            _, code = await answer(client, method, path, role)
            assert (code != "role-not-allowed") is (role in allowed), role
        _, code = await answer(client, method, path, "subscriber:billing")
        assert (code != "role-not-allowed") is (as_in_tokens(SUBSCRIBER) in allowed)


def test_a_role_that_slipped_past_the_token_is_refused_at_the_route() -> None:
    """Two locks: a route asks the same list as the token does."""
    for service in PROCESSES:
        one = Served(import_module(f"services.{service}.app").SERVICE)
        client = TestClient(one.app)
        for role in ("janitor", "system", "partner", "service", SUBSCRIBER):
            one.acting_as(role)
            for path in ("/loops", "/tasks", "/programs", "/ops/dead-letters"):
                problem = client.get(path).json()
                assert problem.get("code") == "role-not-allowed", (service, role, path)


def test_what_a_service_may_call_exists() -> None:
    known = {f"{service} {method} {path}" for service, method, path, _ in operations()}
    for name, routes in SERVICE_ROUTES.items():
        assert routes, name
        assert routes <= known, name


def test_services_and_teams_act_under_one_word() -> None:
    assert role_and_service("service:scheduler") == ("service", "scheduler")
    assert role_and_service("subscriber:billing") == ("subscriber", "billing")
    assert role_and_service("nurse") == ("nurse", "")
    assert [word for word in STRANGE if role_and_service(word)] == []


def test_whoever_may_own_a_loop_may_call() -> None:
    """The language of the events and the list of callers differ in exactly three words."""
    assert {role.value for role in Role} - {*STAFF_ROLES} == {"partner", "system", "unknown"}
    assert {*STAFF_ROLES} < {role.value for role in Role}
