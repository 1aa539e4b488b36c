"""The map from the clinical names, docs/domain.md 6 (Event names), to our event types.

The clinical name stays findable where ours differs: most are the same words, a few were renamed
or split, and a few facts are ours alone. Each difference has its reason here, and a test holds the
map against the catalogue in both directions.
"""

from __future__ import annotations

from typing import Final

NAMES: Final[dict[str, tuple[str, ...]]] = {
    # intake
    "ReferralReceived": ("care.intake.referral-received.v1",),
    "ReferralAcknowledged": ("care.intake.referral-acknowledged.v1",),
    "ReferralDeclined": ("care.intake.referral-declined.v1",),
    "ConsentGranted": ("care.intake.consent-granted.v1",),
    "ConsentRevoked": ("care.intake.consent-revoked.v1",),
    "ConsentExpired": ("care.intake.consent-expired.v1",),
    "DisclosureRecorded": ("care.intake.disclosure-recorded.v1",),
    "EmergencyDisclosureMade": ("care.intake.emergency-disclosure-made.v1",),
    "AssessmentScheduled": ("care.intake.assessment-scheduled.v1",),
    "AssessmentCompleted": ("care.intake.assessment-completed.v1",),
    "ImminentDangerIdentified": ("care.intake.imminent-danger-identified.v1",),
    "LevelOfCareRecommended": ("care.intake.level-recommended.v1",),
    "EligibilityDetermined": ("care.intake.eligibility-determined.v1",),
    "PlacementDecided": ("care.intake.placement-decided.v1",),
    "WaitlistJoined": ("care.intake.waitlist-joined.v1",),
    "WaitlistOffered": ("care.intake.waitlist-offered.v1",),
    "WaitlistLeft": ("care.intake.waitlist-left.v1",),
    "PatientAdmitted": ("care.intake.patient-admitted.v1",),
    "OrientationCompleted": ("care.intake.orientation-completed.v1",),
    "ReferralSent": ("care.intake.referral-sent.v1",),
    "PartnerReferralAccepted": ("care.intake.partner-referral-accepted.v1",),
    "PartnerReferralRejected": ("care.intake.partner-referral-rejected.v1",),
    "ReferralLoopOverdue": ("care.intake.referral-loop-overdue.v1",),
    "ReferralLoopClosed": ("care.intake.referral-loop-closed.v1",),
    # plans
    "TreatmentPlanActivated": ("care.plans.treatment-plan-activated.v1",),
    "GoalAdded": ("care.plans.goal-added.v1",),
    "GoalUpdated": ("care.plans.goal-updated.v1",),
    "GoalAchieved": ("care.plans.goal-achieved.v1",),
    "TreatmentPlanReviewDue": ("care.plans.treatment-plan-review-due.v1",),
    "TreatmentPlanReviewOverdue": ("care.plans.treatment-plan-review-overdue.v1",),
    "TreatmentPlanReviewed": ("care.plans.treatment-plan-reviewed.v1",),
    "ExpectedAnalytesUpdated": ("care.plans.expected-analytes-updated.v1",),
    "CoOccurringNeedIdentified": ("care.plans.co-occurring-need-identified.v1",),
    "AncillaryServiceAdded": ("care.plans.ancillary-service-added.v1",),
    "ClinicalReviewRequested": ("care.plans.clinical-review-requested.v1",),
    "ClinicalReviewCompleted": ("care.plans.clinical-review-completed.v1",),
    "LevelOfCareChangeRecommended": ("care.plans.level-of-care-change-recommended.v1",),
    "LevelOfCareChanged": ("care.plans.level-of-care-changed.v1",),
    "TransferInitiated": ("care.plans.transfer-initiated.v1",),
    "TransferCompleted": ("care.plans.transfer-completed.v1",),
    "GraduationApproved": ("care.plans.graduation-approved.v1",),
    "PatientGraduated": ("care.plans.program-graduated.v1",),
    "EpisodeDischarged": ("care.plans.episode-discharged.v1",),
    # attendance
    "GroupOpened": ("care.attendance.group-opened.v1",),
    "GroupFilled": ("care.attendance.group-filled.v1",),
    "GroupBelowMinimum": ("care.attendance.group-below-minimum.v1",),
    "SeatReserved": ("care.attendance.seat-reserved.v1",),
    "SeatReleased": ("care.attendance.seat-released.v1",),
    "SessionScheduled": ("care.attendance.session-scheduled.v1",),
    "SessionCancelled": ("care.attendance.session-cancelled.v1",),
    "AttendanceRecorded": (
        "care.attendance.session-attended.v1",
        "care.attendance.session-missed.v1",
    ),
    "AttendanceCorrected": ("care.attendance.attendance-corrected.v1",),
    "AbsenceThresholdReached": ("care.attendance.absence-threshold-reached.v1",),
    "WeeklyHoursEvaluated": ("care.attendance.weekly-hours-evaluated.v1",),
    "WeeklyHoursShortfallDetected": ("care.attendance.weekly-hours-shortfall-detected.v1",),
    "ScreenOrdered": ("care.attendance.screen-ordered.v1",),
    "SpecimenCollected": ("care.attendance.specimen-collected.v1",),
    "CustodyTransferred": ("care.attendance.custody-transferred.v1",),
    "ScreenNotProvided": ("care.attendance.screen-not-provided.v1",),
    "ScreenResulted": ("care.attendance.screen-resulted.v1",),
    "BreathTestRecorded": ("care.attendance.breath-test-recorded.v1",),
    "ScreenInterpreted": (
        "care.attendance.screen-interpreted.v1",
        "care.attendance.screen-failed.v1",
    ),
    "MutualSupportLogged": ("care.attendance.mutual-support-logged.v1",),
    "FamilySessionAttended": ("care.attendance.family-session-attended.v1",),
    "IncentiveEarned": ("care.attendance.incentive-earned.v1",),
    "IncentiveReset": ("care.attendance.incentive-reset.v1",),
    # followup
    "AftercarePlanActivated": ("care.followup.aftercare-plan-activated.v1",),
    "CheckInScheduled": ("care.followup.check-in-scheduled.v1",),
    "CheckInAttempted": ("care.followup.check-in-attempted.v1",),
    "CheckInCompleted": ("care.followup.check-in-completed.v1",),
    "CheckInMissed": ("care.followup.check-in-missed.v1",),
    "ContactLost": ("care.followup.contact-lost.v1",),
    "OutreachEscalated": ("care.followup.outreach-escalated.v1",),
    "ReturnToUseReported": ("care.followup.return-to-use-reported.v1",),
    "ReengagementStarted": ("care.followup.reengagement-started.v1",),
    "ReengagementCompleted": ("care.followup.reengagement-completed.v1",),
    "ReadmissionRequested": ("care.followup.readmission-requested.v1",),
    "AftercareCompleted": ("care.followup.aftercare-completed.v1",),
}
"""Our event types by their clinical names."""

REASONS: Final[dict[str, str]] = {
    "LevelOfCareRecommended": "The shorter name is the usual one.",
    "AttendanceRecorded": (
        "Attendance and absence are two facts, because different people act on them. The field `arrival`"
        " distinguishes attended, late and left early; the field `absence` distinguishes excused and no-show."
    ),
    "ScreenInterpreted": (
        "`screen-failed` is published in addition, only after the interpretation and only for an"
        " unexpected positive."
    ),
    "PatientGraduated": "The name states what the person completed.",
}
"""Why the types of a reference name are not simply that name."""

_ESCALATION = "Every open loop has an owner, a deadline and an escalation."
_DUTY = "A person on duty owns every open loop. During an absence, the deputy does."
_CALLS_END: Final = (
    "After a death, an arrest, a hospital admission or a move, all calls have to end at once."
)
_MISTAKE = "A mistake is retracted by an event of its own and never by an edit."
_PARTNER = "What an organization is, and what was agreed with it, is a fact of its own and no statement of a caller."
_ASKED = "Only the service that owns the consents decides, so other services request a decision by an event."
_PAUSE = "Some programs pause the participation after many absences. The policy is optional."
_CLEARANCE = "Every escalation has an event that retracts it."

ADDITIONS: Final[dict[str, str]] = {
    "care.attendance.session-rescheduled.v1": "A session that moves to another time keeps its id and its roster.",
    "care.attendance.incentive-undone.v1": _MISTAKE,
    "care.attendance.incentive-reset-undone.v1": "A reset can be retracted.",
    "care.attendance.session-cancellation-undone.v1": "A cancellation can be retracted.",
    "care.plans.goal-withdrawn.v1": "A goal that nobody pursues is neither achieved nor open.",
    "care.plans.aftercare-plan-drafted.v1": (
        "Aftercare is planned from the admission on, so that there is a plan after an early exit too."
    ),
    "care.plans.clinical-review-overdue.v1": (
        "A clinical review is due within a working day, and no clinical name states that it was missed."
    ),
    "care.intake.care-team-assigned.v1": _DUTY,
    "care.intake.care-team-role-vacated.v1": _DUTY,
    "care.intake.staff-absence-planned.v1": _DUTY,
    "care.intake.staff-absence-ended.v1": _DUTY,
    "care.intake.partner-registered.v1": _PARTNER,
    "care.intake.partner-agreement-recorded.v1": _PARTNER,
    "care.intake.partner-agreement-ended.v1": _PARTNER,
    "care.intake.disclosure-allowed.v1": _ASKED,
    "care.intake.disclosure-withheld.v1": _ASKED,
    "care.plans.transfer-requested.v1": _ASKED,
    "care.plans.transfer-not-begun.v1": _ASKED,
    "care.plans.transfer-fell-through.v1": "Subscribers that expect an arrival learn that nobody will arrive.",
    "care.intake.disclosure-undone.v1": _MISTAKE,
    "care.intake.episode-entered-in-error.v1": _MISTAKE,
    "care.intake.episode-person-corrected.v1": _MISTAKE,
    "care.intake.referral-merged.v1": _MISTAKE,
    "care.intake.episode-entered-in-error-undone.v1": _MISTAKE,
    "care.intake.referral-merged-undone.v1": _MISTAKE,
    "care.intake.admission-undone.v1": _MISTAKE,
    "care.intake.consent-undone.v1": _MISTAKE,
    "care.intake.consent-revocation-undone.v1": _MISTAKE,
    "care.intake.consent-expiry-undone.v1": _MISTAKE,
    "care.plans.clinical-review-undone.v1": _MISTAKE,
    "care.plans.level-of-care-change-undone.v1": _MISTAKE,
    "care.plans.transfer-undone.v1": _MISTAKE,
    "care.plans.first-contact-undone.v1": _MISTAKE,
    "care.plans.graduation-undone.v1": _MISTAKE,
    "care.plans.discharge-undone.v1": _MISTAKE,
    "care.followup.transition-undone.v1": _MISTAKE,
    "care.followup.check-in-undone.v1": _MISTAKE,
    "care.followup.check-in-attempt-undone.v1": _MISTAKE,
    "care.followup.return-to-use-undone.v1": _MISTAKE,
    "care.followup.circumstance-recorded.v1": _CALLS_END,
    "care.followup.circumstance-ended.v1": _CALLS_END,
    "care.followup.circumstance-undone.v1": _MISTAKE,
    "care.attendance.absence-threshold-undone.v1": _MISTAKE,
    "care.attendance.screen-not-provided-undone.v1": _MISTAKE,
    "care.attendance.screen-order-undone.v1": _MISTAKE,
    "care.attendance.specimen-undone.v1": _MISTAKE,
    "care.attendance.result-undone.v1": _MISTAKE,
    "care.attendance.breath-test-undone.v1": _MISTAKE,
    "care.attendance.interpretation-undone.v1": _MISTAKE,
    "care.attendance.mutual-support-undone.v1": _MISTAKE,
    "care.attendance.family-session-undone.v1": _MISTAKE,
    "care.followup.aftercare-plan-agreed.v1": (
        "What the person agreed to is a fact apart from the calendar of check-ins."
    ),
    "care.followup.transition-reported.v1": (
        "The time limits of the measures FUA and FUI count from this day, and no clinical name states it."
    ),
    "care.intake.loop-escalated.v1": _ESCALATION,
    "care.plans.loop-escalated.v1": _ESCALATION,
    "care.attendance.loop-escalated.v1": _ESCALATION,
    "care.attendance.session-loop-escalated.v1": _ESCALATION,
    "care.attendance.participation-paused.v1": _PAUSE,
    "care.attendance.participation-resumed.v1": _PAUSE,
    "care.attendance.mutual-support-requirement-set.v1": (
        "Nobody has to attend a fellowship: to opt out must not count as a missed requirement."
    ),
    "care.attendance.group-loop-escalated.v1": _ESCALATION,
    "care.followup.loop-escalated.v1": _ESCALATION,
    "care.intake.escalation-cleared.v1": _CLEARANCE,
    "care.plans.escalation-cleared.v1": _CLEARANCE,
    "care.attendance.escalation-cleared.v1": _CLEARANCE,
    "care.attendance.session-escalation-cleared.v1": _CLEARANCE,
    "care.attendance.group-escalation-cleared.v1": _CLEARANCE,
    "care.followup.escalation-cleared.v1": _CLEARANCE,
}
"""Types that no reference name leads to, and why they exist."""
