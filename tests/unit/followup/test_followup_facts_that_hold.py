"""What is shown of weeks, goals and sessions follows from the facts that hold: nothing is only ever set."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import AttendanceStatus
from shared.contracts.codes import Modality
from tests.unit.followup.world import Followup, in_program
from tests.unit.support import START, fact, uid

MONDAY = date(2026, 3, 2)
WEEK = timedelta(days=7)


def foreseen(minutes: int = 120, monday: date = MONDAY) -> attendance.WeeklyHoursShortfallDetected:
    return fact(
        attendance.WeeklyHoursShortfallDetected,
        week_starts_on=monday,
        minutes_short=minutes,
        projected=True,
    )


def evaluated(credited: int, monday: date = MONDAY) -> attendance.WeeklyHoursEvaluated:
    return fact(
        attendance.WeeklyHoursEvaluated,
        week_starts_on=monday,
        minutes_threshold=540,
        minutes_offered=540,
        minutes_credited=credited,
        met=credited >= 540,
    )


@pytest.mark.fault("F51")
def test_a_week_that_was_made_up_is_short_no_more() -> None:
    history = in_program()
    history.hear(foreseen())
    assert history.state.hours_short == {
        "week_starts_on": "2026-03-02",
        "minutes_short": 120,
        "projected": True,
    }
    history.hear(evaluated(540))
    assert history.state.hours_short == {}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 18).map(lambda n: n * 30)), max_size=12)
)
def test_the_latest_week_that_is_short_by_its_latest_evaluation(
    said: list[tuple[int, int]],
) -> None:
    history = in_program()
    holds: dict[date, int] = {}
    for number, credited in said:
        monday = MONDAY + number * WEEK
        history.hear(evaluated(credited, monday))
        holds[monday] = 540 - credited
    short = {monday: minutes for monday, minutes in holds.items() if minutes}
    shown = history.state.hours_short
    if not short:
        assert shown == {}
        return
    latest = max(short)
    assert shown == {
        "week_starts_on": latest.isoformat(),
        "minutes_short": short[latest],
        "projected": False,
    }


def test_a_week_in_which_less_was_offered_is_short_of_what_was_offered() -> None:
    history = in_program()
    history.hear(evaluated(360).model_copy(update={"minutes_offered": 360}))
    assert history.state.hours_short == {}


@pytest.mark.fault("F51")
def test_a_goal_that_is_lost_again_is_open_again() -> None:
    history = in_program()
    goal = uid("goal")
    history.hear(fact(plans.GoalUpdated, goal_id=goal, achieved=True))
    history.hear(fact(plans.GoalAchieved, goal_id=goal))
    assert history.state.goals == {goal: True}
    history.hear(fact(plans.GoalUpdated, goal_id=goal, achieved=False))
    assert history.state.goals == {goal: False}


@pytest.mark.fault("F51")
@pytest.mark.parametrize("modality", [Modality.WELLNESS, Modality.GROUP])
@pytest.mark.parametrize("first", ["attended", "missed"])
def test_a_corrected_session_is_treatment_only_where_its_kind_is(
    modality: Modality, first: str
) -> None:
    history = in_program()
    told = {"session_id": uid("s"), "starts_at": START, "modality": modality}
    if first == "attended":
        history.hear(fact(attendance.SessionAttended, **told))
    else:
        history.hear(fact(attendance.SessionMissed, absence=attendance.Absence.NO_SHOW, **told))
    for after in (AttendanceStatus.NO_SHOW, AttendanceStatus.ATTENDED):
        history.hear(fact(attendance.AttendanceCorrected, session_id=uid("s"), status_after=after))
        present = after is AttendanceStatus.ATTENDED
        treated = present and modality is not Modality.WELLNESS
        assert history.state.sessions[uid("s")].service is treated


def test_with_the_admission_goes_what_the_treatment_had_shown() -> None:
    history: Followup = in_program()
    history.hear_all(
        [
            foreseen(),
            fact(plans.GoalAchieved, goal_id=uid("goal")),
            fact(plans.ClinicalReviewRequested, review_id=uid("review")),
            fact(plans.TreatmentPlanReviewDue),
            fact(intake.AdmissionUndone),
        ]
    )
    state = history.state
    assert (state.hours_short, state.goals, state.reviews, state.plan_review) == ({}, {}, {}, {})
