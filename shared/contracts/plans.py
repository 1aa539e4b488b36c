"""What plans says: treatment plan, goals, reviews, level changes, transfer, graduation, discharge.

Code lists and values that only plans uses stand first, then the events in the order of the path.
"""

from __future__ import annotations

from pydantic import Field
from pydantic.config import JsonDict

from .codes import (
    ActorId,
    AftercarePlanId,
    AnalyteCode,
    Clearance,
    ConsentId,
    Count,
    CriterionCode,
    Day,
    DeliveryId,
    Dimension,
    Drivers,
    ElementCode,
    Escalation,
    EventId,
    FacilityId,
    GoalId,
    Level,
    MetricCode,
    MistakeReason,
    Modality,
    PlanId,
    PlansLoop,
    Quantity,
    ReviewId,
    SessionMinutes,
    Timestamp,
    Value,
)
from .event import Event, OpenEnum
from .intake import ConsentPurpose, InformationCategory

_GOAL_ID = "9f0c4b38-12de-5c36-8f4f-4f0f3b8b6d01"
_GOAL: JsonDict = {
    "goal_id": _GOAL_ID,
    "dimension": {"edition": "4", "number": 4},
    "metric": "support-meetings",
    "unit": "per_week",
    "target": 3.0,
    "due_on": "2026-04-15",
}


class GoalUnit(OpenEnum):
    """The unit of a goal's metric."""

    PER_WEEK = "per_week"
    PER_MONTH = "per_month"
    DAYS = "days"
    PERCENT = "percent"
    SCORE = "score"
    DONE = "done"
    UNKNOWN = "unknown"


class ReviewBasis(OpenEnum):
    """What a plan review found."""

    PROGRESSING = "progressing"
    CAPABLE = "capable"
    NEW_PROBLEM = "new_problem"
    MET = "met"
    NOT_PROGRESSING = "not_progressing"
    UNKNOWN = "unknown"


class ReviewDecision(OpenEnum):
    """What a plan review decided."""

    CONTINUE = "continue"
    UP = "up"
    DOWN = "down"
    TRANSFER = "transfer"
    DISCHARGE = "discharge"
    UNKNOWN = "unknown"


class CoOccurringCategory(OpenEnum):
    """The area of a co-occurring need."""

    MOOD = "mood"
    ANXIETY = "anxiety"
    TRAUMA = "trauma"
    PSYCHOSIS = "psychosis"
    ATTENTION = "attention"
    EATING = "eating"
    COGNITIVE = "cognitive"
    MEDICAL = "medical"
    UNKNOWN = "unknown"


class AncillaryKind(OpenEnum):
    """A service offered alongside treatment."""

    PSYCHIATRY = "psychiatry"
    MEDICATION = "medication"
    NUTRITION = "nutrition"
    FITNESS = "fitness"
    YOGA = "yoga"
    MEDITATION = "meditation"
    ACUPUNCTURE = "acupuncture"
    ART_THERAPY = "art_therapy"
    VOCATIONAL = "vocational"
    HOUSING = "housing"
    WHOLE_HEALTH = "whole_health"
    UNKNOWN = "unknown"


class ReviewTrigger(OpenEnum):
    """What asked for a clinical review."""

    SCREEN = "screen"
    VALIDITY = "validity"
    REFUSAL = "refusal"
    ABSENCE = "absence"
    HOURS = "hours"
    RISK = "risk"
    RETURN_TO_USE = "return_to_use"
    ADHERENCE = "adherence"
    DISCHARGE_UNDONE = "discharge_undone"
    EPISODE_RESTORED = "episode_restored"
    UNKNOWN = "unknown"


class ReviewOutcome(OpenEnum):
    """What a clinical review led to."""

    NONE = "none"
    AMEND = "amend"
    INTENSIFY = "intensify"
    DEFINITIVE_TEST = "definitive_test"
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Direction(OpenEnum):
    """Where a change of level leads."""

    UP = "up"
    DOWN = "down"
    LATERAL = "lateral"
    UNKNOWN = "unknown"


class DischargeKind(OpenEnum):
    """How an episode ended."""

    GRADUATED = "graduated"
    TRANSFERRED = "transferred"
    AGAINST_ADVICE = "against_advice"
    ADMINISTRATIVE = "administrative"
    LOST_CONTACT = "lost_contact"
    INCARCERATED = "incarcerated"
    DECEASED = "deceased"
    UNKNOWN = "unknown"


class WithdrawnReason(OpenEnum):
    """Why a goal is no longer pursued."""

    PATIENT_CHOICE = "patient_choice"
    NO_LONGER_RELEVANT = "no_longer_relevant"
    REPLACED = "replaced"
    UNKNOWN = "unknown"


class PlannedGoal(Value):
    """A goal of the plan, as far as others need it. Its wording stays with plans."""

    goal_id: GoalId
    """The goal."""
    dimension: Dimension = Field(examples=[{"edition": "4", "number": 4}])
    """The dimension it works on."""
    metric: MetricCode = Field(examples=["support-meetings"])
    """What is measured."""
    unit: GoalUnit = Field(examples=["per_week"])
    """The unit of the target."""
    target: Quantity
    """The value that counts as achieved."""
    due_on: Day
    """The day by which it is to be achieved."""


class PlannedService(Value):
    """A service that the plan prescribes."""

    modality: Modality = Field(examples=["group"])
    """The kind of service."""
    sessions_per_week: int = Field(ge=1, le=21, examples=[3])
    """How often a week."""
    minutes_each: SessionMinutes
    """Minutes of one session."""


class ExpectedAnalyte(Value):
    """A substance that a screen is expected to show, because it is prescribed."""

    code: AnalyteCode
    """The analyte."""
    from_on: Day
    """The first day it is expected."""
    until_on: Day | None = Field(default=None, examples=["2026-09-30"])
    """The last day it is expected; absent while the prescription runs."""
    verified: bool = Field(examples=[True])
    """Whether the prescription was checked with the prescriber."""
    companion_of: AnalyteCode | None = Field(default=None, examples=["methadone"])
    """The prescribed substance that the body turns into this one: it may show, and need not."""


class CriterionResult(Value):
    """One graduation criterion."""

    code: CriterionCode = Field(examples=["goals-met"])
    """The criterion."""
    met: bool = Field(examples=[True])
    """Whether it is met."""


class PlansEvent(Event, source="care.plans"):
    """A fact that plans publishes."""


class TreatmentPlanActivated(PlansEvent, consumers=("attendance", "followup")):
    """The treatment plan is signed by both and in force.

    Attendance schedules the services, followup knows the goals. Plan: draft > active.
    """

    plan_id: PlanId
    """The plan."""
    version: int = Field(ge=1, le=1000, examples=[1])
    """The plan's version, from 1."""
    goals: tuple[PlannedGoal, ...] = Field(
        min_length=1,
        max_length=50,
        examples=[[_GOAL]],
    )
    """The goals."""
    services: tuple[PlannedService, ...] = Field(
        min_length=1,
        max_length=20,
        examples=[[{"modality": "group", "sessions_per_week": 3, "minutes_each": 180}]],
    )
    """The services it prescribes."""
    patient_signed_at: Timestamp
    """When the patient signed; their contribution is required."""
    clinician_signed_at: Timestamp
    """When the clinician signed."""
    next_review_on: Day
    """The day the next review is due."""


class GoalAdded(PlansEvent, consumers=("followup",)):
    """The plan has a further goal.

    Followup and reporting follow its progress. Goal: none > open.
    """

    goal: PlannedGoal = Field(examples=[_GOAL])
    """The goal."""
    added_at: Timestamp
    """When."""


class GoalUpdated(PlansEvent, consumers=("followup",)):
    """A goal's progress was measured, or the goal itself was changed.

    Followup and reporting follow its progress. Goal: open > open.
    """

    goal_id: GoalId
    """The goal."""
    goal: PlannedGoal | None = Field(default=None, examples=[_GOAL])
    """The whole goal as it now stands, where it was changed; absent where it was only measured."""
    value: Quantity | None = Field(default=None, examples=[2.0])
    """The measured value, in the goal's unit."""
    updated_at: Timestamp
    """When."""


class GoalAchieved(PlansEvent, consumers=("followup",)):
    """A goal reached its target.

    Followup and reporting follow its progress. Goal: open > achieved.
    """

    goal_id: GoalId
    """The goal."""
    value: Quantity | None = Field(default=None, examples=[3.0])
    """The measured value, in the goal's unit."""
    achieved_at: Timestamp
    """When."""


class GoalWithdrawn(PlansEvent, consumers=("followup",)):
    """A goal is no longer pursued; it does not come back.

    Followup and reporting no longer follow its progress. Goal: open or achieved > withdrawn.
    """

    goal_id: GoalId
    """The goal."""
    reason: WithdrawnReason = Field(examples=["patient_choice"])
    """Why."""
    withdrawn_at: Timestamp
    """When."""


class TreatmentPlanReviewDue(PlansEvent, consumers=("followup",)):
    """The plan has to be reviewed.

    Followup helps to find the time, reporting counts. Timer; answered by `TreatmentPlanReviewed`.
    """

    plan_id: PlanId
    """The plan."""
    due_on: Day
    """The day the review is due."""


class TreatmentPlanReviewOverdue(PlansEvent, consumers=("followup",)):
    """The plan was not reviewed in time.

    Followup presses, reporting counts. Timer; retracted by `TreatmentPlanReviewed`.
    """

    plan_id: PlanId
    """The plan."""
    due_on: Day
    """The day the review was due."""
    days_overdue: Count
    """Whole days since then."""


class TreatmentPlanReviewed(PlansEvent, consumers=("attendance", "followup")):
    """The plan was reviewed and has a new version.

    Attendance and followup work by the decision. Plan: version + 1.
    """

    plan_id: PlanId
    """The plan."""
    version: int = Field(ge=1, le=1000, examples=[2])
    """The version that the review made."""
    basis: ReviewBasis = Field(examples=["progressing"])
    """What was found."""
    decision: ReviewDecision = Field(examples=["continue"])
    """What was decided."""
    next_review_on: Day | None = Field(default=None, examples=["2026-04-08"])
    """The day the next review is due; absent when the episode is to end."""


class ExpectedAnalytesUpdated(PlansEvent, consumers=("attendance",)):
    """The list of prescribed substances that screens may show has changed; this is the whole list.

    Attendance must know it to call a prescribed substance expected. No transition.
    """

    analytes: tuple[ExpectedAnalyte, ...] = Field(
        max_length=50,
        examples=[[{"code": "buprenorphine", "from_on": "2026-03-01", "verified": True}]],
    )
    """All expected substances; empty when nothing is prescribed any more."""


class CoOccurringNeedIdentified(PlansEvent, consumers=("attendance", "followup")):
    """The person needs integrated care for something beside the addiction.

    Attendance and followup choose sessions and contacts that fit. Flag.
    """

    category: CoOccurringCategory = Field(examples=["trauma"])
    """The area of the need."""
    enhanced: bool = Field(examples=[False])
    """Whether a co-occurring enhanced program is needed."""


class AncillaryServiceAdded(PlansEvent, consumers=("attendance",)):
    """A further service belongs to the plan.

    Attendance counts its hours, or does not. No transition.
    """

    kind: AncillaryKind = Field(examples=["psychiatry"])
    """The service."""
    on_site: bool = Field(examples=[True])
    """Whether it happens at the facility."""
    counts_toward_hours: bool = Field(examples=[False])
    """Whether its minutes count toward the week."""


class ClinicalReviewRequested(PlansEvent, consumers=("followup",)):
    """A clinician has to look at something soon.

    Followup holds further outreach until it is decided. Review: none > open.
    """

    review_id: ReviewId
    """The review."""
    trigger: ReviewTrigger = Field(examples=["screen"])
    """What asked for it."""
    trigger_event_id: EventId
    """The event that asked for it."""
    due_at: Timestamp
    """When it has to be done."""


class ClinicalReviewOverdue(PlansEvent, consumers=("followup",)):
    """A clinical review was not done in time.

    Followup acts, reporting counts. Timer; retracted by `ClinicalReviewCompleted`.
    """

    review_id: ReviewId
    """The review."""
    due_at: Timestamp
    """When it was due."""
    hours_overdue: Count
    """Whole hours since then."""


class ClinicalReviewCompleted(PlansEvent, consumers=("attendance", "followup")):
    """A clinician decided what follows.

    Attendance may order a definitive test, followup resumes or intensifies. Review: open > closed.
    """

    review_id: ReviewId
    """The review."""
    outcome: ReviewOutcome = Field(examples=["intensify"])
    """What follows."""


class LevelOfCareChangeRecommended(PlansEvent, consumers=("intake", "followup")):
    """Another level would suit the person better.

    Intake looks for a place unless the program goes on, followup keeps contact meanwhile. Episode: active > change
    pending.
    """

    direction: Direction = Field(examples=["up"])
    """Where it leads."""
    from_level: Level
    """The present level."""
    to_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "3.5"}])
    """The recommended level."""
    drivers: Drivers
    """The dimensions that ask for it."""
    effective_at: Timestamp | None = Field(default=None, examples=["2026-03-09T07:00:00Z"])
    """From when it holds where this program goes on with the person; absent when a place is to be found elsewhere."""


class LevelOfCareChanged(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The person is at another level.

    Attendance takes another threshold, intake looks for no place any more, partners may tell. Episode: change pending >
    active.
    """

    from_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "2.5"}])
    """The level until then."""
    to_level: Level
    """The level from then on."""
    effective_at: Timestamp
    """From when it holds."""


class TransferRequested(PlansEvent, consumers=("intake",)):
    """Somebody wants to hand the person over to a partner that has accepted.

    Intake keeps the consents, and answers by DisclosureAllowed or DisclosureWithheld. Delivery: > asked.
    """

    delivery_id: DeliveryId
    """What the answer refers to; the same when the same is asked again."""
    to_facility_id: FacilityId
    """The receiving facility."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["referral_status", "level_of_care"]]
    )
    """What it will be told."""
    purpose: ConsentPurpose = Field(examples=["care_coordination"])
    """What for."""
    requested_by_id: ActorId
    """Who would tell it."""
    consent_id: ConsentId | None = Field(
        default=None, examples=["0f6c2f5a-6f4a-5a35-8f0d-7d4f8a1b2c33"]
    )
    """The one consent that is to be looked at; any of the person's when absent."""


class TransferNotBegun(PlansEvent, consumers=("intake",)):
    """A transfer that was asked for does not begin: it was withheld, or the episode has moved on meanwhile.

    Where it was allowed, intake enters that nothing was disclosed after all. Delivery: asked > not made.
    """

    delivery_id: DeliveryId
    """What was asked for."""


class TransferInitiated(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The person is being handed over; this program stays responsible until first contact.

    Intake enters the disclosure, attendance keeps the seat, the others watch the arrival. Episode: > transferring.
    """

    delivery_id: DeliveryId
    """What intake allowed."""
    to_facility_id: FacilityId
    """The receiving facility."""
    to_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "3.5"}])
    """The level there."""
    consent_id: ConsentId
    """The consent that allows the hand-over."""
    handoff_at: Timestamp
    """When the hand-over is planned."""


class TransferCompleted(PlansEvent, consumers=("attendance", "followup")):
    """The receiving facility has seen the person.

    Attendance frees the seat, followup ends its watch. Episode: transferring > transferred.
    """

    to_facility_id: FacilityId
    """The receiving facility."""
    to_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "3.5"}])
    """The level there."""
    consent_id: ConsentId
    """The consent that allowed the hand-over."""
    handoff_at: Timestamp
    """When the hand-over began."""
    first_contact_at: Timestamp = Field(examples=["2026-03-03T10:30:00Z"])
    """When the receiving facility first saw the person."""


class AftercarePlanDrafted(PlansEvent, consumers=("followup",)):
    """There is a draft of the aftercare plan, from admission on.

    Followup has something to stand on even when an episode ends early. Aftercare plan: > draft.
    """

    aftercare_plan_id: AftercarePlanId
    """The aftercare plan."""
    version: int = Field(ge=1, le=1000, examples=[1])
    """The draft's version, from 1."""
    elements: tuple[ElementCode, ...] = Field(
        max_length=50, examples=[["first-appointment", "crisis-contacts"]]
    )
    """The elements that are settled so far."""
    complete: bool | None = Field(default=None, examples=[False])
    """Whether everything that has to be settled before the person leaves is settled."""
    appointment_at: Timestamp | None = Field(default=None, examples=["2026-03-09T15:00:00Z"])
    """The first appointment after discharge, where one is booked."""


class GraduationApproved(PlansEvent, consumers=("followup",)):
    """A clinician approved the graduation.

    Followup completes the aftercare plan before the last day. Episode: > approved.
    """

    criteria: tuple[CriterionResult, ...] = Field(
        min_length=1, max_length=50, examples=[[{"code": "goals-met", "met": True}]]
    )
    """The criteria and whether each is met."""
    approver_id: ActorId
    """Who approved."""


class ProgramGraduated(PlansEvent, consumers=("attendance", "followup")):
    """The person completed the program.

    Attendance frees the seat, followup starts the year of aftercare. Episode: > graduated.
    """

    graduated_at: Timestamp
    """When."""
    aftercare_plan_id: AftercarePlanId
    """The aftercare plan that takes over."""


class EpisodeDischarged(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The episode ended, in whichever way.

    Everyone stops what runs; followup anchors its check-ins here. Episode: > closed.
    """

    kind: DischargeKind = Field(examples=["graduated"])
    """How it ended."""
    discharged_at: Timestamp
    """When; check-ins count from here."""
    final_level: Level
    """The level at the end."""


class TransferFellThrough(PlansEvent, consumers=("attendance", "followup")):
    """The hand-over that was under way is off: the partner will not take the person, who is still with this program.

    Attendance and followup wait for no arrival, and plans has somebody look for another place: the loop `transfer`.
    Episode: transferring > active.
    """

    to_facility_id: FacilityId
    """The facility that was to receive the person."""
    handoff_at: Timestamp
    """When the hand-over was planned."""
    fell_through_at: Timestamp
    """When it was known."""


class TransferUndone(PlansEvent, consumers=("attendance", "followup")):
    """The hand-over was begun by mistake: the person is still with this program alone.

    Retracts `TransferInitiated`: attendance and followup wait for no arrival. Episode: transferring > active.
    """

    to_facility_id: FacilityId
    """The facility that was to receive the person."""
    handoff_at: Timestamp
    """When the hand-over was planned."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """Why."""


class FirstContactUndone(PlansEvent, consumers=("attendance", "followup")):
    """The receiving facility has not seen the person after all: the hand-over is still under way.

    Retracts `TransferCompleted`; `DischargeUndone` follows. Attendance and followup wait for the arrival again.
    Episode: transferred > transferring.
    """

    first_contact_at: Timestamp = Field(examples=["2026-03-03T10:30:00Z"])
    """The first contact that is taken back."""
    handoff_at: Timestamp
    """When the hand-over is planned."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """Why."""


class GraduationUndone(PlansEvent, consumers=("attendance", "followup")):
    """The person did not complete the program after all.

    Retracts `GraduationApproved` and `ProgramGraduated`; `DischargeUndone` follows. Episode: graduated > active.
    """

    graduated_at: Timestamp
    """The graduation that is taken back."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """Why."""


class DischargeUndone(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The episode did not end: the discharge was a mistake.

    Retracts `EpisodeDischarged`. Everyone goes on with what it stopped, as if it had not been, and ends what it began.
    Episode: closed > active.
    """

    kind: DischargeKind = Field(examples=["deceased"])
    """How it was said to have ended."""
    discharged_at: Timestamp
    """The end that is taken back."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why."""


class LoopEscalated(Escalation, PlansEvent):
    """An open loop of plans missed a deadline and has a new owner.

    The operations view shows it, reporting counts it. Loop: open > escalated, one step further.
    """

    loop: PlansLoop = Field(examples=["clinical_review"])
    """What is waited for."""


class EscalationCleared(Clearance, PlansEvent):
    """An escalation of plans no longer stands.

    Retracts every `LoopEscalated` of the same loop. Loop: escalated > closed.
    """

    loop: PlansLoop = Field(examples=["clinical_review"])
    """What was waited for."""
