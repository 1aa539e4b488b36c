"""The tables that map other services' events and this service's deadlines to the rules of plans."""

from datetime import date

from services.plans import (
    aftercare,
    available_sessions,
    episode_state,
    event_handlers,
    late_facts,
    level_changes,
    transfers,
    treatment_plan,
)
from services.plans.event_handlers import undone
from shared.contracts import attendance, followup, intake
from shared.contracts.codes import PlansLoop
from shared.loops import role_vacated, team_assigned
from shared.runtime.core.deadlines import Deadlines, LoopDeadlines, due, due_for
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.void import Void
from shared.runtime.http.task_lists import STAFF_REACTIONS

REACTIONS = Reactions(
    # the way in
    on(intake.AssessmentCompleted, event_handlers.assessed),
    on(intake.LevelRecommended, late_facts.LEVEL_RECOMMENDED),
    on(intake.PlacementDecided, event_handlers.placed),
    on(intake.PatientAdmitted, event_handlers.admitted),
    on(intake.OrientationCompleted, event_handlers.oriented),
    on(intake.ImminentDangerIdentified, late_facts.DANGER),
    # other places
    on(intake.ReferralSent, level_changes.referral_sent),
    on(intake.PartnerReferralAccepted, late_facts.REFERRAL_ACCEPTED),
    on(intake.PartnerReferralRejected, late_facts.REFERRAL_REJECTED),
    on(intake.ReferralLoopClosed, late_facts.REFERRAL_CLOSED),
    on(intake.DisclosureAllowed, transfers.allowed),
    on(intake.DisclosureWithheld, transfers.withheld),
    # sessions, hours, screens
    on(attendance.GroupOpened, available_sessions.group_opened),
    on(attendance.GroupFilled, available_sessions.group_filled),
    on(attendance.GroupBelowMinimum, available_sessions.group_below_minimum),
    on(attendance.SessionScheduled, available_sessions.session_scheduled),
    on(attendance.SessionCancelled, available_sessions.session_cancelled),
    on(attendance.SessionRescheduled, available_sessions.session_rescheduled),
    on(attendance.SessionCancellationUndone, available_sessions.session_put_back),
    on(attendance.SessionAttended, event_handlers.session_attended, unless=undone),
    on(attendance.SessionMissed, event_handlers.session_missed, unless=undone),
    on(attendance.AttendanceCorrected, event_handlers.attendance_corrected, unless=undone),
    on(attendance.AbsenceThresholdReached, late_facts.THRESHOLD, unless=undone),
    on(attendance.ParticipationPaused, late_facts.PAUSED, unless=undone),
    on(attendance.ParticipationResumed, late_facts.RESUMED, unless=undone),
    on(attendance.WeeklyHoursEvaluated, late_facts.WEEK, unless=undone),
    on(attendance.WeeklyHoursShortfallDetected, late_facts.HOURS_SHORT, unless=undone),
    on(attendance.ScreenNotProvided, late_facts.NOT_PROVIDED, unless=undone),
    on(attendance.ScreenResulted, late_facts.RESULTED, unless=undone),
    on(attendance.BreathTestRecorded, late_facts.BREATH, unless=undone),
    on(attendance.ScreenInterpreted, late_facts.INTERPRETED, unless=undone),
    on(attendance.AbsenceThresholdUndone, late_facts.THRESHOLD_UNDONE, unless=undone),
    on(attendance.ScreenNotProvidedUndone, late_facts.NOT_PROVIDED_UNDONE, unless=undone),
    on(attendance.BreathTestUndone, late_facts.BREATH_UNDONE, unless=undone),
    on(attendance.ResultUndone, late_facts.RESULT_UNDONE, unless=undone),
    on(attendance.InterpretationUndone, late_facts.INTERPRETATION_UNDONE, unless=undone),
    on(attendance.MutualSupportUndone, event_handlers.support_undone, unless=undone),
    on(attendance.FamilySessionUndone, event_handlers.family_undone, unless=undone),
    on(attendance.ScreenFailed, late_facts.FAILED, unless=undone),
    on(attendance.MutualSupportLogged, event_handlers.support_logged, unless=undone),
    on(attendance.MutualSupportRequirementSet, event_handlers.support_required, unless=undone),
    on(attendance.FamilySessionAttended, event_handlers.family_attended, unless=undone),
    # after a session, after the program
    on(followup.CheckInCompleted, late_facts.CHECKED_IN, unless=undone),
    on(followup.OutreachEscalated, late_facts.OUTREACH, unless=undone),
    on(followup.CheckInUndone, late_facts.CHECK_IN_UNDONE, unless=undone),
    on(followup.ReturnToUseUndone, late_facts.RETURN_TO_USE_UNDONE, unless=undone),
    on(followup.CircumstanceRecorded, late_facts.CIRCUMSTANCE),
    on(followup.CircumstanceEnded, late_facts.CIRCUMSTANCE_ENDED),
    on(followup.CircumstanceUndone, late_facts.CIRCUMSTANCE_UNDONE),
    on(followup.EscalationCleared, late_facts.OUTREACH_CLEARED, unless=undone),
    on(followup.ReturnToUseReported, late_facts.RETURN_TO_USE, unless=undone),
    # mistakes, and who looks after whom
    on(intake.EpisodeEnteredInError, event_handlers.entered_in_error),
    on(intake.ReferralMerged, event_handlers.merged),
    on(intake.EpisodeEnteredInErrorUndone, event_handlers.restored, void=Void.RUN),
    on(intake.ReferralMergedUndone, event_handlers.restored, void=Void.RUN),
    on(intake.AdmissionUndone, event_handlers.admission_undone),
    on(intake.EpisodePersonCorrected, event_handlers.person_corrected),
    on(intake.CareTeamAssigned, team_assigned, void=Void.BOTH),
    on(intake.CareTeamRoleVacated, role_vacated, void=Void.BOTH),
    *STAFF_REACTIONS,
)


DEADLINES = Deadlines[episode_state.EpisodeState](
    due_for("review-due", treatment_plan.review_due, date.fromisoformat),
    due("level-effective", level_changes.level_effective),
    due("aftercare-opens", aftercare.opens),
    loops=LoopDeadlines(PlansLoop, default=episode_state.escalate),
)
late_facts.LATE.with_deadlines(DEADLINES.decide)
event_handlers.MEANWHILE.with_rows(REACTIONS.rules)
event_handlers.MEANWHILE.with_deadlines(DEADLINES.decide)
