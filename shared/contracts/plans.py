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
    """The unit of a goal's target and measured values."""

    PER_WEEK = "per_week", "A number per week."
    PER_MONTH = "per_month", "A number per month."
    DAYS = "days", "A number of days."
    PERCENT = "percent", "A percentage from 0 to 100."
    SCORE = "score", "A score on a scale."
    DONE = "done", "A task that is done (1) or not (0)."
    UNKNOWN = "unknown"


class ReviewBasis(OpenEnum):
    """The finding of a review of the treatment plan."""

    PROGRESSING = "progressing", "The person makes progress."
    CAPABLE = "capable", "The person makes no progress yet, and is able to."
    NEW_PROBLEM = "new_problem", "A new problem appeared."
    MET = "met", "The problems that led to this level are resolved."
    NOT_PROGRESSING = "not_progressing", "The person is not able to make progress."
    UNKNOWN = "unknown"


class ReviewDecision(OpenEnum):
    """The decision of a review of the treatment plan."""

    CONTINUE = "continue", "The treatment continues at this level."
    UP = "up", "The person needs more intensive care."
    DOWN = "down", "The person needs less intensive care."
    TRANSFER = "transfer", "The person is to be transferred."
    DISCHARGE = "discharge", "The treatment is to end."
    UNKNOWN = "unknown"


class CoOccurringCategory(OpenEnum):
    """An area of need beside the addiction."""

    MOOD = "mood", "A mood disorder."
    ANXIETY = "anxiety", "An anxiety disorder."
    TRAUMA = "trauma", "A disorder related to trauma."
    PSYCHOSIS = "psychosis", "A psychotic disorder."
    ATTENTION = "attention", "An attention disorder."
    EATING = "eating", "An eating disorder."
    COGNITIVE = "cognitive", "A cognitive impairment."
    MEDICAL = "medical", "A medical condition."
    UNKNOWN = "unknown"


class AncillaryKind(OpenEnum):
    """A service beside the treatment."""

    PSYCHIATRY = "psychiatry", "Psychiatry."
    MEDICATION = "medication", "Management of medication."
    NUTRITION = "nutrition", "Nutrition counseling."
    FITNESS = "fitness", "Fitness."
    YOGA = "yoga", "Yoga."
    MEDITATION = "meditation", "Meditation."
    ACUPUNCTURE = "acupuncture", "Acupuncture."
    ART_THERAPY = "art_therapy", "Art therapy."
    VOCATIONAL = "vocational", "Vocational services."
    HOUSING = "housing", "Help with housing."
    WHOLE_HEALTH = "whole_health", "Whole-health services."
    UNKNOWN = "unknown"


class ReviewTrigger(OpenEnum):
    """The kind of fact that calls for a clinical review."""

    SCREEN = "screen", "An unexpected positive screen or breath test."
    VALIDITY = "validity", "A specimen that cannot be judged."
    REFUSAL = "refusal", "A refused specimen."
    ABSENCE = "absence", "Absences that reached a limit."
    HOURS = "hours", "A week below the required hours."
    RISK = "risk", "A risk."
    RETURN_TO_USE = "return_to_use", "A reported return to use."
    ADHERENCE = "adherence", "A prescribed medication that was not found."
    DISCHARGE_UNDONE = "discharge_undone", "A discharge that was undone."
    LEVEL_CHANGE_UNDONE = "level_change_undone", "A change of level that was undone."
    EPISODE_RESTORED = (
        "episode_restored",
        "An episode that was restored after it had been entered in error or merged.",
    )
    UNKNOWN = "unknown"


class ReviewOutcome(OpenEnum):
    """The decision at the end of a clinical review."""

    NONE = "none", "Nothing follows, or the review is no longer needed."
    AMEND = "amend", "The treatment plan is to be amended."
    INTENSIFY = "intensify", "The treatment is to be intensified at this level."
    DEFINITIVE_TEST = "definitive_test", "A definitive test is to be made."
    UP = "up", "The person needs more intensive care."
    DOWN = "down", "The person needs less intensive care."
    UNKNOWN = "unknown"


class Direction(OpenEnum):
    """The direction of a change of the level of care."""

    UP = "up", "To more intensive care."
    DOWN = "down", "To less intensive care."
    LATERAL = "lateral", "To care of the same intensity."
    UNKNOWN = "unknown"


class DischargeKind(OpenEnum):
    """The way in which the treatment ended."""

    GRADUATED = "graduated", "The person completed the program."
    TRANSFERRED = "transferred", "The person was transferred to another facility."
    AGAINST_ADVICE = "against_advice", "The person left against advice."
    ADMINISTRATIVE = (
        "administrative",
        "The program ended the treatment for an administrative reason.",
    )
    LOST_CONTACT = "lost_contact", "Contact with the person was lost."
    INCARCERATED = "incarcerated", "The person is in jail or prison."
    DECEASED = "deceased", "The person died."
    UNKNOWN = "unknown"


class WithdrawnReason(OpenEnum):
    """The reason why a goal was withdrawn."""

    PATIENT_CHOICE = "patient_choice", "The person decided against the goal."
    NO_LONGER_RELEVANT = "no_longer_relevant", "The goal is no longer relevant."
    REPLACED = "replaced", "Another goal replaces it."
    UNKNOWN = "unknown"


class PlannedGoal(Value):
    """A goal of the treatment plan. Its wording is not published."""

    goal_id: GoalId
    """Identifies the goal."""
    dimension: Dimension = Field(examples=[{"edition": "4", "number": 4}])
    """The dimension of the assessment to which the goal belongs."""
    metric: MetricCode = Field(examples=["support-meetings"])
    """The quantity that is measured for the goal."""
    unit: GoalUnit = Field(examples=["per_week"])
    """The unit of `target` and of measured values."""
    target: Quantity
    """The value at which the goal is achieved."""
    due_on: Day
    """The day by which the goal is to be achieved, in the facility's time zone."""


class PlannedService(Value):
    """A service that the treatment plan prescribes."""

    modality: Modality = Field(examples=["group"])
    """The kind of service."""
    sessions_per_week: int = Field(ge=1, le=21, examples=[3])
    """The number of sessions per week."""
    minutes_per_session: SessionMinutes
    """The length of one session, in minutes."""


class ExpectedAnalyte(Value):
    """A substance that a screen is expected to show, because it is prescribed."""

    code: AnalyteCode
    """The code of the analyte."""
    from_on: Day
    """The first day on which screens may show the substance, in the facility's time zone."""
    until_on: Day | None = Field(default=None, examples=["2026-09-30"])
    """The last day on which screens may show the substance. Absent while the prescription has no end."""
    verified: bool = Field(examples=[True])
    """Whether the prescription was verified with the prescriber."""
    companion_of: AnalyteCode | None = Field(default=None, examples=["methadone"])
    """The prescribed substance that the body turns into this one, so that a screen may show it. Absent if the
    substance itself is prescribed."""


class CriterionResult(Value):
    """One criterion for graduation and its result."""

    code: CriterionCode = Field(examples=["goals-met"])
    """The code of the criterion."""
    met: bool = Field(examples=[True])
    """Whether the criterion is met."""


class PlansEvent(Event, source="care.plans"):
    """A fact that the plans service publishes."""


class TreatmentPlanActivated(PlansEvent, consumers=("attendance", "followup")):
    """The treatment plan was signed by the person and a clinician and came into force.

    Published for each version that both have signed; the latest one holds.
    """

    plan_id: PlanId
    """Identifies the treatment plan."""
    version: int = Field(ge=1, le=1000, examples=[1])
    """The version of the plan, counted from 1."""
    goals: tuple[PlannedGoal, ...] = Field(
        min_length=1,
        max_length=50,
        examples=[[_GOAL]],
    )
    """The goals of the plan."""
    services: tuple[PlannedService, ...] = Field(
        min_length=1,
        max_length=20,
        examples=[[{"modality": "group", "sessions_per_week": 3, "minutes_per_session": 180}]],
    )
    """The services that the plan prescribes."""
    patient_signed_at: Timestamp
    """The time at which the person signed the plan."""
    clinician_signed_at: Timestamp
    """The time at which the clinician signed the plan."""
    next_review_on: Day
    """The day on which the next review is due, in the facility's time zone."""


class GoalAdded(PlansEvent, consumers=("followup",)):
    """A goal was added to the treatment plan.

    Published for goals that are added after the plan came into force.
    """

    goal: PlannedGoal = Field(examples=[_GOAL])
    """The goal that was added."""
    added_at: Timestamp
    """The time at which the goal was added."""


class GoalUpdated(PlansEvent, consumers=("followup",)):
    """The progress of a goal was measured, or the goal was changed.

    Published for each measurement and each change of an open goal.
    """

    goal_id: GoalId
    """Identifies the goal."""
    goal: PlannedGoal | None = Field(default=None, examples=[_GOAL])
    """The whole goal after a change. Absent if the goal was only measured."""
    value: Quantity | None = Field(default=None, examples=[2.0])
    """The measured value, in the unit of the goal. Absent if nothing was measured."""
    achieved: bool | None = Field(default=None, examples=[False])
    """Whether the last measurement reaches the target. A goal that no longer reaches it is open. Absent if the goal was
    never measured."""
    updated_at: Timestamp
    """The time of the measurement or the change."""


class GoalAchieved(PlansEvent, consumers=("followup",)):
    """A goal of the treatment plan was achieved.

    Published when the target is reached. A later `GoalUpdated` with `achieved: false` retracts it.
    """

    goal_id: GoalId
    """Identifies the goal."""
    value: Quantity | None = Field(default=None, examples=[3.0])
    """The measured value, in the unit of the goal. Absent if the goal has no measured value."""
    achieved_at: Timestamp
    """The time at which the goal was achieved."""


class GoalWithdrawn(PlansEvent, consumers=("followup",)):
    """A goal of the treatment plan was withdrawn for good.

    A withdrawn goal never becomes open again.
    """

    goal_id: GoalId
    """Identifies the goal."""
    reason: WithdrawnReason = Field(examples=["patient_choice"])
    """The reason why the goal was withdrawn."""
    withdrawn_at: Timestamp
    """The time at which the goal was withdrawn."""


class TreatmentPlanReviewDue(PlansEvent, consumers=("followup",)):
    """A review of the treatment plan is due today.

    Published by rule on the day `due_on`. `TreatmentPlanReviewed` ends it.
    """

    plan_id: PlanId
    """Identifies the treatment plan."""
    due_on: Day
    """The day on which the review is due, in the facility's time zone."""


class TreatmentPlanReviewOverdue(PlansEvent, consumers=("followup",)):
    """The treatment plan was not reviewed in time.

    Published by rule some days after `due_on`, and again at each further step of the escalation.
    `TreatmentPlanReviewed` ends it.
    """

    plan_id: PlanId
    """Identifies the treatment plan."""
    due_on: Day
    """The day on which the review was due, in the facility's time zone."""
    days_overdue: Count
    """The number of whole days since `due_on`."""


class TreatmentPlanReviewed(PlansEvent, consumers=("attendance", "followup")):
    """The treatment plan was reviewed.

    Published for each review, which makes a new version of the plan.
    """

    plan_id: PlanId
    """Identifies the treatment plan."""
    version: int = Field(ge=1, le=1000, examples=[2])
    """The version of the plan that the review made."""
    basis: ReviewBasis = Field(examples=["progressing"])
    """The finding of the review."""
    decision: ReviewDecision = Field(examples=["continue"])
    """The decision of the review."""
    next_review_on: Day | None = Field(default=None, examples=["2026-04-08"])
    """The day on which the next review is due, in the facility's time zone. Absent if the episode is to end."""


class ExpectedAnalytesUpdated(PlansEvent, consumers=("attendance",)):
    """The list of prescribed substances that screens may show was changed.

    The event carries the whole list, which replaces every earlier one.
    """

    analytes: tuple[ExpectedAnalyte, ...] = Field(
        max_length=50,
        examples=[[{"code": "buprenorphine", "from_on": "2026-03-01", "verified": True}]],
    )
    """All substances that screens are expected to show. The list is empty if nothing is prescribed."""


class CoOccurringNeedIdentified(PlansEvent, consumers=("attendance", "followup")):
    """The person was found to need integrated care for a condition beside the addiction.

    Published for each area of need; the latest event of an area holds.
    """

    category: CoOccurringCategory = Field(examples=["trauma"])
    """The area of the need."""
    enhanced_program_needed: bool = Field(examples=[False])
    """Whether the person needs a co-occurring enhanced program, which treats both conditions in one place."""


class AncillaryServiceAdded(PlansEvent, consumers=("attendance",)):
    """A service beside the treatment was added to the plan.

    Published once for each service that is added.
    """

    kind: AncillaryKind = Field(examples=["psychiatry"])
    """The kind of service."""
    on_site: bool = Field(examples=[True])
    """Whether the service is given at the facility."""
    counts_toward_hours: bool = Field(examples=[False])
    """Whether the minutes of the service count toward the hours of the week."""


class ClinicalReviewRequested(PlansEvent, consumers=("followup",)):
    """A clinician has to review the episode.

    Published by rule when a fact calls for it. `ClinicalReviewCompleted` with the same `review_id` ends it.
    """

    review_id: ReviewId
    """Identifies the clinical review."""
    trigger: ReviewTrigger = Field(examples=["screen"])
    """The kind of fact that calls for the review."""
    trigger_event_id: EventId
    """The `ce_id` of the event that calls for the review."""
    due_at: Timestamp
    """The time by which the review has to be completed."""
    gap_from_at: Timestamp | None = Field(default=None, examples=["2026-02-27T07:00:00Z"])
    """The time at which a mistake was recorded that was later undone. Absent if the review has another trigger."""
    gap_until_at: Timestamp | None = Field(default=None, examples=["2026-03-02T07:00:00Z"])
    """The time at which the mistake was undone. The review covers what happened in between. Absent if the review has
    another trigger."""


class ClinicalReviewOverdue(PlansEvent, consumers=("followup",)):
    """A clinical review was not completed in time.

    Published by rule after `due_at`, and again at each further step of the escalation. `ClinicalReviewCompleted` with
    the same `review_id` ends it.
    """

    review_id: ReviewId
    """Identifies the clinical review."""
    due_at: Timestamp
    """The time by which the review should have been completed."""
    hours_overdue: Count
    """The number of whole hours since `due_at`."""


class ClinicalReviewCompleted(PlansEvent, consumers=("attendance", "followup")):
    """A clinical review was completed, or is no longer needed.

    Ends `ClinicalReviewRequested` with the same `review_id`.
    """

    review_id: ReviewId
    """Identifies the clinical review."""
    outcome: ReviewOutcome = Field(examples=["intensify"])
    """The decision of the clinician."""


class ClinicalReviewUndone(PlansEvent, consumers=("attendance", "followup")):
    """The completion of a clinical review was retracted because it had been recorded by mistake.

    Retracts `ClinicalReviewCompleted`. The review is open again.
    """

    review_id: ReviewId
    """Identifies the clinical review."""
    outcome: ReviewOutcome = Field(examples=["intensify"])
    """The retracted decision of the clinician."""
    due_at: Timestamp
    """The time by which the review has to be completed. It is the same as before the completion."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake."""


class LevelOfCareChangeRecommended(PlansEvent, consumers=("intake", "followup")):
    """Another level of care was recommended for the person.

    Published after a review. `LevelOfCareChanged` or a transfer follows.
    """

    direction: Direction = Field(examples=["up"])
    """The direction of the change: to more or to less intensive care."""
    from_level: Level
    """The present level of care."""
    to_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "3.5"}])
    """The recommended level of care."""
    drivers: Drivers
    """The dimensions of the assessment that call for the change."""
    effective_at: Timestamp | None = Field(default=None, examples=["2026-03-09T07:00:00Z"])
    """The time from which the new level holds if this program continues the treatment. Absent if the person needs a
    place elsewhere."""


class LevelOfCareChanged(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The level of care of the person changed.

    Published when the new level takes effect; the latest one holds.
    """

    from_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "2.5"}])
    """The level of care before the change."""
    to_level: Level
    """The level of care after the change."""
    effective_at: Timestamp
    """The time from which the new level holds."""


class LevelOfCareChangeUndone(PlansEvent, consumers=("intake", "attendance", "followup")):
    """A change of the level of care was retracted because it had been decided or recorded by mistake.

    Retracts `LevelOfCareChanged`. If the change had not taken effect yet, it retracts `LevelOfCareChangeRecommended`.
    The person is at the level from before the change.
    """

    from_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "2.5"}])
    """The level of care before the change. It holds."""
    to_level: Level
    """The level of care of the retracted change."""
    effective_at: Timestamp
    """The time from which the retracted change was to hold."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake."""


class TransferRequested(PlansEvent, consumers=("intake",)):
    """A transfer of the person to a partner facility was requested.

    `DisclosureAllowed` or `DisclosureWithheld` with the same `delivery_id` is the answer.
    """

    delivery_id: DeliveryId
    """Identifies the request. A repeated request has the same id, and the answer refers to it."""
    to_facility_id: FacilityId
    """Identifies the partner facility that receives the person."""
    categories: tuple[InformationCategory, ...] = Field(
        min_length=1, max_length=20, examples=[["referral_status", "level_of_care"]]
    )
    """The categories of information that are to be disclosed to the partner."""
    purpose: ConsentPurpose = Field(examples=["care_coordination"])
    """The purpose of the disclosure."""
    requested_by_id: ActorId
    """Identifies the member of staff who requested the transfer."""
    consent_id: ConsentId | None = Field(
        default=None, examples=["0f6c2f5a-6f4a-5a35-8f0d-7d4f8a1b2c33"]
    )
    """Identifies the only consent that is to be checked. Absent if any consent of the person may allow the
    disclosure."""


class TransferNotBegun(PlansEvent, consumers=("intake",)):
    """A requested transfer does not begin, and nothing is disclosed for it.

    Ends `TransferRequested` with the same `delivery_id`: its disclosure was withheld, or the episode has changed
    meanwhile.
    """

    delivery_id: DeliveryId
    """Identifies the request that is not carried out."""


class TransferInitiated(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The transfer of the person to a partner facility began.

    This facility stays responsible until the first contact there. `TransferCompleted` ends the transfer, and
    `TransferUndone` retracts it.
    """

    delivery_id: DeliveryId
    """Identifies the request that was allowed."""
    to_facility_id: FacilityId
    """Identifies the partner facility that receives the person."""
    to_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "3.5"}])
    """The level of care at the partner facility."""
    consent_id: ConsentId
    """Identifies the consent that allows the transfer."""
    handoff_at: Timestamp
    """The time at which the hand-over is planned."""


class TransferCompleted(PlansEvent, consumers=("attendance", "followup")):
    """The partner facility has seen the person, and the transfer is complete.

    `EpisodeDischarged` follows. `FirstContactUndone` retracts it.
    """

    to_facility_id: FacilityId
    """Identifies the partner facility that receives the person."""
    to_level: Level = Field(examples=[{"system": "asam", "edition": "4", "code": "3.5"}])
    """The level of care at the partner facility."""
    consent_id: ConsentId
    """Identifies the consent that allowed the transfer."""
    handoff_at: Timestamp
    """The time at which the hand-over is planned."""
    first_contact_at: Timestamp = Field(examples=["2026-03-03T10:30:00Z"])
    """The time at which the partner facility first saw the person."""


class AftercarePlanDrafted(PlansEvent, consumers=("followup",)):
    """A draft of the aftercare plan was made or changed.

    Published for each version, from the admission on. `AftercarePlanAgreed` outranks every draft.
    """

    aftercare_plan_id: AftercarePlanId
    """Identifies the aftercare plan."""
    version: int = Field(ge=1, le=1000, examples=[1])
    """The version of the draft, counted from 1."""
    elements: tuple[ElementCode, ...] = Field(
        max_length=50, examples=[["first-appointment", "crisis-contacts"]]
    )
    """The elements of the draft that are settled so far."""
    complete: bool = Field(examples=[False])
    """Whether everything is settled that has to be settled before the discharge."""
    appointment_at: Timestamp | None = Field(default=None, examples=["2026-03-09T15:00:00Z"])
    """The time of the first appointment after the discharge. Absent if none is booked."""


class GraduationApproved(PlansEvent, consumers=("followup",)):
    """A clinician approved the graduation of the person.

    `ProgramGraduated` follows on the last day. `GraduationUndone` retracts it.
    """

    criteria: tuple[CriterionResult, ...] = Field(
        min_length=1, max_length=50, examples=[[{"code": "goals-met", "met": True}]]
    )
    """The criteria for graduation, each with its result."""
    approved_by_id: ActorId
    """Identifies the clinician who approved the graduation."""


class ProgramGraduated(PlansEvent, consumers=("attendance", "followup")):
    """The person completed the program.

    `EpisodeDischarged` follows. `GraduationUndone` retracts it.
    """

    graduated_at: Timestamp
    """The time of the graduation."""
    aftercare_plan_id: AftercarePlanId
    """Identifies the aftercare plan that follows the treatment."""


class EpisodeDischarged(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The treatment of the person in this program ended.

    Published for every way in which treatment ends. `DischargeUndone` retracts it.
    """

    kind: DischargeKind = Field(examples=["graduated"])
    """The way in which the treatment ended."""
    discharged_at: Timestamp
    """The time of the discharge. The calendar of aftercare counts from here."""
    final_level: Level
    """The level of care at the end of the treatment."""


class TransferFellThrough(PlansEvent, consumers=("attendance", "followup")):
    """A transfer that had begun ended without an arrival, and the person stays in this program.

    Published when the partner facility will not take the person after `TransferInitiated`. The person needs another
    place.
    """

    to_facility_id: FacilityId
    """Identifies the partner facility that was to receive the person."""
    handoff_at: Timestamp
    """The time for which the transfer was planned."""
    fell_through_at: Timestamp
    """The time at which it became known that the person will not arrive."""


class TransferUndone(PlansEvent, consumers=("attendance", "followup")):
    """The record that the transfer began was a mistake.

    Retracts `TransferInitiated`. The person stays with this program.
    """

    to_facility_id: FacilityId
    """Identifies the partner facility that was to receive the person."""
    handoff_at: Timestamp
    """The time at which the hand-over is planned."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """The kind of mistake that is taken back."""


class FirstContactUndone(PlansEvent, consumers=("attendance", "followup")):
    """The record that the partner facility has seen the person was a mistake.

    Retracts `TransferCompleted`; the transfer is still under way. `DischargeUndone` follows.
    """

    first_contact_at: Timestamp = Field(examples=["2026-03-03T10:30:00Z"])
    """The `first_contact_at` of the `TransferCompleted` that is retracted."""
    handoff_at: Timestamp
    """The time at which the hand-over is planned."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """The kind of mistake that is taken back."""


class GraduationUndone(PlansEvent, consumers=("attendance", "followup")):
    """The graduation of the person was a mistake.

    Retracts `GraduationApproved` and `ProgramGraduated`. `DischargeUndone` follows.
    """

    graduated_at: Timestamp
    """The `graduated_at` of the `ProgramGraduated` that is retracted."""
    reason: MistakeReason = Field(examples=["not_intended"])
    """The kind of mistake that is taken back."""


class DischargeUndone(PlansEvent, consumers=("intake", "attendance", "followup")):
    """The discharge of the person was a mistake.

    Retracts `EpisodeDischarged`. The episode goes on from its earlier state.
    """

    kind: DischargeKind = Field(examples=["deceased"])
    """The way of ending of the `EpisodeDischarged` that is retracted."""
    discharged_at: Timestamp
    """The `discharged_at` of the `EpisodeDischarged` that is retracted."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class LoopEscalated(Escalation, PlansEvent):
    """An open task about the episode missed its deadline, and the next role owns it.

    Published for each step of the escalation. `EscalationCleared` with the same `loop_id` retracts all steps.
    """

    loop: PlansLoop = Field(examples=["clinical_review"])
    """The kind of task."""


class EscalationCleared(Clearance, PlansEvent):
    """The escalation of a task about the episode ended.

    Retracts every `LoopEscalated` with the same `loop_id`.
    """

    loop: PlansLoop = Field(examples=["clinical_review"])
    """The kind of task."""
