"""One message that no service can apply is found and mended in all of them by one command; beginnings of ids do."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from shared.services import PROCESSES
from tests.unit.care.terminal import Asked, Services, care
from tests.unit.support import uid

PLACE = "care.intake/3/17"
REMOTE = (
    "--token",
    "t",
    *(part for name in PROCESSES for part in ("--url", f"{name}=http://{name}:1")),
)
HAVE = ("plans", "attendance")
"""The services that could not apply the message; the others do not subscribe to it."""


def _row(service: str) -> dict[str, Any]:
    return {
        "id": uid(service),
        "subject": f"episode/{uid('episode')}",
        "stream": "intake",
        "sequence": 5,
        "reason": "decision-raised",
        "fingerprint": uid(service).replace("-", "")[:16],
        "position": {"topic": "care.intake", "partition": 3, "offset": 17, "timestamp_ms": 0},
        "attempts": 1,
        "first_seen": "2026-03-02T15:00:00+00:00",
    }


def _service(asked: Asked) -> str:
    return asked.host.partition(":")[0]


def _answer(asked: Asked) -> Any:
    """Four services; two of them have the dead letter, each under an id of its own."""
    service = _service(asked)
    mine = [_row(service)] if service in HAVE else []
    if asked.path == "/ops/dead-letters/rows":
        fits = [
            row
            for row in mine
            if asked.query.get("position", PLACE) == PLACE
            and row["id"].startswith(asked.query.get("id", ""))
            and row["subject"].startswith(asked.query.get("subject", ""))
        ]
        return {"rows": fits}
    if asked.path == "/ops/dead-letters":
        return {"groups": mine, "halted": None}
    if asked.path.endswith("/discard"):
        return {"status": "open", "until": "2026-03-03T15:00:00+00:00"}
    if asked.path.endswith("/approve"):
        return {"status": "discarded"}
    if asked.path.endswith("/redrive"):
        done = {"redriven": 1, "already_applied": 0, "not_wanted": 0, "open": 0, "stopped": "done"}
        return done | {"service": service}
    return _row(service)


def _changed(services: Services) -> dict[str, Any]:
    """What each service was asked to change: its path and body."""
    return {_service(a): (a.path, a.body) for a in services.asked if a.method == "POST"}


def test_it_is_shown_in_every_service_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(_answer).installed(monkeypatch)
    shown = care("dead-letters", "show", "all", PLACE, *REMOTE)
    assert shown.exit_code == 0, shown.output
    assert {_service(asked) for asked in services.asked} == set(PROCESSES)
    for name in HAVE:
        assert f"{name}: {uid(name)}" in shown.stdout
    assert shown.stdout.count(PLACE) == len(HAVE)
    found = json.loads(care("dead-letters", "show", "all", PLACE, "--json", *REMOTE).stdout)
    assert [one["service"] for one in found] == list(HAVE)


def test_it_is_redriven_in_every_service_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(_answer).installed(monkeypatch)
    done = care("dead-letters", "redrive", "all", "--id", PLACE, "--why", "rule-fixed", *REMOTE)
    assert done.exit_code == 0, done.output
    assert _changed(services) == {
        name: ("/ops/dead-letters/redrive", {"id": uid(name), "why": "rule-fixed"}) for name in HAVE
    }
    assert all(f"{name}: 1 dead letters" in done.stdout for name in HAVE)


def test_it_is_discarded_in_every_service_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(_answer).installed(monkeypatch)
    done = care("dead-letters", "discard", "all", PLACE, "--why", "never-true", *REMOTE)
    assert done.exit_code == 0, done.output
    assert set(_changed(services)) == set(HAVE)
    for name, (path, body) in _changed(services).items():
        assert path.startswith(f"/ops/dead-letters/{uid(name)}/")
        assert body == {"why": "never-true", "taken_back_by": None}
    services.asked.clear()
    done = care("dead-letters", "approve", "all", PLACE, "--why", "checked", *REMOTE)
    assert done.exit_code == 0, done.output
    assert {path.rpartition("/")[2] for path, _ in _changed(services).values()} == {"approve"}
    assert done.stdout.count("is discarded") == len(HAVE)


@pytest.mark.parametrize(
    "words",
    [
        ("redrive", "all", "--id", PLACE, "--why", "rule-fixed"),
        ("discard", "all", PLACE, "--why", "never-true"),
        ("approve", "all", PLACE, "--why", "checked"),
        ("show", "all", PLACE),
    ],
)
def test_nothing_is_changed_while_a_service_does_not_answer(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(asked: Asked) -> Any:
        return httpx2.ConnectError("away") if _service(asked) == "followup" else _answer(asked)

    services = Services(silent).installed(monkeypatch)
    done = care("dead-letters", *words, *REMOTE)
    assert done.exit_code == 1
    assert "followup" in done.stderr
    assert _changed(services) == {}


def test_a_place_where_nothing_lay_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(_answer).installed(monkeypatch)
    done = care(
        "dead-letters", "redrive", "all", "--id", "care.intake/3/18", "--why", "rule-fixed", *REMOTE
    )
    assert done.exit_code == 1
    assert "care.intake/3/18" in done.stderr
    assert _changed(services) == {}


def test_one_address_for_all_services_is_refused() -> None:
    done = care("dead-letters", "show", "all", PLACE, "--url", "http://plans:1", "--token", "t")
    assert done.exit_code == 2


BEGINNINGS: list[tuple[tuple[str, ...], str]] = [
    (("show", "plans", uid("plans")[:6]), uid("plans")),
    (("preview", "plans", uid("plans")[:6]), uid("plans")),
    (("redrive", "plans", "--id", uid("plans")[:6], "--why", "rule-fixed"), uid("plans")),
    (("discard", "plans", uid("plans")[:6], "--why", "never-true"), uid("plans")),
    (
        ("redrive", "plans", "--subject", f"episode/{uid('episode')[:5]}", "--why", "rule-fixed"),
        f"episode/{uid('episode')}",
    ),
    (
        ("redrive", "plans", "--fingerprint", uid("plans")[:7], "--why", "rule-fixed"),
        uid("plans").replace("-", "")[:16],
    ),
    (
        ("set-back", "plans", f"episode/{uid('episode')[:5]}", "intake", "4", "--preview"),
        f"episode/{uid('episode')}",
    ),
]


@pytest.mark.parametrize(
    ("words", "whole"), BEGINNINGS, ids=[" ".join(b[0][:2]) for b in BEGINNINGS]
)
def test_the_beginning_of_an_id_is_enough(
    words: tuple[str, ...], whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(_answer).installed(monkeypatch)
    care("dead-letters", *words, *REMOTE)
    last = services.asked[-1]
    assert whole in f"{last.path} {json.dumps(last.body)}"


@pytest.mark.parametrize("named", ["abc", "no-id-at-all", "ABCDEF", "care.intake/3", "x" * 37])
def test_what_is_no_beginning_is_refused(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(_answer).installed(monkeypatch)
    done = care("dead-letters", "discard", "plans", named, "--why", "never-true", *REMOTE)
    assert done.exit_code == 2
    assert services.asked == []


def test_a_beginning_that_fits_two_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(asked: Asked) -> Any:
        return {"rows": [{"id": f"abcd{n}{uid('row')[5:]}"} for n in range(2)]}

    services = Services(two).installed(monkeypatch)
    done = care("dead-letters", "discard", "plans", "abcd", "--why", "never-true", *REMOTE)
    assert done.exit_code == 1
    assert "More than one" in done.stderr
    assert done.stderr.count("abcd") >= 3
    assert _changed(services) == {}
