"""Followup over HTTP: every route reaches its rule, and says no in a way that a caller can use."""

from __future__ import annotations

from typing import Any

import pytest

from services.followup.app import SERVICE
from shared.contracts import intake
from shared.contracts.followup import RiskFlag
from shared.contracts.plans import DischargeKind
from shared.roles import OWNERS
from tests.unit.followup.world import (
    DAY,
    Followup,
    admitted,
    attended,
    discharged,
    in_aftercare,
    in_program,
    missed,
)
from tests.unit.support import EPISODE_ID, START, Http, fact, uid

HERE = f"/episodes/{EPISODE_ID}"
STAFF = ["counselor", "case_manager", "peer_specialist", "clinician", *OWNERS]
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
    ("/reengagements", {"episode_id": EPISODE_ID, "cause": "self_request"}),
    (f"/reengagements/{uid('x')}/complete", {"episode_id": EPISODE_ID, "outcome": "outpatient"}),
    ("/aftercare-plans", {"episode_id": EPISODE_ID, "elements": ["crisis-contacts"]}),
    (
        f"/aftercare-plans/{uid('x')}/first-appointment",
        {"episode_id": EPISODE_ID, "outcome": "kept"},
    ),
    ("/transitions", {"episode_id": EPISODE_ID, "kind": "ed_visit", "on": "2026-03-01"}),
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
        "owner_role": "counselor",
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
    assert first["due_at"] == "2026-03-05T15:00:00.123457Z"
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
    assert again.json()["hint"]


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
    allowed = ["clinician", *OWNERS] if "risk-responses" in path else STAFF
    if path == "/transitions":
        allowed = [*STAFF, "intake_coordinator"]
    everyone = {*STAFF, "nurse", "intake_coordinator", "partner", "operator"}
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


VOIDED = fact(intake.EpisodeEnteredInError)


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_on_what_was_entered_in_error_there_are_no_commands(
    path: str, body: dict[str, Any]
) -> None:
    history = in_aftercare()
    history.hear(VOIDED)
    response = serve(history).post(path, body)
    assert (response.status_code, response.json()["code"]) == (409, "entered-in-error")
    assert response.json()["hint"]


def test_a_plan_is_agreed_and_its_appointment_kept() -> None:
    history = in_aftercare()
    http = serve(history)
    at = (history.now + 2 * DAY).isoformat()
    body = {
        "episode_id": EPISODE_ID,
        "elements": ["crisis-contacts", "naloxone", "naloxone"],
        "channel": "peer",
        "first_appointment_at": at,
    }
    told = http.post("/aftercare-plans", body).json()
    assert told["missing"] == []
    assert http.get(HERE).json()["agreed"]["elements"] == ["crisis-contacts", "naloxone"]
    path = f"/aftercare-plans/{told['aftercare_plan_id']}/first-appointment"
    kept = {"episode_id": EPISODE_ID, "outcome": "kept"}
    early = http.post(path, kept)
    assert (early.status_code, early.json()["code"]) == (409, "appointment-to-come")
    history.after(days=2)
    assert http.post(path, kept).status_code == 200
    assert http.post(path, kept).json()["code"] == "no-appointment"
    past = http.post("/aftercare-plans", {**body, "first_appointment_at": "2026-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["code"]) == (422, "appointment-in-past")
    naive = http.post("/aftercare-plans", {**body, "first_appointment_at": "2026-01-01T00:00:00"})
    assert naive.status_code == 422


def test_the_way_back_begins_and_ends_by_its_id() -> None:
    http = serve(in_aftercare())
    of_episode = {"episode_id": EPISODE_ID}
    told = http.post("/reengagements", {**of_episode, "cause": "contact_regained"}).json()
    led = {**of_episode, "outcome": "outpatient"}
    wrong = http.post(f"/reengagements/{uid('x')}/complete", led)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "no-reengagement")
    assert http.post(f"/reengagements/{told['reengagement_id']}/complete", led).status_code == 200
    both = {**of_episode, "outcome": "outpatient", "cause": "risk"}
    assert http.post("/reengagements", both).status_code == 422


class TestDue:
    """Which check-ins are due, over the whole facility."""

    def due(self, history: Followup, query: str = "") -> list[str]:
        answer = serve(history).get(f"/checkins{query}").json()
        return [row["milestone"] for row in answer["check_ins"]]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", []),
            ("?due=2026-03-04", []),
            ("?due=2026-03-05", ["hours_72"]),
            ("?due=2026-03-05T15:00:00.123456Z", []),
            ("?due=2026-03-05T15:00:00.123457Z", ["hours_72"]),
            ("?due=2026-03-05T09:00:00.123457-06:00", ["hours_72"]),
            ("?due=2026-03-09", ["hours_72", "days_7"]),
        ],
    )
    def test_by_an_instant_or_a_local_day(self, query: str, expected: list[str]) -> None:
        assert self.due(in_aftercare(), query.replace("+", "%2B")) == expected

    def test_what_is_settled_or_superseded_is_not(self) -> None:
        history = in_aftercare()
        history.complete(history.open_check_in(0))
        assert self.due(history, "?due=2026-03-09") == ["days_7"]
        history.hear(VOIDED)
        assert self.due(history, "?due=2027-03-09") == []

    def test_says_who_owns_it_and_whether_it_is_open(self) -> None:
        history = in_aftercare()
        key = history.open_check_in(0)
        history.attempt(key)
        [row] = serve(history).get("/checkins").json()["check_ins"]
        assert (row["check_in_id"], row["open"], row["attempts"]) == (key, True, 1)
        assert row["owner_role"] == "case_manager"
        assert row["subject"] == f"episode/{EPISODE_ID}"

    def test_a_page_that_nothing_follows_says_so(self) -> None:
        http = serve(in_aftercare())
        found = http.get("/checkins?due=2026-03-09&limit=1").json()
        assert len(found["check_ins"]) == 2
        assert "next" not in found
        assert "next" not in http.get("/checkins?due=2026-03-01&limit=1").json()


def test_measures_over_a_period() -> None:
    history = in_program()
    http = serve(history)
    body = {"episode_id": EPISODE_ID, "kind": "ed_visit", "on": "2026-03-01"}
    assert http.post("/transitions", body).status_code == 200
    history.hear(attended(START + 2 * DAY))
    fua = http.get("/measures/fua?from=2026-03-01&to=2026-03-31").json()
    met = {"denominator": 1, "numerator": 1, "open": 0, "rate": 1.0}
    assert fua["parts"] == {"within_7": met, "within_30": met}
    assert fua["certified"] is False
    none = http.get("/measures/fua?from=2026-03-02&to=2026-03-31").json()["parts"]["within_7"]
    assert none == {"denominator": 0, "numerator": 0, "open": 0, "rate": None}
    iet = http.get("/measures/iet?from=2026-03-01&to=2026-03-31").json()["parts"]
    assert iet["initiation_14"]["numerator"] == 1
    assert iet["engagement_34"] == {"denominator": 1, "numerator": 0, "open": 1, "rate": 0.0}
    fui = http.get("/measures/fui?from=2026-03-01&to=2026-03-31").json()["parts"]
    assert fui["within_7"]["denominator"] == 0
    assert (
        http.acting_as("program_director")
        .get("/measures/fui?from=2026-03-01&to=2026-03-31")
        .is_success
    )


def test_the_journey_and_who_has_stayed_too_long() -> None:
    history = in_program()
    http = serve(history)
    assert http.get("/journeys").json()["journeys"] == []
    history.after(days=8)
    view = http.get(f"{HERE}/journey").json()
    assert (view["stage"], view["awaiting"], view["service"]) == (
        "admitted",
        "treatment_plan",
        "plans",
    )
    assert view["overdue"] is True
    [late] = http.get("/journeys").json()["journeys"]
    assert (late["subject"], late["role"]) == (f"episode/{EPISODE_ID}", "counselor")


def test_every_open_loop_is_listed_and_on_somebodys_work_list() -> None:
    history = in_aftercare()
    history.complete(history.open_check_in(0), RiskFlag.SUICIDE_RISK)
    http = serve(history)
    kinds = {loop["kind"] for loop in http.get("/loops").json()["loops"]}
    assert kinds == {"risk_response"}
    assert [one["kind"] for one in http.get("/tasks").json()["tasks"]] == ["risk_response"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("/checkins?due=tomorrow", 422, "due-invalid"),
        ("/checkins?due=2026-03-05T15:00:00", 422, "due-invalid"),
        ("/checkins?due=2026-13-45", 422, "due-invalid"),
        ("/checkins?due=9999-12-31", 422, "due-invalid"),
        ("/checkins?due=0001-01-01", 422, "due-invalid"),
        ("/checkins?after=nonsense", 422, "after-invalid"),
        ("/checkins?after=2026-03-05T15:00:00Z", 422, "after-invalid"),
        ("/checkins?limit=0", 422, "request-invalid"),
        ("/checkins?limit=many", 422, "request-invalid"),
        ("/measures/abc?from=2026-03-01&to=2026-03-31", 422, "request-invalid"),
        ("/measures/fua", 422, "request-invalid"),
        ("/measures/fua?from=2026-03-31&to=2026-03-01", 422, "period-invalid"),
        ("/measures/fua?from=2020-03-31&to=2026-03-01", 422, "period-invalid"),
        ("/measures/fua?from=0001-01-01&to=0001-01-02", 422, "period-invalid"),
        ("/measures/fua?from=x&to=2026-03-31", 422, "request-invalid"),
        ("/journeys?after=x", 422, "after-invalid"),
        ("/journeys?limit=501", 422, "request-invalid"),
        ("/sessions/coming?limit=0", 422, "request-invalid"),
        ("/episodes/nonsense/journey", 422, "request-invalid"),
        (f"/episodes/{uid('nobody')}/journey", 409, "not-yet-known"),
    ],
)
def test_questions_that_cannot_be_answered(query: str, status: int, code: str) -> None:
    response = serve(in_aftercare()).get(query)
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "more", "code"),
    [
        ("/transitions", {"kind": "ed_visit", "on": "2030-01-01"}, "day-in-future"),
        ("/transitions", {"kind": "ed_visit", "on": "1900-01-01"}, "day-too-long-ago"),
        ("/transitions", {"kind": "ed_visit", "on": "0001-01-01"}, "request-invalid"),
        ("/transitions", {"kind": "holiday", "on": "2026-03-01"}, "request-invalid"),
        (
            "/aftercare-plans",
            {"elements": ["housing"], "first_appointment_at": "2099-12-31T23:59:59Z"},
            "appointment-too-far",
        ),
        (
            "/aftercare-plans",
            {"elements": ["housing"], "first_appointment_at": "9999-12-31T23:59:59-14:00"},
            "request-invalid",
        ),
        ("/aftercare-plans", {"elements": []}, "request-invalid"),
        ("/aftercare-plans", {"elements": ["Call my sister!"]}, "request-invalid"),
        ("/aftercare-plans", {"elements": ["housing"], "consent_ids": ["x"]}, "request-invalid"),
        (f"/risk-responses/{uid('x')}/complete", {"how": "prayer"}, "request-invalid"),
        ("/return-to-use", {**REPORT, "occurred_on": "2030-01-01"}, "day-in-future"),
    ],
)
def test_commands_that_cannot_be(path: str, more: dict[str, Any], code: str) -> None:
    response = serve(in_aftercare()).post(path, {"episode_id": EPISODE_ID, **more})
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_coming_sessions_of_a_facility_without_any() -> None:
    assert serve(in_program()).get("/sessions/coming").json()["sessions"] == []
