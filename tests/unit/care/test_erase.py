"""`care erase`: shows what it means, asks for the id again, and says when the last copy is gone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from care import cli
from shared.runtime.http.problems import problem
from tests.unit.care.terminal import Asked, Services
from tests.unit.support import uid

PERSON = uid("person")
SHOWN = {
    "status": "known",
    "erased_at": None,
    "open_episodes": 1,
    "last_copy_gone_on": "2026-04-01",
}
DONE = {
    "erased_at": "2026-03-02T15:00:00.123000+00:00",
    "last_copy_gone_on": "2026-04-01",
    "subject": f"identity/{PERSON}",
    "revision": 2,
    "sequence": 0,
}


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Services:
    def answer(asked: Asked) -> Mapping[str, Any]:
        return SHOWN if asked.method == "GET" else DONE

    return Services(answer).installed(monkeypatch)


def erase(*arguments: str, typed: str = "") -> Result:
    env = {"COLUMNS": "80", "NO_COLOR": "1", "CARE_TOKEN": "t"}
    return CliRunner().invoke(cli.app, ["erase", *arguments], input=typed, env=env)


def test_it_shows_what_it_means_and_asks_for_the_id_again(intake: Services) -> None:
    done = erase(PERSON, "--why", "retention-over", typed=f"{PERSON}\n")
    assert done.exit_code == 0, done.output
    assert "Open episodes:      1" in done.output
    assert "The last copy of the key is gone on 2026-04-01." in done.output
    assert max(len(line) for line in done.output.splitlines() if PERSON not in line) <= 80
    assert [asked.method for asked in intake.asked] == ["GET", "POST"]
    assert intake.asked[1].path == f"/people/{PERSON}/erasure"
    assert intake.asked[1].body == {"confirm_person_id": PERSON, "why": "retention-over"}


@pytest.mark.parametrize("typed", ["", "y\n", f"{uid('another')}\n"])
def test_what_is_not_confirmed_is_not_sent(intake: Services, typed: str) -> None:
    done = erase(PERSON, "--why", "retention-over", typed=typed)
    assert done.exit_code != 0
    assert [asked.method for asked in intake.asked] == ["GET"]


def test_a_confirmation_on_the_command_line_is_compared_too(intake: Services) -> None:
    assert erase(PERSON, "--why", "x-x", "--confirm", uid("another")).exit_code == 1
    assert [asked.method for asked in intake.asked] == ["GET"]
    done = erase(PERSON, "--why", "retention-over", "--confirm", PERSON, "--json")
    assert json.loads(done.stdout) == {n: DONE[n] for n in ("erased_at", "last_copy_gone_on")}


@pytest.mark.parametrize("person", ["Zephyrine", "1", PERSON.upper(), f"person/{PERSON}"])
def test_what_is_no_id_is_never_sent(intake: Services, person: str) -> None:
    assert erase(person, "--why", "retention-over").exit_code == 2
    assert intake.asked == []


def test_a_refusal_is_said_with_its_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = problem(403, "role-not-allowed", "This needs a role.", "Ask a colleague.")
    Services(lambda _: httpx2.Response(403, content=bytes(refusal.body))).installed(monkeypatch)
    done = erase(PERSON, "--why", "retention-over")
    assert done.exit_code == 1
    assert "role-not-allowed" in done.output
    assert "Ask a colleague." in done.output
