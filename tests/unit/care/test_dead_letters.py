"""`care dead-letters`: what it asks a service, what it shows, and how it ends when it is refused."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from typer.testing import Result

from tests.unit.care.terminal import Services, care

ID = "1c9f7c56-3a0b-5d0e-8f5a-2a5f1f0e7b44"
AT = "2026-03-02T15:00:00+00:00"
DONE = {"redriven": 3, "already_applied": 0, "not_wanted": 0, "steps": [1, 2], "open": 0}
ROW = {
    "id": ID,
    "reason": "decision-raised",
    "exception": "ValueError",
    "where": "record.apply:1 > domain.admit:7",
    "field": None,
    "attempts": 2,
    "first_seen": AT,
}


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Services:
    """A service that answers in turn."""
    waiting = list(answers)
    return Services(lambda _asked: waiting.pop(0)).installed(monkeypatch)


def dead(*words: str) -> Result:
    return care("dead-letters", *words, "--url", "http://plans:1", "--token", "t")


def refusal(status: int, problem: bytes) -> httpx2.Response:
    return httpx2.Response(status, content=problem)


def test_groups_are_shown_with_the_place_in_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    group = ROW | {"fingerprint": "f" * 16, "type": "care.intake.x.v1", "count": 4, "streams": 2}
    service = answering(monkeypatch, {"groups": [group], "halted": "dead-letter-limit", "open": 4})
    shown = dead("groups", "plans")
    assert shown.exit_code == 0, shown.output
    assert "domain.admit:7" in shown.stdout
    assert "dead-letter-limit" in shown.stdout
    [asked] = service.asked
    assert (asked.method, asked.host, asked.path) == ("GET", "plans:1", "/ops/dead-letters")
    assert (asked.body, asked.token) == (None, "t")


def test_a_list_goes_on_with_the_words_that_its_page_ends_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    following = "A" * 60
    service = answering(monkeypatch, {"rows": [ROW], "next": following}, {"rows": [ROW]})
    shown = dead("list", "plans", "--limit", "1")
    assert shown.exit_code == 0, shown.output
    words = shown.stdout.split()[-2:]
    assert words == ["--after", following]
    last = dead("list", "plans", *words)
    assert last.exit_code == 0, last.output
    assert "--after" not in last.stdout
    assert [asked.query.get("after") for asked in service.asked] == [None, following]


def test_a_redrive_goes_on_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    service = answering(monkeypatch, DONE | {"stopped": "limit"}, DONE | {"stopped": "done"})
    shown = dead("redrive", "plans", "--all", "--why", "rule-fixed")
    assert shown.exit_code == 0, shown.output
    assert "6 dead letters were redriven" in shown.stdout
    assert [asked.body for asked in service.asked] == [
        {"why": "rule-fixed", "everything": True}
    ] * 2


def test_a_redrive_that_stops_says_where_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, DONE | {"stopped": "failed", "failed": ROW})
    shown = dead("redrive", "plans", "--id", ID, "--why", "rule-fixed")
    assert shown.exit_code == 1
    assert ID in shown.output
    assert "domain.admit:7" in shown.output


def test_a_preview_shows_outcome_paths_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"type": "care.plans.goal-updated.v1", "sequence": 9, "id": ID}
    step = ROW | {"outcome": "applied", "reason": None, "changed": ["goals.*"], "events": [event]}
    service = answering(monkeypatch, {"steps": [step], "now": AT})
    shown = dead("preview", "plans", ID, "--behind")
    assert shown.exit_code == 0, shown.output
    assert "goals.*" in shown.stdout
    assert "#9 care.plans.goal-updated.v1" in shown.stdout
    assert service.asked[0].body == {"behind": True}


@pytest.mark.parametrize("words", [["--all", "--id", ID], []], ids=["two", "none"])
def test_what_to_redrive_is_named_once(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    service = answering(monkeypatch)
    shown = dead("redrive", "plans", "--why", "rule-fixed", *words)
    assert shown.exit_code == 2
    assert service.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(409, b'{"code":"not-first-in-line","detail":"No.","hint":"Begin."}'), "Begin."),
        (refusal(502, b"<html>"), "http-502"),
        (httpx2.ConnectError("nobody"), "does not answer"),
    ],
)
def test_a_refusal_ends_the_command_with_its_hint(
    monkeypatch: pytest.MonkeyPatch, answer: Any, said: str
) -> None:
    answering(monkeypatch, answer)
    shown = dead("discard", "plans", ID, "--why", "never-true")
    assert shown.exit_code == 1
    assert said in shown.output
    assert "Traceback" not in shown.output


@pytest.mark.parametrize("words", [[], ["--preview", "--why", "not-theirs"]])
def test_a_stream_is_either_previewed_or_set_back(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    service = answering(monkeypatch)
    shown = dead("set-back", "plans", f"episode/{ID}", "intake", "2", *words)
    assert shown.exit_code != 0
    assert service.asked == []


@pytest.mark.parametrize(
    ("words", "path"),
    [(["--preview"], "preview"), (["--why", "not-theirs"], "set-back")],
    ids=["preview", "set back"],
)
def test_a_stream_is_set_back_to_a_number(
    monkeypatch: pytest.MonkeyPatch, words: list[str], path: str
) -> None:
    found = {"subject": f"episode/{ID}", "stream": "intake", "was": 9, "number": 2}
    found |= {"discarded": [9], "lined_up": [], "blocked": None}
    service = answering(monkeypatch, found)
    shown = dead("set-back", "plans", f"episode/{ID}", "intake", "2", *words)
    assert shown.exit_code == 0, shown.output
    assert "#9" in shown.stdout
    [asked] = service.asked
    assert asked.path == f"/ops/streams/{path}"
    body = {"subject": f"episode/{ID}", "stream": "intake", "number": 2}
    assert asked.body == body | ({} if path == "preview" else {"why": "not-theirs"})
