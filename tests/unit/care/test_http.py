"""The one HTTP client: what it sends, and how a refusal or a silence becomes one clear error."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from care.http import ServiceClient, ServiceError, ask
from tests.unit.care.terminal import Services

URL = "http://plans:8002/"


def problem(status: int, **body: Any) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers={"content-type": "application/problem+json"})


async def test_a_command_carries_token_and_key_and_leaves_absent_parameters_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"ok": True})

    monkeypatch.setattr("care.http.TRANSPORT", httpx2.MockTransport(handle))
    async with ServiceClient("plans", URL, "mine") as plans:
        assert await plans.get("/loops", kind=None, limit="5") == {"ok": True}
        assert await plans.post("/x", {"a": 1}, key="k") == {"ok": True}
        await plans.send("POST", "/x", body={}, token="another")
    question, command, other = seen
    assert str(question.url) == "http://plans:8002/loops?limit=5"
    assert "idempotency-key" not in question.headers
    assert (command.headers["idempotency-key"], command.content) == ("k", b'{"a":1}')
    assert command.headers["authorization"] == "Bearer mine"
    assert other.headers["authorization"] == "Bearer another"


REFUSALS = [
    (
        problem(409, code="not-first", detail="Another waits.", hint="Begin there."),
        ("not-first", "Another waits.", "Begin there.", 409),
    ),
    (problem(503, code="starting", detail="Not ready."), ("starting", "Not ready.", "", 503)),
    (httpx2.Response(502, text="<html>"), ("http-502", "The answer can't be read.", "", 502)),
    (httpx2.Response(500, json=["a list"]), ("http-500", "The answer can't be read.", "", 500)),
    (httpx2.Response(200, text="no JSON"), ("http-200", "The answer can't be read.", "", 200)),
]


@pytest.mark.parametrize(("given", "expected"), REFUSALS, ids=[e[0] for _, e in REFUSALS])
def test_a_refusal_is_one_error_with_code_detail_and_hint(
    given: httpx2.Response, expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Services(lambda _: given).installed(monkeypatch)
    with pytest.raises(ServiceError) as caught:
        ask("plans", URL, "t", "GET", "/x")
    error = caught.value
    assert (error.code, error.detail, error.hint, error.status_code) == expected
    assert str(error) == f"plans at http://plans:8002: {error.code}: {error.detail}"


SILENCES = [
    httpx2.ConnectError("Maria"),
    httpx2.ReadTimeout("Maria"),
    httpx2.RemoteProtocolError("Maria"),
    OSError("Maria"),
]


@pytest.mark.parametrize("given", SILENCES, ids=lambda error: type(error).__name__)
def test_no_answer_names_the_service_and_what_to_do(
    given: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    Services(lambda _: given).installed(monkeypatch)
    with pytest.raises(ServiceError) as caught:
        ask("plans", URL, "t", "GET", "/x")
    assert caught.value.code == "no-answer"
    assert type(given).__name__ in caught.value.detail
    assert "care up" in caught.value.hint
    assert "Maria" not in str(caught.value)


def test_an_address_that_is_none_is_no_answer_either() -> None:
    with pytest.raises(ServiceError) as caught:
        ask("plans", "http://plans:port", "t", "GET", "/x")
    assert caught.value.code == "no-answer"
