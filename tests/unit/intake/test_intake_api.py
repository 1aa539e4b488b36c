"""The edge: which bodies are taken, what is shown of a record, and which routes there are."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from services.intake.api import consents, episodes, outbound_referrals, waitlist
from tests.unit.intake.world import STAGES, at_stage, grant, person
from tests.unit.support import EPISODE_ID, uid

ADMIT: dict[str, Any] = {
    "episode_id": EPISODE_ID,
    "population": "adult",
    "court_involved": False,
    "program": "iop-adult",
    "length_weeks": 16,
    "time_zone": "America/Chicago",
}
COMPLETE: dict[str, Any] = {
    "episode_id": EPISODE_ID,
    "edition": "3",
    "ratings": dict.fromkeys("123456", 1),
    "severity": "moderate",
    "co_occurring": "capable",
    "imminent_danger": False,
}


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"time_zone": "Europe/Berlin"}, True),
        ({"time_zone": "UTC"}, True),
        ({"time_zone": "Mars/Base"}, False),
        ({"time_zone": "America"}, False),
        ({"time_zone": "../etc/passwd"}, False),
        ({"length_weeks": 1}, True),
        ({"length_weeks": 104}, True),
        ({"length_weeks": 0}, False),
        ({"length_weeks": None}, True),
        ({"length_weeks": 105}, False),
        ({"population": "unknown"}, False),
        ({"population": "elderly"}, False),
        ({"prior_episode_id": "not-an-id"}, False),
        ({"name": "someone"}, False),
    ],
)
def test_admissions_that_are_taken(changes: dict[str, Any], *, accepted: bool) -> None:
    _taken(episodes.Admit, {**ADMIT, **changes}, accepted=accepted)


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"edition": "4", "ratings": dict.fromkeys("123456", "2.1")}, True),
        ({"edition": "4", "ratings": dict.fromkeys("123456", "ANY")}, True),
        ({"ratings": dict.fromkeys("123456", 5)}, False),
        ({"ratings": dict.fromkeys("123456", -1)}, False),
        ({"ratings": dict.fromkeys("123456", True)}, False),
        ({"ratings": dict.fromkeys("123456", 1.5)}, False),
        ({"ratings": dict.fromkeys("123456", "anything")}, False),
        ({"ratings": {"7": 1}}, False),
        ({"edition": "5"}, False),
        ({"danger_dimension": 7}, False),
        ({"danger_action": "911"}, True),
        ({"danger_action": "unknown"}, False),
    ],
)
def test_assessments_that_are_taken(changes: dict[str, Any], *, accepted: bool) -> None:
    _taken(episodes.CompleteAssessment, {**COMPLETE, **changes}, accepted=accepted)


@pytest.mark.parametrize(
    ("level", "accepted"),
    [
        ({"system": "asam", "edition": "3", "code": "2.1"}, True),
        ({"system": "asam", "edition": "4", "code": "1.7"}, True),
        ({"system": "asam", "edition": "4", "code": "3.3"}, False),
        ({"edition": "3", "code": "2.1"}, False),
        (3, False),
        ("2.1", False),
    ],
)
def test_a_level_is_never_a_bare_number(level: Any, *, accepted: bool) -> None:
    body = {"episode_id": EPISODE_ID, "actual_level": level}
    _taken(episodes.DecidePlacement, body, accepted=accepted)


def _taken(body: type[Any], data: dict[str, Any], *, accepted: bool) -> None:
    if accepted:
        body.model_validate(data)
        return
    with pytest.raises(ValidationError) as refused:
        body.model_validate(data)
    assert "someone" not in str(refused.value)


@pytest.mark.parametrize("stage", [*STAGES])
def test_ratings_are_not_shown(stage: str) -> None:
    view = episodes.episode_view(at_stage(stage).state)
    assert "deadlines" not in view
    assert "ratings" not in (view["assessment"] or {})


@pytest.mark.parametrize(
    ("stage", "word"),
    [
        ("referred", "received"),
        ("acknowledged", "acknowledged"),
        ("scheduled", "awaiting_assessment"),
        ("assessed", "assessed"),
        ("in-danger", "emergency"),
        ("eligible", "eligible"),
        ("ineligible", "ineligible"),
        ("placed", "placed"),
        ("admitted", "admitted"),
        ("oriented", "oriented"),
        ("closed", "declined"),
    ],
)
def test_the_stage_in_a_word(stage: str, word: str) -> None:
    assert episodes.episode_view(at_stage(stage).state)["stage"] == word


def test_consents_are_listed_by_id() -> None:
    history = person()
    consent_id = history.command(grant()).answer["consent_id"]
    assert [*consents.consents_view(history.state)["consents"]] == [consent_id]
    assert consent_id != uid("x")


def test_the_routes_of_the_path_and_of_waiting() -> None:
    app = FastAPI()
    for router in (episodes.router, outbound_referrals.router, waitlist.router):
        app.include_router(router)
    routes = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert routes == {
        "POST /referrals",
        "POST /referrals/{episode_id}/ack",
        "POST /referrals/{episode_id}/decline",
        "POST /referrals/{episode_id}/close",
        "POST /assessments",
        "POST /assessments/{assessment_id}/complete",
        "POST /assessments/{assessment_id}/recommendation",
        "POST /placements",
        "POST /waitlist",
        "POST /waitlist/{waitlist_id}/offer",
        "POST /waitlist/{waitlist_id}/accept",
        "POST /waitlist/{waitlist_id}/leave",
        "GET /groups/{group_id}/waitlist",
        "GET /tracks/{track}/waitlist",
        "PUT /partners/capacity",
        "GET /partners/capacity",
        "POST /episodes",
        "POST /episodes/{episode_id}/orientation",
        "GET /episodes/{episode_id}",
        "POST /outbound-referrals",
        "POST /outbound-referrals/{referral_id}/accepted",
        "POST /outbound-referrals/{referral_id}/rejected",
        "POST /outbound-referrals/{referral_id}/close",
    }
