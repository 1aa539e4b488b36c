"""What followup does about what others say, and when its own deadlines come."""

from collections.abc import Callable
from typing import Final

from services.followup import (
    aftercare,
    appointments,
    checkins,
    consents,
    domain,
    heard,
    mistakes,
    outreach,
    reengagement,
    risks,
    sessions,
    watch,
)
from services.followup.domain import EpisodeState
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import FollowupLoop
from shared.contracts.event import Event
from shared.decision import Cause, Decision
from shared.loops import team_assigned
from shared.runtime.reactions import Reaction, Reactions
from shared.runtime.reactions import on as row
from shared.runtime.reactor import HandoffRules
from shared.runtime.work import STAFF_REACTIONS


def on(event: type[Event], rule: watch.Rule) -> Reaction:
    """A row about an episode. Whose it is may become known by it: the person's record is told."""

    def decide(state: EpisodeState, event: Event, cause: Cause) -> Decision[EpisodeState]:
        decision = rule(state, event, cause)
        joining = consents.between(state, decision.state, cause)
        handoffs = (*decision.handoffs, *joining)
        return Decision(decision.state, decision.events, handoffs, decision.answer)

    return Reaction(event, watch.heard(decide))


REACTIONS = Reactions(
    # from the referral to the admission
    on(intake.ReferralReceived, heard.referral_received),
    on(intake.ReferralDeclined, heard.referral_declined),
    on(intake.AssessmentScheduled, heard.assessment_scheduled),
    on(intake.ImminentDangerIdentified, heard.danger_identified),
    on(intake.EligibilityDetermined, heard.eligibility_determined),
    on(intake.WaitlistJoined, heard.waitlist_joined),
    on(intake.WaitlistOffered, heard.waitlist_offered),
    on(intake.WaitlistLeft, heard.waitlist_left),
    on(intake.PatientAdmitted, aftercare.admitted),
    # partners
    on(intake.ReferralSent, heard.referral_sent),
    on(intake.PartnerReferralAccepted, heard.partner_accepted),
    on(intake.PartnerReferralRejected, heard.partner_rejected),
    on(intake.ReferralLoopOverdue, heard.referral_overdue),
    on(intake.ReferralLoopClosed, heard.referral_closed),
    # who may be told, who looks after whom, and what was a mistake
    row(intake.ConsentGranted, consents.granted),
    row(intake.ConsentRevoked, consents.ended),
    row(intake.ConsentExpired, consents.ended),
    on(intake.CareTeamAssigned, team_assigned),
    on(intake.EpisodeEnteredInError, mistakes.entered_in_error),
    on(intake.ReferralMerged, mistakes.merged),
    on(intake.AdmissionUndone, mistakes.admission_undone),
    on(intake.EpisodePersonCorrected, mistakes.person_corrected),
    *STAFF_REACTIONS,
    # the program
    row(attendance.SessionScheduled, sessions.scheduled),
    row(attendance.SessionCancelled, sessions.cancelled),
    on(attendance.SessionAttended, outreach.held_back(attendance.SessionAttended)),
    on(attendance.SessionMissed, outreach.held_back(attendance.SessionMissed)),
    on(attendance.AttendanceCorrected, outreach.held_back(attendance.AttendanceCorrected)),
    on(attendance.AbsenceThresholdReached, outreach.held_back(attendance.AbsenceThresholdReached)),
    on(attendance.ParticipationPaused, heard.paused),
    on(attendance.ParticipationResumed, heard.resumed),
    on(attendance.WeeklyHoursShortfallDetected, heard.hours_short),
    on(attendance.ScreenOrdered, heard.screen_ordered),
    on(attendance.ScreenInterpreted, heard.screen_interpreted),
    on(attendance.ScreenFailed, heard.screen_failed),
    on(plans.TreatmentPlanActivated, heard.plan_activated),
    on(plans.GoalAdded, heard.goal_open),
    on(plans.GoalUpdated, heard.goal_open),
    on(plans.GoalAchieved, heard.goal_achieved),
    on(plans.TreatmentPlanReviewDue, heard.plan_review_due),
    on(plans.TreatmentPlanReviewOverdue, heard.plan_review_overdue),
    on(plans.TreatmentPlanReviewed, heard.plan_reviewed),
    on(plans.CoOccurringNeedIdentified, heard.co_occurring),
    on(plans.ClinicalReviewRequested, heard.review_requested),
    on(plans.ClinicalReviewOverdue, heard.review_overdue),
    on(plans.ClinicalReviewCompleted, heard.review_completed),
    on(plans.LevelOfCareChangeRecommended, heard.change_recommended),
    on(plans.LevelOfCareChanged, appointments.level_changed),
    on(plans.TransferInitiated, heard.transfer_initiated),
    on(plans.TransferCompleted, heard.transfer_completed),
    # the end, and what comes after it
    on(plans.AftercarePlanDrafted, aftercare.drafted),
    on(plans.GraduationApproved, aftercare.approved),
    on(plans.ProgramGraduated, aftercare.graduated),
    on(plans.EpisodeDischarged, aftercare.discharged),
)

HANDOFFS = HandoffRules(
    {
        aftercare.Readmitted: watch.heard(aftercare.readmitted),
        aftercare.ReadmissionUndone: watch.heard(aftercare.readmission_undone),
        consents.Joined: consents.joined,
        consents.Left: consents.left,
        consents.Holding: consents.holding,
    }
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to."""
    return watch.told(lambda s, c: _rule(s, name, c))(state, cause)


def _rule(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    kind, _, detail = name.partition(":")
    match kind:
        case "silence":
            return domain.silence(state, cause)
        case "check-in-opens":
            return checkins.opened(state, detail, cause)
        case "check-in":
            return checkins.closed(state, detail, cause)
        case "aftercare-over":
            return aftercare.over(state, cause)
        case "loop":
            return _loop_rule(detail.partition(":")[0])(state, name, cause)
        case _:
            raise ValueError(f"unknown deadline {kind}")


LoopRule = Callable[[EpisodeState, str, Cause], Decision[EpisodeState]]


def _loop_rule(kind: str) -> LoopRule:
    """What is done when a loop of a kind is not closed in time."""
    return LOOP_RULES[FollowupLoop(kind)]


LOOP_RULES: Final[dict[FollowupLoop, LoopRule]] = {
    FollowupLoop.OUTREACH: outreach.due,
    FollowupLoop.CHECK_IN: checkins.looked_at,
    FollowupLoop.RISK_RESPONSE: risks.due,
    FollowupLoop.AFTERCARE_PLAN: aftercare.loop_due,
    FollowupLoop.FIRST_APPOINTMENT: appointments.due,
    FollowupLoop.REENGAGEMENT: reengagement.due,
    FollowupLoop.LOST_CONTACT: domain.look_again,
    FollowupLoop.TIMELY_VISIT: watch.clock_due,
    FollowupLoop.MISSING_FACT: aftercare.loop_due,
}
