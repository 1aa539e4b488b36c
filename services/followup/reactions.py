"""What followup does about what others say, and when its own deadlines come."""

from collections.abc import Callable
from typing import Final

from services.followup import event_handlers, invariants, mistakes
from services.followup.aftercare import aftercare, appointments, check_ins, risks
from services.followup.episode import consents, episode_state, upcoming_sessions
from services.followup.episode.episode_state import EpisodeState
from services.followup.outreach import outreach, reengagement
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import FollowupLoop
from shared.contracts.event import Event
from shared.decision import Cause, Decision
from shared.loops import team_assigned
from shared.runtime.core.reactions import Reaction, Reactions
from shared.runtime.core.reactions import on as row
from shared.runtime.core.reactor import HandoffRules
from shared.runtime.http.task_lists import STAFF_REACTIONS


def on(event: type[Event], rule: invariants.Rule) -> Reaction:
    """A row about an episode. Whose it is may become known by it: the person's record is told."""

    def decide(state: EpisodeState, event: Event, cause: Cause) -> Decision[EpisodeState]:
        decision = rule(state, event, cause)
        joining = consents.between(state, decision.state, cause)
        handoffs = (*decision.handoffs, *joining)
        return Decision(decision.state, decision.events, handoffs, decision.answer)

    return Reaction(event, invariants.heard(decide))


REACTIONS = Reactions(
    # from the referral to the admission
    on(intake.ReferralReceived, event_handlers.referral_received),
    on(intake.ReferralDeclined, event_handlers.referral_declined),
    on(intake.AssessmentScheduled, event_handlers.assessment_scheduled),
    on(intake.ImminentDangerIdentified, event_handlers.danger_identified),
    on(intake.EligibilityDetermined, event_handlers.eligibility_determined),
    on(intake.WaitlistJoined, event_handlers.waitlist_joined),
    on(intake.WaitlistOffered, event_handlers.waitlist_offered),
    on(intake.WaitlistLeft, event_handlers.waitlist_left),
    on(intake.PatientAdmitted, aftercare.admitted),
    # partners
    on(intake.ReferralSent, event_handlers.referral_sent),
    on(intake.PartnerReferralAccepted, event_handlers.partner_accepted),
    on(intake.PartnerReferralRejected, event_handlers.partner_rejected),
    on(intake.ReferralLoopOverdue, event_handlers.referral_overdue),
    on(intake.ReferralLoopClosed, event_handlers.referral_closed),
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
    row(attendance.SessionScheduled, upcoming_sessions.scheduled),
    row(attendance.SessionCancelled, upcoming_sessions.cancelled),
    on(attendance.SessionAttended, outreach.held_back(attendance.SessionAttended)),
    on(attendance.SessionMissed, outreach.held_back(attendance.SessionMissed)),
    on(attendance.AttendanceCorrected, outreach.held_back(attendance.AttendanceCorrected)),
    on(attendance.AbsenceThresholdReached, outreach.held_back(attendance.AbsenceThresholdReached)),
    on(attendance.ParticipationPaused, event_handlers.paused),
    on(attendance.ParticipationResumed, event_handlers.resumed),
    on(attendance.WeeklyHoursShortfallDetected, event_handlers.hours_short),
    on(attendance.ScreenOrdered, event_handlers.screen_ordered),
    on(attendance.ScreenInterpreted, event_handlers.screen_interpreted),
    on(attendance.ScreenFailed, event_handlers.screen_failed),
    on(plans.TreatmentPlanActivated, event_handlers.plan_activated),
    on(plans.GoalAdded, event_handlers.goal_open),
    on(plans.GoalUpdated, event_handlers.goal_open),
    on(plans.GoalAchieved, event_handlers.goal_achieved),
    on(plans.TreatmentPlanReviewDue, event_handlers.plan_review_due),
    on(plans.TreatmentPlanReviewOverdue, event_handlers.plan_review_overdue),
    on(plans.TreatmentPlanReviewed, event_handlers.plan_reviewed),
    on(plans.CoOccurringNeedIdentified, event_handlers.co_occurring),
    on(plans.ClinicalReviewRequested, event_handlers.review_requested),
    on(plans.ClinicalReviewOverdue, event_handlers.review_overdue),
    on(plans.ClinicalReviewCompleted, event_handlers.review_completed),
    on(plans.LevelOfCareChangeRecommended, event_handlers.change_recommended),
    on(plans.LevelOfCareChanged, appointments.level_changed),
    on(plans.TransferInitiated, event_handlers.transfer_initiated),
    on(plans.TransferCompleted, event_handlers.transfer_completed),
    # the end, and what comes after it
    on(plans.AftercarePlanDrafted, aftercare.drafted),
    on(plans.GraduationApproved, aftercare.approved),
    on(plans.ProgramGraduated, aftercare.graduated),
    on(plans.EpisodeDischarged, aftercare.discharged),
)

HANDOFFS = HandoffRules(
    {
        aftercare.Readmitted: invariants.heard(aftercare.readmitted),
        aftercare.ReadmissionUndone: invariants.heard(aftercare.readmission_undone),
        consents.Joined: consents.joined,
        consents.Left: consents.left,
        consents.Holding: consents.holding,
    }
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to."""
    return invariants.told(lambda s, c: _rule(s, name, c))(state, cause)


def _rule(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    kind, _, detail = name.partition(":")
    match kind:
        case "silence":
            return episode_state.silence(state, cause)
        case "check-in-opens":
            return check_ins.opened(state, detail, cause)
        case "check-in":
            return check_ins.closed(state, detail, cause)
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
    FollowupLoop.CHECK_IN: check_ins.looked_at,
    FollowupLoop.RISK_RESPONSE: risks.due,
    FollowupLoop.AFTERCARE_PLAN: aftercare.loop_due,
    FollowupLoop.FIRST_APPOINTMENT: appointments.due,
    FollowupLoop.REENGAGEMENT: reengagement.due,
    FollowupLoop.LOST_CONTACT: episode_state.look_again,
    FollowupLoop.TIMELY_VISIT: invariants.clock_due,
    FollowupLoop.MISSING_FACT: aftercare.loop_due,
}
