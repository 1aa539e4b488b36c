"""What the tests of plans have in common: the service's record, and the facts it hears."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from services.plans import (
    additional_services,
    aftercare,
    goals,
    graduation,
    level_changes,
    reviews,
    tables,
    transfers,
    treatment_plan,
)
from services.plans.app import SERVICE
from services.plans.episode_state import AskedTransfer, Deferral, Goal
from services.plans.level_changes import NewLevel, StepDownReason
from services.plans.tables import Contributor, GoalOwner
from shared.contracts import attendance, intake
from shared.contracts.codes import Dimension, LevelOfCare, Modality, PlansLoop
from shared.contracts.plans import (
    AncillaryKind,
    CoOccurringCategory,
    CriterionResult,
    Direction,
    DischargeKind,
    GoalUnit,
    PlannedService,
    ReviewBasis,
    ReviewDecision,
    ReviewOutcome,
)
from shared.runtime.core.work import Outcome
from tests.unit.support import EPISODE_ID, START, History, fact, uid

DAY = timedelta(days=1)
D4 = Dimension(edition="4", number=4)
D5 = Dimension(edition="4", number=5)
GOAL = Goal(
    goal_id=uid("goal"),
    dimension=D4,
    metric="support-meetings",
    unit=GoalUnit.PER_WEEK,
    baseline=0,
    target=3,
    due_on=START.date() + timedelta(days=60),
    owner=GoalOwner.PATIENT,
    contributors=(Contributor.PATIENT, Contributor.COUNSELOR),
)
SERVICES = (
    PlannedService(modality=Modality.GROUP, sessions_per_week=3, minutes_per_session=180),
    PlannedService(modality=Modality.INDIVIDUAL, sessions_per_week=1, minutes_per_session=60),
)
PLAN = treatment_plan.NewPlan(goals=(GOAL,), services=SERVICES)
MET = (CriterionResult(code="supports-verified", met=True),)
UNMET = (CriterionResult(code="supports-verified", met=False),)
LOWER = LevelOfCare(system="asam", edition="4", code="1.5")
SAME = LevelOfCare(system="asam", edition="4", code="2.1")
HIGHER = LevelOfCare(system="asam", edition="4", code="2.5")
RESIDENTIAL = LevelOfCare(system="asam", edition="4", code="3.5")
PARTNER, OTHER = "river-residential", "hill-residential"
BASIS = {
    ReviewDecision.CONTINUE: ReviewBasis.PROGRESSING,
    ReviewDecision.UP: ReviewBasis.NOT_PROGRESSING,
    ReviewDecision.DOWN: ReviewBasis.MET,
    ReviewDecision.TRANSFER: ReviewBasis.NOT_PROGRESSING,
    ReviewDecision.DISCHARGE: ReviewBasis.MET,
}
SETTLED = tuple(code for code in tables.AFTERCARE_NEEDED if code not in tables.AFTERCARE_BEGUN)


def admitted(at: datetime = START, **changes: Any) -> intake.PatientAdmitted:
    said = {
        "admitted_at": at,
        "time_zone": "America/Chicago",
        "level": SAME,
        "terms": None,
        "length_weeks": 16,
        **changes,
    }
    return fact(intake.PatientAdmitted, **said)


class Plans(History):
    """A plans record, with its commands."""

    def __init__(self, now: datetime = START) -> None:
        super().__init__(SERVICE.source, SERVICE.kinds["episode"], SERVICE.reactions, now=now)

    @property
    def open(self) -> list[str]:
        """The kinds of what is waited for."""
        return sorted(loop.kind for loop in self.state.loops.values())

    def deadline(self, kind: PlansLoop, loop_id: str = EPISODE_ID) -> datetime:
        loop = self.state.loop(kind, loop_id)
        assert loop is not None, kind
        return loop.deadline_at

    def draft(self, plan: treatment_plan.NewPlan = PLAN) -> Outcome:
        return self.command(lambda s, c: treatment_plan.draft(s, plan, c))

    def sign(self, *, by_patient: bool, plan_id: str | None = None) -> Outcome:
        key = plan_id or self.state.plan.plan_id
        return self.command(
            lambda s, c: treatment_plan.sign(s, key, by_patient=by_patient, cause=c)
        )

    def review(
        self,
        decision: ReviewDecision = ReviewDecision.CONTINUE,
        plan_id: str | None = None,
        basis: ReviewBasis | None = None,
        **more: Any,
    ) -> Outcome:
        key = plan_id or self.state.plan.plan_id
        new = treatment_plan.NewReview(basis=basis or BASIS[decision], decision=decision, **more)
        return self.command(lambda s, c: treatment_plan.review(s, key, new, c))

    def complete(
        self,
        review_id: str,
        outcome: ReviewOutcome = ReviewOutcome.INTENSIFY,
        drivers: tuple[Dimension, ...] | None = None,
    ) -> Outcome:
        return self.command(
            lambda s, c: reviews.complete(s, review_id, outcome, c, drivers=drivers)
        )

    def change_level(self, to_level: LevelOfCare = LOWER, **more: Any) -> Outcome:
        admission = self.state.admission
        found = Direction.DOWN
        if admission is not None and admission.level != to_level:
            found = tables.direction(admission.level, to_level)
        said: dict[str, Any] = {"although": StepDownReason.CLINICAL_JUDGEMENT, "direction": found}
        new = NewLevel(to_level=to_level, **{**said, **more})
        return self.command(lambda s, c: level_changes.change_level(s, new, c))

    def ask_transfer(self, **more: Any) -> str:
        """Ask for a hand-over; returns the id of the delivery that intake decides on."""
        said: dict[str, Any] = {
            "referral_id": uid("outbound"),
            "to_facility_id": PARTNER,
            "to_level": RESIDENTIAL,
            "handoff_at": self.now + DAY,
            "categories": (intake.InformationCategory.REFERRAL_STATUS,),
            "purpose": intake.ConsentPurpose.CARE_COORDINATION,
        }
        new = AskedTransfer(**{**said, **more})
        delivery_id: str = self.command(lambda s, c: transfers.ask(s, new, c)).answer["delivery_id"]
        return delivery_id

    def answer(self, delivery_id: str, *, allowed: bool = True) -> None:
        """What intake answers."""
        if allowed:
            self.hear(
                fact(intake.DisclosureAllowed, delivery_id=delivery_id, consent_id=uid("consent"))
            )
        else:
            self.hear(fact(intake.DisclosureWithheld, delivery_id=delivery_id))

    def transfer(self, **more: Any) -> None:
        """Ask for a hand-over, which intake allows."""
        self.answer(self.ask_transfer(**more))

    def first_contact(self, at: datetime | None = None) -> Outcome:
        when = at or self.now
        return self.command(lambda s, c: level_changes.first_contact(s, when, c))

    def graduate(self, criteria: tuple[CriterionResult, ...] = MET) -> Outcome:
        return self.command(lambda s, c: graduation.graduate(s, criteria, c))

    def discharge(self, kind: DischargeKind = DischargeKind.ADMINISTRATIVE) -> Outcome:
        return self.command(lambda s, c: graduation.discharge(s, kind, c))

    def measure(self, value: float = 3, goal_id: str = GOAL.goal_id) -> Outcome:
        return self.change_goal(goal_id, value=value)

    def change_goal(self, goal_id: str = GOAL.goal_id, **new: Any) -> Outcome:
        return self.command(lambda s, c: goals.change(s, goal_id, goals.Change(**new), c))

    def add_goal(self, goal: Goal, plan_id: str | None = None) -> Outcome:
        key = plan_id or self.state.plan.plan_id
        return self.command(lambda s, c: goals.add(s, key, goal, c))

    def name_relapse_prevention(self, *elements: str) -> Outcome:
        named = elements or tables.RELAPSE_PREVENTION
        key = self.state.plan.plan_id
        return self.command(lambda s, c: treatment_plan.name_relapse_prevention(s, key, named, c))

    def aftercare(
        self,
        elements: tuple[str, ...] = SETTLED,
        not_needed: tuple[str, ...] = (),
        first_appointment_at: datetime | None = START + 30 * DAY,
    ) -> Outcome:
        return self.command(
            lambda s, c: aftercare.write(s, elements, not_needed, first_appointment_at, c)
        )

    def identify_need(
        self, category: CoOccurringCategory = CoOccurringCategory.TRAUMA, *, enhanced: bool = True
    ) -> Outcome:
        return self.command(
            lambda s, c: additional_services.identify_need(s, category, enhanced=enhanced, cause=c)
        )

    def add_service(
        self, kind: AncillaryKind = AncillaryKind.PSYCHIATRY, *, on_site: bool = True
    ) -> Outcome:
        return self.command(
            lambda s, c: additional_services.add_service(s, kind, on_site=on_site, cause=c)
        )

    def ready(self) -> Plans:
        """Everything that the house rules look at before someone graduates."""
        self.measure()
        self.name_relapse_prevention()
        return self


def in_treatment(now: datetime = START, **changes: Any) -> Plans:
    history = Plans(now)
    history.hear(admitted(now, **changes))
    return history


def with_plan(now: datetime = START, **changes: Any) -> Plans:
    history = in_treatment(now, **changes)
    history.hear(fact(intake.OrientationCompleted))
    history.draft()
    history.sign(by_patient=True)
    history.sign(by_patient=False)
    return history


def referred(history: Plans, referral_id: str = uid("outbound"), to: str = PARTNER) -> Plans:
    history.hear(
        fact(
            intake.ReferralSent,
            referral_id=referral_id,
            target_facility_id=to,
            target_level=RESIDENTIAL,
            consent_id=uid("consent"),
        )
    )
    return history


def accepted(history: Plans, referral_id: str = uid("outbound")) -> Plans:
    history.hear(fact(intake.PartnerReferralAccepted, referral_id=referral_id))
    return history


def attended(session: str = "session", starts_at: datetime = START) -> attendance.SessionAttended:
    return fact(attendance.SessionAttended, session_id=uid(session), starts_at=starts_at)


def failed(screen: str = "screen", at: datetime = START) -> attendance.ScreenFailed:
    return fact(attendance.ScreenFailed, screen_id=uid(screen), collected_at=at)


def week(
    starts_on: date, *, met: bool, offered: int = 540, prorated: bool = False
) -> attendance.WeeklyHoursEvaluated:
    return fact(
        attendance.WeeklyHoursEvaluated,
        week_starts_on=starts_on,
        minutes_threshold=540,
        minutes_offered=offered,
        met=met,
        prorated=prorated,
    )


def short(starts_on: date, *, projected: bool = False) -> attendance.WeeklyHoursShortfallDetected:
    return fact(
        attendance.WeeklyHoursShortfallDetected, week_starts_on=starts_on, projected=projected
    )


def deferral(dimension: Dimension) -> Deferral:
    return Deferral(dimension=dimension, reason=tables.DeferralReason.STABILIZE_FIRST)
