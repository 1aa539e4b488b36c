"""Every operation of docs/domain.md 7 (HTTP operations) is in the OpenAPI document of its service."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

import pytest

from shared.runtime.service import create_app
from shared.runtime.settings import ServiceSettings

# What the scenarios need; `{}` stands for an id. The partner gateway is a service of its own.
REFERENCE = {
    "intake": """
        POST /referrals
        POST /referrals/{}/ack
        POST /referrals/{}/decline
        POST /referrals/{}/close
        POST /assessments
        POST /assessments/{}/complete
        POST /assessments/{}/recommendation
        POST /placements
        POST /waitlist
        POST /waitlist/{}/offer
        POST /waitlist/{}/accept
        POST /episodes
        POST /episodes/{}/orientation
        POST /consents
        POST /consents/{}/revoke
        GET /consents/check?recipient&category&purpose
        POST /disclosures/emergency
        GET /disclosures
        POST /outbound-referrals
        POST /disclosures/request
        POST /disclosures/{}/report
        POST /disclosures/{}/undo
        GET /partners/capacity
        PUT /partners/{}
        POST /partners/{}/agreements
        POST /partners/{}/agreements/{}/end
        GET /partners
    """,
    "plans": """
        POST /plans
        POST /plans/{}/sign
        POST /plans/{}/reviews
        POST /plans/{}/goals
        PATCH /goals/{}
        PUT /episodes/{}/expected-analytes
        POST /reviews/{}/complete
        POST /episodes/{}/loc-changes
        POST /episodes/{}/transfer
        POST /episodes/{}/graduate
        POST /episodes/{}/discharge
    """,
    "attendance": """
        POST /groups
        POST /groups/{}/seats
        POST /sessions
        POST /sessions/{}/attendance
        POST /sessions/{}/cancel
        POST /attendance/{}/corrections
        GET /episodes/{}/weeks/{}
        POST /screens
        POST /screens/{}/collect
        POST /screens/{}/custody
        POST /screens/{}/results
        POST /screens/{}/not-provided
        POST /screens/{}/interpret
        POST /mutual-support
        POST /incentives
    """,
    "followup": """
        POST /aftercare-plans
        GET /checkins?due
        POST /checkins/{}/attempts
        POST /checkins/{}/complete
        POST /return-to-use
        POST /reengagements
        GET /measures/{}
    """,
}
EVERYWHERE = ("GET /loops", "GET /tasks")
OPERATIONS = [
    (service, operation)
    for service, text in REFERENCE.items()
    for operation in (*(line.strip() for line in text.strip().splitlines()), *EVERYWHERE)
]


@cache
def documented(service: str) -> dict[str, set[str]]:
    """The operations of a service, ids left out, and what each may be asked by."""
    app = create_app(import_module(f"services.{service}.app").SERVICE, ServiceSettings())
    return {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}": {
            parameter["name"]
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query"
        }
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_the_operation_exists(service: str, operation: str) -> None:
    path, _, query = operation.partition("?")
    assert path in documented(service)
    assert {name for name in query.split("&") if name} <= documented(service)[path]


@pytest.mark.parametrize("measure", ["iet", "fua", "fui"])
def test_the_measures_have_these_names(measure: str) -> None:
    app = create_app(import_module("services.followup.app").SERVICE, ServiceSettings())
    document = app.openapi()
    [parameter] = [
        p
        for p in document["paths"]["/measures/{measure}"]["get"]["parameters"]
        if p["name"] == "measure"
    ]
    name = parameter["schema"].get("$ref", "").rpartition("/")[2]
    allowed = parameter["schema"] if not name else document["components"]["schemas"][name]
    assert measure in allowed["enum"]
