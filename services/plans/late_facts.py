"""The facts of other services whose rules ask whether the episode has ended: kept while it has."""

from __future__ import annotations

from typing import Final

from services.plans import event_handlers, reviews
from services.plans.episode_state import EpisodeState
from shared.contracts import attendance, followup, intake
from shared.endings import LateFacts

LATE: Final = LateFacts[EpisodeState]()

LEVEL_RECOMMENDED: Final = LATE.rule(intake.LevelRecommended, event_handlers.level_recommended)
DANGER: Final = LATE.rule(intake.ImminentDangerIdentified, reviews.danger_identified)
THRESHOLD: Final = LATE.rule(attendance.AbsenceThresholdReached, reviews.absence_threshold_reached)
PAUSED: Final = LATE.rule(attendance.ParticipationPaused, reviews.participation_paused)
RESUMED: Final = LATE.rule(attendance.ParticipationResumed, reviews.participation_resumed)
WEEK: Final = LATE.rule(attendance.WeeklyHoursEvaluated, reviews.week_evaluated)
HOURS_SHORT: Final = LATE.rule(attendance.WeeklyHoursShortfallDetected, reviews.hours_short)
NOT_PROVIDED: Final = LATE.rule(attendance.ScreenNotProvided, reviews.screen_not_provided)
RESULTED: Final = LATE.rule(attendance.ScreenResulted, reviews.screen_resulted)
BREATH: Final = LATE.rule(attendance.BreathTestRecorded, reviews.breath_tested)
INTERPRETED: Final = LATE.rule(attendance.ScreenInterpreted, reviews.screen_interpreted)
FAILED: Final = LATE.rule(attendance.ScreenFailed, reviews.screen_failed)
OUTREACH: Final = LATE.rule(followup.OutreachEscalated, reviews.outreach_escalated)
RETURN_TO_USE: Final = LATE.rule(followup.ReturnToUseReported, reviews.return_to_use_reported)
