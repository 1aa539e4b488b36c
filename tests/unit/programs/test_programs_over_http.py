"""`GET /programs` in every service, and what `care profiles`, `care loops` and `care tasks` show."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest

from care import loops
from shared.devtools.issuer import LocalIssuer
from shared.programs.read import ProfileInvalid
from shared.runtime.service import create_app
from shared.runtime.settings import ServiceSettings
from tests.unit.care.terminal import Asked, Services, care
from tests.unit.support import History, Http, uid


def http() -> Http:
    service = import_module("services.attendance.app").SERVICE
    history = History(service.source, service.kinds["episode"], service.reactions, service.handoffs)
    return Http(service, history)


@pytest.mark.fact("0.4", "0.16", "1.3", "1.13", "2.2", "2.3", "3.1", "3.7")
def test_anyone_of_the_staff_can_read_what_a_program_says() -> None:
    told = {p["program"]: p for p in http().get("/programs").json()["programs"]}
    assert told["evening-groups"]["office_hours"]["closes"] == "16:30:00"
    assert told["community-step-down"]["crisis"]["hours_per_day"] == 24
    standing = {claim["code"]: claim["standing"] for p in told.values() for claim in p["about"]}
    assert standing == {
        "core-purpose": "own-view",
        "better-odds-of-sobriety": "claim",
        "matrix-is-the-foundation": "disputed",
        "goals": "own-view",
        "who-gets-treatment": "dated",
        "two-kinds-of-treatment": "own-view",
        "behavioral-not-disease": "disputed",
        "single-focus-of-fellowships": "claim",
    }


def test_one_program_by_any_of_its_codes_with_its_terms() -> None:
    told = http().get("/programs/iop-evening").json()
    assert told["program"] == "evening-groups"
    assert told["terms"]["bands"][0]["minutes_floor"] == 540
    unknown = http().get("/programs/nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-program")
    assert http().get("/programs/No%20Code").status_code == 422


def test_a_service_does_not_start_on_a_file_that_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("program = 7")
    service = import_module("services.attendance.app").SERVICE
    with pytest.raises(ProfileInvalid) as caught:
        create_app(service, ServiceSettings(programs=str(tmp_path)))
    assert caught.value.hint == "care profiles check bad.toml"


# --- care profiles ------------------------------------------------------------------------------------------


def test_check_says_every_fault_with_its_line(tmp_path: Path) -> None:
    shipped = Path("shared/programs/profiles/evening-groups.toml").read_text()
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(shipped)
    bad.write_text(shipped.replace("members_max = 12", "members_max = 1\nnonsense = 3"))
    line = shipped.splitlines().index("members_max = 12") + 1
    fine = care("profiles", "check", str(good))
    assert (fine.exit_code, "is a valid profile" in fine.stdout) == (0, True)
    wrong = care("profiles", "check", str(good), str(bad), str(tmp_path / "missing.toml"))
    assert wrong.exit_code == 1
    assert f"{bad}:{line}: group.members_max: " in wrong.stdout
    assert f"{bad}:{line + 1}: group.nonsense: " in wrong.stdout
    assert "missing.toml can't be read" in wrong.stdout
    told = json.loads(care("profiles", "check", "--json", str(good), str(bad)).stdout)
    assert [report["valid"] for report in told] == [True, False]
    assert [finding["line"] for finding in told[1]["findings"]] == [line, line + 1]


def test_list_and_show(tmp_path: Path) -> None:
    listed = care("profiles", "list")
    assert "community-step-down" in listed.stdout
    assert "6-8" in listed.stdout
    told = json.loads(care("profiles", "list", "--json").stdout)
    assert len(told) == 5
    shown = care("profiles", "show", "iop-evening")
    assert "review_every_days" in shown.stdout
    body = json.loads(care("profiles", "show", "matrix-family", "--json").stdout)
    assert body["terms"]["aftercare_days"] == 365
    missing = care("profiles", "show", "nothing")
    assert missing.exit_code == 1
    assert "There are: community-step-down" in missing.stderr
    nowhere = care("profiles", "list", "--programs", str(tmp_path / "nowhere"))
    assert nowhere.exit_code == 1
    early = care("profiles", "show", "matrix-family", "--on", "2020-01-01")
    assert early.exit_code == 1


# --- care loops, care tasks ------------------------------------------------------------------------------------


def view(kind: str, deadline: str, **changes: Any) -> dict[str, Any]:
    owner = {"role": "counselor", "staff_id": None, "acting_id": None}
    return {
        "kind": kind,
        "id": uid(kind),
        "subject": f"episode/{uid(kind)}",
        "owner": owner,
        "opened_at": "2026-03-01T09:00:00+00:00",
        "deadline_at": deadline,
        "age_seconds": 90_000,
        "overdue": False,
        "step": 0,
        "next_owner_role": None,
        **changes,
    }


PORTS = {"8001": "intake", "8002": "plans", "8003": "attendance", "8004": "followup"}


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Services:
    """Four services that each have something open; followup's comes in two pages."""
    own, other = uid("somebody"), uid("deputy")
    away = {"role": "nurse", "staff_id": own, "acting_id": other}
    open_there = {
        "intake": [view("referral_acknowledgement", "2026-03-04T09:00:00+00:00")],
        "plans": [view("plan_review", "2026-03-02T04:00:00-05:00", overdue=True, step=1)],
        "attendance": [view("specimen", "2026-03-03T09:00:00+00:00", owner=away)],
    }

    def answer(asked: Asked) -> Any:
        if asked.host == "down":
            return httpx2.ConnectError("nobody is there")
        if asked.host == "endless":
            return {"loops": [], "next": "there"}
        name = PORTS[asked.host.rpartition(":")[2]]
        if asked.path == "/tasks":
            return {"tasks": open_there.get(name, [])}
        if name == "followup" and "after" not in asked.query:
            return {"loops": [view("outreach", "2026-03-05T09:00:00+00:00")], "next": "there"}
        if name == "followup":
            return {"loops": [view("check_in", "2026-03-01T09:00:00+00:00")]}
        return {"loops": open_there[name]}

    return Services(answer).installed(monkeypatch, tmp_path / "issuer.json")


@pytest.mark.usefixtures("answering")
def test_the_loops_of_all_services_are_one_list_by_deadline() -> None:
    told = json.loads(care("loops", "--json").stdout)
    assert [(loop["service"], loop["kind"]) for loop in told] == [
        ("followup", "check_in"),
        ("plans", "plan_review"),
        ("attendance", "specimen"),
        ("intake", "referral_acknowledgement"),
        ("followup", "outreach"),
    ]
    shown = care("loops")
    assert shown.exit_code == 0
    for words in ("plan_review", "(deputy)", "anyone on duty", "1 d", "2026-03-02 04:00"):
        assert words in shown.stdout
    assert uid("specimen") in shown.stdout


def test_what_is_asked_for_is_passed_on(answering: Services) -> None:
    assert care("loops", "--role", "nurse", "--kind", "specimen", "--overdue").exit_code == 0
    passed = [asked.query for asked in answering.asked if asked.host.endswith(":8002")]
    assert passed == [
        {"owner_role": "nurse", "kind": "specimen", "overdue": "true", "limit": "200"}
    ]


def test_tasks_are_the_caller_s_own_or_those_a_supervisor_asks_about(answering: Services) -> None:
    told = json.loads(care("tasks", "--role", "nurse", "--json").stdout)
    assert [item["kind"] for item in told] == [
        "plan_review",
        "specimen",
        "referral_acknowledgement",
    ]
    assert {asked.path for asked in answering.asked} == {"/tasks"}
    assert not [asked for asked in answering.asked if "staff_id" in asked.query]
    answering.asked.clear()
    late = care("tasks", "--overdue", "--staff", uid("x"), "--token", "t", "--json")
    assert [item["kind"] for item in json.loads(late.stdout)] == ["plan_review"]
    assert {asked.query["staff_id"] for asked in answering.asked} == {uid("x")}


@pytest.mark.usefixtures("answering")
def test_a_service_that_is_down_is_named() -> None:
    failed = care("loops", "--url", "plans=http://down")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("plans at http://down: no-answer: ")
    assert "care up" in failed.stderr


@pytest.mark.usefixtures("answering")
def test_a_list_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PAGES_MAX", 3)
    failed = care("loops", "--url", "plans=http://endless")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("plans at http://endless: list-too-long: ")


def test_nothing_open_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Services(lambda _asked: {"loops": [], "tasks": []}).installed(
        monkeypatch, tmp_path / "issuer.json"
    )
    assert care("loops").stdout == care("tasks").stdout == "Nothing is open.\n"
    assert isinstance(LocalIssuer.kept_in(tmp_path / "issuer.json"), LocalIssuer)
