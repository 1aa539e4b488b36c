"""Followup over HTTP: every route reaches its rule, and says no in a way that a caller can use."""

from __future__ import annotations

from typing import Any

import pytest

from services.followup.app import SERVICE
from services.followup.outreach import OWNERS
from shared.contracts.plans import DischargeKind
from tests.unit.followup.world import (
    DAY,
    Followup,
    admitted,
    discharged,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import EPISODE_ID, START, Http, uid

HERE = f"/episodes/{EPISODE_ID}"
STAFF = ["counselor", "case_manager", "peer_specialist", "clinician"]
ANSWERS = {"episode_id": EPISODE_ID, "use_since": "none"}
TRIED = {"channel": "call", "result": "no_answer"}
REPORT = {
    "episode_id": EPISODE_ID,
    "reported_by": "family",
    "substance_class": "alcohol",
    "overdose": False,
}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    (f"{HERE}/outreach", TRIED),
    (f"/checkins/{uid('x')}/attempts", {"episode_id": EPISODE_ID, **TRIED}),
    (f"/checkins/{uid('x')}/complete", ANSWERS),
    (f"/risk-responses/{uid('x')}/complete", {"episode_id": EPISODE_ID}),
    ("/return-to-use", REPORT),
    ("/reengagements", {"episode_id": EPISODE_ID, "outcome": "outpatient"}),
]


def serve(history: Followup, role: str = "clinician") -> Http:
    return Http(SERVICE, history, role)


def test_outreach() -> None:
    history = in_program()
    history.hear(missed(START))
    http = serve(history.after(hours=25))
    answer = http.post(f"{HERE}/outreach", TRIED).json()
    assert (answer["tier"], answer["open"]) == (1, True)
    view = http.get(HERE).json()
    assert view["outreach"] == {
        "open": True,
        "tier": 1,
        "attempts": 1,
        "channels": ["call"],
        "owner_role": OWNERS[1],
    }
    answer = http.post(f"{HERE}/outreach", {"channel": "visit", "result": "reached"}).json()
    assert (answer["tier"], answer["open"]) == (0, False)
    assert http.get(HERE).json()["outreach"]["owner_role"] is None


def test_the_calendar_can_be_read_and_worked_on() -> None:
    history = in_aftercare()
    http = serve(history)
    year = http.get(HERE).json()["aftercare"]
    assert [item["state"] for item in year["check_ins"]] == ["scheduled"] * 8
    assert not year["completed"]
    first = year["check_ins"][0]
    assert first["milestone"] == "hours_72"
    assert first["due_at"] == "2026-03-05T15:00:00Z"
    assert first["opens_at"] < first["due_at"] < first["closes_at"]

    history.after(days=3)
    path = f"/checkins/{first['check_in_id']}"
    attempt = http.post(f"{path}/attempts", {"episode_id": EPISODE_ID, **TRIED})
    assert (attempt.status_code, attempt.json()["attempt"]) == (200, 1)
    assert http.get(HERE).json()["aftercare"]["check_ins"][0]["state"] == "attempting"
    done = http.post(f"{path}/complete", {**ANSWERS, "risk_flags": ["suicide_risk", "craving"]})
    loop_id = done.json()["risk_loop_id"]
    history.after(days=20)
    view = http.get(HERE).json()
    states = [item["state"] for item in view["aftercare"]["check_ins"]]
    assert states[:4] == ["done", "missed", "missed", "scheduled"]
    assert view["risks"] == {loop_id: 3}
    body = {"episode_id": EPISODE_ID}
    assert http.post(f"/risk-responses/{loop_id}/complete", body).status_code == 200
    assert http.get(HERE).json()["risks"] == {}


def test_return_to_use_and_the_way_back() -> None:
    http = serve(in_aftercare().after(days=70))
    answer = http.post("/return-to-use", {**REPORT, "occurred_on": "2026-05-10"}).json()
    due_at = answer["reassessment_due_at"]
    assert http.get(HERE).json()["reengagement"] == {
        "reassessment_due_at": due_at,
        "reengagement_id": answer["reengagement_id"],
    }
    body = {"episode_id": EPISODE_ID, "outcome": "readmitted"}
    assert http.post("/reengagements", body).status_code == 200
    assert http.get(HERE).json()["reengagement"] is None
    again = http.post("/reengagements", body)
    assert (again.status_code, again.json()["code"]) == (409, "no-reengagement")
    assert again.json()["way_out"]


def test_a_command_repeated_with_its_key_is_answered_and_not_repeated() -> None:
    history = in_aftercare()
    key = history.open_check_in(0)
    http = serve(history)
    body = {"episode_id": EPISODE_ID, **TRIED}
    first, second = (http.post(f"/checkins/{key}/attempts", body, key="one") for _ in range(2))
    assert first.json() == second.json()
    assert history.check_ins[key].attempts == 1


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_unknown_episodes_are_not_known_yet(path: str, body: dict[str, Any]) -> None:
    history = Followup()
    history.hear(missed(START))
    response = serve(history).post(path, body)
    assert (response.status_code, response.json()["code"]) == (409, "not-yet-known")
    assert response.headers["Retry-After"]


def test_reading_before_anything_is_known() -> None:
    history = Followup()
    http = serve(history)
    assert http.get(HERE).json()["code"] == "not-yet-known"
    history.hear(discharged())
    assert http.get(HERE).json()["code"] == "not-yet-known"
    history.hear(admitted(START - DAY))
    assert http.get(HERE).status_code == 200


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_who_may(path: str, body: dict[str, Any]) -> None:
    http = serve(in_program())
    allowed = ["clinician", "clinical_supervisor"] if "risk-responses" in path else STAFF
    everyone = {*STAFF, "clinical_supervisor", "nurse", "intake_coordinator", "partner", "operator"}
    for role in sorted(everyone):
        response = http.acting_as(role).post(path, body)
        assert (response.status_code != 403) is (role in allowed), role


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_another_facility_may_not(path: str, body: dict[str, Any]) -> None:
    http = serve(in_program()).acting_as("clinician", "other-iop")
    response = http.post(path, body)
    assert (response.status_code, response.json()["code"]) == (403, "other-facility")


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_what_is_not_known_is_refused(path: str, body: dict[str, Any]) -> None:
    http = serve(in_program())
    assert http.post(path, {**body, "note": "free text"}).status_code == 422
    for name, value in body.items():
        if isinstance(value, str):
            assert http.post(path, {**body, name: "unknown"}).status_code == 422, name
        short = {key: other for key, other in body.items() if key != name}
        assert http.post(path, short).status_code == 422, name


def test_a_risk_flag_that_is_not_listed_is_refused() -> None:
    history = in_aftercare()
    path = f"/checkins/{history.open_check_in(0)}/complete"
    assert serve(history).post(path, {**ANSWERS, "risk_flags": ["sadness"]}).status_code == 422
    assert serve(history).post(path, {**ANSWERS, "housing": "palace"}).status_code == 422


def test_views_of_other_endings() -> None:
    view = serve(in_aftercare(DischargeKind.DECEASED)).get(HERE).json()
    assert view["aftercare"] is None
    assert view["discharge"]["kind"] == "deceased"
    history = in_program().after(days=31)
    assert serve(history).get(HERE).json()["lost"] is True
