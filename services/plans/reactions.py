"""What plans does about what others say, and when its own deadlines come."""

from datetime import date

from services.plans import domain, reviews
from services.plans.domain import EpisodeState
from shared.contracts import attendance, followup, intake
from shared.decision import Cause, Decision
from shared.runtime.reactions import Reactions, on

REACTIONS = Reactions(
    on(intake.LevelRecommended, domain.level_recommended),
    on(intake.PatientAdmitted, domain.admitted),
    on(intake.OrientationCompleted, domain.oriented),
    on(attendance.SessionAttended, domain.session_attended),
    on(attendance.AbsenceThresholdReached, reviews.absence_threshold_reached),
    on(attendance.WeeklyHoursShortfallDetected, reviews.hours_short),
    on(attendance.ScreenFailed, reviews.screen_failed),
    on(attendance.ScreenNotProvided, reviews.screen_not_provided),
    on(followup.OutreachEscalated, reviews.outreach_escalated),
    on(followup.ReturnToUseReported, reviews.return_to_use_reported),
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to."""
    kind, _, detail = name.partition(":")
    match kind:
        case "plan-due":
            return domain.plan_due(state, cause)
        case "review-due":
            return domain.review_due(state, date.fromisoformat(detail), cause)
        case "review-overdue":
            return domain.review_overdue(state, date.fromisoformat(detail), cause)
        case "clinical-review":
            return reviews.overdue(state, detail, cause)
        case _:
            raise ValueError(f"unknown deadline {kind}")
