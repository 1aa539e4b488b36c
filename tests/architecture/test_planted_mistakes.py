"""The type checker holds the tables of rules and the routes: each of these mistakes, planted in a copy, is refused.

All of them are planted at once, and one run of pyright, with the settings of the repository, has to find an error at
each. The copy before planting has none.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
COPIED = ("services", "shared", "typings")


class Plant(NamedTuple):
    """A text of a file of `services/` that stands there once, and what a mistaken hand makes of it."""

    path: str
    right: str
    wrong: str


def swapped(path: str, one: str, other: str) -> list[Plant]:
    """Two rules that change places: both rows are wrong."""
    return [Plant(path, one, _with(one, other)), Plant(path, other, _with(other, one))]


def _with(row: str, other: str) -> str:
    return f"{row.partition(', ')[0]}, {other.partition(', ')[2]}"


MISTAKES: dict[str, list[Plant]] = {
    "two rules of followup swapped": swapped(
        "followup/reactions.py",
        "on(plans.GoalAchieved, event_handlers.goal_achieved)",
        "on(plans.TreatmentPlanReviewDue, event_handlers.plan_review_due)",
    ),
    "two rules of followup that hold events back swapped": swapped(
        "followup/reactions.py",
        "on(attendance.SessionAttended, outreach.ATTENDED)",
        "on(attendance.SessionMissed, outreach.MISSED)",
    ),
    "two rules behind what is held back swapped": swapped(
        "followup/outreach/outreach.py",
        "HeldBack(attendance.SessionAttended, session_attended)",
        "HeldBack(attendance.SessionMissed, session_missed)",
    ),
    "two rules of plans swapped": swapped(
        "plans/reactions.py",
        "on(intake.PlacementDecided, event_handlers.placed)",
        "on(intake.PatientAdmitted, event_handlers.admitted)",
    ),
    "two rules of plans with a condition swapped": swapped(
        "plans/reactions.py",
        "on(attendance.SessionMissed, event_handlers.session_missed, unless=undone)",
        "on(attendance.ScreenResulted, late_facts.RESULTED, unless=undone)",
    ),
    "two rules of attendance swapped": swapped(
        "attendance/reactions.py",
        "on(intake.WaitlistJoined, seats.joined)",
        "on(intake.WaitlistOffered, seats.offered)",
    ),
    "two rules of intake swapped": swapped(
        "intake/reactions.py",
        "on(plans.LevelOfCareChanged, event_handlers.level_changed)",
        "on(plans.EpisodeDischarged, event_handlers.discharged)",
    ),
    "a wrong handoff rule in intake": [
        Plant(
            "intake/reactions.py",
            "handoffs.LineLeft, waitlist_queue.left",
            "handoffs.LineLeft, waitlist_queue.joined",
        )
    ],
    "a wrong handoff rule in attendance": [
        Plant(
            "attendance/reactions.py",
            "seats.SeatFreed, seats.freed",
            "seats.SeatFreed, seats.given",
        )
    ],
    "a deadline rule of another record": [
        Plant(
            "attendance/reactions.py",
            "due(sessions.ENDED, sessions.ended)",
            "due(sessions.ENDED, pauses.over)",
        )
    ],
    "a deadline rule that takes a day, given a text": [
        Plant(
            "attendance/reactions.py",
            'due_for("week-close", weeks.close_week, date.fromisoformat)',
            'due_for("week-close", weeks.close_week)',
        )
    ],
    "a deadline rule without the detail that it needs": [
        Plant(
            "followup/reactions.py",
            'due_for("check-in", check_ins.closed)',
            'due("check-in", check_ins.closed)',
        )
    ],
    "a rule of another record for the deadlines of loops": [
        Plant(
            "intake/reactions.py",
            "loops=LoopDeadlines(IntakeLoop, default=loops.escalate)",
            "loops=LoopDeadlines(IntakeLoop, default=waitlist_queue.not_taken)",
        )
    ],
    "the deadlines of another kind of record": [
        Plant(
            "attendance/app.py",
            "session_state.SessionState, SESSION_DEADLINES",
            "session_state.SessionState, GROUP_DEADLINES",
        )
    ],
    "a misspelt part of the runtime": [
        Plant(
            "attendance/api/support.py",
            "call.runtime.clock.now()",
            "call.runtime.clok.now()",
        )
    ],
    "a misspelt setting": [
        Plant("intake/api/waitlist.py", "settings.offer_chances", "settings.ofer_chances")
    ],
    "a command on another kind of record": [
        Plant(
            "attendance/api/sessions.py",
            "call.execute(EPISODE(episode_id), pauses.lift)",
            "call.execute(SESSION(episode_id), pauses.lift)",
        )
    ],
    "a reading of another kind of record": [
        Plant(
            "plans/api/plans.py",
            "call.read(EPISODE(episode_id), _view)",
            "call.read(GROUP(episode_id), _view)",
        )
    ],
    "a misspelt attribute of a state at the edge": [
        Plant(
            "plans/api/plans.py",
            "(await call.state(EPISODE(episode_id))).admission",
            "(await call.state(EPISODE(episode_id))).admision",
        )
    ],
    "a misspelt attribute of an event in a rule": [
        Plant(
            "followup/outreach/outreach.py",
            "event.status_after.is_present",
            "event.status_afterwards.is_present",
        )
    ],
}
PLANTED = sorted({plant.path for plants in MISTAKES.values() for plant in plants})
Errors = dict[str, dict[int, list[str]]]
"""What pyright says, by file of `services/` and line."""


def _check(copy: Path) -> Errors:
    """Run pyright over the files that are planted in, in a copy of the packages."""
    settings = {key: value for key, value in SETTINGS.items() if not key.startswith("venv")}
    settings["include"] = [f"services/{path}" for path in PLANTED]
    (copy / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, "-p", str(copy)], capture_output=True, text=True, check=False, timeout=600
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] >= len(PLANTED), done.stderr
    found: Errors = defaultdict(lambda: defaultdict(list))
    for one in report["generalDiagnostics"]:
        path = str(Path(one["file"]).relative_to(copy / "services"))
        found[path][one["range"]["start"]["line"]].append(one["message"])
    return found


def _copied(to: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def _planted(copy: Path) -> Path:
    for plant in (plant for plants in MISTAKES.values() for plant in plants):
        file = copy / "services" / plant.path
        text = file.read_text()
        assert text.count(plant.right) == 1, f"{plant.path} has not once: {plant.right}"
        file.write_text(text.replace(plant.right, plant.wrong))
    return copy


def _line(plant: Plant) -> int:
    """Where a mistake stands: none of them moves another one's line."""
    text = (ROOT / "services" / plant.path).read_text()
    return text[: text.index(plant.right)].count("\n")


@pytest.mark.timeout(600)
def test_without_a_mistake_there_is_no_error(tmp_path: Path) -> None:
    assert _check(_copied(tmp_path)) == {}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    return _check(_planted(_copied(tmp_path_factory.mktemp("planted"))))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_type_checker_refuses(errors: Errors, mistake: str) -> None:
    for plant in MISTAKES[mistake]:
        assert errors[plant.path][_line(plant)], f"{plant.path} passes with: {plant.wrong}"
