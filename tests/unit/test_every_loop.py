"""Each kind of open loop: which rule opens it, and which tests show that it closes, and escalates when it does not.

A kind without a place here, a place that no longer opens it, or a test that is gone, fails. Kinds of a published list
that nobody waits for any more stand in `NOBODY_WAITS`, with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.attendance.loop_table import LOOPS as ATTENDANCE
from services.followup.loop_table import LOOPS as FOLLOWUP
from services.followup.loop_table import RISK_TO_LIFE
from services.intake.loop_table import LOOPS as INTAKE
from services.plans.tables import LOOPS as PLANS
from shared.contracts.codes import AttendanceLoop, FollowupLoop, IntakeLoop, PlansLoop
from shared.contracts.event import OpenEnum
from shared.loops import LoopRule

ROOT = Path(__file__).parents[2]
TABLES: tuple[Mapping[Any, LoopRule], ...] = (INTAKE, PLANS, ATTENDANCE, FOLLOWUP)
LISTS: dict[str, type[OpenEnum]] = {
    "intake": IntakeLoop,
    "plans": PlansLoop,
    "attendance": AttendanceLoop,
    "followup": FollowupLoop,
}

Row = tuple[OpenEnum, str, tuple[str, ...]]
_STEPS = (
    "test_intake_deadlines.py::test_every_step_has_its_time",
    "test_intake_deadlines.py::test_doing_it_retracts_the_escalation",
)
_WITHHELD = "test_what_is_withheld_does_not_begin_and_somebody_looks_for_another_way"
_MOVES = (
    "test_plans_loops.py::test_done_in_time_nobody_else_is_bothered",
    "test_plans_loops.py::test_missed_it_goes_to_the_next_owner_and_is_taken_back_when_it_is_done",
)
_SCREENS = ("test_screens.py::test_every_step_has_an_owner_a_deadline_and_an_escalation",)
OPENED: list[Row] = [
    (
        IntakeLoop.REFERRAL_ACKNOWLEDGEMENT,
        "episode/inbound_referrals.py",
        (
            "test_intake_deadlines.py::test_a_referral_nobody_takes_on_is_escalated",
            "test_intake_deadlines.py::test_an_answer_retracts_what_was_escalated",
        ),
    ),
    (IntakeLoop.ASSESSMENT, "episode/inbound_referrals.py", _STEPS),
    (IntakeLoop.EMERGENCY_RESPONSE, "episode/assessments.py", _STEPS),
    (IntakeLoop.RECOMMENDATION, "episode/assessments.py", _STEPS),
    (IntakeLoop.PLACEMENT, "episode/assessments.py", _STEPS),
    (
        IntakeLoop.WAITLIST,
        "episode/waitlist.py",
        ("test_intake_waitlist.py::test_waiting_is_an_open_loop_that_escalates_and_is_retracted",),
    ),
    (IntakeLoop.ADMISSION, "episode/admissions.py", _STEPS),
    (IntakeLoop.ORIENTATION, "episode/admissions.py", _STEPS),
    (
        IntakeLoop.REFERRAL_CLOSURE,
        "episode/circumstances.py",
        (
            "test_intake_circumstances.py::test_somebody_closes_the_referral_of_who_does_not_come",
            "test_intake_circumstances.py::test_the_referral_of_who_died_goes_to_the_next_owner",
        ),
    ),
    (
        IntakeLoop.DOUBLE_ADMISSION,
        "episode/admissions.py",
        (
            "test_one_open_episode.py::test_two_that_claim_one_place_are_a_loop_until_one_is_settled",
        ),
    ),
    (
        IntakeLoop.OUTBOUND_REFERRAL,
        "episode/outbound_referrals.py",
        (
            *_STEPS,
            "test_intake_deadlines.py::test_a_referral_sent_out_is_a_loop_with_owners_of_its_own",
        ),
    ),
    (
        IntakeLoop.READMISSION,
        "episode/event_handlers.py",
        ("test_intake_deadlines.py::test_a_readmission_that_is_asked_for_is_waited_for",),
    ),
    (
        IntakeLoop.DISCLOSURE_REVIEW,
        "episode/deliveries.py",
        (
            "test_intake_disclosures.py::test_the_look_afterwards_closes_or_escalates",
            "test_intake_deliveries.py::test_what_is_made_after_its_consent_has_ended_is_looked_at",
        ),
    ),
    *(
        (
            IntakeLoop.DISCLOSURE_REPORT,
            place,
            ("test_intake_deliveries.py::test_what_nobody_reports_is_a_loop_until_it_is_reported",),
        )
        for place in ("episode/deliveries.py", "episode/outbound_referrals.py")
    ),
    (PlansLoop.TREATMENT_PLAN, "treatment_plan.py", _MOVES),
    (
        PlansLoop.TREATMENT_PLAN,
        "amendments.py",
        ("test_plans_amendments.py::test_signatures_that_nobody_gets_escalate_and_are_taken_back",),
    ),
    (PlansLoop.PLAN_REVIEW, "treatment_plan.py", _MOVES),
    (PlansLoop.CLINICAL_REVIEW, "reviews.py", _MOVES),
    (PlansLoop.LEVEL_CHANGE, "event_handlers.py", _MOVES),
    (PlansLoop.NEXT_APPOINTMENT, "level_changes.py", _MOVES),
    (PlansLoop.CONTINUED_SERVICE, "treatment_plan.py", _MOVES),
    (PlansLoop.PROGRAM_HOURS, "review_reasons.py", _MOVES),
    (PlansLoop.TRANSFER, "level_changes.py", _MOVES),
    (
        PlansLoop.TRANSFER,
        "transfers.py",
        (f"test_plans_moves.py::{_WITHHELD}",),
    ),
    (PlansLoop.AFTERCARE_PLAN, "aftercare.py", _MOVES),
    (PlansLoop.DISCHARGE, "tables.py", _MOVES),
    (PlansLoop.MISSING_FACT, "event_handlers.py", _MOVES),
    (
        AttendanceLoop.SEAT,
        "episode/seats.py",
        ("test_groups.py::test_an_offer_of_a_seat_that_is_not_there_is_somebodys_to_mend",),
    ),
    (
        AttendanceLoop.GROUP_SIZE,
        "groups/groups.py",
        (
            "test_groups.py::test_a_group_that_loses_its_people_is_none_and_somebody_has_to_say_what_it_is",
        ),
    ),
    (
        AttendanceLoop.ROLL_CALL,
        "groups/sessions.py",
        (
            "test_roll_call.py::test_a_roll_that_is_late_goes_up_step_by_step_until_nobody_waits_for_it",
        ),
    ),
    (
        AttendanceLoop.WALK_IN,
        "groups/roll.py",
        (
            "test_rosters.py::test_who_is_not_oriented_and_came_is_recorded_and_somebody_puts_it_right",
        ),
    ),
    (
        AttendanceLoop.LEADER,
        "groups/leaders.py",
        ("test_leaders.py::test_who_leads_two_at_one_time_is_replaced_or_it_goes_up",),
    ),
    (
        AttendanceLoop.SIGN_OFF,
        "groups/leaders.py",
        ("test_leaders.py::test_a_roll_that_nobody_signs_goes_up",),
    ),
    (
        AttendanceLoop.DOUBLE_BOOKING,
        "episode/double_bookings.py",
        ("test_overlaps.py::test_a_double_booking_is_settled_within_a_day_or_goes_up",),
    ),
    (
        AttendanceLoop.MAKE_UP,
        "episode/weeks.py",
        (
            "test_weeks.py::test_a_make_up_that_nobody_books_goes_to_the_supervisor_until_the_week_is_over",
        ),
    ),
    (AttendanceLoop.SPECIMEN, "screening/specimens.py", _SCREENS),
    (AttendanceLoop.SCREEN_RESULT, "screening/specimens.py", _SCREENS),
    (AttendanceLoop.SCREEN_INTERPRETATION, "screening/specimens.py", _SCREENS),
    (
        AttendanceLoop.SCREEN_RETEST,
        "screening/specimens.py",
        ("test_screens.py::test_a_dilute_specimen_is_repeated_within_48_hours",),
    ),
    (
        AttendanceLoop.SCREEN_RETEST,
        "screening/breath_tests.py",
        ("test_breath.py::test_a_retest_nobody_does_escalates_and_the_test_clears_it",),
    ),
    (
        AttendanceLoop.SCREEN_DUE,
        "screening/specimens.py",
        ("test_draw.py::test_beyond_the_longest_time_a_nurse_orders_and_a_specimen_ends_it",),
    ),
    (
        AttendanceLoop.SAFE_DEPARTURE,
        "screening/breath_tests.py",
        ("test_breath.py::test_whoever_is_positive_is_seen_home",),
    ),
    (
        AttendanceLoop.RETURN_AFTER_PAUSE,
        "episode/pauses.py",
        (
            "test_pauses.py::test_the_return_is_somebodys_and_the_first_session_after_the_pause_ends_it",
        ),
    ),
    (
        FollowupLoop.OUTREACH,
        "outreach/outreach.py",
        (
            "test_followup_outreach.py::test_a_tier_a_day_up_to_three",
            "test_followup_outreach.py::test_attending_ends_it_at_any_tier",
        ),
    ),
    (
        FollowupLoop.CHECK_IN,
        "aftercare/check_ins.py",
        (
            "test_followup_year.py::test_three_attempts_over_two_channels_or_it_goes_to_a_clinician",
            "test_followup_year.py::test_completed_after_an_escalation_takes_it_back",
        ),
    ),
    (
        FollowupLoop.RISK_RESPONSE,
        "aftercare/risks.py",
        (
            "test_followup_aftercare.py::test_goes_a_step_up_each_hour",
            "test_followup_aftercare.py::test_is_answered_once",
        ),
    ),
    (
        FollowupLoop.AFTERCARE_PLAN,
        "aftercare/aftercare.py",
        ("test_followup_year.py::test_a_weak_plan_is_somebodys_until_it_is_agreed",),
    ),
    (
        FollowupLoop.FIRST_APPOINTMENT,
        "aftercare/appointments.py",
        ("test_followup_year.py::test_the_first_appointment_is_asked_after",),
    ),
    (
        FollowupLoop.REENGAGEMENT,
        "outreach/reengagement.py",
        ("test_followup_reengagement.py::test_takes_back_what_was_escalated",),
    ),
    (
        FollowupLoop.LOST_CONTACT,
        "episode/contact.py",
        (
            "test_followup_outreach.py::test_thirty_days_without_contact",
            "test_followup_outreach.py::test_contact_reopens_and_the_count_begins_anew",
        ),
    ),
    (
        FollowupLoop.CIRCUMSTANCE,
        "circumstances.py",
        (
            "test_followup_circumstances.py::test_somebody_asks_whether_it_lasts",
            "test_followup_circumstances.py::test_whatever_answers_it_nobody_asks_any_more",
        ),
    ),
    (
        FollowupLoop.TIMELY_VISIT,
        "invariants.py",
        ("test_followup_measures.py::test_a_running_clock_has_an_owner_before_it_lapses",),
    ),
    (
        FollowupLoop.MISSING_FACT,
        "aftercare/aftercare.py",
        (
            "test_followup_aftercare.py::test_escalates_a_day_later_and_once_more",
            "test_followup_aftercare.py::test_the_admission_clears_it_and_activates",
        ),
    ),
]

NOBODY_WAITS: list[tuple[OpenEnum, str]] = [
    (
        IntakeLoop.MISSING_FACT,
        "intake mints the episode: nothing is said of one that it does not know",
    ),
    (AttendanceLoop.ADHERENCE_REVIEW, "a private clinical review, which plans owns"),
    (
        AttendanceLoop.MISSING_FACT,
        "what is heard before the admission is kept, and commands are answered not-yet-known",
    ),
]


@pytest.mark.parametrize(("service", "kinds"), LISTS.items(), ids=LISTS)
def test_every_kind_is_opened_somewhere_or_says_why_not(
    service: str, kinds: type[OpenEnum]
) -> None:
    opened = {kind for kind, *_ in OPENED if isinstance(kind, kinds)}
    never = {kind for kind, _ in NOBODY_WAITS if isinstance(kind, kinds)}
    assert opened | never == {kind for kind in kinds if kind.value != "unknown"}
    assert not opened & never


@pytest.mark.parametrize(
    ("kind", "module", "_tests"), OPENED, ids=[f"{kind}-{module}" for kind, module, _ in OPENED]
)
def test_the_place_names_it(kind: OpenEnum, module: str, _tests: tuple[str, ...]) -> None:
    assert _name(kind) in _source(f"services/{_service(kind)}/{module}")


def test_the_tables_cover_exactly_the_kinds_that_are_opened() -> None:
    assert {_name(kind) for table in TABLES for kind in table} == {_name(k) for k, *_ in OPENED}


NOT_A_DAY = {
    "PlansLoop.PLAN_REVIEW": 7,
    "PlansLoop.CONTINUED_SERVICE": 3,
    "PlansLoop.AFTERCARE_PLAN": 3,
    "FollowupLoop.LOST_CONTACT": 30,
    "FollowupLoop.CIRCUMSTANCE": 7,
}


def test_the_next_owner_has_a_day_unless_the_table_gives_more() -> None:
    again = {_name(kind): row.again for table in TABLES for kind, row in table.items()}
    assert again == {name: timedelta(days=NOT_A_DAY.get(name, 1)) for name in again}
    assert RISK_TO_LIFE.again == timedelta(hours=1)


@pytest.mark.parametrize(("kind", "why"), NOBODY_WAITS)
def test_what_nobody_waits_for_is_named_by_no_rule(kind: OpenEnum, why: str) -> None:
    assert why
    rules = (ROOT / "services" / _service(kind)).rglob("*.py")
    assert not [path.name for path in rules if _name(kind) in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    ("kind", "_module", "tests"), OPENED, ids=[f"{kind}-{module}" for kind, module, _ in OPENED]
)
def test_the_tests_that_show_it_exist(kind: OpenEnum, _module: str, tests: tuple[str, ...]) -> None:
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert name in _functions(f"tests/unit/{_service(kind)}/{file}"), test


def _service(kind: OpenEnum) -> str:
    return next(service for service, kinds in LISTS.items() if isinstance(kind, kinds))


def _name(kind: OpenEnum) -> str:
    return f"{type(kind).__name__}.{kind.name}"


@cache
def _source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def _functions(path: str) -> frozenset[str]:
    nodes = ast.walk(ast.parse(_source(path)))
    return frozenset(n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
