"""What the tests of plans have in common: the service's record, and the facts it hears."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.plans import domain, reviews
from services.plans.app import SERVICE
from shared.contracts import attendance, intake
from shared.contracts.codes import Dimension, LevelOfCare, Modality
from shared.contracts.plans import (
    CriterionResult,
    Direction,
    DischargeKind,
    GoalUnit,
    PlannedGoal,
    PlannedService,
    ReviewBasis,
    ReviewDecision,
    ReviewOutcome,
)
from shared.runtime.record import Outcome
from tests.unit.support import START, History, fact, uid

DAY = timedelta(days=1)
GOALS = (
    PlannedGoal(
        goal_id=uid("goal"),
        dimension=Dimension(edition="4", number=4),
        metric="support-meetings",
        unit=GoalUnit.PER_WEEK,
        target=3,
        due_on=START.date(),
    ),
)
SERVICES = (PlannedService(modality=Modality.GROUP, sessions_per_week=3, minutes_each=180),)
MET = (CriterionResult(code="goals-met", met=True),)
UNMET = (*MET, CriterionResult(code="supports-verified", met=False))
LOWER = LevelOfCare(system="asam", edition="4", code="1.5")
SAME = LevelOfCare(system="asam", edition="4", code="2.1")


def admitted(at: datetime = START) -> intake.PatientAdmitted:
    return fact(intake.PatientAdmitted, admitted_at=at, time_zone="America/Chicago", level=SAME)


class Plans(History):
    """A plans record, with its commands."""

    def __init__(self, now: datetime = START) -> None:
        super().__init__(SERVICE.source, SERVICE.kinds["episode"], SERVICE.reactions, now=now)

    def draft(self) -> Outcome:
        return self.command(lambda s, c: domain.draft(s, GOALS, SERVICES, c))

    def sign(self, *, by_patient: bool, plan_id: str | None = None) -> Outcome:
        key = plan_id or self.state.plan.plan_id
        return self.command(lambda s, c: domain.sign(s, key, by_patient=by_patient, cause=c))

    def review(
        self, decision: ReviewDecision = ReviewDecision.CONTINUE, plan_id: str | None = None
    ) -> Outcome:
        key = plan_id or self.state.plan.plan_id
        return self.command(
            lambda s, c: domain.review(s, key, ReviewBasis.PROGRESSING, decision, c)
        )

    def complete(self, review_id: str) -> Outcome:
        return self.command(lambda s, c: reviews.complete(s, review_id, ReviewOutcome.AMEND, c))

    def change_level(self, to_level: LevelOfCare = LOWER) -> Outcome:
        return self.command(lambda s, c: domain.change_level(s, to_level, Direction.DOWN, c))

    def graduate(self, criteria: tuple[CriterionResult, ...] = MET) -> Outcome:
        return self.command(lambda s, c: domain.graduate(s, criteria, c))

    def discharge(self, kind: DischargeKind = DischargeKind.ADMINISTRATIVE) -> Outcome:
        return self.command(lambda s, c: domain.discharge(s, kind, c))


def in_treatment(now: datetime = START) -> Plans:
    history = Plans(now)
    history.hear(admitted(now))
    return history


def with_plan(now: datetime = START) -> Plans:
    history = in_treatment(now)
    history.hear(fact(intake.OrientationCompleted))
    history.draft()
    history.sign(by_patient=True)
    history.sign(by_patient=False)
    return history


def attended() -> attendance.SessionAttended:
    return fact(attendance.SessionAttended)
