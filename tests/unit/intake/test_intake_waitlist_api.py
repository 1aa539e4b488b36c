"""Waiting, recommending and partners' capacity over HTTP: what is answered, and what is refused with which code."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.intake.app import SERVICE
from services.intake.handoffs import LineJoined, SeatChanged
from services.intake.person.requests import partner_subject
from services.intake.resources.partner_capacity import subject
from services.intake.resources.partners import PartnerState
from shared.contracts import attendance
from tests.unit.intake.partners import known
from tests.unit.intake.test_intake_waitlist import GROUP, GROUP_ID, TRACK, capacity
from tests.unit.intake.world import DAY, HOUR, Intake, at_stage
from tests.unit.support import EPISODE_ID, FACILITY, START, Http, uid

EPISODE: dict[str, Any] = {"episode_id": EPISODE_ID}
JOIN: dict[str, Any] = {**EPISODE, "track": TRACK, "interim_services": ["peer-support"]}
YES: dict[str, bool] = {
    "detox-completed": True,
    "no-round-the-clock-supervision": True,
    "can-adhere-to-structure": True,
}


def refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def waiting() -> tuple[Intake, Http, str]:
    history = at_stage("eligible")
    http = Http(SERVICE, history, "intake_coordinator")
    answer = http.post("/waitlist", JOIN)
    assert answer.status_code == 201
    return history, http, answer.json()["waitlist_id"]


def test_somebody_waits_is_offered_a_place_and_accepts_it() -> None:
    history, http, waitlist_id = waiting()
    assert http.get(f"/episodes/{EPISODE_ID}").json()["stage"] == "waitlisted"
    answer = http.post(f"/waitlist/{waitlist_id}/offer", {**EPISODE, "hours": 4})
    assert answer.status_code == 200
    assert http.get(f"/episodes/{EPISODE_ID}").json()["stage"] == "offered"
    assert history.state.waiting.offer.expires_at == START + 4 * HOUR
    assert http.post(f"/waitlist/{waitlist_id}/accept", EPISODE).status_code == 200
    assert history.state.waiting is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"track": None}, "request-invalid"),
        ({"group_id": GROUP_ID}, "request-invalid"),
        ({"track": "Evening Group!"}, "request-invalid"),
        ({"interim_services": ["call Mary"]}, "request-invalid"),
        ({"episode_id": "7"}, "request-invalid"),
        ({"note": "anything"}, "request-invalid"),
    ],
)
def test_a_wish_to_wait_that_makes_no_sense(changes: dict[str, Any], code: str) -> None:
    http = Http(SERVICE, at_stage("eligible"), "intake_coordinator")
    refused(http.post("/waitlist", {**JOIN, **changes}), 422, code)


def test_a_group_that_is_not_heard_of_is_not_yet_known() -> None:
    http = Http(SERVICE, at_stage("eligible"), "intake_coordinator")
    body = {**EPISODE, "group_id": uid("somewhere")}
    answer = http.post("/waitlist", body)
    assert answer.status_code in (404, 409)
    assert answer.json()["hint"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("accept", EPISODE, 409, "not-offered"),
        ("leave", {**EPISODE, "reason": "declined"}, 409, "not-offered"),
        ("leave", {**EPISODE, "reason": "expired"}, 422, "request-invalid"),
        ("leave", {**EPISODE, "reason": "unknown"}, 422, "request-invalid"),
        ("leave", EPISODE, 422, "request-invalid"),
        ("offer", {**EPISODE, "hours": 0}, 422, "request-invalid"),
        ("offer", {**EPISODE, "hours": 721}, 422, "request-invalid"),
    ],
)
def test_steps_of_waiting_that_are_refused(
    path: str, body: dict[str, Any], status: int, code: str
) -> None:
    _, http, waitlist_id = waiting()
    refused(http.post(f"/waitlist/{waitlist_id}/{path}", body), status, code)
    refused(http.post(f"/waitlist/{path}/{path}", body), 422, "request-invalid")


@pytest.mark.parametrize("path", ["offer", "accept", "leave"])
def test_a_waiting_that_there_is_not(path: str) -> None:
    _, http, _ = waiting()
    body = {**EPISODE, "reason": "withdrawn"} if path == "leave" else EPISODE
    refused(http.post(f"/waitlist/{uid('other')}/{path}", body), 404, "unknown-waiting")


@pytest.mark.parametrize("role", ["nurse", "counselor", "partner"])
def test_only_who_does_intake_lets_people_wait(role: str) -> None:
    http = Http(SERVICE, at_stage("eligible"), role)
    refused(http.post("/waitlist", JOIN), 403, "role-not-allowed")


def test_a_groups_line_and_its_seats_are_shown() -> None:
    history = Intake(GROUP)
    history.hear(capacity(attendance.GroupOpened, 0, most=12))
    history.hand(SeatChanged(episode_id=uid("a"), has_seat=True), 1)
    joined = LineJoined(
        ticket=uid("t"),
        episode_id=EPISODE_ID,
        track=TRACK,
        since=START,
        offer_lasts=timedelta(days=1),
    )
    history.hand(joined, 2)
    http = Http(SERVICE, history, "nurse")
    view = http.get(f"/groups/{GROUP_ID}/waitlist").json()
    assert (view["track"], view["seats_max"], view["seats_free"]) == (TRACK, 12, 11)
    [place] = view["waiting"]
    assert (place["position"], place["episode_id"]) == (1, EPISODE_ID)
    history.after(minutes=2)
    view = http.get(f"/groups/{GROUP_ID}/waitlist").json()
    assert (view["waiting"], len(view["offered"]), view["seats_free"]) == ([], 1, 10)


def test_a_tracks_line_is_empty_at_first() -> None:
    http = Http(SERVICE, at_stage("eligible"), "nurse")
    view = http.get(f"/tracks/{TRACK}/waitlist").json()
    assert (view["track"], view["waiting"]) == (TRACK, [])
    refused(http.get("/tracks/No Such/waitlist"), 422, "request-invalid")


# --- the recommendation ---------------------------------------------------------------------------------


def recommends(body: dict[str, Any], stage: str = "assessed") -> Any:
    history = at_stage(stage)
    http = Http(SERVICE, history, "clinician")
    assessment_id = history.state.assessment.assessment_id
    return http.post(f"/assessments/{assessment_id}/recommendation", {**EPISODE, **body})


def test_a_recommendation_for_one_program_says_what_is_unmet_and_what_is_a_risk() -> None:
    answers = {**YES, "can-adhere-to-structure": False, "well-between-contacts": True}
    told = recommends({"program": "evening-groups", "answers": answers}).json()
    assert (told["eligible"], told["unmet"]) == (False, ["can-adhere-to-structure"])
    assert told["risks"] == ["stable-home"]  # nobody asked: it is planned for


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"program": "no-such-program"}, 404, "unknown-program"),
        ({"program": "evening-groups"}, 422, "answer-missing"),
        ({"answers": YES}, 422, "answer-not-asked"),
        ({"program": "evening-groups", "answers": {"a": True}}, 422, "answer-not-asked"),
        ({"program": "evening-groups", "answers": {"Free text?": True}}, 422, "request-invalid"),
        ({"program": "evening-groups", "answers": {"stable-home": "yes"}}, 422, "request-invalid"),
        (
            {
                "program": "evening-groups",
                "answers": YES,
                "override": "court_order",
            },
            422,
            "nothing-to-override",
        ),
        ({"override": "unknown"}, 422, "request-invalid"),
    ],
)
def test_recommendations_that_are_refused(body: dict[str, Any], status: int, code: str) -> None:
    refused(recommends(body), status, code)


# --- partners' capacity ---------------------------------------------------------------------------------

STATED: dict[str, Any] = {
    "partner_id": "river-residential",
    "kind": "residential",
    "level": {"system": "asam", "edition": "4", "code": "3.5"},
    "places_free": 2,
    "as_of": START.isoformat(),
    "believed_for_minutes": 240,
}


def partners() -> tuple[Intake, Http]:
    history = Intake(subject(FACILITY))
    http = Http(SERVICE, history, "intake_coordinator")
    for code in ("river-residential", "hill-house"):
        http.runtime.beside[partner_subject(code)] = PartnerState(known=known(code)[code])
    return history, http


@pytest.mark.scenario(12)
def test_what_is_too_old_is_shown_as_stale_and_comes_last() -> None:
    history, http = partners()
    other = {**STATED, "partner_id": "hill-house", "believed_for_minutes": 10_080}
    for body in (STATED, other):
        assert http.send("PUT", "/partners/capacity", body).status_code == 200
    history.now = START + timedelta(minutes=239)
    told = http.get("/partners/capacity").json()["capacity"]
    assert [one["stale"] for one in told] == [False, False]
    history.now = START + timedelta(minutes=240)
    told = http.get("/partners/capacity").json()["capacity"]
    assert [(one["partner_id"], one["stale"]) for one in told] == [
        ("hill-house", False),
        ("river-residential", True),
    ]
    assert told[1]["as_of"].startswith("2026-03-02T15:00")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 1),
        ("?kind=residential", 1),
        ("?kind=residential&level=3.5", 1),
        ("?kind=psychiatry", 0),
        ("?level=3.1", 0),
    ],
)
def test_capacity_is_asked_by_kind_and_level(query: str, found: int) -> None:
    _, http = partners()
    http.send("PUT", "/partners/capacity", STATED)
    assert len(http.get(f"/partners/capacity{query}").json()["capacity"]) == found


def test_nothing_is_known_at_first() -> None:
    assert partners()[1].get("/partners/capacity").json()["capacity"] == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"as_of": (START - DAY).isoformat()}, 409, "newer-statement-known"),
        ({"as_of": (START + DAY).isoformat()}, 422, "as-of-in-future"),
        ({"places_free": -1}, 422, "request-invalid"),
        ({"places_free": 10_001}, 422, "request-invalid"),
        ({"believed_for_minutes": 0}, 422, "request-invalid"),
        ({"kind": "unknown"}, 422, "request-invalid"),
        ({"partner_id": "Ward 7, ask for Mary"}, 422, "request-invalid"),
        ({"as_of": "yesterday"}, 422, "request-invalid"),
        ({"remark": "call first"}, 422, "request-invalid"),
    ],
)
def test_statements_that_are_refused(changes: dict[str, Any], status: int, code: str) -> None:
    _, http = partners()
    assert http.send("PUT", "/partners/capacity", STATED).status_code == 200
    refused(http.send("PUT", "/partners/capacity", {**STATED, **changes}), status, code)


def test_a_later_statement_replaces_an_earlier_one() -> None:
    history, http = partners()
    http.send("PUT", "/partners/capacity", STATED)
    history.now = START + HOUR
    later = {**STATED, "places_free": 0, "as_of": (START + HOUR).isoformat()}
    http.send("PUT", "/partners/capacity", later)
    [one] = http.get("/partners/capacity").json()["capacity"]
    assert one["places_free"] == 0


def test_joining_needs_an_episode_that_may_wait() -> None:
    http = Http(SERVICE, at_stage("admitted"), "intake_coordinator")
    refused(http.post("/waitlist", JOIN), 409, "already-admitted")
