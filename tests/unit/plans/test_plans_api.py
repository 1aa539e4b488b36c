"""Plans over HTTP: every route reaches its rule, and only those may call it who should."""

from __future__ import annotations

from typing import Any

import pytest

from services.plans.app import SERVICE
from shared.contracts import attendance, intake
from tests.unit.plans.world import Plans, attended, in_treatment, with_plan
from tests.unit.support import EPISODE_ID, Http, fact, uid

HERE = f"/episodes/{EPISODE_ID}"
OF = {"episode_id": EPISODE_ID}
DIMENSION = {"edition": "4", "number": 4}
GOAL = {
    "dimension": DIMENSION,
    "metric": "support-meetings",
    "unit": "per_week",
    "baseline": 0,
    "target": 3,
    "due_on": "2026-06-01",
    "owner": "patient",
    "contributors": ["patient", "counselor"],
}
GROUP = {"modality": "group", "sessions_per_week": 3, "minutes_each": 180}
ALONE = {"modality": "individual", "sessions_per_week": 1, "minutes_each": 60}
DRAFT = {**OF, "goals": [GOAL, GOAL], "services": [GROUP, ALONE]}
LOWER = {"system": "asam", "edition": "4", "code": "1.5"}
REVIEW = {**OF, "basis": "progressing", "decision": "continue"}
STAFF = {"counselor", "clinician", "case_manager"}
CLINICIANS = {"clinician", "clinical_supervisor"}
ROUTES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("/plans", DRAFT, STAFF),
    (f"/plans/{uid('x')}/sign", {**OF, "by": "patient"}, STAFF),
    (f"/plans/{uid('x')}/reviews", REVIEW, CLINICIANS),
    (f"/reviews/{uid('x')}/complete", {**OF, "outcome": "amend"}, CLINICIANS),
    (f"{HERE}/loc-changes", {"to_level": LOWER, "direction": "down"}, CLINICIANS),
    (f"{HERE}/graduate", {"criteria": [{"code": "goals-met", "met": True}]}, CLINICIANS),
    (f"{HERE}/discharge", {"kind": "administrative"}, CLINICIANS),
]
EVERYONE = sorted(STAFF | CLINICIANS | {"nurse", "peer_specialist", "partner", "operator"})


def test_from_draft_to_graduation() -> None:
    history = in_treatment()
    history.hear(fact(intake.OrientationCompleted))
    http = Http(SERVICE, history)
    drafted = http.post("/plans", DRAFT)
    assert drafted.status_code == 201
    plan_id = drafted.json()["plan_id"]
    goals = http.get(HERE).json()["plan"]["goals"]
    assert len({goal["goal_id"] for goal in goals}) == 2
    for by in ("patient", "clinician"):
        assert http.post(f"/plans/{plan_id}/sign", {**OF, "by": by}).status_code == 200
    assert http.post(f"/plans/{plan_id}/reviews", REVIEW).status_code == 200
    history.hear(fact(attendance.ScreenFailed))
    [review_id] = http.get(HERE).json()["reviews"]
    graduate = (f"{HERE}/graduate", {"criteria": [{"code": "goals-met", "met": True}]})
    refused = http.post(*graduate)
    assert (refused.status_code, refused.json()["code"]) == (409, "review-open")
    body = {**OF, "outcome": "amend"}
    assert http.post(f"/reviews/{review_id}/complete", body).status_code == 200
    down = {"to_level": LOWER, "direction": "down"}
    refused = http.post(f"{HERE}/loc-changes", down)
    assert (refused.status_code, refused.json()["code"]) == (409, "step-down-criteria-not-met")
    assert http.post(f"{HERE}/loc-changes", {**down, "although": "patient_choice"}).is_success
    refused = http.post(*graduate)
    assert (refused.status_code, refused.json()["code"]) == (409, "criteria-not-met")
    for goal in goals:
        measured = http.send("PATCH", f"/goals/{goal['goal_id']}", {**OF, "value": 3})
        assert measured.json()["achieved"] is True
    named = {**OF, "elements": ["triggers", "cravings", "strategies"]}
    assert http.post(f"/plans/{plan_id}/relapse-prevention", named).json()["complete"] is True
    criteria = {"criteria": [{"code": "supports-verified", "met": True}]}
    assert http.post(f"{HERE}/graduate", criteria).status_code == 200
    view = http.get(HERE).json()
    assert (view["discharged"], view["plan"]["version"]) == ("graduated", 2)
    assert history.names[-1] == "episode-discharged"


@pytest.mark.parametrize(("path", "body", "allowed"), ROUTES)
def test_who_may(path: str, body: dict[str, Any], allowed: set[str]) -> None:
    http = Http(SERVICE, Plans())
    for role in EVERYONE:
        response = http.acting_as(role).post(path, body)
        assert (response.status_code != 403) is (role in allowed), role


@pytest.mark.parametrize(("path", "body", "_allowed"), ROUTES)
def test_unknown_episodes_are_not_known_yet(
    path: str, body: dict[str, Any], _allowed: set[str]
) -> None:
    history = Plans()
    history.hear(attended())
    http = Http(SERVICE, history)
    assert http.post(path, body).json()["code"] == "not-yet-known"
    assert http.get(HERE).json()["code"] == "not-yet-known"


@pytest.mark.parametrize(("path", "body", "_allowed"), ROUTES)
def test_what_is_not_known_is_refused(path: str, body: dict[str, Any], _allowed: set[str]) -> None:
    http = Http(SERVICE, with_plan())
    assert http.post(path, {**body, "note": "free text"}).status_code == 422
    for name in body:
        short = {key: other for key, other in body.items() if key != name}
        assert http.post(path, short).status_code == 422, name
