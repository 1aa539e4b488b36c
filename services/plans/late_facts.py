"""The facts of other services whose rules ask whether the episode has ended: kept while it has."""

from __future__ import annotations

from typing import Final

from services.plans import event_handlers, level_changes, review_reasons
from services.plans.episode_state import EpisodeState
from shared.contracts import attendance, followup, intake
from shared.endings import LateFacts

LATE: Final = LateFacts[EpisodeState]()

LEVEL_RECOMMENDED: Final = LATE.rule(intake.LevelRecommended, event_handlers.level_recommended)
REFERRAL_ACCEPTED: Final = LATE.rule(
    intake.PartnerReferralAccepted, level_changes.referral_accepted
)
REFERRAL_REJECTED: Final = LATE.rule(
    intake.PartnerReferralRejected, level_changes.referral_rejected
)
REFERRAL_CLOSED: Final = LATE.rule(intake.ReferralLoopClosed, level_changes.referral_closed)
DANGER: Final = LATE.rule(intake.ImminentDangerIdentified, review_reasons.danger_identified)
THRESHOLD: Final = LATE.rule(
    attendance.AbsenceThresholdReached, review_reasons.absence_threshold_reached
)
PAUSED: Final = LATE.rule(attendance.ParticipationPaused, review_reasons.participation_paused)
RESUMED: Final = LATE.rule(attendance.ParticipationResumed, review_reasons.participation_resumed)
WEEK: Final = LATE.rule(attendance.WeeklyHoursEvaluated, review_reasons.week_evaluated)
HOURS_SHORT: Final = LATE.rule(attendance.WeeklyHoursShortfallDetected, review_reasons.hours_short)
NOT_PROVIDED: Final = LATE.rule(attendance.ScreenNotProvided, review_reasons.screen_not_provided)
RESULTED: Final = LATE.rule(attendance.ScreenResulted, review_reasons.screen_resulted)
BREATH: Final = LATE.rule(attendance.BreathTestRecorded, review_reasons.breath_tested)
INTERPRETED: Final = LATE.rule(attendance.ScreenInterpreted, review_reasons.screen_interpreted)
FAILED: Final = LATE.rule(attendance.ScreenFailed, review_reasons.screen_failed)
OUTREACH: Final = LATE.rule(followup.OutreachEscalated, review_reasons.outreach_escalated)
RETURN_TO_USE: Final = LATE.rule(
    followup.ReturnToUseReported, review_reasons.return_to_use_reported
)
THRESHOLD_UNDONE: Final = LATE.rule(
    attendance.AbsenceThresholdUndone, review_reasons.absence_threshold_undone
)
NOT_PROVIDED_UNDONE: Final = LATE.rule(
    attendance.ScreenNotProvidedUndone, review_reasons.not_provided_undone
)
BREATH_UNDONE: Final = LATE.rule(attendance.BreathTestUndone, review_reasons.breath_undone)
RESULT_UNDONE: Final = LATE.rule(attendance.ResultUndone, review_reasons.result_undone)
INTERPRETATION_UNDONE: Final = LATE.rule(
    attendance.InterpretationUndone, review_reasons.interpretation_undone
)
CHECKED_IN: Final = LATE.rule(followup.CheckInCompleted, review_reasons.checked_in, if_ignored=True)
CHECK_IN_UNDONE: Final = LATE.rule(followup.CheckInUndone, review_reasons.check_in_undone)
OUTREACH_CLEARED: Final = LATE.rule(followup.EscalationCleared, review_reasons.outreach_cleared)
CIRCUMSTANCE: Final = LATE.rule(followup.CircumstanceRecorded, event_handlers.circumstance_recorded)
CIRCUMSTANCE_ENDED: Final = LATE.rule(followup.CircumstanceEnded, event_handlers.circumstance_over)
CIRCUMSTANCE_UNDONE: Final = LATE.rule(
    followup.CircumstanceUndone, event_handlers.circumstance_over
)
RETURN_TO_USE_UNDONE: Final = LATE.rule(
    followup.ReturnToUseUndone, review_reasons.return_to_use_undone
)
