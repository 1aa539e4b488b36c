"""The treatment plan from draft to graduation, and its deadlines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.plans import additional_services
from services.plans.reactions import DEADLINES
from services.plans.tables import LOOPS
from shared.contracts import intake, plans
from shared.contracts.codes import ClearedReason, Dimension, PlansLoop
from shared.contracts.plans import DischargeKind, ReviewDecision
from shared.errors import Invalid, NotYetKnown, Refused, Unknown
from tests.unit.plans.world import (
    BASIS,
    DAY,
    LOWER,
    SAME,
    UNMET,
    Plans,
    admitted,
    attended,
    in_treatment,
    with_plan,
)
from tests.unit.support import START, cause, fact, uid

CHICAGO = ZoneInfo("America/Chicago")


def refusal(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def escalated(history: Plans) -> list[int]:
    return [event.step for event in history.of(plans.LoopEscalated)]


class TestAdmission:
    def test_aftercare_is_drafted_from_the_first_day(self) -> None:
        history = in_treatment()
        [drafted] = history.of(plans.AftercarePlanDrafted)
        assert drafted.aftercare_plan_id == history.state.aftercare_plan_id
        assert drafted.version == 1
        assert "crisis-contacts" in drafted.elements

    def test_the_drivers_are_kept_for_the_exit(self) -> None:
        drivers = (Dimension(edition="4", number=4), Dimension(edition="4", number=5))
        history = Plans()
        history.hear(fact(intake.LevelRecommended, drivers=drivers))
        history.hear(admitted())
        history.change_level()
        assert history.of(plans.LevelOfCareChangeRecommended)[0].drivers == drivers


class TestPlanDue:
    @pytest.mark.parametrize(
        ("days", "steps"),
        [(6.9, []), (7, [1]), (7.9, [1]), (8, [1, 2]), (9, [1, 2, 3]), (60, [1, 2, 3])],
    )
    def test_after_seven_days_a_step_a_day(self, days: float, steps: list[int]) -> None:
        history = in_treatment().after(days=days)
        assert escalated(history) == steps
        roles = [event.owner_role for event in history.of(plans.LoopEscalated)]
        assert roles == list(LOOPS[PlansLoop.TREATMENT_PLAN].owners[1 : len(steps) + 1])

    def test_each_step_says_when_the_next_one_comes(self) -> None:
        first, second, _ = in_treatment().after(days=30).of(plans.LoopEscalated)
        assert first.deadline_at == START + 8 * DAY
        assert second.deadline_at == START + 9 * DAY

    @pytest.mark.parametrize(("sessions", "steps"), [(1, []), (2, [1]), (3, [1])])
    def test_a_day_after_the_second_session(self, sessions: int, steps: list[int]) -> None:
        history = in_treatment().after(days=1)
        for number in range(sessions):
            history.hear(attended(f"session {number}"))
        assert escalated(history.after(days=1)) == steps

    def test_sessions_heard_before_the_admission_count_as_well(self) -> None:
        history = Plans(START + DAY)
        history.hear_all([attended("a"), attended("b"), admitted(START)])
        assert history.deadline(PlansLoop.TREATMENT_PLAN) == START + 2 * DAY

    @pytest.mark.parametrize("days", [6.5, 7.5])
    def test_the_second_session_never_postpones_it(self, days: float) -> None:
        history = in_treatment().after(days=days)
        before = history.deadline(PlansLoop.TREATMENT_PLAN)
        history.hear_all([attended("a"), attended("b")])
        assert history.deadline(PlansLoop.TREATMENT_PLAN) == before

    def test_a_plan_in_force_clears_it(self) -> None:
        history = in_treatment().after(days=8)
        history.hear(fact(intake.OrientationCompleted))
        history.draft()
        history.sign(by_patient=True)
        assert history.of(plans.EscalationCleared) == []
        history.sign(by_patient=False)
        [cleared] = history.of(plans.EscalationCleared)
        assert (cleared.loop, cleared.step_reached) == (PlansLoop.TREATMENT_PLAN, 2)
        assert cleared.reason is ClearedReason.RESOLVED
        assert {event.loop_id for event in history.of(plans.LoopEscalated)} == {cleared.loop_id}
        assert escalated(history.after(days=20)) == [1, 2]

    def test_a_discharge_clears_it(self) -> None:
        history = in_treatment().after(days=8)
        history.discharge()
        [cleared] = history.of(plans.EscalationCleared)
        assert (cleared.loop, cleared.step_reached) == (PlansLoop.TREATMENT_PLAN, 2)
        assert cleared.reason is ClearedReason.EPISODE_CLOSED
        assert escalated(history.after(days=20)) == [1, 2]

    def test_an_unknown_deadline_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="unknown deadline"):
            DEADLINES.decide(in_treatment().state, "nonsense:1", cause())


class TestSignatures:
    @pytest.mark.parametrize("patient_first", [True, False])
    def test_in_force_when_both_have_signed(self, patient_first: bool) -> None:
        history = in_treatment()
        history.hear(fact(intake.OrientationCompleted))
        history.draft()
        history.sign(by_patient=patient_first)
        assert history.of(plans.TreatmentPlanActivated) == []
        history.after(hours=1).sign(by_patient=not patient_first)
        [activated] = history.of(plans.TreatmentPlanActivated)
        signed = (activated.patient_signed_at, activated.clinician_signed_at)
        assert sorted(signed) == [START, START + timedelta(hours=1)]
        assert (signed[0] < signed[1]) is patient_first
        assert activated.next_review_on == date(2026, 4, 1)
        assert activated.plan_id == history.state.plan.plan_id
        assert PlansLoop.TREATMENT_PLAN not in history.open

    def test_not_before_orientation(self) -> None:
        history = in_treatment()
        history.draft()
        with pytest.raises(Refused) as refused:
            history.sign(by_patient=True)
        assert refusal(refused) == "not-oriented"

    def test_not_twice(self) -> None:
        history = with_plan()
        with pytest.raises(Refused) as refused:
            history.sign(by_patient=True)
        assert refusal(refused) == "plan-active"

    def test_a_new_draft_needs_new_signatures(self) -> None:
        history = in_treatment()
        history.hear(fact(intake.OrientationCompleted))
        history.draft()
        history.sign(by_patient=True)
        history.draft()
        history.sign(by_patient=False)
        assert history.of(plans.TreatmentPlanActivated) == []

    def test_no_draft_over_a_plan_in_force(self) -> None:
        history = with_plan()
        with pytest.raises(Refused) as refused:
            history.draft()
        assert refusal(refused) == "plan-active"


class TestReview:
    def test_due_at_nine_on_its_day_where_the_facility_is(self) -> None:
        history = with_plan()
        nine = datetime(2026, 4, 1, 9, 0, tzinfo=CHICAGO)
        assert history.at(nine - timedelta(seconds=1)).of(plans.TreatmentPlanReviewDue) == []
        history.at(nine)
        [due] = history.of(plans.TreatmentPlanReviewDue)
        assert due.due_on == date(2026, 4, 1)

    def test_deadlines_are_kept_in_utc(self) -> None:
        """An id that follows from a deadline must be the same before and after the store."""
        deadlines = with_plan().state.deadlines.values()
        assert {at.tzinfo for at in deadlines} == {UTC}

    def test_overdue_after_three_days_and_then_weekly(self) -> None:
        history = with_plan().at(datetime(2026, 4, 20, 12, 0, tzinfo=CHICAGO))
        overdue = history.of(plans.TreatmentPlanReviewOverdue)
        assert [event.days_overdue for event in overdue] == [3, 10, 17]
        assert {event.due_on for event in overdue} == {date(2026, 4, 1)}

    def test_a_review_makes_the_next_version_and_the_next_date(self) -> None:
        history = with_plan().at(datetime(2026, 4, 5, 12, 0, tzinfo=UTC))
        history.review()
        [reviewed] = history.of(plans.TreatmentPlanReviewed)
        assert (reviewed.version, reviewed.next_review_on) == (2, date(2026, 5, 5))
        assert [name for name in history.state.deadlines if name.startswith("review-due")] == [
            "review-due:2026-05-05"
        ]
        assert history.open == []
        said = len(history.said)
        history.at(datetime(2026, 5, 4, tzinfo=UTC))
        assert len(history.said) == said

    @pytest.mark.parametrize("decision", list(BASIS))
    def test_no_next_date_when_the_episode_is_to_end(self, decision: ReviewDecision) -> None:
        history = with_plan()
        history.review(decision)
        ends = decision in (ReviewDecision.DISCHARGE, ReviewDecision.TRANSFER)
        assert (history.of(plans.TreatmentPlanReviewed)[0].next_review_on is None) is ends
        armed = any(name.startswith("review-due") for name in history.state.deadlines)
        assert armed is not ends

    def test_only_of_a_plan_in_force(self) -> None:
        history = in_treatment()
        history.draft()
        with pytest.raises(Refused) as refused:
            history.review()
        assert refusal(refused) == "plan-not-active"


class TestLevel:
    def test_changes(self) -> None:
        history = with_plan()
        history.change_level()
        [changed] = history.of(plans.LevelOfCareChanged)
        assert (changed.from_level, changed.to_level) == (SAME, LOWER)
        assert changed.effective_at == history.now
        with pytest.raises(Invalid) as refused:
            history.change_level()
        assert refusal(refused) == "level-unchanged"

    def test_expected_analytes_are_replaced_as_a_whole(self) -> None:
        [old, new] = (
            plans.ExpectedAnalyte(code=code, from_on=START.date(), verified=True)
            for code in ("methadone", "buprenorphine")
        )
        history = with_plan()
        for analyte in (old, new):
            history.command(
                lambda s, c, a=analyte: additional_services.set_expected_analytes(s, (a,), c)
            )
        assert history.state.expected == (new,)
        assert history.of(plans.ExpectedAnalytesUpdated)[-1].analytes == (new,)


class TestEnd:
    def test_graduation(self) -> None:
        history = with_plan().after(days=100)
        history.review()
        history.ready().graduate()
        assert history.names[-3:] == [
            "graduation-approved",
            "program-graduated",
            "episode-discharged",
        ]
        [graduated] = history.of(plans.ProgramGraduated)
        assert graduated.aftercare_plan_id == history.state.aftercare_plan_id
        [left] = history.of(plans.EpisodeDischarged)
        assert (left.kind, left.discharged_at) == (DischargeKind.GRADUATED, history.now)
        assert left.final_level == SAME
        assert history.state.deadlines == {}

    @pytest.mark.parametrize(
        "kind",
        [k for k in DischargeKind if k not in (DischargeKind.GRADUATED, DischargeKind.TRANSFERRED)],
    )
    def test_discharge_ends_what_waits(self, kind: DischargeKind) -> None:
        history = with_plan().after(days=31)
        history.discharge(kind)
        said = len(history.said)
        assert history.names[-1] == "episode-discharged"
        assert len(history.after(days=100).said) == said

    def test_nobody_graduates_past_the_criteria(self) -> None:
        history = with_plan()
        with pytest.raises(Refused) as refused:
            history.discharge(DischargeKind.GRADUATED)
        assert refusal(refused) == "graduation-needs-criteria"

    @pytest.mark.parametrize("criteria", [UNMET, ()])
    def test_every_criterion_must_be_met(self, criteria: tuple[plans.CriterionResult, ...]) -> None:
        with pytest.raises(Refused) as refused:
            with_plan().ready().graduate(criteria)
        assert refusal(refused) == "criteria-not-met"

    def test_not_without_a_plan_in_force(self) -> None:
        history = in_treatment()
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                history.graduate()
            assert refusal(refused) == "plan-not-active"
            history.draft()

    def test_the_level_at_the_end_is_the_one_changed_to(self) -> None:
        history = with_plan()
        history.change_level()
        history.discharge()
        assert history.of(plans.EpisodeDischarged)[0].final_level == LOWER


COMMANDS = ["draft", "change_level", "graduate", "discharge"]


class TestIllegal:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_before_the_admission_is_heard(self, name: str) -> None:
        with pytest.raises(NotYetKnown):
            getattr(Plans(), name)()

    @pytest.mark.parametrize("name", [*COMMANDS, "review"])
    def test_after_the_episode_ended(self, name: str) -> None:
        history = with_plan()
        history.discharge()
        with pytest.raises(Refused) as refused:
            getattr(history, name)()
        assert refusal(refused) == "episode-closed"

    def test_of_another_plan(self) -> None:
        history = with_plan()
        with pytest.raises(Unknown):
            history.review(plan_id=uid("other"))
        with pytest.raises(Unknown):
            history.sign(by_patient=True, plan_id=uid("other"))
