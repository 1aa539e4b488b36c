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
    """How a person is reached."""

    CALL = "call"
    SMS = "sms"
    PORTAL = "portal"
    VISIT = "visit"
    POST = "post"
    PEER = "peer"
    UNKNOWN = "unknown"


class AttemptResult(OpenEnum):
    """What came of an attempt to reach a person."""

    REACHED = "reached"
    NO_ANSWER = "no_answer"
    VOICEMAIL = "voicemail"
    WRONG_NUMBER = "wrong_number"
    REFUSED = "refused"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"


class UseSince(OpenEnum):
    """Whether there was use since the last contact."""

    NONE = "none"
    SOME = "some"
    NOT_STATED = "not_stated"
    UNKNOWN = "unknown"


class Taken(OpenEnum):
    """Whether medication is taken."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    NOT_PRESCRIBED = "not_prescribed"
    UNKNOWN = "unknown"


class Housing(OpenEnum):
    """How the person lives."""

    STABLE = "stable"
    RECOVERY_HOUSING = "recovery_housing"
    AT_RISK = "at_risk"
    UNHOUSED = "unhoused"
    UNKNOWN = "unknown"


class Work(OpenEnum):
    """What the person does by day."""

    WORKING = "working"
    STUDYING = "studying"
    CARING = "caring"
    LOOKING = "looking"
    NOT_WORKING = "not_working"
    UNKNOWN = "unknown"


class Support(OpenEnum):
    """How well the person is supported."""

    STRONG = "strong"
    SOME = "some"
    NONE = "none"
    UNKNOWN = "unknown"


class RiskFlag(OpenEnum):
    """Something that came up at a check-in and needs an answer."""

    SUICIDE_RISK = "suicide_risk"
    OVERDOSE_RISK = "overdose_risk"
    WITHDRAWAL = "withdrawal"
    CRAVING = "craving"
    VIOLENCE = "violence"
    HOUSING_LOSS = "housing_loss"
    MEDICATION_GAP = "medication_gap"
    UNKNOWN = "unknown"


class OutreachCause(OpenEnum):
    """Why someone reaches out."""

    SESSION_MISSED = "session_missed"
    ABSENCE_THRESHOLD = "absence_threshold"
    ASSESSMENT_MISSED = "assessment_missed"
    CHECK_IN_MISSED = "check_in_missed"
    WAITLIST = "waitlist"
    REFERRAL = "referral"
    RISK = "risk"
    UNKNOWN = "unknown"


class ReportedBy(OpenEnum):
    """Where the knowledge of a return to use comes from."""

    PATIENT = "patient"
    FAMILY = "family"
    CLINICIAN = "clinician"
    PARTNER = "partner"
    COURT = "court"
    UNKNOWN = "unknown"


class SubstanceClass(OpenEnum):
    """The class of a substance; never the substance itself."""

    ALCOHOL = "alcohol"
    OPIOIDS = "opioids"
    STIMULANTS = "stimulants"
    SEDATIVES = "sedatives"
    CANNABIS = "cannabis"
    HALLUCINOGENS = "hallucinogens"
    INHALANTS = "inhalants"
    NOT_STATED = "not_stated"
    UNKNOWN = "unknown"


class ReengagementCause(OpenEnum):
    """What started a re-engagement."""

    RETURN_TO_USE = "return_to_use"
    CONTACT_REGAINED = "contact_regained"
    SELF_REQUEST = "self_request"
    RISK = "risk"
    UNKNOWN = "unknown"


class ReengagementOutcome(OpenEnum):
    """Where a re-engagement led."""

    READMITTED = "readmitted"
    OUTPATIENT = "outpatient"
    MEDICATION = "medication"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


class TransitionKind(OpenEnum):
    """Where a person came out of, so that they must be seen in time."""

    ED_VISIT = "ed_visit"
    INPATIENT_DISCHARGE = "inpatient_discharge"
    RESIDENTIAL_DISCHARGE = "residential_discharge"
    WM_DISCHARGE = "wm_discharge"
    UNKNOWN = "unknown"


class CircumstanceKind(OpenEnum):
    """What happened to a person because of which nobody calls them."""

    DECEASED = "deceased"
    INCARCERATED = "incarcerated"
    HOSPITALIZED = "hospitalized"
    MOVED_AWAY = "moved_away"
    UNKNOWN = "unknown"


class FollowupEvent(Event, source="care.followup"):
    """A fact that followup publishes."""


class AftercarePlanActivated(FollowupEvent):
    """The year of aftercare has begun.

    Partners may tell the receiving places, reporting starts its measures. Episode: > in aftercare.
    """

    aftercare_plan_id: AftercarePlanId
    """The aftercare plan."""
    aftercare_days: int = Field(ge=1, le=3660, examples=[365])
    """How many days it runs."""
    elements: tuple[ElementCode, ...] = Field(
        max_length=50, examples=[["first-appointment", "crisis-contacts"]]
    )
    """What it consists of."""


class AftercarePlanAgreed(FollowupEvent):
    """The person and staff agreed what aftercare consists of; it outranks any draft, and may be agreed again.

    Partners may tell the receiving places, reporting sees who left with a plan. Aftercare plan: > agreed.
    """

    aftercare_plan_id: AftercarePlanId
    """The aftercare plan."""
    elements: tuple[ElementCode, ...] = Field(
        min_length=1, max_length=50, examples=[["crisis-contacts", "support-meetings"]]
    )
    """What it consists of."""
    appointment_at: Timestamp | None = Field(default=None, examples=["2026-03-06T16:00:00Z"])
    """The first appointment after discharge, where one is booked."""


class CheckInScheduled(FollowupEvent):
    """A check-in has its times.

    Nobody else acts on it; it makes the calendar visible to operations. Check-in: > scheduled.
    """

    check_in_id: CheckInId
    """The check-in."""
    milestone: Milestone = Field(examples=["days_7"])
    """Which one of the calendar it is."""
    opens_at: Timestamp = Field(examples=["2026-03-08T15:00:00Z"])
    """From when it counts."""
    due_at: Timestamp = Field(examples=["2026-03-09T15:00:00Z"])
    """When it should take place."""
    closes_at: Timestamp = Field(examples=["2026-03-11T15:00:00Z"])
    """Until when it counts."""
    channel: Channel = Field(examples=["call"])
    """How the person prefers to be reached."""


class CheckInAttempted(FollowupEvent):
    """Someone tried to reach the person for a check-in.

    Reporting counts attempts and channels. Check-in: scheduled > attempting.
    """

    check_in_id: CheckInId
    """The check-in."""
    attempt: int = Field(ge=1, le=100, examples=[1])
    """Which attempt it was, from 1."""
    channel: Channel = Field(examples=["call"])
    """How it was tried."""
    result: AttemptResult = Field(examples=["no_answer"])
    """What came of it."""


class CheckInAttemptUndone(FollowupEvent):
    """That somebody tried to reach the person for a check-in was a mistake.

    Retracts `CheckInAttempted`: reporting counts no such attempt. Check-in: attempting > scheduled.
    """

    check_in_id: CheckInId
    """The check-in."""
    attempt: int = Field(ge=1, le=100, examples=[1])
    """Which attempt it was, from 1."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class CheckInCompleted(FollowupEvent, consumers=("plans",)):
    """The person was reached and answered.

    Plans reviews risks, reporting measures outcomes. Check-in: > done.
    """

    check_in_id: CheckInId
    """The check-in."""
    use_since: UseSince = Field(examples=["none"])
    """Whether there was use since the last contact."""
    medication_taken: Taken | None = Field(default=None, examples=["yes"])
    """Whether medication is taken, where asked."""
    housing: Housing | None = Field(default=None, examples=["stable"])
    """How the person lives, where asked."""
    work: Work | None = Field(default=None, examples=["working"])
    """What the person does by day, where asked."""
    support: Support | None = Field(default=None, examples=["some"])
    """How well the person is supported, where asked."""
    risk_flags: tuple[RiskFlag, ...] = Field(default=(), max_length=20, examples=[["craving"]])
    """What needs an answer; empty when nothing does."""


class CheckInUndone(FollowupEvent, consumers=("plans",)):
    """That a check-in was completed was a mistake: nothing that it says holds, and it is open until its window closes.

    Retracts `CheckInCompleted`: plans looks at no risk because of it. Check-in: done > open.
    """

    check_in_id: CheckInId
    """The check-in."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class CheckInMissed(FollowupEvent):
    """The window of a check-in closed without reaching the person.

    Reporting counts it. Check-in: > missed.
    """

    check_in_id: CheckInId
    """The check-in."""
    attempts: Count
    """How often it was tried."""
    channels_tried: Count
    """Over how many channels; absent where it was not counted."""


class ContactLost(FollowupEvent):
    """Nobody has reached the person for long; the door stays open.

    Partners may tell who is allowed to know. Episode: > lost; a later contact reopens it.
    """

    days_silent: Count = Field(examples=[30])
    """Whole days without contact."""


class OutreachEscalated(FollowupEvent, consumers=("plans",)):
    """Reaching out went a tier up.

    Plans reviews from the second tier on. Outreach: tier + 1; ends with the next contact.
    """

    cause: OutreachCause = Field(examples=["session_missed"])
    """Why someone reaches out."""
    tier: int = Field(ge=1, le=10, examples=[2])
    """The tier reached, from 1."""


class ReturnToUseReported(FollowupEvent, consumers=("plans", "intake")):
    """The person used again. It resets nothing and opens the way back. Retracted by `ReturnToUseUndone`.

    Plans reviews, intake prepares an assessment. Episode: aftercare > re-engaging.
    """

    report_id: ReportId
    """The report."""
    reported_by: ReportedBy = Field(examples=["patient"])
    """Where the knowledge comes from."""
    substance_class: SubstanceClass = Field(examples=["alcohol"])
    """The class of the substance."""
    overdose: bool = Field(examples=[False])
    """Whether it was an overdose."""
    occurred_on: Day | None = Field(default=None, examples=["2026-05-11"])
    """The day, where known."""


class ReturnToUseUndone(FollowupEvent, consumers=("plans", "intake")):
    """A return to use was reported by mistake.

    Retracts `ReturnToUseReported`: plans looks at nothing because of it, and nobody who assesses the person reads it.
    """

    report_id: ReportId
    """The report."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class ReengagementStarted(FollowupEvent, consumers=("intake",)):
    """The way back into care is being prepared.

    Intake makes room for a reassessment. Episode: > re-engaging.
    """

    reengagement_id: ReengagementId
    """The way back, by the id that followup's HTTP uses."""
    cause: ReengagementCause = Field(examples=["return_to_use"])
    """What started it."""
    reassessment_due_at: Timestamp
    """When the person should have been reassessed."""


class ReengagementCompleted(FollowupEvent, consumers=("intake",)):
    """It is known where the way back led.

    Intake and reporting stop waiting. Episode: re-engaging > aftercare, or a new episode.
    """

    reengagement_id: ReengagementId
    """The way back, by the id that followup's HTTP uses."""
    outcome: ReengagementOutcome = Field(examples=["readmitted"])
    """Where it led."""


class ReadmissionRequested(FollowupEvent, consumers=("intake",)):
    """The person should be admitted again; the subject is the prior episode.

    Intake opens a new referral, whose admission names the prior episode. No transition here.
    """

    urgency: Urgency = Field(examples=["urgent"])
    """How fast the person has to be seen."""
    discharged_at: Timestamp
    """The end after which they come back; taken back, nobody is to be admitted again."""


class TransitionReported(FollowupEvent):
    """The person was in an emergency department, or came out of a bed.

    Reporting counts who was seen in time; followup opens a loop for it. No transition of the episode.
    """

    transition_id: TransitionId
    """The report; the same for the same kind and day of an episode."""
    kind: TransitionKind = Field(examples=["ed_visit"])
    """Where the person came out of."""
    occurred_on: Day
    """The day of the visit, or of the discharge from there."""


class TransitionUndone(FollowupEvent):
    """An emergency visit or a discharge elsewhere was reported by mistake.

    Retracts `TransitionReported`: no clock counts from it. Transition: > none.
    """

    transition_id: TransitionId
    """The report; the same for the same kind and day of an episode."""
    kind: TransitionKind = Field(examples=["ed_visit"])
    """What had been reported."""
    occurred_on: Day
    """The day that had been reported."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class CircumstanceRecorded(FollowupEvent, consumers=("plans", "intake", "attendance")):
    """The person died, is in jail or in hospital, or has moved away: nobody calls them or their family.

    Plans decides on the discharge of who is in treatment, intake stops the way into care and closes the referral,
    attendance chases no absence of that time.
    Retracted by `CircumstanceUndone`, ended by `CircumstanceEnded`. Circumstance: > holds.
    """

    circumstance_id: CircumstanceId
    """The circumstance."""
    kind: CircumstanceKind = Field(examples=["deceased"])
    """What happened."""
    occurred_on: Day
    """The day."""


class CircumstanceEnded(FollowupEvent, consumers=("plans", "intake", "attendance")):
    """The person is back from jail or hospital, or lives here again: they may be called.

    Plans decides on no discharge because of it, intake goes on with the way into care. Circumstance: holds > ended.
    """

    circumstance_id: CircumstanceId
    """The circumstance."""
    ended_at: Timestamp
    """When."""


class CircumstanceUndone(FollowupEvent, consumers=("plans", "intake", "attendance")):
    """It was recorded by mistake: whoever was called is called again, as if it had not been.

    Retracts `CircumstanceRecorded`. Circumstance: > none.
    """

    circumstance_id: CircumstanceId
    """The circumstance."""
    reason: MistakeReason = Field(examples=["wrong_person"])
    """Why it is taken back."""


class AftercareCompleted(FollowupEvent):
    """The year of aftercare is over.

    Reporting measures the whole path. Episode: aftercare > completed.
    """

    check_ins_done: Count = Field(examples=[8])
    """Check-ins that reached the person."""
    check_ins_due: Count = Field(examples=[8])
    """Check-ins that were due."""
    completed_at: Timestamp
    """When."""


class LoopEscalated(Escalation, FollowupEvent):
    """An open loop of followup missed a deadline and has a new owner.

    The operations view shows it, reporting counts it. Loop: open > escalated, one step further.
    """

    loop: FollowupLoop = Field(examples=["outreach"])
    """What is waited for."""


class EscalationCleared(Clearance, FollowupEvent, consumers=("plans",)):
    """An escalation of followup no longer stands.

    Retracts every `LoopEscalated` of the same loop. An outreach that is withdrawn had no miss behind it: plans asks for
    no review because of it. Loop: escalated > closed.
    """

    loop: FollowupLoop = Field(examples=["outreach"])
    """What was waited for."""
