"""Every operation of every service, called with what its OpenAPI document allows and with what it forbids.

On the real services, with a real patient in treatment whose ids are mixed in, so that calls get past the first look-up.
No answer is a 5xx; every refusal is problem+json with a machine code; what the document forbids is refused.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from copy import deepcopy
from itertools import count
from random import Random
from typing import Any, Final
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NotSet

from care.interfaces import document
from shared.devtools.backends import Backend
from shared.runtime.http.openapi import PROBLEM
from shared.services import SERVICES
from tests.answers import Described
from tests.flows.scene import FACILITY, MORNING, ZONE, Flow, Patient, flowing
from tests.tiers import PROOFS

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
EXAMPLES: Final = {POSITIVE: 15, NEGATIVE: 8} if PROOFS else {POSITIVE: 6, NEGATIVE: 3}
ANSWER_SECONDS: Final = 20
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
OPERATING: Final = "operations"
MACHINES: Final = {"/healthz", "/readyz", "/metrics"}
STEERS: Final = {("put", "/ops/clock")}
"""Would move the clock of the whole stack: only what it forbids is tried."""
ENDS: Final = re.compile(
    r"(entered-in-error|merge|discharge|graduate|transfer|decline|undo|person|referrals/\{\w+\}/close)$"
)
"""After these an episode takes no more commands, so they get a patient of their own."""
USUAL: Final = {
    "program": "iop-evening",
    "track": "evening",
    "panel": "urine-12",
    "time_zone": ZONE,
}
"""Values that a code's pattern alone would never hit upon."""
KEYS = count()


def _operations() -> Iterator[Any]:
    for name in SERVICES:
        schema = schemathesis.openapi.from_dict(deepcopy(document(name)))
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # pyright: ignore[reportAttributeAccessIssue] - or it raises
            label = f"{name} {operation.method.upper()} {operation.path}"
            yield pytest.param(name, operation, id=label)


DESCRIBED: Final = {name: Described(document(name)) for name in SERVICES}
OPERATIONS = list(_operations())
WITH_ROLES = [p for p in OPERATIONS if p.values[1].path not in MACHINES]


class Stage:
    """The stack, who calls it, and the ids that its answers have told."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.http = requests.Session()
        self.ids: dict[str, list[str]] = {}
        self.spent: dict[str, list[str]] = {}
        self._tokens: dict[tuple[str, str], str] = {}

    def headers(self, role: str | None, path: str = "") -> dict[str, str]:
        headers = {"Idempotency-Key": f"fuzz {next(KEYS)}"}
        if role is not None:
            who = (OPERATING if path.startswith("/ops/") else FACILITY, role)
            if who not in self._tokens:
                self._tokens[who] = self.flow.stack.issuer.token(*who)
            headers["Authorization"] = f"Bearer {self._tokens[who]}"
        return headers

    def learn(self, value: Any, name: str = "") -> None:
        """Remember ids by the names under which they are told."""
        if isinstance(value, dict):
            for key, inner in value.items():
                self.learn(inner, key)
        elif isinstance(value, list):
            for inner in value:
                self.learn(inner, name)
        elif isinstance(value, str) and name.endswith("_id") and UUID.fullmatch(value):
            known = self.ids.setdefault(name, [])
            if value not in known and len(known) < 50:
                known.append(value)

    def mix_in(self, value: Any, luck: Random, ids: Mapping[str, list[str]]) -> Any:
        """The same, with most ids replaced by ids of the same name that somebody has."""
        if isinstance(value, list):
            return [self.mix_in(inner, luck, ids) for inner in value]
        if not isinstance(value, dict):
            return value
        mixed: dict[str, Any] = {}
        for key, inner in value.items():
            known = ids.get(key) or ([USUAL[key]] if key in USUAL else [])
            if known and isinstance(inner, str) and luck.random() < 0.8:
                mixed[key] = luck.choice(known[:2] if luck.random() < 0.7 else known)
            elif key in {"roster", "episode_ids"} and inner:
                mixed[key] = ids["episode_id"][:1]
            else:
                mixed[key] = self.mix_in(inner, luck, ids)
        return mixed

    async def people(self) -> None:
        """Somebody in treatment, with what belongs to them; and somebody whose episode may be ended."""
        flow = self.flow
        patient, other, spent = [await flow.admitted() for _ in range(3)]
        for one in (patient, other):
            self.learn(vars(one))
        self.spent = {name: [value] for name, value in vars(spent).items()}
        session = await flow.session(patient, at=flow.when(1, MORNING))
        self.learn({"session_id": session})
        named = ("program", "track", "time_zone")
        group = {name: USUAL[name] for name in named}
        self.learn(await flow.does("counselor", "attendance", "/groups", **group))
        self.learn(await self.screened(patient))

    async def screened(self, patient: Patient) -> dict[str, Any]:
        body = {"episode_id": patient.episode_id, "panel": USUAL["panel"]}
        return await self.flow.does("nurse", "attendance", "/screens", **body)


@pytest.fixture(scope="module")
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    async with flowing(backend, f"o{uuid4().hex[:8]}_") as flow:
        await flow.on(0, MORNING)
        stage = Stage(flow)
        await stage.people()
        yield stage
        stage.http.close()


def _role(operation: Any, luck: Random) -> str | None:
    if operation.path in MACHINES:
        return None
    allowed: list[str] = operation.definition.raw["x-roles"]
    return luck.choice(allowed)


def checked(operation: Any, answer: requests.Response) -> None:
    """What holds of every answer."""
    said = f"{answer.request.method} {answer.status_code}: {answer.text[:400]}"
    assert answer.status_code < 500, said
    documented = operation.definition.raw["responses"]
    if answer.status_code < 400:
        assert str(answer.status_code) in documented, said
        headers = documented.get(str(answer.status_code), {}).get("headers", {})
        assert ("ETag" in headers) is ("ETag" in answer.headers), said
        return
    assert "4XX" in documented
    assert answer.headers["Content-Type"] == "application/problem+json", said
    body = answer.json()
    assert set(PROBLEM["required"]) <= set(body) <= set(PROBLEM["properties"]), said
    assert body["status"] == answer.status_code
    assert CODE.fullmatch(body["code"]), said


@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=["allowed", "forbidden"])
@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
async def test_no_call_breaks_a_service(
    stage: Stage, service: str, operation: Any, mode: GenerationMode
) -> None:
    url = stage.flow.urls[service]
    if mode is POSITIVE and (operation.method, operation.path) in STEERS:
        return
    if mode is NEGATIVE and not _can_be_forbidden(operation):
        return

    @settings(
        max_examples=EXAMPLES[mode],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        luck=st.randoms(use_true_random=False),
    )
    def every(case: Any, luck: Random) -> None:
        if mode is POSITIVE:
            ids = {**stage.ids, **stage.spent} if ENDS.search(operation.path) else stage.ids
            case.path_parameters = stage.mix_in(case.path_parameters, luck, ids)
            case.query = stage.mix_in(case.query, luck, ids)
            if not isinstance(case.body, NotSet):
                case.body = stage.mix_in(case.body, luck, ids)
        case.headers.pop("Idempotency-Key", None)
        if luck.random() < 0.8:
            case.headers.pop("If-Match", None)
        answer = case.call(
            base_url=url,
            session=stage.http,
            headers=stage.headers(_role(operation, luck), operation.path),
            timeout=ANSWER_SECONDS,
        )
        response = requests.Response()
        response.status_code, response._content = answer.status_code, answer.content
        for name in answer.headers.keys() & {"content-type", "etag"}:
            response.headers[name] = answer.headers[name][0]
        response.request = requests.Request(case.method, url).prepare()
        checked(operation, response)
        DESCRIBED[service].check(
            operation.method,
            operation.path,
            response.status_code,
            response.headers.get("content-type", ""),
            response.content,
        )
        if answer.status_code < 300 and answer.content[:1] == b"{":
            stage.learn(answer.json())

    every()


def _can_be_forbidden(operation: Any) -> bool:
    """Something of it can be wrong beside headers, which every operation has alike."""
    return bool(operation.body) or bool(operation.path_parameters) or bool(operation.query)


@pytest.mark.parametrize(("service", "operation"), WITH_ROLES)
async def test_nobody_calls_without_a_token_or_the_role(
    stage: Stage, service: str, operation: Any
) -> None:
    path = re.sub(r"\{[^}]+\}", lambda _: str(uuid4()), operation.path)
    url = stage.flow.urls[service] + path

    def call(role: str | None) -> requests.Response:
        headers = stage.headers(role)
        return stage.http.request(operation.method, url, headers=headers, timeout=ANSWER_SECONDS)

    answer = call(None)
    checked(operation, answer)
    assert (answer.status_code, answer.json()["code"]) == (401, "token-required")
    answer = call("gardener")
    checked(operation, answer)
    assert (answer.status_code, answer.json()["code"]) == (403, "role-unknown")
