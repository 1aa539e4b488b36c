"""`care dead-letters`: what it asks a service, what it shows, and how it ends when it is refused."""

from __future__ import annotations

import io
import json
from email.message import Message
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from typer.testing import CliRunner, Result

from care import cli, ops

ID = "1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"
AT = "2026-03-02T15:00:00+00:00"
DONE = {"redriven": 3, "already_applied": 0, "not_wanted": 0, "steps": [1, 2], "open": 0}
ROW = {
    "id": ID,
    "reason": "decision-raised",
    "exception": "ValueError",
    "where": "record.apply:1 > domain.admit:7",
    "attempts": 2,
    "first_seen": AT,
}


class Service:
    """Answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any, str]] = []

    def __call__(self, request: Any, timeout: float) -> io.BytesIO:
        body = None if request.data is None else json.loads(request.data)
        token = request.get_header("Authorization")
        self.asked.append((request.get_method(), request.full_url, body, token))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(json.dumps(answer).encode())


def dead(monkeypatch: pytest.MonkeyPatch, service: Service, *words: str) -> Result:
    monkeypatch.setattr(ops, "urlopen", service)
    where = ["--url", "http://plans:1", "--token", "t"]
    wide = {"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(cli.app, ["dead-letters", *words, *where], env=wide)


def refusal(status: int, problem: bytes) -> HTTPError:
    return HTTPError("http://plans:1", status, "no", Message(), io.BytesIO(problem))


def test_groups_are_shown_with_the_place_in_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    group = ROW | {"fingerprint": "f" * 16, "type": "care.intake.x.v1", "count": 4, "streams": 2}
    service = Service({"groups": [group], "halted": "dead-letter-limit", "open": 4})
    shown = dead(monkeypatch, service, "groups", "plans")
    assert shown.exit_code == 0, shown.output
    assert "domain.admit:7" in shown.stdout
    assert "dead-letter-limit" in shown.stdout
    assert service.asked == [("GET", "http://plans:1/ops/dead-letters", None, "Bearer t")]


def test_a_redrive_goes_on_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(DONE | {"stopped": "limit"}, DONE | {"stopped": "done"})
    shown = dead(monkeypatch, service, "redrive", "plans", "--all", "--why", "rule-fixed")
    assert shown.exit_code == 0, shown.output
    assert "6 rows mended" in shown.stdout
    assert [asked[2] for asked in service.asked] == [{"why": "rule-fixed", "everything": True}] * 2


def test_a_redrive_that_stops_says_where_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(DONE | {"stopped": "failed", "failed": ROW})
    shown = dead(monkeypatch, service, "redrive", "plans", "--id", ID, "--why", "rule-fixed")
    assert shown.exit_code == 1
    assert ID in shown.output
    assert "domain.admit:7" in shown.output


def test_a_preview_shows_outcome_paths_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"type": "care.plans.goal-updated.v1", "sequence": 9, "id": ID}
    step = ROW | {"outcome": "applied", "reason": None, "changed": ["goals.*"], "events": [event]}
    service = Service({"steps": [step], "now": AT})
    shown = dead(monkeypatch, service, "preview", "plans", ID, "--behind")
    assert shown.exit_code == 0, shown.output
    assert "goals.*" in shown.stdout
    assert "#9 care.plans.goal-updated.v1" in shown.stdout
    assert service.asked[0][2] == {"behind": True}


@pytest.mark.parametrize("words", [["--all", "--id", ID], []], ids=["two", "none"])
def test_what_to_redrive_is_named_once(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    service = Service()
    shown = dead(monkeypatch, service, "redrive", "plans", "--why", "rule-fixed", *words)
    assert shown.exit_code == 2
    assert service.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(409, b'{"code":"not-first-in-line","detail":"No.","hint":"Begin."}'), "Begin."),
        (refusal(502, b"<html>"), "http-502"),
        (URLError("nobody"), "does not answer"),
    ],
)
def test_a_refusal_ends_the_command_with_its_hint(
    monkeypatch: pytest.MonkeyPatch, answer: Exception, said: str
) -> None:
    shown = dead(monkeypatch, Service(answer), "discard", "plans", ID, "--why", "never-true")
    assert shown.exit_code == 1
    assert said in shown.output
    assert "Traceback" not in shown.output
