"""The tables that map other services' events, this service's own handoffs, and deadlines to followup's rules.

`invariants.py` defines what must hold after each of these decisions.
"""

from services.followup import event_handlers, going_on, invariants, mistakes
from services.followup.aftercare import aftercare, appointments, check_ins, readmission, risks
from services.followup.episode import contact, episode_state, upcoming_sessions
from services.followup.outreach import outreach
from shared import loops
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import FollowupLoop
from shared.loops import role_vacated, team_assigned
from shared.runtime.core.deadlines import Deadlines, LoopDeadlines, due, due_for
from shared.runtime.core.handoffs import HandoffRules, handles
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.void import Void
from shared.runtime.http.task_lists import STAFF_REACTIONS

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
    # who looks after whom, and what was a mistake
    on(intake.CareTeamAssigned, team_assigned),
    on(intake.CareTeamRoleVacated, role_vacated),
    on(intake.EpisodeEnteredInError, mistakes.entered_in_error),
    on(intake.ReferralMerged, mistakes.merged),
    on(intake.EpisodeEnteredInErrorUndone, mistakes.restored, void=Void.RUN),
    on(intake.ReferralMergedUndone, mistakes.restored, void=Void.RUN),
    on(intake.AdmissionUndone, mistakes.admission_undone),
    on(intake.EpisodePersonCorrected, mistakes.person_corrected),
    *STAFF_REACTIONS,
    # the program
    on(attendance.SessionScheduled, upcoming_sessions.scheduled),
    on(attendance.SessionCancelled, upcoming_sessions.cancelled),
    on(attendance.SessionRescheduled, upcoming_sessions.rescheduled),
    on(attendance.SessionCancellationUndone, upcoming_sessions.put_back),
    on(attendance.SessionAttended, outreach.ATTENDED),
    on(attendance.SessionMissed, outreach.MISSED),
    on(attendance.AttendanceCorrected, outreach.CORRECTED),
    on(attendance.AbsenceThresholdReached, outreach.THRESHOLD_REACHED),
    on(attendance.ParticipationPaused, going_on.PAUSED),
    on(attendance.ParticipationResumed, going_on.RESUMED),
    on(attendance.WeeklyHoursShortfallDetected, going_on.HOURS_SHORT),
    on(attendance.WeeklyHoursEvaluated, going_on.WEEK_EVALUATED),
    on(attendance.ScreenOrdered, event_handlers.screen_ordered),
    on(attendance.ScreenOrderUndone, event_handlers.screen_order_undone),
    on(attendance.SpecimenUndone, event_handlers.specimen_undone),
    on(attendance.ScreenInterpreted, event_handlers.screen_interpreted),
    on(attendance.InterpretationUndone, event_handlers.interpretation_undone),
    on(plans.TreatmentPlanActivated, event_handlers.plan_activated),
    on(plans.GoalAdded, event_handlers.goal_added),
    on(plans.GoalWithdrawn, event_handlers.goal_withdrawn),
    on(plans.GoalUpdated, event_handlers.goal_updated),
    on(plans.GoalAchieved, event_handlers.goal_achieved),
    on(plans.TreatmentPlanReviewDue, event_handlers.plan_review_due),
    on(plans.TreatmentPlanReviewOverdue, event_handlers.plan_review_overdue),
    on(plans.TreatmentPlanReviewed, event_handlers.plan_reviewed),
    on(plans.CoOccurringNeedIdentified, event_handlers.co_occurring),
    on(plans.ClinicalReviewRequested, event_handlers.review_requested),
    on(plans.ClinicalReviewOverdue, event_handlers.review_overdue),
    on(plans.ClinicalReviewCompleted, event_handlers.review_completed),
    on(plans.ClinicalReviewUndone, event_handlers.review_undone),
    on(plans.LevelOfCareChangeRecommended, event_handlers.change_recommended),
    on(plans.LevelOfCareChanged, appointments.level_changed),
    on(plans.LevelOfCareChangeUndone, appointments.level_change_undone),
    on(plans.TransferInitiated, event_handlers.transfer_initiated),
    on(plans.TransferCompleted, event_handlers.transfer_completed),
    on(plans.TransferFellThrough, event_handlers.transfer_fell_through),
    # the end, and what comes after it
    on(plans.AftercarePlanDrafted, aftercare.drafted),
    on(plans.GraduationApproved, aftercare.approved),
    on(plans.ProgramGraduated, aftercare.graduated),
    on(plans.EpisodeDischarged, aftercare.discharged),
    on(plans.TransferUndone, event_handlers.transfer_undone),
    on(plans.FirstContactUndone, going_on.first_contact_undone),
    on(plans.GraduationUndone, going_on.graduation_undone),
    on(plans.DischargeUndone, going_on.discharge_undone),
)

HANDOFFS = HandoffRules(
    handles(episode_state.Readmitted, readmission.readmitted),
    handles(episode_state.ReadmissionUndone, readmission.readmission_undone),
)

DEADLINES = Deadlines[episode_state.EpisodeState](
    due("silence", contact.silence),
    due_for("check-in-opens", check_ins.opened),
    due_for("check-in", check_ins.closed),
    due("aftercare-over", aftercare.over),
    loops=LoopDeadlines(
        FollowupLoop,
        {
            FollowupLoop.OUTREACH: outreach.due,
            FollowupLoop.CHECK_IN: check_ins.looked_at,
            FollowupLoop.RISK_RESPONSE: risks.due,
            FollowupLoop.TIMELY_VISIT: invariants.clock_due,
        },
        default=loops.escalate,
    ),
)
outreach.LATE.with_deadlines(DEADLINES.decide)
mistakes.MEANWHILE.with_rows((*REACTIONS.rules, *HANDOFFS.rules))
mistakes.MEANWHILE.with_deadlines(DEADLINES.decide)
