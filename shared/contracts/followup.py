"""What followup says: outreach, aftercare, check-ins, return to use, re-engagement, readmission.

Code lists that only followup uses stand first, then the events in the order of the path.
"""

from __future__ import annotations

from pydantic import Field

from .codes import (
    AftercarePlanId,
    CheckInId,
    CircumstanceId,
    Clearance,
    Count,
    Day,
    ElementCode,
    Escalation,
    FollowupLoop,
    Milestone,
    MistakeReason,
    ReengagementId,
    ReportId,
    Timestamp,
    TransitionId,
    Urgency,
)
from .event import Event, OpenEnum


class Channel(OpenEnum):
    """A channel by which a person is reached."""

    CALL = "call", "A phone call."
    SMS = "sms", "A text message."
    PORTAL = "portal", "A message in the patient portal."
    VISIT = "visit", "A visit."
    POST = "post", "A letter."
    PEER = "peer", "Contact through a peer specialist."
    UNKNOWN = "unknown"


class AttemptResult(OpenEnum):
    """The result of an attempt to reach a person."""

    REACHED = "reached", "The person was reached."
    NO_ANSWER = "no_answer", "Nobody answered."
    VOICEMAIL = "voicemail", "A message was left on voicemail."
    WRONG_NUMBER = "wrong_number", "The number is not the person's."
    REFUSED = "refused", "The person did not want to talk."
    UNDELIVERED = "undelivered", "The message was not delivered."
    UNKNOWN = "unknown"


class UseSince(OpenEnum):
    """Whether a person reports substance use since the last contact."""

    NONE = "none", "The person reports no use."
    SOME = "some", "The person reports use."
    NOT_STATED = "not_stated", "The person gave no answer."
    UNKNOWN = "unknown"


class Taken(OpenEnum):
    """Whether a person takes prescribed medication."""

    YES = "yes", "The medication is taken as prescribed."
    PARTLY = "partly", "The medication is taken in part."
    NO = "no", "The medication is not taken."
    NOT_PRESCRIBED = "not_prescribed", "No medication is prescribed."
    UNKNOWN = "unknown"


class Housing(OpenEnum):
    """The housing situation of a person."""

    STABLE = "stable", "The person has stable housing."
    RECOVERY_HOUSING = "recovery_housing", "The person lives in recovery housing."
    AT_RISK = "at_risk", "The person may lose the housing."
    UNHOUSED = "unhoused", "The person has no housing."
    UNKNOWN = "unknown"


class Work(OpenEnum):
    """The work situation of a person."""

    WORKING = "working", "The person works."
    STUDYING = "studying", "The person studies."
    CARING = "caring", "The person cares for others."
    LOOKING = "looking", "The person looks for work."
    NOT_WORKING = "not_working", "The person does none of this."
    UNKNOWN = "unknown"


class Support(OpenEnum):
    """How well other people support a person."""

    STRONG = "strong", "The person has strong support."
    SOME = "some", "The person has some support."
    NONE = "none", "The person has no support."
    UNKNOWN = "unknown"


class RiskFlag(OpenEnum):
    """A risk that came up at a check-in and needs a response."""

    SUICIDE_RISK = "suicide_risk", "The person may harm or kill themselves."
    OVERDOSE_RISK = "overdose_risk", "The person may overdose."
    WITHDRAWAL = "withdrawal", "The person has symptoms of withdrawal."
    CRAVING = "craving", "The person has strong cravings."
    VIOLENCE = "violence", "The person experiences or threatens violence."
    HOUSING_LOSS = "housing_loss", "The person loses the housing."
    MEDICATION_GAP = "medication_gap", "The person is without prescribed medication."
    UNKNOWN = "unknown"


class OutreachCause(OpenEnum):
    """The reason why the staff try to reach a person."""

    SESSION_MISSED = "session_missed", "The person missed a session."
    ABSENCE_THRESHOLD = "absence_threshold", "The absences reached a limit."
    ASSESSMENT_MISSED = "assessment_missed", "The person missed the assessment."
    CHECK_IN_MISSED = "check_in_missed", "The person was not reached for a check-in."
    WAITLIST = "waitlist", "The person waits for a place."
    REFERRAL = "referral", "A referral needs a contact."
    RISK = "risk", "A risk needs a contact."
    UNKNOWN = "unknown"


class ReportedBy(OpenEnum):
    """The kind of source that reported a return to use."""

    PATIENT = "patient", "The person reported it."
    FAMILY = "family", "The family reported it."
    CLINICIAN = "clinician", "A clinician reported it."
    PARTNER = "partner", "A partner reported it."
    COURT = "court", "A court reported it."
    UNKNOWN = "unknown"


class SubstanceClass(OpenEnum):
    """A class of substances. The substance itself is not published."""

    ALCOHOL = "alcohol", "Alcohol."
    OPIOIDS = "opioids", "Opioids."
    STIMULANTS = "stimulants", "Stimulants."
    SEDATIVES = "sedatives", "Sedatives."
    CANNABIS = "cannabis", "Cannabis."
    HALLUCINOGENS = "hallucinogens", "Hallucinogens."
    INHALANTS = "inhalants", "Inhalants."
    NOT_STATED = "not_stated", "The class was not reported."
    UNKNOWN = "unknown"


class ReengagementCause(OpenEnum):
    """The reason why a way back into care began."""

    RETURN_TO_USE = "return_to_use", "The person used a substance again."
    CONTACT_REGAINED = "contact_regained", "Contact with the person was regained."
    SELF_REQUEST = "self_request", "The person asked for it."
    RISK = "risk", "A risk calls for it."
    UNKNOWN = "unknown"


class ReengagementOutcome(OpenEnum):
    """The outcome of a way back into care."""

    READMITTED = "readmitted", "The person was admitted again."
    OUTPATIENT = "outpatient", "The person is in outpatient care."
    MEDICATION = "medication", "The person receives medication only."
    DECLINED = "declined", "The person declined."
    UNREACHABLE = "unreachable", "The person could not be reached."
    WITHDRAWN = "withdrawn", "The fact that called for it was taken back."
    UNKNOWN = "unknown"


class TransitionKind(OpenEnum):
    """The kind of place that a person left, after which they have to be seen in time."""

    ED_VISIT = "ed_visit", "A visit to an emergency department."
    INPATIENT_DISCHARGE = "inpatient_discharge", "A discharge from inpatient care."
    RESIDENTIAL_DISCHARGE = "residential_discharge", "A discharge from residential care."
    WM_DISCHARGE = "wm_discharge", "A discharge from withdrawal management."
    UNKNOWN = "unknown"


class CircumstanceKind(OpenEnum):
    """A circumstance because of which nobody calls the person."""

    DECEASED = "deceased", "The person died."
    INCARCERATED = "incarcerated", "The person is in jail or prison."
    HOSPITALIZED = "hospitalized", "The person is in hospital."
    MOVED_AWAY = "moved_away", "The person moved out of the area."
    UNKNOWN = "unknown"


class FollowupEvent(Event, source="care.followup"):
    """A fact that the followup service publishes."""


class AftercarePlanActivated(FollowupEvent):
    """The aftercare of the person began.

    Published after each discharge that aftercare follows. `AftercareCompleted` ends it.
    """

    aftercare_plan_id: AftercarePlanId
    """Identifies the aftercare plan."""
    aftercare_days: int = Field(ge=1, le=3660, examples=[365])
    """The length of aftercare, in days from the discharge."""
    elements: tuple[ElementCode, ...] = Field(
        max_length=50, examples=[["first-appointment", "crisis-contacts"]]
    )
    """The elements of the aftercare plan, such as contacts for a crisis."""


class AftercarePlanAgreed(FollowupEvent):
    """The person and the staff agreed on the elements of aftercare.

    It outranks any `AftercarePlanDrafted`. It may be published several times; the latest event holds.
    """

    aftercare_plan_id: AftercarePlanId
    """Identifies the aftercare plan."""
    elements: tuple[ElementCode, ...] = Field(
        min_length=1, max_length=50, examples=[["crisis-contacts", "support-meetings"]]
    )
    """The elements on which the person and the staff agreed."""
    appointment_at: Timestamp | None = Field(default=None, examples=["2026-03-06T16:00:00Z"])
    """The time of the first appointment after the discharge. Absent if none is booked."""


class CheckInScheduled(FollowupEvent):
    """A check-in of aftercare was scheduled.

    Published for each check-in of the calendar that the discharge starts.
    """

    check_in_id: CheckInId
    """Identifies the check-in."""
    milestone: Milestone = Field(examples=["days_7"])
    """The place of the check-in in the calendar of aftercare, counted from the discharge."""
    opens_at: Timestamp = Field(examples=["2026-03-08T15:00:00Z"])
    """The time from which the check-in may take place."""
    due_at: Timestamp = Field(examples=["2026-03-09T15:00:00Z"])
    """The time at which the check-in should take place."""
    closes_at: Timestamp = Field(examples=["2026-03-11T15:00:00Z"])
    """The time until which the check-in may take place."""
    channel: Channel = Field(examples=["call"])
    """The channel by which the person prefers to be reached."""


class CheckInAttempted(FollowupEvent):
    """A member of staff tried to reach the person for a check-in.

    Published for each attempt. `CheckInAttemptUndone` retracts it.
    """

    check_in_id: CheckInId
    """Identifies the check-in."""
    attempt: int = Field(ge=1, le=100, examples=[1])
    """The number of the attempt for this check-in, counted from 1."""
    channel: Channel = Field(examples=["call"])
    """The channel that was used for the attempt."""
    result: AttemptResult = Field(examples=["no_answer"])
    """The result of the attempt."""


class CheckInAttemptUndone(FollowupEvent):
    """The record of an attempt to reach the person for a check-in was a mistake.

    Retracts `CheckInAttempted` with the same `check_in_id` and `attempt`.
    """

    check_in_id: CheckInId
    """Identifies the check-in."""
    attempt: int = Field(ge=1, le=100, examples=[1])
    """The number of the attempt for this check-in, counted from 1."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class CheckInCompleted(FollowupEvent, consumers=("plans",)):
    """The person was reached for a check-in and answered.

    Published once for each check-in that takes place. `CheckInUndone` retracts it.
    """

    check_in_id: CheckInId
    """Identifies the check-in."""
    use_since: UseSince = Field(examples=["none"])
    """Whether the person reports substance use since the last contact."""
    medication_taken: Taken | None = Field(default=None, examples=["yes"])
    """Whether the person takes the prescribed medication. Absent if it was not asked."""
    housing: Housing | None = Field(default=None, examples=["stable"])
    """The housing situation of the person. Absent if it was not asked."""
    work: Work | None = Field(default=None, examples=["working"])
    """The work situation of the person. Absent if it was not asked."""
    support: Support | None = Field(default=None, examples=["some"])
    """How well other people support the person. Absent if it was not asked."""
    risk_flags: tuple[RiskFlag, ...] = Field(default=(), max_length=20, examples=[["craving"]])
    """The risks that came up at the check-in. The list is empty if there are none."""


class CheckInUndone(FollowupEvent, consumers=("plans",)):
    """The record of a completed check-in was a mistake.

    Retracts `CheckInCompleted` of the check-in, which stays open until its window closes.
    """

    check_in_id: CheckInId
    """Identifies the check-in."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class CheckInMissed(FollowupEvent):
    """The window of a check-in closed, and the person had not been reached.

    Published at `closes_at` of the check-in.
    """

    check_in_id: CheckInId
    """Identifies the check-in."""
    attempts: Count
    """The number of attempts to reach the person for this check-in."""
    channels_tried: Count
    """The number of different channels that were used for the attempts."""


class ContactLost(FollowupEvent):
    """Nobody has reached the person for so many days that contact counts as lost.

    Published when the limit of the program's terms is reached. The person may come back at any time; a later contact
    ends this state.
    """

    days_silent: Count = Field(examples=[30])
    """The number of whole days without contact with the person."""


class OutreachEscalated(FollowupEvent, consumers=("plans",)):
    """The attempts to reach the person went to the next tier of urgency.

    Published for each tier. The next contact with the person ends it.
    """

    cause: OutreachCause = Field(examples=["session_missed"])
    """The reason why the staff try to reach the person."""
    tier: int = Field(ge=1, le=10, examples=[2])
    """The tier that was reached, counted from 1. A higher tier is more urgent."""


class ReturnToUseReported(FollowupEvent, consumers=("plans", "intake")):
    """A return to substance use by the person was reported.

    Published for each report. It sets back nothing that the person has reached. `ReturnToUseUndone` retracts it.
    """

    report_id: ReportId
    """Identifies the report."""
    reported_by: ReportedBy = Field(examples=["patient"])
    """The kind of source from which the knowledge comes."""
    substance_class: SubstanceClass = Field(examples=["alcohol"])
    """The class of the substance. The substance itself is not published."""
    overdose: bool = Field(examples=[False])
    """Whether the person took an overdose."""
    occurred_on: Day | None = Field(default=None, examples=["2026-05-11"])
    """The day of the return to use, in the facility's time zone. Absent if it is not known."""


class ReturnToUseUndone(FollowupEvent, consumers=("plans", "intake")):
    """The report of a return to substance use was a mistake.

    Retracts `ReturnToUseReported` with the same `report_id`.
    """

    report_id: ReportId
    """Identifies the report."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class ReengagementStarted(FollowupEvent, consumers=("intake",)):
    """The person's way back into care began.

    Published after a discharge, when a return to use, a risk or a request leads to a reassessment.
    `ReengagementCompleted` ends it.
    """

    reengagement_id: ReengagementId
    """Identifies this way back into care."""
    cause: ReengagementCause = Field(examples=["return_to_use"])
    """The reason why the way back into care began."""
    reassessment_due_at: Timestamp
    """The time by which the person should be reassessed."""


class ReengagementCompleted(FollowupEvent, consumers=("intake",)):
    """The person's way back into care ended with an outcome.

    Ends `ReengagementStarted` with the same `reengagement_id`.
    """

    reengagement_id: ReengagementId
    """Identifies this way back into care."""
    outcome: ReengagementOutcome = Field(examples=["readmitted"])
    """The outcome of the way back into care."""


class ReadmissionRequested(FollowupEvent, consumers=("intake",)):
    """A new admission of the person was requested.

    The subject is the earlier episode. The new episode begins with `ReferralReceived` of its own; `prior_episode_id` of
    its `PatientAdmitted` names the earlier one.
    """

    urgency: Urgency = Field(examples=["urgent"])
    """How soon the person has to be seen."""
    discharged_at: Timestamp
    """The time of the discharge after which the person comes back. If that discharge is undone, the request no
    longer holds."""


class TransitionReported(FollowupEvent):
    """A visit to an emergency department, or a discharge from a bed elsewhere, was reported.

    The person has to be seen in time after it. `TransitionUndone` retracts it.
    """

    transition_id: TransitionId
    """Identifies the report. Reports of the same kind and day about one episode have the same id."""
    kind: TransitionKind = Field(examples=["ed_visit"])
    """The kind of place that the person left."""
    occurred_on: Day
    """The day of the visit or of the discharge, in the facility's time zone."""


class TransitionUndone(FollowupEvent):
    """The report of an emergency visit or of a discharge elsewhere was a mistake.

    Retracts `TransitionReported` with the same `transition_id`.
    """

    transition_id: TransitionId
    """Identifies the report. Reports of the same kind and day about one episode have the same id."""
    kind: TransitionKind = Field(examples=["ed_visit"])
    """The kind of place that had been reported."""
    occurred_on: Day
    """The day that had been reported."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class CircumstanceRecorded(FollowupEvent, consumers=("plans", "intake", "attendance")):
    """The person died, is in jail or in hospital, or moved away.

    While this holds, nobody calls the person or their family. `CircumstanceEnded` ends it, and `CircumstanceUndone`
    retracts it.
    """

    circumstance_id: CircumstanceId
    """Identifies the circumstance."""
    kind: CircumstanceKind = Field(examples=["deceased"])
    """The kind of circumstance."""
    occurred_on: Day
    """The day on which the circumstance began, in the facility's time zone."""


class CircumstanceEnded(FollowupEvent, consumers=("plans", "intake", "attendance")):
    """The person is back from jail or hospital, or lives in the area again.

    Ends `CircumstanceRecorded` with the same `circumstance_id`. The person may be called again.
    """

    circumstance_id: CircumstanceId
    """Identifies the circumstance."""
    ended_at: Timestamp
    """The time at which the circumstance ended."""


class CircumstanceUndone(FollowupEvent, consumers=("plans", "intake", "attendance")):
    """The record of a circumstance was a mistake.

    Retracts `CircumstanceRecorded` with the same `circumstance_id`, as if it had never been recorded.
    """

    circumstance_id: CircumstanceId
    """Identifies the circumstance."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """The kind of mistake that is taken back."""


class AftercareCompleted(FollowupEvent):
    """The aftercare of the person ended as planned.

    Published once, after the last day of aftercare.
    """

    check_ins_done: Count = Field(examples=[8])
    """The number of check-ins at which the person was reached."""
    check_ins_due: Count = Field(examples=[8])
    """The number of check-ins that the calendar of aftercare contained."""
    completed_at: Timestamp
    """The time at which aftercare ended."""


class LoopEscalated(Escalation, FollowupEvent):
    """An open task about the episode missed its deadline, and the next role owns it.

    Published for each step of the escalation. `EscalationCleared` with the same `loop_id` retracts all steps.
    """

    loop: FollowupLoop = Field(examples=["outreach"])
    """The kind of task."""


class EscalationCleared(Clearance, FollowupEvent, consumers=("plans",)):
    """The escalation of a task about the episode ended.

    Retracts every `LoopEscalated` with the same `loop_id`.
    """

    loop: FollowupLoop = Field(examples=["outreach"])
    """The kind of task."""
