"""Bad input to a real service on real servers: every record is read, set aside or queued, every request answered.

The service is attendance, whole, with one rule replaced by one that raises. Nothing may stop it, nothing may be
lost, and no word of what came in may reach a log.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import structlog
from aiokafka import TopicPartition

from services.attendance.app import SERVICE
from shared.contracts import intake, plans
from shared.contracts.event import MAX_EVENT_BYTES
from shared.decision import Cause, Decision, State
from shared.devtools.backends import Backend
from shared.devtools.issuer import LocalIssuer
from shared.runtime.core import dead_letter
from shared.runtime.core.partitions import partition_of
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.logs import configure
from shared.runtime.service import Runtime, create_app
from shared.runtime.settings import ServiceSettings
from tests.integration.bus import FACILITY, Bus, bus_to, forget_topics, headers_of, until

MARK = "Maria-Lopez-1984"
"""Stands for personal data: put into whatever is sent, and looked for wherever it must not be."""
ISSUER = LocalIssuer()


def _raises(_state: State, _event: Any, _cause: Cause) -> Decision[State]:
    raise ValueError(f"could not handle {MARK}")


BROKEN = replace(
    SERVICE,
    reactions=Reactions(
        *(row for row in SERVICE.reactions if row.event is not plans.LevelOfCareChanged),
        on(plans.LevelOfCareChanged, _raises),
    ),
)


class Attendance:
    """The service, running, and what can be seen of it from outside and inside."""

    def __init__(
        self, runtime: Runtime, client: httpx2.AsyncClient, bus: Bus, log: io.StringIO
    ) -> None:
        self.runtime = runtime
        self.http = client
        self.bus = bus
        self.log = log

    async def heard(self, tp: TopicPartition) -> None:
        await self.bus.heard("attendance", tp)

    def count(self, name: str, **labels: str) -> float:
        return self.runtime.metrics.registry.get_sample_value(name, labels) or 0.0

    async def document(self, subject: str) -> dict[str, Any] | None:
        return await self.runtime.store.collection("records").find_one({"_id": subject})

    async def documents(self) -> dict[str, Any]:
        found = await self.runtime.store.collection("records").find({}).to_list()
        return {one["_id"]: one["version"] for one in found}

    async def dead_letters(self, **query: Any) -> list[dict[str, Any]]:
        rows = self.runtime.store.collection("dead_letters").find(query).sort("_id")
        return await rows.to_list()

    async def dead_letter_at(self, tp: TopicPartition, offset: int) -> dict[str, Any]:
        [row] = await self.dead_letters(_id=f"{tp.topic}/{tp.partition}/{offset}")
        return row

    async def admitted(self) -> str:
        """A new episode that the service has heard of."""
        subject = episode()
        await self.heard(await self.bus.say(admission(), subject, 1))
        return subject


def episode() -> str:
    return f"episode/{uuid4()}"


def admission() -> intake.PatientAdmitted:
    return intake.PatientAdmitted.example().model_copy(update={"admitted_at": datetime.now(UTC)})


def neighbour_of(subject: str) -> str:
    """Another episode on the same partition."""
    wanted = partition_of(subject, 12)
    return next(name for name in iter(episode, "") if partition_of(name, 12) == wanted)


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    """Everything the service logs, at the finest level, configured as in production."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    written, stdout = io.StringIO(), sys.stdout
    sys.stdout = written
    try:
        configure("attendance", "debug")
    finally:
        sys.stdout = stdout
    structlog.configure(cache_logger_on_first_use=False)
    root.setLevel(logging.DEBUG)
    for handler in root.handlers:
        handler.setLevel(logging.DEBUG)
    yield written
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers, root.level = handlers, level


@pytest.fixture(scope="module")
async def attendance(backend: Backend, log: io.StringIO) -> AsyncIterator[Attendance]:
    """One service for all tests of the module, on topics that it creates itself."""
    await forget_topics(backend)
    settings = ServiceSettings.model_validate(
        {
            **backend.kafka.environment(),
            "MONGO_URI": backend.mongo_uri,
            "jwks": ISSUER.jwks,
            "database_prefix": f"t{uuid4().hex[:10]}_",
            "sweep_after_seconds": 0.5,
        }
    )
    app = create_app(BROKEN, settings)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://attendance") as client,
        bus_to(backend.kafka) as bus,
    ):
        runtime: Runtime = app.state.runtime
        await until(lambda: len(runtime.consumer.buckets) == 12, what="an assignment")
        yield Attendance(runtime, client, bus, log)
        await runtime.store.database.client.drop_database(runtime.store.database.name)


@pytest.fixture(autouse=True)
def _nothing_said(log: io.StringIO, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No log line, and nothing that a library prints, may hold what was sent."""
    yield
    printed = capfd.readouterr()
    for text in (log.getvalue(), printed.out, printed.err):
        assert MARK not in text


# --- records whose identity can't be trusted -----------------------------------------------------------------

SPOILT_HEADERS: dict[str, tuple[str, dict[str, str | bytes | None]]] = {
    "a header that is no UTF-8": (
        "headers-undecodable",
        {"ce_id": b"\xff\xfe" + MARK.encode()},
    ),
    "another header that is no UTF-8": ("headers-undecodable", {"ce_x": b"\xc3\x28"}),
    **{
        f"no {name}": ("envelope-incomplete", {f"ce_{name}": None})
        for name in ("specversion", "id", "source", "type", "subject", "sequence", "facilityid")
    },
    "an empty id": ("envelope-incomplete", {"ce_id": ""}),
    "another specversion": ("envelope-invalid", {"ce_specversion": "0.3"}),
    "a name for a subject": ("envelope-invalid", {"ce_subject": MARK}),
    "sequence nought": ("envelope-invalid", {"ce_sequence": "0"}),
    "a negative sequence": ("envelope-invalid", {"ce_sequence": "-1"}),
    "an endless sequence": ("envelope-invalid", {"ce_sequence": "9" * 19}),
    "digits of another script": ("envelope-invalid", {"ce_sequence": "١"}),
    "no time": ("envelope-invalid", {"ce_time": MARK}),
    "a time without offset": ("envelope-invalid", {"ce_time": "2026-03-02T15:00:00"}),
    "a type that is none": ("envelope-invalid", {"ce_type": f"care.intake.{MARK}"}),
    "somebody else's key": ("subject-mismatch", {"key": f"episode/{uuid4()}"}),
    "no key": ("subject-mismatch", {"key": None}),
    "another source": ("source-mismatch", {"ce_source": "care.plans"}),
    "another publisher's type": ("source-mismatch", {"ce_type": "care.plans.patient-admitted.v1"}),
    "a subject of another kind": (
        "subject-kind-wrong",
        {"ce_subject": f"session/{uuid4()}"},
    ),
}


@pytest.mark.parametrize("name", SPOILT_HEADERS)
async def test_a_record_of_unknown_identity_is_set_aside_and_the_partition_goes_on(
    attendance: Attendance, name: str
) -> None:
    reason, changes = SPOILT_HEADERS[name]
    subject = episode()
    event = admission()
    headers: dict[str, str | bytes] = {**headers_of(event, subject, 1), "ce_note": MARK}
    for header, value in changes.items():
        if value is None:
            headers.pop(header, None)
        elif header != "key":
            headers[header] = value
    key: Any = changes["key"] if "key" in changes else headers.get("ce_subject", subject)
    key = key.encode() if isinstance(key, str) else key
    before = await attendance.documents()
    counted = attendance.count("care_dead_letters_total", reason=reason)
    value = json.dumps({"note": MARK}).encode()
    tp = await attendance.bus.send("care.intake", headers, value, key=key, partition=3)
    await attendance.heard(tp)
    row = await attendance.dead_letter_at(tp, attendance.bus.offset)
    assert row["reason"] == reason
    assert row["reason"] in dead_letter.REASONS
    assert row["redrivable"] is False
    assert bytes(row["data"]) == value
    assert row["key"] == key
    expected = {n: v if isinstance(v, bytes) else v.encode() for n, v in headers.items()}
    assert {n: bytes(raw) for n, raw in row["headers"]} == expected
    assert await attendance.documents() == before
    assert attendance.count("care_dead_letters_total", reason=reason) == counted + 1
    assert "message.unreadable" in attendance.log.getvalue()


# --- records that say who they are, but can't be used ----------------------------------------------------------


def _invalid() -> dict[str, bytes | None]:
    good = json.loads(admission().data())
    return {
        "no JSON": MARK.encode(),
        "no object": b'["' + MARK.encode() + b'"]',
        "null": b"null",
        "no value": None,
        "an empty value": b"",
        "a missing field": json.dumps({"population": MARK}).encode(),
        "a wrong type": json.dumps(good | {"admitted_at": MARK}).encode(),
        "no UTF-8": b'{"population":"\xff\xfe"}',
        "nested without end": b"[" * 100_000,
        "a number without end": b'{"length_weeks":' + b"9" * 5_000 + b"}",
    }


BAD = [*_invalid(), "another major", "too large", "a rule that raises"]


async def _send_bad(attendance: Attendance, name: str, subject: str) -> tuple[TopicPartition, str]:
    bus = attendance.bus
    if name == "another major":
        future = "care.intake.patient-admitted.v2"
        return await bus.say(admission(), subject, 1, type=future), "major-unsupported"
    if name == "too large":
        large = json.loads(admission().data()) | {"note": MARK + "x" * MAX_EVENT_BYTES}
        value = json.dumps(large).encode()
        return await bus.say(admission(), subject, 1, value=value), "too-large"
    if name == "a rule that raises":
        return await bus.say(plans.LevelOfCareChanged.example(), subject, 1), "decision-raised"
    value = _invalid()[name]
    headers = headers_of(admission(), subject, 1)
    partition = partition_of(subject, 12)
    key = subject.encode()
    sent = await bus.send("care.intake", headers, value, key=key, partition=partition)
    return sent, "data-invalid"


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_event_parks_its_own_line_and_nothing_else(
    attendance: Attendance, name: str
) -> None:
    subject = episode()
    neighbour = neighbour_of(subject)
    bus = attendance.bus
    tp, reason = await _send_bad(attendance, name, subject)
    bad = bus.offset
    again = plans.ExpectedAnalytesUpdated.example() if tp.topic == "care.plans" else admission()
    await bus.say(again, subject, 2)
    behind = bus.offset
    other = plans.ExpectedAnalytesUpdated.example() if tp.topic == "care.intake" else admission()
    await attendance.heard(await bus.say(other, subject, 1))
    await attendance.heard(await bus.say(again, neighbour, 1))
    row = await attendance.dead_letter_at(tp, bad)
    assert (row["reason"], row["redrivable"], row["sequence"]) == (reason, True, 1)
    queued = await attendance.dead_letter_at(tp, behind)
    assert (queued["reason"], queued["stream"]) == ("stream-blocked", row["stream"])
    assert {row["reason"], queued["reason"]} <= set(dead_letter.REASONS)
    record = await attendance.document(subject)
    assert record is not None
    line, others = tp.topic.removeprefix("care."), other.SOURCE.removeprefix("care.")
    assert record["blocked"] == {line: reason}
    assert set(record["inbox"]) == {others}  # the other publisher's line goes on
    beside = await attendance.document(neighbour)
    assert beside is not None
    assert beside["inbox"][line][0] == 1
    assert attendance.count("care_dead_letters_total", reason=reason) > 0


async def test_an_episode_of_which_only_bad_news_came_is_not_yet_known(
    attendance: Attendance,
) -> None:
    subject = episode()
    await attendance.heard(await attendance.bus.say(admission(), subject, 1, value=b"{}"))
    answer = await attendance.http.get(f"/episodes/{subject[8:]}", headers=_as("counselor"))
    assert (answer.status_code, answer.json()["code"]) == (409, "not-yet-known")


async def test_a_type_that_nobody_wants_is_skipped_and_counted(attendance: Attendance) -> None:
    subject = episode()
    before = attendance.count("care_events_skipped_total", source="care.intake")
    tp = await attendance.bus.say(
        admission(), subject, 1, type="care.intake.coffee-brewed.v1", value=MARK.encode()
    )
    await attendance.heard(tp)
    assert attendance.count("care_events_skipped_total", source="care.intake") == before + 1
    assert await attendance.document(subject) is None
    assert await attendance.dead_letters(subject=subject) == []


async def test_a_missing_number_is_an_alarm_and_is_applied(attendance: Attendance) -> None:
    subject = await attendance.admitted()
    for _ in range(3):  # so that its place allows the number
        await attendance.heard(await attendance.bus.say(admission(), subject, 1))
    before = attendance.count("care_sequence_gaps_total", source="care.intake")
    await attendance.heard(await attendance.bus.say(admission(), subject, 4))
    assert attendance.count("care_sequence_gaps_total", source="care.intake") == before + 1
    record = await attendance.document(subject)
    assert record is not None
    assert record["inbox"]["intake"][0] == 4
    assert record["blocked"] == {}
    assert "sequence.gap" in attendance.log.getvalue()


async def test_a_repeated_number_changes_nothing(attendance: Attendance) -> None:
    subject = await attendance.admitted()
    before = await attendance.document(subject)
    duplicates = attendance.count("care_work_total", kind="event", status="duplicate")
    await attendance.heard(await attendance.bus.say(admission(), subject, 1))
    assert await attendance.document(subject) == before
    now = attendance.count("care_work_total", kind="event", status="duplicate")
    assert now == duplicates + 1


async def test_a_repeated_number_with_another_id_is_a_forked_history(
    attendance: Attendance,
) -> None:
    subject = await attendance.admitted()
    before = await attendance.document(subject)
    assert before is not None
    tp = await attendance.bus.say(admission(), subject, 1, event_id=str(uuid4()))
    await attendance.heard(tp)
    row = await attendance.dead_letter_at(tp, attendance.bus.offset)
    assert row["reason"] == "sequence-conflict"
    after = await attendance.document(subject)
    assert after is not None
    assert after["blocked"] == {"intake": "sequence-conflict"}
    assert (after["state"], after["inbox"]) == (before["state"], before["inbox"])
    assert attendance.count("care_work_total", kind="event", status="conflicting") > 0


async def test_lag_is_nought_in_the_end(attendance: Attendance) -> None:
    """Whatever came before this test, no partition is stuck."""
    await attendance.admitted()

    async def level() -> bool:
        committed = await attendance.bus.committed("attendance")
        behind = attendance.runtime.consumer.behind()
        return bool(committed) and bool(behind) and not any(behind.values())

    await until(level, what="no lag")
    assert attendance.runtime.not_ready() == []


# --- HTTP ----------------------------------------------------------------------------------------------------


def _as(role: str, facility: str = FACILITY, **how: Any) -> dict[str, str]:
    token = ISSUER.token(facility, role, **how)
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}


@pytest.fixture(scope="module")
async def known(attendance: Attendance) -> dict[str, str]:
    """An admitted and oriented episode, and a session that lies ahead with it on the roster."""
    subject = await attendance.admitted()
    oriented = intake.OrientationCompleted.example()
    await attendance.heard(await attendance.bus.say(oriented, subject, 2))
    ahead = _session(subject, starts_at=(datetime.now(UTC) + timedelta(days=5)).isoformat())
    answer = await attendance.http.post("/sessions", json=ahead, headers=_as("counselor"))
    assert answer.status_code == 201, answer.text
    return {"episode": subject[8:], "session": answer.json()["session_id"], "nobody": str(uuid4())}


def _session(subject: str, **changes: Any) -> dict[str, Any]:
    return {
        "modality": "individual",
        "starts_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "minutes_planned": 90,
        "roster": [subject.removeprefix("episode/")],
        **changes,
    }


def _roll(episode_id: str, **changes: Any) -> dict[str, Any]:
    return {"entries": [{"episode_id": episode_id, "status": "attended", **changes}]}


def _forged() -> str:
    return LocalIssuer().token(FACILITY, "counselor")


Case = tuple[str, str, dict[str, Any], int, str]


def _cases() -> dict[str, Case]:
    cancel, off = "/sessions/{session}/cancel", {"json": {"cancelled_by": "program"}}
    sessions, roll = "/sessions", "/sessions/{session}/attendance"
    good: dict[str, Any] = {"json": _session("episode/{episode}")}

    def bad(**changes: Any) -> dict[str, Any]:
        return {"json": _session("episode/{episode}", **changes)}

    def raw(content: bytes) -> dict[str, Any]:
        return {"content": content, "headers": {"content-type": "application/json"}}

    def who(authorization: str | None) -> dict[str, Any]:
        return good | {"headers": {"Authorization": authorization}}

    return {
        "a value of the wrong type": ("POST", sessions, bad(minutes_planned=MARK), 422, "request-invalid"),
        "a value out of range": ("POST", sessions, bad(minutes_planned=1), 422, "request-invalid"),
        "a code that is not listed": ("POST", sessions, bad(modality=MARK), 422, "request-invalid"),
        "a time without offset": ("POST", sessions, bad(starts_at="2026-03-02T15:00:00"), 422, "request-invalid"),
        "an unknown field": ("POST", sessions, bad(**{MARK: MARK}), 422, "request-invalid"),
        "an unknown field that is no text": ("POST", sessions, raw(b'{"\\ud800":1}'), 422, "request-invalid"),
        "a value that is no text": ("POST", sessions, raw(b'{"modality":"\\ud800"}'), 422, "request-invalid"),
        "an endless number": ("POST", sessions, bad(minutes_planned=1e308), 422, "request-invalid"),
        "not a number": ("POST", sessions, raw(b'{"minutes_planned":NaN}'), 422, "request-invalid"),
        "no body": ("POST", sessions, {}, 422, "request-invalid"),
        "malformed JSON": ("POST", sessions, raw(b'{"modality": ' + MARK.encode()), 422, "request-invalid"),
        "a body that is no UTF-8": ("POST", sessions, raw(b'{"modality":"\xff"}'), 400, "request-unreadable"),
        "a body nested without end": ("POST", sessions, raw(b"[" * 200_000), 413, "body-too-deep"),
        "a list for an object": ("POST", sessions, {"json": [MARK]}, 422, "request-invalid"),
        "someone twice on the roster": (
            "POST", sessions, bad(roster=["{episode}", "{episode}"]), 422, "roster-repeats",
        ),
        "someone who is not known yet": ("POST", sessions, bad(roster=["{nobody}"]), 409, "not-yet-known"),
        "a malformed id": ("GET", "/sessions/not-an-id", {}, 422, "request-invalid"),
        "a malformed id in a command": ("POST", f"/sessions/{MARK}/cancel", off, 422, "request-invalid"),
        "an id with a new line": ("GET", "/sessions/{session}%0a", {}, 422, "request-invalid"),
        "an unknown session": ("GET", "/sessions/{nobody}", {}, 404, "unknown-session"),
        "an episode not heard of yet": ("GET", "/episodes/{nobody}", {}, 409, "not-yet-known"),
        "a change not heard of yet": ("GET", "/episodes/{episode}?min-sequence=intake:99", {}, 409, "not-yet-known"),
        "a min-sequence that is none": ("GET", "/episodes/{episode}?min-sequence=x", {}, 422, "min-sequence-invalid"),
        "a roll before the session": ("POST", roll, {"json": _roll("{episode}")}, 409, "session-not-begun"),
        "no key": ("POST", sessions, good | {"headers": {"Idempotency-Key": None}}, 400, "idempotency-key-required"),
        "an endless key": (
            "POST", sessions, good | {"headers": {"Idempotency-Key": "k" * 201}}, 400, "idempotency-key-required",
        ),
        "an outdated revision": ("POST", cancel, off | {"headers": {"If-Match": '"0"'}}, 412, "revision-outdated"),
        "an If-Match that is none": ("POST", cancel, off | {"headers": {"If-Match": MARK}}, 422, "if-match-invalid"),
        "no token": ("POST", sessions, who(None), 401, "token-required"),
        "another scheme": ("POST", sessions, who("Basic TWFyaWE="), 401, "token-required"),
        "no token at all": ("POST", sessions, who("Bearer "), 401, "token-required"),
        "a token that is none": ("POST", sessions, who(f"Bearer {MARK}"), 401, "token-refused"),
        "an empty token": ("POST", sessions, who("Bearer .."), 401, "token-refused"),
        "a token with a list for a head": ("POST", sessions, who("Bearer W10.W10.AA"), 401, "token-refused"),
        "a token without algorithm": ("POST", sessions, who("Bearer eyJhbGciOiJub25lIn0.e30."), 401, "token-refused"),
        "a token with no JSON": ("POST", sessions, who("Bearer ____.____.____"), 401, "token-refused"),
        "a forged token": ("POST", sessions, who(f"Bearer {_forged()}"), 401, "token-refused"),
        "an expired token": (
            "POST", sessions, who(_as("counselor", valid_seconds=-60)["Authorization"]), 401, "token-refused",
        ),
        "another role": ("POST", sessions, who(_as("privacy_officer")["Authorization"]), 403, "role-not-allowed"),
        "a role on no list": ("POST", sessions, who(_as("court")["Authorization"]), 403, "role-unknown"),
        "an operator of one facility": (
            "PUT", "/ops/clock", {"json": {"now": "2026-03-02T15:00:00Z"}, "headers": _as("operator")},
            403, "not-operating-organisation",
        ),
        "another facility reads": (
            "GET", "/sessions/{session}", {"headers": _as("counselor", "elsewhere")}, 403, "other-facility",
        ),
        "another facility commands": (
            "POST", cancel, off | {"headers": _as("counselor", "elsewhere")}, 403, "other-facility",
        ),
        "an unknown route": ("GET", f"/{MARK}", {}, 404, "no-such-route"),
        "a wrong method": ("DELETE", "/sessions/{session}", {}, 405, "method-not-allowed"),
        "a clock that is not stepped": (
            "PUT", "/ops/clock", {"json": {"now": "2026-03-02T15:00:00Z"}, "headers": _as("operator", "operations")},
            409, "clock-is-wall",
        ),
    }  # fmt: skip


def _filled(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, known_id in known.items():
            value = value.replace("{" + name + "}", known_id)
        return value
    if isinstance(value, dict):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return value


def _assert_problem(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"] == f"urn:throughcare:problem:{code}"
    assert body["detail"]
    assert MARK not in answer.text
    assert ("retry-after" in answer.headers) == (code == "not-yet-known")
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("name", _cases())
async def test_a_bad_request_is_a_problem_and_changes_nothing(
    attendance: Attendance, known: dict[str, str], name: str
) -> None:
    method, path, request, status, code = _cases()[name]
    request = _filled(request, known)
    headers = _as("counselor") | request.pop("headers", {})
    headers = {name: value for name, value in headers.items() if value is not None}
    before = await attendance.documents()
    answer = await attendance.http.request(method, _filled(path, known), headers=headers, **request)
    _assert_problem(answer, status, code)
    assert await attendance.documents() == before


async def test_a_key_used_again_with_another_body_is_refused_and_with_the_same_is_answered(
    attendance: Attendance, known: dict[str, str]
) -> None:
    headers = _as("counselor")
    day_after = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    body = _session(known["episode"], starts_at=day_after)
    first = await attendance.http.post("/sessions", json=body, headers=headers)
    assert first.status_code == 201
    await until(lambda: not attendance.runtime.reactor.busy)
    before = await attendance.documents()
    again = await attendance.http.post("/sessions", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    other = body | {"minutes_planned": 60}
    refused = await attendance.http.post("/sessions", json=other, headers=headers)
    _assert_problem(refused, 422, "idempotency-key-reused")
    assert await attendance.documents() == before


async def test_an_unknown_session_is_unknown_to_commands_too(
    attendance: Attendance, known: dict[str, str]
) -> None:
    answer = await attendance.http.post(
        f"/sessions/{known['nobody']}/cancel",
        json={"cancelled_by": "program"},
        headers=_as("counselor"),
    )
    assert answer.status_code in (404, 409)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await attendance.document(f"session/{known['nobody']}") is None


async def test_health_and_metrics_are_told_to_anyone(attendance: Attendance) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = await attendance.http.get(path)
        assert answer.status_code == 200, answer.text
        assert MARK not in answer.text
    answer = await attendance.http.get("/ops/flow", headers=_as("counselor"))
    _assert_problem(answer, 403, "role-not-allowed")
