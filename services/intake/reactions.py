"""What intake does about what others say, what its records leave for one another, and when deadlines come."""

from services.intake import domain, handoffs, heard, lines, referrals, waitlist
from services.intake.domain import EpisodeState
from services.intake.reactions_people import PEOPLE_HANDOFFS
from shared.contracts import attendance, followup, plans
from shared.decision import Cause, Decision
from shared.loops import DEADLINE as LOOP
from shared.runtime.reactions import Reactions, on
from shared.runtime.reactor import HandoffRules

REACTIONS = Reactions(
    on(attendance.GroupOpened, lines.group_changed),
    on(attendance.GroupFilled, lines.group_changed),
    on(attendance.GroupBelowMinimum, lines.group_changed),
    on(attendance.SeatReserved, waitlist.seat_reserved),
    on(attendance.SeatReleased, waitlist.seat_released),
    on(plans.LevelOfCareChangeRecommended, heard.change_recommended),
    on(plans.LevelOfCareChanged, heard.level_changed),
    on(plans.EpisodeDischarged, heard.discharged),
    on(followup.ReadmissionRequested, heard.readmission_requested),
    on(followup.ReengagementStarted, heard.reengagement_started),
    on(followup.ReengagementCompleted, heard.reengagement_completed),
    on(followup.ReturnToUseReported, heard.return_to_use_reported),
)

HANDOFFS = HandoffRules(
    {
        **PEOPLE_HANDOFFS,
        handoffs.Readmitted: heard.readmitted,
        handoffs.LineLeft: lines.left,
        handoffs.LineJoined: lines.joined,
        handoffs.OfferMade: lines.offer_made,
        handoffs.SeatChanged: lines.seat_changed,
        handoffs.Lined: waitlist.lined,
        handoffs.PlaceOffered: waitlist.offered,
    }
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to: a loop's, a referral's to a partner, an offered place's."""
    if name.startswith(LOOP):
        return domain.overdue(state, name, cause)
    kind, _, detail = name.partition(":")
    if kind == referrals.DEADLINE:
        return referrals.overdue(state, detail, cause)
    if kind == domain.OFFER:
        return waitlist.lapsed(state, detail, cause)
    raise ValueError(f"unknown deadline {kind}")
