"""`care loops` and `care tasks`: a page for people, everything for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from care.loops import SHOWN
from shared.services import SERVICES
from tests.unit.care.terminal import Asked, Services, care
from tests.unit.support import uid

EACH = 40
ALL = EACH * len(SERVICES)


def rows(asked: Asked) -> Any:
    """Every service has as many loops, and as many tasks."""
    found = [
        {
            "id": uid(f"{asked.host} {number}"),
            "kind": "roll_call",
            "subject": f"session/{uid(str(number))}",
            "owner": {"role": "counselor", "staff_id": None, "acting_id": None},
            "deadline_at": f"2026-03-{number % 28 + 1:02}T15:00:00Z",
            "age_seconds": 60,
            "step": 0,
            "overdue": number % 2 == 0,
        }
        for number in range(EACH)
    ]
    return {"loops" if asked.path == "/loops" else "tasks": found}


@pytest.mark.parametrize("command", ["loops", "tasks"])
@pytest.mark.parametrize(
    ("words", "shown", "more"),
    [
        ((), SHOWN, ALL - SHOWN),
        (("--limit", "3"), 3, ALL - 3),
        (("--limit", str(ALL)), ALL, None),
        (("--all",), ALL, None),
    ],
    ids=str,
)
def test_people_see_the_earliest_and_how_many_more_there_are(
    command: str,
    words: tuple[str, ...],
    shown: int,
    more: int | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    Services(rows).installed(monkeypatch, tmp_path / "key")
    done = care(command, *words)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("roll_call: counselor") == shown
    assert (f"{more} more: --all" in done.stdout) is (more is not None)
    assert ("--all" in done.stdout) is (more is not None)


@pytest.mark.parametrize("command", ["loops", "tasks"])
def test_machines_get_all(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Services(rows).installed(monkeypatch, tmp_path / "key")
    found = json.loads(care(command, "--json", "--limit", "3").stdout)
    assert len(found) == ALL
    assert found == sorted(found, key=lambda row: (row["deadline_at"], row["id"]))
