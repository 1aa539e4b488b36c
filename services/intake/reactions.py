"""What intake does about what others say, what its records leave for one another, and when deadlines come."""

from services.intake import domain, heard, referrals
from services.intake.domain import EpisodeState
from services.intake.reactions_people import PEOPLE_HANDOFFS
from shared.contracts import followup, plans
from shared.contracts.codes import IntakeLoop
from shared.decision import Cause, Decision
from shared.runtime.reactions import Reactions, on
from shared.runtime.reactor import HandoffRules

REACTIONS = Reactions(
    on(plans.EpisodeDischarged, heard.discharged),
    on(followup.ReadmissionRequested, heard.readmission_requested),
    on(followup.ReengagementCompleted, heard.reengagement_completed),
    on(followup.ReturnToUseReported, heard.return_to_use_reported),
)

HANDOFFS = HandoffRules(
    {
        **PEOPLE_HANDOFFS,
        domain.Readmitted: heard.readmitted,
    }
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to: one outbound referral's, or a loop's of the episode."""
    kind, _, detail = name.partition(":")
    if kind == referrals.DEADLINE:
        return referrals.overdue(state, detail, cause)
    loop = IntakeLoop(kind)
    if loop is IntakeLoop.UNKNOWN:
        raise ValueError(f"unknown deadline {kind}")
    return domain.overdue(state, loop, cause)
