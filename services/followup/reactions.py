"""What followup does about what others say, and when its own deadlines come."""

from services.followup import aftercare, domain, reengagement, risks
from services.followup.domain import EpisodeState
from shared.contracts import attendance, intake, plans
from shared.decision import Cause, Decision
from shared.runtime.reactions import Reactions, on
from shared.runtime.reactor import HandoffRules

REACTIONS = Reactions(
    on(intake.PatientAdmitted, aftercare.admitted),
    on(intake.ReferralSent, domain.referral_sent),
    on(intake.ReferralLoopClosed, domain.referral_closed),
    on(attendance.SessionAttended, domain.session_attended),
    on(attendance.SessionMissed, domain.session_missed),
    on(attendance.AbsenceThresholdReached, domain.absence_threshold_reached),
    on(attendance.ScreenFailed, domain.screen_failed),
    on(plans.ClinicalReviewRequested, domain.review_requested),
    on(plans.ClinicalReviewCompleted, domain.review_completed),
    on(plans.AftercarePlanDrafted, aftercare.drafted),
    on(plans.ProgramGraduated, aftercare.graduated),
    on(plans.EpisodeDischarged, aftercare.discharged),
)

HANDOFFS = HandoffRules({aftercare.Readmitted: aftercare.readmitted})


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to."""
    kind, _, detail = name.partition(":")
    match kind:
        case "outreach":
            return domain.outreach_due(state, cause)
        case "silence":
            return domain.silence(state, cause)
        case "missing-fact":
            return aftercare.missing_fact(state, cause)
        case "check-in":
            return aftercare.closed(state, detail, cause)
        case "risk":
            return risks.due(state, detail, cause)
        case "reengagement":
            return reengagement.due(state, cause)
        case _:
            raise ValueError(f"unknown deadline {kind}")
