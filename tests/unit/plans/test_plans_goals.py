"""Goals: SMART, the patient's own, for every driver, measured until they are reached."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.plans import tables
from services.plans.episode_state import Goal
from services.plans.tables import Contributor, RecoveryStage
from shared.contracts import intake, plans
from shared.contracts.codes import Modality, PlansLoop
from shared.contracts.plans import PlannedService, ReviewBasis, WithdrawnReason
from shared.contracts.terms import ProgramTerms
from shared.errors import Refused, Unknown
from tests.unit.plans.world import (
    D4,
    D5,
    GOAL,
    PLAN,
    SERVICES,
    Plans,
    deferral,
    in_treatment,
    with_plan,
)
from tests.unit.support import START, fact, uid


def goal(**changes: Any) -> Goal:
    return GOAL.replace(**changes)


def refused(history: Plans, goals: tuple[Goal, ...]) -> str:
    with pytest.raises(Refused) as error:
        history.draft(PLAN.replace(goals=goals))
    return error.value.code


@pytest.mark.fact("1.10", "2.5", "4.4")
class TestSmart:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"contributors": (Contributor.CLINICIAN,)}, "patient-contribution-missing"),
            (
                {"contributors": (Contributor.COURT, Contributor.FAMILY)},
                "patient-contribution-missing",
            ),
            ({"baseline": 3, "target": 3}, "goal-already-reached"),
            ({"due_on": START.date() - timedelta(days=1)}, "goal-due-in-the-past"),
            ({"therapies": ("crystals",)}, "therapy-not-listed"),
            ({"interventions": ("shouting",)}, "intervention-not-listed"),
        ],
    )
    def test_a_goal_lacks_something(self, changes: dict[str, Any], code: str) -> None:
        assert refused(in_treatment(), (GOAL, goal(goal_id=uid("second"), **changes))) == code
        history = with_plan()
        with pytest.raises(Refused) as error:
            history.add_goal(goal(goal_id=uid("second"), **changes))
        assert error.value.code == code

    @pytest.mark.fact("2.1", "2.2", "3.9", "3.6")
    @pytest.mark.parametrize("therapy", sorted(tables.THERAPIES))
    def test_therapies_and_interventions_by_need(self, therapy: str) -> None:
        history = in_treatment()
        chosen = goal(therapies=(therapy,), interventions=("individual-counseling", "mindfulness"))
        stage = RecoveryStage.PREPARATION
        history.draft(PLAN.replace(goals=(chosen,), stage=stage))
        assert history.state.plan.goals[0].therapies == (therapy,)
        assert history.state.plan.stage is stage

    @pytest.mark.fact("3.6", "3.10")
    def test_the_stage_of_recovery_is_assessed_at_each_review(self) -> None:
        history = with_plan()
        history.review(stage=RecoveryStage.ACTION)
        assert history.state.plan.stage is RecoveryStage.ACTION
        history.review()
        assert history.state.plan.stage is RecoveryStage.ACTION


class TestBeforeSigning:
    def drafted(self, **changes: Any) -> Plans:
        history = Plans()
        history.hear(fact(intake.LevelRecommended, drivers=(D4, D5)))
        history.hear_all(in_facts(**changes))
        return history

    def test_every_driver_has_a_goal_or_a_reason(self) -> None:
        history = self.drafted()
        history.draft()
        with pytest.raises(Refused) as error:
            history.sign(by_patient=True)
        assert error.value.code == "driver-without-goal"
        history.draft(PLAN.replace(deferred=(deferral(D5),)))
        history.sign(by_patient=True)

    def test_a_goal_may_be_added_to_the_draft(self) -> None:
        history = self.drafted()
        history.draft()
        history.add_goal(goal(goal_id=uid("second"), dimension=D5))
        history.sign(by_patient=True)
        history.add_goal(goal(goal_id=uid("third"), dimension=D5))
        assert history.state.plan.patient_signed_at is None, "another plan than was signed"
        assert history.of(plans.GoalAdded) == []
        history.sign(by_patient=True)
        history.sign(by_patient=False)
        [activated] = history.of(plans.TreatmentPlanActivated)
        assert len(activated.goals) == 3

    @pytest.mark.fact("1.7", "3.4")
    @pytest.mark.parametrize(
        ("every", "per_week", "enough"),
        [(None, 0, True), (7, 0, False), (7, 1, True), (4, 1, False), (4, 2, True), (3, 2, False)],
    )
    def test_individual_sessions_as_often_as_the_program_says(
        self, every: int | None, per_week: int, enough: bool
    ) -> None:
        history = in_treatment(terms=ProgramTerms(individual_every_days=every))
        history.hear(fact(intake.OrientationCompleted))
        alone = PlannedService(
            modality=Modality.INDIVIDUAL, sessions_per_week=max(1, per_week), minutes_per_session=50
        )
        services = (SERVICES[0], *([alone] if per_week else []))
        history.draft(PLAN.replace(services=services))
        if enough:
            history.sign(by_patient=True)
            return
        with pytest.raises(Refused) as error:
            history.sign(by_patient=True)
        assert error.value.code == "individual-sessions-missing"


def in_facts(**changes: Any) -> list[Any]:
    from tests.unit.plans.world import admitted  # noqa: PLC0415 - keeps the list above short

    return [admitted(**changes), fact(intake.OrientationCompleted)]


class TestProgress:
    @pytest.mark.parametrize(
        ("baseline", "target", "value", "reached"),
        [
            (0, 3, 2.9, False),
            (0, 3, 3, True),
            (0, 3, 4, True),
            (10, 2, 3, False),
            (10, 2, 2, True),
            (10, 2, 0, True),
            (-5, 5, 4, False),
            (5, -5, -5, True),
        ],
    )
    def test_reached_in_its_own_direction(
        self, baseline: float, target: float, value: float, reached: bool
    ) -> None:
        assert goal(baseline=baseline, target=target).reached(value) is reached

    @given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1e6))
    def test_further_is_never_worse(
        self, baseline: float, target: float, value: float, more: float
    ) -> None:
        one = goal(baseline=baseline, target=target)
        further = value + more if target > baseline else value - more
        assert one.reached(further) or not one.reached(value)
        assert one.reached(target)

    def test_measured_reached_lost_and_reached_again(self) -> None:
        history = with_plan()
        for value in (1, 3, 4, 2, 3):
            history.measure(value)
        assert [event.value for event in history.of(plans.GoalUpdated)] == [1, 3, 4, 2, 3]
        said = [event.achieved for event in history.of(plans.GoalUpdated)]
        assert said == [False, True, True, False, True], "whoever hears of it follows"
        assert [event.value for event in history.of(plans.GoalAchieved)] == [3, 3]
        assert history.state.plan.goals[0].achieved

    def test_a_harder_target_opens_it_again(self) -> None:
        history = with_plan()
        history.measure(3)
        history.change_goal(target=5)
        assert not history.state.plan.goals[0].achieved

    def test_withdrawn_for_a_reason_and_then_left_alone(self) -> None:
        history = with_plan()
        history.change_goal(withdrawn=WithdrawnReason.PATIENT_CHOICE)
        [withdrawn] = history.of(plans.GoalWithdrawn)
        assert withdrawn.reason is WithdrawnReason.PATIENT_CHOICE
        assert history.of(plans.GoalUpdated) == [], "it is no progress"
        with pytest.raises(Refused) as error:
            history.measure()
        assert error.value.code == "goal-withdrawn"

    def test_unknown(self) -> None:
        for history in (in_treatment(), with_plan()):
            with pytest.raises(Unknown):
                history.measure(1, uid("other"))

    def test_added_while_the_plan_runs(self) -> None:
        history = with_plan()
        history.add_goal(goal(goal_id=uid("second")))
        [added] = history.of(plans.GoalAdded)
        assert added.goal == history.state.plan.goals[-1].published()
        assert added.goal.goal_id == uid("second")

    def test_what_was_measured_can_be_understood_from_the_events_alone(self) -> None:
        history = with_plan()
        history.measure(1)
        history.change_goal(target=5)
        measured, amended = history.of(plans.GoalUpdated)
        assert (measured.goal, measured.value) == (None, 1)
        assert (amended.goal.target, amended.value) == (5, 1)
        assert amended.goal == history.state.plan.goals[0].published()

    def test_no_more_than_fifty(self) -> None:
        many = tuple(goal(goal_id=uid(str(n))) for n in range(50))
        history = in_treatment()
        history.draft(PLAN.replace(goals=many))
        with pytest.raises(Refused) as error:
            history.add_goal(GOAL)
        assert error.value.code == "too-many-goals"

    @pytest.mark.parametrize("what", ["add_goal", "change_goal", "add_service", "review"])
    def test_a_change_of_the_plan_answers_the_call_for_one(self, what: str) -> None:
        history = with_plan()
        history.review(basis=ReviewBasis.CAPABLE)
        assert history.open == [PlansLoop.CONTINUED_SERVICE]
        history.measure(1)
        assert history.open == [PlansLoop.CONTINUED_SERVICE], "measuring changes nothing"
        match what:
            case "add_goal":
                history.add_goal(goal(goal_id=uid("second")))
            case "change_goal":
                history.change_goal(target=2)
            case "add_service":
                history.add_service()
            case _:
                history.review()
        assert history.open == []
