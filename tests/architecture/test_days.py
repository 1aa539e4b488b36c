"""A day is a day of the facility: only `shared/calendar.py` takes one from an instant, and asks in which time zone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALENDAR = ROOT / "shared" / "calendar.py"
FILES = [
    path
    for folder in ("services", "shared", "care")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != CALENDAR
]
TAKEN = frozenset({"date", "today", "utctoday", "timetuple", "toordinal", "isocalendar"})
"""What gives the day of an instant, or of the machine, without asking where."""


def days_without_a_place(text: str) -> Iterator[int]:
    """The lines on which a day is taken from an instant, or from the machine."""
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, given = node.func.attr, [*node.args, *node.keywords]
        if name in TAKEN and not given:
            yield node.lineno
        if name == "combine" and any(isinstance(a, ast.Name) and a.id == "UTC" for a in node.args):
            yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.fault("F6")
def test_no_day_is_taken_from_an_instant_but_by_the_calendar(path: Path) -> None:
    found = list(days_without_a_place(path.read_text(encoding="utf-8")))
    assert found == [], "use shared.calendar.local_day, end_of_day or instant, or Call.today"


@pytest.mark.parametrize(
    "mistake",
    [
        "day = now.date()",
        "day = moment.astimezone(UTC).date()",
        "day = date.today()",
        "at = datetime.combine(day, time(), UTC)",
    ],
)
def test_a_mistake_is_seen(mistake: str) -> None:
    assert list(days_without_a_place(mistake)) == [1]


def test_what_is_right_is_let_be() -> None:
    right = "day = local_day(now, zone)\nat = datetime.combine(day, at, ZoneInfo(zone))"
    assert list(days_without_a_place(right)) == []
