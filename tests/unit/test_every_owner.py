"""Whoever owns a loop, or inherits it, may see what it is about and settle it: every kind of every service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from services.followup.loop_table import RISK_TO_LIFE
from shared.contracts.codes import AttendanceLoop, FollowupLoop, IntakeLoop, PlansLoop
from shared.contracts.event import OpenEnum
from shared.loops import LoopRule
from shared.roles import STAFF_ROLES
from tests.unit.test_every_loop import TABLES
from tests.unit.test_roles import operations

INTAKE, PLANS, ATTENDANCE, FOLLOWUP = "intake", "plans", "attendance", "followup"
EPISODE: Final = "GET /episodes/{episode_id}"
SESSION: Final = "GET /sessions/{session_id}"
RISK: Final = "POST /risk-responses/{loop_id}/complete"
Routes = tuple[str, ...]
SETTLED: dict[OpenEnum, tuple[str, Routes]] = {
    IntakeLoop.REFERRAL_ACKNOWLEDGEMENT: (
        INTAKE,
        (EPISODE, "POST /referrals/{episode_id}/ack", "POST /referrals/{episode_id}/decline"),
    ),
    IntakeLoop.ASSESSMENT: (
        INTAKE,
        (EPISODE, "POST /assessments", "POST /assessments/{assessment_id}/complete"),
    ),
    IntakeLoop.EMERGENCY_RESPONSE: (
        INTAKE,
        (EPISODE, "POST /assessments/{assessment_id}/recommendation", "POST /outbound-referrals"),
    ),
    IntakeLoop.RECOMMENDATION: (
        INTAKE,
        (EPISODE, "POST /assessments/{assessment_id}/recommendation"),
    ),
    IntakeLoop.PLACEMENT: (INTAKE, (EPISODE, "POST /placements")),
    IntakeLoop.WAITLIST: (
        INTAKE,
        (
            *(EPISODE, "GET /groups/{group_id}/waitlist", "POST /waitlist/{waitlist_id}/offer"),
            *("POST /waitlist/{waitlist_id}/accept", "POST /waitlist/{waitlist_id}/leave"),
        ),
    ),
    IntakeLoop.ADMISSION: (
        INTAKE,
        (EPISODE, "POST /episodes", "POST /referrals/{episode_id}/close"),
    ),
    IntakeLoop.ORIENTATION: (INTAKE, (EPISODE, "POST /episodes/{episode_id}/orientation")),
    IntakeLoop.REFERRAL_CLOSURE: (
        INTAKE,
        (EPISODE, "POST /episodes", "POST /referrals/{episode_id}/close"),
    ),
    IntakeLoop.DOUBLE_ADMISSION: (
        INTAKE,
        (
            *(EPISODE, "POST /episodes/{episode_id}/admission/undo"),
            *("POST /episodes/{episode_id}/person", "POST /episodes/{episode_id}/entered-in-error"),
        ),
    ),
    IntakeLoop.OUTBOUND_REFERRAL: (
        INTAKE,
        (
            *(EPISODE, "GET /outbound-referrals", "POST /outbound-referrals"),
            "POST /outbound-referrals/{referral_id}/close",
        ),
    ),
    IntakeLoop.READMISSION: (INTAKE, (EPISODE, "POST /referrals")),
    IntakeLoop.DISCLOSURE_REVIEW: (
        INTAKE,
        ("GET /disclosures", "POST /disclosures/{disclosure_id}/review"),
    ),
    IntakeLoop.DISCLOSURE_REPORT: (
        INTAKE,
        ("GET /disclosures", "POST /disclosures/{disclosure_id}/report"),
    ),
    PlansLoop.TREATMENT_PLAN: (
        PLANS,
        (
            *(EPISODE, "POST /plans", "POST /plans/{plan_id}/goals", "POST /plans/{plan_id}/sign"),
            "POST /plans/{plan_id}/amend/withdraw",
        ),
    ),
    PlansLoop.PLAN_REVIEW: (PLANS, (EPISODE, "POST /plans/{plan_id}/reviews")),
    PlansLoop.CLINICAL_REVIEW: (PLANS, (EPISODE, "POST /reviews/{review_id}/complete")),
    PlansLoop.LEVEL_CHANGE: (PLANS, (EPISODE, "POST /episodes/{episode_id}/loc-changes")),
    PlansLoop.NEXT_APPOINTMENT: (PLANS, (EPISODE,)),
    PlansLoop.CONTINUED_SERVICE: (
        PLANS,
        (
            *(EPISODE, "PATCH /goals/{goal_id}", "POST /plans/{plan_id}/goals"),
            *("POST /plans/{plan_id}/amend", "POST /episodes/{episode_id}/ancillary-services"),
        ),
    ),
    PlansLoop.PROGRAM_HOURS: (
        PLANS,
        (EPISODE, "POST /episodes/{episode_id}/weeks/{week_starts_on}/hours-restored"),
    ),
    PlansLoop.TRANSFER: (
        PLANS,
        (
            *(EPISODE, "POST /episodes/{episode_id}/transfer"),
            "POST /episodes/{episode_id}/transfer/first-contact",
        ),
    ),
    PlansLoop.AFTERCARE_PLAN: (PLANS, (EPISODE, "PUT /episodes/{episode_id}/aftercare-plan")),
    PlansLoop.DISCHARGE: (
        PLANS,
        (
            *(EPISODE, "POST /episodes/{episode_id}/discharge"),
            "POST /episodes/{episode_id}/graduate",
        ),
    ),
    AttendanceLoop.SEAT: (
        ATTENDANCE,
        (
            *(EPISODE, "GET /groups/{group_id}", "POST /groups/{group_id}/seats"),
            "POST /groups/{group_id}/seats/release",
        ),
    ),
    AttendanceLoop.GROUP_SIZE: (
        ATTENDANCE,
        (
            *("GET /groups/{group_id}", "POST /groups/{group_id}/below-minimum"),
            "POST /groups/{group_id}/close",
        ),
    ),
    AttendanceLoop.ROLL_CALL: (
        ATTENDANCE,
        (
            *(SESSION, "POST /sessions/{session_id}/attendance"),
            "POST /sessions/{session_id}/cancel",
        ),
    ),
    AttendanceLoop.WALK_IN: (
        ATTENDANCE,
        (
            *(SESSION, "POST /sessions/{session_id}/walk-ins/settle"),
            "POST /attendance/{session_id}/corrections",
        ),
    ),
    AttendanceLoop.LEADER: (
        ATTENDANCE,
        (
            *(SESSION, "POST /sessions/{session_id}/leaders"),
            "POST /sessions/{session_id}/reschedule",
        ),
    ),
    AttendanceLoop.SIGN_OFF: (
        ATTENDANCE,
        (SESSION, "POST /sessions/{session_id}/sign-off", "POST /sessions/{session_id}/leaders"),
    ),
    AttendanceLoop.DOUBLE_BOOKING: (
        ATTENDANCE,
        (
            *(EPISODE, SESSION, "POST /sessions/{session_id}/cancel"),
            *(
                "POST /sessions/{session_id}/reschedule",
                "POST /attendance/{session_id}/corrections",
            ),
        ),
    ),
    AttendanceLoop.MAKE_UP: (
        ATTENDANCE,
        (EPISODE, "GET /episodes/{episode_id}/weeks/{day}", "POST /sessions"),
    ),
    AttendanceLoop.SPECIMEN: (
        ATTENDANCE,
        (
            *(EPISODE, "POST /screens/{screen_id}/collect"),
            "POST /screens/{screen_id}/not-provided",
        ),
    ),
    AttendanceLoop.SCREEN_RESULT: (
        ATTENDANCE,
        (EPISODE, "POST /screens/{screen_id}/results", "POST /screens/{screen_id}/definitive"),
    ),
    AttendanceLoop.SCREEN_INTERPRETATION: (
        ATTENDANCE,
        ("GET /screens/{screen_id}", "POST /screens/{screen_id}/interpret"),
    ),
    AttendanceLoop.SCREEN_RETEST: (ATTENDANCE, (EPISODE, "POST /screens", "POST /breath-tests")),
    AttendanceLoop.SCREEN_DUE: (ATTENDANCE, (EPISODE, "POST /screens", "POST /screens/draw")),
    AttendanceLoop.SAFE_DEPARTURE: (
        ATTENDANCE,
        (EPISODE, "POST /breath-tests/{screen_id}/departure"),
    ),
    AttendanceLoop.RETURN_AFTER_PAUSE: (
        ATTENDANCE,
        (EPISODE, "POST /sessions", "POST /sessions/{session_id}/attendance"),
    ),
    FollowupLoop.OUTREACH: (FOLLOWUP, (EPISODE, "POST /episodes/{episode_id}/outreach")),
    FollowupLoop.CHECK_IN: (
        FOLLOWUP,
        (
            *("GET /checkins", EPISODE, "POST /checkins/{check_in_id}/attempts"),
            "POST /checkins/{check_in_id}/complete",
        ),
    ),
    FollowupLoop.RISK_RESPONSE: (FOLLOWUP, (EPISODE, RISK)),
    FollowupLoop.AFTERCARE_PLAN: (FOLLOWUP, (EPISODE, "POST /aftercare-plans")),
    FollowupLoop.FIRST_APPOINTMENT: (
        FOLLOWUP,
        (EPISODE, "POST /aftercare-plans/{aftercare_plan_id}/first-appointment"),
    ),
    FollowupLoop.REENGAGEMENT: (
        FOLLOWUP,
        (
            *(EPISODE, "POST /reengagements"),
            "POST /reengagements/{reengagement_id}/complete",
        ),
    ),
    FollowupLoop.LOST_CONTACT: (
        FOLLOWUP,
        (EPISODE, "GET /episodes/{episode_id}/journey", "POST /episodes/{episode_id}/outreach"),
    ),
    FollowupLoop.CIRCUMSTANCE: (
        FOLLOWUP,
        (
            EPISODE,
            "POST /circumstances/{circumstance_id}/confirm",
            "POST /circumstances/{circumstance_id}/end",
        ),
    ),
    FollowupLoop.TIMELY_VISIT: (FOLLOWUP, (EPISODE, "POST /transitions", "POST /return-to-use")),
}
"""By kind: the service, what shows its owner what it is about, and what settles it."""
NO_COMMAND: Final = {
    PlansLoop.MISSING_FACT: "a fact of another service settles it, which an operator brings in",
    FollowupLoop.MISSING_FACT: "a fact of another service settles it, which an operator brings in",
}
OF_A_TRADE: Final = {
    ("counselor", RISK): "hears of it, and a clinician owns it at once",
    ("case_manager", RISK): "hears of it, and a clinician owns it at once",
    ("intake_coordinator", "POST /assessments/{assessment_id}/complete"): "assesses nobody",
    (
        "intake_coordinator",
        "POST /assessments/{assessment_id}/recommendation",
    ): "recommends nothing",
}
"""What an owner sees to, and somebody of another trade does."""


def _rules() -> Mapping[OpenEnum, list[LoopRule]]:
    rules: dict[Any, list[LoopRule]] = {
        kind: [rule] for table in TABLES for kind, rule in table.items()
    }
    rules[FollowupLoop.RISK_RESPONSE].append(RISK_TO_LIFE)
    return rules


RULES: Final = _rules()
CALLERS: Final[dict[str, list[str]]] = {
    f"{service} {method} {path}": operation.get("x-roles", [])
    for service, method, path, operation in operations()
}


def test_every_kind_says_how_its_owner_settles_it() -> None:
    assert set(SETTLED) | set(NO_COMMAND) == set(RULES)
    assert not set(SETTLED) & set(NO_COMMAND)


@pytest.mark.parametrize("kind", SETTLED, ids=lambda kind: f"{type(kind).__name__}-{kind}")
def test_whoever_owns_a_loop_sees_and_settles_it(kind: OpenEnum) -> None:
    """From the first owner to the last one to whom it escalates."""
    service, routes = SETTLED[kind]
    owners = {role.value for rule in RULES[kind] for role in rule.owners} & {*STAFF_ROLES}
    shut_out = [
        (owner, route)
        for route in routes
        for owner in sorted(owners)
        if owner not in CALLERS[f"{service} {route}"] and (owner, route) not in OF_A_TRADE
    ]
    assert shut_out == []


def test_what_is_of_a_trade_is_owned_and_done_by_somebody() -> None:
    for owner, route in OF_A_TRADE:
        assert any(route in routes for _, routes in SETTLED.values()), route
        told = [route_of for route_of in CALLERS if route_of.endswith(f" {route}")]
        assert all(owner not in CALLERS[one] for one in told), (owner, route)
