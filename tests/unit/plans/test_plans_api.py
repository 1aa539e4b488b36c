"""Plans over HTTP: every route reaches its rule, and only those may call it who should."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from services.plans.app import SERVICE
from shared.contracts import attendance, intake
from shared.roles import OWNERS
from tests.unit.plans.world import PARTNER, Plans, attended, in_treatment, week, with_plan
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
GROUP = {"modality": "group", "sessions_per_week": 3, "minutes_per_session": 180}
ALONE = {"modality": "individual", "sessions_per_week": 1, "minutes_per_session": 60}
DRAFT = {**OF, "goals": [GOAL, GOAL], "services": [GROUP, ALONE]}
LOWER = {"system": "asam", "edition": "4", "code": "1.5"}
REVIEW = {**OF, "basis": "progressing", "decision": "continue"}
STAFF = {"counselor", "clinician", "case_manager", *OWNERS}
CLINICIANS = {"clinician", *OWNERS}
ROUTES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("/plans", DRAFT, STAFF),
    (f"/plans/{uid('x')}/sign", {**OF, "by": "patient"}, STAFF),
    (f"/plans/{uid('x')}/reviews", REVIEW, CLINICIANS | {"counselor"}),
    (f"/reviews/{uid('x')}/complete", {**OF, "outcome": "amend"}, CLINICIANS),
    (f"{HERE}/loc-changes", {"to_level": LOWER, "direction": "down"}, CLINICIANS),
    (f"{HERE}/graduate", {"criteria": [{"code": "goals-met", "met": True}]}, CLINICIANS),
    (f"{HERE}/discharge", {"kind": "administrative"}, CLINICIANS),
]
ARRANGERS = CLINICIANS | {"case_manager"}
PRESCRIBERS = CLINICIANS | {"nurse"}
TO = {
    "referral_id": uid("outbound"),
    "to_facility_id": PARTNER,
    "to_level": {"system": "asam", "edition": "4", "code": "3.5"},
    "handoff_at": "2026-03-04T15:00:00Z",
}
MEDICATION = {"code": "methadone", "from_on": "2026-03-01", "verified": True}
NEW_ROUTES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("POST", f"/plans/{uid('x')}/goals", {**OF, **GOAL}, STAFF),
    ("PATCH", f"/goals/{uid('x')}", {**OF, "value": 1}, STAFF),
    (
        "POST",
        f"/plans/{uid('x')}/relapse-prevention",
        {**OF, "elements": ["triggers"]},
        STAFF,
    ),
    ("POST", f"{HERE}/co-occurring", {"category": "mood", "enhanced": True}, CLINICIANS),
    ("POST", f"{HERE}/ancillary-services", {"kind": "yoga", "on_site": True}, STAFF),
    ("PUT", f"{HERE}/medications", {"medications": [MEDICATION]}, PRESCRIBERS),
    ("PUT", f"{HERE}/aftercare-plan", {"elements": ["housing"]}, STAFF),
    ("POST", f"{HERE}/transfer", TO, ARRANGERS),
    (
        "POST",
        f"{HERE}/transfer/first-contact",
        {"first_contact_at": "2026-03-02T15:00:00Z"},
        ARRANGERS,
    ),
    (
        "POST",
        f"{HERE}/weeks/2026-03-02/hours-restored",
        {},
        {"clinical_supervisor", "program_director"},
    ),
]
IDS = [path.rpartition("/")[2] for _, path, *_ in NEW_ROUTES]
EVERYONE = sorted(
    STAFF | CLINICIANS | {"nurse", "peer_specialist", "partner", "operator"} | {"program_director"}
)


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


def test_the_view_counts_the_sessions_of_the_person() -> None:
    history = in_treatment()
    history.hear(fact(attendance.SessionAttended))
    view = Http(SERVICE, history).get(HERE).json()
    assert (view["sessions_attended"], view["sessions_missed"]) == (1, 0)
    assert datetime.fromisoformat(view["last_session_at"])


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


@pytest.mark.parametrize(("method", "path", "body", "allowed"), NEW_ROUTES, ids=IDS)
class TestNewRoutes:
    def test_who_may(self, method: str, path: str, body: dict[str, Any], allowed: set[str]) -> None:
        http = Http(SERVICE, Plans())
        for role in EVERYONE:
            response = http.acting_as(role).send(method, path, body)
            assert (response.status_code != 403) is (role in allowed), role

    def test_illegal_input(
        self, method: str, path: str, body: dict[str, Any], allowed: set[str]
    ) -> None:
        http = Http(SERVICE, with_plan(), min(allowed))
        wrong: list[Any] = [{**body, "note": "free text"}] if body else []
        for name in body:
            wrong += [{**body, name: value} for value in ("No Code", -1e12, None, {"a": 1}, [[]])]
        for given in wrong:
            response = http.send(method, path, given)
            nullable = any(v is None for v in given.values())
            assert 400 <= response.status_code < 500 or nullable, given
            if response.status_code >= 400:
                assert response.headers["content-type"] == "application/problem+json"
                assert response.json()["code"]
                assert "No Code" not in response.text

    def test_before_the_admission(
        self, method: str, path: str, body: dict[str, Any], allowed: set[str]
    ) -> None:
        history = Plans()
        history.hear(attended())
        response = Http(SERVICE, history, min(allowed)).send(method, path, body)
        assert (response.status_code, response.json()["code"]) == (409, "not-yet-known")

    def test_of_an_episode_entered_in_error(
        self, method: str, path: str, body: dict[str, Any], allowed: set[str]
    ) -> None:
        history = with_plan()
        history.hear(fact(intake.EpisodeEnteredInError))
        response = Http(SERVICE, history, min(allowed)).send(method, path, body)
        assert (response.status_code, response.json()["code"]) == (409, "entered-in-error")


UNLISTED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "goals", {**GOAL, "therapies": ["crystals"]}, 422, "therapy-not-listed"),
    ("POST", "goals", {**GOAL, "contributors": ["clinician"]}, 422, "patient-contribution-missing"),
    ("POST", "goals", {**GOAL, "owner": "unknown"}, 422, "request-invalid"),
    ("POST", "goals", {**GOAL, "target": 0}, 422, "goal-already-reached"),
    ("POST", "goals", {**GOAL, "due_on": "2020-01-01"}, 422, "goal-due-in-the-past"),
    ("POST", "reviews", {"basis": "met", "decision": "continue"}, 422, "decision-not-allowed"),
    ("POST", "reviews", {"basis": "unknown", "decision": "continue"}, 422, "request-invalid"),
    ("POST", "relapse-prevention", {"elements": ["hope"]}, 422, "element-not-listed"),
]


@pytest.mark.parametrize(("method", "step", "body", "status", "code"), UNLISTED)
def test_what_the_rules_refuse_has_a_code(
    method: str, step: str, body: dict[str, Any], status: int, code: str
) -> None:
    history = with_plan()
    path = f"/plans/{history.state.plan.plan_id}/{step}"
    response = Http(SERVICE, history).send(method, path, {**OF, **body})
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_what_goes_with_the_plan() -> None:
    history = with_plan()
    http = Http(SERVICE, history)
    added = http.post(f"/plans/{history.state.plan.plan_id}/goals", {**OF, **GOAL})
    assert added.status_code == 201
    goal = f"/goals/{added.json()['goal_id']}"
    assert http.send("PATCH", goal, {**OF, "value": 2}).json()["achieved"] is False
    assert http.send("PATCH", goal, {**OF, "target": 2}).json()["achieved"] is True
    assert http.send("PATCH", goal, {**OF, "withdrawn": "replaced"}).status_code == 200
    assert http.send("PATCH", goal, {**OF, "value": 2}).json()["code"] == "goal-withdrawn"
    told = http.post(f"{HERE}/ancillary-services", {"kind": "medication", "on_site": True})
    assert told.json()["counts_toward_hours"] is True
    assert http.post(f"{HERE}/co-occurring", {"category": "mood", "enhanced": False}).is_success
    assert http.send("PUT", f"{HERE}/medications", {"medications": [MEDICATION]}).is_success
    assert [a.code for a in history.state.expected] == ["methadone", "eddp"]
    told = http.send("PUT", f"{HERE}/aftercare-plan", {"elements": ["housing"]})
    assert told.json()["version"] == 2
    history.hear(week(date(2026, 3, 2), met=False, offered=0))
    mended = f"{HERE}/weeks/2026-03-02/hours-restored"
    assert http.acting_as("program_director").post(mended, {}).status_code == 200
    assert http.post(mended, {}).json()["code"] == "unknown-week"


def test_how_often_the_person_was_there_can_be_read() -> None:
    history = with_plan()
    http = Http(SERVICE, history)
    assert http.get(HERE).json()["last_session_at"] is None
    history.hear(attended())
    history.hear(fact(attendance.SessionMissed, session_id=uid("missed")))
    view = http.get(HERE).json()
    assert (view["sessions_attended"], view["sessions_missed"]) == (1, 1)
    assert datetime.fromisoformat(view["last_session_at"]) == attended().starts_at


def test_the_table_of_continued_service_can_be_read() -> None:
    table = Http(SERVICE, with_plan(), "peer_specialist").get("/tables/continued-service").json()
    assert table["met"] == ["discharge", "down", "transfer"]
    assert table["progressing"] == ["continue"]
