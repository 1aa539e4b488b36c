"""`python -m throughcare_events aside`: by whom it is called, it says what is aside and settles what is meant."""

from __future__ import annotations

import json
import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from shared.kit.command import VARIABLE, main
from shared.kit.history import History
from shared.kit.inboxes.sqlite import SQLiteInbox
from tests.unit.kit.subscribed import ATTENDED, Subscribed, file_of

ROOT = Path(__file__).resolve().parents[3]
KIT, GUIDE = ROOT / "kit", ROOT / "docs/subscribing.md"


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


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("foo://x", "inbox-address-unusable"),
        ("sqlite:///inbox.db", "inbox-address-unusable"),
        ("://", "inbox-address-unusable"),
        ("mongodb://127.0.0.1", "inbox-address-unusable"),
        ("mongodb://[x/database", "inbox-address-unusable"),
        ("mongodb://127.0.0.1:port/database", "inbox-address-unusable"),
        ("mongodb://127.0.0.1/data base", "inbox-address-unusable"),
        ("mongodb://a:secret@@b/database", "inbox-address-unusable"),
    ],
)
def test_an_address_of_something_else_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    code: str,
) -> None:
    """It was taken for the name of a file, or gave the driver's traceback."""
    monkeypatch.chdir(tmp_path)
    assert _call("list", "--inbox", place) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{code}: ")
    assert "secret" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "module", "extra"),
    [
        ("postgresql://127.0.0.1/inbox", "psycopg", "postgres"),
        ("postgres://127.0.0.1/inbox", "psycopg", "postgres"),
        ("mongodb://127.0.0.1/inbox", "pymongo", "mongo"),
        ("mongodb+srv://nowhere.example/inbox", "pymongo", "mongo"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    module: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "shared.kit.inboxes.mongo", raising=False)
    assert _call("list", "--inbox", place) == 1
    told = capsys.readouterr().err
    assert told.startswith("inbox-driver-missing: ")
    assert f"throughcare-events[{extra}]" in told
    assert told.count("\n") == 1
    project = tomllib.loads((KIT / "pyproject.toml").read_text())["project"]
    assert any(one.startswith(module) for one in project["optional-dependencies"][extra])
    assert f"extra `{extra}`" in GUIDE.read_text().replace("or `mongo`", "extra `mongo`")


@pytest.mark.parametrize("message", ["", "oops", "[1, 2, 3]", "[" * 5_000, '["x", null, []]', "{}"])
def test_what_is_aside_and_was_spoilt_is_not_retried(
    aside: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, message: str
) -> None:
    with closing(sqlite3.connect(file_of(tmp_path))) as own, own:
        own.execute("UPDATE throughcare_aside SET message = ?", (message.encode(),))
    assert _call("retry", aside[0]) == 1
    assert "aside-unreadable" in capsys.readouterr().err
    assert _call("drop", aside[0]) == 0
