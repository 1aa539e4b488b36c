"""`python -m throughcare_events aside`: by whom it is called, it says what is aside and settles what is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.kit.command import VARIABLE, main
from shared.kit.history import History
from shared.kit.inboxes.sqlite import SQLiteInbox
from tests.unit.kit.subscribed import ATTENDED, Subscribed, file_of


@pytest.fixture
async def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An inbox with one unreadable message, and a stream of two whose first fails; their places as they are printed."""
    it, history = Subscribed(SQLiteInbox(file_of(tmp_path))), History()
    await it.open()
    subject = history.subject("episode", 1)
    it.fails[subject] = RuntimeError("names somebody")
    said = [history.say(ATTENDED, subject) for _ in range(3)]
    said[2] = said[2]._replace(key=None)
    await it.hear(said)
    await it.inbox.close()
    monkeypatch.setenv(VARIABLE, str(file_of(tmp_path)))
    return ["/".join(map(str, one[:3])) for one in said]


def _call(*words: str) -> int:
    return main(["aside", *words, "--name", "tests"])


def _left(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    capsys.readouterr()
    assert _call("list", "--json") == 0
    return {
        row["place"]: (row["reason"], row["next"]) for row in json.loads(capsys.readouterr().out)
    }


def test_it_lists_stream_by_stream(aside: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("list") == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == [
        "no",
        aside[2],
        "care.attendance",
        *aside[:2],
        "3",
    ]
    assert "RuntimeError" in shown
    assert "somebody" not in shown
    assert _call("list", "--reason", "unreadable") == 0
    assert "1 aside" in capsys.readouterr().out


def test_it_retries(aside: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = _left(capsys)
    assert _call("retry", aside[0]) == 0
    assert "retry: 1" in capsys.readouterr().out
    after = _left(capsys)
    assert after == before | {aside[0]: ("handler-failed", "1970-01-01T00:00:00+00:00")}


def test_it_drops(aside: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _call("drop", "--reason", "unreadable") == 0
    assert list(_left(capsys)) == aside[:2]
    assert _call("drop", "--all") == 0
    assert _left(capsys) == {}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("retry",), "aside-unknown"),
        (("drop",), "aside-unknown"),
        (("retry", "--all"), "aside-unreadable"),
        (("drop", "care.plans/0/0"), "aside-unknown"),
        (("drop", "--subject", "episode/nobody"), "aside-unknown"),
    ],
)
def test_what_is_not_meant_or_not_possible_changes_nothing(
    aside: list[str], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    before = _left(capsys)
    assert _call(*words) == 1
    assert code in capsys.readouterr().err
    assert _left(capsys) == before


def test_an_inbox_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert _call("list") == 2
    for text in (None, "", "no database"):
        file = tmp_path / "inbox.db"
        if text is not None:
            file.write_text(text)
        assert _call("list", "--inbox", str(file)) == 1
        assert "inbox-un" in capsys.readouterr().err
        assert (file.read_text() if file.exists() else None) == text
